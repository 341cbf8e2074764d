"""What people said, out of the log as annotations, and the counts by channel. It reads; it writes nothing."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from feedback.errors import BadInput
from feedback.exchange.annotation import Annotation
from feedback.exchange.contributor_ids import namespace
from feedback.store import Store
from feedback.training_set import accepted

SETS = ("accepted", "all", "training", "gold")
"""accepted: every accepted correction; all: those and what is pending, undecided or rejected; training: one accepted
example an input, as the next snapshot takes them; gold: the owner's items of known truth, which belong to no channel."""


class ChannelCounts(NamedTuple):
    """What came by one channel ("" is none). `visitors` are contributors who were shown something."""

    channel: str
    visitors: int
    predictions: int
    corrections: int
    accepted: int
    rejected: int
    since: datetime | None  # None: nothing came yet
    latest: datetime | None


def annotations_of(store: Store, which: str = "accepted", channel: str | None = None) -> list[Annotation]:
    """Return corrections as annotations, oldest first; of one channel where it is given ("" is none).

    `output` is the one that stands: a reviewer's where one amended it. What was withdrawn is left out. Raises BadInput
    with the choices for an unknown set.
    """
    if which not in SETS:
        raise BadInput(f"unknown set {which!r}: available are {', '.join(SETS)}")
    if which == "gold":
        if channel is not None:
            raise BadInput("items of known truth belong to no channel: export 'gold' without one")
        traps = store.rows("SELECT * FROM current_traps WHERE active ORDER BY created, input_hash")
        return [Annotation("", json.loads(row["input"]), json.loads(row["output"]), gold=True) for row in traps]
    rows = store.rows(
        """SELECT id, contributor, input, output, status, comment, created FROM current_corrections
           WHERE status <> 'withdrawn' AND (? OR status = 'accepted') AND (?::VARCHAR IS NULL OR channel = ?)
           ORDER BY created, id""",
        [which == "all", channel, channel],
    )
    if which == "training":
        chosen = {example.correction_id for example in accepted(store)}
        rows = [row for row in rows if row["id"] in chosen]
    return [
        Annotation(
            "",
            json.loads(row["input"]),
            json.loads(row["output"]),
            row["contributor"],
            id=row["id"],
            status=row["status"],
            time=row["created"],
            comment=row["comment"],
        )
        for row in rows
    ]


def channel_counts(store: Store) -> list[ChannelCounts]:
    """Return what came by each channel, the busiest first."""
    rows = store.rows(
        """WITH met AS (SELECT channel, contributor, created FROM predictions
                        UNION ALL SELECT channel, contributor, created FROM exposures),
                seen AS (SELECT channel, count(DISTINCT contributor) FILTER (NOT starts_with(contributor, 'policy:')) AS visitors,
                                min(created) AS since, max(created) AS latest
                         FROM met GROUP BY channel),
                shown AS (SELECT channel, count(*) AS predictions FROM predictions GROUP BY channel),
                said AS (SELECT channel, count(*) AS corrections, count(*) FILTER (WHERE status = 'accepted') AS accepted,
                                count(*) FILTER (WHERE status = 'rejected') AS rejected
                         FROM current_corrections WHERE status <> 'withdrawn' GROUP BY channel)
           SELECT channel, visitors, coalesce(predictions, 0) AS predictions, coalesce(corrections, 0) AS corrections,
                  coalesce(accepted, 0) AS accepted, coalesce(rejected, 0) AS rejected, since, latest
           FROM seen LEFT JOIN shown USING (channel) LEFT JOIN said USING (channel) ORDER BY predictions DESC, channel"""
    )
    return [ChannelCounts(**row) for row in rows]


def source_counts(store: Store, source: str) -> dict[str, int]:
    """Return where the corrections of one imported source stand now: status -> how many."""
    rows = store.rows(
        "SELECT status, count(*) AS n FROM current_corrections WHERE starts_with(contributor, ?) GROUP BY status ORDER BY status",
        [namespace(source)],
    )
    return {str(row["status"]): int(row["n"]) for row in rows}
