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
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from feedback.demo import Demo, load_demo
from feedback.errors import AmendError, BadInput
from feedback.records import Answer, Example
from feedback.training_set import Snapshot, read_snapshot
from model.answering import Answerer, open_version
from model.card import CARD, Card, read_card
from model.data import SeedData, load_gold, load_seed
from model.exports import add_foreign
from model.gate import Slice, run_gate
from model.gate_report import GateResult
from model.job import Job
from model.methods import METHODS
from model.progress import Progress
from model.recipe import Parts, Trained, parts_of, retrain, settings_of, train_seed
from model.report import label_report
from model.task import Task, task_types

__all__ = ["gate_version", "main", "run_job"]


def run_job(job: Job, demo: Demo, progress: Progress) -> Card:
    """Do a job: train or take the candidate, gate it against the champion, write the directory. Returns its card.

    Raises AmendError in words; whatever it raises, nothing half-written stays behind.
    """
    out = Path(job.out)
    if out.exists():
        raise BadInput(f"{out} exists already: name a new directory")
    out.parent.mkdir(parents=True, exist_ok=True)
    staged = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        progress.stage("loading", str(demo.path))
        task, seed = load_seed(demo)
        snapshot = read_snapshot(Path(job.snapshot)) if job.snapshot else None
        parts = parts_of(task, seed, snapshot, load_gold(demo, task))
        card, candidate = (
            _added(job, demo, staged) if job.kind == "added" else _trained(job, demo, task, parts, snapshot, staged, progress)
        )
        if job.champion:
            gate = gate_version(task, parts, Path(job.champion), candidate, progress)
            card = replace(card, gate=gate.to_dict(), champion_version=job.champion_version)
        card = replace(card, scores=_scores(task, candidate, seed, progress))
        progress.stage("saving", str(out))
        card.write(staged)
        for file in staged.iterdir():
            file.chmod(0o644)  # safetensors writes for its owner alone; whoever reads the directory may read the files
        os.rename(staged, out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    progress.stage("done", f"version {card.number}: {card.verdict}")
    return card


def gate_version(task: Task, parts: Parts, champion: Path, candidate: Answerer, progress: Progress) -> GateResult:
    """Answer the gate's items with both sides and judge. Latency (ms an item, in batches) and size (MB) are shown."""
    items = [*parts.old, *parts.feedback, *parts.gold]
    sizes = f"{len(parts.old)} items of the old domain, {len(parts.feedback)} of feedback, {len(parts.gold)} of known truth"
    progress.stage("gate", sizes, 2 * len(items))
    judge = open_version(champion)
    before, slow = _timed(judge, items, progress, 0)
    after, fast = _timed(candidate, items, progress, len(items))
    cut, end = len(parts.old), len(parts.old) + len(parts.feedback)
    shown = {"latency_ms": (slow, fast), "size_mb": (_megabytes(judge), _megabytes(candidate))}
    return run_gate(
        task,
        Slice(parts.old, before[:cut], after[:cut]),
        Slice(parts.feedback, before[cut:end], after[cut:end]),
        shown if items else None,
        gold=Slice(parts.gold, before[end:], after[end:]),
    )


def _timed(
    answerer: Answerer, items: Sequence[Example], progress: Progress, done: int, chunk: int = 128
) -> tuple[list[Answer], float]:
    """Return the answers and the milliseconds that one took."""
    answers: list[Answer] = []
    began = time.perf_counter()
    for start in range(0, len(items), chunk):
        part = items[start : start + chunk]
        answers += answerer.answer([e.input for e in part], [{}] * len(part))
        progress.step(done + len(answers), 2 * len(items), None)
    return answers, 1000 * (time.perf_counter() - began) / max(1, len(items))


def _megabytes(answerer: Answerer) -> float:
    return float(sum(p.numel() * p.element_size() for p in answerer.model.network.parameters())) / 1e6


def _trained(
    job: Job, demo: Demo, task: Task, parts: Parts, snapshot: Snapshot | None, staged: Path, progress: Progress
) -> tuple[Card, Answerer]:
    settings = settings_of(demo, job)
    if job.kind == "retrain" and job.parent:
        parent = read_card(Path(job.parent))
        trained = retrain(task, job.parent, parent.rename, parts, settings, progress)
    else:
        trained = train_seed(demo, task, parts, settings, progress)
    progress.stage("saving", str(staged))
    staged.mkdir(parents=True)
    trained.model.network.save_pretrained(staged)
    trained.model.tokenizer.save_pretrained(staged)
    card = Card(
        number=job.number,
        task=task.name,
        labels=task.labels,
        base=demo.model or demo.base,
        method=settings.method,
        parent=job.parent_version,
        passed_over=job.passed_over,
        kind=job.kind,
        snapshot=snapshot.id if snapshot else None,
        snapshot_sha256=snapshot.sha256 if snapshot else None,
        seed=settings.seed,
        settings=settings._asdict(),
        training={**_took(trained), "left_out": parts.left_out},
        interpolation=trained.interpolation,
        fallback_label=task.fallback_label,
        max_chars=task.max_chars,
        trigger=job.trigger,
    )
    return card, Answerer(task, trained.model)


def _took(trained: Trained) -> dict[str, Any]:
    took = trained.took._asdict()
    more = {"augmented": trained.augmented} if trained.augmented else {}
    return {**took, "seconds": round(took["seconds"], 2), "examples": trained.examples, **more}


def _added(job: Job, demo: Demo, staged: Path) -> tuple[Card, Answerer]:
    """Take a checkpoint over: a version directory with its card (its files linked, not copied), or a foreign one."""
    assert job.candidate is not None
    candidate = Path(job.candidate)
    if not (candidate / CARD).is_file():
        add_foreign(demo, job.candidate, staged)
        card = replace(read_card(staged), number=job.number, trigger=job.trigger)
    else:
        card = read_card(candidate)
        shutil.copytree(candidate, staged, copy_function=_link)
        if job.trigger != "gate":  # from another home: its lineage means nothing here
            card = replace(
                card, number=job.number, kind="added", parent=None, snapshot=None, source=str(candidate), trigger=job.trigger
            )
    return card, open_version(staged)


def _link(source: str, target: str) -> object:
    try:
        os.link(source, target)
        return target
    except OSError:  # another file system
        return shutil.copy2(source, target)


def _scores(task: Task, answerer: Answerer, seed: SeedData, progress: Progress) -> dict[str, dict[str, float]]:
    scores: dict[str, dict[str, float]] = {}
    for name, examples in (("validation", seed.validation), ("test", seed.test)):
        if examples:
            progress.check()
            answers = answerer.answer([e.input for e in examples], [{}] * len(examples))
            truth = [e.output for e in examples]
            outputs = [answer.output for answer in answers]
            scores[name] = {**task.score(truth, outputs), "items": float(len(examples))}
    return scores


# -- command line ------------------------------------------------------------------------------------------------------


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
        print(f"model.train: {error}", file=sys.stderr)
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
    job = Job(demo=str(demo.path), out=str(options.out.resolve()), method=demo.training.method)
    card = run_job(job, demo, progress)
    task, seed = load_seed(demo)
    answerer = open_version(options.out)
    for name, examples in (("validation", seed.validation), ("test", seed.test)):
        if examples:
            outputs = [a.output for a in answerer.answer([e.input for e in examples], [{}] * len(examples))]
            print(f"{name}: {len(examples)} items\n{label_report(task, [e.output for e in examples], outputs)}\n")
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
    return Demo.model_validate({**demo.model_dump(), **base, "training": {**demo.training.model_dump(), **given}})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.train", description="Train a model version from files.")
    parser.add_argument("--job", type=Path, help="a job file, as the app writes it")
    parser.add_argument("--demo", type=Path, help="a demo's TOML")
    parser.add_argument("--data", type=Path, help="a data file, instead of a demo")
    parser.add_argument("--task", default="", help="with --data: " + ", ".join(task_types()))
    parser.add_argument("--out", type=Path, help="the version directory to make")
    parser.add_argument("--base", default="", help="base model: all-MiniLM-L6-v2, a directory, or a hub name")
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
