"""The policy `reliability` over a real log: traps teach, two agree, colluders fail, blocks and reviewers recompute."""

from __future__ import annotations

import json
import random
import time

import pytest

from feedback.acceptance import Agreement
from feedback.asking import Asking
from feedback.believing import POLICY, Believing
from feedback.demo import AcceptanceSettings
from feedback.desk import Desk
from feedback.experiments import Experiments
from feedback.heard import Heard, answers
from feedback.records import Block, Correction, Json, Prediction, Trap, Visitor, input_hash, new_id
from feedback.store import Store
from tests.conftest import WordsModel

LABELS = ("v1", "v2", "v3")


@pytest.fixture
def believing(store: Store) -> Believing:
    """The policy for labels, judging only when asked."""
    return Believing(store, "choice")


def say(store: Store, who: str, text: str, label: str, shown: str = "v1") -> str:
    """Let somebody answer a text; return the correction's id."""
    made = Prediction(new_id("p"), who, "", 0, "champion", 1, text, input_hash(text), {"label": shown}, 0.5, 20.0)
    said = Correction(new_id("c"), made.id, who, {"label": label}, label == shown, edits=float(label != shown))
    store.add(made, said)
    return said.id


def teach(store: Store, people: dict[str, float], traps: int = 12, seed: int = 1, wrong: str = "v1") -> None:
    """Let everybody answer the traps (v1 shown, which is wrong), each right with their own probability, else `wrong`."""
    chance = random.Random(seed)
    for index in range(traps):
        text, truth = f"trap {index}", "v2" if wrong == "v3" else LABELS[1 + index % 2]
        store.add(Trap(input_hash(text), text, {"label": truth}, "gold", "owner"))
        for who, right in people.items():
            say(store, who, text, truth if chance.random() < right else wrong)


def statuses(store: Store, text: str) -> dict[str, str]:
    """Return contributor -> status on one text."""
    rows = store.rows("SELECT contributor, status FROM current_corrections WHERE input_hash = ?", [input_hash(text)])
    return {row["contributor"]: row["status"] for row in rows}


def test_without_traps_agreement_decides_and_says_so(store: Store, believing: Believing) -> None:
    """Two who agree are accepted; the reason names the rule and why it holds."""
    say(store, "u1", "one", "v2")
    say(store, "u2", "one", "v2")
    reviews = believing.settle()
    assert statuses(store, "one") == {"u1": "accepted", "u2": "accepted"}
    assert all(review.reviewer == POLICY and "too few trap items" in review.reason for review in reviews)
    assert believing.standing().rule == "agreement"
    assert believing.settle() == []  # nothing changed, nothing is stored


def test_one_unknown_contributor_never_trains(store: Store, believing: Believing) -> None:
    """Alone and untested: pending, whatever the others' traps say."""
    teach(store, {"good1": 1.0, "good2": 1.0})
    say(store, "stranger", "one", "v2")
    believing.settle()
    assert statuses(store, "one") == {"stranger": "pending"}


def test_people_whom_the_traps_prove_are_believed_together(store: Store, believing: Believing) -> None:
    """Two who were right on twelve traps each agree: accepted, with the probability and the threshold in the reason."""
    teach(store, {"good1": 1.0, "good2": 1.0, "bad": 0.0})
    for who in ("good1", "good2"):
        say(store, who, "one", "v2")
    believing.settle()
    assert believing.standing().rule == "reliability"
    assert believing.standing().trusted == {"good1", "good2"}
    assert statuses(store, "one") == {"good1": "accepted", "good2": "accepted"}
    (reason,) = {row["reason"] for row in store.rows("SELECT reason FROM current_corrections WHERE status = 'accepted'")}
    assert "% likely; needed" in reason


def test_two_who_fail_the_traps_do_not_believe_each_other_true(store: Store, believing: Believing) -> None:
    """Colluders on one label, wrong on every trap: what agreement would accept is not accepted."""
    teach(store, {"good1": 1.0, "good2": 1.0, "colluder1": 0.0, "colluder2": 0.0}, wrong="v3")
    for who in ("colluder1", "colluder2"):
        say(store, who, "one", "v3")
    believing.settle()
    assert set(statuses(store, "one").values()) == {"undecided"}


