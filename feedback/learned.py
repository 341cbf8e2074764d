"""What a demo may tell everybody of what it has learned: counts, versions and sealed scores. No text, no contributor, no version's feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from hashlib import sha256
from typing import Any, NamedTuple

from itsdangerous import BadSignature, Signer

from feedback.errors import NotFound
from feedback.exchange.outgoing import ChannelCounts, channel_counts
from feedback.home import Home
from feedback.store import Store

_KEY = "channel.key"
_COUNTS = """
SELECT (SELECT count(DISTINCT contributor) FROM predictions p WHERE NOT starts_with(p.contributor, 'feed:')) AS visitors,
    (SELECT count(*) FROM predictions p WHERE NOT starts_with(p.contributor, 'feed:')) AS answers,
    count(*) FILTER (WHERE NOT confirmation) AS corrections, count(*) FILTER (WHERE confirmation) AS confirmations,
    count(*) FILTER (WHERE status = 'accepted') AS accepted, count(*) FILTER (WHERE status = 'rejected') AS rejected,
    min(created)::DATE AS since
FROM current_corrections WHERE status <> 'withdrawn'
"""
_LEARNED = "SELECT version, count(DISTINCT correction_id) AS n FROM uses WHERE part = 'train' GROUP BY version"


class VersionTold(NamedTuple):
    """One version as everybody may see it: `score` is of the sealed test part (0..1, `items` texts), None where there is none.

    `learned`: accepted corrections among what it learned from; `serving`: it is the champion now.
    """

    number: int
    made: str
    kind: str
    verdict: str
    score: float | None
    items: int
    learned: int
    serving: bool


class Counts(NamedTuple):
    """What people did, all together. `since`: the day of the first correction, None before there is one."""

    visitors: int
    answers: int
    corrections: int
    confirmations: int
    accepted: int
    rejected: int
    since: date | None


Told = Callable[[], Sequence[dict[str, Any]]]
"""Returns a row a version: number, made, kind, verdict, score, items. The model room knows them."""


class Learned:
    """The public facts of one demo, and the links by which a partner sees its own channel's. Safe to use from many threads."""

    def __init__(self, store: Store, home: Home, versions: Told, champion: Callable[[], int]) -> None:
        self._store = store
        self._versions = versions
        self._champion = champion
        self._signer = Signer(sha256(b"partner:" + home.secret(_KEY)).digest(), salt="channel")

    def counts(self) -> Counts:
        """Return what people did."""
        (row,) = self._store.rows(_COUNTS)
        return Counts(**row)

    def versions(self) -> list[VersionTold]:
        """Return the versions, the newest first."""
        learned = {int(row["version"]): int(row["n"]) for row in self._store.rows(_LEARNED)}
        champion = self._champion()
        return [
            VersionTold(**row, learned=learned.get(row["number"], 0), serving=row["number"] == champion)
            for row in sorted(self._versions(), key=lambda row: -int(row["number"]))
        ]

    def key_of(self, channel: str) -> str:
        """Return the key that shows a channel's report to whoever has it; a new `secrets/channel.key` ends all keys."""
        return self._signer.get_signature(channel).decode()

    def channel(self, channel: str, key: str) -> ChannelCounts:
        """Return what came by a channel. Raises NotFound for a wrong key, whether there is such a channel or not."""
        try:
            self._signer.unsign(f"{channel}.{key}")
        except BadSignature:
            raise NotFound("no such report: the link is not whole, or it was withdrawn", code="no_report") from None
        found = next((counts for counts in channel_counts(self._store) if counts.channel == channel), None)
        return found or ChannelCounts(channel, 0, 0, 0, 0, 0, None, None)
