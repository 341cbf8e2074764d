"""A search: only items that the gate never uses, pruned, cut at its minutes, resumed after a kill, and no gain out of noise."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import model.search
from feedback.demo import Demo, SearchSettings, load_demo
from feedback.errors import BadInput, Busy
from model.answering import Answerer
from model.base import Model
from model.data import network_seed
from model.descent import TrainingFailed
from model.job import Job
from model.making import run_job
from model.paired import Paired
from model.parts import Parts, parts_of
from model.progress import Progress
from model.recipe import settings_of, train_seed
from model.search import main, search
from model.settings_file import as_toml, read_settings, write_settings
from model.trials import LEAST, OutOfTime, Trials, Watch, compared, items_of

ROOT = Path(__file__).resolve().parents[2]
FOUND = SearchSettings(
    method="top", found={"learning_rate": 0.002, "epochs": 2, "batch_size": 8}, trials=5, made="2026-01-01T00:00:00"
)


def _trials(out: Path) -> list[dict[str, Any]]:
    return list(json.loads((out / "settings.json").read_text())["trials"])


@pytest.mark.parametrize("enough", [True, False])
def test_nothing_of_the_gate_is_searched_on(span_demo: Demo, enough: bool) -> None:
    """No item that trials or the last comparison learn or judge is in the gate's parts or the sealed test; no judge is a learner."""
    task, seed = network_seed(span_demo)
    if enough:  # more validation items than the demo has
        more = [replace(e, input_hash=f"{i:08x}00000000{i:048x}") for i, e in enumerate(seed.train[:LEAST])]
        seed = replace(seed, validation=[*seed.validation, *more])
    parts = parts_of(task, seed, None)
    items = items_of(parts)
    hashes = [{e.input_hash for e in part} for part in (items.learning, items.judging, items.fresh_learning, items.fresh)]
    barred = {e.input_hash for e in (*parts.old, *seed.test)}
    assert barred
    assert all(not part & barred for part in hashes)
    learning, judging, fresh_learning, fresh = hashes
    assert not learning & judging
    assert not fresh_learning & fresh
    assert not judging & fresh
    assert min(map(len, hashes)) > 0
    assert ("held out" in items.words) == (not enough)
    assert enough == (judging == {e.input_hash for e in parts.choosing})


@pytest.mark.parametrize("method", ["full", "top", "lora"])
def test_looking_on_changes_nothing_and_sees_the_truth(text_demo: Demo, method: str) -> None:
    """A judged training ends in the weights of an unjudged one, and what a rung sees is what the network of that moment answers."""
    task, seed = network_seed(text_demo)
    parts = Parts(seed.train, [], [], [])
    settings = settings_of(text_demo, Job("", "", method=method))
    seen: list[float] = []

    def judge(model: Model) -> float:
        model.network.eval()
        seen.append(float(Answerer(task, model).logits([seed.test[0].input])[1][0][0]))
        model.network.train()
        return 0.0

    def weights(progress: Progress) -> torch.Tensor:
        model = train_seed(text_demo, task, parts, settings, progress).model
        return torch.cat([p.detach().flatten() for p in model.network.parameters()])

    judged = weights(Watch(float("inf"), judge, lambda *_: None))
    assert torch.equal(judged, weights(Progress(None)))
    assert len(seen) == 3
    assert len(set(seen)) == 3  # the network of each moment, not of the start


def test_a_search_runs_for_real_and_goes_on(text_demo: Demo, tmp_path: Path) -> None:
    """The defaults are tried first; the best is no worse than they on the trials' items; every training leaves its curves."""
    done = search(text_demo, tmp_path, minutes=5, trials=5, seeds=2, method="top")
    trials = _trials(tmp_path)
    assert trials[0]["settings"] == {"learning_rate": 0.01, "epochs": 4, "batch_size": 16}
    scores = [t["score"] for t in trials if t["state"] == "complete"]
    assert next(t["settings"] for t in trials if t["score"] == max(scores)) == pytest.approx(done.best, rel=5e-3)
    assert done.search.pruned == sum(t["state"] == "pruned" for t in trials)
    assert done.compared is None or (done.compared.seeds, done.search.found != {}) == (2, done.compared.better)
    assert {f"trial-{i:04d}" for i in range(5)} <= {path.name for path in (tmp_path / "tracking").iterdir()}
    assert search(text_demo, tmp_path, minutes=5, trials=5, seeds=2, method="top").search.trials == 5  # nothing left to try


