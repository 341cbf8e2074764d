"""How many planted label errors the cleaning finds: NCBI-disease (spans) and BANKING77 (labels), 5 % of the examples spoilt.

`python benchmarks/cleaning.py --data ../shared/data` ranks every example by the out-of-sample probability of its label
(model/clean.py), beside the same head judging what it learned from (in sample), and beside a random order. Spans: a
third of the errors each are a dropped span, an added one, a border moved by a word. Labels: another label, evenly drawn.
The sets have errors of their own, which count as false alarms here: the figures are lower bounds.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.common import arguments, table, write_json
from feedback.demo import Demo
from feedback.records import Example, Json
from model.base import DEFAULT_BASE, base_directory
from model.clean import FOLDS, Places, Seen, dealt, fitted, places_of, seen_as
from model.data import network_seed
from model.network_task import NetworkTask

SHARE = 0.05
SEEDS = {"small": (11, 12), "full": (11, 12, 13, 14, 15)}  # no setting was chosen on these
SIZES = {"small": 2000, "full": 5000}
KINDS = ("dropped", "added", "border", "label")


class Spoilt(NamedTuple):
    """Examples of which some are wrong: `planted` has the kind of error by the example's number."""

    examples: list[Example]
    planted: dict[int, str]


def drawn(data: Path, name: str, size: int) -> tuple[NetworkTask, list[Example]]:
    """Return a data set's task and `size` of its training examples, drawn with a fixed seed."""
    spans, data = name == "ncbi_disease", data.resolve()  # paths in a demo are relative to its file
    files = {"train": str(data / name / ("train.tsv" if spans else "train.csv"))}
    if spans:
        files["test"] = str(data / name / "test.tsv")
    else:
        files |= {"test": str(data / name / "test.csv"), "text_column": "text", "label_column": "category"}
    raw = {"path": data / name / "demo.toml", "name": name, "task": "token_classification" if spans else "text_classification"}
    task, seed = network_seed(Demo.model_validate({**raw, "title": name, "data": files}))
    return task, random.Random(7).sample(seed.train, min(size, len(seed.train)))


def spoil(task: NetworkTask, examples: Sequence[Example], seed: int) -> Spoilt:
    """Plant errors in 5 % of the examples; an example that a kind of error does not fit is passed over."""
    chance, out = random.Random(seed), list(examples)
    planted: dict[int, str] = {}
    wanted = round(SHARE * len(examples))
    for i in chance.sample(range(len(examples)), len(examples)):
        if len(planted) == wanted:
            break
        kind = "label" if "label" in examples[i].output else KINDS[len(planted) % 3]
        output = (
            wrong_label(task, examples[i].output, chance) if kind == "label" else wrong_spans(kind, examples[i], task, chance)
        )
        if output is not None:
            out[i], planted[i] = replace(examples[i], output=output), kind
    return Spoilt(out, planted)


def wrong_label(task: NetworkTask, output: Json, chance: random.Random) -> Json:
    """Return another label, evenly drawn."""
    return {"label": chance.choice([label for label in task.labels if label != output["label"]])}


def wrong_spans(kind: str, example: Example, task: NetworkTask, chance: random.Random) -> Json | None:
    """Return the spans with one dropped, one word added, or one border moved by a word; None where that cannot be."""
    spans = [dict(span) for span in example.output["spans"]]
    words = words_at(example.input)
    if kind == "added":
        free = [(a, b) for a, b in words if b - a > 3 and not any(a < s["end"] and s["start"] < b for s in spans)]
        if not free:
            return None
        start, end = chance.choice(free)
        spans.append({"start": start, "end": end, "label": chance.choice(task.labels)})
        return {"spans": sorted(spans, key=lambda span: span["start"])}
    if not spans:
        return None
    one = spans.pop(chance.randrange(len(spans)))
    if kind == "border":
        inside = [i for i, (a, b) in enumerate(words) if a < one["end"] and one["start"] < b]
        first, last = inside[0], inside[-1]
        moved = [(first - 1, last), (first, last + 1), (first + 1, last), (first, last - 1)]
        fits = [
            {**one, "start": words[a][0], "end": words[b][1]}
            for a, b in moved
            if 0 <= a <= b < len(words) and not any(words[a][0] < s["end"] and s["start"] < words[b][1] for s in spans)
        ]
        if not fits:
            return None
        spans.append(chance.choice(fits))
    return {"spans": sorted(spans, key=lambda span: span["start"])}


