"""Planning: against measured power, brute force and its own inverse."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from analysis.planning import (
    FACTORS,
    PlannedRule,
    days_needed,
    design_effect,
    detectable,
    icc,
    linear_variance,
    plan,
    users_needed,
)
from analysis.stats import Sums, ratio, sums_of
from feedback.errors import BadInput
from tests.analysis.oracle_cases import needs_oracles, read
from tests.analysis.simulation import tolerance, users


def _variance(effect: float) -> float:
    """Return the mean over both arms of the shared measurement's variance a user, p(1-p) (1 + (E[n^2]/E[n] - 1) ICC)/E[n].

    Its law (false_alarms.py): n geometric of mean 5, so E[n^2]/E[n] = 9; ICC = 1/(4 + 1); rate .3 and .3 + effect.
    """
    return sum(p * (1 - p) * (1 + 8 * 0.2) / 5 for p in (0.3, 0.3 + effect)) / 2


def _power(variance: float, difference: float, users_: int, rule: PlannedRule) -> float:
    """Return the power at which `difference` is just what the users detect."""

    def short(power: float) -> float:
        return detectable(variance, users_, alpha=0.05, power=power, rule=rule) - difference

    return float(scipy.optimize.brentq(short, 0.03, 1 - 1e-12))


def test_users_of_two_equal_arms_by_hand() -> None:
    """2 s^2 (1.959964 + .841621)^2/d^2 an arm (normal table): s^2 = .1, d = .05 give 2 x 627.9 users, more under watched rules."""
    by_hand = 2 * 2 * 0.1 * (1.959964 + 0.841621) ** 2 / 0.05**2
    assert users_needed(0.1, 0.05, alpha=0.05) == math.ceil(by_hand) == 1256
    assert users_needed(0.1, -0.05, alpha=0.05, rule="horizon") == math.ceil(by_hand * 1.11)
    assert users_needed(0.1, 0.05, alpha=0.05, rule="always_valid") == math.ceil(by_hand * 1.7)


@pytest.mark.parametrize(
    ("rule", "name"), [("fixed", "fixed"), ("always_valid", "AsympCS N*=2000"), ("always_valid", "AsympCS N*=4000")]
)
@needs_oracles
def test_users_needed_are_the_measured_ones(rule: PlannedRule, name: str) -> None:
    """80 % power against a drop of .035 takes 2,700, 4,650 and 4,600 users (mc_benchmark.json, inflation_eff-0.035, n80).

    Tolerance 2 %: looks come every 50 users, and a share of .8 in 1,000 runs has a standard error of 1.3 points of power,
    about 2 % of users.
    """
    measured = read("mc_benchmark.json")["mc2"]["inflation_eff-0.035"][name]["n80"]
    assert users_needed(_variance(-0.035), -0.035, alpha=0.05, rule=rule) == pytest.approx(measured, rel=0.02)


@pytest.mark.parametrize("end", [2000, 2400, 3000])
@needs_oracles
def test_planned_end_of_the_horizon_rule(end: int) -> None:
    """The power planned for a declared end is the share of runs that found the drop by then (inflation_eff-0.035).

    60.1, 69.7 and 79.7 % for 2,000, 2,400 and 3,000 users: 4 standard errors of 1,000 runs (the shares' denominator).
    """
    measured = read("mc_benchmark.json")["mc2"]["inflation_eff-0.035"][f"contOBF Nmax={end}"]["power_end"]
    assert abs(_power(_variance(-0.035), 0.035, end, "horizon") - measured) < tolerance(measured, 1000, 10**9)


@pytest.mark.parametrize(
    ("rule", "name", "when", "drops"),
    [
        ("fixed", "user delta-method z", "last", (0.03, 0.05, 0.08)),
        ("horizon", "contOBF delta z.25/sqrt(t)", "ever", (0.03, 0.05, 0.08)),
        ("always_valid", "AsympCS delta N*=2000", "ever", (0.05,)),  # the factor holds near 80 % of power: not at .03
    ],
)
@needs_oracles
def test_planned_power_is_the_measured_one(rule: PlannedRule, name: str, when: str, drops: tuple[float, ...]) -> None:
    """The power planned for 2,000 users is the share of 4,000 runs that found the drop (mc_benchmark.json): 4 standard errors."""
    for drop in drops:
        measured = read("mc_benchmark.json")["mc"][f"power-{drop}"][name][when]
        planned = _power(_variance(-drop), drop, 2000, rule)
        assert abs(planned - measured) < tolerance(planned, 4000, 10**9), (drop, planned, measured)


def test_power_of_a_simulated_ratio_metric() -> None:
    """Planned from one history's sums, an experiment finds the difference in about 80 %: 4 standard errors of 2,000 runs.

    Source: the simulation itself (arms of equal size, rate .3 against .22). A plan takes the history's variance for both
    arms; at .22 it is 18 % smaller, so the power may be a little more: up to .85.
    """
    rng = np.random.default_rng(20261124)
    y, n = users(rng, (1, 20_000))
    variance = linear_variance(sums_of(list(y[0]), list(n[0])))
    needed = users_needed(variance, 0.08, alpha=0.05)
    found, runs = 0, 2000
    for _ in range(runs):
        estimates = [ratio(sums_of(*(list(rows[0]) for rows in users(rng, (1, needed // 2), rate=rate)))) for rate in (0.3, 0.22)]
        gap = estimates[0].value - estimates[1].value
        found += gap / math.sqrt(estimates[0].variance + estimates[1].variance) > 1.959964
    error = math.sqrt(0.8 * 0.2 / runs)
    assert 0.8 - 4 * error < found / runs < 0.85 + 4 * error


@pytest.mark.parametrize("rule", list(FACTORS))
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.5, 0.25)])
def test_detectable_is_the_inverse(rule: PlannedRule, shares: tuple[float, float]) -> None:
    """What the needed users detect is the difference, and one user less does not reach it."""
    settings: dict[str, Any] = {"alpha": 0.05, "power": 0.9, "rule": rule, "shares": shares}
    needed = users_needed(0.12, 0.04, **settings)
    assert detectable(0.12, needed, **settings) <= 0.04 < detectable(0.12, needed - 1, **settings)


def test_uneven_shares_cost_users() -> None:
    """1/q0 + 1/q1 is 4 for halves and 11.1 for .9 and .1 (closed form); a third arm's users are counted too."""
    even, uneven, of_three = (users_needed(0.1, 0.01, alpha=0.05, shares=s) for s in ((0.5, 0.5), (0.9, 0.1), (1 / 3, 1 / 3)))
    assert uneven / even == pytest.approx((1 / 0.9 + 1 / 0.1) / 4, rel=1e-4)
    assert of_three / even == pytest.approx(1.5, rel=1e-4)


def test_linear_variance_over_users_is_the_variance_of_the_ratio() -> None:
    """Var R = linear variance/k, whatever the users did."""
    sums = sums_of([1, 0, 2, 5], [3, 1, 2, 9])
    assert linear_variance(sums) / 4 == pytest.approx(ratio(sums).variance)


def test_a_plan_from_a_difference_or_from_users() -> None:
    """Either question fills both answers; days are users over arrivals, infinite where nobody comes."""
    made = plan(0.1, 20.0, alpha=0.05, difference=0.05, rule="horizon")
    assert made.users == users_needed(0.1, 0.05, alpha=0.05, rule="horizon")
    assert made.days == made.users / 20
    assert made.detectable == pytest.approx(0.05, rel=1e-3)
    assert (made.per_day, made.power, made.alpha) == (20.0, 0.8, 0.05)
    back = plan(0.1, 0.0, alpha=0.05, users=made.users, rule="horizon")
    assert (back.detectable, back.days) == (made.detectable, math.inf)
    with pytest.raises(BadInput, match="one of the two"):
        plan(0.1, 1.0, alpha=0.05)
    with pytest.raises(BadInput, match="one of the two"):
        plan(0.1, 1.0, alpha=0.05, difference=0.1, users=9)


def test_days() -> None:
    """Nobody to wait for takes no time; no traffic takes for ever; a negative rate is refused."""
    assert (days_needed(0, 0.0), days_needed(30, 4.0), days_needed(30, 0.0)) == (0.0, 7.5, math.inf)
    with pytest.raises(BadInput, match="-1 a day"):
        days_needed(30, -1.0)
    with pytest.raises(BadInput, match="nan a day"):
        days_needed(30, math.nan)


def test_icc_is_the_correlation_over_all_pairs() -> None:
    """By hand over every ordered pair of one user's 0/1 outcomes: mean of (a - R)(b - R) over R(1 - R) (Karlin et al. 1981)."""
    outcomes = [[1, 0, 1], [0, 0], [1, 1, 1, 0], [0], [1]]
    rate = sum(map(sum, outcomes)) / sum(map(len, outcomes))
    pairs = [(a, b) for user in outcomes for a, b in itertools.permutations(user, 2)]
    by_hand = sum((a - rate) * (b - rate) for a, b in pairs) / len(pairs) / (rate * (1 - rate))
    sums = sums_of([float(sum(user)) for user in outcomes], [float(len(user)) for user in outcomes])
    assert icc(sums) == pytest.approx(by_hand)


def test_icc_finds_the_simulated_one() -> None:
    """Beta(1.2, 2.8) rates have ICC 1/(4 + 1) = .2 (closed form): 3 standard errors over 40 logs of 1,000 users."""
    rng = np.random.default_rng(3)
    y, n = users(rng, (40, 1000))
    found = [icc(sums_of(list(ys), list(ns))) for ys, ns in zip(y, n, strict=True)]
    assert np.mean(found) == pytest.approx(0.2, abs=3 * float(np.std(found)) / math.sqrt(40))


def test_design_effect_joins_both_variances() -> None:
    """With its own ICC the design effect is the delta method's variance over the binomial one, but for (k - 1)/k (closed form)."""
    y, n = users(np.random.default_rng(4), (1, 300))
    sums = sums_of(list(y[0]), list(n[0]))
    estimate = ratio(sums)
    binomial = estimate.value * (1 - estimate.value) / sums.sn
    assert design_effect(sums, icc(sums)) == pytest.approx(estimate.variance / binomial * 299 / 300)
    assert design_effect(sums_of([1, 0], [1, 1]), 0.7) == 1.0  # one prediction a user: nothing is clustered


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"variance": 0.0}, "variance 0"),
        ({"variance": math.nan}, "variance nan"),
        ({"difference": 0.0}, "difference 0"),
        ({"difference": 1e-12}, "too small to plan for"),
        ({"alpha": 0.6}, r"alpha 0\.6"),
        ({"power": 1.0}, "power 1"),
        ({"power": 0.01}, "power 0.01 at alpha"),
        ({"rule": "bayes"}, "unknown rule 'bayes': available are fixed, horizon, always_valid"),
        ({"shares": (0.9, 0.2)}, r"shares \(0\.9, 0\.2\)"),
        ({"shares": (1.0, 0.0)}, "shares"),
    ],
)
def test_what_makes_no_plan_is_refused(changed: dict[str, Any], said: str) -> None:
    """The error names the value and the rule."""
    settings: dict[str, Any] = {"variance": 0.1, "difference": 0.05, "alpha": 0.05, **changed}
    with pytest.raises(BadInput, match=said):
        users_needed(settings.pop("variance"), settings.pop("difference"), **settings)


def test_what_has_no_correlation_is_refused() -> None:
    """Nobody detects with 0 users; rates of 0 and 1, and users with one prediction each, have no ICC; ICC 2 is none."""
    with pytest.raises(BadInput, match="0 users"):
        detectable(0.1, 0, alpha=0.05)
    for y, n in (([0.0, 0.0], [2.0, 2.0]), ([2.0, 2.0], [2.0, 2.0]), ([1.0, 0.0], [1.0, 1.0])):
        with pytest.raises(BadInput, match="intraclass"):
            icc(sums_of(y, n))
    with pytest.raises(BadInput, match="correlation of 2"):
        design_effect(sums_of([1.0, 0.0], [2.0, 1.0]), 2.0)
    with pytest.raises(BadInput, match="denominator"):
        design_effect(Sums(2, 0, 0, 0, 0, 0), 0.1)
