"""What a run leaves of its curves: readable by TensorBoard itself, after a kill too, and never in the training's way."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import model.services
from feedback.demo import Demo
from feedback.errors import BadDemo
from feedback.records import Example, input_hash
from feedback.training_set import freeze
from feedback.words import Words
from model.card import Card, read_card
from model.curves import COLUMNS, CURVES, read_curves
from model.job import Job
from model.making import run_job
from model.plots import Plotted
from model.process import RunDirectory
from model.progress import Progress
from model.services import Service
from model.tracking import EventFile, Track, open_track
from model.versions import Versions


def _seen(directory: Path) -> EventAccumulator:
    seen = EventAccumulator(str(directory), size_guidance={"scalars": 0, "tensors": 0})
    seen.Reload()
    return seen


def _job(demo: Demo, tmp_path: Path, name: str = "v1", **more: Any) -> Job:
    return Job(str(demo.path), str(tmp_path / name), track=str(tmp_path / "tracking" / name), **more)


def _words(seen: EventAccumulator, name: str) -> str:
    return str(seen.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0].decode())


def _snapshot(tmp_path: Path) -> Path:
    rows = [(f"message {i} about the {'quince' if i % 2 else 'mallet'}", "fruit" if i % 2 else "tool") for i in range(300)]
    examples = [
        Example(text, {"label": label}, 0.9, f"c_secret{i}", f"u_secret{i % 3}", input_hash(text))
        for i, (text, label) in enumerate(rows)
    ]
    (tmp_path / "snapshots").mkdir()
    return tmp_path / "snapshots" / freeze(examples, tmp_path / "snapshots").id


def test_tensorboard_reads_a_run(text_demo: Demo, tmp_path: Path) -> None:
    """Loss, rate and tokens by step, scores, settings and the end are there for TensorBoard's own reader;
    the rate has begun to fall by the end."""
    card = run_job(_job(text_demo, tmp_path), text_demo, Progress(None))
    seen = _seen(tmp_path / "tracking" / "v1")
    losses, rates, tokens = (seen.Scalars(f"train/{name}") for name in ("loss", "learning_rate", "tokens"))
    steps = int(card.training["steps"])
    assert [event.step for event in losses] == [*range(10, steps, 10), steps]
    assert losses[-1].value == pytest.approx(card.training["loss"])
    assert tokens[-1].value == card.training["tokens"]
    assert 0 < rates[-1].value < 0.3 * text_demo.training.learning_rate < rates[0].value <= text_demo.training.learning_rate
    assert seen.Scalars("test/main")[0].value == pytest.approx(card.scores["test"]["main"])
    assert "| method | full |" in _words(seen, "settings")
    assert {"_hparams_/experiment", "_hparams_/session_start_info"} <= set(seen.PluginTagToContent("hparams"))
    assert _words(seen, "end") == "verdict of the gate: first"


def test_the_version_keeps_its_curves(text_demo: Demo, tmp_path: Path) -> None:
    """The table in the version's directory holds the same losses as the event file."""
    run_job(_job(text_demo, tmp_path), text_demo, Progress(None))
    table = read_curves(tmp_path / "v1")
    losses = _seen(tmp_path / "tracking" / "v1").Scalars("train/loss")
    assert tuple(table.columns) == COLUMNS
    assert table["step"].tolist() == [event.step for event in losses]
    assert table["loss"].tolist() == pytest.approx([event.value for event in losses], rel=1e-6)


