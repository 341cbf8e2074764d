"""Which items are open in whose page, so that two reviewers are not given the same one. In memory: a restart frees all.

A lease keeps an item from being offered twice; it is no right to judge, and programs that judge by id need none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

LEASE_SECONDS = 120.0  # a page renews every 40 s; browsers slow the timers of hidden tabs to one a minute
MAX_HELD = 20  # items that one page may hold: it leafs through a queue, it does not hoard it


class Leases:
    """Items (by id) held by pages (by any name), each until it is released or not renewed in time. Safe to use from threads."""

    def __init__(self, seconds: float = LEASE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}  # item -> (page, when it ends)

    def take(self, page: str, items: Iterable[str], want: int) -> list[str]:
        """Give the page up to `want` of these items, in their order: those that are free or its own. Returns them."""
        with self._lock:
            self._end_old()
            room = MAX_HELD - sum(holder == page for holder, _ in self._held.values())
            taken: list[str] = []
            for item in items:
                if len(taken) == want:
                    break
                holder = self._holder(item)
                if holder == "" and room > 0:
                    room -= 1
                elif holder != page:
                    continue
                self._held[item] = (page, self._clock() + self._seconds)
                taken.append(item)
            return taken

    def renew(self, page: str, items: Iterable[str]) -> list[str]:
        """Hold the page's items for a full time again; free ones are taken back. Returns those that another page has now."""
        with self._lock:
            self._end_old()
            gone = []
            for item in items:
                if self._holder(item) in ("", page):
                    self._held[item] = (page, self._clock() + self._seconds)
                else:
                    gone.append(item)
            return gone

    def release(self, page: str, items: Iterable[str] | None = None) -> None:
        """Let go of these items, or of all that the page holds; other pages' items stay theirs."""
        with self._lock:
            for item in list(self._held) if items is None else items:
                if self._holder(item) == page:
                    del self._held[item]

    def elsewhere(self, page: str = "") -> set[str]:
        """Return the items that other pages hold."""
        with self._lock:
            self._end_old()
            return {item for item, (holder, _) in self._held.items() if holder != page}

    def _holder(self, item: str) -> str:
        return self._held.get(item, ("", 0.0))[0]

    def _end_old(self) -> None:
        present = self._clock()
        self._held = {item: lease for item, lease in self._held.items() if lease[1] > present}
