"""What a reader must be told beside a verdict, as keys of the words catalogue. It computes no statistic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from analysis import stats
from analysis.metrics import Arm, LeftOut
from feedback.outcomes import METRICS
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
    early = [Note("experiments.note.ended_early", {})] if _ended_early(experiment, verdict) else []
    if experiment.mode == "side_by_side":  # nobody is assigned: that its arms have no users is no news
        return (*_about_traffic(experiment, arms), *early)
    if not any(arm.users for arm in arms.values()):
        notes.append(Note("experiments.note.nobody", {}))
    elif not ready:
        fewest = min(arms[v.name].users for v in experiment.variants if v.share > 0 or v is experiment.control)
        notes.append(Note("experiments.note.too_few", {"fewest": fewest, "needed": MIN_USERS}))
    smallest = min((v.share for v in experiment.variants if v.share > 0), default=0.0) * experiment.n_max
    if experiment.rule == "horizon" and smallest < MIN_USERS:
        notes.append(Note("experiments.note.n_max", {"n_max": experiment.n_max, "expected": int(smallest), "needed": MIN_USERS}))
    notes.extend(_about_traffic(experiment, arms))
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
    skewed = sum(arm.skewed for arm in arms.values())
    if skewed:
        notes.append(Note("experiments.note.skewed", {"predictions": skewed}))
    return (*notes, *early)


def _ended_early(experiment: Experiment, verdict: Verdict) -> bool:
    return experiment.state in ("stopped", "decided") and verdict in ("collecting", "no verdict yet")


def _about_traffic(experiment: Experiment, arms: Mapping[str, Arm]) -> list[Note]:
    """Return what is odd about what the experiment was given: its metric's definition, its coverage, an arm that nobody meets."""
    notes: list[Note] = []
    metric = METRICS.get(experiment.primary_metric)
    if metric and experiment.definition and experiment.definition != metric.definition:
        notes.append(Note("experiments.note.definition", {"then": experiment.definition, "now": metric.definition}))
    if experiment.coverage < 1 and experiment.state in ("declared", "running", "paused"):
        notes.append(Note("experiments.note.coverage", {"percent": f"{100 * experiment.coverage:g}"}))
    empty = [v.name for v in experiment.variants if v.share > 0 and not arms[v.name].users]
    if empty and any(arm.users for arm in arms.values()):
        notes.append(Note("experiments.note.empty_arm", {"arms": ", ".join(empty)}))
    return notes
