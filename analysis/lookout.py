"""Watches one demo's feed: the log's items, the rule of its [watch], and what other versions would have said, brought together.

It is what feedback/warnings.py asks, and what the Monitor page shows. It stores nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from analysis.users import Frames
from analysis.watch import Cell, Looked, Rule, look
from analysis.watch_items import Brought, Heads, brought, cells_of, heads_of
from analysis.watch_versions import Answers, Carrier
from feedback.demo import WatchSettings
from feedback.records import Finding

DAYS = 4
"""Days back that are judged at a look: the longest window, and one more. What was warned of before is read from the log."""

_EARLIER = """
SELECT kind, topic, sentiment, since, raised, seen, items, expected, evidence, threshold, version
FROM current_warnings WHERE raised >= ? ORDER BY raised
"""


class Sight(NamedTuple):
    """One look: what came, what was found in it, and when that was."""

    brought: Brought
    looked: Looked
    at: datetime


class Lookout:
    """Looks at the feed. Safe to use from many threads. `labels` are the task's, as they are now: `several` says that they name heads."""

    def __init__(
        self,
        frame: Frames,
        labels: Callable[[], Sequence[str]],
        settings: WatchSettings,
        answers: Answers,
        *,
        several: bool = True,
    ) -> None:
        self._frame, self._labels, self._settings, self._several = frame, labels, settings, several
        self.rule = Rule(days=settings.false_warning_days, memory=settings.memory_days, learn=settings.learn_days)
        self._carrier = Carrier(frame, answers, self.heads, settings.memory_days)
        self._lock = threading.Lock()
        self.last: Sight | None = None

    @property
    def heads(self) -> Heads:
        """Return which heads are watched."""
        return heads_of(self._labels() if self._several else (), self._settings.topic, self._settings.sentiment)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Return every topic with every sentiment."""
        return cells_of(self._labels(), self.heads)

    def look(self, at: datetime) -> Sequence[Finding]:
        """Return what was found in the last days, in order of time."""
        return self.sight(at).looked.findings

    def sight(self, at: datetime) -> Sight:
        """Look at the feed as it stands at a moment, and remember what was seen."""
        with self._lock:
            today = datetime(at.year, at.month, at.day)
            start = today - timedelta(days=self.rule.memory + self.rule.lag + DAYS)
            grace = timedelta(minutes=self._settings.grace_minutes)
            came = brought(self._frame, self.heads, self.cells, start, at, self._settings.bin_minutes, grace)
            earlier = [Finding(*row) for row in self._frame(_EARLIER, [start]).itertuples(index=False, name=None)]
            feed, begin = came.feed, (self.rule.memory + self.rule.lag) * came.feed.per_day
            looked = look(feed, self.rule, lambda old, new: self._carrier.carry(feed.cells, old, new, at), begin, earlier)
            self.last = Sight(came, looked, at)
            return self.last

    def silent(self) -> dict[str, object] | None:
        """Return the source that is silent longest, against its habit, or None: a probe of feedback/conditions.py."""
        found = self.last.brought.silent if self.last else {}
        if not found:
            return None
        name = min(found, key=lambda source: found[source])
        return {"source": name, "since": f"{found[name]:%Y-%m-%d %H:%M}"}
