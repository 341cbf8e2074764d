"""The B-/I-/O scheme over words: spans to tags, and probabilities to the best valid runs. It registers no task.

Columns of a (words, 1 + 2 labels) table: O, B-first, I-first, B-second, I-second, ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def label_words(words: Sequence[tuple[int, int]], spans: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the tag of each word (start, end): B- of the first word that a span touches, I- of its others, O else."""
    tags = ["O"] * len(words)
    ordered = sorted(spans, key=lambda span: span["start"])
    at = 0
    for span in ordered:
        while at < len(words) and words[at][1] <= span["start"]:
            at += 1
        prefix = "B-"
        while at < len(words) and words[at][0] < span["end"]:
            tags[at] = prefix + span["label"]
            prefix = "I-"
            at += 1
    return tags


def decode_bio(probabilities: np.ndarray) -> list[tuple[int, int, int]]:
    """Return runs (first word, last word, label number) of the most probable valid tag sequence.

    Valid: I-X follows only B-X or I-X. Where each word's best tag is valid already that is the best sequence;
    otherwise it is searched for (Viterbi with forbidden transitions).
    """
    best = probabilities.argmax(axis=1)
    if not _valid(best):
        best = _viterbi(np.log(np.maximum(probabilities, 1e-30)))
    runs: list[tuple[int, int, int]] = []
    for word, tag in enumerate(best.tolist()):
        if tag == 0:
            continue
        label = (tag - 1) // 2
        if tag % 2 == 1:
            runs.append((word, word, label))
        else:
            first, _, _ = runs[-1]
            runs[-1] = (first, word, label)
    return runs


def _valid(tags: np.ndarray) -> bool:
    before = np.concatenate([[0], tags[:-1]])
    inside = (tags > 0) & (tags % 2 == 0)
    return bool(np.all(~inside | (before == tags) | (before == tags - 1)))


def _viterbi(scores: np.ndarray) -> np.ndarray:
    """Return the best valid tags for (words, tags) of log-probabilities."""
    size = scores.shape[1]
    tags = np.arange(size)
    inside = (tags > 0) & (tags % 2 == 0)
    allowed = ~inside[None, :] | (tags[:, None] == tags[None, :]) | (tags[:, None] == tags[None, :] - 1)
    penalty = np.where(allowed, 0.0, -np.inf)  # (from, to)
    state = np.where(inside, -np.inf, scores[0])
    back = np.zeros(scores.shape, dtype=np.int64)
    for word in range(1, len(scores)):
        through = state[:, None] + penalty
        back[word] = through.argmax(axis=0)
        state = through.max(axis=0) + scores[word]
    path = [int(state.argmax())]
    for word in range(len(scores) - 1, 0, -1):
        path.append(int(back[word, path[-1]]))
    return np.array(path[::-1])
