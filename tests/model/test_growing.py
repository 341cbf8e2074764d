"""A demo gains a label after versions exist: served, corrected, retrained, gated and answered, from the old champion on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from feedback.demo import Demo, load_demo
from feedback.errors import BadInput
from feedback.home import Home
from feedback.records import Example, Visitor, input_hash
from feedback.training_set import freeze
from feedback.words import Words
from model.answering import open_network
from model.card import read_card
from model.house import open_house
from model.job import Job
from model.making import run_job
from model.progress import Progress
from tests.conftest import ROOT
from tests.serving import ASKED, THINGS, small_demo

QUIET = Progress(None)
WORDS = [ROOT / "feedback" / "words.toml", ROOT / "model" / "words.toml", ROOT / "analysis" / "words.toml"]
BROKEN = "The {} arrived broken into pieces"
ANN = Visitor("u_ann")


def _labels(names: tuple[str, ...]) -> str:
    return f"labels = {json.dumps(list(names))}"


@pytest.mark.parametrize("named", [True, False], ids=["labels in the TOML", "labels from the data"])
def test_a_new_label_lives_through_the_app(tmp_path: Path, named: bool) -> None:
    """The old champion serves three labels, a correction with the fourth is taken and trained on, and the candidate says it."""
    file = small_demo(tmp_path, extra=_labels(tuple(ASKED)) if named else "")
    words = Words(WORDS)
    house = open_house(load_demo(file), Home(tmp_path / "home"), words)
    try:
        shown = house.desk.predict(ANN, BROKEN.format("lamp"))
        with pytest.raises(BadInput, match="unknown label 'broken'"):
            house.desk.correct(ANN, shown.id, {"label": "broken"})
    finally:
        house.close()

    if named:
        small_demo(tmp_path, extra=_labels((*ASKED, "broken")))
    else:  # one example in the file is enough to name it
        with (tmp_path / "small.jsonl").open("a", encoding="utf-8") as data:
            data.write(json.dumps({"text": "It was broken when I opened the box", "label": "broken"}) + "\n")
    house = open_house(load_demo(file), Home(tmp_path / "home"), words)
    try:
        assert "broken" in house.predictor.task.labels
        for number in range(40):
            shown = house.desk.predict(ANN, BROKEN.format(f"{THINGS[number % len(THINGS)]} of order {number}"))
            assert shown.output["label"] in ASKED  # the champion knows no other
            made, _ = house.desk.correct(ANN, shown.id, {"label": "broken"})
            house.desk.review("sue", made.id, "accept")
        house.retrainer.start("button", "sue")
        house.retrainer.wait(240)
        run = house.retrainer.rounds.all(1)[0]
        assert run["version"] == 2, run["detail"]
        old, new = house.versions.card(1), house.versions.card(2)
        assert set(old.labels) == set(ASKED)
        assert set(new.labels) == {*ASKED, "broken"}
        assert new.gate is not None
        assert new.gate["scores"]["feedback"]["champion"] == 0
        assert new.gate["scores"]["feedback"]["candidate"] > 0.5
        text = BROKEN.format("umbrella")
        assert house.predictor.predict(2, text, {}).output == {"label": "broken"}
        assert house.predictor.predict(1, text, {}).output["label"] in ASKED
    finally:
        house.close()


@pytest.mark.parametrize("method", ["full", "top", "lora", "prompt", "head"])
def test_every_method_grows_the_output_layer(text_demo: Demo, tmp_path: Path, method: str) -> None:
    """From two labels to three with each method: card, config and layer agree, the gate compares, both sides answer."""
    if method in ("lora", "prompt"):
        pytest.importorskip("peft")
    run_job(Job(str(text_demo.path), str(tmp_path / "v1")), text_demo, QUIET)
    wider = text_demo.model_copy(update={"labels": ("fruit", "other", "tool")})  # in the middle: rows must be moved, not appended
    texts = [f"number {i} about the river" for i in range(60)]
    new = [Example(text, {"label": "other"}, 0.9, f"c{i}", f"u{i % 3}", input_hash(text)) for i, text in enumerate(texts)]
    (tmp_path / "snapshots").mkdir()
    snapshot = tmp_path / "snapshots" / freeze(new, tmp_path / "snapshots").id
    job = Job(
        str(wider.path), str(tmp_path / "v2"), method=method, kind="retrain", number=2, parent=str(tmp_path / "v1"),
        parent_version=1, champion=str(tmp_path / "v1"), champion_version=1, snapshot=str(snapshot),
    )  # fmt: skip
    card = run_job(job, wider, QUIET)
    assert card.labels == ("fruit", "other", "tool")
    assert read_card(tmp_path / "v1").labels == ("fruit", "tool")
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "v2")
    assert network.config.id2label == {0: "fruit", 1: "other", 2: "tool"}
    assert network.classifier.weight.shape[0] == 3
    assert card.gate is not None
    checks = {check["name"]: check for check in card.gate["checks"]}
    assert {"class:fruit", "class:tool", "class:other"} <= set(checks)
    assert checks["class:other"]["verdict"] == "shown"  # none of it in the old domain: not judged, and said
    (answer,) = open_network(tmp_path / "v1").answer(["one river"], [{}])
    assert answer.output["label"] in ("fruit", "tool")
    assert open_network(tmp_path / "v2").answer(["one river"], [{}])


def test_a_new_kind_of_span_grows_two_rows(span_demo: Demo, tmp_path: Path) -> None:
    """Spans: B- and I- of the new label are added in their places, the others keep their weights as the start."""
    run_job(Job(str(span_demo.path), str(tmp_path / "v1")), span_demo, QUIET)
    wider = span_demo.model_copy(update={"labels": ("fruit", "place", "tool")})
    made: list[Any] = []
    for i in range(60):
        text = f"message {i} from Rome"
        spans = [{"start": len(text) - 4, "end": len(text), "label": "place"}]
        made.append(Example(text, {"spans": spans}, 0.9, f"c{i}", f"u{i % 3}", input_hash(text)))
    (tmp_path / "snapshots").mkdir()
    snapshot = tmp_path / "snapshots" / freeze(made, tmp_path / "snapshots").id
    job = Job(
        str(wider.path), str(tmp_path / "v2"), kind="retrain", number=2, parent=str(tmp_path / "v1"), parent_version=1,
        champion=str(tmp_path / "v1"), champion_version=1, snapshot=str(snapshot),
    )  # fmt: skip
    card = run_job(job, wider, QUIET)
    assert card.labels == ("fruit", "place", "tool")
    assert card.gate is not None
    assert card.gate["scores"]["feedback"]["candidate"] >= card.gate["scores"]["feedback"]["champion"] == 0
    network = open_network(tmp_path / "v2").model.network
    assert list(network.config.id2label.values()) == ["O", "B-fruit", "I-fruit", "B-place", "I-place", "B-tool", "I-tool"]
    assert torch.isfinite(network.classifier.weight).all()
