"""One job done: learn or take a candidate, have it judged, and write its version directory, whole or not at all.

It knows no command line, no database and no web; what a job is, job.py says.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from feedback.demo import Demo
from feedback.disk import refuse_full_disk
from feedback.errors import BadInput
from feedback.training_set import Snapshot, read_snapshot
from model.answering import open_checkpoint, open_version
from model.card import CARD, Card, read_card
from model.catalogue import Catalogue
from model.exports import add_foreign
from model.held import Held
from model.job import Job
from model.judging import gate_version, seed_scores
from model.methods import FitSettings
from model.network_task import NetworkTask, network_task
from model.own_model import OWN, OwnModelTask, Work
from model.parts import Parts, parts_of
from model.progress import Progress
from model.recipe import Trained, check_learned, renamed, retrain, settings_of, train_seed
from model.refit import HeadAnswerer, answerer_of, refit
from model.sharing import link_or_copy, save_sharing
from model.task import Answering, Task
from model.tracking import open_track


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
        if snapshot:
            task = task.grown(snapshot.train, snapshot.gate)
        parts = parts_of(task, seed, snapshot, gold)
        if job.kind == "added":
            card, candidate = _added(job, demo, staged)
        elif isinstance(task, OwnModelTask):
            card, candidate = _own(job, demo, task, parts, snapshot, staged, progress)
        elif job.kind == "retrain" and (job.method or demo.training.method) == "head" and not job.from_base:
            card, candidate = _refitted(job, demo, network_task(task, "method head"), parts, snapshot, staged, progress, held)
        else:
            card, candidate = _trained(job, demo, network_task(task, "training"), parts, snapshot, staged, progress)
        if job.champion:
            champion, head = _judges(job, demo, task, parts, candidate, progress, held)
            anchor = open_version(Path(job.anchor), catalogue=_catalogue(task)) if job.anchor else None
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
    job: Job, demo: Demo, task: Task, parts: Parts, candidate: Answering, progress: Progress, held: Held
) -> tuple[Answering, Answering | None]:
    """Return who answers for the champion at the gate, and the head on the frozen base that the candidate must beat, if any."""
    assert job.champion is not None
    card = read_card(Path(job.champion))
    if not isinstance(task, NetworkTask):
        return open_version(Path(job.champion), catalogue=_catalogue(task)), None
    if isinstance(candidate, HeadAnswerer):
        if card.labels != task.labels:
            return open_version(Path(job.champion)), None
        own = held.parent(task, Path(job.champion), renamed(task, card), demo)
        assert own.start is not None
        return HeadAnswerer(task, own.frozen, own.start), None
    base = held.base(task, demo) if job.kind == "retrain" else None
    head = answerer_of(task, refit(task, [base], parts, progress)) if base is not None else None
    return open_version(Path(job.champion)), head


def _catalogue(task: Task) -> Catalogue | None:
    """Return what both sides of a gate answer out of, where they do: what the demo holds and feedback added to it."""
    return task.catalogue if task.catalogued else None


def _own(
    job: Job, demo: Demo, task: OwnModelTask, parts: Parts, snapshot: Snapshot | None, staged: Path, progress: Progress
) -> tuple[Card, Answering]:
    """Have a task learn its own model."""
    settings = _begun(job, demo, parts, progress)
    staged.mkdir(parents=True)
    progress.stage("training", f"{len(parts.train)} examples, {task.name}")
    began = time.perf_counter()
    parent = job.parent if job.kind == "retrain" and not job.from_base else None
    learned = task.learn(Work(demo, parts, staged, progress, settings.seed, Path(parent) if parent else None))
    seconds = round(time.perf_counter() - began, 2)
    if task.catalogued:
        task.catalogue.write(staged)
    took = {"seconds": seconds, "steps": learned.steps, "tokens": 0, "device": "cpu", "dtype": "float32", "loss": learned.loss}
    told = {**took, "examples": learned.examples, **learned.told, **_dealt(parts)}
    card = _card(job, demo, task, snapshot, settings, told, None, job.parent_version if parent else None)
    return replace(card, base=learned.base, method=OWN), task.open(staged)


def _trained(
    job: Job, demo: Demo, task: NetworkTask, parts: Parts, snapshot: Snapshot | None, staged: Path, progress: Progress
) -> tuple[Card, Answering]:
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
    return card, open_checkpoint(task, staged)  # judged is what will serve: as it was saved, computed as it will be


def _refitted(
    job: Job, demo: Demo, task: NetworkTask, parts: Parts, snapshot: Snapshot | None, staged: Path, progress: Progress, held: Held
) -> tuple[Card, Answering]:
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


def _added(job: Job, demo: Demo, staged: Path) -> tuple[Card, Answering]:
    """Take a checkpoint over: a version directory with its card (its files linked, not copied), or a foreign one."""
    assert job.candidate is not None
    candidate = Path(job.candidate)
    if not (candidate / CARD).is_file():
        add_foreign(demo, job.candidate, staged)
        card = replace(read_card(staged), number=job.number, trigger=job.trigger)
    else:
        card = read_card(candidate)
        shutil.copytree(candidate, staged, copy_function=link_or_copy)
        if job.trigger != "gate":  # from another home: its lineage means nothing here
            card = replace(
                card, number=job.number, kind="added", parent=None, snapshot=None, source=str(candidate), trigger=job.trigger
            )
    return card, open_version(staged)
