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
    if kappa <= 0:
        raise BadInput(f"kappa {kappa:g}: must be above 0")
    alpha = kappa * theta
    total = np.zeros(len(codes))
    for arm in np.flatnonzero(theta > 0):
        n = np.cumsum(codes == arm)  # (arrivals,): users of this arm so far
        total += special.gammaln(alpha[arm] + n) - special.gammaln(alpha[arm]) - n * np.log(theta[arm])
    count = np.arange(1, len(codes) + 1)
    return np.asarray(total + special.gammaln(kappa) - special.gammaln(kappa + count))


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
