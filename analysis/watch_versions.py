"""What another version would have said of the feed's past: a sample of its items answered anew, kept in memory. It stores nothing.

A new version may answer differently; then the shares of topics and sentiments shift though the world did not change. So the past
is brought over to it: of a sample of the items that the old version answered, how often does the new one say what? That is a
table from cell to cell, with which the past's counts are multiplied. Items whose text was removed cannot be asked about.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

from analysis.users import Frames
from analysis.watch import Carried, Cell
from analysis.watch_items import Heads
from feedback.records import Json

SAMPLE = 1000
"""Items of a version that are answered anew, by a hash: the same ones at every start."""
LEAST = 100
"""Items without which nothing is carried over: watching begins anew with the new version's own answers."""
_PRIOR = 2.0  # items that 'the same as before' is worth in a cell of the table

Answers = Callable[[int, Sequence[Json], Mapping[str, float]], list[Json]]
"""(version, inputs, settings) -> outputs."""

_SQL = """
SELECT p.input::VARCHAR AS input, p.output::VARCHAR AS output
FROM feed_items f JOIN predictions p ON p.id = f.prediction_id
WHERE p.version = ? AND p.input::VARCHAR <> 'null' AND f.published >= ? AND f.published < ? ORDER BY p.input_hash LIMIT ?
"""


class Carrier:
    """Tables between versions, each made once a day at most. Safe to use from many threads."""

    def __init__(self, frame: Frames, answers: Answers, heads: Heads, days: int) -> None:
        self._frame, self._answers, self._heads, self._days = frame, answers, heads, days
        self._lock = threading.Lock()
        self._known: dict[tuple[int, int, tuple[Cell, ...], datetime], Carried | None] = {}

    def carry(self, cells: Sequence[Cell], old: int, new: int, at: datetime) -> Carried | None:
        """Return the table from the old version's cells to the new one's, or None where too few texts are left to make it."""
        day = datetime(at.year, at.month, at.day)
        key = (old, new, tuple(cells), day)
        with self._lock:
            if key not in self._known:
                self._known = {known: made for known, made in self._known.items() if known[3] == day}
                self._known[key] = self._made(cells, old, new, day)
            return self._known[key]

    def _made(self, cells: Sequence[Cell], old: int, new: int, day: datetime) -> Carried | None:
        rows = self._frame(_SQL, [old, day - timedelta(days=self._days), day + timedelta(days=1), SAMPLE])
        if len(rows) < LEAST:
            return None
        place = {cell: index for index, cell in enumerate(cells)}
        said = self._answers(new, [json.loads(text) for text in rows["input"]], {})
        counts = np.eye(len(cells)) * _PRIOR
        of = np.full(len(cells), _PRIOR)
        for before, after in zip(rows["output"], said, strict=True):
            from_, to = (place.get(cell_of(self._heads, output)) for output in (json.loads(before), after))
            if from_ is not None and to is not None:
                counts[from_, to] += 1
                of[from_] += 1
        return Carried(counts / counts.sum(axis=1, keepdims=True), of)


def cell_of(heads: Heads, output: Json) -> Cell:
    """Return the cell of an answer."""
    if not heads.topic:
        return Cell(str(output.get("label", "")), "")
    labels = output.get("labels", {})
    return Cell(str(labels.get(heads.topic, "")), str(labels.get(heads.sentiment, "")) if heads.sentiment else "")
