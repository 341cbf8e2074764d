"""Tests and intervals that stay honest when somebody looks every day: AsympCS and the horizon rule. Not fixed-horizon ones.

Both are a multiplier of the standard error (`critical`) that depends on how many users were seen. Where an arm is
small, the multiplier's tail probability is carried over to Student's t with Welch's degrees of freedom.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from analysis.stats import Difference, Interval, quantile, tail
from feedback.errors import BadInput

RULES = ("horizon", "always_valid")


class Look(NamedTuple):
    """One look under a rule. `p` holds at every look at once; `critical` times the standard error is the half width."""

    interval: Interval
    p: float  # NaN where nothing varies
    critical: float


class Rule(NamedTuple):
    """How a difference is judged while people watch.

    horizon: reject when |z| >= z(1 - a/4)/sqrt(t), t = N/n_max: a Brownian motion that is looked at without pause
    leaves the band +-z(1 - a/4) before t = 1 with probability at most a (reflection principle). It ends at n_max users.
    always_valid: AsympCS (Waudby-Smith et al., arXiv:2103.06476), narrowest near n_max users, without an end.
    """

    name: Literal["horizon", "always_valid"]
    n_max: int
    alpha: float

    def critical(self, users: int, alpha: float | None = None) -> float:
        """Return the multiplier of the standard error after `users` in all arms, at `alpha` (the rule's own if None)."""
        level = self.alpha if alpha is None else alpha
        _check(level, users, self.n_max)
        if self.name == "horizon":
            return quantile(level / 4) / math.sqrt(self._time(users))
        return asymp_critical(users, level, tuning(self.alpha, self.n_max))

    def p(self, z: float, users: int) -> float:
        """Return the smallest level at which |z| would be rejected after `users`, at most 1. It holds under peeking."""
        _check(self.alpha, users, self.n_max)
        if self.name == "horizon":
            return min(1.0, 4 * tail(abs(z) * math.sqrt(self._time(users))))
        nr = users * tuning(self.alpha, self.n_max)
        return min(1.0, math.sqrt(1 + nr) * math.exp(-(z**2) * nr / (2 * (1 + nr))))

    def look(self, diff: Difference, users: int, alpha: float | None = None) -> Look:
        """Return the repeated interval and p-value of a difference after `users` in all arms."""
        critical = in_t(self.critical(users, alpha), diff.df)
        half = critical * diff.se if diff.se > 0 else 0.0
        p = self.p(as_z(diff.value / diff.se, diff.df), users) if diff.se > 0 else math.nan
        return Look(Interval(diff.value - half, diff.value + half), p, critical)

    def over(self, users: int) -> bool:
        """Return whether the rule has come to its declared end."""
        return self.name == "horizon" and users >= self.n_max

    def _time(self, users: int) -> float:
        return min(users / self.n_max, 1.0)


def tuning(alpha: float, n_star: float) -> float:
    """Return r = (-2 ln a + ln(1 - 2 ln a))/N*: makes the confidence sequence nearly narrowest at N* users."""
    log = -2 * math.log(alpha)
    return (log + math.log1p(log)) / n_star


def asymp_critical(users: int, alpha: float, r: float) -> float:
    """Return AsympCS's two-sided multiplier sqrt((1 + 1/(N r)) ln((1 + N r)/a^2)); N = users in both arms."""
    nr = users * r
    return math.sqrt((1 + 1 / nr) * math.log((1 + nr) / alpha**2))


def one_sided_critical(users: int, alpha: float, n_star: float) -> float:
    """Return AsympCS's one-sided multiplier sqrt(N) sqrt(2 (N r + 1)/(N^2 r) ln(1 + sqrt(N r + 1)/(2 a))), r from 2 a."""
    _check(alpha, users, n_star)
    r = tuning(2 * alpha, n_star)
    nr = users * r
    return math.sqrt(2 * (nr + 1) / nr * math.log(1 + math.sqrt(nr + 1) / (2 * alpha)))


def one_sided_interval(diff: Difference, users: int, alpha: float, n_star: float, side: Literal["low", "high"]) -> Interval:
    """Return an interval with one end at every look, for guardrails: `side` names the end that is finite."""
    half = in_t(one_sided_critical(users, alpha, n_star), diff.df) * diff.se
    return Interval(diff.value - half, math.inf) if side == "low" else Interval(-math.inf, diff.value + half)


def in_t(critical: float, df: float) -> float:
    """Return the multiplier that has under Student's t the tail that `critical` has under the normal law; may be infinite."""
    return critical if math.isinf(df) else quantile(tail(critical), df)


def as_z(statistic: float, df: float) -> float:
    """Return |statistic| under Student's t as the normal deviate with the same tail."""
    return abs(statistic) if math.isinf(df) else quantile(tail(abs(statistic), df))


def _check(alpha: float, users: int, n_max: float) -> None:
    if not 0 < alpha < 0.5:
        raise BadInput(f"alpha {alpha:g}: must be above 0 and below 0.5")
    if users < 1 or n_max < 1:
        raise BadInput(f"{users} users of {n_max:g}: both must be at least 1")