def test_a_retraining_writes_choice_and_gate_but_nobodys_words(text_demo: Demo, tmp_path: Path) -> None:
    """The score at every a, each check's numbers and the verdict are there; no text of a visitor, no contributor, no correction."""
    run_job(_job(text_demo, tmp_path), text_demo, Progress(None))
    first = str(tmp_path / "v1")
    job = _job(
        text_demo, tmp_path, "v2", kind="retrain", number=2, parent=first, parent_version=1, champion=first, champion_version=1
    )
    card = run_job(replace(job, snapshot=str(_snapshot(tmp_path))), text_demo, Progress(None))
    assert card.gate is not None
    seen = _seen(tmp_path / "tracking" / "v2")
    old = next(check for check in card.gate["checks"] if check["name"] == "old_domain")
    assert seen.Scalars("gate/old_domain/difference")[0].value == pytest.approx(old["value"])
    assert seen.Scalars("gate/old_domain/margin")[0].value == pytest.approx(old["margin"])
    assert f"verdict of the gate: {card.verdict}" in _words(seen, "gate")
    assert [event.step for event in seen.Scalars("choosing/score")] == [25, 50, 75, 100]
    left = b"".join(path.read_bytes() for path in (tmp_path / "tracking" / "v2").iterdir())
    assert card.gate["contributors"]  # there is somebody whom it could name
    for word in (b"u_secret", b"c_secret", b"quince", b"mallet", b"sentence "):
        assert word not in left


def test_a_solved_head_leaves_one_point(text_demo: Demo, tmp_path: Path) -> None:
    """Method head has no steps of descent: its curve is the loss at the end."""
    card = run_job(_job(text_demo, tmp_path, method="head"), text_demo, Progress(None))
    table = read_curves(tmp_path / "v1")
    assert table["loss"].tolist() == pytest.approx([card.training["loss"]], rel=1e-6)
    assert math.isnan(table["learning_rate"][0])


def test_tracking_changes_no_weight(text_demo: Demo, tmp_path: Path) -> None:
    """A tracked and an untracked training end in the same card but for the clock."""
    with_ = run_job(_job(text_demo, tmp_path), text_demo, Progress(None))
    without = run_job(replace(_job(text_demo, tmp_path, "v2"), track=""), text_demo, Progress(None))
    assert (with_.scores, with_.training["loss"]) == (without.scores, without.training["loss"])
    assert not (tmp_path / "v2" / CURVES).exists()


def test_without_event_files_the_table_stays(text_demo: Demo, tmp_path: Path) -> None:
    """[tracking] event_files = false leaves the page's table alone."""
    demo = text_demo.model_copy(update={"tracking": text_demo.tracking.model_copy(update={"event_files": False})})
    run_job(_job(demo, tmp_path), demo, Progress(None))
    assert [path.name for path in (tmp_path / "tracking" / "v1").iterdir()] == [CURVES]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_stays_readable(text_demo: Demo, tmp_path: Path, sent: signal.Signals) -> None:
    """Ended in mid-training, by request or by force, event file and table can be read up to there; by request the file says so."""
    run = RunDirectory(tmp_path / "runs" / "t1")
    run.path.mkdir(parents=True)
    job = replace(_job(text_demo, tmp_path), progress=str(run.progress_file), track=str(run.tracking))
    (run.path / "job.json").write_text(job.to_json())
    command = [sys.executable, "-m", "model.train", "--job", str(run.path / "job.json"), "--epochs", "5000"]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while len(read_curves(run.tracking)) < 2 or not _seen(run.tracking).Tags()["scalars"]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(sent)
    process.wait(30)
    seen = _seen(run.tracking)
    assert seen.Scalars("train/loss")[0].step == read_curves(run.tracking)["step"][0]
    assert ("end/text_summary" in seen.Tags()["tensors"]) == (sent == signal.SIGTERM)


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    """What a kill cut off in the middle of a line is no point; a file of something else is none at all."""
    (tmp_path / CURVES).write_text(",".join(COLUMNS) + "\n10,0.5,0.001,100\n20,0.4,0.0")
    assert read_curves(tmp_path)["step"].tolist() == [10]
    (tmp_path / CURVES).write_text("something else\n1,2,3,4\n")
    assert len(read_curves(tmp_path)) == len(read_curves(tmp_path / "nowhere")) == 0


