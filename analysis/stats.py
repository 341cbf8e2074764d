"""Estimates and tests on plain numbers: ratios of per-user sums, differences, multiplicity. It knows no log and no peeking.

A user i of an arm has n_i predictions and a summed outcome y_i. Users are the unit of randomisation, so a variance is
taken over users, never over events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from feedback.errors import BadInput

SMALL_ARM = 200
"""Users in an arm below which the delta method is too sure of itself: jackknife variance and Welch's t instead."""

_ROUNDING = 1e-9
"""Share of a sum of squares by which rounding may carry a difference of such sums below 0."""


class Sums(NamedTuple):
    """What one arm's users add up to. `k` users; y the outcome, n the number that it is a share of."""

    k: int
    sy: float
    sn: float
    syy: float
    snn: float
    syn: float


class Estimate(NamedTuple):
    """A ratio Sy/Sn with the variance of that estimate (the squared standard error) and the users behind it."""

    value: float
    variance: float
    users: int


class Difference(NamedTuple):
    """Challenger minus control. `df` are Welch's degrees of freedom; infinite where the normal law is good enough."""

    value: float
    se: float
    df: float


class Interval(NamedTuple):
    """Both ends of an interval; infinite where a one-sided interval has no end."""

    low: float
    high: float


class Lift(NamedTuple):
    """Challenger over control minus 1 (-0.2 is a fifth less), with an interval that was built on the log scale."""

    value: float
    low: float
    high: float


class NonInferiority(NamedTuple):
    """`bound` is the worst difference the interval allows (same sign as the metric); `holds` where it is within the margin."""

    holds: bool
    bound: float
    margin: float


def sums_of(y: Sequence[float], n: Sequence[float]) -> Sums:
    """Return the six sums of per-user rows. Raises BadInput where the lengths differ or a number is not finite."""
    ys, ns = _rows(y, n)
    return Sums(len(ys), float(ys.sum()), float(ns.sum()), float(ys @ ys), float(ns @ ns), float(ys @ ns))


def ratio(sums: Sums) -> Estimate:
    """Return R = Sy/Sn with the delta method's variance (Deng, Knoblich, Lu, KDD 2018, section 3).

    s2 = (Syy - 2 R Syn + R^2 Snn)/(k - 1), Var R = s2/(k nbar^2), nbar = Sn/k. With n_i = 1 it is the mean and s^2/k.
    Raises BadInput for fewer than two users, a denominator of 0, a number that is not finite, or sums that no users
    can have (a sum of squared residuals below 0 by more than rounding).
    """
    _check(sums)
    value = sums.sy / sums.sn
    squares = sums.syy - 2 * value * sums.syn + value**2 * sums.snn
    if squares < -_ROUNDING * (sums.syy + value**2 * sums.snn):
        raise BadInput(f"the sums {tuple(sums)} are no users' sums: their squared residuals add up to {squares:g}, below 0")
    s2 = max(squares, 0.0) / (sums.k - 1)
    return Estimate(value, s2 / (sums.k * (sums.sn / sums.k) ** 2), sums.k)


def jackknife(y: Sequence[float], n: Sequence[float]) -> Estimate:
    """Return R = Sy/Sn with the leave-one-user-out variance (k-1)/k sum (R_-i - mean R_-i)^2 (Efron and Stein, 1981).

    Raises BadInput like `ratio`, and where one user holds the whole denominator.
    """
    ys, ns = _rows(y, n)
    sums = sums_of(y, n)
    _check(sums)
    rest = sums.sn - ns  # (users,)
    if not (rest > 0).all():
        raise BadInput("one user made every prediction of the arm: a variance needs at least two who did")
    left_out = (sums.sy - ys) / rest  # (users,): the ratio without that user
    spread = float(((left_out - left_out.mean()) ** 2).sum())
    return Estimate(sums.sy / sums.sn, (sums.k - 1) / sums.k * spread, sums.k)


def difference(control: Estimate, challenger: Estimate, *, welch: bool = True) -> Difference:
    """Return challenger minus control; `welch` gives Welch and Satterthwaite's degrees of freedom, else they are infinite."""
    v0, v1 = control.variance, challenger.variance
    df = math.inf
    if welch and v0 + v1 > 0:
        df = (v0 + v1) ** 2 / (v0**2 / (control.users - 1) + v1**2 / (challenger.users - 1))
    return Difference(challenger.value - control.value, math.sqrt(v0 + v1), df)


