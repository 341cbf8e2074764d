"""Texts that are nearly the same, and their counting once. It judges no label.

Two texts are near-duplicates when they are equal without digits, punctuation, case and white space, or when at least 80 % of
their 5-letter shingles are shared (Jaccard). Candidates for the latter come from MinHash signatures in bands (Broder 1997;
Leskovec et al., Mining of Massive Datasets, 3.4): 32 hashes in 8 bands of 4, which finds 98 % of the pairs at 80 %.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

from feedback.errors import BadInput
from feedback.records import normalised

_NOT_A_LETTER = re.compile(r"[\W\d_]+")
_BANDS, _ROWS, _SHINGLE, _ALIKE = 8, 4, 5, 0.8


def bare(text: str) -> str:
    """Return the text's letters alone, normalised; the normalised text where it has none."""
    return _NOT_A_LETTER.sub("", normalised(text)) or normalised(text)


def duplicate_groups(texts: Sequence[str]) -> list[int]:
    """Return for each text the index of the first text that it is a near-duplicate of, directly or through others."""
    first: dict[str, int] = {}
    group = [first.setdefault(bare(text), index) for index, text in enumerate(texts)]
    shingles = {index: _shingles(name) for name, index in first.items()}
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for index, own in shingles.items():
        signature = _signature(own)
        for band in range(_BANDS):
            buckets.setdefault((band, signature[band * _ROWS : (band + 1) * _ROWS].tobytes()), []).append(index)
    root = {index: index for index in shingles}
    for alike in buckets.values():
        for other in alike[1:]:
            if _root(root, alike[0]) != _root(root, other) and _jaccard(shingles[alike[0]], shingles[other]) >= _ALIKE:
                one, two = sorted((_root(root, alike[0]), _root(root, other)))
                root[two] = one
    return [_root(root, index) for index in group]


def count_once(weights: Sequence[float], groups: Sequence[int], reviewed: Sequence[bool] | None = None) -> list[float]:
    """Return weights such that each group weighs together as much as its heaviest member does.

    reviewed: who keeps their weight whatever the others are; beside one of them the others of the group weigh only what is left.
    """
    keeps = list(reviewed) if reviewed is not None else [False] * len(weights)
    if not len(weights) == len(groups) == len(keeps):
        raise BadInput(f"{len(weights)} weights, {len(groups)} groups, {len(keeps)} reviewed: as many of each are needed")
    heaviest: dict[int, float] = {}
    fixed: dict[int, float] = {}
    shared: dict[int, float] = {}
    for weight, group, keep in zip(weights, groups, keeps, strict=True):
        heaviest[group] = max(heaviest.get(group, 0.0), weight)
        part = fixed if keep else shared
        part[group] = part.get(group, 0.0) + weight
    left = {g: max(0.0, heaviest[g] - fixed.get(g, 0.0)) / total if total else 0.0 for g, total in shared.items()}
    return [w if keep else w * min(1.0, left[g]) for w, g, keep in zip(weights, groups, keeps, strict=True)]


def _root(root: dict[int, int], index: int) -> int:
    while root[index] != index:
        index = root[index]
    return index


def _shingles(name: str) -> frozenset[int]:
    pieces = {name[i : i + _SHINGLE] for i in range(max(1, len(name) - _SHINGLE + 1))}
    return frozenset(zlib.crc32(piece.encode()) for piece in pieces)


def _signature(shingles: frozenset[int]) -> np.ndarray:
    """Return the MinHash signature (hashes,): multiply-shift hashing with fixed odd factors."""
    values = np.fromiter(shingles, dtype=np.uint64, count=len(shingles))
    return np.asarray(((values[:, None] * _FACTORS + _OFFSETS) >> np.uint64(32)).min(axis=0))


def _jaccard(one: frozenset[int], two: frozenset[int]) -> float:
    return len(one & two) / len(one | two)


_RANDOM = np.random.default_rng(20_240_601)
_FACTORS = _RANDOM.integers(1, 2**63, _BANDS * _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _RANDOM.integers(0, 2**63, _BANDS * _ROWS, dtype=np.uint64)
