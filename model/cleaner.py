"""A cleaning as the app does it: one at a time, the search in a process of its own with low priority. It searches nothing itself."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from datetime import datetime
from typing import Any, NamedTuple

import psutil

from feedback.demo import Demo, load_demo
from feedback.errors import AmendError, Conflict
from feedback.records import Example, now
from feedback.store import Store
from model.clean import Report, Seen
from model.suspects import Examples, Search, Suggested, gather, search, suggest, summary, suspects

_NICE = 10  # as training: it gives way to predictions


class SearchFailed(AmendError):
    """The search for wrong labels came to nothing; the detail is its last word."""

    title = "Cleaning failed"


class State(NamedTuple):
    """Where the cleaning is. `result` is the last finished one's (suspects.summary), {} before there is one."""

    state: str  # never, running, done, failed, cancelled
    author: str
    began: datetime | None
    ended: datetime | None
    error: str
    result: dict[str, Any]


def clean(demo: Demo, store: Store, limit: int, dry_run: bool, how: Search = search) -> dict[str, Any]:
    """Search, lay up to `limit` suspects before the reviewers (none in a dry run), and return the result. Raises AmendError."""
    material = gather(demo, store)
    seen = how(demo, material.parts)
    found = suspects(material.parts, seen)
    done = Suggested({}, 0) if dry_run else suggest(store, material.task, found, limit)
    return summary(material, seen, found, done, limit)


class Cleaner:
    """Starts a cleaning in the background, tells where it is, and ends it. Safe to use from many threads."""

    def __init__(self, demo: Demo, store: Store) -> None:
        self._demo = demo
        self._store = store
        self._lock = threading.Lock()
        self._state = State("never", "", None, None, "", {})
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._closing = False

    def state(self) -> State:
        """Return where the cleaning is."""
        return self._state

    def start(self, author: str, limit: int, dry_run: bool) -> State:
        """Begin a cleaning and return at once. Raises Conflict while one runs."""
        with self._lock:
            if self._state.state == "running" or self._closing:
                raise Conflict(f"a cleaning runs already, begun by {self._state.author} at {self._state.began}: wait for its end")
            self._state = State("running", author, now(), None, "", self._state.result)
            self._thread = threading.Thread(target=self._run, args=(limit, dry_run), name="cleaner", daemon=True)
            self._thread.start()
            return self._state

    def wait(self, timeout: float | None = None) -> State:
        """Block until the cleaning has ended; return where it is."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self._state

    def close(self) -> None:
        """End a cleaning that runs; nothing of it is stored."""
        with self._lock:
            self._closing = True
            if self._process is not None:
                self._process.kill()
        self.wait(30)

    def _run(self, limit: int, dry_run: bool) -> None:
        try:
            result = clean(self._demo, self._store, limit, dry_run, self._elsewhere)
            self._state = self._state._replace(state="done", ended=now(), result=result)
        except AmendError as error:
            self._state = self._state._replace(state="cancelled" if self._closing else "failed", ended=now(), error=str(error))
        except Exception as error:
            self._state = self._state._replace(state="failed", ended=now(), error=f"{type(error).__name__}: {error}")
            raise

    def _elsewhere(self, demo: Demo, parts: Examples) -> dict[str, list[Seen | None]]:
        asked = json.dumps(
            {"demo": str(demo.path), "parts": {name: [list(_bare(e)) for e in some] for name, some in parts.items()}}
        )
        with self._lock:
            if self._closing:
                raise SearchFailed("the app is stopping")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "model.clean", "--search"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                # It shares the cores with serving: threads that wait must sleep, not spin.
                env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONIOENCODING": "utf-8"},
            )
        with contextlib.suppress(psutil.Error):  # it may have ended already
            psutil.Process(self._process.pid).nice(_NICE)
        answer, said = self._process.communicate(asked)
        status, self._process = self._process.returncode, None
        if status:
            last = (said.strip().splitlines() or [f"the process ended with status {status}"])[-1]
            raise SearchFailed(last.removeprefix("model.clean: "))
        return {name: [None if one is None else Seen(*one) for one in some] for name, some in json.loads(answer).items()}


def search_as_asked(text: str, report: Report = lambda *_: None) -> str:
    """Do what another process asks for in JSON ({demo, parts}); return its answer in JSON. Raises AmendError."""
    asked = json.loads(text)
    parts = {
        name: [Example(input_, output, input_hash=hash_, correction_id=id_) for input_, output, hash_, id_ in some]
        for name, some in asked["parts"].items()
    }
    return json.dumps(search(load_demo(asked["demo"]), parts, report))


def _bare(example: Example) -> tuple[Any, ...]:
    return example.input, example.output, example.input_hash, example.correction_id
