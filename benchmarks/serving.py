"""Answers a second and how long they take: a transformers pipeline, called as its guide shows, beside ours by engine.

    python benchmarks/serving.py [--preset full] [--json FILE]

One model (NCBI-disease, `python -m model.train`'s own recipe, trained here once and kept in --state), one process, the same sentences.
`pipeline` is called by each client's thread for its own sentence, as a handler of a web framework would. Ours is the Predictor
that the app has: queue, micro-batches, tokens with offsets, post-processing. Each part: 1, 16 and 64 clients, each with one request
open at any time. Parts take turns several times; figures are medians over the turns. `memory`: what a second version of the same
base adds to the process. `retraining`: latency of ours alone and beside a training process as the app starts it.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch
from transformers import pipeline

from benchmarks.common import ROOT, arguments, table, write_json
from benchmarks.serving_beside import beside_retraining
from benchmarks.training_round import ncbi
from feedback.records import Example
from model.answering import Answerer, open_checkpoint, open_network
from model.base import quiet
from model.data import network_seed
from model.job import Job
from model.making import run_job
from model.network_task import network_task
from model.progress import Progress
from model.quantised import Quantised, drift_of
from model.serve import Predictor
from model.versions import Versions

CLIENTS = (1, 16, 64)
DATA = ROOT.parent / "shared" / "data" / "ncbi_disease"

Ask = Callable[[str], object]


class Timed(NamedTuple):
    """One part at one number of clients: answers a second, milliseconds at the median and at the 95th percentile, CPU ms an answer."""

    rate: float
    p50: float
    p95: float
    cpu: float


def drive(ask: Ask, texts: Sequence[str], clients: int, seconds: float, pause: float = 0.0) -> Timed:
    """Let `clients` threads ask one after another for so many seconds, each pausing `pause` seconds after an answer."""
    ends, took = time.perf_counter() + seconds, [list[float]() for _ in range(clients)]
    process = psutil.Process()

    def client(number: int) -> None:
        place = number * 7
        while time.perf_counter() < ends:
            began = time.perf_counter()
            ask(texts[place % len(texts)])
            took[number].append(time.perf_counter() - began)
            place += clients
            if pause:
                time.sleep(pause)

    began, before = time.perf_counter(), process.cpu_times()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed, after = time.perf_counter() - began, process.cpu_times()
    every = np.concatenate([np.asarray(part) for part in took])
    cpu = after.user + after.system - before.user - before.system
    p50, p95 = (float(value) for value in 1000 * np.quantile(every, [0.5, 0.95]))
    return Timed(len(every) / passed, p50, p95, 1000 * cpu / len(every))


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--state", type=Path, default=Path("/tmp/serving_state"), help="where the trained model is kept")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    full = options.preset == "full"
    quiet()
    versions, items, texts = prepared(options.state, options.data)
    directory = versions.path(1)
    answerer = open_network(directory)
    int8 = Quantised(options.state / "engines", lambda: items["validation"], open_network)
    figures: dict[str, object] = {"torch": answerer.engine.name, "int8": int8(directory).engine.name}
    figures |= drifts(answerer, int8(directory), directory, items["test"])
    whole = pipeline("token-classification", model=str(directory), aggregation_strategy="simple")
    ours = {"torch": Predictor(versions, opened=lambda _: answerer), "int8": Predictor(versions, opened=int8)}
    asked: dict[str, Ask] = {"pipeline": whole}
    for name, predictor in ours.items():
        predictor.warm(1)
        asked[name] = _asking(predictor)
    seen: dict[tuple[str, int], list[Timed]] = {}
    for ask in asked.values():  # every shape once: compiled kernels and threads are there
        drive(ask, texts, 8, 1.0)
    for _ in range(5 if full else 3):
        for clients in CLIENTS:
            for name, ask in asked.items():
                seen.setdefault((name, clients), []).append(drive(ask, texts, clients, 4.0 if full else 2.0))
    rows = []
    for (name, clients), parts in seen.items():
        middle = Timed(*(statistics.median(values) for values in zip(*parts, strict=True)))
        figures |= {f"{name}_{key}_{clients}": round(value, 2) for key, value in middle._asdict().items()}
        rows.append([clients, name, *middle])
    print(table(["clients", "part", "answers/s", "p50 ms", "p95 ms", "CPU ms"], sorted(rows)))
    figures |= ratios(figures)
    figures |= memory(versions, options.state)
    for predictor in ours.values():
        predictor.close()
    figures |= beside_retraining(versions, options.data, texts, options.state, 25.0 if full else 10.0, drive)
    for key in (
        "throughput_ratio_64",
        "p95_ratio_64",
        "latency_ratio_1",
        "drift_test",
        "second_version_mb",
        "p95_retraining_ratio",
    ):
        print(f"{key}: {figures[key]}")
    write_json(options.json, figures)


def _asking(predictor: Predictor) -> Ask:
    return lambda text: predictor.predict(1, text, {})


def prepared(state: Path, data: Path) -> tuple[Versions, dict[str, Sequence[Example]], list[str]]:
    """Return a home with the trained version 1, the items by part, and the sentences that clients send."""
    demo = ncbi(data)
    _, seed = network_seed(demo)
    versions = Versions(state)
    if not versions.numbers():
        trained = demo.model_copy(update={"training": demo.training.model_copy(update={"method": "top", "epochs": 1})})
        run_job(Job(str(demo.path), str(state / "made"), number=1), trained, Progress(None))
        versions.adopt(state / "made")
    return versions, {"validation": seed.validation, "test": seed.test}, [str(e.input) for e in seed.validation]


def drifts(answerer: Answerer, int8: Answerer, directory: Path, test: Sequence[Example]) -> dict[str, object]:
    """Return what serving's torch and int8 lose against torch in fp32 on the test part, in points of strict F1."""
    exact = open_checkpoint(answerer.task, directory, dtype=torch.float32)
    return {
        "drift_torch_test": round(drift_of(answerer.task, test, exact, answerer), 3),
        "drift_test": round(drift_of(answerer.task, test, exact, int8), 3),
        "test_items": len(test),
    }


