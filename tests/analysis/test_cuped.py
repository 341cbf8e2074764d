"""CUPED: unbiased, honest about its variance, and plain where there is nothing to adjust with."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from analysis.cuped import Moments, adjusted, with_coefficient
from analysis.stats import difference, ratio
from feedback.errors import BadInput
from tests.analysis.oracle_cases import moments_of, outcome, together

NOBODY = np.zeros(4)
ROWS = (
    np.array([1.0, 2.0, 0.0, 3.0]),
    np.array([4.0, 3.0, 2.0, 5.0]),
    np.array([2.0, 1.0, 0.0, 3.0]),
    np.array([5.0, 2.0, 0.0, 4.0]),
)


def _history(rng: np.random.Generator, users: int, rate: float) -> Moments:
    """Return one arm whose users answer at their own rate (ICC .5), before and after; a third has no history. True ratio: `rate`.

    Rates are drawn around .3 and moved to `rate` by odds for the experiment, so that before it both arms are alike.
    """
    skill = rng.beta(0.3, 0.7, users)
    n, m = rng.geometric(0.2, users), rng.geometric(0.1, users) * (rng.random(users) < 2 / 3)
    return moments_of(rng.binomial(n, skill * rate / 0.3) * 1.0, n * 1.0, rng.binomial(m, skill) * 1.0, m * 1.0)


@pytest.mark.parametrize(("users", "rate"), [((150, 150), 0.3), ((150, 150), 0.2), ((400, 60), 0.25)])
def test_adjusted_difference_is_unbiased_and_its_variance_right(users: tuple[int, int], rate: float) -> None:
    """Mean and variance of the adjusted difference over 3,000 simulated experiments are the true and the stated ones.

    Source: the simulation itself, whose true difference is rate - .3; 3 standard errors of its mean, and of its variance (the
    fourth moment's). The adjusted variance is 1 - `explained` of the plain one where arms are equal (mc_benchmark.json,
    cuped: var_ratio = one_minus_r2 to 3 digits), within .03.
    """
    rng, runs = np.random.default_rng(20261124), 3000
    found, stated, plain, explained = [], [], [], []
    for _ in range(runs):
        arms = [_history(rng, users[0], 0.3), _history(rng, users[1], rate)]
        made = adjusted(arms)
        diff = difference(*made.estimates)
        found.append(diff.value)
        stated.append(diff.se**2)
        explained.append(made.explained)
        plain.append(difference(*(ratio(outcome(arm)) for arm in arms)).value)
    values = np.array(found)
    assert abs(values.mean() - (rate - 0.3)) < 3 * values.std() / math.sqrt(runs)
    squares = (values - values.mean()) ** 2
    assert abs(squares.mean() - np.mean(stated)) < 3 * squares.std() / math.sqrt(runs)
    assert values.var() < np.var(plain)
    if users[0] == users[1]:
        assert values.var() / np.var(plain) == pytest.approx(1 - np.mean(explained), abs=0.03)


def test_an_effect_does_not_move_the_coefficient_that_judges_it() -> None:
    """Inside arms theta is free of the effect; over users thrown together it eats one part in the number of users of it.

    Source: a simulation of normal outcomes with effect 3 and 10 users an arm, 3 standard errors; thrown together the bias is
    -3/20 (theta contains d dX/4 over var X, and E[dX^2] = 4/20 var X), which the control here must show.
    """
    rng, runs, k = np.random.default_rng(5), 4000, 10
    ones = np.ones(k)
    inside, thrown = [], []
    for _ in range(runs):
        arms = []
        for effect in (0.0, 3.0):
            x = rng.normal(10.0, 1.0, k)
            arms.append(moments_of(0.8 * x + rng.normal(effect, 0.6, k), ones, x, ones))
        inside.append(difference(*adjusted(arms).estimates).value - 3)
        thrown.append(difference(*with_coefficient(arms, adjusted([together(arms)]).theta)).value - 3)
    error = float(np.std(inside)) / math.sqrt(runs)
    assert abs(np.mean(inside)) < 3 * error
    assert np.mean(thrown) == pytest.approx(-3 / 20, abs=4 * error)


def test_theta_and_explained_by_least_squares() -> None:
    """With n = m = 1, theta is the slope of outcomes on covariates, both centred in their arm, and `explained` its R^2 (numpy)."""
    rng = np.random.default_rng(8)
    x = rng.normal(4.0, 2.0, (2, 30))
    y = 0.5 * x + rng.normal(2.0, 1.0, (2, 30))
    made = adjusted([moments_of(row_y, np.ones(30), row_x, np.ones(30)) for row_y, row_x in zip(y, x, strict=True)])
    xs, ys = (part - part.mean(axis=1, keepdims=True) for part in (x, y))
    slope = float((xs * ys).sum() / (xs * xs).sum())
    assert made.theta == pytest.approx(slope)
    assert made.explained == pytest.approx(1 - float(((ys - slope * xs) ** 2).sum() / (ys * ys).sum()))
    assert made.estimates[0].value == pytest.approx(float(y[0].mean() - slope * (x[0].mean() - x.mean())))


def test_of_all_coefficients_it_leaves_the_least_variance() -> None:
    """No theta nearby gives a smaller sum of the arms' variances a user, and what is left is 1 - explained of the plain sum."""
    rng = np.random.default_rng(9)
    arms = [_history(rng, 120, 0.3), _history(rng, 40, 0.25), _history(rng, 70, 0.2)]

    def left(theta: float) -> float:
        return sum(made.variance * made.users for made in with_coefficient(arms, theta))

    made = adjusted(arms)
    assert left(made.theta) < min(left(made.theta - 0.01), left(made.theta + 0.01))
    assert left(made.theta) / left(0.0) == pytest.approx(1 - made.explained)
    assert 0 < made.explained < 1


