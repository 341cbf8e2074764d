"""A part of serving.py: the predictor's latency alone, and beside a training process as the app starts it. It trains for nobody."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.job import Job
from model.process import RunDirectory
from model.serve import Predictor
from model.versions import Versions

CLIENTS = 4
PAUSE = 0.05
"""Seconds between an answer and the next request: clients that never pause would measure their own queue."""
_DEMO = """name = "ncbi"
task = "token_classification"
title = "NCBI-disease"
labels = ["Disease"]
[data]
train = "{data}/train.tsv"
validation = "{data}/devel.tsv"
test = "{data}/test.tsv"
[training]
method = "full"
"""


def beside_retraining(
    versions: Versions, data: Path, texts: Sequence[str], state: Path, seconds: float, drive: Callable[..., Any]
) -> dict[str, object]:
    """Return p50 and p95 (ms) of a few clients, without and with a training of method full beside, in turns."""
    predictor = Predictor(versions)
    predictor.warm(1)

    def ask(text: str) -> None:
        predictor.predict(1, text, {})

    seen: dict[str, list[Any]] = {"alone": [], "beside": []}
    for turn in range(2):
        seen["alone"].append(drive(ask, texts, CLIENTS, seconds / 2, PAUSE))
        with _training(state / f"beside-{turn}", data):
            seen["beside"].append(drive(ask, texts, CLIENTS, seconds / 2, PAUSE))
    predictor.close()
    told: dict[str, object] = {
        f"retraining_{name}_{key}": round(statistics.median(getattr(part, key) for part in parts), 2)
        for name, parts in seen.items()
        for key in ("p50", "p95")
    }
    told["p95_retraining_ratio"] = round(float(str(told["retraining_beside_p95"])) / float(str(told["retraining_alone_p95"])), 2)
    return told


@contextmanager
def _training(folder: Path, data: Path) -> Iterator[None]:
    """Start a training as the app does and let it get to its steps; end it afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    demo = folder / "demo.toml"
    demo.write_text(_DEMO.format(data=data.resolve()), encoding="utf-8")
    run = RunDirectory(folder)
    process = run.launch(Job(str(demo), str(run.candidate), progress=str(run.progress_file), number=2))
    try:
        deadline = time.monotonic() + 180
        while run.progress().stage != "training" or run.progress().done < 3:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the training did not begin: {(folder / 'output.txt').read_text()[-2000:]}")
            time.sleep(0.2)
        yield
        if process.poll() is not None:
            raise RuntimeError("the training ended before the measurement: make it longer")
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
