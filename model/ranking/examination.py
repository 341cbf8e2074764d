"""How likely a place of a list is looked at, from likes at places that items came to by chance. It ranks nothing.

The click model is the position-based one: P(liked) = P(the place is looked at) P(the item is liked once it is looked at); Joachims,
Swaminathan, Schnabel, "Unbiased Learning-to-Rank with Biased Feedback", WSDM 2017. The first factor is estimated without a model of
the second, from what chance put into one place or another (as intervention harvesting does: Agarwal et al., WSDM 2019).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from model.ranking.exploring import place_probabilities
from model.ranking.visits import Policy, Visit

LEAST = 0.1
"""The least examination that is believed: no like counts more than tenfold (clipping)."""
PRIOR_LIKES = 5.0
"""Made-up likes for each pair of places, by which few real ones are drawn to PRIOR."""
PRIOR_POWER = 0.5
"""A place's examination before anything is known: (place, from 1) to the power of -PRIOR_POWER."""


def prior(length: int) -> np.ndarray:
    """Return (length,): what is assumed of a list where nothing is known."""
    return np.asarray((1.0 + np.arange(length)) ** -PRIOR_POWER)


def paired_likes(visits: Iterable[Visit], length: int) -> np.ndarray:
    """Return (length, length): [p, q] are the likes at place p of items that could have come to q as well.

    Each counts min(P(p), P(q)) / P(p), where P is the probability of the item's place in that very list. So the expectations of
    [p, q] and [q, p] are over the same items with the same weights, and stand to each other as the two examinations.
    """
    found = np.zeros((length, length))
    for visit in visits:
        if not visit.ranks or not visit.policy.epsilon:
            continue
        liked = set(visit.liked)
        for place, (item, rank) in enumerate(zip(visit.shown, visit.ranks, strict=True)):
            if item in liked and place < length:
                chances = np.asarray(_chances(rank, length, visit.policy))
                if chances[place] > 0:
                    found[place] += visit.weight * np.minimum(chances, chances[place]) / chances[place]
    np.fill_diagonal(found, 0.0)
    return found


@lru_cache(maxsize=10_000)
def _chances(rank: int, length: int, policy: Policy) -> tuple[float, ...]:
    return tuple(place_probabilities(rank, length, policy))


def examination(visits: Iterable[Visit], length: int) -> np.ndarray:
    """Return (length,): how likely each place is looked at, against the likeliest one; in LEAST..1.

    The pairs are fitted as Bradley-Terry does, [p, q] wins of p against q (Hunter's MM steps, Annals of Statistics 2004).
    """
    if length == 1:
        return np.ones(1)
    wins = paired_likes(visits, length)
    assumed = prior(length)
    wins += PRIOR_LIKES * assumed[:, None] / (assumed[:, None] + assumed[None, :])
    np.fill_diagonal(wins, 0.0)
    games, found = wins + wins.T, assumed.copy()
    for _ in range(500):
        before = found
        found = wins.sum(axis=1) / np.maximum((games / (before[:, None] + before[None, :])).sum(axis=1), 1e-12)
        found = found / max(float(found.max()), 1e-12)
        if np.abs(found - before).max() < 1e-9:
            break
    return np.asarray(np.clip(found, LEAST, 1.0))
