"""From which posterior on an answer is accepted: set on items of known truth, with a calibration table. It computes no posterior.

A consensus posterior can be wrong about itself (over-confident where errors are correlated), so its own word is not enough.
Known items are judged as if their truth were not known (leave one out, with as many contributors as an ordinary item has).
At each threshold, from the top down, the share right has a beta law: its prior is what the posteriors of the open items
above the threshold claim, worth `claim_worth` items; the known items are its data. The search ends where that law is no
longer sure enough of the target. So a few known items check the posteriors' claim, and many overrule it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import special

from feedback.errors import BadInput

GRID = (0.995, 0.99, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.87, 0.84, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)
"""The thresholds that are looked at, from the top."""

NOTHING = 2.0
"""A threshold that no posterior reaches: the known items forbid acceptance by posterior."""


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """`target`: share right that accepted answers must have; `confidence`: how sure the beta law must be of it, one-sided;
    `claim_worth`: known items that the posteriors' claim is worth.

    With fewer than `few` known items altogether the conservative `default` holds.
    """

    target: float = 0.95
    confidence: float = 0.7
    claim_worth: float = 30.0
    few: int = 10
    default: float = 0.98

    def __post_init__(self) -> None:
        if (
            not 0 < self.target < 1
            or not 0 < self.confidence < 1
            or not self.claim_worth > 0
            or self.few < 1
            or not 0.5 <= self.default <= 1
        ):
            raise BadInput(f"{self}: target and confidence lie in 0..1, claim_worth above 0, few from 1 on, default in .5..1")


class Threshold(NamedTuple):
    """From which posterior on to accept, and what it rests on: `right` of `judged` known items at or above it were right."""

    value: float  # 0..1, or NOTHING
    judged: int
    right: int
    lower: float  # one-sided 90 % Clopper-Pearson bound of right / judged, to be shown; 0 where nothing was judged
    expected: float  # mean of the beta law at the threshold, 0..1; NaN for the default
    source: str  # "known" (set on known items), "default" (too few of them), "none" (they forbid every threshold)


class Bin(NamedTuple):
    """One line of the calibration table: known items whose posterior lies in [start, end) (the last one includes 1)."""

    start: float
    end: float
    items: int
    mean: float  # posterior, NaN for an empty bin
    right: float  # share, NaN for an empty bin


def lower_bound(right: int, judged: int, level: float = 0.10) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a share (Clopper and Pearson, Biometrika 1934)."""
    return float(special.betaincinv(right, judged - right + 1, level)) if right else 0.0


def threshold(
    posteriors: Sequence[float], right: Sequence[bool], claimed: Sequence[float] = (), rule: ThresholdRule | None = None
) -> Threshold:
    """Return the smallest threshold of GRID down to which the share right is, with the rule's confidence, at or above the target.

    posteriors: of known items, as if unknown; right: whether their leading answer was the truth; claimed: posteriors of the open
    items that would be accepted if their posterior allows it (none: those of the known items stand in). All in 0..1. Give only
    items of the kind that is to be accepted: corrections with enough support, not confirmations.
    """
    rule = rule or ThresholdRule()
    p, ok = _checked(posteriors, right)
    open_, _ = _checked(claimed, [True] * len(claimed))
    if len(p) < rule.few:
        return _found(rule.default, p, ok, float("nan"), "default")
    best: Threshold | None = None
    for value in GRID:
        above = open_[open_ >= value] if len(open_) else p[p >= value]
        claim = float(above.mean()) if len(above) else 1.0
        judged = p >= value
        good = rule.claim_worth * claim + int(ok[judged].sum())
        bad = rule.claim_worth * (1 - claim) + int((~ok[judged]).sum())
        expected = good / (good + bad)
        if bad > 0 and special.betaincinv(good, bad, 1 - rule.confidence) < rule.target:
            break
        best = _found(value, p, ok, expected, "known")
    if best is None or not best.judged:  # a claim that no known item has tested, with those below it failing, is no ground
        return _found(NOTHING, p, ok, expected, "none")
    return best


def _found(value: float, p: np.ndarray, ok: np.ndarray, expected: float, source: str) -> Threshold:
    judged, right = int((p >= value).sum()), int(ok[p >= value].sum())
    return Threshold(value, judged, right, lower_bound(right, judged), expected, source)


def supported(said_by: Collection[str], trusted: Collection[str]) -> bool:
    """Return whether enough people stand behind an answer: two contributors, or one whom the traps (or a login) prove.

    One unknown contributor's word alone is never accepted, whatever its posterior.
    """
    return len(set(said_by)) >= 2 or any(name in trusted for name in said_by)


def calibration(
    posteriors: Sequence[float], right: Sequence[bool], edges: Sequence[float] = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1)
) -> tuple[Bin, ...]:
    """Return the calibration table over the bins between rising `edges`: how many, their mean posterior, how often right."""
    p, ok = _checked(posteriors, right)
    lines = []
    for start, end in pairwise(edges):
        inside = (p >= start) & ((p < end) | ((end == edges[-1]) & (p <= end)))
        n = int(inside.sum())
        lines.append(Bin(start, end, n, float(p[inside].mean()) if n else np.nan, float(ok[inside].mean()) if n else np.nan))
    return tuple(lines)


def _checked(posteriors: Sequence[float], right: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    p, ok = np.asarray(posteriors, dtype=float), np.asarray(right, dtype=bool)
    if p.shape != ok.shape or not bool(np.all((p >= 0) & (p <= 1 + 1e-9))):
        raise BadInput(f"{p.size} posteriors and {ok.size} results: as many of each are needed, and posteriors lie in 0..1")
    return np.minimum(p, 1.0), ok
