"""How far one contributor can be believed, from trap items alone. It knows no store and no other contributor.

A trap is an item whose truth is known and whose look does not give it away. Right answers and wrong ones are counted in a
beta law with a flat prior, Beta(1 + right, 1 + wrong) (Gelman et al., Bayesian Data Analysis, 2.1), in which old results fade:
people learn, tire, and change their minds about being honest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scipy import special

from feedback.errors import BadInput


@dataclass(frozen=True, slots=True)
class TrustRule:
    """When a contributor is trusted: at least `needed` traps (effective), and the `level` lower bound above `bound`.

    The newest `needed` results count in full; older ones lose half their weight every `half_life` traps. So eight traps are
    eight however short the half-life is; and whatever the past, six failures in a row end the trust.
    """

    needed: int = 8  # traps
    half_life: float = 10.0  # traps, > 0
    level: float = 0.10  # one-sided, in (0, 1)
    bound: float = 0.60  # share of right answers, in (0, 1)

    def __post_init__(self) -> None:
        if self.needed < 1 or not self.half_life > 0 or not 0 < self.level < 1 or not 0 < self.bound < 1:
            raise BadInput(f"trust rule {self} needs at least 1 trap, a half-life above 0, and level and bound between 0 and 1")


class Reliability(NamedTuple):
    """What the traps say of a contributor. `right` and `wrong` are faded counts, `lower` the lower bound of the share right."""

    right: float  # faded traps answered right, >= 0
    wrong: float  # faded traps answered wrong, >= 0
    answered: int  # traps answered ever, not faded
    mean: float  # of the beta law, 0..1
    lower: float  # its `level` quantile, 0..1
    trusted: bool

    @property
    def effective(self) -> float:
        """Return how many traps are left after fading: right and wrong together."""
        return self.right + self.wrong


def reliability(results: Sequence[bool], rule: TrustRule | None = None) -> Reliability:
    """Return what the trap results (oldest first; True is right) say. A reviewer's rejection goes in as one more False."""
    rule = rule or TrustRule()
    right = wrong = 0.0
    for age, result in enumerate(reversed(results)):  # age 0 is the newest
        weight = 0.5 ** (max(0, age - rule.needed + 1) / rule.half_life)
        right, wrong = right + weight * result, wrong + weight * (not result)
    lower = float(special.betaincinv(1 + right, 1 + wrong, rule.level))
    enough = len(results) >= rule.needed  # then the effective number is at least `needed` too, by the rule's first sentence
    return Reliability(right, wrong, len(results), (1 + right) / (2 + right + wrong), lower, enough and lower > rule.bound)


def numbers(found: Reliability, rule: TrustRule | None = None) -> dict[str, object]:
    """Return what a page needs to say it: counts rounded to .1, shares to .001, the rule's own numbers, and `verdict`.

    `verdict` is `trusted`, `too_few` (not enough traps yet) or `not_trusted`; `missing` counts the traps that are still to come.
    """
    rule = rule or TrustRule()
    missing = max(0, rule.needed - found.answered)
    return {
        "verdict": "trusted" if found.trusted else "too_few" if missing else "not_trusted",
        "right": round(found.right, 1),
        "wrong": round(found.wrong, 1),
        "answered": found.answered,
        "missing": missing,
        "mean": round(found.mean, 3),
        "lower": round(found.lower, 3),
        "needed": rule.needed,
        "bound": rule.bound,
        "level": rule.level,
        "half_life": rule.half_life,
    }
