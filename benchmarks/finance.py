"""How well the financial watch reads real tweets: accuracy and macro F1 of sentiment on the validation set of twitter_fin_sentiment.

`python benchmarks/finance.py --data ../shared/data` compares the finance demo's starter set, which holds no tweet and no label of that
set (its two heads are carried over as they are: negative = bearish, positive = bullish), with the same task taught by the set's own
training part, which tells the sentiment alone. Beside them the answer that is right most often. Each method once, seed 1; nothing was
chosen on the validation set. The set has no topics: of these only the share that each topic is answered is printed. Preset small:
`full` makes one epoch over the tweets; full: three. Each line is printed as soon as it is there.
"""

from __future__ import annotations

import csv
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from sklearn.metrics import accuracy_score, f1_score

from benchmarks.common import ROOT, arguments, table, write_json
from feedback.demo import load_demo
from feedback.records import Example, Json, input_hash
from model.answering import Answerer
from model.base import base_directory, begin
from model.data import network_seed
from model.methods import FitSettings, fit
from model.network_task import NetworkTask

SENTIMENTS = {"0": "negative", "1": "positive", "2": "neutral"}  # the set's: bearish, bullish, neutral
EPOCHS = {"small": 1, "full": 3}
_COLUMNS = ("taught by", "method", "texts", "epochs", "accuracy", "macro F1", "seconds")


class Line(NamedTuple):
    """One row of the table. Scores are shares, of sentiment on the validation part."""

    source: str
    method: str
    texts: int
    epochs: int
    accuracy: float
    macro_f1: float
    seconds: float


def tweets(path: Path) -> list[Example]:
    """Return the rows of one part; they tell the sentiment alone."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Example(row["text"], {"labels": {"sentiment": SENTIMENTS[row["label"]]}}, input_hash=input_hash(row["text"]))
            for row in csv.DictReader(file)
        ]


def learned(task: NetworkTask, base: str, train: Sequence[Example], method: str, epochs: int) -> tuple[Answerer, float]:
    """Return what answers after one training, and the seconds that it took."""
    model = begin(task, base, 1)
    took = fit(model, task.encode(model.tokenizer, train), FitSettings(method=method, epochs=epochs, device="cpu"))
    return Answerer(task, model), took.seconds


def answers_of(answerer: Answerer, texts: Sequence[Example]) -> list[Json]:
    """Return the labels by head of every text's answer."""
    return [answer.output["labels"] for answer in answerer.answer([e.input for e in texts], [{}] * len(texts))]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(argv)
    folder = chosen.data / "twitter_fin_sentiment"
    if not folder.is_dir():
        print(f"{folder}: the data set is not here; see --data", file=sys.stderr)
        return 2
    torch.set_num_threads(chosen.threads)
    demo = load_demo(ROOT / "demos" / "finance.toml")
    task, seed = network_seed(demo)
    base = base_directory(demo.base)
    judge = tweets(folder / "sent_valid.csv")
    seen = {e.input_hash for e in judge}
    train = [e for e in tweets(folder / "sent_train.csv") if e.input_hash not in seen]
    truth = [e.output["labels"]["sentiment"] for e in judge]
    only = type(task)([label for label in task.labels if label.startswith("sentiment/")])
    assert isinstance(only, NetworkTask)
    commonest = Counter(truth).most_common(1)[0][0]
    lines = [_line("nobody: always " + commonest, "-", 0, 0, truth, [commonest] * len(truth), 0.0)]
    topics: Counter[str] = Counter()
    jobs = [
        ("starter set", task, seed.train, "head", 0), ("starter set", task, seed.train, "full", demo.training.epochs),
        ("its tweets", only, train, "head", 0), ("its tweets", only, train, "full", EPOCHS[chosen.preset]),
    ]  # fmt: skip
    for source, which, examples, method, epochs in jobs:
        began = time.perf_counter()
        answerer, seconds = learned(which, base, examples, method, epochs)
        said = answers_of(answerer, judge)
        lines.append(_line(source, method, len(examples), epochs, truth, [one["sentiment"] for one in said], seconds))
        topics = Counter(one["topic"] for one in said) if method == "full" and which is task else topics
        print(f"{source}, {method}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        _report(lines, topics, len(judge), chosen.preset, chosen.json)
    print(table(_COLUMNS, lines))
    print(
        "\ntopics that the starter's `full` answers: " + ", ".join(f"{t} {n / len(judge):.1%}" for t, n in topics.most_common())
    )
    return 0


def _line(source: str, method: str, texts: int, epochs: int, truth: Sequence[str], said: Sequence[str], seconds: float) -> Line:
    accuracy, macro = float(accuracy_score(truth, said)), float(f1_score(truth, said, average="macro", zero_division=0))
    return Line(source, method, texts, epochs, accuracy, macro, seconds)


def _report(lines: Sequence[Line], topics: Counter[str], judged: int, preset: str, path: Path | None) -> None:
    figures: dict[str, object] = {"preset": preset, "judged": judged}
    for line in lines:
        name = "majority" if line.texts == 0 else f"{'starter' if line.source == 'starter set' else 'tweets'}_{line.method}"
        figures |= {
            f"{name}_{key}": round(float(getattr(line, key)), 4) for key in ("accuracy", "macro_f1", "texts", "epochs", "seconds")
        }
    write_json(path, {**figures, **{f"topic_share_{name}": round(n / judged, 4) for name, n in topics.most_common()}})


if __name__ == "__main__":
    raise SystemExit(main())
