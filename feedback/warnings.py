"""Early warnings: kept, told to the owner, acknowledged by people. What is worth a warning is asked of a Lookout; nothing is computed here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from feedback.errors import BadInput, Conflict, NotFound
from feedback.records import EarlyWarning, Finding, keyed_id, now
from feedback.store import Duplicate, Store
from feedback.watcher import Watcher
from feedback.webhook import Tell

LOG = logging.getLogger("amend.warnings")
RECENT = timedelta(hours=48)
"""What was raised longer ago is no early warning any more: the app was down."""
SAME = timedelta(hours=24)
"""Two findings of one stream that are this near are one."""
_MAX_REASON = 1000


class Lookout(Protocol):
    """Looks at the feed; analysis/lookout.py has one."""

    def look(self, at: datetime) -> Sequence[Finding]:
        """Return what was found of late, in order of time."""


class Noted(NamedTuple):
    """A warning with what became of it; `acknowledged` is None while nobody has seen it."""

    warning: EarlyWarning
    noticed: datetime
    acknowledged: datetime | None


class Warnings:
    """Looks now and then, keeps and tells what is new. Safe to use from many threads; `also` are further ways to tell."""

    def __init__(
        self,
        store: Store,
        lookout: Lookout,
        tell: Tell | None = None,
        also: Sequence[Callable[[EarlyWarning], object]] = (),
        *,
        seconds: float = 120.0,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._store, self._lookout, self._tell, self._also, self._clock = store, lookout, tell, tuple(also), clock
        self._lock = threading.Lock()
        self._watcher = Watcher("warnings", self.look, seconds, LOG, "the feed could not be watched", at_once=True)

    def look(self) -> list[EarlyWarning]:
        """Look once; return what is new, which is stored and told by then."""
        at = self._clock()
        with self._lock:
            made = [made for found in self._lookout.look(at) if (made := self._kept(found, at))]
        for warning in made:
            self._told(warning)
        return made

    def _kept(self, found: Finding, at: datetime) -> EarlyWarning | None:
        """Store a finding that is new: not of long ago, and no other of its stream within a day of it."""
        if found.raised < at - RECENT:
            return None
        known = self._store.rows(
            "SELECT 1 FROM warnings WHERE kind = ? AND topic = ? AND sentiment = ? AND raised > ? AND raised < ? LIMIT 1",
            [found.kind, found.topic, found.sentiment, found.raised - SAME, found.raised + SAME],
        )
        if known:
            return None
        id_ = keyed_id("w", found.kind, found.topic, found.sentiment, found.raised.isoformat())
        kept = found._replace(expected=round(found.expected, 3), evidence=min(found.evidence, 1e300))
        made = EarlyWarning(id_, "raised", **kept._asdict(), created=at)
        try:
            self._store.add(made)
        except Duplicate:
            return None
        return made

    def _told(self, warning: EarlyWarning) -> None:
        facts = facts_of(warning)
        LOG.warning("early warning %s: %s", warning.id, ", ".join(f"{key} {value}" for key, value in facts.items()))
        if self._tell:
            self._tell("early_warning", warning=warning.id, **facts)
        for way in self._also:
            way(warning)

    def all(self, limit: int = 100) -> list[Noted]:
        """Return the warnings so far, the newest first."""
        rows = self._store.rows("SELECT * FROM current_warnings ORDER BY raised DESC, id LIMIT ?", [limit])
        made = []
        for row in rows:
            noticed = row.pop("noticed")
            warning = EarlyWarning(**row)
            made.append(Noted(warning, noticed, warning.created if warning.state == "acknowledged" else None))
        return made

    def standing(self) -> list[Noted]:
        """Return those that nobody has acknowledged, the newest first."""
        return [noted for noted in self.all(1000) if noted.acknowledged is None]

    def acknowledge(self, warning_id: str, author: str, reason: str = "") -> EarlyWarning:
        """Note that a person has seen a warning, and what they made of it. Raises NotFound, Conflict, BadInput."""
        reason = reason.strip()
        if len(reason) > _MAX_REASON:
            raise BadInput(f"the note has {len(reason)} characters: at most {_MAX_REASON} are kept")
        rows = self._store.rows("SELECT * EXCLUDE (noticed) FROM current_warnings WHERE id = ?", [warning_id])
        if not rows:
            raise NotFound(f"no warning {warning_id!r}")
        known = EarlyWarning(**rows[0])
        if known.state == "acknowledged":
            raise Conflict(f"{known.author} has acknowledged this warning already")
        made = EarlyWarning(**{**rows[0], "state": "acknowledged", "author": author, "reason": reason, "created": self._clock()})
        try:
            self._store.add(made)
        except Duplicate as error:
            raise Conflict("somebody else has acknowledged this warning in this moment") from error
        return made

    def begin(self) -> None:
        """Look at once, and every two minutes from now on."""
        self._watcher.begin()

    def close(self) -> None:
        """Stop looking; a look under way is finished first."""
        self._watcher.close()


def facts_of(warning: EarlyWarning) -> dict[str, Any]:
    """Return a warning as plain values for programs; times are UTC."""
    return {
        "kind": warning.kind, "topic": warning.topic, "sentiment": warning.sentiment, "since": f"{warning.since.isoformat()}Z",
        "raised": f"{warning.raised.isoformat()}Z", "seen": warning.seen, "items": warning.items, "expected": warning.expected,
        "version": warning.version,
    }  # fmt: skip


def sentence(warning: EarlyWarning, say: Callable[..., str], name: Callable[[str], str] = str) -> str:
    """Return a warning in words; `name` gives a label as it is shown."""
    return say(
        f"warning.{warning.kind}", topic=name(warning.topic), sentiment=name(warning.sentiment), seen=warning.seen,
        items=warning.items, expected=f"{warning.expected:.1f}", since=f"{warning.since:%Y-%m-%d %H:%M}",
        raised=f"{warning.raised:%Y-%m-%d %H:%M}", version=warning.version,
    )  # fmt: skip
