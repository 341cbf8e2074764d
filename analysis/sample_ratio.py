"""Did the arms get the users they should? A sequential test that may be watched, and chi-square for one look at the end.

An arm whose declared share is 0 takes no part: neither in a sum nor in the degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from feedback.errors import BadInput

KAPPA = 100.0
"""Weight of the Dirichlet prior in users. With 100 and alpha .05 it finds 45/55 sooner than chi-square < .001 does, at the
same false alarms when watched (2-3 %; shared measurement, mc_benchmark.json, srm_*)."""

ALARM = 0.05
"""The always-valid p-value below which an experiment is blocked."""


def sequential_p(arrivals: Sequence[int], shares: Sequence[float], kappa: float = KAPPA) -> float:
    """Return the always-valid p-value after users arrived in this order; `arrivals` are indices of arms. 1.0 for nobody.

    The running minimum over the arrivals of 1/BF (Lindon and Malek, arXiv:2011.03567). Raises BadInput for a bad share
    or index.
    """
    values = log_bayes_factors(arrivals, shares, kappa)
    return float(min(1.0, np.exp(-values.max(initial=0.0))))


def sequential_p_of_counts(counts: np.ndarray, shares: Sequence[float], kappa: float = KAPPA) -> float:
    """Return the always-valid p-value of cumulative users: counts (points, arms), in order of time. 1.0 for no points.

    As `sequential_p`, looking at these points only: fewer looks keep the error below the same bound. Raises BadInput for
    a bad share, counts of another shape, or counts that fall.
    """
    theta = _theta(shares)
    seen = np.asarray(counts)
    if seen.ndim != 2 or seen.shape[1] != len(theta):
        raise BadInput(f"cumulative counts need one column for each of {len(theta)} shares, not the shape {seen.shape}")
    if (seen < 0).any() or (np.diff(seen, axis=0) < 0).any():
        raise BadInput("cumulative counts of users must be 0 or more and never fall")
    return float(min(1.0, np.exp(-_log_bayes_factors(seen, theta, kappa).max(initial=0.0))))


def log_bayes_factors(arrivals: Sequence[int], shares: Sequence[float], kappa: float = KAPPA) -> np.ndarray:
    """Return ln BF after each arrival that counts: (arrivals in arms with a share,).

    ln BF = lnG(A) - lnG(A+n) + sum_i [lnG(a_i+n_i) - lnG(a_i)] - sum_i n_i ln th_i, with a_i = kappa th_i and A = kappa
    (Lindon and Malek, equation 6).
    """
    theta = _theta(shares)
    codes = np.asarray(arrivals, dtype=int)
    if codes.size and (codes.min() < 0 or codes.max() >= len(theta)):
        raise BadInput(f"an arrival names an arm outside 0..{len(theta) - 1}")
    codes = codes[theta[codes] > 0]
    return _log_bayes_factors((codes[:, None] == np.arange(len(theta))).cumsum(axis=0), theta, kappa)


def _log_bayes_factors(counts: np.ndarray, theta: np.ndarray, kappa: float) -> np.ndarray:
    """Return ln BF at each point of the cumulative counts (points, arms); arms without a share take no part."""
    if kappa <= 0:
        raise BadInput(f"kappa {kappa:g}: must be above 0")
    n, th = counts[:, theta > 0], theta[theta > 0]
    alpha = kappa * th
    by_arm = special.gammaln(alpha + n) - special.gammaln(alpha) - n * np.log(th)
    return np.asarray(by_arm.sum(axis=1) + special.gammaln(kappa) - special.gammaln(kappa + n.sum(axis=1)))


def chi2_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return Pearson's chi-square p-value of the counts against the shares, for one look. 1.0 where nothing can differ."""
    theta = _theta(shares)
    seen = np.asarray(counts, dtype=float)
    if seen.shape != theta.shape or (seen < 0).any():
        raise BadInput(f"counts {list(counts)}: one number of users, 0 or more, is needed for each of {len(theta)} shares")
    seen, theta = seen[theta > 0], theta[theta > 0]
    if len(seen) < 2 or seen.sum() == 0:
        return 1.0
    expected = theta * seen.sum()
    return float(special.chdtrc(len(seen) - 1, ((seen - expected) ** 2 / expected).sum()))


def _theta(shares: Sequence[float]) -> np.ndarray:
    theta = np.asarray(shares, dtype=float)
    if not len(theta) or not np.isfinite(theta).all() or (theta < 0).any() or theta.sum() <= 0:
        raise BadInput(f"shares {list(shares)}: each must be 0 or more, and one above 0")
    return np.asarray(theta / theta.sum())
