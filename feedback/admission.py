"""How many calls wait at once for the model and the log: the next is told at once to come again, and none waits unseen.

Web frameworks run such calls in threads, and let any number wait for a thread, together with pages and reports. Here calls
that may wait have threads of their own, so that a slow disk or model holds up nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from feedback.errors import Busy

T = TypeVar("T")
THREADS = 64
"""Calls at work at once: the model answers them in batches, and the log stores them with one commit."""


class Admission:
    """At most `most` calls are inside, and at most `threads` of them at work."""

    def __init__(self, most: int = 256, threads: int = THREADS) -> None:
        self.most = most
        self._inside = 0
        self._lock = threading.Lock()
        self._threads = min(threads, most)
        self._limiter = RunVar[anyio.CapacityLimiter](f"admission-{id(self)}")  # one an event loop

    @property
    def inside(self) -> int:
        """Return how many calls are at work or wait for a thread."""
        return self._inside

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call the function in a thread and return its result. Raises Busy at once where `most` calls are inside."""
        with self._lock:
            if self._inside >= self.most:
                raise Busy(f"{self._inside} requests wait already (limits.queue): try again in a moment")
            self._inside += 1
        try:
            return await anyio.to_thread.run_sync(function, *arguments, limiter=self._of_this_loop())
        finally:
            with self._lock:
                self._inside -= 1

    def _of_this_loop(self) -> anyio.CapacityLimiter:
        try:
            return self._limiter.get()
        except LookupError:
            made = anyio.CapacityLimiter(self._threads)
            self._limiter.set(made)
            return made
