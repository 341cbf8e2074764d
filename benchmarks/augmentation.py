"""What made-up training examples (model/augment.py) are worth: F1 or accuracy with and without, the same seeds, paired.

`python benchmarks/augmentation.py --data ../shared/data` trains on the starter sets and on a tenth of NCBI-disease: as it
is, with as many made-up examples again, and (where a method makes steps) with twice the epochs instead, since made-up
examples also double the steps. Judged on what training never saw: starter sets validation + test, NCBI-disease 500 test
sentences. Nothing was chosen on them. Each line is written as soon as it is there.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.common import ROOT, arguments, table, write_json
from feedback.demo import Demo, load_demo
from feedback.records import Example, Json
from model.answering import Answerer
from model.augment import augmented
from model.base import DEFAULT_BASE, base_directory, begin
from model.data import network_seed
from model.methods import FitSettings, fit
from model.network_task import NetworkTask
from model.paired import paired_counts

SEEDS = {"small": (1, 2), "full": (1, 2, 3, 4, 5)}
SHARE = 1.0


class Problem(NamedTuple):
    """What is learned and what judges it; `held_out`: input hashes that no made-up example may have."""

    name: str
    method: str
    epochs: int
    task: NetworkTask
    train: list[Example]
    judge: list[Example]
    held_out: frozenset[str]


def problems(data: Path) -> list[Problem]:
    """Return the three problems: disease (top), support (head), a tenth of NCBI-disease (top)."""
    found = []
    for name, method in (("disease", "top"), ("support", "head")):
        demo = load_demo(ROOT / "demos" / f"{name}.toml")
        task, seed = network_seed(demo)
        judge = [*seed.validation, *seed.test]
        found.append(Problem(name, method, demo.training.epochs, task, seed.train, judge, seed.held_out))
    folder = (data / "ncbi_disease").resolve()
    files = {part: str(folder / f"{file}.tsv") for part, file in (("train", "train"), ("validation", "devel"), ("test", "test"))}
    raw = {"path": folder / "demo.toml", "name": "ncbi", "task": "token_classification", "title": "ncbi", "data": files}
    task, seed = network_seed(Demo.model_validate(raw))
    tenth = random.Random(7).sample(seed.train, len(seed.train) // 10)
    found.append(Problem("ncbi_disease 10 %", "top", 3, task, tenth, random.Random(7).sample(seed.test, 500), seed.held_out))
    return found


def answered(problem: Problem, seed: int, share: float, epochs: float, threads: int) -> list[Json]:
    """Train from the packaged base and return the outputs on what judges."""
    model = begin(problem.task, base_directory(DEFAULT_BASE), seed)
    made = augmented(problem.train, share, seed, problem.held_out)
    settings = FitSettings(problem.method, epochs=epochs, seed=seed, device="cpu", threads=threads)
    fit(model, problem.task.encode(model.tokenizer, [*problem.train, *made]), settings)
    answers = Answerer(problem.task, model).answer([e.input for e in problem.judge], [{}] * len(problem.judge))
    return [answer.output for answer in answers]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(argv)
    figures: dict[str, object] = {"share": SHARE}
    rows: list[list[object]] = []
    every = problems(options.data)
    for seed in SEEDS[options.preset]:
        for problem in every:
            truth = [example.output for example in problem.judge]
            off = answered(problem, seed, 0.0, problem.epochs, options.threads)
            arms = {"augmented": (SHARE, problem.epochs), "twice the epochs": (0.0, 2 * problem.epochs)}
            key = f"{problem.name}, {problem.method}, seed {seed}"
            figures[f"{key}: off"] = problem.task.score(truth, off)["main"]
            for arm, (share, epochs) in arms.items():
                if problem.method == "head" and not share:
                    continue  # a head is fitted to the end: it has no epochs
                outputs = answered(problem, seed, share, epochs, options.threads)
                pairs = paired_counts(problem.task, truth, off, outputs)
                score = problem.task.score(truth, outputs)["main"]
                figures |= {f"{key}: {arm}": score, f"{key}: {arm}, standard error of the difference": pairs.standard_error()}
                rows.append([problem.name, problem.method, seed, arm, figures[f"{key}: off"], score, pairs.difference()])
                print(rows[-1], file=sys.stderr, flush=True)
                write_json(options.json, figures)
    print(table(["problem", "method", "seed", "arm", "off", "on", "difference"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