def test_what_a_reviewer_settled_stands_and_teaches(store: Store, desk: Desk, believing: Believing) -> None:
    """A person's verdict is never overwritten, and a rejection counts against its contributor like a failed trap."""
    teach(store, {"good1": 1.0, "good2": 1.0})
    wrong = say(store, "good1", "one", "v3")
    desk.review("ann", wrong, "reject")
    before = believing.standing().contributors["good1"]
    say(store, "good2", "one", "v3")
    believing.settle()
    assert statuses(store, "one")["good1"] == "rejected"
    assert (before.answered, before.wrong) == (13, 1.0)


def test_a_block_takes_back_and_an_unblock_brings_back(store: Store, believing: Believing) -> None:
    """What rested on a blocked contributor is undecided again; the blocked one reads nothing of the block."""
    teach(store, {"good1": 1.0, "good2": 1.0})
    for who in ("good1", "good2"):
        say(store, who, "one", "v2")
    believing.settle()
    store.add(Block("good2", True, "owner", "spam"))
    believing.settle()
    after = statuses(store, "one")
    assert after["good2"] == "undecided"
    reasons = {row["reason"] for row in store.rows("SELECT reason FROM current_corrections WHERE contributor = 'good2'")}
    assert not any("block" in reason for reason in reasons)
    store.add(Block("good2", False, "owner", "sorry"))
    believing.settle()
    assert statuses(store, "one")["good2"] == "accepted"


def test_no_verdict_gives_a_trap_away(store: Store, believing: Believing) -> None:
    """Answers to traps stay pending, right or wrong."""
    teach(store, {"good": 1.0, "bad": 0.0, "good2": 1.0})
    believing.settle()
    assert {status for index in range(12) for status in statuses(store, f"trap {index}").values()} == {"pending"}


def test_spans_are_judged_by_their_offsets(store: Store) -> None:
    """Two who found every trap's span agree on one more: accepted; one who missed it too is told otherwise."""
    policy = Believing(store, "spans")

    def mark(who: str, text: str, *spans: tuple[int, int]) -> None:
        output: Json = {"spans": [{"start": start, "end": end, "label": "Disease"} for start, end in spans]}
        made = Prediction(new_id("p"), who, "", 0, "champion", 1, text, input_hash(text), {"spans": []}, 0.5, 20.0)
        store.add(made, Correction(new_id("c"), made.id, who, output, not spans, edits=float(len(spans))))

    for index in range(14):
        text = f"asthma in sentence {index}"
        truth = {"spans": [{"start": 0, "end": 6, "label": "Disease"}]}
        store.add(Trap(input_hash(text), text, truth, "gold", "owner"))
        for who in ("good1", "good2"):
            mark(who, text, (0, 6))
        mark("lazy", text)
    for who in ("good1", "good2"):
        mark(who, "gout once more", (0, 4))
    mark("lazy", "gout once more")
    policy.settle()
    assert statuses(store, "gout once more") == {"good1": "accepted", "good2": "accepted", "lazy": "rejected"}


def test_it_judges_by_itself_some_moments_after(store: Store, experiments: Experiments) -> None:
    """With a running policy the desk's corrections are settled without anybody asking; closing ends it."""
    policy = Believing(store, "choice", pause=0.01)
    desk = Desk(store, WordsModel(), experiments, Agreement(2), judge=policy.heard)
    policy.begin()
    try:
        for who in ("u1", "u2"):
            shown = desk.predict(Visitor(who), "one")
            desk.correct(Visitor(who), shown.id, {"label": "v2"})
        for _ in range(500):
            if set(statuses(store, "one").values()) == {"accepted"}:
                break
            time.sleep(0.02)
        assert statuses(store, "one") == {"u1": "accepted", "u2": "accepted"}
    finally:
        policy.close()


def test_asked_traps_count_as_traps(store: Store, experiments: Experiments, believing: Believing, desk: Desk) -> None:
    """A trap met through the page's question teaches like any other."""
    store.add(Trap(input_hash("known"), "known", {"label": "v2"}, "gold", "owner"))
    asker = Asking(store, WordsModel(), experiments, AcceptanceSettings(), chance=random.Random(1))
    made = asker.next(Visitor("u1"))
    assert made is not None
    desk.correct(Visitor("u1"), made.id, {"label": "v2"})
    assert believing.standing().contributors["u1"].right == 1.0