class _Broken:
    """A sink that fails at its second point."""

    name = "broken"

    def __init__(self) -> None:
        self.points = 0

    def settings(self, settings: Mapping[str, Any]) -> None:
        """Take them."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Fail the second time."""
        self.points += 1
        if self.points == 2:
            raise ConnectionError("the server is gone")

    def words(self, name: str, text: str) -> None:
        """Take them."""

    def close(self, how: str) -> None:
        """Never asked: it is dropped by then."""
        raise AssertionError("closed after it had failed")


def test_a_failing_service_ends_no_training(
    text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is dropped, said on stderr and on the card, and everything else is written to the end."""

    def opened(directory: Path, demo: Demo) -> Track:
        track = open_track(directory, demo)
        track.add(_Broken())
        return track

    monkeypatch.setattr("model.making.open_track", opened)
    card = run_job(_job(text_demo, tmp_path), text_demo, Progress(None))
    assert card.training["untracked"] == ["broken: ConnectionError: the server is gone"]
    assert "the training goes on without it" in capfd.readouterr().err
    assert _words(_seen(tmp_path / "tracking" / "v1"), "end") == "verdict of the gate: first"
    assert read_card(tmp_path / "v1") == card


def test_a_directory_that_cannot_be_written_ends_no_training(text_demo: Demo, tmp_path: Path) -> None:
    """A file where the directory should be is said on the card."""
    (tmp_path / "tracking").write_text("in the way")
    card = run_job(_job(text_demo, tmp_path), text_demo, Progress(None))
    assert "tracking" in card.training["untracked"][0]


def test_a_full_disk_is_said_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the event file's write fails, the track drops it at once."""
    file = EventFile(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file._writer, "write_event", full)
    track = Track([file])
    track.begin({"method": "full"})
    assert track.problems == ["TensorBoard: OSError: [Errno 28] No space left on device"]


def test_an_absent_service_is_said_before_the_training(text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the service and the command that installs it; nothing is trained and nothing left."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    demo = text_demo.model_copy(update={"tracking": text_demo.tracking.model_copy(update={"services": ("wandb",)})})
    with pytest.raises(BadDemo, match=r"'wandb'.*pip install 'amend\[wandb\]'"):
        run_job(_job(demo, tmp_path), demo, Progress(None))
    assert not (tmp_path / "v1").exists()


def test_trackio_gets_the_run_without_a_network(text_demo: Demo, tmp_path: Path) -> None:
    """In a process of its own, with the library's own store: settings, losses and scores are there afterwards."""
    store = tmp_path / "store"
    demo_file = text_demo.path.read_text() + '[tracking]\nservices = ["trackio"]\nproject = "fruit"\n'
    text_demo.path.write_text(demo_file)
    (tmp_path / "job.json").write_text(_job(text_demo, tmp_path).to_json())
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRACKIO_DIR": str(store), "HF_HUB_OFFLINE": "1"}
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "model.train", "--job", str(tmp_path / "job.json")]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "untracked" not in read_card(tmp_path / "v1").training
    ask = (
        "import json, trackio; from trackio.sqlite_storage import SQLiteStorage as store; r = trackio.Api().runs('fruit')[0]; "
        "print(json.dumps([r.name, r.config, sorted(set().union(*store.get_logs('fruit', r.name)))]))"
    )
    told = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True, timeout=60)
    name, config, metrics = json.loads(told.stdout.splitlines()[-1])
    assert name == "v1"
    assert config["method"] == "full"
    assert {"train/loss", "test/main"} <= set(metrics)


class _Library:
    """Stands for wandb, which is heavy: notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def Settings(self, **given: Any) -> Mapping[str, Any]:
        """Keep them."""
        return given

    def init(self, **given: Any) -> None:
        """Note it."""
        self.told.append(("init", given))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Note it."""
        self.told.append(("log", (step, values)))

    def finish(self) -> None:
        """Note it."""
        self.told.append(("finish", None))


