"""Evidence against 'no more than usual' in a window of time: likelihood ratios of counts and of shares. They know no baseline.

Each is an e-value: at most 1 on average while the truth is at or below the null, whatever its size, since both families have a
monotone likelihood ratio. Counts are negative binomial (a Poisson whose rate carries a gamma factor of mean 1 and variance
`spread`), shares beta-binomial (`icc` is the correlation of two items of one window; Griffiths 1973).
"""

from __future__ import annotations

import numpy as np
from scipy import special

Array = np.ndarray


def count_ratio(seen: Array, expected: Array, times: float, spread: Array) -> Array:
    """Return the log likelihood ratio of a mean `times` the expected one: NB(seen; times m, 1/d) / NB(seen; m, 1/d).

    `seen`, `expected` >= 0 and `spread` > 0 have one shape. With r = 1/d: S ln(times) - (r + S) ln((r + times m)/(r + m)).
    """
    r = 1.0 / spread
    made = seen * np.log(times) - (r + seen) * np.log1p((times - 1) * expected / (r + expected))
    return np.asarray(made)


def share_ratio(hits: Array, of: Array, share: Array, odds: float, icc: Array) -> Array:
    """Return the log likelihood ratio of `odds` times the odds of `share`, both beta-binomial with the same `icc` in (0, 1).

    `hits` <= `of`; `share` in (0, 1). The binomial coefficient cancels.
    """
    size = 1.0 / icc - 1.0
    raised = odds * share / (1 - share + odds * share)
    return np.asarray(_beta(hits, of, raised * size, (1 - raised) * size) - _beta(hits, of, share * size, (1 - share) * size))


def _beta(hits: Array, of: Array, a: Array, b: Array) -> Array:
    return np.asarray(special.betaln(a + hits, b + of - hits) - special.betaln(a, b))
