"""One experiment's report: from the log's sums to a verdict that may be read every day. It draws nothing and writes nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from analysis import metrics, sample_ratio, stats
from analysis.metrics import Arm, Direction, Frames, Metric
from analysis.notes import MIN_USERS, Note, Verdict, notes_of
from analysis.sequential import Rule
from feedback.errors import BadInput
from feedback.records import Experiment, State, Variant


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One variant. Counts of the cohort; `rate` and its interval in the metric's unit; None where there is no number."""

    name: str
    version: int
    share: float
    users: int
    predictions: int
    corrections: int
    rate: float | None
    low: float | None
    high: float | None
    response_rate: float | None  # 0..1: predictions with any answer, a correction or a confirmation
    predictions_per_user: float | None
    latency_ms: float | None  # geometric mean over users of each user's geometric mean


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger against the control. Differences in the metric's unit, lifts relative (-.2: a fifth less).

    The interval holds at every look, for all challengers at once (level 1 - alpha/challengers); `p` is always-valid
    and Holm-adjusted, and it alone decides: a lift's interval may include 0 where it does not. None where there is no number.
    """

    challenger: str
    control: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Do the arms have the users they should? `p` may be watched; `chi2_p` is for one look. None for fewer than two arms."""

    p: float | None
    chi2_p: float | None
    users: tuple[int, ...]  # by arm, control first
    shares: tuple[float, ...]  # declared


