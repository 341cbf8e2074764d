"""A training process that stays: one job after another, keeping what they share (held.py). Both of its ends are here.

The app writes a line for each, {"job": FILE} or {"warm": {"demo": FILE, "parent": DIRECTORY}}, and gets a line back for each:
{"error": words}, empty where it was done. The process ends with the pipe, and with the app.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, TextIO

import psutil

from feedback.demo import load_demo
from feedback.errors import AmendError, BadInput
from model.card import read_card
from model.held import Held
from model.job import Job
from model.making import run_job
from model.network_task import NetworkTask
from model.process import NICE
from model.progress import Progress
from model.recipe import renamed
from model.refit import remember


class Resident:
    """The app's end. One thread asks; any thread may `stop`, and what is asked then comes back with words."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        process = self._process
        return process is not None and process.poll() is None

    def run(self, file: Path) -> str:
        """Do the job of a file; return "" where it is done, else why not. The process is started where there is none."""
        return self._ask({"job": str(file)})

    def warm(self, demo: Path, parent: Path) -> str:
        """Read a demo's data and compute the features that its next head needs; return "" or why not."""
        return self._ask({"warm": {"demo": str(demo), "parent": str(parent)}})

    def stop(self) -> None:
        """End the process and with it all that it remembers; the next job starts another."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            _close(process)
            self._output.unlink(missing_ok=True)

    def _ask(self, asked: dict[str, Any]) -> str:
        try:
            process = self._there()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError) as error:  # ValueError: the pipe was closed by stop()
            return f"the resident training process ended: {error}"
        if not line:
            return f"the resident training process ended with status {process.wait()}"
        return str(json.loads(line)["error"])

    def _there(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                _close(self._process)
                self._process = None
            if self._process is None:
                with self._output.open("wb") as output:
                    self._process = subprocess.Popen(
                        [sys.executable, "-m", "model.resident"],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=output,
                        text=True,
                        # Training shares the cores with serving: threads that wait must sleep, not spin.
                        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
                    )
                with contextlib.suppress(psutil.Error):  # it may have ended already
                    psutil.Process(self._process.pid).nice(NICE)
            return self._process


def _close(process: subprocess.Popen[str]) -> None:
    """Take the end of a process and let go of its pipes."""
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was written last and never read
                pipe.close()


def serve(lines: TextIO, answers: TextIO) -> None:
    """Do what each line asks until there is no more."""
    held = Held()
    for line in lines:
        try:
            error = _done(json.loads(line), held)
        except (AmendError, OSError) as failed:
            error = str(failed)
        except Exception as failed:  # noqa: BLE001  one job's outer edge: said in words, with the trace in the output
            traceback.print_exc()
            error = f"{type(failed).__name__}: {failed}"
        print(json.dumps({"error": error}), file=answers, flush=True)


def _done(asked: dict[str, Any], held: Held) -> str:
    if "job" in asked:
        job = Job.read(Path(asked["job"]))
        progress = Progress(Path(job.progress) if job.progress else None, watch_parent=True)
        run_job(job, load_demo(job.demo), progress, held)
    elif "warm" in asked:
        _warm(Path(asked["warm"]["demo"]), Path(asked["warm"]["parent"]), held)
    else:
        raise BadInput(f"asked for {', '.join(asked) or 'nothing'}: known are job and warm")
    return ""


def _warm(demo_file: Path, parent: Path, held: Held) -> None:
    demo, progress = load_demo(demo_file), Progress(None, watch_parent=True)
    task, seed, gold = held.data(demo)
    if not isinstance(task, NetworkTask):
        return
    inputs = [e.input for e in (*seed.train, *seed.validation, *seed.test, *gold)]
    for source in held.sources(task, parent, renamed(task, read_card(parent)), demo):
        remember(source.frozen, inputs, progress.check)


def main() -> int:
    """Serve on the standard pipes; whatever else prints goes to stderr."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        serve(sys.stdin, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
