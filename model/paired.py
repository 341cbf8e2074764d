"""Paired statistics of two models on the same items, from (tp, fp, fn) an item. It knows no rules and no verdicts.

F1 is 2 tp / (2 tp + fp + fn) of the sums. Where each item has exactly one right answer and one given (text
classification), tp + fp = tp + fn = 1 and F1 is the accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import binomtest, norm

from feedback.records import Json
from model.task import Task

_CHUNK = 250  # resamples at once: (resamples, items) of counts stay small
LEVEL = 0.05
POWER = 0.8


@dataclass(frozen=True)
class Paired:
    """Counts of both sides. by_label: (side 0 champion 1 candidate, items, labels + 1, 3) of tp, fp, fn.

    The last of the labels stands for all that are none of `labels`: a champion may still answer one that the demo has no more.
    `one_answer`: each item has one right answer, so that exact McNemar applies.
    """

    labels: tuple[str, ...]
    by_label: np.ndarray
    one_answer: bool

    def __len__(self) -> int:
        return int(self.by_label.shape[1])

    @cached_property
    def champion(self) -> np.ndarray:
        """Return the champion's counts over all labels: (items, 3)."""
        return np.asarray(self.by_label[0].sum(axis=1))

    @cached_property
    def candidate(self) -> np.ndarray:
        """Return the candidate's counts over all labels: (items, 3)."""
        return np.asarray(self.by_label[1].sum(axis=1))

    def of_label(self, label: str) -> Paired:
        """Return the counts of one label."""
        i = self.labels.index(label)
        return Paired((label,), self.by_label[:, :, i : i + 1], False)

    def difference(self) -> float:
        """Return F1 of the candidate minus F1 of the champion, -1..1."""
        return float(_f1(self.candidate.sum(axis=0)) - _f1(self.champion.sum(axis=0)))

    def better_worse(self) -> tuple[int, int]:
        """Return how many items the candidate answers with fewer errors (fp + fn) and with more."""
        change = self.candidate[:, 1:].sum(axis=1) - self.champion[:, 1:].sum(axis=1)
        return int((change < 0).sum()), int((change > 0).sum())

    def resampled(self, random: np.random.Generator, resamples: int) -> np.ndarray:
        """Return the difference in bootstrap samples of items, the same for both sides: (resamples,)."""
        items = len(self)
        both = np.concatenate([self.champion, self.candidate], axis=1).astype(np.float64)  # (items, 6)
        changed = np.flatnonzero(both.any(axis=1))  # items without any count change no sum
        parts = []
        for start in range(0, resamples, _CHUNK):
            size = min(_CHUNK, resamples - start)
            weights = random.multinomial(items, np.full(items, 1 / items), size=size)[:, changed]
            sums = weights @ both[changed]
            parts.append(_f1(sums[:, 3:]) - _f1(sums[:, :3]))
        return np.concatenate(parts)

    def standard_error(self) -> float:
        """Return the standard error of the difference (delta method for a ratio of sums); 1 where there is no second item."""
        items = len(self)
        if items < 2:
            return 1.0
        change = _influence(self.candidate) - _influence(self.champion)
        return float(np.sqrt((change**2).sum() * items / (items - 1)))

    def resolution(self) -> float:
        """Return the loss that this set can see: found in 80 % of cases by a one-sided test at 5 % (2.49 standard errors)."""
        return float(norm.ppf(1 - LEVEL) + norm.ppf(POWER)) * self.standard_error()

    def lower_bound(self, random: np.random.Generator, resamples: int) -> float:
        """Return the one-sided 95 % lower bound of the difference (bootstrap percentile)."""
        return float(np.quantile(self.resampled(random, resamples), LEVEL))

    def p_better(self, random: np.random.Generator, resamples: int) -> float:
        """Return the one-sided p of 'not better': exact McNemar for single answers, else the paired bootstrap."""
        better, worse = self.better_worse()
        if self.one_answer:
            return float(binomtest(better, better + worse, 0.5, alternative="greater").pvalue) if better + worse else 1.0
        return float((1 + (self.resampled(random, resamples) <= 0).sum()) / (1 + resamples))

    def p_worse(self, random: np.random.Generator, resamples: int) -> float:
        """Return the one-sided p of 'not worse', as p_better with the sides exchanged."""
        return Paired(self.labels, self.by_label[::-1], self.one_answer).p_better(random, resamples)


def paired_counts(task: Task, truth: Sequence[Json], champion: Sequence[Json], candidate: Sequence[Json]) -> Paired:
    """Return the counts of both sides on the same items, in the order of the task's labels.

    An answer with a label that the task does not have is wrong, and counts as such: nobody can want it any more.
    """
    place = {label: i for i, label in enumerate(task.labels)}
    table = np.zeros((2, len(truth), len(place) + 1, 3), dtype=np.int64)
    for side, answers in enumerate((champion, candidate)):
        for item, (right, answer) in enumerate(zip(truth, answers, strict=True)):
            for label, counts in task.counts(right, answer).items():
                table[side, item, place.get(label, len(place))] += counts
    totals = table.sum(axis=2)
    one = bool(len(truth)) and bool(((totals[..., 0] + totals[..., 1] == 1) & (totals[..., 0] + totals[..., 2] == 1)).all())
    return Paired(task.labels, table, one and task.one_answer)


def calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 15) -> float:
    """Return the expected calibration error: mean of |accuracy - confidence| over equal-width bins, weighted by size.

    Guo et al. 2017 (arXiv:1706.04599), equation 3.
    """
    if not len(confidences):
        return 0.0
    sure, hit = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    sizes = np.bincount(place, minlength=bins)
    gaps = np.abs(np.bincount(place, weights=hit, minlength=bins) - np.bincount(place, weights=sure, minlength=bins))
    return float(gaps[sizes > 0].sum() / len(sure))


def _f1(sums: np.ndarray) -> np.ndarray:
    """Return F1 of (..., 3) sums of tp, fp, fn; where there is nothing to find and nothing found, 1."""
    doubled = 2 * sums[..., 0]
    below = doubled + sums[..., 1] + sums[..., 2]
    return np.where(below > 0, doubled / np.maximum(below, 1), 1.0)


def _influence(counts: np.ndarray) -> np.ndarray:
    """Return what each item moves F1 by, to first order: (items,) of counts (items, 3). Sums to 0."""
    below = 2 * counts[:, 0] + counts[:, 1] + counts[:, 2]
    if not below.sum():
        return np.zeros(len(counts))
    return np.asarray((2 * counts[:, 0] - float(_f1(counts.sum(axis=0))) * below) / below.sum())
