"""One training process: its directory, its start with low priority, its progress file, its end. It decides nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psutil

from model.job import Job

NICE = 10  # training gives way to predictions


def ended_words(status: int) -> str:
    """Return what the exit status says of a training process that could not say it itself."""
    if status == os.EX_IOERR:
        return "the disk takes no more: nothing could be written, not even the reason; free some space and start again"
    killed = " (killed: by a person, or by the system for want of memory)" if status == -signal.SIGKILL else ""
    return f"the training process ended with status {status}{killed}"


class Progress(NamedTuple):
    """Where a training process is: `done` of `total` in `stage`; `loss` where it is known."""

    run: str
    stage: str
    done: int
    total: int
    loss: float | None
    message: str


class RunDirectory(NamedTuple):
    """The files of one run: job, progress, output, and the candidate until it is registered."""

    path: Path

    @property
    def candidate(self) -> Path:
        """Where the process puts the finished version directory."""
        return self.path / "candidate"

    @property
    def progress_file(self) -> Path:
        """Where the process says how far it is."""
        return self.path / "progress.json"

    @property
    def tracking(self) -> Path:
        """Where the run's curves are written; they stay when the run's other files are gone."""
        return self.path.parent.parent / "tracking" / self.path.name

    def progress(self) -> Progress:
        """Return what the process said last; `starting` before its first word."""
        try:
            said = json.loads(self.progress_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            said = {}
        return Progress(
            self.path.name,
            said.get("stage", "starting"),
            said.get("done", 0),
            said.get("total", 0),
            said.get("loss"),
            said.get("message", ""),
        )

    def drop_candidate(self) -> None:
        """Remove what a process that came to nothing left behind, half-written where it was killed."""
        for left in (self.candidate, *self.path.glob(f".{self.candidate.name}.*.partial")):
            shutil.rmtree(left, ignore_errors=True)
        for file in self.path.glob(f".{self.progress_file.name}.*.partial"):
            file.unlink(missing_ok=True)

    def launch(self, job: Job) -> subprocess.Popen[bytes]:
        """Write the job down and start `python -m model.train` on it."""
        job_file = self.path / "job.json"
        job_file.write_text(job.to_json(), encoding="utf-8")
        with (self.path / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "model.train", "--job", str(job_file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Training shares the cores with serving: threads that wait must sleep, not spin.
                env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
            )
        with contextlib.suppress(psutil.Error):  # it may have ended already
            psutil.Process(process.pid).nice(NICE)
        return process