def test_users_without_history_add_nothing_to_the_covariate() -> None:
    """Their x and m are 0, so the covariate's linearised value is 0, its mean: theta is that of users with history alone."""
    y, n, x, m = ROWS
    known = m > 0
    both = [moments_of(y, n, x, m), moments_of(y[::-1], n[::-1], x[::-1], m[::-1])]
    rate, before = y.sum() / n.sum(), x.sum() / m.sum()
    e, f = (y - rate * n)[known] / n.mean(), (x - before * m)[known] / m.mean()
    assert adjusted(both).theta == pytest.approx(float(e @ f / (f @ f)))


@pytest.mark.parametrize(
    "covariate",
    [
        lambda rows: (NOBODY, NOBODY),  # nobody has history
        lambda rows: (0.3 * rows[3], rows[3]),  # the same rate for everybody
        lambda rows: (NOBODY, rows[3]),  # never corrected anything
    ],
)
def test_nothing_to_adjust_with_gives_the_plain_ratio(covariate: Callable[..., tuple[np.ndarray, np.ndarray]]) -> None:
    """Without history, or where the covariate does not vary, theta and explained are 0 and the estimates stats.ratio's."""
    arm = moments_of(ROWS[0], ROWS[1], *covariate(ROWS))
    made = adjusted([arm, arm])
    assert (made.theta, made.explained) == (0.0, 0.0)
    assert made.estimates[0] == ratio(outcome(arm))


@pytest.mark.parametrize("rate", [0.1, 0.3, 1 / 3, 0.7])
def test_rounding_is_no_covariate(rate: float) -> None:
    """Everybody at one rate before, in many users: what rounding leaves of the covariate's spread is not divided by."""
    rng = np.random.default_rng(6)
    n, m = rng.geometric(0.2, (2, 500)) * 1.0
    made = adjusted([moments_of(np.floor(n * rng.random(500)), n, rate * m, m)])
    assert (made.theta, made.explained) == (0.0, 0.0)


def test_one_arm_without_history_gives_the_plain_ratios() -> None:
    """Its covariate is unknown, not 0: nothing is adjusted, in no arm; asked for a coefficient it is an error."""
    arms = [moments_of(*ROWS), moments_of(ROWS[0], ROWS[1], NOBODY, NOBODY)]
    assert adjusted(arms).theta == 0.0
    assert adjusted(arms).estimates == tuple(ratio(outcome(arm)) for arm in arms)
    with pytest.raises(BadInput, match="without any history"):
        with_coefficient(arms, 0.5)


def test_an_outcome_that_does_not_vary_is_not_adjusted() -> None:
    """Everybody corrects everything: nothing to explain, variance 0."""
    made = adjusted([moments_of(ROWS[1], ROWS[1], ROWS[2], ROWS[3])])
    assert (made.theta, made.explained, made.estimates[0].variance) == (0.0, 0.0, 0.0)


def test_what_is_no_arm_is_refused() -> None:
    """No arms, one user, no predictions, sums that are no numbers: errors with words."""
    good = moments_of(*ROWS)
    with pytest.raises(BadInput, match="no users' sums"):
        adjusted([good._replace(sxx=1.0)])
    for arms in ([], [good._replace(k=1)], [good._replace(sn=0.0)], [good._replace(sxm=math.nan)], [good._replace(sm=-1.0)]):
        with pytest.raises(BadInput):
            adjusted(arms)
        with pytest.raises(BadInput):
            with_coefficient(arms, 0.5)
