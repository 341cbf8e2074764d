"""What is known of the people who give corrections, for administrators: everybody with counts, and one with all they said.

It reads the log and judges nobody; blocking is in blocking.py. Contributors whose name begins with `policy:` are the app itself,
those with `feed:` the sources of a feed: neither is anybody.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from feedback.errors import BadInput, NotFound
from feedback.heard import TRAP_ANSWERS, Record, records
from feedback.records import Block, Json, Status
from feedback.reliability import Reliability, TrustRule, reliability
from feedback.store import Store

SORTS = ("last_seen", "first_seen", "corrections", "accepted", "rejected", "reliability")
"""What the list can be sorted by. Each begins with the most or the newest, `reliability` with the least reliable."""


class Summary(NamedTuple):
    """One contributor in numbers. `corrections` counts all they said, `confirmations` those of them that changed nothing."""

    contributor: str
    first_seen: datetime
    last_seen: datetime
    predictions: int
    corrections: int
    confirmations: int
    accepted: int
    rejected: int
    undecided: int
    pending: int
    withdrawn: int
    traps: int  # traps answered
    traps_right: int
    reliability: Reliability  # of traps and of people's rejections
    blocked: bool
    channel: str  # of their first prediction
    network: str  # salted hash of the newest known prefix; the salt is thrown away every day


class Judged(NamedTuple):
    """One verdict that was ever given on a correction, by a person or a policy."""

    verdict: str
    reviewer: str
    reason: str
    created: datetime


class Said(NamedTuple):
    """One correction and all that came of it. `versions` learned from it; `checks` were judged by it."""

    id: str
    input: Json
    shown: Json
    proposed: Json
    confirmation: bool
    comment: str
    status: Status
    reviewer: str
    reason: str
    verdicts: tuple[Judged, ...]  # oldest first
    versions: tuple[int, ...]
    checks: tuple[int, ...]
    asked: str  # "opinion", "trap", or "" for a text of their own
    channel: str
    network: str
    created: datetime


class TrapAnswer(NamedTuple):
    """What a contributor said of an item of known truth."""

    input: Json
    truth: Json
    answer: Json
    right: bool
    created: datetime


class History(NamedTuple):
    """All that is known of one contributor; everything newest first."""

    summary: Summary
    said: list[Said]
    traps: list[TrapAnswer]
    blocks: list[Block]
    versions: tuple[int, ...]  # that learned from any of their corrections


_SUMMARIES = """
WITH seen AS (
    SELECT contributor, min(created) AS first_seen, max(created) AS last_seen, count(*) AS predictions,
           arg_min(channel, created) AS channel, arg_max(network, created) FILTER (WHERE network <> '') AS network
    FROM predictions GROUP BY contributor),
said AS (
    SELECT contributor, min(created) AS first_said, max(created) AS last_said, count(*) AS corrections,
           count_if(confirmation) AS confirmations, count_if(status = 'accepted') AS accepted,
           count_if(status = 'rejected') AS rejected, count_if(status = 'undecided') AS undecided,
           count_if(status = 'pending') AS pending, count_if(status = 'withdrawn') AS withdrawn
    FROM current_corrections GROUP BY contributor),
trusted AS (SELECT unnest($1::VARCHAR[]) AS contributor, unnest($2::DOUBLE[]) AS lower),
everybody AS (
    SELECT contributor, least(first_seen, first_said) AS first_seen, greatest(last_seen, last_said) AS last_seen,
           coalesce(predictions, 0) AS predictions, coalesce(channel, '') AS channel, coalesce(network, '') AS network,
           coalesce(corrections, 0) AS corrections, coalesce(confirmations, 0) AS confirmations,
           coalesce(accepted, 0) AS accepted, coalesce(rejected, 0) AS rejected, coalesce(undecided, 0) AS undecided,
           coalesce(pending, 0) AS pending, coalesce(withdrawn, 0) AS withdrawn, coalesce(b.blocked, false) AS blocked, t.lower
    FROM seen FULL JOIN said USING (contributor)
    LEFT JOIN current_blocks b USING (contributor) LEFT JOIN trusted t USING (contributor)
    WHERE NOT starts_with(contributor, 'policy:') AND NOT starts_with(contributor, 'feed:'))
