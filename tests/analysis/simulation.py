"""Clustered logs with a known truth, many at once: users who differ in their rate and in how much they do. It judges nothing.

The law is that of the shared measurement (its script names it): predictions a user geometric with mean `mean`, a user's
rate Beta(rate `spread`, (1 - rate) `spread`), so that the intraclass correlation is 1/(`spread` + 1); arms by a fair coin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Floats = np.ndarray


class Looks(NamedTuple):
    """|z| at each look, (runs, looks): by user (delta method) and by event; and the users seen at each."""

    by_user: Floats
    by_event: Floats
    at: Floats


def users(
    rng: np.random.Generator, shape: tuple[int, int], *, mean: float = 5, rate: float | Floats = 0.3, spread: float = 4
) -> tuple[Floats, Floats]:
    """Return outcomes y and predictions n, both of `shape` (runs, users)."""
    n = rng.geometric(1 / mean, shape)
    p = rng.beta(rate * spread, (1 - rate) * spread, shape)
    return rng.binomial(n, p).astype(float), n.astype(float)


def z_at_looks(
    rng: np.random.Generator,
    runs: int,
    most: int,
    every: int,
    *,
    first: int | None = None,
    effect: float = 0.0,
    mean: float = 5,
    spread: float = 4,
) -> Looks:
    """Return the statistics of `runs` A/B logs of `most` users, looked at after `first` users and after each further `every`."""
    arm = rng.integers(0, 2, (runs, most))
    y, n = users(rng, (runs, most), mean=mean, rate=0.3 + effect * arm, spread=spread)
    at = np.arange(first or every, most + 1, every)
    estimates, by_user, by_event = [], [], []
    for g in (0, 1):
        mask = (arm == g).astype(float)
        k, sy, sn, syy, snn, syn = (np.cumsum(mask * x, axis=1)[:, at - 1] for x in (1.0, y, n, y * y, n * n, y * n))
        r = sy / sn
        estimates.append(r)
        by_user.append((syy - 2 * r * syn + r**2 * snn) / (k - 1) * k / sn**2)
        by_event.append(r * (1 - r) / sn)
    gap = np.abs(estimates[1] - estimates[0])
    return Looks(gap / np.sqrt(by_user[0] + by_user[1]), gap / np.sqrt(by_event[0] + by_event[1]), at)


def tolerance(published: float, runs: int, published_runs: int, errors: float = 4) -> float:
    """Return how far a measured share may lie from a published one: so many binomial standard errors of both simulations."""
    least = 1 / min(runs, published_runs)  # a share of 0 or 1 has an error too
    p = min(max(published, least), 1 - least)
    return float(errors * np.sqrt(p * (1 - p) * (1 / runs + 1 / published_runs)))
