"""The task `ranking`: its inputs and outputs, learning a version from examples, and the lists it answers with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feedback.demo import Demo
from feedback.errors import BadInput, TooLarge
from feedback.records import Example, Json
from model.catalogue import Catalogue, Entry
from model.own_model import CONFIG, Work
from model.parts import Parts
from model.progress import Progress
from model.ranking.exploring import place_probabilities
from model.ranking.version import LENGTH, POLICY, RankingVersion
from model.ranking.visits import Policy
from model.task import task_type
from model.tasks.ranking import Ranking

TOPICS = ("bread and baking", "boats and sailing", "stars and telescopes", "gardens and seeds")
CATALOGUE = Catalogue(
    [
        Entry(f"{i}-{n}", f"A short course about {topic}, part {n}.", f"{topic} {n}")
        for i, topic in enumerate(TOPICS)
        for n in range(12)
    ]
)


@pytest.fixture(scope="module")
def task() -> Ranking:
    """The task over 48 courses."""
    return Ranking([entry.id for entry in CATALOGUE.entries], catalogue=CATALOGUE)


def examples(people: int = 80) -> list[Example]:
    """Everybody likes one topic's courses."""
    random = np.random.default_rng(1)
    found = []
    for person in range(people):
        own = [f"{person % 4}-{n}" for n in random.permutation(12)]
        other = f"{(person + 1) % 4}-0"
        input_ = {"history": [{"item": item, "did": "liked"} for item in own[:3]], "text": ""}
        found.append(
            Example(input_, {"items": [*own[3:6], other], "liked": own[3:6], "dismissed": [other]}, contributor=f"p{person}")
        )
    return found


def demo() -> Demo:
    """A demo of the task; its files are not read here."""
    return Demo.model_validate(
        {
            "name": "courses",
            "task": "ranking",
            "title": {"en": "Courses"},
            "data": {"catalogue": "none.jsonl"},
            "path": Path("courses.toml"),
        }
    )


def learned(task: Ranking, directory: Path, train: list[Example]) -> RankingVersion:
    """Learn a version from examples and open it."""
    task.learn(Work(demo(), Parts(train, [], [], []), directory, Progress(None), 0))
    return task.open(directory)


@pytest.fixture(scope="module")
def version(task: Ranking, tmp_path_factory: pytest.TempPathFactory) -> RankingVersion:
    """A version that learned from 80 people."""
    return learned(task, tmp_path_factory.mktemp("version"), examples())


def asked(history: list[tuple[str, str]], text: str = "", visit: str = "") -> dict[str, Json]:
    """An input."""
    found: dict[str, Json] = {"history": [{"item": item, "did": did} for item, did in history], "text": text}
    return {**found, "visit": visit} if visit else found


def test_a_text_alone_is_an_interest(task: Ranking) -> None:
    """An interest needs no history, and nothing at all may be asked."""
    assert task.check_input("sailing") == {"history": [], "text": "sailing"}
    assert task.check_input({"text": " \n"}) == {"history": [], "text": ""}


def test_a_history_is_made_canonical(task: Ranking) -> None:
    """The last deed with an item stands, at its place; an item that has left the catalogue leaves the history."""
    given = asked([("0-1", "liked"), ("gone", "liked"), ("0-2", "clicked"), ("0-1", "dismissed")])
    assert task.check_input(given) == asked([("0-2", "clicked"), ("0-1", "dismissed")])


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"history": [{"item": "0-1"}]},
        {"history": [{"item": "0-1", "did": "bought"}]},
        {"history": {"0-1": "liked"}},
        {"history": [], "visit": "a b"},
        {"text": 3},
    ],
)
def test_bad_histories_are_refused(task: Ranking, bad: Any) -> None:
    """What is no history is refused in words."""
    with pytest.raises(BadInput, match="input"):
        task.check_input(bad)


def test_a_history_is_bounded(task: Ranking) -> None:
    """201 deeds are too many."""
    with pytest.raises(TooLarge, match="201"):
        task.check_input(asked([("0-1", "liked")] * 201))