def words_at(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of what white space separates."""
    found, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        found.append((at, at + len(word)))
        at += len(word)
    return found


def relabelled(task: NetworkTask, read: Places, spoilt: Spoilt, source: str) -> Places:
    """Return the places with the labels of the spoilt examples."""
    numbers = sorted(spoilt.planted)
    fresh = places_of(task, [spoilt.examples[i] for i in numbers], source)
    tags = read.tags.copy()
    for place, i in enumerate(numbers):
        tags[read.first[i] : read.first[i + 1]] = fresh.tags[fresh.first[place] : fresh.first[place + 1]]
    return read._replace(tags=tags)


def ranked(task: NetworkTask, examples: Sequence[Example], places: Places, fold: np.ndarray | None) -> list[Seen]:
    """Return how each example is seen: by heads of the other folds, or (fold None) by one head that learned from all."""
    seen: list[Seen | None] = [None] * len(examples)
    parts = np.zeros(len(examples), dtype=int) if fold is None else fold
    for number in range(int(parts.max()) + 1):
        judged = np.flatnonzero(parts == number).tolist()
        teachers = list(range(len(examples))) if fold is None else np.flatnonzero(parts != number).tolist()
        predict = fitted(places, places.of(teachers), len(task.config_labels()))
        for i in judged:
            seen[i] = seen_as(task, examples[i], places, i, predict(places.of([i])))
    return [one for one in seen if one is not None]


def figures(order: np.ndarray, spoilt: Spoilt, kinds: Sequence[str]) -> dict[str, float]:
    """Return precision at 50, 100 and the number planted (there equal to recall), recall at twice that, and recall by kind."""
    hits = np.array([int(i) in spoilt.planted for i in order])
    total = len(spoilt.planted)
    found = {
        "precision_at_50": float(hits[:50].mean()),
        "precision_at_100": float(hits[:100].mean()),
        "precision_at_planted": float(hits[:total].mean()),
        "recall_at_50": float(hits[:50].sum()) / total,
        "recall_at_100": float(hits[:100].sum()) / total,
        "recall_at_twice_planted": float(hits[: 2 * total].sum()) / total,
    }
    for kind in kinds:
        of_kind = [i for i in order[:total] if spoilt.planted.get(int(i)) == kind]
        found[f"recall_{kind}"] = len(of_kind) / list(spoilt.planted.values()).count(kind)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; print tables, write the JSON."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder with ncbi_disease and banking77")
    parser.add_argument("--sets", nargs="+", default=["ncbi_disease", "banking77"])
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    source = base_directory(DEFAULT_BASE)
    out: dict[str, Any] = {
        "share": SHARE,
        "seeds": list(SEEDS[options.preset]),
        "folds": FOLDS,
        "threads": torch.get_num_threads(),
    }
    for name in options.sets:
        began = time.perf_counter()
        task, clean = drawn(options.data, name, SIZES[options.preset])
        kinds = ("label",) if name == "banking77" else KINDS[:3]
        read = places_of(task, clean, source)  # what the base sees does not hang on the labels: read once
        runs: dict[str, list[dict[str, float]]] = {"out_of_sample": [], "in_sample": [], "random": []}
        for seed in SEEDS[options.preset]:
            spoilt = spoil(task, clean, seed)
            places = relabelled(task, read, spoilt, source)
            fold = dealt([e.input for e in clean], [json.dumps(e.output) for e in spoilt.examples], FOLDS, seed)
            for how, folds in (("out_of_sample", fold), ("in_sample", None)):
                seen = ranked(task, spoilt.examples, places, folds)
                order = np.argsort([one.confidence for one in seen], kind="stable")
                found = figures(order, spoilt, kinds)
                top = [int(i) for i in order[: len(spoilt.planted)] if int(i) in spoilt.planted]
                found["proposal_is_the_right_label"] = float(np.mean([seen[i].proposal == clean[i].output for i in top]))
                runs[how].append(found)
            chance = np.random.default_rng(seed).permutation(len(clean))
            runs["random"].append({**figures(chance, spoilt, kinds), "proposal_is_the_right_label": 0.0})
            print(f"{name}, seed {seed}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        means = {how: {key: float(np.mean([run[key] for run in some])) for key in some[0]} for how, some in runs.items()}
        names = list(means["out_of_sample"])
        planted = round(SHARE * len(clean))
        print(f"\n{name}: {len(clean)} examples, {planted} planted errors, mean of seeds {SEEDS[options.preset]}")
        print(table(["", *means], [[key, *(means[how][key] for how in means)] for key in names]))
        out |= {f"{name}_examples": len(clean), f"{name}_planted": planted, f"{name}_seconds": round(time.perf_counter() - began)}
        out |= {f"{name}_{how}_{key}": round(value, 4) for how in means for key, value in means[how].items()}
        out |= {f"{name}_{how}_by_seed": [round(run["precision_at_planted"], 4) for run in some] for how, some in runs.items()}
    write_json(options.json, out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
