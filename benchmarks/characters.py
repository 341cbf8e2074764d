"""The Chinese starter demo on a base made of its own characters, beside a plain n-gram classifier: accuracy, macro F1, seconds.

`python -m benchmarks.characters --json docs/benchmarks/characters.json`, five minutes on one core. The demo's own training part (three
labels) is learned with the settings of its TOML, three seeds, from random weights and from weights that guessed hidden characters of
the same sentences first (masked language model); `frozen` leaves the embeddings as they were made, `head` all but the output layer.
Beside them scikit-learn's logistic regression on TF-IDF of one to three characters (C = 10), the only rival that learns from so little.
Judged on the demo's validation and test parts. The settings were chosen on validation, so test is the figure to quote; the gold
items, which are meant to be hard, are shown too. `p`: McNemar's exact two-sided test against the n-grams on the test part, by seed.
The texts are one writer's, many in contrasting pairs: what is told is what the demo does out of the box, not what Chinese reviews allow.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import binomtest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from benchmarks.common import ROOT, arguments, table, write_json
from feedback.demo import Demo, load_demo
from feedback.records import Example
from model.answering import Answerer
from model.base import begin
from model.data import load_gold, network_seed
from model.job import Job
from model.methods import FitSettings, fit
from model.network_task import NetworkTask
from model.recipe import settings_of
from model.scratch import STANDARD, Scratch, build

SEEDS = {"small": (1,), "full": (1, 2, 3)}
MASKED = {"small": (12,), "full": (12,)}
"""Epochs of masked-language-model training that are tried."""
COLUMNS = ("learner", "seed", "validation", "test", "test_f1", "gold", "p", "cpu_s")

Says = Callable[[Sequence[str]], list[str]]


class Data(NamedTuple):
    """The demo's task and its parts."""

    task: NetworkTask
    train: list[Example]
    validation: list[Example]
    test: list[Example]
    gold: list[Example]


def data_of(demo: Demo) -> Data:
    """Return the demo's parts as its trainings see them."""
    task, seed = network_seed(demo)
    return Data(task, seed.train, seed.validation, seed.test, load_gold(demo, task))


def right(says: Says, part: Sequence[Example]) -> np.ndarray:
    """Return for each item whether it is answered rightly: (items,) of bool."""
    said = says([example.input for example in part])
    return np.array([one == example.output["label"] for one, example in zip(said, part, strict=True)])


def ngrams(data: Data) -> Says:
    """Return logistic regression on TF-IDF of one to three characters, fitted."""
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    fitted = make_pipeline(vectors, LogisticRegression(C=10, max_iter=2000))
    fitted.fit([example.input for example in data.train], [example.output["label"] for example in data.train])
    return lambda texts: [str(label) for label in fitted.predict(list(texts))]


def learned(data: Data, base: Path, settings: FitSettings) -> Says:
    """Return a network trained from a base."""
    model = begin(data.task, str(base), settings.seed)
    fit(model, data.task.encode(model.tokenizer, data.train), settings)
    answerer = Answerer(data.task, model)
    return lambda texts: [str(answer.output["label"]) for answer in answerer.answer(list(texts), [{}] * len(texts))]


def judged(data: Data, says: Says, rival: np.ndarray | None) -> list[object]:
    """Return accuracy on validation and test, macro F1 on test, accuracy on gold, and p against the rival's rights on test."""
    test = right(says, data.test)
    truth = [example.output["label"] for example in data.test]
    f1 = float(f1_score(truth, says([example.input for example in data.test]), average="macro"))
    p: object = "-"
    if rival is not None:
        ours, theirs = int((test & ~rival).sum()), int((~test & rival).sum())
        p = float(binomtest(ours, ours + theirs, 0.5).pvalue) if ours + theirs else 1.0
    return [float(right(says, data.validation).mean()), float(test.mean()), f1, float(right(says, data.gold).mean()), p]


def learners(demo: Demo, seed: int, masked: Sequence[int]) -> list[tuple[str, Scratch, FitSettings]]:
    """Return name, base and settings of everything that is tried with a seed."""
    full = settings_of(demo, Job(demo=str(demo.path), out="unused"))._replace(seed=seed, device="cpu")
    random = STANDARD._replace(epochs=0, seed=seed)
    tried = [
        ("random weights", random, full),
        ("random weights, frozen", random, full._replace(freeze_embeddings=True)),
        ("random weights, head", random, full._replace(method="head")),
    ]
    for epochs in masked:
        base = random._replace(epochs=epochs)
        tried += [(f"masked {epochs}", base, full), (f"masked {epochs}, head", base, full._replace(method="head"))]
    return tried


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit status."""
    parser = arguments(__doc__, "full")
    parser.add_argument("--demo", type=Path, default=ROOT / "demos" / "sentiment_zh.toml")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    demo = load_demo(options.demo)
    data = data_of(demo)
    figures: dict[str, object] = {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}
    began = time.process_time()
    plain = ngrams(data)
    rows: list[list[object]] = [["n-grams", "-", *judged(data, plain, None), time.process_time() - began]]
    rival = right(plain, data.test)
    with tempfile.TemporaryDirectory() as directory:
        for seed in SEEDS[options.preset]:
            for name, settings, how in learners(demo, seed, MASKED[options.preset]):
                base = Path(directory) / f"{seed}-{settings.epochs}"
                began = time.process_time()
                if not base.exists():
                    build([example.input for example in data.train], base, settings)
                rows.append([name, seed, *judged(data, learned(data, base, how), rival), time.process_time() - began])
                print(table(COLUMNS, rows[-1:]), flush=True)
    for row in rows:
        key = f"{row[0]}_{row[1]}".replace(" ", "_").replace(",", "")
        figures |= {
            f"{key}_{name}": round(value, 4) for name, value in zip(COLUMNS[2:], row[2:], strict=True) if isinstance(value, float)
        }
    print("\n" + table(COLUMNS, rows))
    write_json(options.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
