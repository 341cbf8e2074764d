"""What speaks for an item: others' behaviour, its text, its popularity. Each signal scores every item for many people; none is weighed here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from model.ranking.visits import Visit, deeds_by_user

SIGNALS = ("neighbours", "factors", "text", "popularity", "asked")
"""neighbours, factors: those who liked what you liked; text: like what you liked, by its words; asked: like what you wrote."""
LEAST_SUPPORT = 2
"""An item that fewer people liked or clicked has no neighbours of its own; its text speaks for it."""
SHARPNESS = 8.0
"""How fast likeness of texts falls off: exp(SHARPNESS (cosine - 1))."""
DAMPING = 0.25
"""Popular items are divided by popularity ** DAMPING before factors are sought."""
LEAST_SPREAD = 1e-5
PRIOR_LOOKS = 10.0
"""An item's rate of likes is drawn to the mean as by this many looks at it."""


def supported(likes: sparse.csr_matrix) -> np.ndarray:
    """Return the items (w,) that enough people liked to have neighbours."""
    return np.flatnonzero(np.asarray((likes > 0).sum(axis=0)).ravel() >= LEAST_SUPPORT)


def neighbours(likes: sparse.csr_matrix, ridge: float) -> np.ndarray:
    """Return (w, w) over the supported items: [i, j] is how much liking i speaks for j. The diagonal is 0.

    EASE (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019): B = I - P / diag(P) by columns, where
    P = (X'X + ridge I)^-1. With fewer people than items the same P comes by Woodbury's identity from a matrix of people.
    """
    x = likes[:, supported(likes)].toarray().astype(np.float32)
    people, items = x.shape
    if not items:
        return np.zeros((0, 0), dtype=np.float32)
    if people < items:
        inner = (x @ x.T).astype(np.float64)
        inner[np.diag_indices(people)] += ridge
        within = np.linalg.solve(inner, x).astype(np.float32)  # (people, items)
        b = x.T @ within
        diagonal = 1.0 - np.diag(b)  # of ridge P; off it, ridge P is -b
    else:
        gram = (x.T @ x).astype(np.float64)
        gram[np.diag_indices(items)] += ridge
        inverse = np.linalg.inv(gram)
        b, diagonal = -inverse, np.diag(inverse).copy()
    b = np.asarray(b / diagonal[None, :], dtype=np.float32)
    np.fill_diagonal(b, 0.0)
    return b


def factors(likes: sparse.csr_matrix, count: int, seed: int) -> np.ndarray:
    """Return (count, items): v such that v'v x is the truncated singular value decomposition's view of likes x (PureSVD).

    Cremonesi, Koren, Turrin, "Performance of recommender algorithms on top-n recommendation tasks", RecSys 2010. `count` is
    lowered to what the matrix has.
    """
    popular = np.maximum(np.asarray(likes.sum(axis=0)).ravel(), 1.0)
    damped = (likes @ sparse.diags(popular**-DAMPING)).astype(np.float64)
    count = min(count, min(damped.shape) - 1)
    if count < 1 or damped.nnz == 0:
        return np.zeros((0, likes.shape[1]), dtype=np.float32)
    _, _, found = svds(damped, k=count, v0=np.random.default_rng(seed).normal(size=min(damped.shape)))
    return np.asarray(found, dtype=np.float32)


def damping(likes: sparse.csr_matrix) -> np.ndarray:
    """Return (items,): what a profile is multiplied with before `factors` see it."""
    return np.asarray(np.maximum(np.asarray(likes.sum(axis=0)).ravel(), 1.0) ** -DAMPING, dtype=np.float32)


def popularity(visits: Sequence[Visit], items: int, looked: np.ndarray) -> np.ndarray:
    """Return (items,): the logarithm of each item's rate of likes a look, drawn to the mean rate where looks are few.

    In a list an item is looked at with the probability of its place, `looked` (places,): likes over expected looks estimate the
    rate once it is seen, whatever the order was. Whoever came without lists is taken to have had a look at everything, once.
    """
    likes, looks = np.zeros(items), np.zeros(items)
    listed = {visit.user for visit in visits if visit.shown}
    for visit in visits:
        for place, item in enumerate(visit.shown):
            looks[item] += visit.weight * looked[min(place, len(looked) - 1)]
        if visit.shown:
            np.add.at(likes, [i for i in visit.liked if i in set(visit.shown)], visit.weight)
    for user, deeds in deeds_by_user(visits).items():
        if user not in listed:
            looks += 1.0
            np.add.at(likes, [item for item, did in deeds.items() if did == "liked"], 1.0)
    mean = (likes.sum() + 1.0) / (looks.sum() + items)
    return np.asarray(np.log((likes + PRIOR_LOOKS * mean) / (looks + PRIOR_LOOKS)), dtype=np.float32)


def alike(texts: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (texts, others): how alike two texts are, in 0..1. Rows are unit vectors."""
    return np.asarray(np.exp(SHARPNESS * (texts @ others.T - 1.0)), dtype=np.float32)


def standard(scores: np.ndarray, open_: np.ndarray) -> np.ndarray:
    """Return the scores (people, items) with mean 0 and spread 1 over each person's open items; 0 where they are closed, or all the same.

    A spread below LEAST_SPREAD is rounding: made 1, it would outvote every signal that says something.
    """
    count = np.maximum(open_.sum(axis=1, keepdims=True), 1)
    centred = np.where(open_, scores - np.where(open_, scores, 0.0).sum(axis=1, keepdims=True) / count, 0.0)
    spread = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    return np.asarray(centred / np.where(spread > LEAST_SPREAD, spread, np.inf), dtype=np.float32)
