"""One's own corrections, as the contributor sees them: what was said, and what came of it. It reads, and decides nothing."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Literal, NamedTuple

from feedback.records import Json, Status
from feedback.store import Store


class Given(NamedTuple):
    """One correction as its contributor sees it. `versions` learned from it; `checks` were judged by it."""

    id: str
    prediction_id: str
    input: Json
    shown: Json
    output: Json
    confirmation: bool
    comment: str
    status: Status
    reason: str
    versions: tuple[int, ...]
    checks: tuple[int, ...]
    created: datetime


def given_by(store: Store, column: Literal["id", "contributor"], value: str, limit: int) -> list[Given]:
    """Return the corrections whose column has this value, newest first, each with what came of it."""
    rows = store.rows(
        f"""SELECT c.*, coalesce(list(u.version ORDER BY u.version) FILTER (WHERE u.part = 'train'), []) AS versions,
                  coalesce(list(u.version ORDER BY u.version) FILTER (WHERE u.part = 'gate'), []) AS checks
           FROM (SELECT * FROM current_corrections WHERE {column} = ? ORDER BY created DESC LIMIT ?) c
           LEFT JOIN uses u ON u.correction_id = c.id GROUP BY ALL ORDER BY c.created DESC""",
        [value, limit],
    )
    return [
        Given(
            row["id"], row["prediction_id"], json.loads(row["input"]), json.loads(row["shown"]), json.loads(row["proposed"]),
            row["confirmation"], row["comment"], row["status"], row["reason"], tuple(row["versions"]), tuple(row["checks"]),
            row["created"],
        )
        for row in rows
    ]  # fmt: skip
