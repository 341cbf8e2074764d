"""What the log holds of everybody's answers, as the policy `reliability` reads it, and how each did on items of known truth.

It judges nothing. An answer tests its contributor where the item is one of the owner's (gold), whoever brought the text, or
where they were asked about a trap. A trap that people themselves made by agreeing (unanimous) tests nobody who made it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from feedback.heads import WITHIN
from feedback.reliability import Reliability, TrustRule, reliability
from feedback.store import Store


class Heard(NamedTuple):
    """One standing answer. `item` is the exact input as JSON text; outputs are canonical JSON text."""

    id: str
    contributor: str
    item: str
    input_hash: str
    output: str  # what the contributor said
    shown: str
    policy: str  # the policies' standing verdict, "" for none
    given: str  # the output that the policy gave with it, "" for none
    person: str  # the standing status that a person gave, "" for none
    settled: str  # the output that a person accepted, "" for none
    trap: str  # the truth, where the answer tests its contributor, else ""
    founding: bool  # of an item that became a trap by such answers: neither tests nor is judged again


# Answers of policies count nowhere. A person's verdict stands until it is reopened.
_ANSWERS = """
WITH judged AS (
    SELECT correction_id, arg_max(verdict, created) AS policy, arg_max(coalesce(output::VARCHAR, ''), created) AS given
    FROM reviews WHERE reviewer IN ('policy:reliability', 'policy:agreement') GROUP BY correction_id)
SELECT c.id, c.contributor, c.input::VARCHAR AS item, c.input_hash, c.proposed::VARCHAR AS output, c.shown::VARCHAR AS shown,
    coalesce(j.policy, '') AS policy, coalesce(j.given, '') AS given,
    CASE WHEN c.reviewer <> '' AND NOT starts_with(c.reviewer, 'policy:') THEN c.status ELSE '' END AS person,
    CASE WHEN c.reviewer <> '' AND NOT starts_with(c.reviewer, 'policy:') AND c.status = 'accepted'
        THEN c.output::VARCHAR ELSE '' END AS settled,
    CASE WHEN t.source = 'gold' OR a.kind = 'trap' THEN coalesce(t.output::VARCHAR, '') ELSE '' END AS trap,
    coalesce(t.source = 'unanimous' AND a.kind IS DISTINCT FROM 'trap', false) AS founding
FROM current_corrections c
LEFT JOIN judged j ON j.correction_id = c.id
LEFT JOIN current_traps t ON t.active AND t.input_hash = c.input_hash AND t.input::VARCHAR = c.input::VARCHAR
LEFT JOIN asked a ON a.prediction_id = c.prediction_id
WHERE c.status <> 'withdrawn' AND NOT starts_with(c.contributor, 'policy:') {of}
ORDER BY c.created, c.id
"""

TRAP_ANSWERS = f"""
SELECT c.contributor, c.created, {WITHIN.format(output="c.proposed", other="t.output")} AS "right", t.input, t.output AS truth, c.proposed AS answer
FROM current_corrections c
JOIN current_traps t ON t.active AND t.input_hash = c.input_hash AND t.input::VARCHAR = c.input::VARCHAR
LEFT JOIN asked a ON a.prediction_id = c.prediction_id
WHERE c.status <> 'withdrawn' AND NOT starts_with(c.contributor, 'policy:') AND (t.source = 'gold' OR a.kind = 'trap')
"""
"""Every answer that tests its contributor; of several heads it is right where the heads that it tells are.

One to what is no trap any more (its truth was wrong) counts no more.
"""

# A reviewer's no is one more failed trap, at the moment it was said.
_RESULTS = f"""
SELECT contributor, created, "right", true AS trap FROM ({TRAP_ANSWERS})
UNION ALL
SELECT c.contributor, c.reviewed, false, false FROM current_corrections c
ANTI JOIN current_traps t ON t.active AND t.input_hash = c.input_hash AND t.input::VARCHAR = c.input::VARCHAR
WHERE c.status = 'rejected' AND NOT starts_with(c.reviewer, 'policy:') AND NOT starts_with(c.contributor, 'policy:')
ORDER BY created
"""


class Record(NamedTuple):
    """How a contributor did: `traps` answered, `right` of them, and the reliability, in which rejections count too."""

    traps: int
    right: int
    reliability: Reliability


def answers(store: Store, hashes: Collection[str] | None = None) -> list[Heard]:
    """Return every standing answer, oldest first; with `hashes` those to inputs of these hashes alone."""
    if hashes is None:
        return [Heard(**row) for row in store.rows(_ANSWERS.format(of=""))]
    of = "AND c.input_hash IN (SELECT unnest($1::VARCHAR[]))"
    return [Heard(**row) for row in store.rows(_ANSWERS.format(of=of), [sorted(hashes)])]


def records(store: Store, rule: TrustRule) -> dict[str, Record]:
    """Return by contributor how they did on items of known truth; those who met none and were never rejected are left out."""
    results: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row in store.rows(_RESULTS):
        results[str(row["contributor"])].append((bool(row["right"]), bool(row["trap"])))
    return {
        name: Record(
            sum(trap for _, trap in found),
            sum(right for right, trap in found if trap),
            reliability([right for right, _ in found], rule),
        )
        for name, found in results.items()
    }