@pytest.mark.parametrize(
    "bad",
    [
        {"items": ["0-1", "0-1"]},
        {"items": ["nowhere"]},
        {"items": ["0-1"], "liked": ["0-2"]},
        {"items": ["0-1"], "liked": ["0-1"], "dismissed": ["0-1"]},
        {"items": ["0-1", "0-2"], "shown": ["0-1"], "ranks": [0], "policy": [0.1, 40]},
        {"items": ["0-1"], "shown": ["0-1"], "ranks": [True], "policy": [0.1, 40]},
        {"items": ["0-1"], "shown": ["0-1"], "ranks": [40], "policy": [0.1, 40]},
        {"items": ["0-1"], "shown": ["0-1"], "ranks": [0], "policy": [1.5, 40]},
        {"items": ["0-1"], "shown": ["0-1"], "ranks": [[0]], "policy": [0.1, 40]},
        {"items": "0-1"},
    ],
)
def test_bad_lists_are_refused(task: Ranking, bad: Any) -> None:
    """What is no list of the catalogue's items, or came about in no possible way, is refused in words."""
    with pytest.raises(BadInput):
        task.check_output(asked([]), bad)


def test_an_answer_as_it_is_is_its_own_confirmation(task: Ranking, version: RankingVersion) -> None:
    """What was shown, sent back, equals what was shown; it likes nothing, and keeps ranks and policy."""
    input_ = asked([("0-1", "liked")])
    (answer,) = version.answer([input_], [{}])
    sent = task.check_output(input_, task.present(answer.output))
    assert sent == task.check_output(input_, answer.output)
    assert sent["shown"] == sent["items"] == answer.output["items"]
    assert sent["liked"] == sent["dismissed"] == []
    assert task.edits(sent, sent) == 0


def test_a_version_has_learned_who_likes_what(version: RankingVersion) -> None:
    """After three courses of a topic its others come first, because of one of the three; the topic was learned, not named."""
    history = [("1-0", "liked"), ("1-1", "liked"), ("1-2", "liked")]
    (answer,) = version.answer([asked(history)], [{}])
    assert [item[0] for item in answer.output["best"][:LENGTH]] == ["1"] * LENGTH
    assert len(answer.output["best"]) == POLICY.pool
    reasons = [why for why, rank in zip(answer.output["why"], answer.output["ranks"], strict=True) if rank < LENGTH]
    assert {why["kind"] for why in reasons} == {"liked"}
    assert {why["item"] for why in reasons} <= {"1-0", "1-1", "1-2"}
    assert 0 < answer.confidence <= 1


def test_what_is_written_is_found(version: RankingVersion) -> None:
    """An interest alone brings its topic to the top."""
    (answer,) = version.answer([asked([], "telescopes")], [{}])
    assert answer.output["best"][0].startswith("2-")


def test_the_same_question_has_the_same_list_and_each_visit_its_own(version: RankingVersion) -> None:
    """Chance comes from the input: a retry shows the same, and over visits items are drawn as often as the probabilities say."""
    first, again = version.answer([asked([], visit="a"), asked([], visit="a")], [{}, {}])
    assert first == again
    visits = 1000
    answers = version.answer([asked([], visit=f"v{i}") for i in range(visits)], [{}] * visits)
    seen = Counter(rank for answer in answers for rank in answer.output["ranks"])
    for rank in (0, 3, 7, 20):
        expected = visits * place_probabilities(rank, LENGTH, POLICY).sum()
        assert abs(seen[rank] - expected) < 4 * np.sqrt(expected)
    one = answers[0].output
    at = [place_probabilities(rank, LENGTH, Policy(*one["policy"]))[place] for place, rank in enumerate(one["ranks"])]
    assert np.allclose(one["propensities"], at, atol=1e-6)


def test_who_has_seen_all_is_shown_nothing(version: RankingVersion) -> None:
    """With every item in the history nothing is left, and nothing breaks."""
    (answer,) = version.answer([asked([(entry.id, "liked") for entry in CATALOGUE.entries])], [{}])
    assert answer.output["items"] == []
    assert answer.confidence == 0


def test_a_new_entry_is_ranked_by_its_text(task: Ranking, tmp_path: Path) -> None:
    """An entry that came after the training stands among its like at once."""
    learned(task, tmp_path, examples(40))
    catalogue = CATALOGUE.with_([Entry("new", "A short course about stars and telescopes, part 99.", "stars and telescopes 99")])
    later = Ranking([entry.id for entry in catalogue.entries], catalogue=catalogue).open(tmp_path)
    (answer,) = later.answer([asked([], "stars and telescopes part 99")], [{}])
    assert answer.output["best"][0] == "new"


def test_a_catalogue_alone_makes_a_version(task: Ranking, tmp_path: Path) -> None:
    """Before anybody did anything, what is written still finds its like."""
    (answer,) = learned(task, tmp_path, []).answer([asked([], "sailing")], [{}])
    assert answer.output["best"][0].startswith("1-")


