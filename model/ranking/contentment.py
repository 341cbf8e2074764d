"""How sure a list may be said to be: the probability that a person leaves its first half as it is. It ranks nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from model.ranking.ranker import Ranker
from model.ranking.visits import Question
from model.ranking.weighing import AT

LEAST_OF_EACH = 10
"""With fewer lists that were right, or that were not, the rate of right ones is all that is said."""


def contentment(ranker: Ranker, questions: Sequence[Question], asked: Sequence[np.ndarray | None]) -> tuple[float, float]:
    """Return slope and intercept of the logit of that probability over the logit of `mass`, learned from lists.

    A list is right where what was liked stands in its first half, by the ranker's order, and what was dismissed does not.
    Without lists (1, 0): the mass itself. `asked`: of each question the unit vector of what was written, or None.
    """
    logits, right = [], []
    for question, vector in zip(questions, asked, strict=True):
        if not question.among:
            continue
        ranked = ranker.rank(question.history, vector)
        order = sorted(question.among, key=lambda item: -ranked.scores[item])
        first = set(order[: max((len(order) + 1) // 2, len(question.liked))])
        right.append(set(question.liked) <= first and not first & set(question.dismissed))
        logits.append(logit(ranker.mass(ranked, ranked.order[:AT].tolist())))
    if not right:
        return 1.0, 0.0
    if min(sum(right), len(right) - sum(right)) < LEAST_OF_EACH:
        return 0.0, logit((sum(right) + 1) / (len(right) + 2))
    fitted = LogisticRegression().fit(np.asarray(logits)[:, None], right)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def logit(probability: float) -> float:
    """Return the logarithm of the odds; certainty is kept a thousandth away."""
    kept = min(max(probability, 1e-3), 1 - 1e-3)
    return float(np.log(kept / (1 - kept)))
