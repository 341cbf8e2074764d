"""The search for wrong labels: what it finds, what it may not learn from, how reviewers are asked, and what their word changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from analysis.replaying import Replayer
from feedback import identity, problems
from feedback.acceptance import Agreement, apply_policy
from feedback.contributors import Contributors
from feedback.demo import Demo
from feedback.desk import Desk
from feedback.erasing import Eraser, NoCards
from feedback.errors import BadInput, Conflict
from feedback.exchange.outgoing import channel_counts
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.records import Answer, Example, Experiment, Json, Variant, Visitor, input_hash
from feedback.review_context import agreement_between_people, answers_to, others_on
from feedback.staff import Staff
from feedback.store import Store
from feedback.training_set import accepted, freeze
from feedback.transfer import check_log
from model import clean_routes
from model.base import DEFAULT_BASE, base_directory
from model.clean import Seen, dealt, judged
from model.clean_commands import as_lines, main
from model.cleaner import Cleaner, clean
from model.data import network_seed
from model.network_task import NetworkTask, network_type
from model.parts import parts_of
from model.suspects import AUTHOR, Examples, Suspect, gather, suggest

FRUIT, TOOL = {"label": "fruit"}, {"label": "tool"}


class Rules:
    """The rules of a task, and a model that always says tool."""

    def __init__(self, task: NetworkTask) -> None:
        self.task = task

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Check by the task."""
        return self.task.check_input(input_), None if output is None else self.task.check_output(input_, output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Say tool."""
        return Answer(TOOL, 0.9)

    def edits(self, shown: Json, output: Json) -> float:
        """Count by the task."""
        return self.task.edits(shown, output)


@pytest.fixture
def task() -> NetworkTask:
    """Fruit or tool."""
    return network_type("text_classification")(("fruit", "tool"))


@pytest.fixture
def shop(store: Store, experiments: Experiments, task: NetworkTask) -> Desk:
    """A desk over the log whose policy believes a single contributor."""
    return Desk(store, Rules(task), experiments, Agreement(1))


def doubted(text: str, part: str = "train", output: Json = FRUIT, proposal: Json = TOOL, correction: str = "") -> Suspect:
    """Return a suspect: the label `output` is doubted in favour of `proposal`."""
    return Suspect(part, Example(text, output, input_hash=input_hash(text), correction_id=correction), 0.1, proposal)


def queued(store: Store) -> list[dict[str, Any]]:
    """Return what the cleaning has said, oldest first."""
    return store.rows("SELECT * FROM current_corrections WHERE contributor = ? ORDER BY created, id", [AUTHOR])


def flipped(demo: Demo, wrong: tuple[int, ...], change: Callable[[dict[str, Any]], None]) -> list[Example]:
    """Return the demo's seed with errors planted in its file."""
    path = demo.resolve(demo.data.train)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number in wrong:
        change(rows[number])
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    _, seed = network_seed(demo)
    by_text = {e.input: e for e in (*seed.train, *seed.validation, *seed.test)}
    return [by_text[row["text"]] for row in rows]


# -- what is found


def test_planted_labels_come_first(text_demo: Demo) -> None:
    """Of 96 texts with 4 wrong labels at least 3 are among the 6 least probable, and the right label is proposed."""
    wrong = (3, 21, 60, 85)

    def other(row: dict[str, Any]) -> None:
        row["label"] = "tool" if row["label"] == "fruit" else "fruit"

    examples = flipped(text_demo, wrong, other)
    task, _ = network_seed(text_demo)
    seen = judged(task, examples, [True] * len(examples), base_directory(DEFAULT_BASE))
    known = {i: one for i, one in enumerate(seen) if one is not None}
    first = sorted(known, key=lambda i: known[i].confidence)[:6]
    assert len(set(first) & set(wrong)) >= 3, first
    assert all(known[i].proposal != examples[i].output for i in set(first) & set(wrong))


def test_planted_spans_come_first(span_demo: Demo) -> None:
    """Of 108 sentences with 4 that lost a span at least 3 are among the 8 least probable; what else was marked is proposed too."""
    wrong = (5, 40, 71, 100)
    examples = flipped(span_demo, wrong, lambda row: row["spans"].pop(0))
    task, _ = network_seed(span_demo)
    seen = judged(task, examples, [True] * len(examples), base_directory(DEFAULT_BASE))
    known = {i: one for i, one in enumerate(seen) if one is not None}
    first = sorted(known, key=lambda i: known[i].confidence)[:8]
    found = set(first) & set(wrong)
    assert len(found) >= 3, first
    for i in found:
        kept = examples[i].output["spans"][0]
        assert kept in known[i].proposal["spans"]


def test_near_duplicates_never_teach_each_other() -> None:
    """They fall in one fold; equal keys are spread over all folds."""
    texts = [
        f"{word} is a thing that i have never seen{end}"
        for word in ("wombat", "teapot", "glacier", "violin")
        for end in ("", "!")
    ]
    texts += [f"{a} {b} entirely different words" for a in ("north", "south", "purple") for b in ("hammer", "feather", "cloud")]
    keys = ["a", "b"] * (len(texts) // 2) + ["a"] * (len(texts) % 2)
    fold = dealt(texts, keys, 3)
    assert all(fold[i] == fold[i + 1] for i in range(0, 8, 2))
    assert set(fold) == {0, 1, 2}


def test_a_label_that_occurs_once_is_not_judged(text_demo: Demo, tiny_base: Path) -> None:
    """No model without it can know it."""
    task = network_type("text_classification")(("fruit", "tool", "lone"))
    _, seed = network_seed(text_demo)
    examples = [
        *seed.train,
        Example("whatever could this be", {"label": "lone"}, input_hash=input_hash("whatever could this be")),
    ]
    seen = judged(task, examples, [True] * len(examples), str(tiny_base))
    assert seen[-1] is None
    assert sum(one is None for one in seen) == 1


def test_what_only_judges_teaches_nothing(text_demo: Demo, tiny_base: Path) -> None:
    """Wrong labels among examples that are not learned from leave every other confidence as it was."""
    task, seed = network_seed(text_demo)
    learns = [True] * len(seed.train) + [False] * len(seed.test)
    before = judged(task, [*seed.train, *seed.test], learns, str(tiny_base))
    spoilt = [replace(e, output=TOOL if e.output == FRUIT else FRUIT) for e in seed.test]
    after = judged(task, [*seed.train, *spoilt], learns, str(tiny_base))
    cut = len(seed.train)
    assert after[:cut] == before[:cut]
    assert all(
        one and two and one.confidence == pytest.approx(1 - two.confidence)
        for one, two in zip(before[cut:], after[cut:], strict=True)
    )


def test_too_little_to_learn_from_is_said(task: NetworkTask, tiny_base: Path) -> None:
    """The message names how many examples there are and how many are needed."""
    few = [Example(f"word{chr(97 + i)} entirely alone {i}", FRUIT, input_hash=str(i)) for i in range(4)]
    with pytest.raises(BadInput, match=r"4 examples .* at least 10"):
        judged(task, few, [True] * 4, str(tiny_base))


# -- how reviewers are asked


def test_a_suspect_waits_for_a_person(store: Store, task: NetworkTask, shop: Desk) -> None:
    """It is in the queue with the label as it stands and the proposal, says where it comes from, and no policy accepts it."""
    suggest(store, task, [doubted("an apple a day")], 10)
    (item,) = shop.queue()
    assert (item.input, item.shown, item.proposed, item.confidence) == ("an apple a day", FRUIT, TOOL, 0.1)
    assert item.cleaning
    assert item.reasons[-1] == "cleaning"
    assert not {"unsure", "correction"} & set(item.reasons)
    assert apply_policy(store, Agreement(1), input_hash("an apple a day"), '"an apple a day"') == []
    assert shop.status(item.id) == "pending"
    assert check_log(store) == []


def test_the_cleaning_is_no_person_and_no_metric(store: Store, task: NetworkTask, shop: Desk, experiments: Experiments) -> None:
    """It is none of the contributors, agrees with nobody, is no version's answer, and neither rollup nor replay counts it."""
    ann = Visitor("u_ann")
    mine, _ = shop.correct(ann, shop.predict(ann, "an apple a day").id, TOOL)
    shop.review("sue", mine.id, "reject")
    shop.review("sue", mine.id, "accept")
    suggest(store, task, [doubted("an apple a day"), doubted("a pear a day")], 10)
    for row in queued(store):
        shop.review("sue", row["id"], "accept")
    assert [one.contributor for one in Contributors(store).everybody()[0]] == ["u_ann"]
    assert agreement_between_people(store) == []
    assert others_on(store, mine.id, "sue").said == []
    assert [answer.version for answer in answers_to(store, mine.id)] == [1]
    assert {counts.channel: counts.visitors for counts in channel_counts(store)} == {"": 1, "cleaning": 0}
    assert store.rows("SELECT sum(predictions) AS n FROM user_days")[0]["n"] == 1
    experiment = Experiment("e", 1, "running", (Variant("champion", 1, 0.5), Variant("other", 2, 0.5)))
    asked: list[Json] = []

    def answers(version: int, inputs: Any, settings: Mapping[str, float]) -> list[Json]:
        asked.extend(inputs)
        return [TOOL for _ in inputs]

    Replayer(store.frame, answers, task.edits).replay(experiment)
    assert set(asked) == {"an apple a day"}


def test_nothing_is_suggested_twice(store: Store, task: NetworkTask, shop: Desk) -> None:
    """While it waits; after it was rejected, the same proposal; after it was accepted, the label that was replaced."""
    assert len(suggest(store, task, [doubted("an apple"), doubted("a pear")], 10).corrections) == 2
    assert suggest(store, task, [doubted("an apple"), doubted("a pear")], 10) == ({}, 2)
    apple, pear = queued(store)
    shop.review("sue", apple["id"], "reject")
    shop.review("sue", pear["id"], "accept")
    back = doubted("a pear", "feedback", TOOL, FRUIT, pear["id"])
    assert suggest(store, task, [doubted("an apple"), back], 10) == ({}, 2)
    assert len(queued(store)) == 2


def test_only_what_can_be_trained_on_is_asked_about(store: Store, task: NetworkTask) -> None:
    """The seed's validation and test parts are listed only; the limit holds for the rest, least probable first."""
    found = [doubted("one", "validation"), doubted("two", "test"), doubted("three"), doubted("four"), doubted("five")]
    done = suggest(store, task, found, 2)
    assert sorted(done.corrections) == [2, 3]
    assert {json.loads(row["input"]) for row in queued(store)} == {"three", "four"}


def test_what_is_accepted_no_more_is_not_asked_about(store: Store, task: NetworkTask) -> None:
    """A correction that was withdrawn or erased while the search ran brings no suspect."""
    assert suggest(store, task, [doubted("gone", "feedback", correction="c_gone")], 10) == ({}, 0)
    assert queued(store) == []


def test_who_erases_their_text_erases_the_suspect(tmp_path: Path, store: Store, task: NetworkTask, shop: Desk) -> None:
    """A suspect on a contributor's accepted correction repeats their words, and goes with them; one on the seed stays."""
    ann = Visitor("u_ann")
    mine, _ = shop.correct(ann, shop.predict(ann, "my secret apple").id, FRUIT)
    shop.review("sue", mine.id, "accept")
    suggest(store, task, [doubted("my secret apple", "feedback", correction=mine.id), doubted("an apple of the seed")], 10)
    Eraser(Home(tmp_path / "home"), store, NoCards(), lambda hash_, text: None).erase("u_ann")
    assert [json.loads(row["input"]) for row in queued(store)] == ["an apple of the seed"]
    assert store.rows("SELECT id FROM predictions WHERE contains(input::VARCHAR, 'secret')") == []


# -- what a reviewer's word changes


@pytest.mark.parametrize(
    ("verdict", "output", "learned"), [("accept", None, TOOL), ("amend", {"label": "third"}, {"label": "third"})]
)
def test_an_accepted_suspect_is_trained_on_instead(
    tmp_path: Path, store: Store, experiments: Experiments, text_demo: Demo, verdict: str, output: Json, learned: Json
) -> None:
    """The seed's label is learned until then; afterwards the proposal is, or the answer that the reviewer gave instead."""
    demo = text_demo.model_copy(update={"labels": ("fruit", "tool", "third")})
    task, seed = network_seed(demo)
    desk = Desk(store, Rules(task), experiments, Agreement(2))
    usable = [e for e in seed.train if int(e.input_hash[8:16], 16) / 2**32 >= 0.1]  # not among those that choose how far to go
    wrong = next(e for e in usable if e.output == FRUIT)
    suggest(store, task, [Suspect("train", wrong, 0.1, TOOL)], 1)
    trained = [e.output for e in gather(demo, store).parts["train"] if e.input == wrong.input]
    assert trained == [FRUIT]  # a suspect that waits changes nothing
    (item,) = desk.queue()
    desk.review("sue", item.id, verdict, output)
    parts = parts_of(task, seed, freeze(accepted(store), tmp_path / "snapshots"))
    assert [e.output for e in parts.train if e.input_hash == wrong.input_hash] == [learned]
    assert wrong.input_hash not in {e.input_hash for e in gather(demo, store).parts["train"]}
    assert [e.output for e in gather(demo, store).parts["feedback"]] == [learned]


def test_a_rejected_suspect_leaves_the_seed_as_it_is(store: Store, shop: Desk, text_demo: Demo) -> None:
    """The label as it stands was right."""
    task, seed = network_seed(text_demo)
    suggest(store, task, [Suspect("train", seed.train[0], 0.1, TOOL)], 1)
    (item,) = shop.queue()
    shop.review("sue", item.id, "reject")
    assert accepted(store) == []
    assert seed.train[0] in gather(text_demo, store).parts["train"]


# -- the whole act


def everything_is_a_tool(demo: Demo, parts: Examples) -> dict[str, list[Seen | None]]:
    """Contradict every fruit."""
    return {name: [Seen(0.1, TOOL) for _ in some] for name, some in parts.items()}


def test_a_result_is_told_in_words_without_those_of_contributors(store: Store, shop: Desk, text_demo: Demo) -> None:
    """Suspects of validation and test are marked as not trained on; an accepted correction is named by its id alone."""
    ann = Visitor("u_ann")
    mine, _ = shop.correct(ann, shop.predict(ann, "my secret apple").id, FRUIT)
    shop.review("sue", mine.id, "accept")
    result = clean(text_demo, store, 200, False, everything_is_a_tool)
    by_part = {one["part"]: one for one in result["suspects"]}
    assert set(by_part) - {"gate"} <= {"train", "feedback", "validation", "test"}
    assert not by_part["test"]["trained_on"]
    assert not by_part["test"]["suggested"]
    assert by_part["train"]["suggested"]
    assert result["suggested"] == len(queued(store)) > 0
    (own,) = [one for one in result["suspects"] if one["correction_id"]]
    assert (own["correction_id"], own["input"]) == (mine.id, "")
    assert "secret" not in json.dumps(result)
    words = as_lines(result)
    assert "not trained on: correct it in its file" in words
    assert f"accepted correction {mine.id}" in words


def test_a_dry_run_stores_nothing(store: Store, text_demo: Demo) -> None:
    """It finds the same."""
    result = clean(text_demo, store, 50, True, everything_is_a_tool)
    assert result["contradicted"] > 0
    assert queued(store) == []


def test_doubled_texts_are_part_of_the_result(store: Store, text_demo: Demo) -> None:
    """Also those that the loading of the data drops without a word."""
    path = text_demo.resolve(text_demo.data.train)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[0]]), encoding="utf-8")
    assert clean(text_demo, store, 1, True, everything_is_a_tool)["overlap"]["exact"] >= 1


