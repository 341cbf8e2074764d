"""How far what visitors write is from what the champion learned: distance of embeddings to the training set, and words unknown to it.

A text's distance is one minus the cosine to the nearest training text, by the frozen base. The seed's validation part, which nobody
trained on, says how far texts of the known domain are: FAR is the distance that one in twenty of them exceeds. Of a block of visitors'
texts one in twenty should exceed it too; drift is when, with 99.9 % certainty, more than SHARE of them do (Clopper-Pearson).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from feedback.demo import Demo
from feedback.of_visitors import OF_VISITORS
from feedback.records import text_of
from feedback.store import Store
from model.data import load_seed
from model.embedding import Embedder, embedder
from model.scratch import base_of
from model.tasks.text import notes_on

BLOCK = 100
"""Different texts of visitors that are judged together, the newest whole block of them."""
SHARE = 0.2
"""Four times what is usual; a smaller share is no matter."""
LEVEL = 0.001
TAUGHT = 2000
"""Training texts that are embedded at most: a sample of more, evenly."""
FEWEST = 40
"""Validation texts without which nothing is said."""
FAR_LEVEL = 0.95

_TEXTS = f"""
SELECT input::VARCHAR AS input, created FROM (
    SELECT input_hash, any_value(input) AS input, min(created) AS created FROM predictions
    WHERE {OF_VISITORS} AND input IS NOT NULL GROUP BY input_hash) ORDER BY created DESC LIMIT ?
"""
_COUNT = f"SELECT count(DISTINCT input_hash) AS n FROM predictions WHERE {OF_VISITORS}"


class Drift(NamedTuple):
    """A block of visitors' texts: the share farther than FAR from the training set, and the share with unknown words, each with its
    lower bound at 99.9 %; `usual_unknown`: the share with unknown words in the validation part."""

    texts: int
    far: float
    far_bound: float
    unknown: float
    unknown_bound: float
    usual_unknown: float

    @property
    def drifted(self) -> bool:
        """Whether texts are far from the training set more often than is usual."""
        return self.far_bound > SHARE

    @property
    def unread(self) -> bool:
        """Whether texts hold unknown words more often than is usual."""
        return self.unknown_bound > self.usual_unknown + SHARE - 0.05


class Reference(NamedTuple):
    """The known domain: training vectors (texts, width), the distance FAR, and the share of validation texts with unknown words."""

    taught: np.ndarray
    far: float
    unknown: float


class InputDrift:
    """Measures the newest whole block of visitors' texts, once a block. For tasks whose inputs are texts. Safe from many threads."""

    def __init__(self, demo: Demo, store: Store, read: Callable[[str], object]) -> None:
        self._demo = demo
        self._store = store
        self._read = read  # JSON text to the input
        self._lock = threading.Lock()
        self._known: Reference | None = None
        self._embedder: Embedder | None = None
        self._said: tuple[int, Drift | None] = (-1, None)

    def now(self) -> Drift | None:
        """Return the newest whole block's drift; None before there is one, or where the seed is too small to say."""
        with self._lock:
            blocks = int(self._store.rows(_COUNT)[0]["n"]) // BLOCK
            if blocks == 0 or blocks == self._said[0]:
                return self._said[1]
            found = [text_of(self._read(row["input"])) for row in self._store.rows(_TEXTS, [BLOCK])]
            self._said = (blocks, self.of(found))
            return self._said[1]

    def of(self, texts: Sequence[str]) -> Drift | None:
        """Return the drift of some texts; None where the seed is too small to say."""
        known = self._reference()
        if known is None or self._embedder is None:
            return None
        far = int((distances(self._embedder.once(texts), known.taught) > known.far).sum())
        lost = sum(_unread(self._embedder, texts))
        return Drift(
            len(texts), far / len(texts), lower(far, len(texts)), lost / len(texts), lower(lost, len(texts)), known.unknown
        )

    def _reference(self) -> Reference | None:
        if self._known is None:
            _, seed = load_seed(self._demo)
            if len(seed.validation) < FEWEST or not seed.train:
                return None
            self._embedder = embedder(base_of(self._demo))
            step = -(-len(seed.train) // TAUGHT)
            taught = self._embedder.once([text_of(e.input) for e in seed.train[::step]])
            held = [text_of(e.input) for e in seed.validation]
            far = float(np.quantile(distances(self._embedder.once(held), taught), FAR_LEVEL))
            self._known = Reference(taught, far, sum(_unread(self._embedder, held)) / len(held))
        return self._known


def distances(vectors: np.ndarray, taught: np.ndarray) -> np.ndarray:
    """Return one minus the cosine to the nearest taught vector, (texts,), of unit vectors."""
    return np.asarray(1 - (vectors @ taught.T).max(axis=1))


def lower(hits: int, of: int) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a share at 1 - LEVEL."""
    return float(beta.ppf(LEVEL, hits, of - hits + 1)) if hits else 0.0


def _unread(base: Embedder, asked: Sequence[str]) -> list[bool]:
    """Return of each text whether so many of its words are unknown to the base that an answer would carry the note on it."""
    return [bool(notes_on(encoded)) for encoded in base.encodings(asked)]