def test_likes_teach_the_next_version(task: Ranking, tmp_path: Path) -> None:
    """Where people who like bread turn out to like boats, the next version shows boats to them, and its score on such lists is higher."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    mixed = [f"{topic}-{m}" for m in range(6, 10) for topic in (0, 1)]
    turned = [
        Example(asked([(f"0-{n}", "liked"), (f"0-{n + 1}", "liked")]),
                {"items": mixed, "liked": mixed[1::2], "dismissed": [], "shown": mixed, "ranks": list(range(8)), "policy": [0.1, 40]},
                contributor=f"t{n}{copy}")
        for n in range(6) for copy in range(20)
    ]  # fmt: skip
    before, after = learned(task, tmp_path / "one", examples(40)), learned(task, tmp_path / "two", [*examples(40), *turned[::2]])
    truth = [example.output for example in turned[1::2]]
    scores = [
        task.score(truth, [answer.output for answer in version.answer([e.input for e in turned[1::2]], [{}] * len(truth))])[
            "main"
        ]
        for version in (before, after)
    ]
    assert scores[1] > scores[0] + 0.2


def test_the_gate_judges_the_ranking_and_not_the_chance(task: Ranking) -> None:
    """Counts and scores are of `best`: what chance put on the list neither helps nor harms."""
    truth = {"items": ["0-1", "0-2"], "liked": ["0-2"], "dismissed": ["0-1"]}
    answer = {"items": ["0-1"], "best": ["0-2", "0-3"]}
    assert task.counts(truth, answer) == {"items": (1, 0, 0)}
    assert task.score([truth], [answer])["main"] == 1.0
    assert task.counts(truth, {"items": ["0-1"], "best": ["0-1"]}) == {"items": (0, 1, 1)}


def test_only_what_was_shown_is_judged(task: Ranking) -> None:
    """What nobody was shown is left out: of four shown items two stand first, by the model's order; one it does not rank stands last."""
    shown = ["0-1", "0-2", "0-3", "0-4"]
    truth = {"items": shown, "liked": ["0-3"], "dismissed": ["0-1"], "shown": shown, "ranks": [0, 1, 2, 3], "policy": [0.1, 40]}
    good, bad = ({"items": shown, "best": ["3-0", "3-1", *order]} for order in (["0-3", "0-4", "0-2"], ["0-1", "0-2", "0-3"]))
    assert task.counts(truth, good) == {"items": (1, 0, 0)}
    assert task.counts(truth, bad) == {"items": (0, 1, 1)}
    assert task.score([truth], [good])["main"] == 1.0
    assert task.score([truth], [bad])["main"] == pytest.approx(0.5)  # at the third place: 1 / log2 4
    raised = {**truth, "items": ["0-4", "0-1", "0-2", "0-3"], "liked": [], "dismissed": ["0-1", "0-2", "0-3"]}
    for output in (truth, raised):
        assert task.counts(output, output)["items"][1:] == (0, 0)
        assert task.score([output], [output])["main"] == 1.0


def test_a_broken_version_is_told_in_words(task: Ranking, tmp_path: Path) -> None:
    """A directory that is no version of this task says so."""
    (tmp_path / CONFIG).write_text("[]", encoding="utf-8")
    with pytest.raises(BadInput, match="no version of the task ranking"):
        task.open(tmp_path)


def test_rows_of_files() -> None:
    """In JSONL lists are lists, in tables JSON; without items the list is what was liked and dismissed."""
    kind = task_type("ranking")
    as_json = kind.read(
        {"liked": ["a"], "dismissed": ["b"], "history": [{"item": "c", "did": "liked"}], "text": "x"}, "text", "label"
    )
    as_cells = kind.read(
        {"liked": '["a"]', "dismissed": '["b"]', "history": '[{"item": "c", "did": "liked"}]', "text": "x"}, "text", "label"
    )
    assert as_json == as_cells == (
        {"history": [{"item": "c", "did": "liked"}], "text": "x"},
        {"items": ["a", "b"], "liked": ["a"], "dismissed": ["b"]},
    )  # fmt: skip
    with pytest.raises(BadInput, match="liked"):
        kind.read({"liked": "a; b"}, "text", "label")
    assert kind.renamed({"items": ["a", "b"], "liked": ["a"], "dismissed": []}, {"a": "z"}) == {
        "items": ["z", "b"],
        "liked": ["z"],
        "dismissed": [],
    }
    assert kind.renamed({"items": ["a"], "liked": [], "dismissed": []}, {"a": ""}) is None
