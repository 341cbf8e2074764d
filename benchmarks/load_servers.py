"""The servers that load.py measures, each a process of its own with a history of earlier events. It times nothing."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import psutil

from benchmarks.common import ROOT, free_port, running_app
from benchmarks.http_client import Client
from benchmarks.load_ways import Plain, marks, sentence
from feedback.home import Home
from feedback.records import Correction, Exposure, Prediction, input_hash, new_id, now
from feedback.store import Store

_TOLD = 10  # earlier events of one contributor
_TOGETHER = 500  # records of one commit while the log is filled


class Server:
    """A running server: its port and what its processes have spent and hold."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self._process = psutil.Process(pid)

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return the processor seconds of the process and its children, user and system, so far."""
        return sum(times.user + times.system for times in (process.cpu_times() for process in self._all()))

    def memory_mb(self) -> float:
        """Return the resident memory of the process and its children in MB."""
        return sum(process.memory_info().rss for process in self._all()) / 1e6

    def settle(self, seconds: float = 90) -> None:
        """Wait until it does nothing: what it does after a start (judging the log) belongs to no measurement."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(2)
            if self.cpu_seconds() - before < 0.1:
                return


def demo(work: Path) -> Path:
    """Write the disease demo with limits out of the way and without retraining: its files, experiment and policy as they are."""
    text = (ROOT / "demos" / "disease.toml").read_text(encoding="utf-8")
    for name in ("disease.jsonl", "disease.gold.jsonl"):
        text = text.replace(f'"{name}"', json.dumps(str(ROOT / "demos" / name)))
    for old, new in (
        ('name = "disease"', 'name = "load"'),
        ("after_accepted = 50", "after_accepted = 0"),
        ("lane_after_accepted = 5", "lane_after_accepted = 0"),
    ):
        assert old in text, f"demos/disease.toml has no {old!r} any more"
        text = text.replace(old, new, 1)
    text += "\n[limits]\npredictions_per_minute = 10000000\ncorrections_per_minute = 10000000\nper_network_factor = 1000\n"
    path = work / "load.toml"
    path.write_text(text, encoding="utf-8")
    return path


def fill(home: Path, events: int, seed: int = 5) -> None:
    """Put `events` predictions with their corrections into a log, by a tenth as many contributors over two weeks.

    A fifth of the texts is another contributor's too, so that there is something to agree on.
    """
    rng = random.Random(seed)
    with Store(home) as store:
        (experiment,) = store.rows("SELECT name, number, variants FROM current_experiments WHERE state = 'running'")
        arms = json.loads(experiment["variants"])
        begun, texts = now() - timedelta(days=14), [""]
        rows: list[Exposure | Prediction | Correction] = []
        for i in range(events):
            who = i // _TOLD
            name, arm, moment = f"u_{seed:04x}{who:020x}", arms[who % len(arms)], begun + timedelta(days=14) * (i / events)
            if i % _TOLD == 0:
                rows.append(
                    Exposure(
                        experiment["name"], experiment["number"], name, arm["name"], arm["version"], arm["share"], created=moment
                    )
                )
            text = texts[-1] if i % _TOLD == 1 and who % 2 else sentence(rng, f"e{i:06d}")
            if i % _TOLD == 1 and who % 2 == 0:
                texts.append(text)
            shown = {"spans": marks(text)}
            asked = Prediction(
                new_id("p"), name, experiment["name"], experiment["number"], arm["name"], arm["version"], text, input_hash(text),
                shown, 0.9, 20.0, created=moment,
            )  # fmt: skip
            output = shown if i % 3 else {"spans": shown["spans"][1:]}
            edits = float(output != shown)
            rows += [asked, Correction(new_id("c"), asked.id, name, output, output == shown, created=moment, edits=edits)]
            if len(rows) >= _TOGETHER:
                store.add(*rows)
                rows = []
        if rows:
            store.add(*rows)
        store.checkpoint()


@contextmanager
def ours(demo_file: Path, home: Path) -> Iterator[Server]:
    """Serve our app over a home that is filled already."""
    with running_app(demo_file, home) as (url, _):
        pid = int(json.loads(Home(home).running_file.read_text(encoding="utf-8"))["pid"])
        yield Server(int(url.rsplit(":", 1)[1]), pid)


@contextmanager
def plain(checkpoint: Path, folder: Path, events: int) -> Iterator[Server]:
    """Serve the plain interface in `folder`, after `events` events through its queue and as many flagged rows."""
    port = free_port()
    own = ("GRADIO_ANALYTICS_CACHE_FREQUENCY", "GRADIO_ANALYTICS_MAX_EVENTS")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    with (folder / "output.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "plain_interface.py"), str(checkpoint), str(port), str(events)],
            stdout=log, stderr=subprocess.STDOUT, cwd=folder, env={**environment, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        try:
            _wait(f"http://127.0.0.1:{port}/", process, folder / "output.txt")
            asyncio.run(_history(port, folder, events))
            yield Server(port, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise RuntimeError(f"the plain interface did not start:\n{log.read_text(errors='replace')[-2000:]}")


async def _history(port: int, folder: Path, events: int) -> None:
    """Send the earlier events through the queue; one flag makes the file, to which the other rows are added in its form."""
    if not events:
        return
    left = iter(range(events))

    async def user(number: int) -> None:
        client = Client(port)
        way = Plain(client)
        await way.enter()
        rng = random.Random(number)
        for i in left:
            await way.predict(sentence(rng, f"e{i:06d}"))
        await client.close()

    await asyncio.gather(*(user(number) for number in range(16)))
    client = Client(port)
    way = Plain(client)
    await way.enter()
    rng = random.Random(99)
    await way.correct((await way.predict(sentence(rng, "e999999"))), "e999999")
    kept = (await client.request("GET", "/real")).json()["events"]
    await client.close()
    if kept < min(events, 10_000):
        raise RuntimeError(f"the plain interface remembers {kept} events: it was to remember {events}")
    (flags,) = (folder / ".gradio" / "flagged").glob("dataset*.csv")
    with flags.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for i in range(events):
            text = sentence(rng, f"e{i:06d}")
            output = json.dumps([{"token": text, "class_or_confidence": None}])
            writer.writerow([text, output, f"2026-01-01 00:00:00.{i:06d}"])
