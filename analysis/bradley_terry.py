"""Bradley and Terry's model: strengths from wins, by maximum likelihood, with standard errors over users. It knows no votes.

P(i is preferred to j) = s_i/(s_i + s_j) (Bradley and Terry, Biometrika 1952). A tie counts as half a win to each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special

from feedback.errors import BadInput

PSEUDO = 0.5
"""Wins that are added each way between any two variants, only where the wins alone leave a strength infinite: where some
variants never lost to the others (Ford, American Mathematical Monthly 1957). One tied vote a pair: it shrinks towards equality."""

ROUNDS = 20_000
"""Steps after which a fit that still moves is an error."""

BATCH = 4_000_000
"""Users times resamples that are drawn at once (eight bytes each)."""


class Fit(NamedTuple):
    """Log-strengths relative to the first variant and their standard errors over users: (variants,) each, the first 0."""

    log_strengths: np.ndarray
    se: np.ndarray
    regularised: bool  # PSEUDO wins were added to all users' table


def fit(wins: np.ndarray, resamples: int, seed: int) -> Fit:
    """Return the fit of each user's wins of i over j, (users, variants, variants), at least one user and all variants compared.

    The standard error is the standard deviation over `resamples` fits of users drawn with replacement, each with all
    their votes. Where any of these needed the PSEUDO wins, losses are so few that the bootstrap cannot see how uncertain
    they are; then it is at least the model's own (Fisher information of the votes).
    """
    users, size = len(wins), wins.shape[-1]
    total = wins.sum(axis=0)
    rng = np.random.default_rng(seed)
    flat = wins.reshape(users, -1)
    drawn: list[np.ndarray] = []
    at_a_time = max(1, BATCH // users)
    for start in range(0, resamples, at_a_time):
        count = min(at_a_time, resamples - start)
        picks = rng.integers(0, users, (count, users)) + users * np.arange(count)[:, None]
        times = np.bincount(picks.ravel(), minlength=count * users).reshape(count, users)  # how often each user is in
        drawn.append((times @ flat).reshape(count, size, size))
    tables = np.concatenate(drawn)
    se = _finite_fit(tables).std(axis=0, ddof=1)
    if unbounded(tables).any():
        se = np.maximum(se, _model_se(total))
    return Fit(_finite_fit(total), se, bool(unbounded(total)))


def log_strengths(wins: np.ndarray) -> np.ndarray:
    """Return ln s_i/s_0 by maximum likelihood: (..., variants), from wins (..., variants, variants) of i over j.

    Hunter's MM steps s_i <- W_i / sum_j N_ij/(s_i + s_j) (Annals of Statistics 2004, section 3): each raises the likelihood,
    and they converge to its maximum wherever there is one. Where there is none (`unbounded`), add PSEUDO wins first.
    Raises BadInput where there is none, or a fit still moves after ROUNDS steps.
    """
    if unbounded(wins).any():
        raise BadInput("some variants never lost to the others: no finite strengths are the most likely ones")
    flat = wins.reshape(-1, *wins.shape[-2:])
    met = flat + flat.swapaxes(1, 2)  # (fits, variants, variants)
    won = flat.sum(axis=2)
    s = np.ones_like(won)
    moving = np.arange(len(s))
    for _ in range(ROUNDS):
        now = s[moving]
        step = won[moving] / (met[moving] / (now[:, :, None] + now[:, None, :])).sum(axis=2)
        step = step / np.exp(np.log(step).mean(axis=1, keepdims=True))
        s[moving] = step
        moving = moving[np.abs(np.log(step / now)).max(axis=1) > 1e-10]
        if not len(moving):
            return np.asarray(np.log(s / s[:, :1]).reshape(wins.shape[:-1]))
    raise BadInput(f"the strengths still moved after {ROUNDS} steps: some variants are all but never preferred to the others")


def unbounded(wins: np.ndarray) -> np.ndarray:
    """Return whether some variants never lost to the others, so that no finite strengths are the most likely ones: (...)."""
    steps = (wins > 0) | np.eye(wins.shape[-1], dtype=bool)
    for _ in range(wins.shape[-1].bit_length()):  # doubling the length of the chains of wins
        steps = np.matmul(steps, steps)
    return np.asarray(~steps.all(axis=(-2, -1)))


def reachable(met: np.ndarray) -> np.ndarray:
    """Return which variants were compared with the first, directly or by way of others: (variants,) bool."""
    known = np.arange(len(met)) == 0
    for _ in range(len(met)):
        known = known | (met[known].sum(axis=0) > 0)
    return np.asarray(known)


def _finite_fit(wins: np.ndarray) -> np.ndarray:
    """Return `log_strengths` after PSEUDO wins each way for those tables that need them: (..., variants)."""
    extra = PSEUDO * (1 - np.eye(wins.shape[-1]))
    return log_strengths(wins + np.where(unbounded(wins)[..., None, None], extra, 0.0))


def _model_se(total: np.ndarray) -> np.ndarray:
    """Return the standard errors by the Fisher information sum_j N_ij p_ij p_ji, the first strength fixed: (variants,)."""
    logs = _finite_fit(total)
    p = special.expit(logs[:, None] - logs[None, :])
    weight = (total + total.T) * p * p.T
    information = np.diag(weight.sum(axis=1)) - weight
    return np.concatenate(([0.0], np.sqrt(np.diag(np.linalg.inv(information[1:, 1:])))))
