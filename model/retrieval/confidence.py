"""How surely the best entry answers a question: a logistic regression on what the best and the second best have. It ranks nothing.

It learns from questions that the ranking had not learned from: those it got right against those it got wrong, those that no entry
answers (the data's own), and the same questions with their entry taken away: what a question looks like that the catalogue misses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression

FALLBACK = (-7.0, 3.0, 7.0, 4.0)
"""Intercept and weights of SIGNALS where there are too few questions to learn from: sure from a cosine of about .6 with a clear lead."""
SIGNALS = ("share of the softmax", "nearest cosine", "lead of the best in cosine")
FEWEST = 40
"""Questions of either kind without which FALLBACK is used."""
MISSING_WEIGHT = 0.1
"""A question whose entry was taken away counts a tenth of one: most questions of visitors have one."""


class Confidence(NamedTuple):
    """Intercept and weights of SIGNALS."""

    numbers: tuple[float, ...] = FALLBACK

    def of(self, signals: np.ndarray) -> np.ndarray:
        """Return the probability that the best entry is right, (questions,), of signals (questions, 3)."""
        return np.asarray(1 / (1 + np.exp(-(self.numbers[0] + signals @ np.array(self.numbers[1:])))))


def signals_of(scores: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Return SIGNALS (questions, 3) of scores (questions, entries) and their evidence (questions, entries, features)."""
    rows = np.arange(len(scores))
    best = scores.argmax(axis=1)
    share = 1 / np.exp(scores - scores[rows, best][:, None]).sum(axis=1)
    cosine = evidence[:, :, :2].max(axis=2)
    nearest = cosine[rows, best]
    others = cosine.copy()
    others[rows, best] = -1.0
    return np.stack([share, nearest, nearest - others.max(axis=1, initial=-1.0)], axis=1)


def fit_confidence(found: np.ndarray, right: np.ndarray, missing: np.ndarray, nothing: np.ndarray) -> Confidence:
    """Return the confidence learned from signals (questions, 3).

    found and right (bool): questions with an entry. missing: the same with their entry taken away. nothing: questions that no entry answers.
    """
    truth = np.concatenate([right, np.zeros(len(missing) + len(nothing), dtype=bool)])
    weights = np.concatenate([np.ones(len(found)), np.full(len(missing), MISSING_WEIGHT), np.ones(len(nothing))])
    if min(int(truth.sum()), int((~truth).sum())) < FEWEST:
        return Confidence()
    solver = LogisticRegression(C=10.0, max_iter=500).fit(np.concatenate([found, missing, nothing]), truth, sample_weight=weights)
    return Confidence((float(solver.intercept_[0]), *(float(weight) for weight in solver.coef_[0])))
