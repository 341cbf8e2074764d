"""CUPED: what users did before the experiment, taken out of what they did in it. Pure numbers; it knows no log and no rule.

A user has a ratio metric y/n of the experiment and the same kind of ratio x/m of the time before it. The covariate must
be declared before the first exposure: chosen afterwards it is one more way to look twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from analysis.stats import Estimate, Sums, ratio
from feedback.errors import BadInput

_ROUNDING = 1e-12
"""Share of a sum of squares below which what is left of it is rounding, not spread."""


class Moments(NamedTuple):
    """What one arm's `k` users add up to: y and n in the experiment, x and m before it (both 0 for users without history)."""

    k: int
    sy: float
    sn: float
    sx: float
    sm: float
    syy: float
    snn: float
    sxx: float
    smm: float
    syn: float
    syx: float
    sym: float
    snx: float
    snm: float
    sxm: float


class Adjusted(NamedTuple):
    """One estimate an arm in the given order, the coefficient of the covariate, and the share of variance taken out (0..1)."""

    estimates: tuple[Estimate, ...]
    theta: float
    explained: float


class _Spread(NamedTuple):
    """An arm's variances and covariance a user of the two linearised ratios, y the outcome and x the covariate."""

    yy: float
    yx: float
    xx: float


def adjusted(arms: Sequence[Moments]) -> Adjusted:
    """Return each arm's ratio Sy/Sn with what the covariate explains taken out (Deng, Xu, Kohavi, Walker, WSDM 2013).

    Ratios are linearised first, in each arm around its own two ratios: e = (y - R n)/nbar, f = (x - Rx m)/mbar.
    theta = sum over arms of cov(e, f) / sum over arms of var(f), every arm weighing the same; then as `with_coefficient`.
    This is gbstats' definition for ratio metrics. tea-tasting's, and gbstats' for plain means, takes covariance and
    variance of all users thrown together, so that the difference between the arms is part of theta and an effect that is
    there moves the coefficient that judges it: with few users the effect comes out too small, by about one part in the
    number of users. Inside arms the effect cannot enter; and of all coefficients this one leaves the smallest sum over
    arms of the variance a user, so that `explained` = 1 - (that sum)/(the sum without) cannot leave 0..1.

    Where some arm has no history at all, where the covariate does not vary or where the outcome does not: theta 0,
    explained 0, the plain ratios. Raises BadInput for no arms and for what `stats.ratio` refuses.
    """
    _check(arms)
    plain = tuple(ratio(_outcome(arm)) for arm in arms)
    if not all(arm.sm > 0 for arm in arms):
        return Adjusted(plain, 0.0, 0.0)
    spreads = [_spread(arm) for arm in arms]
    yy, yx, xx = (sum(spread[part] for spread in spreads) for part in range(3))
    if xx == 0 or yy == 0:
        return Adjusted(plain, 0.0, 0.0)
    theta = yx / xx
    return Adjusted(with_coefficient(arms, theta), theta, min(yx**2 / (xx * yy), 1.0))  # rounding may pass 1


def with_coefficient(arms: Sequence[Moments], theta: float) -> tuple[Estimate, ...]:
    """Return R_g - theta (Rx_g - Rx) an arm, Rx the ratio over all arms, with variance var(e - theta f)/k.

    The variances are those of differences between arms, in which Rx cancels; they take theta as known, which costs
    about one degree of freedom. Raises BadInput like `stats.ratio`, and where an arm has no history.
    """
    _check(arms)
    if not all(arm.sm > 0 for arm in arms):
        raise BadInput("an arm without any history: a covariate's ratio needs a denominator above 0 in every arm")
    centre = sum(arm.sx for arm in arms) / sum(arm.sm for arm in arms)
    made = []
    for arm in arms:
        spread = _spread(arm)
        variance = max(spread.yy - 2 * theta * spread.yx + theta**2 * spread.xx, 0.0) / arm.k
        made.append(Estimate(ratio(_outcome(arm)).value - theta * (arm.sx / arm.sm - centre), variance, arm.k))
    return tuple(made)


def _outcome(arm: Moments) -> Sums:
    return Sums(arm.k, arm.sy, arm.sn, arm.syy, arm.snn, arm.syn)


def _covariate(arm: Moments) -> Sums:
    return Sums(arm.k, arm.sx, arm.sm, arm.sxx, arm.smm, arm.sxm)


def _spread(arm: Moments) -> _Spread:
    """Return the linearised variances and covariance of an arm with history; a spread that is rounding counts as none."""
    yy, xx = _variance(_outcome(arm)), _variance(_covariate(arm))
    if yy == 0 or xx == 0:
        return _Spread(yy, 0.0, xx)
    r, rx = arm.sy / arm.sn, arm.sx / arm.sm
    products = arm.syx - rx * arm.sym - r * arm.snx + r * rx * arm.snm
    return _Spread(yy, products / ((arm.k - 1) * (arm.sn / arm.k) * (arm.sm / arm.k)), xx)


def _variance(sums: Sums) -> float:
    """Return the variance a user of the linearised ratio, 0 where it is rounding."""
    made = ratio(sums)
    variance = made.variance * sums.k
    largest = (sums.syy + made.value**2 * sums.snn) / ((sums.k - 1) * (sums.sn / sums.k) ** 2)
    return variance if variance > _ROUNDING * largest else 0.0


def _check(arms: Sequence[Moments]) -> None:
    if not arms:
        raise BadInput("0 arms: an adjustment needs at least one")
    for arm in arms:
        if not all(math.isfinite(value) for value in arm):
            raise BadInput(f"the sums of an arm must be finite numbers, not {tuple(arm)}")
        if arm.sm < 0:
            raise BadInput(f"the covariate's denominator of an arm is {arm.sm:g}: it must be 0 or more")
