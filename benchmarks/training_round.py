"""One round as the app does it: a training process over a seed model, its seed data and accepted corrections, timed whole."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.common import ROOT
from feedback.demo import Demo, load_demo
from feedback.records import input_hash
from feedback.training_set import freeze
from model.card import read_card
from model.data import load_seed
from model.job import Job

CORRECTIONS = 300


def ncbi(data: Path, labels: Sequence[str] = ("Disease",)) -> Demo:
    """Return a demo around NCBI-disease's three files; nothing is written."""
    parts = {
        part: str((data / f"{file}.tsv").resolve())
        for part, file in (("train", "train"), ("validation", "devel"), ("test", "test"))
    }
    name = "ncbi"
    return Demo.model_validate(
        {"path": data / "demo.toml", "name": name, "task": "token_classification", "title": name, "labels": labels, "data": parts}
    )


def measured_round(demo_file: Path, data: Path, work: Path) -> dict[str, object]:
    """Train the demo's seed model, freeze 300 corrections, and time one retraining process over them, stage by stage."""
    seed_dir, out = work / "seed", work / "candidate"
    _train(Job(demo=str(demo_file), out=str(seed_dir), method=load_demo(demo_file).training.method), work / "seed.json")
    _, known = load_seed(ncbi(data))
    chosen = random.Random(1).sample(known.train, CORRECTIONS)
    items = [
        replace(e, correction_id=f"c{i}", contributor=f"u{i % 40}", input_hash=e.input_hash or input_hash(e.input))
        for i, e in enumerate(chosen)
    ]
    snapshot = freeze(items, _made(work / "snapshots"))
    job = Job(
        demo=str(demo_file),
        out=str(out),
        method="full",
        kind="retrain",
        number=2,
        parent=str(seed_dir),
        parent_version=1,
        champion=str(seed_dir),
        champion_version=1,
        snapshot=str(work / "snapshots" / snapshot.id),
        trigger="benchmark",
    )
    begun, worked = time.perf_counter(), _children()
    _train(job, work / "round.json")
    seconds, cpu, card = time.perf_counter() - begun, _children() - worked, read_card(out)
    return {
        "round_s": round(seconds, 1),
        "round_cpu_s": round(cpu, 1),  # of all cores: what the clock shows hangs on what else runs
        "round_training_s": card.training["seconds"],
        "round_examples": card.training["examples"],
        "round_verdict": card.verdict,
    }


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _train(job: Job, file: Path) -> None:
    file.write_text(job.to_json(), encoding="utf-8")
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # as the app starts it
    environment.pop("OMP_NUM_THREADS", None)
    subprocess.run([sys.executable, "-m", "model.train", "--job", str(file)], check=True, cwd=ROOT, env=environment)
