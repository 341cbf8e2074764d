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
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from feedback.demo import Demo, load_demo
from feedback.disk import refuse_full_disk, say
from feedback.errors import AmendError, BadInput, StorageFull
from feedback.training_set import Snapshot, read_snapshot
from model.answering import Answerer, open_version
from model.card import CARD, Card, read_card
from model.data import load_seed
from model.exports import add_foreign
from model.held import Held
from model.job import Job
from model.judging import gate_version, seed_scores
from model.methods import METHODS, FitSettings
from model.progress import Progress
from model.recipe import Parts, Trained, check_learned, parts_of, renamed, retrain, settings_of, train_seed
from model.refit import HeadAnswerer, answerer_of, refit
from model.report import part_report
from model.settings_file import read_settings
from model.sharing import save_sharing
from model.task import Task, task_types
from model.tracking import open_track

__all__ = ["main", "run_job"]


def run_job(job: Job, demo: Demo, progress: Progress, held: Held | None = None) -> Card:
    """Do a job: train or take the candidate, gate it against the champion, write the directory. Returns its card.

    `held`: what the process keeps from earlier jobs; None: it has done none.

    Raises AmendError in words; whatever it raises, nothing half-written stays behind.
    """
    out = Path(job.out)
    if out.exists():
        raise BadInput(f"{out} exists already: name a new directory")
    out.parent.mkdir(parents=True, exist_ok=True)
    staged = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        if job.track and job.kind != "added":
            progress.track = open_track(Path(job.track), demo)
        progress.stage("loading", str(demo.path))
        held = held or Held()
        task, seed, gold = held.data(demo)
        snapshot = read_snapshot(Path(job.snapshot)) if job.snapshot else None
        parts = parts_of(task, seed, snapshot, gold)
        if job.kind == "added":
            card, candidate = _added(job, demo, staged)
        elif job.kind == "retrain" and (job.method or demo.training.method) == "head" and not job.from_base:
            card, candidate = _refitted(job, demo, task, parts, snapshot, staged, progress, held)
        else:
            card, candidate = _trained(job, demo, task, parts, snapshot, staged, progress)
        if job.champion:
            champion, head = _judges(job, demo, task, parts, candidate, progress, held)
            anchor = open_version(Path(job.anchor)) if job.anchor else None
            gate = gate_version(task, parts, champion, candidate, progress, head, anchor)
            card = replace(card, gate=gate.to_dict(), champion_version=job.champion_version)
        card = replace(card, scores=seed_scores(task, candidate, seed, progress))
        progress.track.ended(card.scores, card.gate, card.verdict)
        progress.stage("saving", str(out))
        progress.track.keep(staged)
        if progress.track.problems:
            card = replace(card, training={**card.training, "untracked": list(progress.track.problems)})
        card.write(staged)
        for file in staged.iterdir():
            file.chmod(0o644)  # safetensors writes for its owner alone; whoever reads the directory may read the files
        progress.check()  # an app that is gone has an heir by now, perhaps, that does the round anew
        os.rename(staged, out)
    except Exception as error:
        refuse_full_disk(error, out.parent)
        raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        progress.track.close()
    progress.stage("done", f"version {card.number}: {card.verdict}")
    return card


def _judges(
    job: Job, demo: Demo, task: Task, parts: Parts, candidate: Answerer, progress: Progress, held: Held
) -> tuple[Answerer, Answerer | None]:
    """Return who answers for the champion at the gate, and the head on the frozen base that the candidate must beat, if any."""
    assert job.champion is not None
    card = read_card(Path(job.champion))
    if isinstance(candidate, HeadAnswerer):
        if card.labels != task.labels:
            return open_version(Path(job.champion)), None
        own = held.parent(task, Path(job.champion), renamed(task, card), demo)
        assert own.start is not None
        return HeadAnswerer(task, own.frozen, own.start), None
    base = held.base(task, demo) if job.kind == "retrain" else None
    head = answerer_of(task, refit(task, [base], parts, progress)) if base is not None else None
    return open_version(Path(job.champion)), head


