"""Answers in people's own words that stand accepted: what a catalogue gains before any training. It reads, and judges nothing."""

from __future__ import annotations

import json

from feedback.records import Json
from feedback.store import Store

_SQL = """
SELECT input::VARCHAR AS input, output::VARCHAR AS output FROM current_corrections
WHERE status = 'accepted' AND coalesce(output->>'text', '') <> ''
QUALIFY row_number() OVER (PARTITION BY input_hash
    ORDER BY (NOT starts_with(reviewer, 'policy:')) DESC, reviewed DESC, id) = 1
ORDER BY reviewed, id
"""


def written_answers(store: Store) -> list[tuple[Json, Json]]:
    """Return (input, output) of every accepted answer that brings words of its own, the newest acceptance of an input, oldest first."""
    return [(json.loads(row["input"]), json.loads(row["output"])) for row in store.rows(_SQL)]
