"""How often the gate's items have judged a candidate: a set that is used again and again flatters what it lets through.

A use is a gate that ended, whatever its verdict. The seed's validation part is the same at every use; the feedback slice is
refreshed by what is newly accepted. The sealed test part is never counted here: no gate sees it.
"""

from __future__ import annotations

from typing import NamedTuple

from feedback.store import Store
from model.card import Card

MANY = 30
"""Uses after which a set that is not refreshed has flattered by 1.5 to 4 points (../shared/model.md, 'The gate'): then it is said."""


class Ledger(NamedTuple):
    """What a version's gate rested on. Counts of items, and of uses up to and with this version's newest gate."""

    uses: int  # gates that ended, by which the old domain's items were used
    old_items: int
    feedback_items: int
    fresh: int  # of the feedback items: those that had judged no earlier version


def ledger_of(store: Store, card: Card) -> Ledger | None:
    """Return how worn the items were that judged a version; None where no gate judged it."""
    if card.gate is None:
        return None
    uses = store.rows(
        """SELECT count(*) AS n FROM training_runs WHERE state IN ('passed', 'refused', 'undecided')
           AND created <= (SELECT max(created) FROM training_runs WHERE version = ? AND state IN ('passed', 'refused', 'undecided'))""",
        [card.number],
    )
    fresh = store.rows(
        """SELECT count(*) AS n FROM uses u WHERE u.version = $1 AND u.part = 'gate'
           AND NOT EXISTS (FROM uses e WHERE e.correction_id = u.correction_id AND e.part = 'gate' AND e.version < $1)""",
        [card.number],
    )
    scores = card.gate.get("scores", {})
    items = {name: int(scores.get(name, {}).get("items", 0)) for name in ("old", "feedback")}
    return Ledger(int(uses[0]["n"]), items["old"], items["feedback"], min(int(fresh[0]["n"]), items["feedback"]))
