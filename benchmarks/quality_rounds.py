"""One round of feedback_to_quality.py: visitors speak, what is believed is frozen, a candidate learns, the gate and the test judge.

All pieces are the app's own: the log, the policy `reliability` with its traps, snapshots with their caps, the recipes, the gate. A
round is a folder: `piece.json`, what was found; `candidate`, the version; `home`, the log after it. It is there whole or not at all.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from benchmarks.quality_data import Played, Settings, deal
from benchmarks.quality_visitors import plan, speak
from benchmarks.sleeper_visitors import Text, plain, score
from benchmarks.sleepers import harmful, judged
from feedback.believing import Believing
from feedback.errors import BadInput
from feedback.home import Home
from feedback.records import Example
from feedback.store import Store
from feedback.training_set import Snapshot, accepted, freeze, freeze_accepted
from model.answering import Answerer, open_network
from model.base import resume
from model.card import Card
from model.gold import lay_traps
from model.job import Job
from model.making import run_job
from model.methods import fit
from model.network_task import network_task
from model.paired import Paired, paired_counts
from model.parts import parts_of
from model.progress import Progress
from model.recipe import settings_of

RESAMPLES = 4000
QUIET = Progress(None)


class Family(NamedTuple):
    """How candidates come about. `labels`: what the policy believes, all that was said and changes an answer, or the truth.

    `recipe`: `product` is the app's (seed replayed, then interpolated), `base` learns the same from the base model; `replay`
    leaves out the interpolation, and `corrections` the seed as well. `gated`: the gate judges the candidate.
    """

    name: str
    labels: Literal["believed", "said", "true"]
    recipe: Literal["product", "base", "replay", "corrections"] = "product"
    gated: bool = False


class State(NamedTuple):
    """Where a round begins: the champion's round, with its figures, and the round whose log goes on (None: the first)."""

    champion: Path
    piece: dict[str, Any]
    last: Path | None = None


def prepare(data: Path, folder: Path, number: int, settings: Settings) -> Played:
    """Split the data, write the demo, and train the seed version where it is not there yet."""
    played = deal(data, folder, number, settings)
    if not piece_of(played.start):
        staged = _staged(played.start)
        began = time.monotonic()
        job = Job(str(played.demo.path), str(staged / "candidate"), method=settings.method)
        card = run_job(job, played.demo, QUIET)
        row = _tested(played, open_network(staged / "candidate"), card, None)
        _finish(staged, played.start, row | {"seconds": time.monotonic() - began})
    return played


def piece_of(folder: Path) -> dict[str, Any] | None:
    """Return what a finished round found; None where it is still to be played."""
    path = folder / "piece.json"
    found: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found


def play(played: Played, family: Family, malice: float, number: int, state: State, out: Path) -> dict[str, Any]:
    """Play round `number` (from 1) into the folder `out` and return what it found. A round that was cut short is played anew."""
    began = time.monotonic()
    parent = state.champion / "candidate"
    if not parent.is_dir() or (state.last and not (state.last / "home").is_dir()):
        raise BadInput(f"{out}: what came before it was tidied away: start with another state folder")
    staged = _staged(out)
    if state.last:
        shutil.copytree(state.last / "home", staged / "home")
    home = Home(staged / "home")
    learned = _true(played, number, home) if family.labels == "true" else _heard(played, family, malice, number, parent, home)
    row, snapshot = learned
    if snapshot is None or not snapshot.train:
        return _finish(staged, out, row | {"verdict": "nothing", "seconds": time.monotonic() - began})
    job = Job(
        demo=str(played.demo.path), out=str(staged / "candidate"), method=played.settings.method,
        kind="seed" if family.recipe == "base" else "retrain", number=number + 1, parent=str(parent), parent_version=number,
        champion=str(parent) if family.gated else None, champion_version=number if family.gated else None,
        snapshot=str(home.snapshots / snapshot.id), trigger="benchmark",
    )  # fmt: skip
    plainly = family.recipe in ("replay", "corrections")
    card = _plainly(played, job, snapshot, family.recipe == "replay") if plainly else run_job(job, played.demo, QUIET)
    row |= {"learned": len(snapshot.train), "interpolation": card.interpolation, "training": card.training["seconds"]}
    row |= {key: value for key, value in judged(card).items() if key != "checks"} if card.gate else {"verdict": "not asked"}
    row |= _tested(played, open_network(staged / "candidate"), card, state.piece)
    return _finish(staged, out, row | {"seconds": time.monotonic() - began})


