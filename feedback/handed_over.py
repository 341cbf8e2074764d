"""Questions that no answer was sure enough for: what a person of the staff is asked to answer, and how they do. It stores by the desk."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import NamedTuple

from feedback.desk import Desk
from feedback.errors import NotFound
from feedback.records import Json, Visitor, now
from feedback.store import Store

DAYS = 30
"""How long a question waits for a person; then it is left out of the list (nothing is removed)."""
REASON = "answered by a person"

_WAITING = """
WITH accepted AS (SELECT DISTINCT input_hash FROM current_corrections WHERE status = 'accepted')
SELECT p.input_hash, arg_max(p.input, p.created)::VARCHAR AS input, arg_max(p.output, p.created)::VARCHAR AS output,
    arg_max(p.id, p.created) AS prediction, count(DISTINCT p.contributor) AS people, max(p.created) AS last
FROM predictions p ANTI JOIN accepted a ON a.input_hash = p.input_hash
WHERE p.output->>'answer' = '' AND NOT p.forced AND p.created > $1 AND ($2 = '' OR p.input_hash = $2)
GROUP BY p.input_hash ORDER BY people DESC, last DESC LIMIT $3
"""


class Question(NamedTuple):
    """One question that waits: the newest prediction of it, how many contributors asked it, and what was offered to them."""

    input_hash: str
    input: Json
    offered: list[Json]
    prediction: str
    people: int
    last: datetime


class HandedOver:
    """What staff see and answer of the questions that were handed over. Safe to use from many threads."""

    def __init__(self, store: Store, desk: Desk) -> None:
        self._store = store
        self._desk = desk

    def waiting(self, limit: int = 100, input_hash: str = "") -> list[Question]:
        """Return the questions of the last DAYS that nobody has answered, those that most people asked first."""
        rows = self._store.rows(_WAITING, [_since(), input_hash, limit])
        return [
            Question(
                row["input_hash"], json.loads(row["input"]), list(json.loads(row["output"]).get("offered", [])),
                row["prediction"], int(row["people"]), row["last"],
            )
            for row in rows
        ]  # fmt: skip

    def answer(self, who: Visitor, input_hash: str, output: Json) -> str:
        """Store and accept a person's answer to a question; return the correction's id. Whoever asks next is given it.

        `who` must be staff. Raises NotFound where the question does not wait (any more), BadInput for an output that breaks a rule.
        """
        found = self.waiting(1, input_hash)
        if not found or who.staff is None:
            raise NotFound(f"no question {input_hash!r} waits for an answer", code="no_question")
        correction, _ = self._desk.correct(who, found[0].prediction, output)
        self._desk.review(who.staff, correction.id, "accept", reason=REASON)
        return correction.id


def _since() -> datetime:
    return now() - timedelta(days=DAYS)
