"""A light start of the log and its routes, for being killed: no model, a process a start, forked from one that has imported all.

`python -m benchmarks.storm_server HOME PORT CHECKPOINT_BYTES` reads lines from standard input and answers each with one JSON
line: `start` forks a server and tells its `pid`, and the server tells `open_s` (how long the log took to open) once it listens;
`reap` waits for the end of the one that was started last.
The routes, the door, the desk, the policy and the log are the app's own; what answers is a stand-in.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from feedback import identity, problems
from feedback.demo import Demo
from feedback.erasing import NoCards
from feedback.errors import BadInput
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.records import Answer, Experiment, Json, Variant
from feedback.room import open_room
from feedback.staff import Staff
from feedback.store import Store
from feedback.words import Words

ROOT = Path(__file__).resolve().parent.parent
LABELS = ("right", "wrong")
_PLENTY = 10**6
_PR_SET_PDEATHSIG = 1


class StandIn:
    """Says `right` to everything, as any version."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Inputs are texts, outputs {"label": one of LABELS}."""
        if not isinstance(input_, str) or not input_.strip():
            raise BadInput(f"input {input_!r}: a text is needed")
        if output is not None and (not isinstance(output, dict) or output.get("label") not in LABELS):
            raise BadInput(f"output {output!r}: label must be one of {', '.join(LABELS)}")
        return input_, None if output is None else {"label": output["label"]}

    def edits(self, shown: Json, output: Json) -> float:
        """Equal or not."""
        return float(shown != output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Say so."""
        return Answer({"label": LABELS[0]}, 0.75)


def demo_of(directory: Path) -> Demo:
    """Return a demo whose limits stand in nobody's way."""
    limits = {"predictions_per_minute": _PLENTY, "corrections_per_minute": _PLENTY}
    return Demo.model_validate(
        {
            "path": directory / "storm.toml",
            "name": "storm",
            "task": "any",
            "title": "Storm",
            "data": {"train": "x"},
            "limits": limits,
        }
    )


def serve(home: Home, staff: Staff, words: Words, listening: socket.socket, checkpoint_bytes: int, told: int) -> None:
    """Open the log, wire the room and serve until killed; write one JSON line to the handle `told` once it is open."""
    begun = time.perf_counter()
    store = Store(home.directory, checkpoint_bytes=checkpoint_bytes)
    opened = time.perf_counter() - begun
    (counted,) = store.rows("SELECT (SELECT count(*) FROM predictions) + (SELECT count(*) FROM corrections) AS n")
    experiments = Experiments(store)
    experiments.begin(1, "storm")
    if experiments.current is None:
        variants = (Variant("a", 1, 0.5), Variant("b", 2, 0.5))
        experiments.declare(Experiment("storm", 1, "running", variants))
    demo = demo_of(home.directory)
    room = open_room(
        demo, home, store, StandIn(), "choice", experiments, words,
        cards=NoCards(), interrupt=lambda _: None, tell=lambda *_, **__: None,
        replies=lambda version, inputs: [StandIn().predict(version, input_, {}) for input_ in inputs],
    )  # fmt: skip
    app = FastAPI()
    problems.install(app)
    identity.install(app, home=home, staff=staff, demo=demo)
    for router in room.routers("choice"):
        app.include_router(router)
    listening.listen(256)
    _say(told, {"open_s": opened, "undone": store.undone, "rows": counted["n"]})
    uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", proxy_headers=False)).run(sockets=[listening])


def _bound(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    return listening


def _say(handle: int, facts: dict[str, Any]) -> None:
    os.write(handle, (json.dumps(facts) + "\n").encode())


def main(argv: list[str]) -> int:
    """Obey the lines of standard input until it ends; return the exit status."""
    directory, port, checkpoint_bytes = Path(argv[0]), int(argv[1]), int(argv[2])
    home = Home(directory)
    staff, words = Staff(home), Words([ROOT / "feedback" / "words.toml"])
    child = 0
    with open(0, "rb", buffering=0, closefd=False) as lines:  # unbuffered: a fork must not inherit what was read ahead
        for line in iter(lines.readline, b""):
            if line.strip() == b"start":
                child = os.fork()
                if child == 0:
                    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                    with contextlib.suppress(KeyboardInterrupt):
                        serve(home, staff, words, _bound(port), checkpoint_bytes, 1)
                    os._exit(0)
                _say(1, {"pid": child})
            else:
                _, status = os.waitpid(child, 0)
                _say(1, {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0})
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
