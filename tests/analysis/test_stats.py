"""Ratios, differences and multiplicity against closed forms and scipy; other people's published numbers: test_oracles.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from analysis.stats import (
    Difference,
    Estimate,
    Interval,
    Sums,
    benjamini_hochberg,
    difference,
    fixed_p,
    holm,
    jackknife,
    lift,
    non_inferior,
    ratio,
    sums_of,
)
from feedback.errors import BadInput


def test_ratio_of_ones_is_the_mean() -> None:
    """With n_i = 1, R is the mean and its variance s^2/k (closed form): 1, 2, 3, 4 give 2.5 and (5/3)/4."""
    made = ratio(sums_of([1, 2, 3, 4], [1, 1, 1, 1]))
    assert made == pytest.approx(Estimate(2.5, 5 / 12, 4))


def test_jackknife_of_a_mean_is_its_variance() -> None:
    """For a mean the jackknife is exactly s^2/k (Efron and Stein, 1981); for a ratio it exceeds the delta method here."""
    assert jackknife([1, 2, 3, 4], [1, 1, 1, 1]).variance == pytest.approx(5 / 12)
    rng = np.random.default_rng(5)
    n = rng.integers(1, 9, 40).astype(float)
    y = np.floor(n * rng.random(40))
    assert jackknife(list(y), list(n)).variance > ratio(sums_of(list(y), list(n))).variance


def test_welch_degrees_of_freedom_are_scipys() -> None:
    """Welch's p-value and df are scipy.stats.ttest_ind(equal_var=False)'s."""
    a, b = [1.0, 2.0, 4.0, 8.0, 9.0], [3.0, 3.5, 4.0, 9.0, 11.0, 15.0]
    theirs = scipy.stats.ttest_ind(b, a, equal_var=False)
    diff = difference(ratio(sums_of(a, [1] * 5)), ratio(sums_of(b, [1] * 6)))
    assert (fixed_p(diff), diff.df) == pytest.approx((float(theirs.pvalue), float(theirs.df)), abs=1e-9)


@pytest.mark.parametrize(
    ("y", "n"), [([1.0], [1.0]), ([0.0, 0.0], [0.0, 0.0]), ([math.nan, 1.0], [1.0, 1.0]), ([1.0, 2.0], [1.0])]
)
def test_what_has_no_variance_is_refused(y: list[float], n: list[float]) -> None:
    """One user, no predictions, NaN and ragged rows are errors with words, not NaN results."""
    with pytest.raises(BadInput):
        ratio(sums_of(y, n))
    with pytest.raises(BadInput):
        jackknife(y, n)


def test_sums_that_nobody_can_have_are_refused() -> None:
    """Squares below what the sums allow are an error, not a variance of 0; rounding is forgiven: everybody at one rate gives 0."""
    with pytest.raises(BadInput, match="no users' sums"):
        ratio(Sums(2, 1396.87, 2.0, 52377.9767, 2.0, 1396.87))  # squares of two users with that sum: at least 975,622
    n = [float(count) for count in range(1, 60)]
    assert ratio(sums_of([0.1 * count for count in n], n)).variance == pytest.approx(0.0, abs=1e-15)


def test_lift_needs_two_rates_above_zero() -> None:
    """0 has no logarithm: no lift is made up for it."""
    assert lift(Estimate(0.0, 0.1, 9), Estimate(0.2, 0.1, 9), 2.0) is None


def test_holm_and_benjamini_hochberg() -> None:
    """Holm by hand (4, 3, 2, 1 times, made monotone); Benjamini-Hochberg is scipy.stats.false_discovery_control's."""
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p) == pytest.approx(list(scipy.stats.false_discovery_control(p)))
    with pytest.raises(BadInput, match=r"1\.5 is no p-value"):
        holm([1.5])


def test_non_inferiority_looks_at_the_bad_side() -> None:
    """A rate that is better lower is compared at the interval's upper end, one that is better higher at the lower."""
    interval = Interval(-0.01, 0.03)
    assert non_inferior(interval, 0.05, lower_is_better=True) == (True, 0.03, 0.05)
    assert not non_inferior(interval, 0.02, lower_is_better=True).holds
    assert non_inferior(interval, 0.02, lower_is_better=False).holds
    with pytest.raises(BadInput):
        non_inferior(interval, 0.0, lower_is_better=True)


def test_nothing_varies_gives_no_p_value() -> None:
    """A standard error of 0 has no p-value: NaN, never 0 or 1."""
    assert math.isnan(fixed_p(Difference(0.0, 0.0, math.inf)))
