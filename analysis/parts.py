"""What a report is made of, as frozen dataclasses of plain numbers: None stands where there is no number to show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from analysis.notes import Note, Verdict
from feedback.outcomes import Direction


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One variant. Counts of the cohort; `rate` and its interval in the metric's unit."""

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
class Numbers:
    """A difference, challenger minus control, in the metric's unit; lifts relative (-.2: a fifth less); `p` is always-valid."""

    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    lift: float | None = None
    lift_low: float | None = None
    lift_high: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger against the control by the primary metric.

    The interval holds at every look, for all challengers at once (level 1 - alpha/challengers); `p` is always-valid
    and Holm-adjusted, and it alone decides: a lift's interval may include 0 where it does not.
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
class GuardrailRow:
    """A guardrail of one challenger; None: not known yet.

    `bound` is the worst difference that a one-sided interval allows, `holds` whether it is within the margin. Where it is
    not, `broken` tells a proven breach (even the best difference that the other one-sided interval allows is beyond the margin)
    from one that is not ruled out yet.
    """

    metric: str
    unit: str
    better: Direction
    margin: float
    challenger: str
    difference: float | None
    bound: float | None
    holds: bool | None
    broken: bool = False


@dataclass(frozen=True, slots=True)
class SecondaryRow:
    """A metric that decides nothing: exploratory. `p` is always-valid and adjusted over all rows by Benjamini and Hochberg."""

    metric: str
    unit: str
    challenger: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """The primary metric among the users of one segment: exploratory. Numbers only where both arms have users enough."""

    segment: str
    value: str
    challenger: str
    control_users: int
    challenger_users: int
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Do the arms have the users they should? `p` may be watched; `chi2_p` is for one look. None for fewer than two arms."""

    p: float | None
    chi2_p: float | None
    users: tuple[int, ...]  # by arm, control first
    shares: tuple[float, ...]  # declared


@dataclass(frozen=True, slots=True)
class Point:
    """What the page showed at the end of a day, for one challenger; `users` in all arms until then."""

    day: date
    users: int
    challenger: str
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Covariate:
    """What CUPED did to the primary metric: `explained` (0..1) of its variance was there before the first exposure."""

    name: str
    theta: float
    explained: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the test can decide, and when. Differences absolute, in the metric's unit; days from now, None: not within a year.

    `detectable` is what would be found with `power` at n_max users; `wanted` a change by `relative` of the control's rate,
    which needs `wanted_users` in all arms.
    """

    per_day: float  # new users a day, lately
    power: float
    detectable: float | None
    days_to_end: float | None
    relative: float
    wanted: float | None
    wanted_users: int | None
    wanted_days: float | None


@dataclass(frozen=True, slots=True)
class Shipping:
    """May the challenger be shipped: the primary metric better, every guardrail kept, no sample-ratio alarm. Else what stands against."""

    ready: bool
    challenger: str
    against: tuple[Note, ...]
