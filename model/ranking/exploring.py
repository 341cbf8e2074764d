"""What of a ranking is shown: the best, and now and then another item by chance, with the exact probability of every place.

At each place of the list in turn, the best item that is left is taken with probability 1 - epsilon, else one of all that are left in
the pool, each as likely (epsilon-greedy without replacement). It learns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.ranking.visits import Policy


def drawn(ranking: Sequence[int], length: int, policy: Policy, random: np.random.Generator) -> list[int]:
    """Return the ranks (places in `ranking`, from 0) that are shown, in order: `length` of them, or as many as the pool has."""
    left = list(range(min(policy.pool, len(ranking))))
    shown = []
    for _ in range(min(length, len(left))):
        by_chance = random.random() < policy.epsilon
        shown.append(left.pop(int(random.integers(len(left))) if by_chance else 0))
    return shown


def place_probabilities(rank: int, length: int, policy: Policy) -> np.ndarray:
    """Return (length,): with what probability the item of this rank is shown at each place. Exact.

    better[m] is the probability that the item is not shown yet and m better ones are left; before the first place m is the rank.
    """
    found = np.zeros(length)
    if not 0 <= rank < policy.pool:
        return found
    better = np.zeros(rank + 1)
    better[rank] = 1.0
    for place in range(min(length, policy.pool)):
        left = policy.pool - place
        found[place] = (1 - policy.epsilon) * better[0] + policy.epsilon * better.sum() / left
        m = np.arange(rank + 1)
        one_less = better * (np.where(m > 0, 1 - policy.epsilon, 0.0) + policy.epsilon * m / left)
        stays = better * policy.epsilon * (left - m - 1) / left
        better = np.maximum(stays, 0.0)
        better[:-1] += one_less[1:]
    return found
