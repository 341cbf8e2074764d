"""Which versions carry what was erased, and where a retraining may start instead. It reads cards; it trains and marks nothing.

A version carries what it learned from itself, and what the version carries whose weights it started from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from feedback.errors import Conflict
from model.card import Card


def carries_erased(number: int, cards: Mapping[int, Card], erased: Collection[int]) -> bool:
    """Return whether a version, or any that it descends from, learned from something that was erased since.

    `erased`: numbers of the versions that erasures name, those whose directory is gone included.
    """
    return any(one in erased or (one in cards and bool(cards[one].erased)) for one in line(number, cards))


def clean_parent(champion: int, cards: Mapping[int, Card], erased: Collection[int]) -> int:
    """Return the champion, or its newest ancestor that carries nothing erased; where no ancestor is left, the newest seed version.

    Raises Conflict where there is none of these.
    """
    for number in line(champion, cards):
        if number in cards and not carries_erased(number, cards, erased):
            return number
    seeds = [number for number, card in cards.items() if card.kind == "seed" and not carries_erased(number, cards, erased)]
    if not seeds:
        raise Conflict(
            f"version {champion} learned from feedback that was erased since, and no version is left that did not and from which a "
            "retraining could start: register one (python -m model.train, then python -m model.versions add)"
        )
    return max(seeds)


def line(number: int, cards: Mapping[int, Card]) -> list[int]:
    """Return a version and those it descends from, the newest first; the last one may be gone from the disk."""
    line = [number]
    while line[-1] in cards:
        parent = cards[line[-1]].parent
        if parent is None or parent in line:
            break
        line.append(parent)
    return line
