"""The 'prove it' button: arms drawn at random over this very log's users, and how often each analysis still claims something.

The users, what they did and the order they came in are the log's; which arm they were in is forgotten and drawn anew,
some thousand times. So no difference is real, and every claim is a false alarm. It reads no log and judges no experiment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from analysis import stats
from analysis.notes import MIN_USERS
from analysis.sequential import Rule
from feedback.errors import BadInput

Analysis = Literal["rule", "peeking", "per event"]
"""rule: the experiment's own. peeking: per user, but at a fixed level at each look. per event: fixed level, and users ignored."""

BUDGET = 200_000_000
"""Users times shuffles beyond which fewer shuffles are run: some seconds of one core."""

FEWEST = 200
"""Shuffles that are run whatever the budget says, if so many were asked for."""

MEMORY = 64_000_000
"""Bytes that the working arrays of one batch of shuffles may take."""


class Rate(NamedTuple):
    """How often an analysis claimed a difference where there is none, with a 95 % interval (Clopper and Pearson, 1934)."""

    analysis: Analysis
    rate: float  # 0..1
    low: float
    high: float
    alarms: int  # shuffles in which any look claimed a difference, for any challenger


class Proof(NamedTuple):
    """What the shuffles showed. `judged` of the `shuffles` had, at some look, the users for a verdict in every arm."""

    users: int
    looks: tuple[int, ...]  # users in all arms at each look
    shuffles: int  # as many as were run, which the budget may have made fewer than were asked for
    judged: int
    challengers: int
    alpha: float
    rates: tuple[Rate, ...]  # the rule in force first


