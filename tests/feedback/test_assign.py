"""Assignment: GrowthBook's published bucketing cases, and what they do not cover."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedback import assign
from tests.conftest import SHARED

CASES = SHARED / "oracles" / "ab" / "growthbook_bucketing.json"


def cases(section: str) -> list[Any]:
    """Return a section of the published cases, or skip where they are absent."""
    if not CASES.exists():
        pytest.skip(f"{CASES} is absent: the published cases are not copied into the project")
    found: list[Any] = json.loads(CASES.read_text(encoding="utf-8"))[section]
    return found


def test_hashes_equal_the_published_ones() -> None:
    """place() gives the published value for every published (seed, unit, version); None for an unknown version."""
    for seed, unit, version, expected in cases("hash"):
        assert assign.place(seed, unit, version) == expected


def test_ranges_equal_the_published_ones() -> None:
    """ranges() gives the published pieces for weights, coverage and their mistakes."""
    for name, (arms, coverage, weights), expected in cases("getBucketRange"):
        for got, wanted in zip(assign.ranges(arms, coverage, weights), expected, strict=True):
            assert got == pytest.approx(tuple(wanted)), name


def test_choices_equal_the_published_ones() -> None:
    """choose() gives the published index, -1 outside of every piece."""
    for name, place, pieces, expected in cases("chooseVariation"):
        assert assign.choose(place, [tuple(piece) for piece in pieces]) == expected, name


def test_equal_weights_equal_the_published_ones() -> None:
    """equal_weights() gives 1/n each, and none below one arm."""
    for arms, expected in cases("getEqualWeights"):
        assert assign.equal_weights(arms) == pytest.approx(expected, abs=1e-8)


def test_whole_runs_equal_the_published_ones() -> None:
    """hash, ranges and choice together give the published variation for every plain run (hash version 1)."""
    ran = 0
    for _, context, experiment, variation, in_experiment, hash_used in cases("run"):
        plain = set(experiment) <= {"key", "variations", "weights", "coverage"} and set(context) == {"attributes"}
        if not (plain and hash_used and in_experiment):
            continue
        arms = len(experiment["variations"])
        pieces = assign.ranges(arms, experiment.get("coverage", 1), experiment.get("weights"))
        place = assign.place(experiment["key"], context["attributes"]["id"], 1)
        assert place is not None
        assert experiment["variations"][assign.choose(place, pieces)] == variation
        ran += 1
    assert ran >= 10


def test_neighbouring_experiments_are_independent() -> None:
    """With version 2 the same 4,000 units split independently in two experiments (chi-square with 1 df under 10.8, p = .001)."""
    pieces = assign.ranges(2)
    table = [[0, 0], [0, 0]]
    for unit in range(4000):
        one, two = (assign.choose(assign.place(salt, f"u_{unit}") or 0.0, pieces) for salt in ("exp-1", "exp-2"))
        table[one][two] += 1
    row, column = [sum(line) for line in table], [sum(line) for line in zip(*table, strict=True)]
    chi2 = sum((table[i][j] - row[i] * column[j] / 4000) ** 2 / (row[i] * column[j] / 4000) for i in (0, 1) for j in (0, 1))
    assert chi2 < 10.83  # chi-square quantile .999 with one degree of freedom, any table of it


def test_coverage_moves_nobody() -> None:
    """Whoever is in at 20 % coverage keeps the variant at 100 %."""
    small, whole = assign.ranges(2, 0.2), assign.ranges(2, 1.0)
    for unit in range(500):
        place = assign.place("s", str(unit)) or 0.0
        before = assign.choose(place, small)
        assert before in (-1, assign.choose(place, whole))
