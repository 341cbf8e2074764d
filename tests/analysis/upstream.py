"""What gbstats and tea-tasting make of an experiment, computed from this room's public numbers. It reads no file."""

from __future__ import annotations

import math
from typing import Any

import pytest
import scipy.optimize

from analysis.cuped import adjusted, with_coefficient
from analysis.sequential import Rule, one_sided_critical, one_sided_interval, tuning
from analysis.stats import Difference, Estimate, difference, fixed_interval, fixed_p, lift, quantile, ratio, tail
from tests.analysis import oracle_cases as cases
from tests.analysis.oracle_cases import Pair

EXACT = 1e-9
"""Tolerance where the formula is the same."""


def estimates(pair: Pair, theta: float) -> tuple[Estimate, Estimate]:
    """Return control's and challenger's ratios, adjusted with a given coefficient; plain ones for 0."""
    control, challenger = with_coefficient(pair, theta) if theta else tuple(ratio(cases.outcome(arm)) for arm in pair)
    return control, challenger


def _relative(pair: Pair, theta: float, *, whole: bool) -> Difference:
    """Return gbstats' relative difference, (b - a)/(a before adjustment), with the delta method's error not on the log scale.

    With e and f the linearised outcome and covariate and s = R1/R0: variance {V1(theta) + s^2 V0(e) - 2 theta s C0(e, f) +
    theta^2 V0(f)}/R0^2. The parts of arm 0 are those of its adjusted variance, a parabola in theta. `whole`: s takes the
    adjusted difference, as they do for ratios; for means they take the unadjusted one.
    """
    control, challenger = estimates(pair, theta)
    (plain, other) = (ratio(cases.outcome(arm)) for arm in pair)
    scale = 1 + (challenger.value - control.value) / plain.value if whole else other.value / plain.value
    above = plain.variance
    cross = own = 0.0
    if theta:
        up, down = (with_coefficient(pair, t)[0].variance for t in (1.0, -1.0))
        cross, own = (down - up) / 4, (up + down) / 2 - above
    variance = challenger.variance + scale**2 * above - 2 * theta * scale * cross + theta**2 * own
    made = difference(control, challenger)
    return Difference(made.value / plain.value, math.sqrt(variance) / plain.value, made.df)


def gbstats_difference(pair: Pair, kind: str, raw: Pair, relative: bool) -> Difference:
    """Return gbstats' difference of arms of a statistic's `kind`; `raw` are the arms as given, for its theta of means."""
    theta = 0.0
    if kind == "RegressionAdjusted":  # for means gbstats takes theta over all users thrown together
        theta = adjusted([cases.together(raw)]).theta
    elif kind == "RegressionAdjustedRatio":
        theta = adjusted(pair).theta
    if relative:
        return _relative(pair, theta, whole=kind == "RegressionAdjustedRatio")
    return difference(*estimates(pair, theta))


def interval_and_p(method: str, diff: Difference, users: int, config: dict[str, Any]) -> tuple[tuple[float, float], float]:
    """Return interval and p-value of gbstats' test `method` after so many users in both arms."""
    alpha, n_star = config.get("alpha", 0.05), int(config.get("sequential_tuning_parameter", 5000))
    z, lesser = diff.value / diff.se, "Lesser" in method
    if method == "TwoSidedTTest":
        return fixed_interval(diff, alpha), fixed_p(diff)
    if method == "SequentialTwoSidedTTest":  # on the normal law; ours carries the tail over to Student's t on top
        look = Rule("always_valid", n_star, alpha).look(diff._replace(df=math.inf), users)
        return look.interval, look.p
    if method.startswith("OneSided"):
        half = quantile(alpha, diff.df) * diff.se
        return (-math.inf, diff.value + half) if lesser else (diff.value - half, math.inf), tail(-z if lesser else z, diff.df)
    made = one_sided_interval(diff._replace(df=math.inf), users, alpha, n_star, "high" if lesser else "low")
    return made, _one_sided_p(-z if lesser else z, users, n_star)


def _one_sided_p(z: float, users: int, n_star: int) -> float:
    """Return the smallest level whose one-sided bound z passes, tuned for .05 at every level, at most .4999 as with gbstats."""

    def short(level: float) -> float:
        tuned_for = n_star * tuning(2 * level, 1) / tuning(0.1, 1)  # so that r is the one of level .05
        many = 1000  # only users over tuned_for count, and both must be at least 1
        return one_sided_critical(many * users, level, many * tuned_for) - z

    return 0.4999 if short(0.4999) > 0 else float(scipy.optimize.brentq(short, 1e-5, 0.4999, xtol=1e-13))


def _law(control: Estimate, challenger: Estimate, params: dict[str, Any]) -> Difference:
    """Return the difference under tea-tasting's settings: Welch or pooled variance, Student's or the normal law."""
    made = difference(control, challenger, welch=params["use_t"])
    if not params["equal_var"]:
        return made
    k0, k1 = control.users, challenger.users
    pooled = ((k0 - 1) * control.variance * k0 + (k1 - 1) * challenger.variance * k1) / (k0 + k1 - 2)
    return Difference(made.value, math.sqrt(pooled / k0 + pooled / k1), k0 + k1 - 2 if params["use_t"] else math.inf)


def _on_log(estimate: Estimate) -> Estimate:
    return Estimate(math.log(estimate.value), estimate.variance / estimate.value**2, estimate.users)


def tea_mean(pair: Pair, params: dict[str, Any]) -> dict[str, float]:
    """Return the fields of tea-tasting's MeanResult; theta is that of all users thrown together, as one arm."""
    theta = adjusted([cases.together(pair)]).theta if pair[0].sm else 0.0
    control, challenger = estimates(pair, theta)
    diff = _law(control, challenger, params)
    logs = _law(_on_log(control), _on_log(challenger), params)
    sides = 2 if params["alternative"] == "two-sided" else 1
    level = (1 - params["confidence_level"]) / sides
    half = quantile(level, diff.df) * diff.se
    shown = lift(control, challenger, quantile(level, logs.df))
    assert shown is not None
    # lift has no pooled variance: its log half-width is scaled by the pooled error.
    wide = math.exp(quantile(level, logs.df) * logs.se)
    if not params["equal_var"]:
        assert (1 + shown.value) * wide == pytest.approx(1 + shown.high, abs=EXACT)
    ends = [diff.value - half, diff.value + half, (1 + shown.value) / wide - 1, (1 + shown.value) * wide - 1]
    statistic = diff.value / diff.se
    p = 2 * tail(abs(statistic), diff.df)
    if params["alternative"] == "greater":
        ends[1] = ends[3] = math.inf
        p = tail(statistic, diff.df)
    elif params["alternative"] == "less":
        ends[0] = ends[2] = -math.inf
        p = tail(-statistic, diff.df)
    return {
        "control": control.value,
        "treatment": challenger.value,
        "effect_size": diff.value,
        "effect_size_ci_lower": ends[0],
        "effect_size_ci_upper": ends[1],
        "rel_effect_size": shown.value,
        "rel_effect_size_ci_lower": ends[2],
        "rel_effect_size_ci_upper": ends[3],
        "pvalue": p,
        "statistic": statistic,
    }


def same(made: dict[str, float], expected: dict[str, Any]) -> None:
    """Assert that every number made is the expected one of that name."""
    for name, value in made.items():
        assert value == pytest.approx(float(expected[name]), abs=EXACT), name