def prove(
    y: Sequence[float] | np.ndarray,
    n: Sequence[float] | np.ndarray,
    *,
    shares: Sequence[float],
    rule: Rule,
    shuffles: int = 1000,
    looks: int = 40,
    seed: int,
    binary: bool,
) -> Proof:
    """Return the false-alarm rates of the rule in force and of the controls that must fail, on this log's own users.

    y, n: (users,) summed outcome and its denominator, in order of first exposure. shares: the declared ones, control
    first; an arm without a share takes no part. Under the horizon rule only the first n_max users count, as in the report.
    Looks are evenly spaced from the first number of users at which a verdict can be expected (MIN_USERS / the smallest
    share) to all of them; a look counts only where every arm of the shuffle has MIN_USERS.

    The rule is applied as the report does it: delta-method ratios, the jackknife's variance and Welch's degrees of freedom
    while an arm is small, several challengers each at alpha/challengers (whether anything is claimed is Holm's first
    step). The controls get alpha/challengers as well, at every look that counts: `peeking` is the per-user z-test with the
    delta method's variance; `per event` the pooled two-proportion z-test, run only where `binary` says that y counts 0/1
    events among n.

    Raises BadInput for too few users, for rows that are no finite numbers, for y outside 0..n where `binary`, and for
    shares, shuffles or looks that make no sense.
    """
    theta = _theta(shares)
    if shuffles < 1 or looks < 1:
        raise BadInput(f"{shuffles} shuffles and {looks} looks: each must be at least 1")
    ys, ns = np.asarray(y, dtype=float), np.asarray(n, dtype=float)
    stats.sums_of(ys.tolist(), ns.tolist())  # raises BadInput for rows that are no rows
    if rule.name == "horizon":
        ys, ns = ys[: rule.n_max], ns[: rule.n_max]
    if (ns < 0).any() or (binary and ((ys < 0) | (ys > ns)).any()):
        raise BadInput("a user's denominator must be 0 or more, and a count of events between 0 and that denominator")
    users, first = len(ys), math.ceil(MIN_USERS / theta.min())
    if users < first:
        raise BadInput(
            f"{users} users are there; to shuffle them takes {first}, so that each arm can have {MIN_USERS}",
            code="prove_too_few",
            values={"users": users, "needed": first, "each": MIN_USERS},
        )
    ends = np.unique(np.linspace(users, first, looks).round().astype(int))
    run = min(shuffles, max(FEWEST, BUDGET // users))
    alarms, judged = _count(ys, ns, theta, ends, rule, run, seed, binary)
    rates = tuple(Rate(name, count / run, *clopper_pearson(count, run), count) for name, count in alarms.items())
    return Proof(users, tuple(ends.tolist()), run, judged, len(theta) - 1, rule.alpha, rates)


def clopper_pearson(hits: int, trials: int, level: float = 0.95) -> stats.Interval:
    """Return the exact interval of a share of hits among independent trials, by quantiles of the beta law (1934)."""
    tail = (1 - level) / 2
    low = float(special.betaincinv(hits, trials - hits + 1, tail)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return stats.Interval(low, high)


def _theta(shares: Sequence[float]) -> np.ndarray:
    """Return the shares of the arms that take part, summing to 1."""
    theta = np.asarray(shares, dtype=float)
    if not np.isfinite(theta).all() or (theta < 0).any() or (theta > 0).sum() < 2 or not theta[0] > 0:
        raise BadInput(f"shares {list(shares)}: each must be 0 or more, the control's and a challenger's above 0")
    theta = theta[theta > 0]
    return np.asarray(theta / theta.sum())


def _count(
    y: np.ndarray, n: np.ndarray, theta: np.ndarray, ends: np.ndarray, rule: Rule, run: int, seed: int, binary: bool
) -> tuple[dict[Analysis, int], int]:
    """Return, by analysis, the shuffles with a claim; and the shuffles with a look that counts. In batches of bounded memory."""
    rng = np.random.default_rng(seed)
    widest = int(np.diff(ends, prepend=0).max())
    kept = min(len(y), math.ceil(2 * stats.SMALL_ARM / theta.min()))  # about as many users as `_drawn` keeps the arms of
    # A draw, its comparison and that as a number (8 + 1 + 8 bytes) a user of a block; an arm and four numbers a user kept;
    # some sixteen numbers a look and arm.
    batch = max(1, MEMORY // (17 * widest + 33 * kept + 8 * 16 * len(ends) * len(theta)))
    alarms: dict[Analysis, int] = {}
    judged = 0
    for start in range(0, run, batch):
        sums, arms = _drawn(rng, y, n, theta, ends, min(batch, run - start))
        counts = np.asarray((sums[..., 0] >= MIN_USERS).all(axis=-1))  # (batch, looks)
        judged += int(counts.any(axis=1).sum())
        for name, claims in _claims(sums, arms, y, n, ends, rule, counts, binary).items():
            alarms[name] = alarms.get(name, 0) + int(claims.sum())
    return alarms, judged


def _drawn(
    rng: np.random.Generator, y: np.ndarray, n: np.ndarray, theta: np.ndarray, ends: np.ndarray, batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the six sums (k, Sy, Sn, Syy, Snn, Syn) of randomly drawn arms at each look: (batch, looks, arms, 6).

    And the arms themselves, (batch, users kept), of the users up to the last look at which some arm was small.
    """
    sums = np.zeros((batch, len(ends), len(theta), 6))
    edges = np.cumsum(theta)[:-1]
    arms: list[np.ndarray] = []
    so_far = np.zeros((batch, len(theta), 6))
    for look, (start, end) in enumerate(pairwise((0, *ends.tolist()))):
        ys, ns = y[start:end], n[start:end]
        rows = np.stack((np.ones_like(ys), ys, ns, ys * ys, ns * ns, ys * ns), axis=1)  # (block, 6)
        draw = rng.random((batch, end - start))
        below = [
            np.zeros((batch, 6)),
            *((draw < edge).astype(float) @ rows for edge in edges),
            np.tile(rows.sum(axis=0), (batch, 1)),
        ]
        so_far = so_far + np.diff(np.stack(below, axis=1), axis=1)  # (batch, arms, 6)
        sums[:, look] = so_far
        if len(arms) == look and (so_far[..., 0] < stats.SMALL_ARM).any():  # arms only grow: once none is small, none will be
            arms.append(np.searchsorted(edges, draw, side="right").astype(np.uint8))
    return sums, np.concatenate(arms, axis=1) if arms else np.empty((batch, 0), np.uint8)


def _claims(
    sums: np.ndarray,
    arms: np.ndarray,
    y: np.ndarray,
    n: np.ndarray,
    ends: np.ndarray,
    rule: Rule,
    counts: np.ndarray,
    binary: bool,
) -> dict[Analysis, np.ndarray]:
    """Return, by analysis, whether any look that counts claims a difference: (batch,). See `stats.ratio`."""
    k, sy, sn, syy, snn, syn = np.moveaxis(sums, -1, 0)  # each (batch, looks, arms)
    alpha = rule.alpha / (k.shape[-1] - 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # an arm without users or events: NaN, which claims nothing
        value = sy / sn
        variance = np.maximum(syy - 2 * value * syn + value**2 * snn, 0.0) / (k - 1) * k / sn**2
        pooled = (sy[..., 1:] + sy[..., :1]) / (sn[..., 1:] + sn[..., :1])
        of_events = pooled * (1 - pooled) * (1 / sn[..., 1:] + 1 / sn[..., :1])
    fixed = stats.quantile(alpha / 2)
    z = _z(value, variance[..., 1:] + variance[..., :1])  # (batch, looks, challengers)
    critical = np.broadcast_to(np.array([rule.critical(int(end), alpha) for end in ends])[:, None], z.shape)
    few = counts[..., None] & (np.minimum(k[..., 1:], k[..., :1]) < stats.SMALL_ARM)
    near = few & (z >= critical * (MIN_USERS - 1) / MIN_USERS)  # see `_jackknifed`
    found: dict[Analysis, np.ndarray] = {"rule": (z >= critical) & ~few, "peeking": z >= fixed}
    if near.any():
        variance = _jackknifed(variance, k, near, arms, y, n, ends)
        both, part = variance[..., 1:] + variance[..., :1], variance**2 / (k - 1)
        df = (both**2)[near] / (part[..., 1:] + part[..., :1])[near]
        found["rule"][near] = special.stdtr(df, -_z(value, both)[near]) <= special.ndtr(-critical[near])
    if binary:
        found["per event"] = _z(value, of_events) >= fixed
    return {name: np.asarray((claims.any(axis=-1) & counts).any(axis=1)) for name, claims in found.items()}


def _jackknifed(
    variance: np.ndarray, k: np.ndarray, near: np.ndarray, arms: np.ndarray, y: np.ndarray, n: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Return the variances with the jackknife's (`stats.jackknife`) for small arms wherever that can matter.

    It matters where the delta method's |z| is at least (k-1)/k of the multiplier, since the jackknife's standard error is never
    below (k-1)/k of the delta method's: with e_i = y_i - R n_i and w_i = 1/(1 - n_i/Sn) >= 1 its spread is
    sum (w e)^2 - (sum w e)^2/k >= sum (w^2 - (w-1)^2) e^2 >= sum e^2, as sum e = 0 (Cauchy and Schwarz on sum (w-1) e).
    """
    mended = variance.copy()
    for look in np.flatnonzero(near.any(axis=(0, 2))):
        rows, end = np.flatnonzero(near[:, look].any(axis=1)), ends[look]
        for arm in range(k.shape[-1]):
            inside = arms[rows, :end] == arm  # (rows, end)
            users, sy, sn = inside.sum(axis=1), inside @ y[:end], inside @ n[:end]
            with np.errstate(divide="ignore", invalid="ignore"):  # one user with every event: NaN, which claims nothing
                left_out = np.where(inside, (sy[:, None] - y[:end]) / (sn[:, None] - n[:end]), 0.0)
                mean = left_out.sum(axis=1) / users
            spread = np.where(inside, (left_out - mean[:, None]) ** 2, 0.0).sum(axis=1)
            jackknife = (users - 1) / users * spread
            mended[rows, look, arm] = np.where(users < stats.SMALL_ARM, jackknife, variance[rows, look, arm])
    return mended


def _z(value: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return |challenger - control| in standard errors, (..., challengers); 0 where nothing varies or a number is missing."""
    known = np.where(variance > 0, variance, np.inf)
    return np.asarray(np.nan_to_num(np.abs(value[..., 1:] - value[..., :1]) / np.sqrt(known), nan=0.0))
