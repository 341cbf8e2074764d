"""How far the reviewers' work is, and what a reviewer did last. Reads only."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from feedback.records import Json
from feedback.review_value import OPEN
from feedback.store import Store

_BREAK = timedelta(minutes=5)  # a longer pause between two acts is not work
_ENOUGH = 4  # gaps between acts, for a pace


class Recent(NamedTuple):
    """One act of a reviewer that stands: a verdict, or one on `size` corrections at once. `reviews` take it back."""

    reviews: tuple[str, ...]
    verdict: str
    size: int
    correction: str
    input: Json
    output: Json
    created: datetime


class Progress(NamedTuple):
    """How far the work is. `rate`: the reviewer's acts an hour of work, without breaks; None before there are five of them."""

    mine: int  # verdicts of this reviewer that stand, since the day began
    all: int  # of all people
    waiting: int
    elsewhere: int  # items open in other pages
    rate: float | None


def recent(store: Store, reviewer: str, limit: int) -> list[Recent]:
    """Return the reviewer's last acts that stand, newest first."""
    rows = store.rows(
        """SELECT list(r.id) AS reviews, min(r.verdict) AS verdict, count(*) AS size, min_by(c.id, r.id) AS correction,
                  min_by(c.input, r.id) AS input, min_by(c.output, r.id) AS output, r.created
           FROM current_reviews r JOIN current_corrections c ON c.id = r.correction_id
           WHERE r.reviewer = ? AND c.status <> 'withdrawn' GROUP BY r.created ORDER BY r.created DESC LIMIT ?""",
        [reviewer, limit],
    )
    return [
        Recent(
            tuple(row["reviews"]), row["verdict"], row["size"], row["correction"], json.loads(row["input"]),
            json.loads(row["output"]), row["created"],
        )
        for row in rows
    ]  # fmt: skip


def progress(store: Store, reviewer: str, began: datetime, elsewhere: int) -> Progress:
    """Return how far the work is since `began` (naive UTC)."""
    (row,) = store.rows(
        f"""WITH {OPEN} SELECT (SELECT count(*) FROM open_ones) AS waiting, count(*) AS everybody,
            count(*) FILTER (WHERE reviewer = ?) AS mine,
            coalesce(list(DISTINCT created) FILTER (WHERE reviewer = ?), []) AS acts
            FROM current_reviews WHERE NOT starts_with(reviewer, 'policy:') AND created >= ?""",
        [reviewer, reviewer, began],
    )
    return Progress(row["mine"], row["everybody"], row["waiting"], elsewhere, pace(row["acts"]))


def pace(acts: Collection[datetime]) -> float | None:
    """Return acts an hour of work: one over the mean gap between them, breaks left out; None before there are five of them."""
    gaps = [later - earlier for earlier, later in pairwise(sorted(acts)) if later - earlier <= _BREAK]
    if len(gaps) < _ENOUGH:
        return None
    return 3600 * len(gaps) / max(sum(gap.total_seconds() for gap in gaps), 1e-6)