def ratios(figures: dict[str, object]) -> dict[str, object]:
    """Return ours by the better engine against the pipeline: throughput (more is better), p95 and latency (less is better)."""

    def of(part: str, key: str, clients: int) -> float:
        return float(str(figures[f"{part}_{key}_{clients}"]))

    told: dict[str, object] = {}
    for part in ("torch", "int8"):
        told[f"{part}_throughput_ratio_64"] = round(of(part, "rate", 64) / of("pipeline", "rate", 64), 2)
        told[f"{part}_p95_ratio_64"] = round(of(part, "p95", 64) / of("pipeline", "p95", 64), 3)
        told[f"{part}_latency_ratio_1"] = round(of(part, "p50", 1) / of("pipeline", "p50", 1), 3)
    best = max(("torch", "int8"), key=lambda part: float(str(told[f"{part}_throughput_ratio_64"])))
    return {
        **told,
        "best": best,
        **{key: told[f"{best}_{key}"] for key in ("throughput_ratio_64", "p95_ratio_64", "latency_ratio_1")},
    }


def memory(versions: Versions, state: Path) -> dict[str, object]:
    """Return the MB that a version has, and those that one with another head, of the same base, adds to a predictor."""
    if len(versions.numbers()) < 2:
        network = open_checkpoint(
            network_task(versions.card(1).bound_task(), "this"), versions.path(1), dtype=torch.float32
        ).model
        with torch.no_grad():
            network.network.classifier.bias += 0.01
        network.network.save_pretrained(state / "other")
        network.tokenizer.save_pretrained(state / "other")
        versions.card(1).write(state / "other")
        versions.adopt(state / "other")
    predictor = Predictor(versions)
    predictor.warm(1)
    predictor.warm(2)
    size = 1e6 * predictor._answerer(1).megabytes()
    shared = predictor.shared_bytes
    predictor.close()
    return {"version_mb": round(size / 1e6, 2), "second_version_mb": round((size - shared) / 1e6, 3)}


if __name__ == "__main__":
    main()
