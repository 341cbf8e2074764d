"""What the gate says, as records and as words. It computes no statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from feedback.records import Json

GateVerdict = Literal["passed", "refused", "undecided"]
CheckVerdict = Literal["pass", "fail", "undecided", "shown"]


@dataclass(frozen=True)
class Check:
    """One rule of the gate, applied.

    `value`: the measured difference candidate - champion (or share), in units of the score (0..1). `lower`: its
    one-sided 95 % lower bound, or the p-value where `words` say so; None where there is none. `margin`: what value or
    bound must reach. `items`: how many items it rests on. `shown`: reported, never decides.
    """

    name: str
    value: float | None
    lower: float | None
    margin: float | None
    verdict: CheckVerdict
    items: int
    words: str


@dataclass(frozen=True)
class Worsened:
    """An item that the champion answers better than the candidate."""

    input: Json
    truth: Json
    before: Json
    after: Json


@dataclass(frozen=True)
class Power:
    """How often the checks of old domain and feedback pass a candidate that is truly equal, half a point better or
    half a point worse, at this set's size (shares 0..1), by simulation with the standard errors measured here.
    """

    equal: float
    better: float
    worse: float


@dataclass(frozen=True)
class GateResult:
    """The verdict with everything behind it.

    `resolution`: the loss that the old-domain set can see (0..1), see Paired.resolution. `worse`: up to 50 items.
    `scores`: main score by slice and side. `contributors`: the same for each contributor's items of the feedback slice.
    """

    verdict: GateVerdict
    checks: tuple[Check, ...]
    worse: tuple[Worsened, ...] = ()
    power: Power | None = None
    resolution: float | None = None
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    contributors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values, with a sentence on its power."""
        return {**asdict(self), "power_words": power_words(self)}


def verdict_of(checks: Sequence[Check]) -> GateVerdict:
    """Return refused where any check fails, else undecided where any is, else passed."""
    verdicts = {check.verdict for check in checks}
    return "refused" if "fail" in verdicts else "undecided" if "undecided" in verdicts else "passed"


def points(value: float) -> str:
    """Return a difference of scores in points with its sign: +1.25."""
    return f"{100 * value:+.2f}"


def power_words(result: GateResult) -> str:
    """Return how much this set can see, and how often its old-domain check passes candidates of known worth."""
    if result.power is None or result.resolution is None:
        return ""
    power = result.power
    return (
        f"This set can see a loss of {100 * result.resolution:.1f} points. At this size the checks of old domain and feedback "
        f"pass an equal candidate in {power.equal:.0%} of cases, one half a point better in {power.better:.0%}, one half a "
        f"point worse in {power.worse:.0%}."
    )
