"""The storm's rounds with the real app (storm_app.py) and a trained model: started, worked with, killed. It judges nothing."""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, free_port
from benchmarks.common import _wait_ready as wait_ready
from benchmarks.storm_clients import Contributor
from benchmarks.storm_ledger import Verdict, compare
from feedback.store import Store

_OPENED = re.compile(r"the log was open after ([\d.]+) s, undone: (\w+)")
_LABELS = ("return item", "refund status")
_DEMO = """
name = "storm"
task = "text_classification"
title = "Storm"
[data]
train = "{train}"
[training]
epochs = 1
[acceptance]
policy = "agreement"
[retraining]
after_accepted = 0
[limits]
predictions_per_minute = 1000000
corrections_per_minute = 1000000
"""


def _text_of(client: int, turn: int) -> str:
    return f"Order {client // 2}{turn:04d}: my parcel was due on Tuesday and has not moved since. Where is it?"


def _label_of(turn: int) -> str:
    return _LABELS[turn % 2]


async def real_rounds(home: Path, rounds: int, seed: int, clients: int, checkpoint_bytes: int) -> tuple[Verdict, dict[str, Any]]:
    """Train a starter, then start, work and kill; return the verdict and the figures. Some minutes."""
    home.mkdir(parents=True)
    demo = home / "storm.toml"
    demo.write_text(_DEMO.format(train=ROOT / "demos" / "support.jsonl"), encoding="utf-8")
    chance, port = random.Random(seed), free_port()
    people = [Contributor(number, port, _text_of, _label_of) for number in range(clients)]
    output = home / "app-output.txt"
    ready: list[float] = []
    for number in range(rounds + 1):
        begun = time.monotonic()
        process = _start(demo, home, port, checkpoint_bytes, output)
        try:
            await asyncio.to_thread(wait_ready, f"http://127.0.0.1:{port}", process, output, 900)
            if number:  # the first start trains
                ready.append(time.monotonic() - begun)
            if number < rounds:
                working = asyncio.gather(*(person.work() for person in people))
                await asyncio.sleep(chance.uniform(1, 5))
                process.kill()
                await working
            else:
                await asyncio.gather(*(person.settle() for person in people))
        finally:
            process.kill()
            process.wait()
    with Store(home) as store:
        verdict = compare(store, people)
    opened = [(float(seconds), undone) for seconds, undone in _OPENED.findall(output.read_text(errors="replace"))]
    return verdict, {
        "rounds": rounds,
        "retried": sum(person.retried for person in people),
        "resent": sum(person.resent for person in people),
        "reopen_s_max": max(seconds for seconds, _ in opened),
        "ready_s_max": max(ready),
        "undone": sum(undone == "True" for _, undone in opened),
    }


def _start(demo: Path, home: Path, port: int, checkpoint_bytes: int, output: Path) -> subprocess.Popen[bytes]:
    with output.open("ab") as log:
        return subprocess.Popen(
            [
                sys.executable, "-m", "benchmarks.storm_app", str(checkpoint_bytes),
                str(demo), "--port", str(port), "--home", str(home),
            ],
            stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, cwd=ROOT,
        )  # fmt: skip
