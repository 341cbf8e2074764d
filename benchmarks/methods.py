"""The five ways of learning (model/methods.py) side by side on the same examples: score on the test part, CPU seconds, size.

`python -m benchmarks.methods --json docs/benchmarks/methods.json` takes five minutes on two busy cores: 1,001 questions of BANKING77 (13 of
each of its 77 intents) and 500 sentences of NCBI-disease, each with the settings that a demo has where its TOML says nothing
(3 epochs, learning rate 3e-4; adapters multiply the rate, model/adapters.py). Judged on 1,000 and 500 items of the test files,
which nothing was chosen on. `cpu_s` is the training alone, all threads together; `changed_m` counts the parameters (millions) that
differ from before the training; `saved_mb` is what a version weighs on disk, adapters being part of the network by then.
Each line is written as soon as it is there.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.common import ROOT, arguments, table, write_json
from feedback.records import Example, input_hash
from model.adapters import with_prompt
from model.answering import Answerer
from model.base import DEFAULT_BASE, Model, base_directory, begin
from model.methods import METHODS, FitSettings, fit
from model.network_task import NetworkTask, network_type
from model.readers import read_rows

SEEDS = {"small": (1,), "full": (1, 2, 3)}
COLUMNS = ("data", "method", "seed", "score", "cpu_s", "changed_m", "saved_mb")


class Problem(NamedTuple):
    """What is learned, and what judges it."""

    name: str
    task: NetworkTask
    train: list[Example]
    test: list[Example]


def examples_of(path: Path, task: str, label_column: str = "label") -> list[Example]:
    """Return a file's rows as examples, in the file's order."""
    return [Example(row.text, row.output, input_hash=input_hash(row.text)) for row in read_rows(path, task, "text", label_column)]


def problems(data: Path) -> list[Problem]:
    """Return intents (13 questions of each to learn from, 1,000 to judge by) and diseases (500 and 500 sentences)."""
    intents: dict[str, list[Example]] = defaultdict(list)
    for example in examples_of(data / "banking77" / "train.csv", "text_classification", "category"):
        intents[example.output["label"]].append(example)
    draw = random.Random(7)
    train = [example for label in sorted(intents) for example in draw.sample(intents[label], 13)]
    test = draw.sample(examples_of(data / "banking77" / "test.csv", "text_classification", "category"), 1_000)
    found = [Problem("banking77", network_type("text_classification")(sorted(intents)), train, test)]
    train, test = (
        draw.sample(examples_of(data / "ncbi_disease" / f"{part}.tsv", "token_classification"), 500) for part in ("train", "test")
    )
    labels = sorted({span["label"] for example in train for span in example.output["spans"]})
    return [*found, Problem("ncbi_disease", network_type("token_classification")(labels), train, test)]


def once(problem: Problem, settings: FitSettings) -> tuple[float, float, float, float]:
    """Train from the packaged base; return score (0..1), CPU seconds, millions of changed parameters, and megabytes on disk."""
    model = begin(problem.task, base_directory(DEFAULT_BASE), settings.seed)
    if settings.method == "prompt":
        model = with_prompt(model, settings.prompt_length, settings.seed)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    features = problem.task.encode(model.tokenizer, problem.train)
    began = time.process_time()
    fit(model, features, settings)
    took = time.process_time() - began
    changed = sum(int((value != before[name]).sum()) for name, value in model.network.state_dict().items())
    answers = Answerer(problem.task, model).answer([e.input for e in problem.test], [{}] * len(problem.test))
    score = problem.task.score([e.output for e in problem.test], [answer.output for answer in answers])["main"]
    return score, took, changed / 1e6, saved_mb(model)


def saved_mb(model: Model) -> float:
    """Return how many megabytes (10^6) the network and its tokenizer take as files."""
    with tempfile.TemporaryDirectory() as directory:
        for part in model:
            part.save_pretrained(directory)
        return sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file()) / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(argv)
    figures: dict[str, object] = {"seeds": list(SEEDS[options.preset]), "threads": options.threads}
    rows: list[list[object]] = []
    for problem in problems(options.data):
        for seed in SEEDS[options.preset]:
            for method in METHODS:
                done = once(problem, FitSettings(method, seed=seed, device="cpu", threads=options.threads))
                rows.append([problem.name, method, seed, *done])
                for name, value in zip(COLUMNS[3:], done, strict=True):
                    figures[f"{problem.name}_{method}_{seed}_{name}"] = round(value, 4)
                print(table(COLUMNS, rows[-1:]), flush=True)
                write_json(options.json, figures)
    print("\n" + table(COLUMNS, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
