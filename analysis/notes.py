"""What a reader must be told beside a verdict, as keys of the words catalogue. It computes no statistic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from analysis import stats
from analysis.metrics import Arm, LeftOut
from feedback.records import Experiment

Verdict = Literal[
    "collecting", "no verdict yet", "B better", "B worse", "no meaningful difference", "blocked: sample ratio"
]  # fmt: skip
"""The only words a report may use; B is the challenger named in a report's `about` or in the comparison itself."""

MIN_USERS = 50
"""Users in each arm below which nothing is compared: the variance of a ratio cannot be trusted (mc_benchmark.json, mc4)."""

LEFT_OUT_WARNING = 0.01
"""Share of the exposed contributors who met two variants above which the report warns."""


class Note(NamedTuple):
    """A sentence by its key in the words catalogue, with the values of its placeholders."""

    key: str
    values: dict[str, Any]


def notes_of(
    experiment: Experiment,
    arms: Mapping[str, Arm],
    estimates: Mapping[str, stats.Estimate | None],
    left_out: LeftOut,
    ready: bool,
    verdict: Verdict,
) -> tuple[Note, ...]:
    """Return what a reader must know beside the verdict, the weightiest first."""
    notes: list[Note] = []
    if not any(arm.users for arm in arms.values()):
        notes.append(Note("experiments.note.nobody", {}))
    elif not ready:
        fewest = min(arms[v.name].users for v in experiment.variants if v.share > 0 or v is experiment.control)
        notes.append(Note("experiments.note.too_few", {"fewest": fewest, "needed": MIN_USERS}))
    smallest = min((v.share for v in experiment.variants if v.share > 0), default=0.0) * experiment.n_max
    if experiment.rule == "horizon" and smallest < MIN_USERS:
        notes.append(Note("experiments.note.n_max", {"n_max": experiment.n_max, "expected": int(smallest), "needed": MIN_USERS}))
    silent = [name for name, arm in arms.items() if arm.users and not arm.predictions]
    if silent:
        notes.append(Note("experiments.note.silent", {"arms": ", ".join(silent)}))
    if ready and not silent and any(e is None for e in estimates.values()):
        notes.append(Note("experiments.note.one_user", {}))
    if ready and all(e is not None and e.variance <= 0 for e in estimates.values()):
        notes.append(Note("experiments.note.no_variation", {}))
    if left_out.two_variants > LEFT_OUT_WARNING * left_out.exposed:
        share = round(100 * left_out.two_variants / left_out.exposed, 1)
        notes.append(Note("experiments.note.two_variants", {"users": left_out.two_variants, "percent": share}))
    untimed = sum(arm.untimed for arm in arms.values())
    if untimed:
        notes.append(Note("experiments.note.untimed", {"predictions": untimed}))
    if experiment.state in ("stopped", "decided") and verdict in ("collecting", "no verdict yet"):
        notes.append(Note("experiments.note.ended_early", {}))
    return tuple(notes)
