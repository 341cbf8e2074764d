"""How fast training is, at which F1: the article's loop, transformers' Trainer and our methods on the same base and sentences.

`python benchmarks/training.py --data ../shared/data/ncbi_disease`: sentences of NCBI-disease's train split, each loop once a
seed, all loops of a seed one after another in one process (in an order that turns with the seed), on `--threads` threads. A
rate is real tokens (no padding) of the set times epochs, by CPU-seconds of all threads from texts to trained weights; `head`
passes over the set once where the others pass `--epochs` times, and its rate says how fast it does the same job. Ratios are
medians over seeds of the paired ratio to the article's loop. F1 is strict entity F1 on held-out test sentences; its noise is
the 95 % interval of the difference to the article's by a bootstrap over seeds and sentences.

`round_s` is a round as the app does it, on all cores: `python -m model.train --job` from the disease demo's seed model, its seed
data and 300 accepted corrections of NCBI-disease sentences (a fifth of them gates), from start of the process to its end.
bf16 is run (and named) only where the CPU multiplies it in hardware.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.common import ROOT, arguments, table, write_json
from benchmarks.training_loops import Loop, Work, article, ours, trainer
from benchmarks.training_round import measured_round, ncbi
from feedback.records import Example
from model.answering import Answerer
from model.base import DEFAULT_BASE, base_directory, begin
from model.data import network_seed
from model.methods import fast_bf16
from model.network_task import NetworkTask


class Size(NamedTuple):
    """How much is learned and judged: sentences to train on and to test on, and seeds (0: all there are)."""

    train: int
    test: int
    seeds: int


SIZES = {"small": Size(240, 470, 3), "full": Size(0, 0, 3)}


class Run(NamedTuple):
    """One training: CPU-seconds, seconds by the clock, F1, and tp, fp, fn by test sentence, (sentences, 3)."""

    cpu: float
    clock: float
    f1: float
    counts: np.ndarray


def loops(device: torch.device) -> dict[str, Loop]:
    """Return the loops by name; Trainer in bf16 where the device is fast at it, as ours then is by itself."""
    found: dict[str, Loop] = {"article": article, "trainer": trainer}
    if fast_bf16(device):
        found["trainer_bf16"] = lambda model, work: trainer(model, work, bf16=True)
    return {**found, **{method: ours(method) for method in ("full", "top", "head")}}


def run(loop: Loop, work: Work, base: str, test: Sequence[Example]) -> Run:
    """Train one network from the base and judge it on the test sentences, which nothing else looks at."""
    model = begin(work.task, base, work.seed)
    gc.collect()
    clock, cpu = time.perf_counter(), time.process_time()
    loop(model, work)
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    outputs = [answer.output for answer in Answerer(work.task, model).answer([e.input for e in test], [{}] * len(test))]
    counts = np.array([counted(work.task, e, output) for e, output in zip(test, outputs, strict=True)])
    return Run(cpu, clock, float(f1(counts.sum(axis=0))), counts)


def counted(task: NetworkTask, example: Example, output: object) -> tuple[int, int, int]:
    """Return (tp, fp, fn) of one sentence over all labels."""
    found = task.counts(example.output, output).values()
    return sum(c.tp for c in found), sum(c.fp for c in found), sum(c.fn for c in found)


def f1(sums: np.ndarray) -> np.ndarray:
    """Return micro F1 of (..., 3) sums of tp, fp, fn; 1 where there is nothing to find and nothing was found."""
    below = 2 * sums[..., 0] + sums[..., 1] + sums[..., 2]
    return np.where(below > 0, 2 * sums[..., 0] / np.maximum(below, 1), 1.0)


def difference(ours_: Sequence[Run], theirs: Sequence[Run], draws: int = 2000) -> tuple[float, float, float]:
    """Return (mean F1 difference, 2.5 % and 97.5 % bounds): seeds and sentences are drawn anew, the same for both sides.

    Of few seeds a bootstrap knows too little: the interval is rather too narrow than too wide.
    """
    both = np.stack([[r.counts for r in ours_], [r.counts for r in theirs]])  # (side, seeds, sentences, 3)
    random_ = np.random.default_rng(0)
    found = np.empty(draws)
    for i in range(draws):
        seeds = random_.integers(both.shape[1], size=both.shape[1])
        weights = np.bincount(random_.integers(both.shape[2], size=both.shape[2]), minlength=both.shape[2])
        scores = f1(np.einsum("sknc,n->skc", both[:, seeds], weights)).mean(axis=1)  # (side,)
        found[i] = scores[0] - scores[1]
    point = statistics.mean(r.f1 for r in ours_) - statistics.mean(r.f1 for r in theirs)
    return point, float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))


def tokens_of(work: Work, base: str) -> int:
    """Return the real tokens of the set, special tokens included, times epochs."""
    tokenizer = begin(work.task, base, work.seed).tokenizer
    return work.epochs * sum(len(f["input_ids"]) for f in work.task.encode(tokenizer, work.examples))


def figures_of(runs: Mapping[str, Sequence[Run]], tokens: int) -> dict[str, object]:
    """Return rates, ratios to the article's loop (medians over seeds, paired), F1 means and differences, flat."""
    found: dict[str, object] = {}
    for name, several in runs.items():
        found[f"rate_{name}"] = round(statistics.median(tokens / r.cpu for r in several), 1)
        found[f"cpu_s_{name}"] = round(statistics.median(r.cpu for r in several), 2)
        found[f"f1_{name}"] = round(statistics.mean(r.f1 for r in several), 4)
        if name != "article":
            ratios = [a.cpu / r.cpu for a, r in zip(runs["article"], several, strict=True)]
            found[f"speedup_{name}"] = round(statistics.median(ratios), 2)
            point, low, high = (round(value, 4) for value in difference(several, runs["article"]))
            found |= {f"f1_difference_{name}": point, f"f1_low_{name}": low, f"f1_high_{name}": high}
    found["f1_ours"] = found["f1_full"]
    return found


