"""Outputs of several heads through the feedback room: said, believed, weighed, compared and exchanged head by head."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from feedback.acceptance import Agreement, Opinion
from feedback.agreement import agreement, krippendorff_alpha
from feedback.believing import Believing
from feedback.desk import Desk
from feedback.exchange.annotation import Annotation, Reading
from feedback.exchange.forms import read_file, write_file
from feedback.experiments import Experiments
from feedback.heads import at_one, output_text, within
from feedback.heard import Heard
from feedback.records import Answer, Correction, Json, Prediction, Review, Trap, Visitor, input_hash, new_id
from feedback.store import Store
from feedback.training_set import accepted
from feedback.unanimous import changes
from feedback.weighing import label_pair
from model.tasks.multioutput_text_classification import MultioutputTextClassification

TASK = MultioutputTextClassification(("topic/deal", "topic/loss", "topic/other", "mood/good", "mood/bad", "mood/none"))
SHOWN = {"labels": {"topic": "other", "mood": "none"}, "confidences": {"topic": 0.4, "mood": 0.6}}
CHOICES = Reading("choices")


def of(topic: str = "", mood: str = "") -> Json:
    """Return what speaks of these heads."""
    return {"labels": {head: label for head, label in (("topic", topic), ("mood", mood)) if label}}


class HeadsModel:
    """The task's checks; every answer is SHOWN."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """As model/serve.py does."""
        return TASK.check_input(input_), None if output is None else TASK.check_output(input_, output)

    def edits(self, shown: Json, output: Json) -> float:
        """The task's."""
        return TASK.edits(shown, output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """SHOWN."""
        return Answer(SHOWN, 0.4)


@pytest.fixture
def desk(store: Store) -> Desk:
    """A desk whose policy believes two who agree."""
    experiments = Experiments(store)
    experiments.begin(1, "test")
    return Desk(store, HeadsModel(), experiments, Agreement(2))


def statuses(store: Store, text: str) -> dict[str, str]:
    """Return contributor -> status on one text."""
    rows = store.rows("SELECT contributor, status FROM current_corrections WHERE input_hash = ?", [input_hash(text)])
    return {row["contributor"]: row["status"] for row in rows}


def correct(desk: Desk, who: str, text: str, output: Json) -> Correction:
    """Let somebody answer a text."""
    visitor = Visitor(who)
    return desk.correct(visitor, desk.predict(visitor, text).id, output)[0]


# -- what is said


def test_what_is_said_of_fewer_heads_lies_within_what_is_said_of_more() -> None:
    """Outputs of heads are compared over the heads that they tell; outputs of any other form must be equal."""
    assert within(of("deal"), of("deal", "bad"))
    assert not within(of("deal", "bad"), of("deal"))
    assert not within(of("loss"), of("deal", "bad"))
    assert within({"label": "a"}, {"label": "a"})
    assert not within({"spans": []}, {"spans": [1]})
    assert at_one(output_text({"topic": "deal"}), output_text({"topic": "deal", "mood": "bad"}))
    assert not at_one(output_text({"topic": "deal"}), output_text({"mood": "bad"}))
    assert not at_one(output_text({"topic": "deal", "mood": "bad"}), output_text({"topic": "deal", "mood": "good"}))


def test_agreeing_with_one_head_is_a_confirmation_and_changing_one_is_one_edit(desk: Desk) -> None:
    """Who says the shown topic and nothing else has confirmed; who changes one head has changed one mark, not two."""
    agreed, changed = correct(desk, "u1", "one", of("other")), correct(desk, "u2", "two", of("deal"))
    assert (agreed.confirmation, agreed.edits) == (True, 0.0)
    assert (changed.confirmation, changed.edits) == (False, 1.0)


# -- whom to believe


def test_two_who_agree_on_a_head_are_believed_on_it(desk: Desk, store: Store) -> None:
    """The topic that two say is accepted from who says it alone; who says more waits until the mood is said twice as well."""
    correct(desk, "u1", "one", of("deal"))
    assert statuses(store, "one") == {"u1": "pending"}
    correct(desk, "u2", "one", of("deal", "bad"))
    assert statuses(store, "one") == {"u1": "accepted", "u2": "undecided"}
    assert [example.output for example in accepted(store)] == [of("deal")]
    correct(desk, "u3", "one", of(mood="bad"))
    assert statuses(store, "one") == {"u1": "accepted", "u2": "accepted", "u3": "accepted"}
    assert [example.output for example in accepted(store)] == [of("deal", "bad")]  # what tells most is learned


def test_a_head_in_dispute_holds_up_who_speaks_of_it_alone() -> None:
    """Two against one is a majority, two against two is none; the undisputed head is not drawn into it."""
    said = {"u1": of("deal"), "u2": of("deal", "bad"), "u3": of("loss", "bad"), "u4": of("loss"), "u5": of(mood="bad")}
    opinions = [Opinion(f"c_{who}", who, output_text(output["labels"]), "") for who, output in said.items()]
    decided = {name: verdict for name, (verdict, _) in Agreement(2).decide(opinions).items()}
    assert decided == {"c_u1": "undecided", "c_u2": "undecided", "c_u3": "undecided", "c_u4": "undecided", "c_u5": "accept"}
    more = [*opinions, Opinion("c_u6", "u6", output_text({"topic": "deal"}), "")]
    decided = {name: verdict for name, (verdict, _) in Agreement(2).decide(more).items()}
    assert decided["c_u1"] == decided["c_u2"] == decided["c_u6"] == decided["c_u5"] == "accept"
    assert decided["c_u3"] == decided["c_u4"] == "undecided"


def say(store: Store, who: str, text: str, output: Json) -> None:
    """Let somebody answer a text that was shown with SHOWN."""
    made = Prediction(new_id("p"), who, "", 0, "champion", 1, text, input_hash(text), TASK.check_output(text, SHOWN), 0.4, 20.0)
    store.add(made, Correction(new_id("c"), made.id, who, output, False, edits=TASK.edits(SHOWN, output)))


def test_the_traps_prove_people_and_heads_are_believed_apart(store: Store) -> None:
    """Traps answered of one head are right answers; two proved people are believed on the topic, whatever a liar says of the mood."""
    for number in range(12):
        text, topic = f"trap {number}", ("deal", "loss")[number % 2]
        store.add(Trap(input_hash(text), text, of(topic, "bad"), "gold", "owner"))
        say(store, "good1", text, of(topic))
        say(store, "good2", text, of(topic, "bad"))
        say(store, "liar", text, of("other", "good"))
    say(store, "good1", "one", of("deal"))
    say(store, "good2", "one", of("deal", "bad"))
    say(store, "liar", "one", of("loss", "good"))
    believing = Believing(store, "choices")
    believing.settle()
    standing = believing.standing()
    assert standing.rule == "reliability"
    assert standing.trusted == {"good1", "good2"}
    found = statuses(store, "one")
    assert (found["good1"], found["liar"]) == ("accepted", "rejected")
    assert found["good2"] in ("accepted", "undecided")  # its mood hangs on how surely one proved person is believed
    assert [example.output["labels"]["topic"] for example in accepted(store)] == ["deal"]


def test_a_reviewers_word_goes_before_what_tells_more(desk: Desk, store: Store) -> None:
    """A person's acceptance of one head is learned, though a policy accepted both."""
    correct(desk, "u1", "one", of("deal", "bad"))
    correct(desk, "u2", "one", of("deal", "bad"))
    mine = correct(desk, "u3", "one", of("loss"))
    store.add(Review(new_id("r"), mine.id, "accept", None, "ann", ""))
    assert [example.output for example in accepted(store)] == [of("loss")]


# -- weighed, compared, exchanged


def test_the_label_pair_is_the_head_that_was_changed() -> None:
    """Of a head that is left out, or confirmed, nothing was changed."""
    assert label_pair(SHOWN, of("deal")) == "topic/other -> topic/deal"
    assert label_pair(SHOWN, of("other", "bad")) == "mood/none -> mood/bad"
    assert label_pair(SHOWN, of("other")) == ""


def test_agreement_is_krippendorffs_alpha_head_by_head() -> None:
    """Each head's alpha is that of its own labels over the texts that two people and more told it (Krippendorff 2011, C.)."""
    texts = [
        [of("deal", "bad"), of("deal", "good")],
        [of("loss", "bad"), of("loss")],
        [of("deal", "good"), of("loss", "good"), of(mood="bad")],
    ]
    rows = {row.label: row for row in agreement(texts)}
    assert set(rows) == {"topic", "topic/deal", "topic/loss", "mood", "mood/bad", "mood/good"}
    assert rows["topic"].value == krippendorff_alpha([["deal", "deal"], ["loss", "loss"], ["deal", "loss"]])
    assert rows["mood"].value == krippendorff_alpha([["bad", "good"], ["good", "good", "bad"]])
    assert (rows["topic"].texts, rows["mood"].texts, rows["mood"].said) == (3, 2, 5)


SAID = [
    Annotation("", "Orvane buys Kestrel, = a bargain", of("deal", "good"), "7"),
    Annotation("", "Orvane buys Kestrel, = a bargain", of("deal"), "8"),
    Annotation("", "=profit gone", of(mood="bad"), "7"),
]


@pytest.mark.parametrize("form", ["csv", "jsonl", "label_studio"])
def test_heads_go_out_and_come_back(form: str) -> None:
    """Whatever was said of some heads comes back as it was, from each form that can hold it."""
    found = read_file(write_file(SAID, form), "file", form, CHOICES).annotations
    assert sorted((a.input, a.annotator, str(a.output)) for a in found) == sorted(
        (a.input, a.annotator, str(a.output)) for a in SAID
    )


def test_label_studio_has_a_control_a_head() -> None:
    """Two choices of one control are refused in words, and a dropped label leaves its head unsaid."""
    raw = write_file(SAID[:1], "label_studio")
    dropped = Reading("choices", rename={"mood/good": ""})
    assert [a.output for a in read_file(raw, "file", "label_studio", dropped).annotations] == [of("deal")]
    twice = raw.replace(b'"from_name": "mood"', b'"from_name": "topic"')
    with pytest.raises(Exception, match="exactly one is needed"):
        read_file(twice, "file", "label_studio", CHOICES)


def test_confirmations_of_one_head_make_no_trap() -> None:
    """Four who agree with what was shown, two of them proved, have corrected nothing: an item that tells nothing is no trap."""
    said = [_heard(who, of("other")) for who in ("a", "b", "c", "d")]
    assert changes(said, {'"one"': said[0].output}, {"a", "b"}, {}, "policy:test") == []
    said = [_heard(who, of("deal")) for who in ("a", "b", "c", "d")]
    (trap,) = changes(said, {'"one"': said[0].output}, {"a", "b"}, {}, "policy:test")
    assert trap.output == of("deal")


def _heard(who: str, output: Json) -> Heard:
    shown = json.dumps(SHOWN, sort_keys=True)
    return Heard(f"c_{who}", who, '"one"', "h", output_text(output["labels"]), shown, "", "", "", "", "", founding=False)
