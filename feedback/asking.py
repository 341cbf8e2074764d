"""Second opinions: which text a contributor is asked about next, and traps among them. It judges nobody.

What is asked about is a prediction of its own by the contributor's own variant, stored as forced: it was not the visitor
who chose the text, so it counts in no A/B metric. Whether it is a trap shows nowhere: both look and are answered alike.
"""

from __future__ import annotations

import json
import random
from typing import Any

from feedback.demo import AcceptanceSettings
from feedback.desk import PATIENCE, Model, answered
from feedback.errors import Conflict
from feedback.experiments import Experiments
from feedback.limits import Limits
from feedback.records import Asked, Prediction, Visitor, input_hash, new_id
from feedback.store import Store

ENOUGH_TRAPS = 8
"""Trap results before which a contributor is asked about a trap every other time: trust cannot start earlier (model.md)."""

UNSETTLED = ("pending", "undecided")

# An item's use: people differ, few have spoken, the model was unsure, or the version on trial answered it.
_OPEN = """
WITH seen AS (SELECT DISTINCT input_hash FROM predictions WHERE contributor = $1),
open AS (
    SELECT c.input_hash, arg_min(c.input, c.created)::VARCHAR AS input, count(DISTINCT c.contributor) AS people,
        count(DISTINCT c.proposed::VARCHAR) AS answers, min(c.confidence) AS confidence,
        bool_or(c.version = $2) AS on_trial, min(c.created) AS since
    FROM current_corrections c
    ANTI JOIN (SELECT contributor FROM current_blocks WHERE blocked) b ON b.contributor = c.contributor
    ANTI JOIN (SELECT prediction_id FROM asked WHERE kind = 'trap') t ON t.prediction_id = c.prediction_id
    ANTI JOIN current_traps k ON k.input_hash = c.input_hash
    WHERE c.status IN ('pending', 'undecided') AND NOT starts_with(c.contributor, 'policy:')
    GROUP BY c.input_hash)
SELECT o.input_hash, o.input FROM open o ANTI JOIN seen s ON s.input_hash = o.input_hash
ORDER BY (o.answers > 1)::INTEGER + o.on_trial::INTEGER + (1 - o.confidence) + 1.0 / o.people DESC, o.since LIMIT 1
"""

_TRAPS = """
SELECT input::VARCHAR AS input FROM current_traps k
ANTI JOIN (SELECT DISTINCT input_hash FROM predictions WHERE contributor = ?) s ON s.input_hash = k.input_hash
WHERE k.active ORDER BY k.input_hash
"""


class Asking:
    """Asks contributors about texts that are not theirs. Safe to use from many threads."""

    def __init__(
        self,
        store: Store,
        model: Model,
        experiments: Experiments,
        settings: AcceptanceSettings,
        *,
        limits: Limits | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._model = model
        self._experiments = experiments
        self._settings = settings
        self._limits = limits
        self._chance = chance or random.SystemRandom()

    def next(self, visitor: Visitor) -> Prediction | None:
        """Return an answer to judge, durable before it is shown, or None where nothing waits for this visitor.

        Raises Conflict where the demo asks for no second opinions.
        """
        if not self._settings.second_opinions:
            raise Conflict("this demo asks for no second opinions", code="no_opinions")
        if self._limits:
            self._limits.spend("predictions", visitor)
        trap = self._chance.random() < self._trap_share(visitor.contributor)
        # Where one kind has nothing left for this visitor, the other stands in, so that a trap cannot be told by its absence.
        kinds = (self._trap, self._open) if trap else (self._open, self._trap)
        for find in kinds:
            text = find(visitor.contributor)
            if text is not None:
                return self._shown(visitor, json.loads(text), "trap" if find == self._trap else "opinion")
        return None

    def _trap_share(self, contributor: str) -> float:
        rows = self._store.rows("SELECT count(*) AS n FROM asked WHERE contributor = ? AND kind = 'trap'", [contributor])
        return self._settings.traps if int(rows[0]["n"]) >= ENOUGH_TRAPS else max(self._settings.traps, 0.5)

    def _open(self, contributor: str) -> str | None:
        current = self._experiments.current
        trial = current.variants[-1].version if current else -1
        rows = self._store.rows(_OPEN, [contributor, trial])
        return str(rows[0]["input"]) if rows else None

    def _trap(self, contributor: str) -> str | None:
        rows = self._store.rows(_TRAPS, [contributor])
        return str(self._chance.choice(rows)["input"]) if rows else None

    def _shown(self, visitor: Visitor, input_: Any, kind: Any) -> Prediction:
        checked, _ = self._model.check(input_)
        variant = self._experiments.assign(visitor).variant
        made = answered(self._model, visitor, variant, checked, new_id("p"), forced=True)
        self._store.add(made, Asked(made.id, visitor.contributor, kind, input_hash(checked)), patience=PATIENCE)
        return made