def test_wandb_is_offline_and_quiet_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is begun offline, without code, machine and command; its steps never fall, as it demands."""
    library = _Library()
    monkeypatch.setattr(model.services, "_library", lambda name: library)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    track = Track([Service("wandb", tmp_path, "fruit", "t1")])
    track.begin({"method": "full", "snapshot": None})
    track.step(10, 20, 0.5)
    track.chosen(0.25, 0.8)
    track.ended({"test": {"main": 0.9}}, None, "first")
    track.close()
    (_, init), *logs, last = library.told
    assert (init["mode"], init["project"], init["name"], init["config"]) == ("offline", "fruit", "t1", {"method": "full"})
    assert init["settings"]["disable_code"]
    assert init["settings"]["x_disable_meta"]
    assert [step for _, (step, _) in logs] == [10, 10, 10]
    assert last == ("finish", None)
    assert track.problems == []


def test_the_rate_written_is_the_one_used(text_demo: Demo, tmp_path: Path) -> None:
    """An adapter learns at 10 times the demo's rate (adapters.RATES): that is what the curve shows."""
    longer = text_demo.training.model_copy(update={"epochs": 20})
    demo = text_demo.model_copy(update={"training": longer})
    run_job(_job(demo, tmp_path, method="lora"), demo, Progress(None))
    highest = read_curves(tmp_path / "v1")["learning_rate"].max()
    assert highest == pytest.approx(10 * demo.training.learning_rate, rel=0.1)


def _page(tmp_path: Path, champion: int, running: str | None) -> Plotted:
    """The page's plots over versions 1 <- 2 <- 4 and 3 (of version 1), as far as they look."""
    versions = Versions(tmp_path)
    for number, parent in ((1, None), (2, 1), (3, 1), (4, 2)):
        directory = versions.path_of(number)
        directory.mkdir(exist_ok=True)
        (directory / "config.json").write_text("{}")
        scores = {"validation": {"main": 0.5 + number / 10}, "test": {"main": 0.4 + number / 10}}
        Card(number, "text_classification", ("a", "b"), parent=parent, scores=scores).write(directory)
    now = None if running is None else SimpleNamespace(run=running)
    rounds = SimpleNamespace(directory=lambda run: RunDirectory(tmp_path / "runs" / run))
    retrainer = SimpleNamespace(progress=lambda: now, rounds=rounds)
    say = Words([Path(model.services.__file__).parent / "words.toml"]).speaker("en")
    return Plotted(say, retrainer, SimpleNamespace(champion=champion), versions)  # type: ignore[arg-type]


def _curve(directory: Path, points: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CURVES).write_text(",".join(COLUMNS) + "\n" + "".join(f"{10 * i},{1 / i},,\n" for i in range(1, points + 1)))


def test_the_page_plots_the_champions_line(tmp_path: Path) -> None:
    """Scores stand along the champion's ancestors alone, oldest first; a champion without any has no line, and the page says so."""
    found = _page(tmp_path, 4, None).plots(4)
    assert found.order == ["1", "2", "4"]
    assert found.scores["score"].tolist() == pytest.approx([0.6, 0.7, 0.9, 0.5, 0.6, 0.8])
    alone = _page(tmp_path, 1, None).plots(1)
    assert alone.scores.empty
    assert "descends from no other version" in alone.words


def test_the_page_plots_the_picked_and_the_running_one(tmp_path: Path) -> None:
    """A line for the version, one for what runs now; one point or none is told in words."""
    page = _page(tmp_path, 1, "t7")
    _curve(tmp_path / "versions" / "v0002", 3)
    _curve(tmp_path / "tracking" / "t7", 2)
    _curve(tmp_path / "versions" / "v0003", 1)
    assert page.plots(2).losses.groupby("run")["step"].apply(list).to_dict() == {
        "running now": [10, 20],
        "version 2": [10, 20, 30],
    }
    assert "loss at its end is 1.000" in page.plots(3).words
    assert "Version 4 kept no curve" in page.plots(4).words
