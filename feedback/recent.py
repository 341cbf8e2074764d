"""Predictions of the last moments in memory: most corrections come right after the answer, and need not ask the log for it.

A copy of rows that never change, but can be removed: after a rewrite of the log (erasure, retention) none of it counts any more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace

from feedback.records import Prediction
from feedback.store import Store

KEPT = 2048
"""Predictions kept, the newest: of ordinary texts a few megabytes."""


class Recent:
    """The newest predictions of one log by id. Safe to use from many threads."""

    def __init__(self, store: Store, kept: int = KEPT) -> None:
        self._store = store
        self._kept = kept
        self._rows: OrderedDict[str, tuple[int, Prediction]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def moment(self) -> int:
        """Take this before a row is stored and give it to `keep`: a rewrite in between may have removed the row."""
        return self._store.rewrites

    def keep(self, prediction: Prediction, moment: int) -> None:
        """Remember a prediction that is stored; its notes were told and are not."""
        with self._lock:
            self._rows[prediction.id] = (moment, replace(prediction, notes=()))
            if len(self._rows) > self._kept:
                self._rows.popitem(last=False)

    def get(self, id_: str) -> Prediction | None:
        """Return a prediction, or None where the log is to be asked."""
        with self._lock:
            moment, prediction = self._rows.get(id_, (-1, None))
        return prediction if moment == self._store.rewrites else None
