"""From the arms' estimates to differences, guardrails and verdicts, under the rule in force. Numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from analysis import sample_ratio, stats
from analysis.metrics import Arm
from analysis.notes import MIN_USERS, Note, Verdict
from analysis.parts import Comparison, GuardrailRow, Numbers, SampleRatio, SecondaryRow, SegmentRow, Shipping
from analysis.sequential import Rule, one_sided_interval
from feedback.errors import BadInput
from feedback.outcomes import METRICS, Metric
from feedback.records import Experiment

Estimates = Mapping[str, stats.Estimate | None]
"""By variant; None where the numbers allow no estimate."""


class Look(NamedTuple):
    """The moment at which the log is looked at: the rule in force, users in all arms, and whether each arm has enough of them."""

    rule: Rule
    users: int
    ready: bool


class Claim(NamedTuple):
    """What is said of one challenger, and how large its difference is, whatever its sign and unit."""

    challenger: str
    verdict: Verdict
    size: float


def estimate_of(sums: stats.Sums, rows: tuple[Sequence[float], Sequence[float]] | None) -> stats.Estimate | None:
    """Return the arm's ratio: jackknifed where it is small and its users' rows are given; None where the numbers allow none."""
    try:
        if rows is not None and sums.k < stats.SMALL_ARM:
            return stats.jackknife(*rows)
        return stats.ratio(sums)
    except BadInput:  # too few users, no predictions, or all of them by one: the notes say so
        return None


def numbers_of(
    metric: Metric, look: Look, alpha: float, control: stats.Estimate | None, challenger: stats.Estimate | None
) -> Numbers:
    """Return one difference at one look, `p` not adjusted; nothing where there is no number."""
    if control is None or challenger is None or control.variance + challenger.variance <= 0:
        return Numbers()
    diff = _difference(control, challenger)
    seen = look.rule.look(diff, look.users, alpha)
    # A lift of logarithms means nothing; the difference of log milliseconds is itself relative.
    lift = None if metric.unit == "log ms" else stats.lift(control, challenger, seen.critical)
    low, high = within(seen.interval, metric, -1.0, 1.0)
    return Numbers(diff.value, low, high, seen.p, *(lift or (None, None, None)))


def compare(experiment: Experiment, metric: Metric, look: Look, estimates: Estimates) -> tuple[Comparison, ...]:
    """Return every challenger with a share against the control; without numbers until the arms have the users."""
    control, challengers = experiment.control.name, challengers_of(experiment)
    alpha = look.rule.alpha / max(1, len(challengers))
    found = [
        numbers_of(metric, look, alpha, estimates[control], estimates[name]) if look.ready else Numbers() for name in challengers
    ]
    # A challenger without a number keeps its place in the family: p = 1 makes the others' no smaller.
    adjusted = stats.holm([1.0 if n.p is None else n.p for n in found])
    return tuple(
        Comparison(
            name, control, n.difference, n.low, n.high, None if n.p is None else p, n.lift, n.lift_low, n.lift_high,
            _judged(metric, look, n.difference, None if n.p is None else p),
        )
        for name, n, p in zip(challengers, found, adjusted, strict=True)
    )  # fmt: skip


def guard(experiment: Experiment, look: Look, estimates: Mapping[str, Estimates]) -> tuple[GuardrailRow, ...]:
    """Return every guardrail of every challenger. `estimates` are by metric, then by variant.

    All must hold at once, so each is tested at the full level (an intersection-union test needs no correction).
    """
    rows: list[GuardrailRow] = []
    for guardrail in experiment.guardrails:
        metric = METRICS[guardrail.metric]
        found = estimates[metric.name]
        for name in challengers_of(experiment):
            control, challenger = found[experiment.control.name], found[name]
            difference = bound = holds = None
            broken = False
            if look.ready and control is not None and challenger is not None:
                diff = _difference(control, challenger)
                lower = metric.better == "lower"
                said = stats.non_inferior(_one_sided(look, diff, lower), guardrail.margin, lower)
                difference, holds = diff.value, said.holds
                best = _one_sided(look, diff, not lower)  # its finite end is on the good side
                broken = best.low >= guardrail.margin if lower else best.high <= -guardrail.margin
                bound = said.bound if math.isfinite(said.bound) else None
            rows.append(
                GuardrailRow(metric.name, metric.unit, metric.better, guardrail.margin, name, difference, bound, holds, broken)
            )
    return tuple(rows)


def secondary(experiment: Experiment, look: Look, estimates: Mapping[str, Estimates]) -> tuple[SecondaryRow, ...]:
    """Return the metrics that decide nothing, adjusted together by Benjamini and Hochberg."""
    names = [name for name in estimates if METRICS[name].better != "neither"]
    found = [
        (
            METRICS[name],
            challenger,
            numbers_of(METRICS[name], look, look.rule.alpha, *_pair(experiment, estimates[name], challenger)),
        )
        for name in names
        for challenger in challengers_of(experiment)
    ]
    if not look.ready:
        return tuple(SecondaryRow(metric.name, metric.unit, name, None, None, None, None) for metric, name, _ in found)
    adjusted = iter(stats.benjamini_hochberg([n.p for _, _, n in found if n.p is not None]))
    return tuple(
        SecondaryRow(metric.name, metric.unit, name, n.difference, n.low, n.high, None if n.p is None else next(adjusted))
        for metric, name, n in found
    )


def by_segment(
    experiment: Experiment, metric: Metric, look: Look, segments: Mapping[str, Mapping[str, Mapping[str, Arm]]]
) -> tuple[SegmentRow, ...]:
    """Return the primary metric in each segment; a difference only where both arms have users enough there."""
    rows: list[SegmentRow] = []
    for segment, values in segments.items():
        for value, arms in values.items():
            found = {name: estimate_of(arm.sums[metric.name], None) for name, arm in arms.items()}
            users = sum(arm.users for arm in arms.values())
            for name in challengers_of(experiment):
                control, challenger = arms.get(experiment.control.name), arms.get(name)
                counts = (control.users if control else 0, challenger.users if challenger else 0)
                enough = min(counts) >= MIN_USERS
                pair = _pair(experiment, found, name) if enough else (None, None)
                n = numbers_of(metric, look._replace(users=users), look.rule.alpha, *pair)
                rows.append(SegmentRow(segment, value, name, *counts, n.difference, n.low, n.high))
    return tuple(rows)


def verdict_of(claims: Sequence[Claim], ratio: SampleRatio, ready: bool) -> tuple[Verdict, str]:
    """Return the experiment's verdict and the challenger that it names: the best of those that won, else all must agree."""
    if blocked(ratio):
        return "blocked: sample ratio", ""
    if not ready:
        return "collecting", ""
    better = [claim for claim in claims if claim.verdict == "B better"]
    if better:
        return "B better", max(better, key=lambda claim: claim.size).challenger
    verdicts = {claim.verdict for claim in claims}
    if verdicts == {"B worse"}:
        return "B worse", ", ".join(claim.challenger for claim in claims)
    if "no verdict yet" in verdicts:
        return "no verdict yet", ""
    return "no meaningful difference", ""


