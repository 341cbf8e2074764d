"""Files in, a version directory out: `python -m model.train`. A process of its own; it knows no database and no web.

--demo TOML --out DIR       train the demo's seed model
--data FILE --task T --out  the same for one data file, with a report per label
--job FILE                  what the app asks for (see model/job.py), with progress in a file
Exit status 0: the version directory is there, whole, whatever the gate said. Otherwise one line on stderr says why.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

from feedback.demo import Demo, load_demo
from feedback.disk import say
from feedback.errors import AmendError, BadInput, StorageFull
from model.answering import open_version
from model.data import load_seed
from model.job import Job
from model.making import run_job
from model.methods import METHODS
from model.progress import Progress
from model.report import part_report
from model.settings_file import read_settings
from model.task import task_types


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    options = _parser().parse_args(argv)
    progress = Progress(None)
    try:
        if options.job:
            job = Job.read(options.job)
            progress = Progress(Path(job.progress) if job.progress else None, watch_parent=True)
            progress.on_signals()
            run_job(job, _overridden(load_demo(job.demo), options), progress)
            return 0
        progress.on_signals()
        _from_command(options, progress)
        return 0
    except (AmendError, OSError) as error:
        progress.stage("failed", str(error))
        say(f"model.train: {error}")
        if isinstance(error, StorageFull):
            return os.EX_IOERR
    except KeyboardInterrupt:
        print("model.train: interrupted; nothing was written", file=sys.stderr)
        return 130
    except Exception as error:  # noqa: BLE001  the process's outer edge: said in words, with the trace above
        traceback.print_exc()
        progress.stage("failed", f"{type(error).__name__}: {error}")
        print(f"model.train: {type(error).__name__}: {error}", file=sys.stderr)
    return 1


def _from_command(options: argparse.Namespace, progress: Progress) -> None:
    if not options.out:
        raise BadInput("--out is missing: the directory to make")
    if bool(options.demo) == bool(options.data):
        raise BadInput("give either --demo TOML, or --data FILE with --task")
    demo = _overridden(load_demo(options.demo) if options.demo else _demo_of(options.data, options.task), options)
    out = options.out.resolve()
    track = options.track.resolve() if options.track else out.parent / "tracking" / out.name
    job = Job(demo=str(demo.path), out=str(out), method=demo.training.method, track=str(track))
    card = run_job(job, demo, progress)
    task, seed = load_seed(demo)
    answerer = open_version(options.out)
    for name, examples in (("validation", seed.validation), ("test", seed.test)):
        if examples:
            outputs = [a.output for a in answerer.answer([e.input for e in examples], [{}] * len(examples))]
            print(part_report(demo, task, name, examples, outputs, answerer.words) + "\n")
    took = card.training
    print(
        f"{options.out}: {took['examples']} examples, {took['seconds']} s on {took['device']} in {took['dtype']}, {torch.get_num_threads()} threads"
    )


def _demo_of(data: Path, task: str) -> Demo:
    """Return a demo around one data file; the file itself stands for the TOML."""
    if not task:
        raise BadInput(f"--task is missing: available are {', '.join(task_types())}")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", data.stem).strip("-_")[:40] or "data"
    path = data.resolve()
    return Demo.model_validate({"path": path, "name": name, "task": task, "title": data.stem, "data": {"train": str(path)}})


def _overridden(demo: Demo, options: argparse.Namespace) -> Demo:
    names = ("method", "epochs", "learning_rate", "batch_size", "seed", "device", "threads")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    base = {"base": options.base} if options.base else {}
    found = read_settings(options.settings) if options.settings else {}
    training = {**demo.training.model_dump(), **found.get("training", {}), **given}
    return Demo.model_validate({**demo.model_dump(), **base, "training": training, "search": found.get("search", demo.search)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.train", description="Train a model version from files.")
    parser.add_argument("--job", type=Path, help="a job file, as the app writes it")
    parser.add_argument("--demo", type=Path, help="a demo's TOML")
    parser.add_argument("--data", type=Path, help="a data file, instead of a demo")
    parser.add_argument("--task", default="", help="with --data: " + ", ".join(task_types()))
    parser.add_argument("--out", type=Path, help="the version directory to make")
    parser.add_argument(
        "--track", type=Path, help="where the run's curves go (default: tracking/NAME beside the version's directory)"
    )
    parser.add_argument("--settings", type=Path, help="settings.json of python -m model.search; options given here go first")
    parser.add_argument("--base", default="", help="base model: all-MiniLM-L6-v2, characters, a directory, or a hub name")
    parser.add_argument("--method", choices=METHODS)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int)
    return parser


if __name__ == "__main__":
    sys.exit(main())
