"""How an experiment came to be what it is: its declaration and every number of it. Read from the log; it judges nothing."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

from analysis.metrics import Frames
from feedback.records import Experiment, Variant


class Step(NamedTuple):
    """One number of an experiment: what it was from then on, who made it so, and why."""

    number: int
    state: str
    variants: tuple[Variant, ...]
    coverage: float
    winner: str
    author: str
    reason: str
    created: datetime


class Design(NamedTuple):
    """The experiment as it is now, and its numbers from the declaration on, oldest first."""

    experiment: Experiment
    steps: tuple[Step, ...]


def design_of(frame: Frames, experiment: Experiment) -> Design:
    """Return the experiment with its numbers."""
    rows = frame(
        "SELECT number, state, variants::VARCHAR AS variants, coverage, winner, author, reason, created FROM experiments"
        " WHERE name = ? ORDER BY number",
        [experiment.name],
    ).to_dict("records")
    steps = tuple(
        Step(
            number=int(row["number"]),
            state=str(row["state"]),
            variants=tuple(Variant(**variant) for variant in json.loads(row["variants"])),
            coverage=float(row["coverage"]),
            winner=str(row["winner"] or ""),
            author=str(row["author"] or ""),
            reason=str(row["reason"] or ""),
            created=row["created"].to_pydatetime(),
        )
        for row in rows
    )
    return Design(experiment, steps)
