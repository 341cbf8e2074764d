"""One training process: its directory, its start with low priority, its progress file, its end. It decides nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import psutil

from model.job import Job

_NICE = 10  # training gives way to predictions


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
        """Remove what a process that came to nothing left behind."""
        shutil.rmtree(self.candidate, ignore_errors=True)

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
            psutil.Process(process.pid).nice(_NICE)
        return process
