"""The words of the watch: a feed in bins, its cells, the rule it is watched by, and what a look found. They judge nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from feedback.records import Finding

Array = np.ndarray


class Rule(NamedTuple):
    """How the feed is watched. The first false warning of all streams together comes after `days` or later, on average."""

    days: float = 30.0
    memory: int = 28  # days of the baseline
    learn: int = 7  # days without which nothing is watched
    lag: int = 1  # days between the baseline's end and the day that is judged
    tolerated: float = 1.05  # times the usual volume that are no news yet
    tolerated_odds: float = 1.0  # times the usual odds of a sentiment that are no news yet
    settle: int = 7  # days after a warning in which only half as much again is news
    slack: float = 3.0  # by what the threshold is divided: the promise's proof is loose by more (benchmarks/watch.py)


class Cell(NamedTuple):
    """One topic and sentiment; the sentiment is "" where the task has none."""

    topic: str
    sentiment: str


class Carried(NamedTuple):
    """What one version would have said, of what another said: `to` (cells, cells) row-stochastic, from `of` (cells,) re-answered items."""

    to: Array
    of: Array


Carry = Callable[[int, int], Carried | None]
"""(version that answered, version to compare with) -> what the second would have said, or None where that is not known."""


class Feed(NamedTuple):
    """What came in. `seen[t, v, c]`: items of bin t (by the time they were published), answered by version v, that are in cell c.

    `late` are those that came when their bin had been judged: rows (bin, version's place, cell, bin in which they came).
    `exposure[t]` in 0..1: the share of the feed that was alive. Bin 0 begins at `start` (naive UTC, on the hour).
    """

    start: datetime
    minutes: int
    cells: tuple[Cell, ...]
    versions: tuple[int, ...]
    seen: Array
    late: Array
    exposure: Array

    @property
    def per_day(self) -> int:
        """Bins of a day."""
        return 24 * 60 // self.minutes

    def time(self, bin_: int) -> datetime:
        """Return when a bin begins."""
        return self.start + timedelta(minutes=self.minutes * int(bin_))


class Looked(NamedTuple):
    """All that was found, in order of time, and how many of the bins could be watched at all."""

    findings: list[Finding]
    watched: int
    usual: Array  # (bins, topics) expected items, NaN where nothing was known
    topics: tuple[str, ...]


def latest(feed: Feed, stop: int) -> int:
    """Return the place of the version that answered last before bin `stop`."""
    answered = np.argwhere(feed.seen[:stop].sum(axis=2) > 0)
    return int(answered[-1][1]) if len(answered) else len(feed.versions) - 1