@dataclass(frozen=True, slots=True)
class Report:
    """All that the Experiments page says about one experiment."""

    experiment: str
    number: int
    state: State
    hypothesis: str
    metric: str
    unit: str
    better: Direction
    rule: Literal["horizon", "always_valid"]
    n_max: int
    alpha: float
    verdict: Verdict
    about: str  # the challenger that the verdict names; empty where it names none
    users: int
    arms: tuple[ArmRow, ...]
    comparisons: tuple[Comparison, ...]
    sample_ratio: SampleRatio
    left_out: metrics.LeftOut
    notes: tuple[Note, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values: no NaN, no infinity, notes as {key, values}."""
        body = asdict(self)
        body["left_out"] = self.left_out._asdict()
        body["notes"] = [note._asdict() for note in self.notes]
        return body


def report(frame: Frames, experiment: Experiment) -> Report:
    """Read the log through `frame` and return what can be said of the experiment now.

    Raises BadInput for a primary metric that is unknown or cannot decide. Whatever the log holds (nothing, one user,
    an empty arm, latencies that are no numbers) gives a report: with words, and without the number.
    """
    metric = metrics.primary(experiment.primary_metric)
    rule = Rule(experiment.rule, experiment.n_max, experiment.alpha)
    scope = metrics.scope_of(frame, experiment)
    found = metrics.arms_of(frame, scope)
    arms = {v.name: found.get(v.name) or _empty() for v in experiment.variants}
    users = sum(arm.users for arm in arms.values())
    ratio = _sample_ratio(metrics.arrivals_of(frame, scope), experiment.variants)
    ready = _ready(arms, experiment.variants)
    small = any(0 < arm.users < stats.SMALL_ARM for arm in arms.values())
    rows = metrics.rows_of(frame, scope, metric) if small else {}
    estimates = {name: _estimate(arm.sums[metric.name], rows.get(name)) for name, arm in arms.items()}
    comparisons = _compare(experiment, metric, rule, estimates, users, ready)
    verdict, about = _verdict(comparisons, ratio, ready)
    if verdict == "blocked: sample ratio":  # the numbers stay in sight, but no comparison may claim a winner
        comparisons = tuple(replace(comparison, verdict=verdict) for comparison in comparisons)
    left_out = metrics.left_out_of(frame, scope)
    return Report(
        experiment=experiment.name,
        number=experiment.number,
        state=experiment.state,
        hypothesis=experiment.hypothesis,
        metric=metric.name,
        unit=metric.unit,
        better=metric.better,
        rule=experiment.rule,
        n_max=experiment.n_max,
        alpha=experiment.alpha,
        verdict=verdict,
        about=about,
        users=users,
        arms=tuple(_row(v, arms[v.name], estimates[v.name], rule, users, metric) for v in experiment.variants),
        comparisons=comparisons,
        sample_ratio=ratio,
        left_out=left_out,
        notes=notes_of(experiment, arms, estimates, left_out, ready, verdict),
    )


def _empty() -> Arm:
    return Arm(0, 0, 0, 0, dict.fromkeys(metrics.METRICS, stats.Sums(0, 0.0, 0.0, 0.0, 0.0, 0.0)))


def _ready(arms: Mapping[str, Arm], variants: Sequence[Variant]) -> bool:
    """Return whether control and every arm that gets traffic have the users for a verdict, and there is a challenger."""
    watched = [v for v in variants[1:] if v.share > 0]
    return bool(watched) and all(arms[v.name].users >= MIN_USERS for v in (variants[0], *watched))


def _sample_ratio(arrivals: Sequence[str], variants: Sequence[Variant]) -> SampleRatio:
    names = [variant.name for variant in variants]
    shares = tuple(variant.share for variant in variants)
    codes = [names.index(name) for name in arrivals if name in names]
    counts = tuple(codes.count(index) for index in range(len(names)))
    if sum(share > 0 for share in shares) < 2:
        return SampleRatio(None, None, counts, shares)
    return SampleRatio(sample_ratio.sequential_p(codes, shares), sample_ratio.chi2_p(counts, shares), counts, shares)


def _estimate(sums: stats.Sums, rows: tuple[list[float], list[float]] | None) -> stats.Estimate | None:
    """Return the arm's ratio: jackknifed where it is small; None where the numbers allow none."""
    try:
        if rows and sums.k < stats.SMALL_ARM:
            return stats.jackknife(*rows)
        return stats.ratio(sums)
    except BadInput:  # too few users, no predictions, or all of them by one: the notes say so
        return None


def _look(
    metric: Metric, rule: Rule, users: int, alpha: float, control: stats.Estimate | None, challenger: stats.Estimate | None
) -> dict[str, float | None]:
    """Return the numbers of one comparison at one look, `p` not yet adjusted; all None where they do not exist."""
    names = ("difference", "low", "high", "p", "lift", "lift_low", "lift_high")
    if control is None or challenger is None or control.variance + challenger.variance <= 0:
        return dict.fromkeys(names)
    small = min(control.users, challenger.users) < stats.SMALL_ARM
    diff = stats.difference(control, challenger, welch=small)
    look = rule.look(diff, users, alpha)
    # A lift of logarithms means nothing; the difference of log milliseconds is itself relative.
    lift = None if metric.unit == "log ms" else stats.lift(control, challenger, look.critical)
    low, high = _within(look.interval, metric, -1.0, 1.0)
    return dict(zip(names, (diff.value, low, high, look.p, *(lift or (None, None, None))), strict=True))


def _compare(
    experiment: Experiment,
    metric: Metric,
    rule: Rule,
    estimates: Mapping[str, stats.Estimate | None],
    users: int,
    ready: bool,
) -> tuple[Comparison, ...]:
    control = experiment.control
    challengers = [v.name for v in experiment.variants[1:] if v.share > 0]
    if not ready:
        blank = dict.fromkeys(("difference", "low", "high", "p", "lift", "lift_low", "lift_high"))
        return tuple(Comparison(name, control.name, verdict="collecting", **blank) for name in challengers)
    alpha = rule.alpha / len(challengers)
    looks = [_look(metric, rule, users, alpha, estimates[control.name], estimates[name]) for name in challengers]
    # A challenger without a number keeps its place in the family: p = 1 makes the others' no smaller.
    adjusted = stats.holm([1.0 if look["p"] is None else look["p"] for look in looks])
    made: list[Comparison] = []
    for name, look, p in zip(challengers, looks, adjusted, strict=True):
        known = look | {"p": None if look["p"] is None else p}
        made.append(Comparison(name, control.name, verdict=_judged(metric, rule, users, known), **known))
    return tuple(made)


def _judged(metric: Metric, rule: Rule, users: int, look: Mapping[str, float | None]) -> Verdict:
    difference, p = look["difference"], look["p"]
    if difference is None or p is None:
        return "no verdict yet"
    if p <= rule.alpha:
        return "B better" if (difference < 0) == (metric.better == "lower") else "B worse"
    return "no meaningful difference" if rule.over(users) else "no verdict yet"


def _verdict(comparisons: Sequence[Comparison], ratio: SampleRatio, ready: bool) -> tuple[Verdict, str]:
    """Return the experiment's verdict and the challenger that it names: the best of those that won, else all must agree."""
    if ratio.p is not None and ratio.p < sample_ratio.ALARM:
        return "blocked: sample ratio", ""
    if not ready:
        return "collecting", ""
    better = [c for c in comparisons if c.verdict == "B better"]
    if better:
        return "B better", max(better, key=lambda c: abs(c.difference or 0.0)).challenger
    verdicts = {c.verdict for c in comparisons}
    if verdicts == {"B worse"}:
        return "B worse", ", ".join(c.challenger for c in comparisons)
    if "no verdict yet" in verdicts:
        return "no verdict yet", ""
    return "no meaningful difference", ""


def _row(variant: Variant, arm: Arm, estimate: stats.Estimate | None, rule: Rule, users: int, metric: Metric) -> ArmRow:
    low = high = None
    if estimate is not None and estimate.variance > 0 and estimate.users >= MIN_USERS:
        df = estimate.users - 1.0 if estimate.users < stats.SMALL_ARM else math.inf
        look = rule.look(stats.Difference(estimate.value, math.sqrt(estimate.variance), df), users)
        low, high = _within(look.interval, metric, 0.0, 1.0)
    log_latency = _share(arm.sums["latency"])
    return ArmRow(
        name=variant.name,
        version=variant.version,
        share=variant.share,
        users=arm.users,
        predictions=arm.predictions,
        corrections=arm.corrections,
        rate=_share(arm.sums[metric.name]),
        low=low,
        high=high,
        response_rate=_share(arm.sums["response_rate"]),
        predictions_per_user=_share(arm.sums["predictions_per_user"]),
        latency_ms=None if log_latency is None else math.exp(log_latency),
    )


def _share(sums: stats.Sums) -> float | None:
    return sums.sy / sums.sn if sums.sn > 0 else None


def _within(interval: stats.Interval, metric: Metric, lowest: float, highest: float) -> tuple[float | None, float | None]:
    """Return the interval's ends, cut to what a share can be; None where an end is infinite."""
    low, high = interval
    if metric.unit == "share":
        return max(low, lowest), min(high, highest)
    return low if math.isfinite(low) else None, high if math.isfinite(high) else None
