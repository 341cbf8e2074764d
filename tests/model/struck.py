"""Training processes to which something happens at a named place: they are killed, or their disk takes no more. Not a test itself.

`python -c "from tests.model.struck import trainer; trainer('weights', 'kill')" --job FILE` is `python -m model.train` but for that.
The disk is filled by a limit on the size of files (setrlimit): a write beyond it fails as on a full disk, for whoever runs the tests.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from feedback.demo import load_demo
from feedback.errors import StorageFull
from model import train
from model.job import Job
from model.making import run_job
from model.process import RunDirectory
from model.progress import Progress
from tests.conftest import ROOT

PLACES = ("loading", "training", "choosing", "gate", "weights", "tokenizer", "card", "rename", "renamed")
"""In the order in which a training comes to them; a stage's place is its beginning."""


def kill() -> None:
    """End this process as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def limit_files(size: int) -> None:
    """Let no file of this process grow beyond `size` bytes; -1: as large as it likes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes until the block ends."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    limit_files(size)
    try:
        yield
    finally:
        limit_files(before)


class Struck(Progress):
    """A progress that does what is planned at the places it comes to."""

    def __init__(self, path: Path | None, *, plan: dict[str, Callable[[], None]], watch_parent: bool = False) -> None:
        super().__init__(path, watch_parent=watch_parent)
        self.plan = plan

    def stage(self, name: str, message: str = "", total: int = 0) -> None:
        """Enter the stage, then do what is planned for it."""
        super().stage(name, message, total)
        place = {"saving": "weights" if message.endswith(".partial") else "card", "done": "renamed"}.get(name, name)
        self.plan.get(place, lambda: None)()


def planned(place: str, what: str) -> dict[str, Callable[[], None]]:
    """Return the plan of `what` at a place: kill, or the bytes that a file may have from there on (`500`; `0-weights`: until there)."""
    size, _, end = what.partition("-")
    act = kill if what == "kill" else partial(limit_files, int(size))
    if place == "tokenizer":
        save = PreTrainedTokenizerBase.save_pretrained

        def after(*given: object, **named: object) -> object:
            act()
            return save(*given, **named)

        PreTrainedTokenizerBase.save_pretrained = after
        return {}
    if place == "rename":
        rename = os.rename

        def struck(source: Path, target: Path) -> None:
            act()
            rename(source, target)

        os.__dict__["rename"] = struck
        return {}
    return {place: act, **({end: partial(limit_files, -1)} if end else {})}


def trainer(place: str, what: str) -> None:
    """Be the training process of the command line, with `what` happening at the place."""
    train.__dict__["Progress"] = partial(Struck, plan=planned(place, what))
    sys.exit(train.main())


def command(place: str, what: str) -> list[str]:
    """Return the command of such a process, but for --job FILE."""
    return [sys.executable, "-c", f"from tests.model.struck import trainer; trainer({place!r}, {what!r})"]


def strike(place: str, what: str, runs: Path) -> None:
    """Do the job of a run in a child: its exit status stands in status.txt, what it raised in said.txt."""
    run = RunDirectory(runs / f"{place}-{what}")
    child = os.fork()
    if child == 0:
        said, status = "", 0
        try:
            job = Job.read(run.path / "job.json")
            run_job(job, load_demo(job.demo), Struck(run.progress_file, plan=planned(place, what)))
        except StorageFull as error:
            said, status = f"StorageFull: {error}", 1
        except BaseException:  # noqa: BLE001  # the child's outer edge: whatever it is, the test reads it
            said, status = traceback.format_exc(), 2
        limit_files(-1)
        (run.path / "said.txt").write_text(said)
        os._exit(status)
    _, ended = os.waitpid(child, 0)
    (run.path / "status.txt").write_text(str(os.waitstatus_to_exitcode(ended)))


def strike_each(strikes: list[tuple[str, str]], runs: Path) -> None:
    """Strike the jobs under `runs` one by one, in forks of one process: it loads torch once, and has no thread to lose."""
    calls = "; ".join(f"strike({place!r}, {what!r}, Path({str(runs)!r}))" for place, what in strikes)
    code = f"from pathlib import Path; from tests.model.struck import strike; import torch; torch.set_num_threads(1); {calls}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