def shipping_of(verdict: Verdict, about: str, guardrails: Sequence[GuardrailRow]) -> Shipping:
    """Return whether the winner may be shipped, and else what stands against it."""
    if verdict != "B better":
        return Shipping(False, "", (Note("experiments.ship.no_winner", {}),))
    against = [
        Note(
            f"experiments.ship.guardrail_{'unknown' if row.holds is None else 'broken' if row.broken else 'open'}",
            {"challenger": about, "guardrail": row.metric},
        )
        for row in guardrails
        if row.challenger == about and not row.holds
    ]
    return Shipping(not against, about, tuple(against))


def challengers_of(experiment: Experiment) -> list[str]:
    """Return the names of the variants beside the control that get traffic."""
    return [v.name for v in experiment.variants[1:] if v.share > 0]


def blocked(ratio: SampleRatio) -> bool:
    """Return whether the sample-ratio alarm stands."""
    return ratio.p is not None and ratio.p < sample_ratio.ALARM


def within(interval: stats.Interval, metric: Metric, lowest: float, highest: float) -> tuple[float | None, float | None]:
    """Return the interval's ends, cut to what a share can be; None where an end is infinite."""
    low, high = interval
    if metric.unit == "share":
        return max(low, lowest), min(high, highest)
    return low if math.isfinite(low) else None, high if math.isfinite(high) else None


def _difference(control: stats.Estimate, challenger: stats.Estimate) -> stats.Difference:
    return stats.difference(control, challenger, welch=min(control.users, challenger.users) < stats.SMALL_ARM)


def _pair(experiment: Experiment, found: Estimates, name: str) -> tuple[stats.Estimate | None, stats.Estimate | None]:
    return found.get(experiment.control.name), found.get(name)


def _one_sided(look: Look, diff: stats.Difference, lower_is_better: bool) -> stats.Interval:
    """Return the interval of a guardrail: its end on the bad side holds at every look with probability 1 - alpha."""
    rule = look.rule
    if rule.name == "always_valid":
        return one_sided_interval(diff, look.users, rule.alpha, rule.n_max, "high" if lower_is_better else "low")
    return rule.look(diff, look.users, 2 * rule.alpha).interval  # two-sided at twice the level, of which one end is read


def _judged(metric: Metric, look: Look, difference: float | None, p: float | None) -> Verdict:
    if not look.ready:
        return "collecting"
    if difference is None or p is None:
        return "no verdict yet"
    if p <= look.rule.alpha:
        return "B better" if (difference < 0) == (metric.better == "lower") else "B worse"
    return "no meaningful difference" if look.rule.over(look.users) else "no verdict yet"