def _heard(
    played: Played, family: Family, malice: float, number: int, parent: Path, home: Home
) -> tuple[dict[str, Any], Snapshot | None]:
    """Let the visitors speak to the champion, and return what is to be learned from, from all rounds so far."""
    met = plan(played.number, played.settings.rounds, played.settings.items)[number - 1]
    names = sorted({pair.name for pair in met})
    inputs = [played.texts[name].input for name in names]
    answers = open_network(parent).answer(inputs, [{}] * len(inputs))
    texts = {n: Text(e, played.texts[n].output, a) for n, e, a in zip(names, inputs, answers, strict=True)}
    truth = {example.input_hash: plain(example.output) for example in played.texts.values()}
    row: dict[str, Any] = {}
    with Store(home.directory) as store:
        lay_traps(played.demo, played.task, store)
        speak(store, texts, met, malice, played.lie, number, played.number)
        if family.labels == "believed":
            policy = Believing(store, "spans")
            policy.settle()
            row["trusted"] = len(policy.standing().trusted)
            examples = accepted(store)
            snapshot = freeze_accepted(store, home.snapshots, played.demo.acceptance.caps()) if examples else None
        else:
            examples = said_changes(store)
            snapshot = freeze(examples, home.snapshots) if examples else None
        shown = {
            str(r["input_hash"]): plain(json.loads(r["shown"]))
            for r in store.rows("SELECT input_hash, shown FROM current_corrections")
        }
    found = score([replace(e, output=plain(e.output)) for e in examples], truth, shown)
    row |= {"accepted": found.texts, "corrections": found.corrections, "precision": found.precision}
    return row | {"wrong_share": found.wrong_share}, snapshot


def said_changes(store: Store) -> list[Example]:
    """Return everything that anybody said and that changes an answer, as if all of it were right; answers to traps left out."""
    rows = store.rows(
        """SELECT c.id, c.contributor, c.input, c.proposed, c.input_hash FROM current_corrections c
           ANTI JOIN current_traps t ON t.input_hash = c.input_hash WHERE NOT c.confirmation ORDER BY c.created, c.id"""
    )
    return [
        Example(json.loads(r["input"]), json.loads(r["proposed"]), 1.0, r["id"], r["contributor"], r["input_hash"]) for r in rows
    ]


def _true(played: Played, number: int, home: Home) -> tuple[dict[str, Any], Snapshot | None]:
    """Return the right answers to every text met so far."""
    count = number * played.settings.items
    names = [name for name in sorted(played.texts) if name.startswith("item")][:count]
    examples = [replace(played.texts[name], correction_id=name, contributor="oracle") for name in names]
    row = {"accepted": count, "corrections": None, "precision": 1.0, "wrong_share": 0.0}
    return row, freeze(examples, home.snapshots)


def _plainly(played: Played, job: Job, snapshot: Snapshot, replayed: bool) -> Card:
    """Learn without the interpolation, and without the seed unless it is `replayed`; write the version and return its card."""
    seed = played.seed if replayed else replace(played.seed, train=[])
    settings = settings_of(played.demo, job)
    parts = parts_of(played.task, seed, snapshot)
    task = network_task(played.task, "this")
    model = resume(task, str(job.parent), {}, settings.seed)
    took = fit(model, task.encode(model.tokenizer, parts.train), settings)
    out = Path(job.out)
    model.network.save_pretrained(out)
    model.tokenizer.save_pretrained(out)
    training = {**took._asdict(), "examples": len(parts.train)}
    card = Card(
        job.number, played.task.name, played.task.labels, kind="retrain", training=training, max_chars=played.task.max_chars
    )
    valid = played.seed.validation
    outputs = [answer.output for answer in Answerer(task, model).answer([e.input for e in valid], [{}] * len(valid))]
    card = replace(card, scores={"validation": played.task.score([e.output for e in valid], outputs)})
    card.write(out)
    return card


def _tested(played: Played, answerer: Answerer, card: Card, champion: dict[str, Any] | None) -> dict[str, Any]:
    """Return a version's F1 on the sealed test and on the old domain, and how it compares with the champion's."""
    answers = [answer.output for answer in answerer.answer([e.input for e in played.test], [{}] * len(played.test))]
    counts = paired_counts(played.task, [e.output for e in played.test], answers, answers).champion
    row = {"f1": f1(counts), "old": card.scores["validation"]["main"], "counts": counts.tolist()}
    if champion is None:
        return row
    both = np.stack([np.asarray(champion["counts"]), counts])[:, :, None, :]  # (side, sentence, one label for all, 3)
    pairs = Paired(("all",), both, False)
    low, high = np.quantile(pairs.resampled(np.random.default_rng(played.number), RESAMPLES), (0.025, 0.975))
    better, worse = pairs.better_worse()
    difference = pairs.difference()
    row |= {"difference": difference, "low": float(low), "high": float(high), "harmful": harmful(difference, float(high))}
    return row | {"better": better, "worse": worse}


def f1(counts: np.ndarray) -> float:
    """Return the F1 of counts (sentences, 3) of tp, fp, fn, 0..1."""
    right, invented, missed = np.asarray(counts).sum(axis=0)
    return float(2 * right / max(1, 2 * right + invented + missed))


def _staged(out: Path) -> Path:
    """Return an empty folder beside `out`: what a round that was cut short left there goes."""
    staged = out.with_name(f".{out.name}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    return staged


def _finish(staged: Path, out: Path, row: dict[str, Any]) -> dict[str, Any]:
    (staged / "piece.json").write_text(json.dumps(row), encoding="utf-8")
    staged.rename(out)
    return row