SELECT * EXCLUDE (lower), count(*) OVER () AS everybody FROM everybody
WHERE ($3 = '' OR contributor = $3) AND contains(lower(contributor), lower($4)) AND (NOT $5 OR blocked)
"""
_ORDERS = {
    "last_seen": "last_seen DESC",
    "first_seen": "first_seen DESC",
    "corrections": "corrections DESC",
    "accepted": "accepted DESC",
    "rejected": "rejected DESC, corrections DESC",
    "reliability": "lower ASC NULLS LAST",
}


class Contributors:
    """Reads who said what. `rule` says when traps make somebody trusted."""

    def __init__(self, store: Store, rule: TrustRule | None = None) -> None:
        self._store = store
        self._rule = rule or TrustRule()

    def everybody(
        self, sort: str = "last_seen", *, part: str = "", blocked_only: bool = False, limit: int = 50, offset: int = 0
    ) -> tuple[list[Summary], int]:
        """Return a page of contributors and how many there are in all. `part` is looked for in their ids.

        Raises BadInput with the choices for an unknown sort.
        """
        if sort not in SORTS:
            raise BadInput(f"unknown sort {sort!r}: available are {', '.join(SORTS)}")
        return self._summaries(_ORDERS[sort], part, blocked_only, "", limit, offset)

    def one(self, contributor: str, limit: int = 200) -> History:
        """Return all that is known of a contributor, their newest `limit` corrections. Raises NotFound."""
        (found, _) = self._summaries("contributor", "", False, contributor, 1, 0)
        if not found:
            raise NotFound(f"no contributor {contributor!r}: erased, or never here", code="no_contributor")
        traps = [
            TrapAnswer(json.loads(r["input"]), json.loads(r["truth"]), json.loads(r["answer"]), bool(r["right"]), r["created"])
            for r in self._store.rows(
                f"SELECT * FROM ({TRAP_ANSWERS}) WHERE contributor = ? ORDER BY created DESC", [contributor]
            )
        ]
        blocks = self._store.rows("SELECT * FROM blocks WHERE contributor = ? ORDER BY created DESC, rowid DESC", [contributor])
        taught = self._store.rows(
            "SELECT DISTINCT version FROM uses u SEMI JOIN (SELECT id FROM corrections WHERE contributor = ?) c "
            "ON c.id = u.correction_id WHERE part = 'train' ORDER BY version",
            [contributor],
        )
        return History(
            found[0],
            self._said(contributor, limit),
            traps,
            [Block(**row) for row in blocks],
            tuple(int(row["version"]) for row in taught),
        )

    def _summaries(
        self, order: str, part: str, blocked_only: bool, only: str, limit: int, offset: int
    ) -> tuple[list[Summary], int]:
        found = records(self._store, self._rule)
        rows = self._store.rows(
            f"{_SUMMARIES} ORDER BY {order}, contributor LIMIT $6 OFFSET $7",
            [list(found), [each.reliability.lower for each in found.values()], only, part, blocked_only, limit, offset],
        )
        nothing = Record(0, 0, reliability([], self._rule))
        total = int(rows[0]["everybody"]) if rows else 0
        made = []
        for row in rows:
            row.pop("everybody")
            own = found.get(str(row["contributor"]), nothing)
            made.append(Summary(**row, traps=own.traps, traps_right=own.right, reliability=own.reliability))
        return made, total

    def _said(self, contributor: str, limit: int) -> list[Said]:
        rows = self._store.rows(
            """WITH mine AS (SELECT * FROM current_corrections WHERE contributor = ? ORDER BY created DESC LIMIT ?),
                    judged AS (SELECT r.correction_id, list({v: r.verdict, w: r.reviewer, y: r.reason, t: r.created}
                                      ORDER BY r.created, r.rowid) AS verdicts
                               FROM reviews r SEMI JOIN mine ON mine.id = r.correction_id GROUP BY r.correction_id),
                    taught AS (SELECT correction_id, list(version ORDER BY version) FILTER (WHERE part = 'train') AS versions,
                                      list(version ORDER BY version) FILTER (WHERE part = 'gate') AS checks
                               FROM uses SEMI JOIN mine ON mine.id = uses.correction_id GROUP BY correction_id)
               SELECT mine.*, j.verdicts, t.versions, t.checks, coalesce(a.kind, '') AS asked
               FROM mine LEFT JOIN judged j ON j.correction_id = mine.id LEFT JOIN taught t ON t.correction_id = mine.id
               LEFT JOIN asked a ON a.prediction_id = mine.prediction_id ORDER BY mine.created DESC, mine.id""",
            [contributor, limit],
        )
        return [
            Said(
                row["id"], json.loads(row["input"]), json.loads(row["shown"]), json.loads(row["proposed"]), row["confirmation"],
                row["comment"], row["status"], row["reviewer"], row["reason"],
                tuple(Judged(one["v"], one["w"], one["y"], one["t"]) for one in row["verdicts"] or ()),
                tuple(row["versions"] or ()), tuple(row["checks"] or ()), row["asked"], row["channel"], row["network"],
                row["created"],
            )
            for row in rows
        ]  # fmt: skip
