"""A moderate, mixed load on our app for minutes: resident memory and waiting times by quarter. People come and go."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.common import table
from benchmarks.http_client import Client
from benchmarks.load_servers import Server, fill, ours
from benchmarks.load_ways import Page, Refused, Routes, Way, sentence

WARM = 120.0  # seconds
PEOPLE = 16  # at once, half of them on the page
STAY = 20  # units of one person, then another comes with no cookie and a session of their own
THINK = 1.0  # seconds between units, on average
SAMPLE = 10.0  # seconds


class Seen(NamedTuple):
    """What was measured: (second, MB) and (second, milliseconds of a prediction and its correction), and errors."""

    memory: list[tuple[float, float]]
    waits: list[tuple[float, float]]
    errors: list[str]


def soak(events: int, minutes: float, demo_file: Path, home: Path, folder: Path) -> dict[str, object]:
    """Load a copy of `home` after `events` earlier events; return flat figures."""
    shutil.copytree(home, folder)
    fill(folder, events)
    with ours(demo_file, folder) as server:
        server.settle()
        seen = asyncio.run(_load(server, 60 * minutes))
    quarters = [[(quarter + i) * 15 * minutes + WARM for i in (0, 1)] for quarter in range(4)]
    rows = []
    for number, (start, end) in enumerate(quarters, 1):
        memory = [mb for second, mb in seen.memory if start <= second < end]
        waits = [ms for second, ms in seen.waits if start <= second < end]
        rows.append(
            [number, len(waits), float(np.median(memory)), max(memory), *(float(np.percentile(waits, p)) for p in (50, 95))]
        )
    print(table(["quarter", "units", "MB median", "MB most", "unit p50 ms", "p95 ms"], rows))
    for error in sorted(set(seen.errors))[:5]:
        print(error)
    growth, slower = rows[3][2] / rows[0][2] - 1, rows[3][5] / rows[0][5] - 1
    return {
        "soak_minutes": minutes,
        "soak_units": sum(int(row[1]) for row in rows),
        "soak_memory_mb_first_quarter": rows[0][2],
        "soak_memory_mb_last_quarter": rows[3][2],
        "soak_memory_growth": growth,
        "soak_p95_ms_first_quarter": rows[0][5],
        "soak_p95_ms_last_quarter": rows[3][5],
        "soak_p95_growth": slower,
        "errors": len(seen.errors),
    }


async def _load(server: Server, seconds: float) -> Seen:
    begun = time.perf_counter()
    end = begun + WARM + seconds
    seen = Seen([], [], [])

    async def place(number: int) -> None:
        rng, visits = random.Random(number), 0
        await asyncio.sleep(rng.random() * THINK)
        while time.perf_counter() < end:
            visits += 1
            client = Client(server.port)
            try:
                await _visit(Page(client) if number % 2 else Routes(client), rng, f"s{number:02d}v{visits:04d}", begun, end, seen)
            except (Refused, OSError, EOFError) as error:
                seen.errors.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(THINK)
            await client.close()

    async def memory() -> None:
        while time.perf_counter() < end:
            seen.memory.append((time.perf_counter() - begun, server.memory_mb()))
            await asyncio.sleep(SAMPLE)

    await asyncio.gather(memory(), *(place(number) for number in range(PEOPLE)))
    return seen


async def _visit(way: Way, rng: random.Random, who: str, begun: float, end: float, seen: Seen) -> None:
    await way.enter()
    for number in range(STAY):
        if time.perf_counter() > end:
            return
        token = f"{who}n{number:02d}"
        started = time.perf_counter()
        await way.correct(await way.predict(sentence(rng, token)), token)
        ended = time.perf_counter()
        seen.waits.append((ended - begun, (ended - started) * 1000))
        await asyncio.sleep(rng.expovariate(1 / THINK))