def test_an_amended_answer_is_its_giver_s_no_more(store: Store, desk: Desk, believing: Believing) -> None:
    """A reviewer's own answer teaches that the contributor's was wrong; it is not taken for theirs."""
    teach(store, {"good1": 1.0, "good2": 1.0})
    made = say(store, "good1", "one", "v3")
    desk.review("ann", made, "amend", {"label": "v2"})
    (heard,) = [answer for answer in answers(store) if answer.id == made]
    assert (json.loads(heard.output), json.loads(heard.settled)) == ({"label": "v3"}, {"label": "v2"})


def test_what_everybody_says_becomes_a_trap_for_others(
    store: Store, experiments: Experiments, believing: Believing, desk: Desk
) -> None:
    """Four alike, two of them proved by gold: a trap, which tests who is asked about it and nobody who made it."""
    teach(store, {"good1": 1.0, "good2": 1.0})
    for who in ("good1", "good2", "u3", "u4"):
        say(store, who, "one", "v2")
    believing.settle()
    (trap,) = store.rows("SELECT * FROM current_traps WHERE source = 'unanimous'")
    assert (json.loads(trap["output"]), trap["active"]) == ({"label": "v2"}, True)
    assert statuses(store, "one") == dict.fromkeys(("good1", "good2", "u3", "u4"), "accepted")
    assert "u3" not in believing.standing().contributors
    before = believing.standing().contributors
    asker = Asking(store, WordsModel(), experiments, AcceptanceSettings(), chance=random.Random(1))
    truths = {
        json.loads(row["input"]): json.loads(row["output"]) for row in store.rows("SELECT input, output FROM current_traps")
    }
    met = []
    while (asked := asker.next(Visitor("new"))) is not None:
        met.append(asked.input)
        desk.correct(Visitor("new"), asked.id, truths[asked.input])
    assert sorted(met) == sorted(truths)
    assert (believing.standing().contributors["new"].answered, believing.standing().contributors["new"].wrong) == (13, 0)
    assert believing.standing().contributors["good1"] == before["good1"]  # who made it is not credited with it
    believing.settle()
    assert statuses(store, "one")["new"] == "pending"  # nor does a verdict tell that it was a trap


def test_no_trap_is_made_by_the_untested_by_confirming_or_by_most(store: Store, believing: Believing) -> None:
    """Five strangers alike; four who confirm; four alike and one otherwise: none of them becomes a trap."""
    teach(store, {"good1": 1.0, "good2": 1.0})
    for who in ("s1", "s2", "s3", "s4", "s5"):
        say(store, who, "strangers", "v2")
    for who in ("good1", "good2", "s1", "s2"):
        say(store, who, "confirmed", "v1")
    for who, label in (("good1", "v2"), ("good2", "v2"), ("s1", "v2"), ("s2", "v2"), ("s3", "v3")):
        say(store, who, "disputed", label)
    believing.settle()
    assert store.rows("SELECT * FROM traps WHERE source = 'unanimous'") == []


def test_a_trap_ends_when_somebody_says_otherwise_or_who_made_it_is_blocked(
    store: Store, desk: Desk, believing: Believing
) -> None:
    """A dispute, and a block that leaves three: the item is no trap any more, and is judged again like any other."""
    teach(store, {"good1": 1.0, "good2": 1.0, "good3": 1.0})
    for text in ("one", "two"):
        for who in ("good1", "good2", "u3", "u4"):
            say(store, who, text, "v2")
    believing.settle()
    assert len(store.rows("SELECT * FROM current_traps WHERE source = 'unanimous' AND active")) == 2
    say(store, "good3", "one", "v3")
    believing.settle()
    assert [
        json.loads(r["input"]) for r in store.rows("SELECT input FROM current_traps WHERE source = 'unanimous' AND active")
    ] == ["two"]
    assert set(statuses(store, "one")) == {"good1", "good2", "u3", "u4", "good3"}
    store.add(Block("u4", True, "owner", "spam"))
    believing.settle()
    assert store.rows("SELECT * FROM current_traps WHERE source = 'unanimous' AND active") == []
    assert statuses(store, "two")["u4"] == "undecided"
    assert statuses(store, "two")["u3"] == "accepted"


