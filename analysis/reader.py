"""What the Experiments page, the routes and the autopilot ask: reports, proofs and per-user tables of one log."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from analysis import metrics
from analysis.comparing import challengers_of
from analysis.history import Design, design_of
from analysis.metrics import Frames
from analysis.prove import Proof, prove
from analysis.replaying import Replayer
from analysis.report import Report, report
from analysis.sequential import Rule
from feedback.errors import BadInput, Conflict
from feedback.outcomes import primary
from feedback.records import Experiment

FORMS = ("parquet", "csv")
_BINARY = ("correction_rate", "confirmation_rate")
"""Metrics whose events are each 0 or 1: there the per-event test, the control that must fail, exists."""


_SEED = 1  # of the shuffles: the same log always gives the same proof


class Shippable(NamedTuple):
    """The challenger that may be shipped, and the sentence that the log keeps."""

    challenger: str
    reason: str


class Reader:
    """Reports over one log. `get` returns an experiment by its name or raises NotFound; without a replayer no replay is made."""

    def __init__(self, frame: Frames, get: Callable[[str], Experiment], replayer: Replayer | None = None) -> None:
        self._frame = frame
        self._get = get
        self._replayer = replayer

    def report(self, name: str) -> Report:
        """Return an experiment's report. Raises NotFound, and BadInput where its metric is none of ours."""
        experiment = self._get(name)
        replay = self._replayer.replay(experiment) if self._replayer and experiment.mode == "assigned" else None
        return report(self._frame, experiment, replay)

    def design(self, name: str) -> Design:
        """Return what was declared and every number of it, for the written report. Raises NotFound."""
        return design_of(self._frame, self._get(name))

    def shippable(self, name: str) -> Shippable | None:
        """Return the challenger that may be shipped now, or None: what a policy of automatic promotion goes by."""
        made = report(self._frame, self._get(name))
        if not made.shipping.ready:
            return None
        if made.side_by_side is not None:
            by_name = {strength.challenger: strength for strength in made.side_by_side.strengths}
            liked = by_name[made.shipping.challenger]
            said = (
                f"preferred in {liked.win_probability:.0%} of the votes against {made.arms[0].name}, always-valid p {liked.p:.2g}"
            )
            return Shippable(liked.challenger, f"{said}, {made.users} voters")
        won = next(c for c in made.comparisons if c.challenger == made.shipping.challenger)
        kept = sum(row.challenger == won.challenger for row in made.guardrails)
        reason = f"{made.metric} {won.difference:+.4g} against {won.control}, always-valid p {won.p:.2g}, {made.users} users"
        return Shippable(won.challenger, f"{reason}, guardrails kept: {kept}" if kept else reason)

    def proof(self, name: str) -> Proof:
        """Shuffle variants over the users of this log: how often does the rule in force claim a difference that is none?

        Raises BadInput in words where there are too few users, Conflict for an experiment that assigns nobody.
        """
        experiment = self._get(name)
        if experiment.mode != "assigned":
            raise Conflict(
                f"experiment {name!r} shows its variants side by side: nobody is assigned, so nothing can be shuffled",
                code="nothing_to_shuffle",
                values={"name": name},
            )
        metric = primary(experiment.primary_metric)
        users = metrics.users_of(self._frame, metrics.scope_of(self._frame, experiment), metric)
        return prove(
            np.asarray(users["y"], dtype=float),
            np.asarray(users["n"], dtype=float),
            shares=[v.share for v in experiment.variants if v is experiment.control or v.name in challengers_of(experiment)],
            rule=Rule(experiment.rule, experiment.n_max, experiment.alpha),
            binary=metric.name in _BINARY,
            seed=_SEED,
        )

    def users_file(self, name: str, form: str) -> bytes:
        """Return the cohort's per-user table as a file. Raises BadInput with the choices for an unknown form."""
        if form not in FORMS:
            raise BadInput(f"unknown form {form!r}: available are {', '.join(FORMS)}")
        users = metrics.users_of(self._frame, metrics.scope_of(self._frame, self._get(name)))
        if form == "csv":
            return str(users.to_csv(index=False)).encode()
        buffer = io.BytesIO()
        users.to_parquet(buffer, index=False)
        return buffer.getvalue()
