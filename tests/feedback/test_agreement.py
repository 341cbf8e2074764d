"""How far people agree: alpha against published and foreign numbers, F1 by its definition."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from feedback.agreement import agreement, krippendorff_alpha, marks_of, pairwise_f1
from feedback.records import Json

PUBLISHED = [  # twelve units, four observers, as given in C. of the paper; "" where an observer said nothing
    ["1", "1", "", "1"], ["2", "2", "3", "2"], ["3", "3", "3", "3"], ["3", "3", "3", "3"], ["2", "2", "2", "2"], ["1", "2", "3", "4"],
    ["4", "4", "4", "4"], ["1", "1", "2", "1"], ["2", "2", "2", "2"], ["", "5", "5", "5"], ["", "", "1", "1"], ["", "", "3", ""],
]  # fmt: skip


def given(units: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the units without what was not said."""
    return [[value for value in unit if value] for unit in units]


def made(units: int, seed: int) -> list[list[str]]:
    """Return units of one to five people who say a, b or c, alike seven times of ten."""
    random = Random(seed)
    truth = [random.choice("aabc") for _ in range(units)]
    return [[one if random.random() < 0.7 else random.choice("abc") for _ in range(random.randint(1, 5))] for one in truth]


def test_alpha_of_the_paper() -> None:
    """0.743 for the example with missing data (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, part C)."""
    assert krippendorff_alpha(given(PUBLISHED)) == pytest.approx(0.743, abs=5e-4)


@pytest.mark.parametrize(("seed", "expected"), [(1, 0.457086811091), (2, 0.411229484595)])
def test_alpha_of_another_library(seed: int, expected: float) -> None:
    """The nominal alpha of the package krippendorff 0.9.0 (`krippendorff.alpha(value_counts=...)`) for the same made data."""
    assert krippendorff_alpha(made(200, seed)) == pytest.approx(expected, abs=1e-9)


def test_alpha_at_its_ends() -> None:
    """1 where all agree, below 0 where they differ more than by chance, none where nothing could differ or was said twice."""
    assert krippendorff_alpha([["a", "a"], ["b", "b"]]) == 1
    value = krippendorff_alpha([["a", "b"], ["b", "a"]])
    assert value is not None
    assert value < 0
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]) is None
    assert krippendorff_alpha([["a"], []]) is None


def test_alpha_by_label_is_alpha_of_that_label_against_the_rest() -> None:
    """For every label the table holds what alpha gives for yes and no; texts and times are counted by hand."""
    units = made(60, 3)
    rows = {row.label: row for row in agreement([[{"label": label} for label in unit] for unit in units])}
    assert set(rows) == {"", "a", "b", "c"}
    judged = [unit for unit in units if len(unit) > 1]
    assert rows[""].value == krippendorff_alpha(units)
    for label in "abc":
        binary = krippendorff_alpha([[one == label for one in unit] for unit in units])
        assert rows[label].value == pytest.approx(binary)
        assert (rows[label].texts, rows[label].said) == (
            sum(label in unit for unit in judged),
            sum(unit.count(label) for unit in judged),
        )


def spans(*parts: tuple[int, int, str]) -> Json:
    """Return an output with these marks."""
    return {"spans": [{"start": start, "end": end, "label": label} for start, end, label in parts]}


def test_f1_of_two_is_its_definition() -> None:
    """2 |A and B| / (|A| + |B|): one of A's two and B's three marks is alike, so 2 / 5; a confidence changes no mark."""
    one, other = spans((0, 3, "x"), (5, 9, "y")), spans((0, 3, "x"), (5, 8, "y"), (10, 12, "x"))
    one["spans"][0]["confidence"] = 0.5
    assert pairwise_f1([[marks_of(one), marks_of(other)]]) == pytest.approx(2 / 5)
    rows = {row.label: (row.value, row.texts, row.said) for row in agreement([[one, other]])}
    assert rows == {"": (2 / 5, 1, 5), "x": (2 / 3, 1, 3), "y": (0, 1, 2)}


def test_f1_counts_each_person_once() -> None:
    """Three people, two alike: of three pairs one agrees; by hand 2 * 1 / ((1 + 1 + 1) * 2) = 1/3, and unmarked texts add nothing."""
    same, other = spans((0, 1, "x")), spans((4, 5, "x"))
    marks = [[marks_of(output) for output in (same, same, other)], [marks_of(spans()), marks_of(spans())]]
    assert pairwise_f1(marks) == pytest.approx(1 / 3)
    assert pairwise_f1([[marks_of(spans()), marks_of(spans())]]) is None


def test_what_one_person_judged_tells_nothing() -> None:
    """Without a text that two people judged there is no table."""
    assert agreement([]) == []
    assert agreement([[{"label": "a"}], [{"label": "b"}]]) == []
