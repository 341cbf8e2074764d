"""One model under load in three ways: a plain `gr.Interface` with flagging, our HTTP routes, our page.

`python benchmarks/load.py` after 10,000 earlier events, with 1, 16 and 64 clients that each ask, correct, and ask again at once.
One unit is one prediction and one correction (in the plain interface: a Submit and a Flag). All three servers run through the
whole measurement and take turns, so that what else the machine does meets them alike; the driver shares its cores with them.
`--part soak` is a mixed, moderate load on our app for some minutes: does memory grow, do answers get slower?
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import arguments, running_app, table, write_json
from benchmarks.http_client import Client
from benchmarks.load_attribution import Person, misattributed
from benchmarks.load_servers import Server, demo, fill, ours, plain
from benchmarks.load_soak import soak
from benchmarks.load_ways import Page, Plain, Refused, Routes, Said, Way, sentence

WAYS: dict[str, Callable[[Client], Way]] = {"plain": Plain, "routes": Routes, "page": Page}
WARM = 2.0  # seconds of load before anything counts


class Load(NamedTuple):
    """How much is asked of the servers: clients at once, rounds of each, seconds of a round, earlier events."""

    clients: tuple[int, ...]
    rounds: int
    seconds: float
    events: int


PRESETS = {"small": Load((1, 16), 1, 5, 2000), "full": Load((1, 16, 64), 2, 20, 10_000)}


class Measured(NamedTuple):
    """One round of one way: units that ended in it, milliseconds of each part, server CPU seconds, errors as told."""

    units: int
    seconds: float
    predict: list[float]
    correct: list[float]
    cpu: float
    errors: list[str]


async def _round(way: str, server: Server, clients: int, seconds: float, people: list[Person]) -> Measured:
    """Let `clients` new people do units as fast as the server lets them."""
    begin, predict, correct, errors, units = time.perf_counter() + WARM, [], [], [], 0
    end = begin + seconds

    async def person(number: int) -> None:
        nonlocal units
        client = Client(server.port)
        doing, rng = WAYS[way](client), random.Random(number)
        await doing.enter()
        me = Person(client.cookies.get("amend_load", "").rpartition(".")[0], [])
        people.append(me)
        done = 0
        while time.perf_counter() < end:
            done += 1
            token = f"{way[0]}{len(people):03d}x{number:03d}n{done:05d}"
            text = sentence(rng, token)
            started = time.perf_counter()
            try:
                shown = await doing.predict(text)
                answered = time.perf_counter()
                me.said.append(Said(token, text, shown[0]))
                await doing.correct(shown, token)
            except (Refused, OSError, EOFError) as error:
                errors.append(f"{type(error).__name__}: {error}")
                await client.close()
                continue
            ended = time.perf_counter()
            if begin <= ended < end:
                units += 1
                predict.append((answered - started) * 1000)
                correct.append((ended - answered) * 1000)
        await client.close()

    async def cpu() -> float:
        await asyncio.sleep(begin - time.perf_counter())
        before = server.cpu_seconds()
        await asyncio.sleep(end - time.perf_counter())
        return server.cpu_seconds() - before

    measuring = asyncio.create_task(cpu())
    await asyncio.gather(*(person(number) for number in range(clients)))
    spent = await measuring
    return Measured(units, seconds, predict, correct, spent, errors)


def _percentile(values: Sequence[float], which: int) -> float:
    return float(np.percentile(values, which)) if values else float("nan")


def _summary(rounds: Sequence[Measured]) -> dict[str, float]:
    predict = [value for one in rounds for value in one.predict]
    correct = [value for one in rounds for value in one.correct]
    units = sum(one.units for one in rounds)
    return {
        "units_per_second": fmean(one.units / one.seconds for one in rounds),
        "predict_p50_ms": _percentile(predict, 50),
        "predict_p95_ms": _percentile(predict, 95),
        "correct_p50_ms": _percentile(correct, 50),
        "correct_p95_ms": _percentile(correct, 95),
        "server_cpu_ms": 1000 * sum(one.cpu for one in rounds) / max(units, 1),
        "units": units,
        "errors": sum(len(one.errors) for one in rounds),
    }


def throughput(load: Load, ways: Sequence[str], home: Path, work: Path) -> dict[str, object]:
    """Measure the ways side by side; return flat figures."""
    demo_file = demo(work)
    if not (home / "versions").is_dir() or len(list((home / "versions").iterdir())) < 2:
        with running_app(demo_file, home):  # trains the versions of the demo's experiment, once
            pass
    people: dict[str, list[Person]] = {way: [] for way in ways}
    found: dict[tuple[str, int], list[Measured]] = {(way, clients): [] for way in ways for clients in load.clients}
    with ExitStack() as running:
        servers = {way: running.enter_context(_server(way, load, demo_file, home, work)) for way in ways}
        for server in servers.values():
            server.settle()
        for clients in load.clients:
            for _ in range(load.rounds):
                for way, server in servers.items():
                    one = asyncio.run(_round(way, server, clients, load.seconds, people[way]))
                    found[way, clients].append(one)
                    print(f"{way:>6}, {clients:>2} clients: {one.units / one.seconds:.1f} units/s, {len(one.errors)} errors",
                          *sorted(set(one.errors))[:3], flush=True)  # fmt: skip
                    server.settle(20)
    figures: dict[str, object] = {"earlier_events": load.events}
    summaries = {key: _summary(rounds) for key, rounds in found.items()}
    for (way, clients), summary in summaries.items():
        figures |= {f"{way}_{clients}_{name}": value for name, value in summary.items()}
    for way in ways:
        if way != "plain" and "plain" in ways:
            for clients in load.clients:
                ratio = summaries[way, clients]["units_per_second"] / summaries["plain", clients]["units_per_second"]
                figures[f"{way}_ratio_{clients}"] = ratio
    figures["errors"] = sum(int(summary["errors"]) for summary in summaries.values())
    figures["wrong_attributions"] = sum(misattributed(work / way, people[way]) for way in ways if way != "plain")
    columns = [
        "way",
        "clients",
        "units/s",
        "predict p50",
        "p95 ms",
        "correct p50",
        "p95 ms",
        "server CPU ms/unit",
        "units",
        "errors",
    ]
    print(table(columns, [[way, clients, *summary.values()] for (way, clients), summary in summaries.items()]))
    return figures


def _server(way: str, load: Load, demo_file: Path, home: Path, work: Path) -> Any:
    folder = work / way
    if way == "plain":
        folder.mkdir()
        return plain(sorted((home / "versions").glob("v*"))[0], folder, load.events)
    shutil.copytree(home, folder)
    fill(folder, load.events)
    return ours(demo_file, folder)


def main() -> int:
    """Run the benchmark; print the table, write the JSON."""
    parser = arguments(__doc__, default_preset="full")
    parser.add_argument("--part", choices=["throughput", "soak"], default="throughput")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--clients", nargs="+", type=int, default=None, help="instead of the preset's")
    parser.add_argument("--minutes", type=float, default=10, help="of the soak, after two of warm-up")
    parser.add_argument(
        "--home", type=Path, default=None, help="a home with trained versions, or where to train them once; copied"
    )
    options = parser.parse_args()
    load = PRESETS[options.preset]
    if options.clients:
        load = load._replace(clients=tuple(options.clients))
    with tempfile.TemporaryDirectory(prefix="amend-load-") as temporary:
        work = Path(temporary)
        home = (options.home or work / "home").resolve()
        home.mkdir(parents=True, exist_ok=True)
        if options.part == "soak":
            figures = soak(load.events, options.minutes, demo(work), home, work / "soaked")
        else:
            figures = throughput(load, options.ways, home, work)
    print({name: value for name, value in figures.items() if "_ratio_" in name or name in ("errors", "wrong_attributions")})
    write_json(options.json, figures)
    return 0 if not figures["errors"] and not figures.get("wrong_attributions") else 1


if __name__ == "__main__":
    sys.exit(main())
