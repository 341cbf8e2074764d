"""Replay on corrections: every variant scored on the inputs whose truth people have given, paired by input. It reads no log.

An accepted correction is the truth for its input, so each variant can be asked for its answer offline, and the variants
be compared on the same inputs: far fewer users are needed than where each user meets one variant only.

Two things would spoil it, and the caller must keep them out or in sight. A correction that a variant's model was
trained on is left out for ALL variants: the model has seen the answer, so that its score is a memory and no forecast,
and leaving it out for one variant only would compare different inputs. And the truth is anchored: a person corrects the
answer that was shown, and lets small faults of it pass, which favours the variant that was shown. So the estimate
is given by shown variant too, and the difference between the two is reported as the anchoring effect.

Users are the unit: one user's inputs are alike. Each (input, accepted output) counts once, whoever corrected it how often:
the caller keeps the first contributor's row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from analysis import stats
from analysis.notes import Note
from analysis.sequential import Rule
from feedback.errors import BadInput

FEWEST = 20
"""Users below which no number is given: its variance could not be trusted. So many users have at least so many items."""

N_STAR = 100
"""Users near which the always-valid interval is narrowest: a replay has no declared end, and few users."""

_ROUNDING = 1e-12
"""Standard errors below this share of the difference are rounding."""


class Scored(NamedTuple):
    """One input with an accepted output: how right each variant is on it. Tuples in the variants' order, control first."""

    contributor: str
    shown_variant: str  # whose answer was corrected; another name, or none, counts in the overall estimate only
    right: tuple[float, ...]  # 0..1: 1 where the variant's answer is the accepted one
    loss: tuple[float, ...]  # edits from the variant's answer to the accepted one, 0 or more


class Paired(NamedTuple):
    """Challenger minus control, paired by input. All five numbers None where `reason` says why.

    The interval and `p` are always-valid (AsympCS), at level 1 - alpha/challengers; `p` is not adjusted.
    """

    items: int
    users: int
    difference: float | None
    se: float | None  # over users
    low: float | None
    high: float | None
    p: float | None
    reason: Note | None


class Outcome(NamedTuple):
    """One way to score: overall, by whose answer was shown, and what the showing did.

    `anchoring` is the difference among the items that the challenger showed minus the one among the control's; its `items` and
    `users` are of both. Above 0 in a share of right answers: the truths lean to the variant that was shown.
    """

    overall: Paired
    by_shown: Mapping[str, Paired]  # by variant, in the variants' order
    anchoring: Paired


class Challenged(NamedTuple):
    """A challenger against the control: in the share of right answers (-1..1), and in edits an item (below 0 is better)."""

    challenger: str
    right: Outcome
    edits: Outcome


class Replay(NamedTuple):
    """What the corrections say. `right` and `edits` are each variant's own means over all items, empty without items."""

    users: int
    items: int
    control: str
    right: Mapping[str, float]
    edits: Mapping[str, float]
    challengers: tuple[Challenged, ...]


def replayed(rows: Sequence[Scored], variants: Sequence[str], alpha: float) -> Replay:
    """Return every challenger against the control (the first of `variants`) on the same accepted corrections.

    difference = sum_i y_i / sum_i n_i over users i, with y_i the summed differences and n_i the items of a user; its
    variance is the jackknife over users, its law Student's t with users - 1 degrees of freedom. It is watched like a live
    test, so its interval is AsympCS with N* = N_STAR users. Rows: see the module on what the caller leaves out.

    Raises BadInput for fewer than two variants, a row with other than one score a variant, and scores that are out of range.
    """
    _check(rows, variants)
    users: dict[str, list[Scored]] = defaultdict(list)
    for row in rows:
        users[row.contributor].append(row)
    found = [
        Challenged(
            name,
            _outcome(users, variants, i, lambda row: row.right, alpha),
            _outcome(users, variants, i, lambda row: row.loss, alpha),
        )
        for i, name in enumerate(variants)
        if i > 0
    ]
    right = {name: sum(row.right[i] for row in rows) / len(rows) for i, name in enumerate(variants)} if rows else {}
    edits = {name: sum(row.loss[i] for row in rows) / len(rows) for i, name in enumerate(variants)} if rows else {}
    return Replay(len(users), len(rows), variants[0], right, edits, tuple(found))


