"""How far a training process is, told in a file and on the console; and when it must end. It trains nothing."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from feedback.disk import say
from feedback.errors import AmendError
from feedback.home import write_atomically
from feedback.records import now
from model.tracking import Track

_EVERY = 0.5  # seconds between two writes of the file


class Cancelled(AmendError):
    """The process was asked to end, or its parent has died. Nothing is left half-written."""

    title = "Cancelled"


class Progress:
    """Writes {"stage", "done", "total", "loss", "message", "time"} and ends the process when it should end.

    `track`: where the run's curves go; nowhere, until somebody gives it one (tracking.py).
    """

    def __init__(self, path: Path | None, *, watch_parent: bool = False) -> None:
        self.track = Track()
        self._path = path
        self._parent = os.getppid() if watch_parent else None
        self._asked = False
        self._last = 0.0
        self._stage = ""
        self._bar: tqdm[Any] | None = None
        self._mute = False
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)

    def on_signals(self) -> None:
        """Turn SIGTERM into Cancelled at the next step."""

        def ask(_: int, __: FrameType | None) -> None:
            self._asked = True

        signal.signal(signal.SIGTERM, ask)

    def stage(self, name: str, message: str = "", total: int = 0) -> None:
        """Enter a stage: loading, training, choosing, gate, saving, done or failed."""
        if name not in ("done", "failed"):
            self.check()
        self._stage = name
        self._close_bar()
        if sys.stderr.isatty() and total:
            self._bar = tqdm(total=total, desc=name, unit="step", file=sys.stderr)
        self._write(0, total, None, message)

    def step(self, done: int, total: int, loss: float | None) -> None:
        """Say how far the stage is; raise Cancelled where the process must end."""
        self.check()
        if self._stage == "training":
            self.track.step(done, total, loss)
        if sys.stderr.isatty():
            self._bar = self._bar or tqdm(total=total, desc=self._stage, unit="step", file=sys.stderr)
            self._bar.update(done - self._bar.n)
            if loss is not None:
                self._bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        if time.monotonic() - self._last >= _EVERY:
            self._write(done, total, loss, "")

    def check(self) -> None:
        """Raise Cancelled where SIGTERM came or the parent is gone."""
        if self._asked:
            raise Cancelled("ended by SIGTERM; nothing was written")
        if self._parent is not None and os.getppid() != self._parent:
            raise Cancelled("the app that started this training is gone; nothing was written")

    def _write(self, done: int, total: int, loss: float | None, message: str) -> None:
        self._last = time.monotonic()
        if self._path is None:
            return
        told = {
            "stage": self._stage,
            "done": done,
            "total": total,
            "loss": loss,
            "message": message,
            "time": now().isoformat(timespec="seconds"),
        }
        try:
            write_atomically(self._path, json.dumps(told))
        except (
            OSError
        ) as error:  # a full disk: what is trained may be small enough yet, and what is said now and then is not worth it
            if not self._mute:
                say(f"model.train: {self._path} cannot be written, the training goes on: {error}")
            self._mute = True

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
