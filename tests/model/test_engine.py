"""What computes logits: the lean pass gives what transformers gives, versions share what they have in common, int8 must not drift."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from feedback.demo import Demo
from feedback.errors import Busy
from feedback.records import Example
from model import quantised
from model.answering import Answerer, open_checkpoint, open_network
from model.base import load_model
from model.card import read_card
from model.data import network_seed
from model.engine import PackedEngine, PlainEngine, engine_of
from model.job import Job
from model.making import run_job
from model.network_task import network_task
from model.progress import Progress
from model.quantised import LEAST_ITEMS, OnnxEngine, Quantised
from model.serve import Predictor
from model.versions import Versions

TEXTS = ["buy one apple", "a saw and a hammer, please", "x", "pear " * 300, "the drill meets a plum, and the wrench hits a melon"]


def made(demo: Demo, home: Path, *, seed: int = 1, method: str = "full", epochs: int = 1) -> Versions:
    """Train a version of the demo into the home."""
    changed = demo.model_copy(update={"training": demo.training.model_copy(update={"seed": seed, "epochs": epochs})})
    versions = Versions(home)
    run_job(Job(str(demo.path), str(home / "made"), number=9, method=method), changed, Progress(None))
    versions.adopt(home / "made")
    return versions


@pytest.mark.parametrize("kind", ["text_demo", "span_demo"])
def test_the_lean_engine_gives_what_transformers_gives(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Same weights in fp32, texts of one token to several windows, alone and together: logits equal to 1e-4."""
    versions = made(request.getfixturevalue(kind), tmp_path)
    task = network_task(versions.card(1).bound_task(), "this")
    lean = open_checkpoint(task, versions.path(1), dtype=torch.float32)
    plain = Answerer(task, load_model(task, str(versions.path(1))))
    assert isinstance(lean.engine, PackedEngine)
    assert isinstance(plain.engine, PlainEngine)
    for batch in (TEXTS, *([text] for text in TEXTS)):
        for ours, theirs in zip(lean.logits(batch)[1], plain.logits(batch)[1], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_an_unknown_network_is_computed_plainly(text_demo: Demo, tmp_path: Path) -> None:
    """A network that is not built like BERT takes transformers' own pass."""
    versions = made(text_demo, tmp_path)
    task = network_task(versions.card(1).bound_task(), "this")
    model = load_model(task, str(versions.path(1)))
    model.network.config.is_decoder = True
    assert isinstance(engine_of(model.network, 0), PlainEngine)


def test_versions_share_the_weights_they_have_in_common(text_demo: Demo, tmp_path: Path) -> None:
    """Two versions whose encoders are equal keep them in memory once, answer as before, and outlive each other."""
    versions = made(text_demo, tmp_path, method="head", seed=1)
    shutil.copytree(versions.path(1), tmp_path / "copy")
    task = network_task(versions.card(1).bound_task(), "this")
    one, two, other = (open_checkpoint(task, versions.path(1), dtype=torch.float32) for _ in range(3))
    with torch.no_grad():
        two.model.network.classifier.bias += 1.0
        layer = other.model.network.bert.encoder.layer[0].attention.output.dense
        layer.weight += 0.1
    before = [two.logits(TEXTS)[1], other.logits(TEXTS)[1]]
    size = sum(p.numel() * p.element_size() for p in one.model.network.parameters())
    assert isinstance(one.engine, PackedEngine)
    assert isinstance(two.engine, PackedEngine)
    assert isinstance(other.engine, PackedEngine)
    saved = two.engine.share(one.engine)
    assert size - saved == two.model.network.classifier.bias.numel() * 4
    assert two.engine.share(one.engine) == 0  # shared already
    assert other.engine.share(one.engine) == size - layer.weight.numel() * 4
    query = "bert.encoder.layer.1.attention.self.query.weight"
    weights = [dict(a.model.network.named_parameters())[query] for a in (one, two)]
    assert weights[0].data_ptr() == weights[1].data_ptr()
    del one
    for answerer, expected in zip((two, other), before, strict=True):
        for ours, theirs in zip(answerer.logits(TEXTS)[1], expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_predictor_says_what_it_shares_and_computes_with(text_demo: Demo, tmp_path: Path) -> None:
    """A second version with the first one's encoder costs only what differs."""
    versions = made(text_demo, tmp_path, method="head", seed=1)
    made(text_demo, tmp_path, method="head", seed=1, epochs=2)
    predictor = Predictor(versions)
    predictor.warm(1)
    assert predictor.shared_bytes == 0
    predictor.warm(2)
    size = 1e6 * predictor._answerer(1).megabytes()
    assert predictor.shared_bytes > 0.9 * size
    assert set(predictor.engines()) == {1, 2}
    assert all(name.startswith("torch ") for name in predictor.engines().values())
    predictor.close()


# -- never a hang


def test_who_waited_too_long_is_told_when_to_come_again(text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the model held up, waiting requests end as Busy within their patience; once it goes on, new ones are answered."""
    predictor = Predictor(made(text_demo, tmp_path), patience=0.3, threads=1)
    predictor.warm(1)
    answerer, held = predictor._answerer(1), threading.Event()
    real = answerer.answer

    def slow(*args: object) -> object:
        held.wait(20)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(answerer, "answer", slow)
    began = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(predictor.predict, 1, "one apple", {}) for _ in range(6)]
        errors = [request.exception(10) for request in asked]
    assert time.monotonic() - began < 5
    assert all(isinstance(error, Busy) and 1 <= error.retry_after <= 30 for error in errors)
    assert predictor.refused == 6
    held.set()
    monkeypatch.undo()
    deadline = time.monotonic() + 10
    while predictor.waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    assert predictor.predict(1, "one apple", {}).confidence > 0
    predictor.close()


# -- int8


def items_of(demo: Demo) -> Sequence[Example]:
    """Return examples with known answers, more than LEAST_ITEMS."""
    return network_seed(demo)[1].train


@pytest.mark.parametrize("kind", ["text_demo", "span_demo"])
def test_int8_answers_and_is_made_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The int8 form answers within the drift, its name says so, and a second opening reads what is there."""
    demo = request.getfixturevalue(kind)
    versions = made(demo, tmp_path, epochs=12)
    monkeypatch.setattr(quantised, "MOST_DRIFT", 100.0)  # tiny random networks are no measure of the rule itself
    opened = Quantised(tmp_path / "engines", lambda: items_of(demo), open_network)
    first = opened(versions.path(1))
    assert isinstance(first.engine, OnnxEngine)
    assert first.engine.name.startswith("ONNX Runtime int8 (drift ")
    exact = open_checkpoint(first.task, versions.path(1), dtype=torch.float32)
    for ours, theirs in zip(first.logits(TEXTS)[1], exact.logits(TEXTS)[1], strict=True):
        assert ours.shape == theirs.shape
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95

    def never(*_: object) -> Path:
        raise AssertionError("made again")

    monkeypatch.setattr(quantised, "quantise", never)
    again = Quantised(tmp_path / "engines", lambda: items_of(demo), open_network)(versions.path(1))
    assert again.engine.name == first.engine.name


def test_a_version_that_drifts_is_served_by_torch_and_says_so(
    text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where int8 loses more than half a point, torch answers; the engine's name and the log give the figure."""
    versions = made(text_demo, tmp_path)
    monkeypatch.setattr(quantised, "drift_of", lambda *_: 0.75)
    opened = Quantised(tmp_path / "engines", lambda: items_of(text_demo), open_network)
    answerer = opened(versions.path(1))
    assert isinstance(answerer.engine, PackedEngine)
    assert "int8 refused: the main score falls by 0.75 points on" in answerer.engine.name
    assert "version 1 is served by torch" in caplog.text
    assert answerer.answer(["one apple"], [{}])[0].output["label"] in ("fruit", "tool")


def test_too_few_items_are_no_measure(text_demo: Demo, tmp_path: Path) -> None:
    """With fewer items than LEAST_ITEMS int8 is refused in words."""
    versions = made(text_demo, tmp_path)
    few = items_of(text_demo)[: LEAST_ITEMS - 1]
    answerer = Quantised(tmp_path / "engines", lambda: few, open_network)(versions.path(1))
    assert f"only {LEAST_ITEMS - 1} items of known answers" in answerer.engine.name


def test_the_drift_is_the_loss_of_the_main_score(text_demo: Demo, tmp_path: Path) -> None:
    """Against a network whose answers are all the same, the drift is the score's difference in points."""
    versions = made(text_demo, tmp_path, epochs=25)
    task = network_task(read_card(versions.path(1)).bound_task(), "this")
    exact, broken = (open_checkpoint(task, versions.path(1), dtype=torch.float32) for _ in range(2))
    with torch.no_grad():
        broken.model.network.classifier.weight.zero_()
    items = items_of(text_demo)
    right = [a.output == e.output for a, e in zip(exact.answer([e.input for e in items], [{}] * len(items)), items, strict=True)]
    same = broken.answer([items[0].input], [{}])[0].output["label"]
    constant = np.mean([e.output["label"] == same for e in items])
    assert quantised.drift_of(task, items, exact, broken) == pytest.approx(100 * (np.mean(right) - constant))


def test_a_half_made_engine_is_made_anew(text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill left of an engine is removed; facts of other weights are no facts of these."""
    versions = made(text_demo, tmp_path)
    cache = tmp_path / "engines"
    (cache / ".v0001-int8.77.partial").mkdir(parents=True)
    (cache / "v0001-int8").mkdir()
    (cache / "v0001-int8" / "engine.json").write_text(json.dumps({"weights": "other", "drift": 0.0, "items": 99}))
    monkeypatch.setattr(quantised, "drift_of", lambda *_: 0.1)
    answerer = Quantised(cache, lambda: items_of(text_demo), open_network)(versions.path(1))
    assert isinstance(answerer.engine, OnnxEngine)
    assert sorted(path.name for path in cache.iterdir()) == ["v0001-int8"]