def main() -> int:
    """Run the benchmark; print the tables, write the JSON."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "ncbi_disease")
    parser.add_argument("--demo", type=Path, default=ROOT / "demos" / "disease.toml", help="whose seed the round starts from")
    parser.add_argument("--threads", type=int, default=1, help="threads of the loops (the round takes all cores)")
    parser.add_argument("--part", choices=("all", "loops", "round"), default="all")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--train", type=int, default=None, help="training sentences; 0: all")
    parser.add_argument("--test", type=int, default=None, help="test sentences; 0: all")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data} is not a folder: this benchmark needs ncbi_disease", file=sys.stderr)
        return 2
    size = Size(
        *(
            given if given is not None else usual
            for given, usual in zip((options.train, options.test, options.seeds), SIZES[options.preset], strict=True)
        )
    )
    torch.set_num_threads(options.threads)
    figures: dict[str, object] = {}
    if options.part != "round":
        for figures in compared(options.data, size, options.epochs):
            figures["threads"] = options.threads
            write_json(options.json, figures)  # after every seed: a run that is cut off leaves what it has
    if options.part != "loops":
        with tempfile.TemporaryDirectory(prefix="amend-round-") as folder:
            figures |= measured_round(options.demo.resolve(), options.data, Path(folder))
        print({key: value for key, value in figures.items() if key.startswith("round")})
    write_json(options.json, figures)
    return 0


def compared(data: Path, size: Size, epochs: int) -> Iterator[dict[str, object]]:
    """Run every loop once a seed, print as it goes, and yield the figures so far after each seed."""
    task, known = network_seed(ncbi(data))
    draw = random.Random(0)
    train = draw.sample(known.train, size.train or len(known.train))
    test = draw.sample(known.test, size.test or len(known.test))
    base, device = base_directory(DEFAULT_BASE), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ways = loops(device)
    names = list(ways)
    tokens = tokens_of(Work(task, train, epochs), base)
    bf16 = "run" if fast_bf16(device) else "not run: this machine does not multiply it in hardware"
    told = {"sentences": len(train), "tokens": tokens, "epochs": epochs, "test_sentences": len(test), "bf16": bf16}
    run(ours("full"), Work(task, train[:32], 1), base, test[:8])  # to warm up
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for seed in range(1, size.seeds + 1):
        turn = (seed - 1) % len(names)
        for name in names[turn:] + names[:turn]:
            one = run(ways[name], Work(task, train, epochs, seed=seed), base, test)
            runs[name].append(one)
            print(
                f"seed {seed} {name}: {tokens / one.cpu:.0f} tokens a CPU-second, {one.clock:.1f} s, F1 {one.f1:.3f}", flush=True
            )
        yield {**figures_of(runs, tokens), **told, "seeds": seed}
    print(shown(names, figures_of(runs, tokens)))


def shown(names: Sequence[str], figures: Mapping[str, object]) -> str:
    """Return the table of the loops; empty where a figure does not apply."""
    keys = ("rate", "speedup", "f1", "f1_difference", "f1_low", "f1_high")
    rows = [[name, *(figures.get(f"{key}_{name}", "") for key in keys)] for name in names]
    return table(["loop", "tokens/CPU-s", "ratio", "F1", "difference", "from", "to"], rows)


if __name__ == "__main__":
    sys.exit(main())
