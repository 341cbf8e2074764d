"""One experiment's report: from the log's sums to a verdict that may be read every day. It draws nothing and writes nothing.

`python -m analysis.report` writes it as HTML and Markdown (report_commands.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from analysis import comparing, cuped, metrics, sample_ratio, stats
from analysis.comparing import Claim, Estimates, Look
from analysis.forecast import arriving, forecast, history_of, taking_part
from analysis.metrics import Arm, Day, Frames, Reading, Scope
from analysis.notes import MIN_USERS, Note, Verdict, notes_of
from analysis.parts import (
    ArmRow,
    Comparison,
    Covariate,
    Forecast,
    GuardrailRow,
    Point,
    SampleRatio,
    SecondaryRow,
    SegmentRow,
    Shipping,
)  # fmt: skip
from analysis.replay import Replay
from analysis.sequential import Rule
from analysis.side_by_side import SideBySide
from analysis.timeline import timeline
from analysis.votes import compared
from feedback.outcomes import METRICS, Direction, Metric, primary
from feedback.records import Experiment, Mode, State, Variant

NO_SUMS = stats.Sums(0, 0.0, 0.0, 0.0, 0.0, 0.0)
NO_RATIO = SampleRatio(None, None, (), ())
"""Of an experiment that assigns nobody."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that the Experiments page says about one experiment."""

    experiment: str
    number: int
    state: State
    mode: Mode
    hypothesis: str
    metric: str
    unit: str
    better: Direction
    rule: Literal["horizon", "always_valid"]
    n_max: int
    alpha: float
    coverage: float
    winner: str  # the variant that was kept, once it is decided
    reason: str
    author: str
    verdict: Verdict
    about: str  # the challenger that the verdict names; empty where it names none
    shipping: Shipping
    leads: Literal["replay", "test"]  # what the page shows first: below 50 users an arm, the replay on corrections
    users: int
    arms: tuple[ArmRow, ...]
    comparisons: tuple[Comparison, ...]
    covariate: Covariate | None
    guardrails: tuple[GuardrailRow, ...]
    secondary: tuple[SecondaryRow, ...]
    segments: tuple[SegmentRow, ...]
    timeline: tuple[Point, ...]
    forecast: Forecast
    replay: Replay | None  # None: not asked for
    side_by_side: SideBySide | None  # None: the experiment assigns
    sample_ratio: SampleRatio
    left_out: metrics.LeftOut
    notes: tuple[Note, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values: no NaN, no infinity, notes as {key, values}, days as ISO 8601."""
        made: dict[str, Any] = _plain({name: getattr(self, name) for name in self.__dataclass_fields__})
        return made


def report(frame: Frames, experiment: Experiment, replay: Replay | None = None) -> Report:
    """Read the log through `frame` and return what can be said of the experiment now.

    Raises BadInput for a primary metric that is unknown or cannot decide. Whatever the log holds (nothing, one user,
    an empty arm, latencies that are no numbers) gives a report: with words, and without the number.
    """
    metric = primary(experiment.primary_metric)
    scope = metrics.scope_of(frame, experiment)
    read = metrics.reading(frame, scope, experiment)
    arms = {v.name: read.arms.get(v.name) or metrics.no_arm() for v in experiment.variants}
    users = sum(arm.users for arm in arms.values())
    ready = _ready(arms, experiment.variants)
    look = Look(Rule(experiment.rule, experiment.n_max, experiment.alpha), users, ready)
    ratio = _sample_ratio(read, experiment.variants)
    estimates = _estimates(frame, scope, experiment, arms)
    primaries, covariate = _adjusted(experiment, arms, estimates[metric.name])
    comparisons = comparing.compare(experiment, metric, look, primaries)
    guardrails = comparing.guard(experiment, look, estimates)
    side_by_side = compared(frame, experiment) if experiment.mode == "side_by_side" else None
    claims = [Claim(c.challenger, c.verdict, abs(c.difference or 0.0)) for c in comparisons]
    if side_by_side is not None:
        comparisons, guardrails, ratio = (), (), NO_RATIO
        ready = side_by_side.users >= MIN_USERS
        claims = [Claim(s.challenger, s.verdict, abs(s.log_strength or 0.0)) for s in side_by_side.strengths]
    verdict, about = comparing.verdict_of(claims, ratio, ready)
    if verdict == "blocked: sample ratio":  # the numbers stay in sight, but no comparison may claim a winner
        comparisons = tuple(replace(comparison, verdict=verdict) for comparison in comparisons)
    others = {name: found for name, found in estimates.items() if name not in _declared(experiment)}
    days = metrics.days_of(frame, scope, metric)
    sums = [arms[v.name].sums[metric.name] for v in experiment.variants if v.share > 0]
    return Report(
        experiment=experiment.name,
        number=experiment.number,
        state=experiment.state,
        mode=experiment.mode,
        hypothesis=experiment.hypothesis,
        metric=metric.name,
        unit=metric.unit,
        better=metric.better,
        rule=experiment.rule,
        n_max=experiment.n_max,
        alpha=experiment.alpha,
        coverage=experiment.coverage,
        winner=experiment.winner,
        reason=experiment.reason,
        author=experiment.author,
        verdict=verdict,
        about=about,
        shipping=comparing.shipping_of(verdict, about, guardrails),
        leads="test" if ready or side_by_side else "replay",
        users=users if side_by_side is None else side_by_side.users,
        arms=tuple(_row(v, arms[v.name], estimates[metric.name][v.name], look, metric) for v in experiment.variants),
        comparisons=comparisons,
        covariate=covariate,
        guardrails=guardrails,
        secondary=comparing.secondary(experiment, look, others) if side_by_side is None else (),
        segments=comparing.by_segment(experiment, metric, look, read.segments),
        timeline=timeline(days, experiment, metric),
        forecast=_forecast(frame, experiment, metric, sums, users, days),
        replay=replay,
        side_by_side=side_by_side,
        sample_ratio=ratio,
        left_out=read.left_out,
        notes=notes_of(experiment, arms, primaries, read.left_out, ready, verdict),
    )


def _forecast(
    frame: Frames, experiment: Experiment, metric: Metric, sums: Sequence[stats.Sums], users: int, days: Sequence[Day]
) -> Forecast:
    """Forecast by the experiment's own users where it has enough, else by what the log knows of everybody."""
    if users >= stats.SMALL_ARM:
        return forecast(experiment, metric, sums, NO_SUMS, users, taking_part(days))
    return forecast(experiment, metric, sums, history_of(frame, metric), users, arriving(frame) * experiment.coverage)


def _ready(arms: Mapping[str, Arm], variants: Sequence[Variant]) -> bool:
    """Return whether control and every arm that gets traffic have the users for a verdict, and there is a challenger."""
    watched = [v for v in variants[1:] if v.share > 0]
    return bool(watched) and all(arms[v.name].users >= MIN_USERS for v in (variants[0], *watched))


def _sample_ratio(read: Reading, variants: Sequence[Variant]) -> SampleRatio:
    shares = tuple(variant.share for variant in variants)
    counts = tuple(int(count) for count in read.arrivals[-1]) if len(read.arrivals) else (0,) * len(variants)
    if sum(share > 0 for share in shares) < 2:
        return SampleRatio(None, None, counts, shares)
    p = sample_ratio.sequential_p_of_counts(read.arrivals, shares)
    return SampleRatio(p, sample_ratio.chi2_p(counts, shares), counts, shares)


def _declared(experiment: Experiment) -> set[str]:
    return {experiment.primary_metric, *(g.metric for g in experiment.guardrails)}


def _estimates(frame: Frames, scope: Scope, experiment: Experiment, arms: Mapping[str, Arm]) -> dict[str, Estimates]:
    """Return every metric's estimate of every arm; small arms by jackknife where the metric may decide something."""
    small = any(0 < arm.users < stats.SMALL_ARM for arm in arms.values())
    made: dict[str, Estimates] = {}
    for name, metric in METRICS.items():
        rows = metrics.rows_of(frame, scope, metric) if small and name in _declared(experiment) else {}
        made[name] = {arm: comparing.estimate_of(found.sums[name], rows.get(arm)) for arm, found in arms.items()}
    return made


def _adjusted(experiment: Experiment, arms: Mapping[str, Arm], plain: Estimates) -> tuple[Estimates, Covariate | None]:
    """Return the primary metric's estimates with the covariate's noise taken out, where one was declared and helps."""
    names = [v.name for v in experiment.variants if plain[v.name] is not None]
    moments = [arms[name].moments for name in names]
    if not experiment.covariate or len(names) < 2 or any(m is None for m in moments):
        return plain, None
    done = cuped.adjusted([cuped.Moments(**m) for m in moments if m is not None])
    said = Covariate(experiment.covariate, done.theta, done.explained)
    if done.explained <= 0:  # nobody has a history: the plain estimates, jackknifed where an arm is small, stand
        return plain, said
    return {**plain, **dict(zip(names, done.estimates, strict=True))}, said


def _row(variant: Variant, arm: Arm, estimate: stats.Estimate | None, look: Look, metric: Metric) -> ArmRow:
    low = high = None
    if estimate is not None and estimate.variance > 0 and estimate.users >= MIN_USERS:
        df = estimate.users - 1.0 if estimate.users < stats.SMALL_ARM else math.inf
        seen = look.rule.look(stats.Difference(estimate.value, math.sqrt(estimate.variance), df), look.users)
        low, high = comparing.within(seen.interval, metric, 0.0, 1.0)
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


def _plain(value: Any) -> Any:
    """Return nested dataclasses, named tuples and dates as JSON values."""
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


if __name__ == "__main__":
    from analysis.report_commands import main

    raise SystemExit(main())
