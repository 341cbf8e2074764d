"""Kill -9 under load, again and again: is everything that was acknowledged in the log, once, and of whom it is?

32 clients ask and correct over HTTP, checkpoints are forced every few commits, and the server is killed at random moments:
timed ones, and ones that are aimed at the start, at the copy before a checkpoint, and at the checkpoint itself. Each round starts it
again; requests whose answer was lost are sent again under their Idempotency-Key. Most rounds use `storm_server`, where a start
takes a tenth of a second; some use `python app.py` with a model (`--real`). `python benchmarks/kill_storm.py --preset full`
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, arguments, free_port, write_json
from benchmarks.storm_clients import Contributor
from benchmarks.storm_ledger import Verdict, compare, told
from benchmarks.storm_real import real_rounds
from feedback.store import Store

CLIENTS = 32
CHECKPOINT_BYTES = 60_000
ANSWERS = 100
AIMS = ("timed", "timed", "copying", "checkpoint", "checkpoint", "start")
_LEFT = {"before-checkpoint": "checkpoint", "before-checkpoint*.partial": "copying", "before-checkpoint.done": "dropping"}
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # no thread of theirs before the fork


class Light:
    """The light server: started from a process that has imported everything, and killed."""

    def __init__(self, home: Path, port: int, checkpoint_bytes: int) -> None:
        self.home = home
        self._pid = 0
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.storm_server", str(home), str(port), str(checkpoint_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **_ENVIRONMENT},
        )

    def start(self) -> None:
        """Fork a server; it is not open yet."""
        self._pid = int(self._order(b"start\n")["pid"])

    def opened(self) -> dict[str, Any]:
        """Wait until the server listens; return what it says of the log (open_s, undone, rows)."""
        return self._answer()

    def kill(self) -> str:
        """Kill the server; return what was left half-done on the disk: "checkpoint", "copying", "dropping" or ""."""
        os.kill(self._pid, signal.SIGKILL)
        while "signal" not in self._order(b"reap\n"):
            pass
        return next((what for name, what in _LEFT.items() if any(self.home.glob(name))), "")

    def close(self) -> None:
        """End the process that forks; a server that runs dies with it."""
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.close()
        self._zygote.stdout.close()
        self._zygote.wait(timeout=30)

    def _order(self, line: bytes) -> dict[str, Any]:
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(line)
        self._zygote.stdin.flush()
        answer = self._answer()
        while "open_s" in answer:  # of a server that was killed in its start after all
            answer = self._answer()
        return answer

    def _answer(self) -> dict[str, Any]:
        assert self._zygote.stdout is not None
        line = self._zygote.stdout.readline()
        if not line:
            raise RuntimeError(f"the storm's server ended with status {self._zygote.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def text_of(client: int, turn: int) -> str:
    """Return what a client asks in a turn: two clients ask the same, so that the policy has something to judge."""
    return f"case {client // 2}-{turn}: " + "the parcel was due on Tuesday, and nobody knows where it is. " * (1 + turn % 4)


def label_of(turn: int) -> str:
    """Return what is said to be right in a turn: every third is a confirmation."""
    return "right" if turn % 3 == 0 else "wrong"


def acknowledged(clients: Sequence[Contributor]) -> int:
    """Return how many requests were answered so far."""
    return sum(len(client.acknowledged) for client in clients)


def wait_for(aim: str, home: Path, clients: Sequence[Contributor], answers: int, chance: random.Random) -> None:
    """Wait until the moment of the kill: a random number of answers and some time, or a step of a checkpoint seen on the disk."""
    wanted = acknowledged(clients) + chance.randint(0, answers)  # not seconds alone: a busy machine would hardly answer
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and acknowledged(clients) < wanted:
        time.sleep(0.005)
    if aim == "timed":
        time.sleep(chance.uniform(0, 0.3))
        return
    ending = "before-checkpoint" if aim == "checkpoint" else ".partial"
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline and not any(name.endswith(ending) for name in os.listdir(home)):
        time.sleep(0.0003)
    time.sleep(chance.uniform(0, 0.015))


async def one_round(
    server: Light, clients: Sequence[Contributor], aim: str, answers: int, chance: random.Random
) -> dict[str, Any]:
    """Start, let the clients work, kill; return what was seen."""
    begun = time.perf_counter()
    server.start()
    if aim == "start":
        time.sleep(chance.uniform(0, 0.12))
        return {"left": server.kill()}
    seen = await asyncio.to_thread(server.opened)
    seen["start_s"] = time.perf_counter() - begun
    known = acknowledged(clients)
    if seen["rows"] < known:
        raise RuntimeError(f"{known} rows were acknowledged, and {seen['rows']} are in the log")
    working = asyncio.gather(*(client.work() for client in clients))
    await asyncio.to_thread(wait_for, aim, server.home, clients, answers, chance)
    seen["left"] = await asyncio.to_thread(server.kill)
    await working
    return seen


async def storm(home: Path, rounds: int, seed: int, answers: int = ANSWERS) -> tuple[Verdict, dict[str, Any]]:
    """Play the rounds on a fresh home, each killed after up to `answers` answers or somewhat more; return verdict and figures."""
    chance, port = random.Random(seed), free_port()
    clients = [Contributor(number, port, text_of, label_of) for number in range(CLIENTS)]
    server = Light(home, port, CHECKPOINT_BYTES)
    opened: list[float] = []
    starts: list[float] = []
    left: Counter[str] = Counter()
    undone = 0
    try:
        for number in range(rounds):
            seen = await one_round(server, clients, chance.choice(AIMS) if number else "timed", answers, chance)
            left[seen["left"]] += 1
            if "open_s" in seen:
                opened.append(seen["open_s"])
                starts.append(seen["start_s"])
                undone += seen["undone"]
            if number % 20 == 19:
                size = (home / "log.duckdb").stat().st_size / 2**20
                print(f"round {number + 1}: {acknowledged(clients)} acknowledged, log {size:.1f} MB", flush=True)
        server.start()
        undone += (await asyncio.to_thread(server.opened))["undone"]
        await asyncio.gather(*(client.settle() for client in clients))
        server.kill()
    finally:
        server.close()
    begun = time.perf_counter()
    with Store(home) as store:
        opened.append(time.perf_counter() - begun)
        verdict = compare(store, clients)
    return verdict, {
        "rounds": rounds,
        "retried": sum(client.retried for client in clients),
        "resent": sum(client.resent for client in clients),
        "reopen_s_max": max(opened),
        "reopen_s_median": statistics.median(opened),
        "start_s_max": max(starts),
        "undone": undone,
        "kills_during_checkpoint": left["checkpoint"],
        "kills_while_copying": left["copying"],
        "kills_while_dropping": left["dropping"],
        "log_mb": (home / "log.duckdb").stat().st_size / 2**20,
    }


def main() -> int:
    """Run the storm; print the verdicts, write the JSON; return 1 where something was lost, doubled or given to somebody else."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--real", type=int, default=None, metavar="ROUNDS", help="rounds with the real app (default: 5 of full)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    full = options.preset == "full"
    rounds = options.rounds if options.rounds is not None else (210 if full else 12)
    real = options.real if options.real is not None else (5 if full else 0)
    figures: dict[str, Any] = {}
    clean = True
    with tempfile.TemporaryDirectory(prefix="amend-storm-") as work:
        if rounds:
            begun = time.monotonic()
            verdict, figures = asyncio.run(storm(Path(work) / "light", rounds, options.seed))
            clean = verdict.clean
            figures = {**verdict._asdict(), **figures, "minutes": (time.monotonic() - begun) / 60}
            print(told(verdict))
        if real:
            verdict, seen = asyncio.run(real_rounds(Path(work) / "real", real, options.seed, CLIENTS, CHECKPOINT_BYTES))
            clean = clean and verdict.clean
            figures |= {f"real_{key}": value for key, value in {**verdict._asdict(), **seen}.items()}
            print(told(verdict))
    print(json.dumps(figures, indent=1))
    write_json(options.json, figures)
    return 0 if clean and max(figures.get("reopen_s_max", 0), figures.get("real_reopen_s_max", 0)) < 5 else 1


if __name__ == "__main__":
    raise SystemExit(main())
