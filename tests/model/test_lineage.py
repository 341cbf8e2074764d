"""Which versions carry what was erased, and where the next retraining starts: small trees of cards."""

from __future__ import annotations

import pytest

from feedback.errors import Conflict
from model.card import Card
from model.lineage import carries_erased, clean_parent

SEED = {1: Card(1, "t", ("a",))}


def line(*erased: int, length: int = 4) -> dict[int, Card]:
    """Return versions 1 to `length`, each started from the one before; `erased` learned from what an erasure removed."""
    return {
        n: Card(n, "t", ("a",), parent=n - 1 or None, kind="retrain" if n > 1 else "seed", erased=("e_1",) if n in erased else ())
        for n in range(1, length + 1)
    }


@pytest.mark.parametrize(
    ("erased", "parent"), [((), 4), ((4,), 3), ((3,), 2), ((2,), 1), ((2, 4), 1), ((3, 4), 2)], ids=str
)  # fmt: skip
def test_it_starts_from_the_newest_ancestor_that_carries_nothing_erased(erased: tuple[int, ...], parent: int) -> None:
    """What a version started from counts: a child of one that learned from it carries it too, whatever it learned itself."""
    assert clean_parent(4, line(*erased), ()) == parent


def test_what_a_child_carries() -> None:
    """Only what stands before it: its own children do not count."""
    assert [carries_erased(n, line(3), ()) for n in (1, 2, 3, 4)] == [False, False, True, True]


def test_a_version_that_is_gone_from_the_disk_counts_by_its_number() -> None:
    """The log's erasures name it; where the line breaks off there, the newest clean seed version takes its place."""
    cards = line(length=3)
    del cards[2]
    assert clean_parent(3, cards, ()) == 3
    assert clean_parent(3, cards, {2}) == 1
    assert carries_erased(3, cards, {2})


def test_without_any_clean_version_it_is_told() -> None:
    """Words that say what to do, and no retraining from what should be forgotten."""
    with pytest.raises(Conflict, match="no version is left"):
        clean_parent(1, SEED, {1})


def test_a_circle_of_parents_ends() -> None:
    """A card that a person edited cannot hang a retraining."""
    cards = {1: Card(1, "t", ("a",), parent=2), 2: Card(2, "t", ("a",), parent=1)}
    assert clean_parent(2, cards, ()) == 2
