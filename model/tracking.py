"""A training run's settings and curves, written while it runs: an event file for TensorBoard, a small table for the Models
page (curves.py), and the services that the demo names. It trains and judges nothing.

What is written are numbers, settings and the names of labels: no text of anybody, and no contributor.
What cannot be written ends no training: it is said on stderr and kept in `problems`, and the rest goes on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import hparams, scalar, text
from torch.optim.optimizer import register_optimizer_step_post_hook

from feedback.demo import Demo
from feedback.disk import say
from feedback.records import Json
from model.base import Model
from model.curves import CURVES, CurveFile
from model.services import Service

POINTS = 500
"""At most about so many points a curve: 10 steps apart, further in a long training."""
_FLUSH_SECONDS = 2.0
_MAIN = ("validation/main", "test/main")


class Sink(Protocol):
    """Where a run is written to. `name` is how people know it."""

    name: str

    def settings(self, settings: Mapping[str, Any]) -> None:
        """Take the run's settings, once, before anything else."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take numbers by name, at a step of the run."""

    def words(self, name: str, text: str) -> None:
        """Take a text in Markdown."""

    def close(self, how: str) -> None:
        """End; `how` says whether the run came to its end."""


class EventFile:
    """TensorBoard's file of one run. Written in the caller's thread, so that a full disk is an error here and not a hang elsewhere."""

    name = "TensorBoard"

    def __init__(self, directory: Path) -> None:
        self._writer = EventsWriter(str(directory / "events"))
        self._flushed = 0.0
        self._end: Any = None

    def settings(self, settings: Mapping[str, Any]) -> None:
        """Write the settings for the HParams page, and as a table for the Text page."""
        experiment, start, self._end = hparams(dict(settings), dict.fromkeys(_MAIN, 0.0))
        self._write(experiment)
        self._write(start)
        rows = "\n".join(f"| {name} | {value} |" for name, value in settings.items())
        self.words("settings", f"| setting | value |\n|---|---|\n{rows}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write each number under its name. What is older than two seconds goes to the disk with the next one."""
        for name, value in values.items():
            self._write(scalar(name, value), step)
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self._flushed = time.monotonic()
            self._writer.flush()

    def words(self, name: str, text_: str) -> None:
        """Write a text."""
        self._write(text(name, text_))

    def close(self, how: str) -> None:
        """Write how it ended."""
        try:
            self.words("end", how)
            if self._end is not None:
                self._write(self._end)
        finally:
            self._writer.close()

    def _write(self, summary: Any, step: int = 0) -> None:
        self._writer.write_event(Event(wall_time=time.time(), step=step, summary=summary))


class Track:
    """One run, written to its sinks. Without any it does nothing."""

    def __init__(self, sinks: Sequence[Sink] = (), directory: Path | None = None) -> None:
        self.directory = directory
        self.model: Model | None = None
        self.problems: list[str] = []
        self._sinks = list(sinks)
        self._how = "ended before its version was there: cancelled, or failed"
        self._rate: float | None = None
        self._points = 0
        self._tokens = 0.0

    def add(self, sink: Sink) -> None:
        """Write to this sink too."""
        self._sinks.append(sink)

    def begin(self, settings: Mapping[str, Json]) -> None:
        """Write the run's settings; those without a value are left out."""
        plain = {name: value for name, value in settings.items() if isinstance(value, (bool, int, float, str))}
        self._each(lambda sink: sink.settings(plain))

    @contextmanager
    def learning(self, model: Model, features: Sequence[Mapping[str, Any]], epochs: float) -> Iterator[None]:
        """Around a training: look at the rate that the optimiser really used, and know how many tokens it will see.

        `model` is there for whoever looks on while it learns (trials.py).
        """
        self.model = model
        self._tokens = epochs * sum(len(feature["input_ids"]) for feature in features)
        watch = register_optimizer_step_post_hook(self._saw)
        try:
            yield
        finally:
            watch.remove()
            self.model = None

    def step(self, done: int, total: int, loss: float | None) -> None:
        """Write a point of the training, now and then. `tokens` is exact at the end, before that by the share of the steps."""
        every = 10 * max(1, -(-total // (10 * POINTS)))
        if loss is None or not self._sinks or not (done % every == 0 or done == total):
            return
        values = {"train/loss": loss, "train/tokens": self._tokens * done / total}
        if self._rate is not None:
            values["train/learning_rate"] = self._rate
        self._points += 1
        self._each(lambda sink: sink.log(done, values))

    def learned(self, steps: int, tokens: int, loss: float | None) -> None:
        """Write the one point of a training that is solved rather than descended (method head)."""
        if not self._points and loss is not None:
            self._each(lambda sink: sink.log(steps, {"train/loss": loss, "train/tokens": float(tokens)}))

    def chosen(self, a: float, score: float) -> None:
        """Write the score on the choosing items at (1-a) start + a trained; its step is 100 a."""
        self.numbers(round(100 * a), {"choosing/score": score})

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers by name."""
        self._each(lambda sink: sink.log(step, values))

    def ended(self, scores: Mapping[str, Mapping[str, float]], gate: Mapping[str, Json] | None, verdict: str) -> None:
        """Write what a version came to: its scores by part, each check's numbers, the verdict."""
        values = {f"{part}/{name}": float(value) for part, found in scores.items() for name, value in found.items()}
        for check in gate["checks"] if gate else ():
            found = {"difference": check["value"], "bound": check["lower"], "margin": check["margin"]}
            values |= {f"gate/{check['name']}/{name}": float(v) for name, v in found.items() if v is not None}
        self._how = f"verdict of the gate: {verdict}" if verdict else "ended"
        self._each(lambda sink: sink.log(0, values))
        if gate:
            lines = "\n".join(f"| {check['name']} | {check['verdict']} | {check['words']} |" for check in gate["checks"])
            table = f"{self._how}\n\n| check | verdict | words |\n|---|---|---|\n{lines}"
            self._each(lambda sink: sink.words("gate", table))

    def keep(self, directory: Path) -> None:
        """Copy the table of curves into a version's directory, where it belongs to the version."""
        if self.directory is not None and (self.directory / CURVES).is_file():
            shutil.copy(self.directory / CURVES, directory / CURVES)

    def close(self) -> None:
        """End every sink, however the run ended."""
        self._each(lambda sink: sink.close(self._how))
        self._sinks = []

    def _saw(self, optimizer: Any, *_: object) -> None:
        rate = optimizer.param_groups[0]["lr"]
        self._rate = rate if isinstance(rate, float) else None

    def _each(self, act: Any) -> None:
        for sink in list(self._sinks):
            try:
                act(sink)
            except Exception as error:  # noqa: BLE001  # an outer edge: a full disk or a foreign service must not end a training
                self._sinks.remove(sink)
                self.failed(sink.name, error)
                if isinstance(sink, EventFile | CurveFile):  # a file is let go; a service that fails is not asked again
                    with suppress(OSError, ValueError):  # ValueError: it was closed already
                        sink.close("given up")

    def failed(self, name: str, error: Exception) -> None:
        """Note and say that something could not be written."""
        self.problems.append(f"{name}: {type(error).__name__}: {error}")
        say(f"tracking by {self.problems[-1]}; the training goes on without it")


def open_track(directory: Path, demo: Demo) -> Track:
    """Return the track of a run whose files go to `directory`; its last part is the run's name.

    Raises BadDemo where the demo names a service that is not installed: better before the training than after it.
    """
    services = [Service(name, directory, demo.tracking.project or demo.name, directory.name) for name in demo.tracking.services]
    track = Track(services, directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        track.add(CurveFile(directory))
        if demo.tracking.event_files:
            track.add(EventFile(directory))
    except OSError as error:
        track.failed(str(directory), error)
    return track