def _check(rows: Sequence[Scored], variants: Sequence[str]) -> None:
    if len(variants) < 2 or len(set(variants)) != len(variants):
        raise BadInput(f"variants {list(variants)}: a replay compares two or more different ones")
    for row in rows:
        if not len(row.right) == len(row.loss) == len(variants):
            raise BadInput(f"{len(row.right)} scores and {len(row.loss)} losses: one of each is needed for {list(variants)}")
        if not all(0 <= right <= 1 for right in row.right):
            raise BadInput(f"right {row.right}: each must be in 0..1")
        if not all(0 <= loss < math.inf for loss in row.loss):
            raise BadInput(f"loss {row.loss}: each must be a number of edits, 0 or more")


def _outcome(
    users: Mapping[str, Sequence[Scored]],
    variants: Sequence[str],
    challenger: int,
    score: Callable[[Scored], tuple[float, ...]],
    alpha: float,
) -> Outcome:
    level = alpha / (len(variants) - 1)

    def sums(shown: str | None) -> np.ndarray:
        """Return each user's summed differences and items, (users, 2), of all their items or those that a variant showed."""
        kept = [[score(row) for row in rows if shown in (None, row.shown_variant)] for rows in users.values()]
        return np.array([[sum(s[challenger] - s[0] for s in mine), len(mine)] for mine in kept], dtype=float).reshape(-1, 2)

    by_shown = {name: sums(name) for name in variants}
    return Outcome(
        overall=_paired(sums(None), alpha, level),
        by_shown={name: _paired(found, alpha, level) for name, found in by_shown.items()},
        anchoring=_anchoring(by_shown[variants[challenger]], by_shown[variants[0]], alpha, level),
    )


def _paired(sums: np.ndarray, alpha: float, level: float) -> Paired:
    """Return the ratio of sums (users, 2) with its always-valid interval; users without an item count for nothing."""
    sums = sums[sums[:, 1] > 0]
    users, items = len(sums), round(float(sums[:, 1].sum()))
    if users < FEWEST:
        return _withheld(items, users, _too_few(users))
    estimate = stats.jackknife(sums[:, 0].tolist(), sums[:, 1].tolist())
    return _looked(items, users, stats.Difference(estimate.value, math.sqrt(estimate.variance), users - 1.0), alpha, level)


def _anchoring(challenger: np.ndarray, control: np.ndarray, alpha: float, level: float) -> Paired:
    """Return the difference of two estimates that share users, each group's sums (users, 2) in the same order.

    The jackknife leaves a user out of both at once, so their covariance is in it: (k-1)/k sum (D_-i - mean D_-i)^2 over
    the k users of either group (Efron and Stein, 1981). Degrees of freedom: the smaller group's users - 1.
    """
    inside = (challenger[:, 1] > 0) | (control[:, 1] > 0)
    challenger, control = challenger[inside], control[inside]
    users, items = len(challenger), round(float(challenger[:, 1].sum() + control[:, 1].sum()))
    fewest = min(int((group[:, 1] > 0).sum()) for group in (challenger, control))
    if fewest < FEWEST:
        return _withheld(items, users, _too_few(fewest))

    def left_out(group: np.ndarray) -> np.ndarray:
        rest = group.sum(axis=0) - group  # (users, 2)
        return np.asarray(rest[:, 0] / rest[:, 1])

    value = float(np.subtract(*(group[:, 0].sum() / group[:, 1].sum() for group in (challenger, control))))
    without = left_out(challenger) - left_out(control)  # (users,)
    variance = (users - 1) / users * float(((without - without.mean()) ** 2).sum())
    return _looked(items, users, stats.Difference(value, math.sqrt(variance), fewest - 1.0), alpha, level)


def _looked(items: int, users: int, diff: stats.Difference, alpha: float, level: float) -> Paired:
    if diff.se <= _ROUNDING * abs(diff.value):  # mostly because the variants answer alike: there is no law to go by
        return _withheld(items, users, Note("experiments.replay.no_variation", {"users": users}))
    look = Rule("always_valid", N_STAR, alpha).look(diff, users, level)
    return Paired(items, users, diff.value, diff.se, look.interval.low, look.interval.high, look.p, None)


def _withheld(items: int, users: int, reason: Note) -> Paired:
    return Paired(items, users, None, None, None, None, None, reason)


def _too_few(users: int) -> Note:
    return Note("experiments.replay.too_few", {"users": users, "needed": FEWEST})