def _trained(
    job: Job, demo: Demo, task: Task, parts: Parts, snapshot: Snapshot | None, staged: Path, progress: Progress
) -> tuple[Card, Answerer]:
    settings = _begun(job, demo, parts, progress)
    if job.kind == "retrain" and job.parent and not job.from_base:
        trained = retrain(task, job.parent, renamed(task, read_card(Path(job.parent))), parts, settings, progress)
    else:
        trained = train_seed(demo, task, parts, settings, progress)
    progress.stage("saving", str(staged))
    staged.mkdir(parents=True)
    trained.model.network.save_pretrained(staged)
    trained.model.tokenizer.save_pretrained(staged)
    parent = None if job.from_base else job.parent_version
    card = _card(job, demo, task, snapshot, settings, {**_took(trained), **_dealt(parts)}, trained.interpolation, parent)
    return card, Answerer(task, trained.model)


def _refitted(
    job: Job, demo: Demo, task: Task, parts: Parts, snapshot: Snapshot | None, staged: Path, progress: Progress, held: Held
) -> tuple[Card, Answerer]:
    """Refit the head on what is remembered of the parent's and the base's networks."""
    settings = _begun(job, demo, parts, progress)
    assert job.parent is not None
    parent = Path(job.parent)
    sources = held.sources(task, parent, renamed(task, read_card(parent)), demo)
    done = refit(task, sources, parts, progress)
    progress.track.learned(done.took.steps, done.took.tokens, done.took.loss)
    frozen, number = done.source.frozen, job.parent_version if done.from_parent else None
    progress.stage("saving", str(staged))
    staged.mkdir(parents=True)
    done.output.put(frozen.layer)
    shared = save_sharing(frozen, staged, parent.parent)
    took = {**done.took._asdict(), "seconds": round(done.took.seconds, 2), "examples": len(parts.train)}
    told = {
        **took,
        **_dealt(parts),
        "below": "the parent's" if done.from_parent else "the base's",
        "shares_files": shared,
    }
    return _card(job, demo, task, snapshot, settings, told, done.interpolation, number), answerer_of(task, done)


def _begun(job: Job, demo: Demo, parts: Parts, progress: Progress) -> FitSettings:
    """Return how to learn, and tell the run's track. Raises BadInput where a retraining would learn nothing."""
    settings = settings_of(demo, job)
    told = {"version": job.number, "kind": job.kind, "base": Path(demo.model or demo.base).name, "learns_from": len(parts.train)}
    progress.track.begin({**settings._asdict(), **told})
    if job.kind == "retrain":
        check_learned(parts)
    return settings


def _card(
    job: Job,
    demo: Demo,
    task: Task,
    snapshot: Snapshot | None,
    settings: FitSettings,
    training: dict[str, Any],
    interpolation: float | None,
    parent: int | None,
) -> Card:
    """Return the card of what was trained. `parent`: whose weights it started from; None: the base's."""
    return Card(
        number=job.number,
        task=task.name,
        labels=task.labels,
        base=demo.model or demo.base,
        method=settings.method,
        parent=parent,
        passed_over=None if parent is None else job.passed_over,
        kind=job.kind,
        snapshot=snapshot.id if snapshot else None,
        snapshot_sha256=snapshot.sha256 if snapshot else None,
        seed=settings.seed,
        settings={**settings._asdict(), **_searched(demo, settings)},
        training=training,
        interpolation=interpolation,
        fallback_label=task.fallback_label,
        max_chars=task.max_chars,
        trigger=job.trigger,
    )


def _searched(demo: Demo, settings: FitSettings) -> dict[str, Any]:
    """Return where the settings come from, for the card, where a search found them; `changed` names what differs from it since."""
    if not demo.search.made:
        return {}
    changed = [name for name, value in demo.search.found.items() if getattr(demo.training, name, None) != value]
    other = ["method"] if demo.search.method != settings.method else []
    return {"search": {**demo.search.model_dump(), "changed": other + changed}}


def _dealt(parts: Parts) -> dict[str, int]:
    """Return how many of what was learned from are seed data, and how many accepted items could not be used."""
    return {"left_out": parts.left_out, "from_seed": sum(not e.correction_id for e in parts.train)}


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
