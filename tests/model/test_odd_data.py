"""What a training is given: nothing new, one label, endless texts, labels that the demo has no more. Words, or a whole version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feedback.acceptance import Agreement
from feedback.demo import Demo, load_demo
from feedback.desk import Desk
from feedback.errors import BadDemo, BadInput, TooLarge
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.records import Answer, Example, Visitor, input_hash
from feedback.store import Store
from feedback.training_set import accepted, freeze, read_snapshot
from feedback.words import Words
from model.answering import open_network
from model.data import network_seed
from model.gate import Slice, run_gate
from model.house import open_house
from model.job import Job
from model.making import run_job
from model.network_task import NetworkTask, network_type
from model.paired import paired_counts
from model.progress import Progress
from model.serve import Predictor
from model.versions import Versions
from tests.conftest import ROOT
from tests.model.conftest import FRUITS
from tests.model.test_recipe import again
from tests.serving import ASKED, small_demo

QUIET = Progress(None)
ANN = Visitor("u_ann")

# -- nothing to learn, one label


def test_a_retraining_without_anything_new_is_refused(text_demo: Demo, tmp_path: Path) -> None:
    """Every accepted item is a text of the seed's held-out parts, or of a label that left: words and figures, no directory."""
    run_job(Job(str(text_demo.path), str(tmp_path / "v1")), text_demo, QUIET)

    _, seed = network_seed(text_demo)
    held = [replace(e, correction_id=f"c{i}") for i, e in enumerate((*seed.test, *seed.validation))]
    gone = [Example(f"old {i}", {"label": "left"}, 1, f"g{i}", "u", input_hash(f"old {i}")) for i in range(5)]
    (tmp_path / "snapshots").mkdir()
    snapshot = tmp_path / "snapshots" / freeze([*held, *gone], tmp_path / "snapshots").id
    for more in ({}, {"from_base": True}):
        with pytest.raises(BadInput, match=f"no accepted item is left to learn from: {len(held) + 5} are left out"):
            run_job(again(text_demo, tmp_path, "v2", snapshot, **more), text_demo, QUIET)
    assert not list(tmp_path.glob("*v2*"))


@pytest.mark.parametrize("method", ["full", "top", "head"])
@pytest.mark.parametrize("task", ["text_classification", "token_classification"])
def test_a_seed_of_one_label(make_demo: Callable[..., Demo], tmp_path: Path, task: str, method: str) -> None:
    """Of two labels the seed shows one: it is learned and always said; a head needs two, says so, and leaves nothing."""
    rows: list[dict[str, Any]] = [{"text": f"buy {i} {word}", "label": "fruit"} for i in range(6) for word in FRUITS]
    if task == "token_classification":
        rows = [{"text": row["text"], "spans": [_span(row["text"], row["text"].split()[-1], "fruit")]} for row in rows]
    demo = make_demo(task, rows)
    job = Job(str(demo.path), str(tmp_path / "v"), method=method)
    if method == "head" and task == "text_classification":
        with pytest.raises(BadDemo, match="at least two different labels"):
            run_job(job, demo, QUIET)
        assert not list(tmp_path.glob("*v"))
        return
    assert run_job(job, demo, QUIET).verdict == "first"
    (answer,) = open_network(tmp_path / "v").answer(["buy 99 plum"], [{}])
    said = [answer.output] if "label" in answer.output else answer.output["spans"]
    assert {one["label"] for one in said} <= {"fruit"}


