"""How good a ranking is, against what is known to be liked. Binary gains; it compares nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np


def ndcg(ranking: Sequence[object], liked: Collection[object], k: int) -> float:
    """Return the normalised discounted cumulative gain at k, in 0..1: gains 1 for a liked item, discounts 1/log2(place + 1).

    Jaervelin and Kekaelaeinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002. 0 where nothing is liked.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    gains = np.asarray([item in liked for item in ranking[:k]], dtype=float)
    best = discounts[: min(k, len(liked))].sum()
    return float((gains * discounts[: len(gains)]).sum() / best) if best else 0.0


def recall(ranking: Sequence[object], liked: Collection[object], k: int) -> float:
    """Return the share of the liked items that are among the first k, in 0..1; 0 where nothing is liked."""
    return sum(item in liked for item in ranking[:k]) / len(liked) if liked else 0.0
