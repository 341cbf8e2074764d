"""What a hyperparameter search is worth: eight trials against the defaults, scored on test data that no part of it saw.

`python benchmarks/search.py --data ../shared/data` searches as `python -m model.search` does, on a sample of NCBI-disease
(entity F1) and of BANKING77 (accuracy), method top. Then defaults and best settings are trained on the whole sample with
seeds that the search did not use, and answer the test set. The table says what the search itself decided, too.
"""

from __future__ import annotations

import csv
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import ROOT, arguments, table, write_json
from feedback.demo import Demo
from feedback.records import Json
from model.answering import Answerer
from model.data import SeedData, network_seed
from model.job import Job
from model.network_task import NetworkTask
from model.paired import paired_counts
from model.parts import Parts
from model.progress import Progress
from model.recipe import settings_of, train_seed
from model.search import Outcome, search
from model.study import defaults_of, ranges_of
from model.trials import Values, compared

METHOD = "top"
SIZES = {"small": (300, 250, 400), "full": (2000, 900, 900)}  # rows of train (BANKING77: twice as many), validation, test
SEEDS = {"small": (101, 102), "full": (101, 102, 103, 104, 105)}


def ncbi_disease(data: Path, to: Path, sizes: tuple[int, int, int]) -> Demo:
    """Return a demo of a sample of NCBI-disease: sentences with diseases marked."""
    files = {}
    for part, name, size in zip(("train", "validation", "test"), ("train", "devel", "test"), sizes, strict=True):
        blocks = (data / "ncbi_disease" / f"{name}.tsv").read_text(encoding="utf-8").strip().split("\n\n")
        chosen = random.Random(7).sample(blocks, min(size, len(blocks)))
        files[part] = str(to / f"{name}.tsv")
        Path(files[part]).write_text("\n\n".join(chosen) + "\n", encoding="utf-8")
    return _demo("ncbi_disease", "token_classification", to, files)


def banking77(data: Path, to: Path, sizes: tuple[int, int, int]) -> Demo:
    """Return a demo of a sample of BANKING77: 77 intents of bank customers; validation comes out of its training file."""
    files = {}
    for name, size in (("train", 2 * sizes[0] + sizes[1]), ("test", sizes[2])):
        with (data / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        chosen = random.Random(7).sample(rows[1:], min(size, len(rows) - 1))
        parts = {"train": chosen[sizes[1] :], "validation": chosen[: sizes[1]]} if name == "train" else {"test": chosen}
        for part, kept in parts.items():
            files[part] = str(to / f"{part}.csv")
            with Path(files[part]).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([("text", "label"), *kept])
    return _demo("banking77", "text_classification", to, files)


def _demo(name: str, task: str, to: Path, files: Mapping[str, str]) -> Demo:
    return Demo.model_validate({"path": to / f"{name}.toml", "name": name, "task": task, "title": name, "data": dict(files)})


def answered(demo: Demo, task: NetworkTask, seed_data: SeedData, values: Values, seed: int) -> list[Json]:
    """Train on the whole training part with these settings and return the outputs on the test part."""
    training = demo.training.model_copy(update={**values, "method": METHOD, "seed": seed})
    told = demo.model_copy(update={"training": training})
    parts = Parts(seed_data.train, [], [], [], held_out=seed_data.held_out)
    model = train_seed(told, task, parts, settings_of(told, Job("", "", method=METHOD)), Progress(None)).model
    model.network.eval()
    answers = Answerer(task, model).answer([e.input for e in seed_data.test], [{}] * len(seed_data.test))
    return [answer.output for answer in answers]


def figures_of(demo: Demo, done: Outcome, seeds: Sequence[int], minutes: float) -> dict[str, Any]:
    """Train both sides anew, answer the test part, and return every figure of one data set."""
    task, data = network_seed(demo)
    truth = [e.output for e in data.test]
    defaults = defaults_of(demo, ranges_of(demo, METHOD))
    pairs = []
    for seed in seeds:
        before = answered(demo, task, data, defaults, seed)
        after = before if done.best == defaults else answered(demo, task, data, done.best, seed)
        pairs.append(paired_counts(task, truth, before, after))
        print(f"{demo.name}, seed {seed}: test {100 * pairs[-1].difference():+.2f} points", flush=True)
    test = compared(pairs)
    return {
        "trials": done.search.trials,
        "pruned": done.search.pruned,
        "minutes": round(minutes, 1),
        "defaults": defaults,
        "best": dict(done.best),
        "taken": bool(done.search.found),
        "decided_on": None if done.compared is None else {**done.compared._asdict(), "better": done.compared.better},
        "test": {**test._asdict(), "better": test.better},
        "train_items": len(data.train),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=30.0, help="of each search, its own comparison included")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    seeds, sizes = SEEDS[options.preset], SIZES[options.preset]
    figures: dict[str, object] = {"method": METHOD, "seeds": list(seeds)}
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as directory:
        for maker in (ncbi_disease, banking77):
            demo = maker(options.data, Path(directory), sizes)
            began = time.monotonic()
            done = search(
                demo, Path(directory) / demo.name, minutes=options.minutes, trials=options.trials, seeds=len(seeds), method=METHOD
            )
            minutes = (time.monotonic() - began) / 60
            print(f"{demo.name}: {done.words}", flush=True)
            found = figures_of(demo, done, seeds, minutes)
            figures[demo.name] = found
            write_json(options.json, figures)
            rows += _rows(demo.name, found)
    columns = ("data", "judged on", "items", "defaults", "best", "gain", "noise", "more than noise")
    print(f"\n{table(columns, rows)}")
    return 0


def _rows(name: str, found: Mapping[str, Any]) -> list[list[object]]:
    rows: list[list[object]] = []
    for what, part in (("fresh items of train", found["decided_on"]), ("test", found["test"])):
        if part is not None:
            cells = [100 * part[key] for key in ("defaults", "score", "gain", "noise")]
            rows.append([name, what, part["items"], *cells, "yes" if part["better"] else "no"])
    settled = "best settings taken" if found["taken"] else "defaults stay"
    rows.append([name, f"{found['trials']} trials, {found['pruned']} pruned, {found['minutes']} min: {settled}", *[""] * 6])
    return rows


if __name__ == "__main__":
    sys.exit(main())
