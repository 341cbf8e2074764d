"""The data of feedback_to_quality.py, split: what the seed version learns, what visitors meet, the traps and the tests. It trains nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.crowd_simulation import TRAPS
from benchmarks.sleeper_visitors import Lie
from feedback.demo import Demo, load_demo
from feedback.errors import BadInput
from feedback.records import Example
from model.data import SeedData, load_seed
from model.task import Task

SEED_SHARE = 0.10  # of the training sentences
OWN_TEST = 20  # sentences; the whole test is scored here, sentence by sentence, not once more by each training


class Settings(NamedTuple):
    """What a run of the benchmark is made of; a state folder belongs to one of these. `validation`, `test`: at most so many sentences."""

    rounds: int
    items: int  # texts met a round
    method: str
    validation: int | None = None
    test: int | None = None
    epochs: int = 5  # of the seed version
    base: str = ""  # of the demo; "": the default


class Played(NamedTuple):
    """One seed of a data set, ready to be played. `texts`: right answers by the names of quality_visitors.plan."""

    demo: Demo
    task: Task
    seed: SeedData
    texts: dict[str, Example]
    test: list[Example]
    lie: Lie
    number: int
    settings: Settings
    folder: Path

    @property
    def start(self) -> Path:
        """Return the folder of round 0: the version that learned from the seed alone."""
        return self.folder / "start"


def deal(data: Path, folder: Path, number: int, settings: Settings) -> Played:
    """Split the data and write the demo: the same split for the same seed `number`. Raises BadInput where there is too little."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"train": str(data / "train.tsv"), "validation": str(data / "devel.tsv"), "test": str(data / "test.tsv")}
    task, known = load_seed(_demo(folder, "whole", files, settings))
    dealt = [known.train[int(i)] for i in np.random.default_rng(number).permutation(len(known.train))]
    cut, wanted = round(SEED_SHARE * len(dealt)), TRAPS + settings.rounds * settings.items
    met = dealt[cut : cut + wanted]
    if len(met) < wanted:
        raise BadInput(f"{data / 'train.tsv'}: {len(dealt)} sentences; {cut} of seed and {wanted} to be met are asked")
    test = known.test[: settings.test]
    parts = {"seed": dealt[:cut], "gold": met[:TRAPS], "valid": known.validation[: settings.validation], "test": test[:OWN_TEST]}
    for name, part in parts.items():
        lines = [json.dumps({"text": example.input, **example.output}, ensure_ascii=False) + "\n" for example in part]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    own = {"train": "seed.jsonl", "validation": "valid.jsonl", "test": "test.jsonl"}
    demo = _demo(folder, "loop", own, settings, task.labels)
    names = [f"trap{place:03d}" for place in range(TRAPS)] + [f"item{place:04d}" for place in range(len(met) - TRAPS)]
    task, seed = load_seed(demo)
    texts = dict(zip(names, met, strict=True))
    return Played(demo, task, seed, texts, test, Lie(task.labels[0], task.labels), number, settings, folder)


def _demo(folder: Path, name: str, files: dict[str, str], settings: Settings, labels: Sequence[str] = ()) -> Demo:
    listed = "\n".join(f"{key} = {json.dumps(value)}" for key, value in files.items())
    base = f"base = {json.dumps(settings.base)}\n" if settings.base else ""
    gold = 'gold = "gold.jsonl"\n' if labels else ""
    path = folder / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\ntask = "token_classification"\ntitle = "{name}"\nlabels = {json.dumps(list(labels))}\n{base}'
        f'[data]\n{listed}\n[training]\nmethod = "{settings.method}"\nepochs = {settings.epochs}\n'
        f'[acceptance]\npolicy = "reliability"\n{gold}',
        encoding="utf-8",
    )
    return load_demo(path)
