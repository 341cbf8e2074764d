"""How much each signal counts, learned from what people went on to like. It computes no signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

AT = 10
"""Rankings are judged by their first AT places."""
TRIED = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.9, 1.3)
ROUNDS = 2
WORTH = 1.0
"""A weight is changed where the mean gain grows by more than WORTH of the difference's standard error: few questions change little."""


class Choice(NamedTuple):
    """One question with its candidates: `signals` (candidates, signals); `liked`: indices of candidates; `weights` of those likes.

    A weight is the person's, divided by the probability that the place of the like was looked at (1 where there was no list).
    """

    signals: np.ndarray
    liked: np.ndarray
    weights: np.ndarray
    listed: bool = False


def gained(choice: Choice, scores: np.ndarray) -> float:
    """Return what the order of these scores is worth: NDCG@AT, in 0..1; for a list the weighed DCG@AT, in likes at the first place.

    With weights 1 / P(looked at) the latter is, in expectation, the DCG of somebody who looks at the whole list, whatever its order
    was (Joachims, Swaminathan, Schnabel, WSDM 2017, equation 4 with another discount): so it is not divided by the best possible.
    """
    order = np.argsort(-scores, kind="stable")
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order))
    discounts = 1.0 / np.log2(np.arange(2, AT + 2))
    at = place[choice.liked]
    got = float((choice.weights * np.where(at < AT, discounts[np.minimum(at, AT - 1)], 0.0)).sum())
    if choice.listed:
        return got
    best = np.sort(choice.weights)[::-1][:AT]
    return got / float((best * discounts[: len(best)]).sum())


def weighed(choices: Sequence[Choice], start: np.ndarray) -> np.ndarray:
    """Return the weights (signals,) of a sum of the signals that gains most, one weight after the other tried at TRIED.

    Coordinate ascent on the measure itself (Metzler and Croft, "Linear feature-based models for information retrieval", 2007).
    """
    weights = np.asarray(start, dtype=float).copy()
    if not choices:
        return weights
    now = _gains(choices, weights)
    for _ in range(ROUNDS):
        before = weights.copy()
        for i in range(len(weights)):
            for value in TRIED:
                other = weights.copy()
                other[i] = value
                gains = _gains(choices, other)
                more = gains - now
                if more.mean() > WORTH * more.std() / np.sqrt(len(more)) + 1e-9:
                    weights, now = other, gains
        if (weights == before).all():
            break
    return weights


def _gains(choices: Sequence[Choice], weights: np.ndarray) -> np.ndarray:
    return np.asarray([gained(choice, choice.signals @ weights) for choice in choices])


def sharpness(choices: Sequence[Choice], weights: np.ndarray) -> float:
    """Return the factor on the scores with which their softmax foretells likes best: the likeliest one, in 0.01..10."""
    if not choices:
        return 1.0

    def loss(logarithm: float) -> float:
        total = 0.0
        for choice in choices:
            scores = np.exp(logarithm) * (choice.signals @ weights)
            scores -= scores.max()
            total += choice.weights.sum() * np.log(np.exp(scores).sum()) - float(choice.weights @ scores[choice.liked])
        return float(total)

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.01), np.log(10.0)), method="bounded").x))