def test_the_command_does_it_where_no_app_runs(tmp_path: Path, text_demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    """It judges the seed, lays suspects before the reviewers and says so; a bad limit is refused in words."""
    flipped(text_demo, (3, 21, 60, 85), lambda row: row.update(label="tool" if row["label"] == "fruit" else "fruit"))
    place = ["--demo", str(text_demo.path), "--home", str(tmp_path / "shop")]
    assert main([*place, "--limit", "2"]) == 0
    with Store(tmp_path / "shop") as store:
        assert len(queued(store)) == 2
    assert "2 wait for the reviewers" in capsys.readouterr().out
    assert main([*place, "--limit", "0"]) == 1
    assert "--limit 0: it must lie in 1..10000" in capsys.readouterr().err


def test_the_app_cleans_in_the_background_one_at_a_time(tmp_path: Path, store: Store, text_demo: Demo) -> None:
    """Staff begin it, a second one is refused while it runs, and the result is there at its end. Visitors are refused."""
    home = Home(tmp_path / "home")
    staff, app = Staff(home), FastAPI()
    problems.install(app)
    identity.install(app, home=home, staff=staff, demo=text_demo)
    cleaner = Cleaner(text_demo, store)
    app.include_router(clean_routes.router(cleaner))
    with TestClient(app, client=("127.0.0.1", 5000)) as client:
        assert client.post("/api/v1/cleaning", json={}).status_code == 401
        client.headers["Authorization"] = f"Bearer {staff.owner_token()}"
        assert client.get("/api/v1/cleaning").json()["state"] == "never"
        begun = client.post("/api/v1/cleaning", json={"limit": 2})
        assert (begun.status_code, begun.json()["state"]) == (202, "running")
        assert client.post("/api/v1/cleaning", json={}).status_code == 409
        assert cleaner.wait(300).error == ""
        state = client.get("/api/v1/cleaning").json()
        assert (state["state"], state["author"]) == ("done", "owner")
        assert state["result"]["suggested"] == len(queued(store)) <= 2


def test_closing_ends_a_cleaning_and_stores_nothing(store: Store, text_demo: Demo) -> None:
    """The app can stop while one runs, and none begins after."""
    cleaner = Cleaner(text_demo, store)
    cleaner.start("sue", 50, False)
    cleaner.close()
    assert cleaner.state().state == "cancelled"
    assert queued(store) == []
    with pytest.raises(Conflict):
        cleaner.start("sue", 50, False)


def test_a_search_that_fails_says_why(store: Store, make_demo: Callable[..., Demo]) -> None:
    """The process's last word is the error; the next cleaning may begin."""
    demo = make_demo("text_classification", [{"text": f"word {chr(97 + i) * 9} alone", "label": "fruit"} for i in range(8)])
    cleaner = Cleaner(demo, store)
    cleaner.start("sue", 50, False)
    state = cleaner.wait(300)
    assert state.state == "failed"
    assert "at least 10 are needed" in state.error or "two different labels" in state.error
