"""Sample ratio: the sequential multinomial test and chi-square; other people's published numbers: test_oracles.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from analysis.sample_ratio import ALARM, chi2_p, log_bayes_factors, sequential_p
from feedback.errors import BadInput


def test_chi2_is_scipys() -> None:
    """scipy.stats.chisquare with the expected counts gives the same p-value."""
    assert chi2_p([310, 98, 300], [0.4, 0.2, 0.4]) == pytest.approx(
        float(scipy.stats.chisquare([310, 98, 300], [283.2, 141.6, 283.2]).pvalue)
    )


def test_first_arrival_says_nothing() -> None:
    """After one user BF = a_i/(A th_i) = 1 whatever the arm (closed form), so p = 1."""
    assert log_bayes_factors([1], [0.9, 0.1]) == pytest.approx([0.0], abs=1e-9)
    assert sequential_p([1], [0.9, 0.1]) == pytest.approx(1.0)
    assert sequential_p([], [0.5, 0.5]) == 1.0


def test_p_never_recovers() -> None:
    """An imbalance that is later made up for stays on record: the running minimum."""
    start = [0] * 60
    assert sequential_p(start + [1] * 60, [0.5, 0.5]) == pytest.approx(sequential_p(start, [0.5, 0.5]))


def test_zero_share_arms_take_no_part() -> None:
    """An arm without a share changes neither test."""
    rng = np.random.default_rng(3)
    arrivals = [int(x) for x in rng.integers(0, 2, 300)]
    assert sequential_p(arrivals, [0.5, 0.5, 0.0]) == pytest.approx(sequential_p(arrivals, [0.5, 0.5]))
    assert chi2_p([505, 500, 0], [0.5, 0.5, 0.0]) == pytest.approx(chi2_p([505, 500], [0.5, 0.5]))
    assert chi2_p([5, 0], [1.0, 0.0]) == 1.0


def test_false_alarms_and_power() -> None:
    """Watched at every user, 50/50 alarms in 2.6 % (mc_benchmark.json, srm_null_every_user, kappa 100); 45/55 nearly always.

    Tolerance: 4 binomial standard errors of 1,000 runs. 45/55: 95.3 % within 2,000 users, watched every 50.
    """
    rng = np.random.default_rng(7)
    fair, skewed = (
        sum(sequential_p(list(rng.random(2000) < share), [0.5, 0.5]) < ALARM for _ in range(1000)) / 1000 for share in (0.5, 0.55)
    )
    assert abs(fair - 0.026) < 4 * math.sqrt(0.026 * 0.974 / 1000)
    assert skewed > 0.953 - 4 * math.sqrt(0.953 * 0.047 / 1000)


@pytest.mark.parametrize("shares", [[], [0.0, 0.0], [-0.5, 1.5], [math.nan, 1.0]])
def test_bad_shares_are_refused(shares: list[float]) -> None:
    """Shares that are no shares are errors that name them."""
    with pytest.raises(BadInput, match="shares"):
        sequential_p([0], shares)


def test_unknown_arms_are_refused() -> None:
    """An arrival in an arm that does not exist, or counts of another length, are errors."""
    with pytest.raises(BadInput, match="outside"):
        sequential_p([2], [0.5, 0.5])
    with pytest.raises(BadInput, match="counts"):
        chi2_p([1], [0.5, 0.5])