def test_what_several_found_apart_is_joined_for_the_nearest(store: Store) -> None:
    """Each of four proved people misses one of two spans that others found: the joined answer is accepted once, as amended."""
    policy = Believing(store, "spans")

    def mark(who: str, text: str, *spans: tuple[int, int]) -> None:
        output: Json = {"spans": [{"start": start, "end": end, "label": "Disease"} for start, end in spans]}
        made = Prediction(new_id("p"), who, "", 0, "champion", 1, text, input_hash(text), {"spans": []}, 0.5, 20.0)
        store.add(made, Correction(new_id("c"), made.id, who, output, not spans, edits=float(len(spans))))

    people = ("good1", "good2", "good3", "good4", "good5", "good6")
    for index in range(24):
        text = f"asthma and gout in sentence {index}"
        truth = {"spans": [{"start": 0, "end": 6, "label": "Disease"}, {"start": 11, "end": 15, "label": "Disease"}]}
        store.add(Trap(input_hash(text), text, truth, "gold", "owner"))
        for number, who in enumerate(people):
            missed = (index + number) % 6 == 0  # people miss: that is what the traps teach of them
            mark(who, text, *(((0, 6),) if missed else ((0, 6), (11, 15))))
    for who, spans in (("good1", ((0, 7),)), ("good2", ((0, 7),)), ("good3", ((12, 16),)), ("good4", ((12, 16),))):
        mark(who, "measles and mumps again", *spans)
    policy.settle()
    found = store.rows(
        "SELECT status, output, reason FROM current_corrections WHERE input_hash = ?", [input_hash("measles and mumps again")]
    )
    accepted = [json.loads(row["output"]) for row in found if row["status"] == "accepted"]
    both = {"spans": [{"start": 0, "end": 7, "label": "Disease"}, {"start": 12, "end": 16, "label": "Disease"}]}
    assert accepted == [both]
    assert [row["status"] for row in found].count("rejected") == 3
    assert policy.settle() == []


def test_where_agreement_decides_only_what_was_heard_is_judged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it reads only inputs of which something was said; a new trap, a block or a rewrite makes it look at all again."""
    read: list[frozenset[str] | None] = []

    def noting(of: Store, hashes: frozenset[str] | None = None) -> list[Heard]:
        read.append(hashes)
        return answers(of, hashes)

    monkeypatch.setattr("feedback.believing.answers", noting)
    policy = Believing(store, "choice")
    for who in ("u1", "u2"):
        say(store, who, "one", "v2")
        say(store, who, "two", "v2")
    policy._settle_heard(frozenset())
    assert statuses(store, "one") == statuses(store, "two") == {"u1": "accepted", "u2": "accepted"}
    say(store, "u3", "one", "v3")
    say(store, "u4", "one", "v3")
    policy._settle_heard(frozenset({input_hash("one")}))
    assert set(statuses(store, "one").values()) == {"undecided"}  # as many say otherwise by now
    assert read == [None, frozenset({input_hash("one")})]
    store.add(Block("u3", True, "owner", "spam"))
    policy._settle_heard(frozenset())
    assert statuses(store, "one")["u1"] == "accepted"
    policy._settle_heard(frozenset())
    store.add(Trap(input_hash("two"), "two", {"label": "v3"}, "gold", "owner"))
    policy._settle_heard(frozenset())
    store.rewrite(lambda con: con.execute("DELETE FROM corrections WHERE contributor = 'u4'"))
    policy._settle_heard(frozenset())
    assert read[2:] == [None, frozenset(), None, None]


def test_enough_answered_traps_end_it(store: Store) -> None:
    """From the tenth answer to a trap on people are weighed, and everything is judged together."""
    policy = Believing(store, "choice")
    policy._settle_heard(frozenset())
    teach(store, {"good1": 1.0, "good2": 1.0})
    say(store, "good1", "one", "v2")
    say(store, "good2", "one", "v2")
    reviews = policy._settle_heard(frozenset({input_hash("one")}))
    assert {review.verdict for review in reviews} == {"accept"}
    assert all("likely" in review.reason for review in reviews)
