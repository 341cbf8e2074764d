"""The probes behind the conditions: each returns the figures of what is wrong, or None. They read; none changes anything."""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from feedback.backups import Backups
from feedback.checkpoint import log_bytes
from feedback.conditions import Found
from feedback.errors import AmendError, StorageFull
from feedback.records import Record, now
from feedback.store import Store

LOW = 512 * 2**20
"""Bytes below which a disk is nearly full, whatever the log's size."""
COPIES = 3
"""Times the log must fit into what is free: a checkpoint copies it, an erasure writes it anew, a backup is a third."""
FAILED_RUNS = 2
"""Trainings that failed one after the other from which on it is no accident."""
BACK = timedelta(seconds=60)
"""A clock that is this far behind the log's newest row, or behind the steady clock, went backwards."""
_MB = 1_000_000


class Lately:
    """How often something has happened in the last `seconds`. Safe to use from many threads."""

    def __init__(self, seconds: float = 300.0, steady: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._steady = steady
        self._lock = threading.Lock()
        self._times: deque[float] = deque(maxlen=100_000)

    def happened(self) -> None:
        """Count it."""
        with self._lock:
            self._times.append(self._steady())

    def count(self) -> int:
        """Return how often."""
        with self._lock:
            while self._times and self._times[0] < self._steady() - self._seconds:
                self._times.popleft()
            return len(self._times)


class Refusals:
    """Listens to the log: whether its last write was refused for want of a disk that takes it."""

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self._clock = clock
        self._since: datetime | None = None

    def stored(self, rows: Sequence[Record]) -> None:
        """The log takes writes."""
        self._since = None

    def refused(self, error: AmendError) -> None:
        """Remember a refusal of the disk; a duplicate or a bad value is the caller's own."""
        if isinstance(error, StorageFull):
            self._since = self._since or self._clock()

    def probe(self) -> Found:
        """Stand until the next write succeeds."""
        since = self._since
        return None if since is None else {"since": f"{since:%Y-%m-%d %H:%M}"}


def disk_low(log: Path) -> Found:
    """Less is free than the app needs to keep its log in order."""
    free, needed = shutil.disk_usage(log.parent).free, max(LOW, COPIES * log_bytes(log))
    return {"free": round(free / _MB), "needed": round(needed / _MB)} if free < needed else None


def backup_failed(backups: Backups) -> Found:
    """The last attempt came to nothing."""
    failure = backups.failure
    return None if failure is None else {"at": f"{failure.at:%Y-%m-%d %H:%M}", "detail": failure.words}


def backup_old(backups: Backups) -> Found:
    """The newest verified backup is older than twice the interval."""
    age = backups.overdue()
    return None if age is None else {"hours": round(age.total_seconds() / 3600)}


def retraining_failing(store: Store) -> Found:
    """The newest trainings that ended, FAILED_RUNS or more of them, all failed."""
    rows = store.rows(
        "SELECT state, detail FROM current_training_runs WHERE state NOT IN ('started', 'cancelled') ORDER BY created DESC LIMIT 20"
    )
    failed = 0
    while failed < len(rows) and rows[failed]["state"] in ("failed", "interrupted"):
        failed += 1
    return {"count": failed, "detail": rows[0]["detail"]} if failed >= FAILED_RUNS else None


def saturated(lately: Lately) -> Found:
    """Requests were turned away in the last five minutes because too many waited."""
    count = lately.count()
    return {"count": count} if count else None


def unloadable(serving: Callable[[], Sequence[int]], loaded: Callable[[], Sequence[int]], load: Callable[[int], object]) -> Found:
    """A version that serves is not in memory and cannot be loaded."""
    for version in serving():
        if version not in loaded():
            try:
                load(version)
            except (AmendError, OSError, RuntimeError, ValueError, KeyError) as error:  # what broken weights raise
                return {"version": version, "detail": f"{type(error).__name__}: {error}"[:200]}
    return None


class Clock:
    """Notices a clock that went backwards: rows would be out of order, and what is newest would not be."""

    def __init__(self, store: Store, clock: Callable[[], datetime] = now, steady: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._steady = steady
        self._began = (clock(), steady())

    def probe(self) -> Found:
        """Compare with the log's newest prediction, and with the time that has passed since the start."""
        present = self._clock()
        newest = self._store.rows(
            """SELECT max(created) AS newest FROM (SELECT max(created) AS created FROM promotions
               UNION ALL SELECT max(created) FROM predictions WHERE NOT starts_with(contributor, 'import:'))"""
        )[0]["newest"]
        passed = self._began[0] + timedelta(seconds=self._steady() - self._began[1])
        behind = max(passed - present, (newest - present) if newest else timedelta())
        return {"seconds": round(behind.total_seconds())} if behind > BACK else None