@pytest.mark.parametrize("method", ["full", "top", "head"])
@pytest.mark.parametrize("kind", ["text", "span"])
def test_feedback_of_one_label(kind: str, method: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """All that was accepted says the same: with the seed replayed each method learns it, and the gate judges both labels."""
    demo: Demo = request.getfixturevalue(f"{kind}_demo")
    run_job(Job(str(demo.path), str(tmp_path / "v1")), demo, QUIET)
    texts = [f"message {i} about the quince" for i in range(60)]
    examples = [
        Example(text, {"label": "fruit"} if kind == "text" else {"spans": [_span(text, "quince", "fruit")]}, 1, f"c{i}", "u", input_hash(text))
        for i, text in enumerate(texts)
    ]  # fmt: skip
    (tmp_path / "snapshots").mkdir()
    snapshot = tmp_path / "snapshots" / freeze(examples, tmp_path / "snapshots").id
    card = run_job(again(demo, tmp_path, "v2", snapshot, method=method), demo, QUIET)
    assert card.gate is not None
    assert {"class:fruit", "class:tool"} <= {check["name"] for check in card.gate["checks"]}


def _span(text: str, word: str, label: str) -> dict[str, Any]:
    start = text.rindex(word)
    return {"start": start, "end": start + len(word), "label": label}


# -- endless texts

LONG = ("the saw meets an apple and goes on to the next. " * 220)[:9_993] + " quince"


@pytest.mark.parametrize("kind", ["text", "span"])
def test_ten_thousand_characters_from_the_question_to_the_gate(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Above max_chars refused with both numbers; below it answered, corrected at its very end, learned in windows, and judged."""
    demo: Demo = request.getfixturevalue(f"{kind}_demo")
    assert len(LONG) == 10_000
    home = Home(tmp_path / "home")
    run_job(Job(str(demo.path), str(home.runs / "v1")), demo, QUIET)
    versions = Versions(home.directory)
    versions.adopt(home.runs / "v1")
    short, roomy = (network_type(demo.task)(demo.labels, limit) for limit in (2_000, 20_000))
    with Store(home.directory) as store:
        experiments = Experiments(store)
        experiments.begin(1, "test")
        with pytest.raises(TooLarge, match="10000 characters: at most 2000"):
            _desk(store, versions, experiments, short).predict(ANN, LONG)
        desk = _desk(store, versions, experiments, roomy)
        for number in range(20):
            text = f"{number} " + LONG[len(f"{number} ") :]
            shown = desk.predict(ANN, text)
            roomy.check_output(text, shown.output)
            right: dict[str, Any] = {"label": "fruit"} if kind == "text" else {"spans": [_span(text, "quince", "fruit")]}
            made, _ = desk.correct(ANN, shown.id, right)
            desk.review("sue", made.id, "accept")
        snapshot = home.snapshots / freeze(accepted(store), home.snapshots).id
    frozen = read_snapshot(snapshot)
    assert frozen.train
    assert frozen.gate
    first = str(versions.path(1))
    job = Job(
        str(demo.path), str(tmp_path / "v2"), kind="retrain", number=2, parent=first, parent_version=1, champion=first,
        champion_version=1, snapshot=str(snapshot),
    )  # fmt: skip
    card = run_job(job, demo, QUIET)
    assert card.gate is not None
    assert card.gate["scores"]["feedback"]["items"] == len(frozen.gate)
    windows = len(roomy.encode(open_network(tmp_path / "v2").model.tokenizer, frozen.train[:1]))
    assert windows > 3
    assert card.training["tokens"] > 10_000 / 5


def _desk(store: Store, versions: Versions, experiments: Experiments, task: NetworkTask) -> Desk:
    return Desk(store, Predictor(versions, task=task), experiments, Agreement(2))


# -- labels that left


@pytest.mark.parametrize(
    ("name", "truth", "gone", "kept"),
    [
        ("text_classification", [{"label": "a"}, {"label": "b"}], {"label": "left"}, [{"label": "a"}, {"label": "b"}]),
        (
            "token_classification",
            [{"spans": [{"start": 0, "end": 1, "label": "a"}]}, {"spans": [{"start": 2, "end": 3, "label": "b"}]}],
            {"spans": [{"start": 0, "end": 1, "label": "left"}, {"start": 2, "end": 3, "label": "b"}]},
            [{"spans": [{"start": 0, "end": 1, "label": "a"}]}, {"spans": [{"start": 2, "end": 3, "label": "b"}]}],
        ),
    ],
)
def test_an_answer_with_a_label_that_left_is_wrong(name: str, truth: list[Any], gone: Any, kept: list[Any]) -> None:
    """Score, paired counts and gate: by hand. For labels 1 right, 1 wrong; for spans 1 found, 1 missed and 1 too many (F1 .5)."""
    task = network_type(name)(("a", "b"))
    champion, candidate = [gone, truth[1]] if name == "text_classification" else [gone, kept[1]], kept
    if name == "token_classification":
        champion = [gone, {"spans": []}]
        truth = [{"spans": [*truth[0]["spans"], *truth[1]["spans"]]}, {"spans": []}]
        candidate = truth
    assert task.score(truth, champion)["main"] == 0.5
    pairs = paired_counts(task, truth, champion, candidate)
    assert pairs.champion.sum(axis=0).tolist() == [1, 1, 1]
    assert pairs.difference() == 0.5
    assert pairs.labels == ("a", "b")
    assert pairs.one_answer == (name == "text_classification")
    examples = [Example(f"text {i}", one, input_hash=f"{i}") for i, one in enumerate(truth * 20)]
    before, after = ([Answer(output, 0.9) for output in side * 20] for side in (champion, candidate))
    result = run_gate(task, Slice(examples, before, after), Slice(examples, before, after))
    assert {check.name: check.verdict for check in result.checks if not check.name.startswith("class:")} == {
        "old_domain": "pass", "feedback": "pass", "sentences": "pass", "worse_share": "pass", "calibration": "pass",
    }  # fmt: skip
    assert [check.name for check in result.checks if check.name.startswith("class:")] == ["class:a", "class:b"]
    assert np.isclose(result.scores["old"]["champion"], 0.5)


def test_a_label_leaves_while_the_champion_still_answers_it(tmp_path: Path, tiny_base: Path) -> None:
    """Through the app: it is shown, cannot be confirmed, can be corrected; what was accepted with it is left out, and the next
    candidate, from that champion, is gated and knows it no more."""
    extra = f'base = "{tiny_base}"\nlabels = '
    words = Words([ROOT / "feedback" / "words.toml", ROOT / "model" / "words.toml", ROOT / "analysis" / "words.toml"])
    file = small_demo(tmp_path, extra=extra + '["refund", "track", "praise"]')
    text = ASKED["praise"].format("lamp")
    house = open_house(load_demo(file), Home(tmp_path / "home"), words)
    try:
        assert house.predictor.predict(1, text, {}).output == {"label": "praise"}
        for number in range(5):
            shown = house.desk.predict(ANN, f"{text} again and again {number}")
            made, _ = house.desk.correct(ANN, shown.id, {"label": "praise"})
            house.desk.review("sue", made.id, "accept")
    finally:
        house.close()

    small_demo(tmp_path, extra=extra + '["refund", "track"]')
    data = tmp_path / "small.jsonl"
    data.write_text("\n".join(line for line in data.read_text().splitlines() if '"praise"' not in line))
    house = open_house(load_demo(file), Home(tmp_path / "home"), words)
    try:
        for number in range(40):
            shown = house.desk.predict(ANN, f"{text} and its order has the number {number}")
            made, _ = house.desk.correct(ANN, shown.id, {"label": "refund"})
            house.desk.review("sue", made.id, "accept")
        shown = house.desk.predict(ANN, text)
        assert shown.output == {"label": "praise"}
        with pytest.raises(BadInput, match="unknown label 'praise': labels are refund, track"):
            house.desk.correct(ANN, shown.id, {"label": "praise"})
        house.retrainer.start("button", "sue")
        house.retrainer.wait(240)
        (run,) = house.retrainer.rounds.all()
        assert run["version"] == 2, run["detail"]
        card = house.versions.card(2)
        assert (card.labels, card.parent, card.training["left_out"]) == (("refund", "track"), 1, 5)
        assert card.gate is not None
        assert card.gate["scores"]["feedback"]["champion"] == 0
        assert house.predictor.predict(2, text, {}).output["label"] in card.labels
        house.retrainer.regate(2, "sue")
        house.retrainer.wait(120)
        assert house.retrainer.rounds.all()[0]["state"] in ("passed", "refused", "undecided")
    finally:
        house.close()
