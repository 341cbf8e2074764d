"""What waits for a reviewer, most valuable first: one SQL over the log. It reads and decides nothing.

A verdict is worth the more, the less it is known already and the more a model learns from it. In this order:

1. what people disagree on (undecided) comes before what nobody has contradicted;
2. within that by the sum of
   - 1.0 x disagreement: the share of contributors who do not say what most say of this very text (0..1);
   - 0.5 x (1 - confidence) of the answer that was shown;
   - 0.3 where the answer is corrected: a confirmation teaches little;
   - 0.3 where the answer came from a version that is being offered or gated: the next decision stands on it;
   - 0.3 x rarity of the rarest label in what is proposed: 1 / sqrt(1 + accepted corrections with it);
3. then the oldest.

The weights are ours and rank only; they were not measured. Left out: traps (their truth is known), whatever a blocked
contributor said (it is never accepted) and what was withdrawn.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, NamedTuple

from feedback.records import Json, Status
from feedback.store import Store

KEPT_ITEMS = 500
KEPT_SECONDS = 20.0
UNSURE_BELOW = 0.7  # the confidence under which the page gives it as a reason
RARE_FROM = 0.3  # the rarity from which the page gives it as a reason: fewer than about ten accepted


class Waiting(NamedTuple):
    """One correction in the reviewers' queue. It holds nothing that other people said: a reviewer judges blind.

    `reasons`: why it comes where it does, of undecided, disagreement, unsure, offered, rare, correction, cleaning.
    `cleaning`: nobody said it: a search for wrong labels found it. `shown` is then the label as it stands, `proposed` what a
    model says that had not learned from the text, `confidence` what that model gives the label as it stands.
    """

    id: str
    input: Json
    shown: Json
    proposed: Json
    confirmation: bool
    comment: str
    status: Status
    confidence: float
    variant: str
    version: int
    created: datetime
    value: float = 0.0
    reasons: tuple[str, ...] = ()
    cleaning: bool = False


# What is open to a reviewer, whoever asks: the one definition for the queue, the counts and bulk acceptance.
OPEN = """open_ones AS (
    SELECT * FROM current_corrections c WHERE status IN ('pending', 'undecided')
    AND contributor NOT IN (SELECT contributor FROM current_blocks WHERE blocked)
    AND prediction_id NOT IN (SELECT prediction_id FROM asked WHERE kind = 'trap'))"""

# A person's newest standing opinion on a text (the cleaning is none); a text is its canonical JSON, so that offsets mean the same.
OPINIONS = """opinions AS (
    SELECT * FROM current_corrections WHERE status <> 'withdrawn' AND NOT starts_with(contributor, 'policy:')
    AND contributor NOT IN (SELECT contributor FROM current_blocks WHERE blocked)
    QUALIFY row_number() OVER (PARTITION BY input_hash, input::VARCHAR, contributor ORDER BY created DESC, id DESC) = 1)"""

_LABELS = (
    """list_distinct(regexp_extract_all({}, '"label": "((?:[^"\\\\]|\\\\.)*)"', 1))"""  # of outputs as the store writes them
)

_SQL = f"""
WITH {OPEN}, {OPINIONS},
said AS (SELECT input_hash, input::VARCHAR AS text, proposed::VARCHAR AS proposed, count(*) AS people FROM opinions
         SEMI JOIN open_ones USING (input_hash) GROUP BY ALL),
spread AS (SELECT input_hash, text, 1 - max(people) / sum(people) AS disagreement FROM said GROUP BY ALL),
known AS (SELECT label, count(*) AS n FROM (SELECT unnest({_LABELS.format("output::VARCHAR")}) AS label
          FROM current_corrections WHERE status = 'accepted') GROUP BY label),
named AS (SELECT id, unnest({_LABELS.format("proposed::VARCHAR")}) AS label FROM open_ones),
rare AS (SELECT id, max(1 / sqrt(1 + coalesce(n, 0))) AS rarity FROM named LEFT JOIN known USING (label) GROUP BY id),
offered AS (
    SELECT unnest(json_extract(variants, '$[*].version')::INTEGER[]) AS version FROM current_experiments
    WHERE state IN ('declared', 'running', 'paused')
    UNION SELECT version FROM (SELECT state, version FROM current_training_runs ORDER BY created DESC LIMIT 1)
    WHERE state IN ('passed', 'undecided')
    EXCEPT SELECT version FROM champion),
parts AS (
    SELECT o.*, coalesce(s.disagreement, 0) AS disagreement, coalesce(r.rarity, 0) AS rarity,
           o.version IN (SELECT version FROM offered WHERE version IS NOT NULL) AS offered
    FROM open_ones o LEFT JOIN spread s ON s.input_hash = o.input_hash AND s.text = o.input::VARCHAR
    LEFT JOIN rare r ON r.id = o.id)
SELECT id, input, shown, proposed, confirmation, comment, status, confidence, variant, version, created,
       contributor = 'policy:clean' AS cleaning, disagreement, rarity, offered,
       1.0 * disagreement + 0.5 * (1 - confidence) + 0.3 * (NOT confirmation)::INTEGER + 0.3 * offered::INTEGER
       + 0.3 * rarity AS value
FROM parts WHERE len(?) = 0 OR id IN (SELECT unnest(?)) ORDER BY status = 'undecided' DESC, value DESC, created, id LIMIT ?"""


def waiting(store: Store, limit: int, among: Collection[str] = ()) -> list[Waiting]:
    """Return what is open to reviewers, most valuable first (the order is described at the top of this file).

    `among` are the only corrections that are meant; none: all.
    """
    ids = list(among)
    return [_waiting(row) for row in store.rows(_SQL, [ids, ids, limit])]


class Ranking:
    """The most valuable items, kept for some seconds: ranking a long log takes longer than judging should wait.

    The order may be some seconds old; whether an item is open is asked of the log every time. Safe to use from threads.
    """

    def __init__(self, store: Store, seconds: float = KEPT_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._best: list[Waiting] = []
        self._ends = -float("inf")

    def best(self, limit: int) -> list[Waiting]:
        """Return at least `limit` open items in order, fewer only where fewer are open."""
        with self._lock:
            if self._clock() < self._ends:
                known = self._still_open()
                if len(known) >= limit:
                    return known
            wanted = max(limit, KEPT_ITEMS)
            self._best = waiting(self._store, wanted)
            # A short queue is ranked anew each time: it is fast, and what has just come is there at once.
            self._ends = self._clock() + self._seconds if len(self._best) == wanted else -float("inf")
            return self._best

    def _still_open(self) -> list[Waiting]:
        rows = self._store.rows(
            f"WITH {OPEN} SELECT id FROM open_ones WHERE id IN (SELECT unnest(?))", [[item.id for item in self._best]]
        )
        still = {row["id"] for row in rows}
        return [item for item in self._best if item.id in still]


def _waiting(row: dict[str, Any]) -> Waiting:
    given = {
        "undecided": row["status"] == "undecided",
        "disagreement": row["disagreement"] > 0,
        "unsure": row["confidence"] < UNSURE_BELOW and not row["cleaning"],
        "offered": row["offered"],
        "rare": row["rarity"] >= RARE_FROM,
        "correction": not row["confirmation"] and not row["cleaning"],
        "cleaning": row["cleaning"],
    }
    kept = {name: row[name] for name in Waiting._fields if name in row}
    parsed = {name: json.loads(row[name]) for name in ("input", "shown", "proposed")}
    return Waiting(**{**kept, **parsed, "reasons": tuple(name for name, holds in given.items() if holds)})