def fixed_p(diff: Difference) -> float:
    """Return the two-sided p-value of ONE look at the end. Never for a live page: there sequential.py's hold.

    NaN where nothing varies (se = 0).
    """
    if diff.se <= 0:
        return math.nan
    return 2 * tail(abs(diff.value) / diff.se, diff.df)


def fixed_interval(diff: Difference, alpha: float) -> Interval:
    """Return the two-sided interval of level 1 - alpha of ONE look at the end."""
    half = quantile(alpha / 2, diff.df) * diff.se
    return Interval(diff.value - half, diff.value + half)


def lift(control: Estimate, challenger: Estimate, critical: float) -> Lift | None:
    """Return the relative difference with exp(ln(R1/R0) +- critical SE) - 1, SE^2 = V1/R1^2 + V0/R0^2.

    `critical` is the multiplier of the rule in force. For showing only: significance comes from the absolute
    difference, so that the two never disagree. None where a rate is not above 0, which has no logarithm.
    """
    if control.value <= 0 or challenger.value <= 0:
        return None
    se = math.sqrt(challenger.variance / challenger.value**2 + control.variance / control.value**2)
    log = math.log(challenger.value / control.value)
    # exp of more than 700 is no double; a lift that wide says nothing anyway.
    return Lift(math.expm1(log), math.expm1(log - critical * se), math.expm1(min(log + critical * se, 700.0)))


def non_inferior(interval: Interval, margin: float, lower_is_better: bool) -> NonInferiority:
    """Return whether the challenger is worse by less than `margin` (> 0, the metric's unit), given a one-sided interval.

    The interval must be one-sided at the guardrail's level (`sequential.one_sided_interval`, or a two-sided
    one at twice alpha): its end on the bad side is compared with the margin.
    """
    if not margin > 0:
        raise BadInput(f"margin {margin:g}: a non-inferiority margin must be above 0")
    bound = interval.high if lower_is_better else interval.low
    return NonInferiority(bound < margin if lower_is_better else bound > -margin, bound, margin)


def holm(p: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values in the given order: reject those <= alpha (Holm, Scand. J. Stat. 1979)."""
    values = _ps(p)
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Return the adjusted p-values that control the false discovery rate (Benjamini and Hochberg, JRSS B 1995)."""
    values = _ps(p)
    adjusted = [0.0] * len(values)
    lowest = 1.0
    for rank, index in reversed(list(enumerate(sorted(range(len(values)), key=values.__getitem__), start=1))):
        lowest = min(lowest, values[index] * len(values) / rank)
        adjusted[index] = lowest
    return adjusted


def tail(z: float, df: float = math.inf) -> float:
    """Return P(T > z) under Student's t, or under the normal law for infinite `df`."""
    return float(special.ndtr(-z)) if math.isinf(df) else float(special.stdtr(df, -z))


def quantile(upper: float, df: float = math.inf) -> float:
    """Return the z with P(T > z) = upper (0..1): infinite for 0."""
    return -float(special.ndtri(upper)) if math.isinf(df) else -float(special.stdtrit(df, upper))


def _rows(y: Sequence[float], n: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    ys, ns = np.asarray(y, dtype=float), np.asarray(n, dtype=float)
    if ys.shape != ns.shape or ys.ndim != 1:
        raise BadInput(f"per-user rows need one y and one n a user, not {ys.shape} and {ns.shape}")
    if not (np.isfinite(ys).all() and np.isfinite(ns).all()):
        raise BadInput("per-user rows must be finite numbers: one of them is NaN or infinite")
    return ys, ns


def _check(sums: Sums) -> None:
    if not all(math.isfinite(value) for value in sums):
        raise BadInput(f"the sums of an arm must be finite numbers, not {tuple(sums)}")
    if sums.k < 2:
        raise BadInput(f"{sums.k} users in the arm: a variance needs at least 2")
    if not sums.sn > 0:
        raise BadInput(f"the denominator of the arm is {sums.sn:g}: a ratio needs one above 0")


def _ps(p: Sequence[float]) -> list[float]:
    for value in p:
        if not 0 <= value <= 1:
            raise BadInput(f"{value:g} is no p-value: it must be in 0..1")
    return list(p)