def test_what_beats_the_defaults_on_fresh_items_is_taken(
    text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials that like a high rate, and fresh items that agree, bring the best rate into the file, with its gain and noise."""

    def win(self: Trials, values: Any, defaults: Any, seed: int, deadline: float) -> Paired:
        right, wrong = [[1, 0, 0]], [[0, 1, 1]]
        return Paired(("a",), np.array([[right] * 60 + [wrong] * 40, [right] * 90 + [wrong] * 10]), True)

    monkeypatch.setattr(Trials, "score", lambda self, name, values, *_: float(values["learning_rate"]))
    monkeypatch.setattr(Trials, "against", win)
    done = search(text_demo, tmp_path, minutes=5, trials=6, seeds=2)
    assert done.search.found == dict(done.best)
    highest = max(t["settings"]["learning_rate"] for t in _trials(tmp_path))
    assert done.search.found["learning_rate"] == float(f"{highest:.3g}") > 0.01
    assert done.search.score == pytest.approx(0.9)
    assert done.search.noise is not None
    assert 0 < done.search.noise < 0.3
    assert read_settings(done.file)["training"]["learning_rate"] == done.best["learning_rate"]


def test_a_bad_trial_is_pruned(text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the median of three whole trials at its second rung, a trial ends there; above it, it goes on to the end."""
    scores = iter([(0.5, 0.5), (0.6, 0.6), (0.7, 0.7), (0.2, 0.9), (0.9, 0.9)])
    ends: list[str] = []

    def score(self: Trials, name: str, values: Any, deadline: float, tell: Callable[[int, float], None]) -> float:
        early, late = next(scores)
        for rung in range(3):
            tell(rung, early)
        ends.append(name)
        return late

    monkeypatch.setattr(Trials, "score", score)
    monkeypatch.setattr(Trials, "against", _tie)
    search(text_demo, tmp_path, minutes=5, trials=5, seeds=2)
    assert [t["state"] for t in _trials(tmp_path)] == ["complete", "complete", "complete", "pruned", "complete"]
    assert ends == [f"trial-{i:04d}" for i in (0, 1, 2, 4)]


def _tie(self: Trials, values: Any, defaults: Any, seed: int, deadline: float) -> Paired:
    """One item better, one worse: nothing in it."""
    counts = np.array([[[[1, 0, 0]], [[0, 1, 1]]] * 10, [[[0, 1, 1]], [[1, 0, 0]]] * 10])
    return Paired(("a",), counts, True)


def test_a_gain_within_the_noise_leaves_the_defaults(text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of the trials, no better on fresh items, is named and not taken: the file trains with the defaults and says so."""
    scores = iter([0.5, 0.9, 0.4])
    monkeypatch.setattr(Trials, "score", lambda *_: next(scores))
    monkeypatch.setattr(Trials, "against", _tie)
    done = search(text_demo, tmp_path, minutes=5, trials=3, seeds=2)
    assert done.best != {}
    assert done.search.found == {}
    assert "the defaults stay" in done.words
    assert read_settings(done.file)["training"] == {"method": text_demo.training.method}


def test_the_noise_is_that_of_items_and_seeds() -> None:
    """By hand: 100 items, accuracy .8 against .7 and .9 against .7; the items' error by the delta method, the seeds' sd / sqrt 2.

    Summed over seeds, candidate - champion an item is d = (d1 + d2) / 2 of single answers, whose mean has the standard
    error sd(d) / sqrt(n) with n - 1 in the sd's denominator.
    """

    def right(hits: int) -> Any:
        return np.array([[[1, 0, 0]]] * hits + [[[0, 1, 1]]] * (100 - hits))

    pairs = [Paired(("a",), np.stack([right(70), right(hits)]), True) for hits in (80, 90)]
    done = compared(pairs)
    d = np.array([0.0] * 70 + [1.0] * 10 + [0.5] * 10 + [0.0] * 10)
    expected = 1.6448536 * np.hypot(d.std(ddof=1) / 10, np.std([0.1, 0.2], ddof=1) / np.sqrt(2))
    assert (done.score, done.defaults, done.gain) == pytest.approx((0.85, 0.7, 0.15))
    assert done.noise == pytest.approx(expected, rel=1e-6)
    assert done.better
    assert not compared(pairs[:1]).better  # one seed is no evidence


def test_the_minutes_end_a_trial(text_demo: Demo, tmp_path: Path) -> None:
    """A trial that would train for hours is cut short in mid-training; it counts for nothing and waits for the next call."""
    endless = text_demo.model_copy(update={"training": text_demo.training.model_copy(update={"epochs": 100_000})})
    began = time.monotonic()
    done = search(endless, tmp_path, minutes=0.1, trials=3)
    assert time.monotonic() - began < 60
    assert done.search.trials == 0
    assert "the defaults stay" in done.words
    states = [(t["state"], t.get("again", False)) for t in _trials(tmp_path)]
    assert states == [("fail", False), ("waiting", True)]


def test_a_watch_ends_at_its_deadline() -> None:
    """The first step after the deadline raises."""
    with pytest.raises(OutOfTime, match="minutes"):
        Watch(time.monotonic() - 1, lambda _: 0.0, lambda *_: None).step(1, 10, None)


def test_a_killed_search_goes_on(text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed with -9 in mid-trial, the same command marks that trial, does its settings again once, and counts it not."""
    text = text_demo.path.read_text()
    text_demo.path.write_text(text.replace("epochs = 4\nretrain", "epochs = 50000\nretrain"))
    command = [
        sys.executable,
        "-m",
        "model.search",
        str(text_demo.path),
        "--minutes",
        "60",
        "--trials",
        "2",
        "--out",
        str(tmp_path / "s"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    curves = tmp_path / "s" / "tracking" / "trial-0000" / "curves.csv"
    deadline = time.monotonic() + 90
    while not curves.is_file() or curves.stat().st_size < 60:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    scores = iter([0.5, 0.4])
    monkeypatch.setattr(Trials, "score", lambda *_: next(scores))
    done = search(load_demo(text_demo.path), tmp_path / "s", minutes=5, trials=2)
    trials = _trials(tmp_path / "s")
    assert [t["state"] for t in trials] == ["fail", "complete", "complete"]
    assert trials[1]["settings"] == trials[0]["settings"] != trials[2]["settings"]
    assert done.search.trials == 2


def test_a_trial_that_breaks_down_is_noted(text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that is no number ends the trial, not the search."""
    scores = iter([0.5, None, 0.4])

    def score(*_: Any) -> float:
        found = next(scores)
        if found is None:
            raise TrainingFailed("the loss became nan by step 10 of 20")
        return found

    monkeypatch.setattr(Trials, "score", score)
    search(text_demo, tmp_path, minutes=5, trials=3)
    assert _trials(tmp_path)[1]["broke"] == "the loss became nan by step 10 of 20"


def test_what_cannot_be_searched_is_refused(
    text_demo: Demo, span_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head, another demo's study, a study that is being searched, no Optuna: each in words."""
    with pytest.raises(BadInput, match=r"nothing to search.*full, top"):
        search(text_demo, tmp_path, minutes=1, trials=1, method="head")
    monkeypatch.setattr(Trials, "score", lambda *_: 0.5)
    search(text_demo, tmp_path, minutes=1, trials=1)
    with pytest.raises(BadInput, match="other data"):
        search(span_demo, tmp_path, minutes=1, trials=1)
    with model.search._alone(tmp_path), pytest.raises(Busy, match="running there"):
        search(text_demo, tmp_path, minutes=1, trials=1)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'amend\[search\]'"):
        search(text_demo, tmp_path, minutes=1, trials=1)


def test_a_version_says_where_its_settings_come_from(text_demo: Demo, tmp_path: Path) -> None:
    """--settings trains with what was found and the card tells the search; the same pasted into the TOML does, and a later change shows."""
    file = write_settings(tmp_path, FOUND, {})
    command = [
        sys.executable,
        "-m",
        "model.train",
        "--demo",
        str(text_demo.path),
        "--settings",
        str(file),
        "--out",
        str(tmp_path / "v"),
    ]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True, timeout=120)
    settings = json.loads((tmp_path / "v" / "card.json").read_text())["settings"]
    assert (settings["learning_rate"], settings["epochs"], settings["batch_size"], settings["method"]) == (0.002, 2, 8, "top")
    assert settings["search"]["found"] == dict(FOUND.found)
    assert settings["search"]["changed"] == []
    pasted = tomllib.loads(as_toml(FOUND))
    training = {**text_demo.training.model_dump(), **pasted["training"], "batch_size": 4}
    demo = Demo.model_validate({**text_demo.model_dump(), "training": training, "search": pasted["search"]})
    card = run_job(Job(str(demo.path), str(tmp_path / "w"), method="top"), demo, Progress(None))
    assert card.settings["search"]["trials"] == 5
    assert card.settings["search"]["changed"] == ["batch_size"]


def test_a_broken_settings_file_is_refused(tmp_path: Path) -> None:
    """Nothing there, not JSON, an unknown key: file and key are named."""
    file = tmp_path / "settings.json"
    with pytest.raises(BadInput, match="cannot be read"):
        read_settings(file)
    for text, match in (
        ("{", "not a file that"),
        ('{"training": {"rate": 1}, "search": {}}', "rate: Extra"),
        ("[]", "not a file"),
    ):
        file.write_text(text)
        with pytest.raises(BadInput, match=match):
            read_settings(file)


def test_the_command_says_what_came_out(
    text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Items, trials, verdict and the file stand on stdout; a wrong method is one line on stderr and status 1."""
    monkeypatch.setattr(Trials, "score", lambda *_: 0.5)
    arguments = [str(text_demo.path), "--minutes", "1", "--trials", "1", "--out", str(tmp_path)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "trial 0: learning_rate 0.01, epochs 4, batch_size 16: 50.00" in said
    assert f"--settings {tmp_path / 'settings.json'}" in said
    assert main([*arguments, "--method", "hedd"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
