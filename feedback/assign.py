"""(experiment, unit) -> variant, by a pure hash. No state, no log: experiments.py remembers who was exposed.

The rule is GrowthBook's bucketing, hash version 2 (FNV-1a nested twice): version 1 gave dependent assignments in
19 of 20 neighbouring experiments. Its published cases are the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

Range = tuple[float, float]
"""A half-open piece [start, end) of 0..1."""


def _fnv1a(text: str) -> int:
    """Return the 32-bit FNV-1a hash of the text's UTF-8 bytes (Fowler, Noll, Vo)."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def place(seed: str, unit: str, hash_version: int = 2) -> float | None:
    """Return the unit's place in 0..1 under a seed, in steps of .0001 (version 2) or .001 (version 1).

    None for a hash version that does not exist.
    """
    if hash_version == 1:
        return _fnv1a(unit + seed) % 1000 / 1000
    if hash_version == 2:
        return _fnv1a(str(_fnv1a(seed + unit))) % 10000 / 10000
    return None


def equal_weights(arms: int) -> list[float]:
    """Return `arms` equal shares; none for a number below 1."""
    return [1 / arms] * arms if arms >= 1 else []


def ranges(arms: int, coverage: float = 1.0, weights: Sequence[float] | None = None) -> list[Range]:
    """Return each arm's piece of 0..1. `coverage` (clamped to 0..1) shrinks each piece in place, so that a ramp moves nobody.

    Weights of the wrong number, or whose sum is not 1 within .01, give way to equal shares; callers that
    take weights from people check them first (experiments.py does).
    """
    coverage = min(max(coverage, 0.0), 1.0)
    if weights is None or len(weights) != arms or not 0.99 <= sum(weights) <= 1.01:
        weights = equal_weights(arms)
    pieces: list[Range] = []
    start = 0.0
    for weight in weights:
        pieces.append((start, start + coverage * weight))
        start += weight
    return pieces


def choose(place_: float, pieces: Sequence[Range]) -> int:
    """Return the index of the piece that holds the place, or -1: the unit is not in the experiment."""
    for index, (start, end) in enumerate(pieces):
        if start <= place_ < end:
            return index
    return -1
