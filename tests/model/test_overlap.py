"""Texts that are there more than once: how alike the copies are, who learns from what judges, and who says otherwise."""

from __future__ import annotations

import json

from feedback.records import Example, Json, input_hash
from model.overlap import Group, as_json, counts, overlaps


def said(text: str, output: Json, correction: str = "") -> Example:
    """Return an example."""
    return Example(text, output, input_hash=input_hash(text), correction_id=correction)


def label(text: str, name: str = "a", correction: str = "") -> Example:
    """Return an example with one label."""
    return said(text, {"label": name}, correction)


def only(groups: list[Group]) -> Group:
    """Return the one group there is."""
    (group,) = groups
    return group


def test_copies_are_told_by_how_alike_they_are() -> None:
    """Letter for letter, up to case and white space, or nearly: the loosest sameness within a group names it."""
    train = [
        label("where is my new parcel"), label("where is my new parcel"),
        label("Please cancel the order"), label("please  cancel the ORDER"),
        label("i would like to return both of these black walking shoes before the end of June, please"),
        label("i would like to return both of those black walking shoes before the end of June, please"),
        label("nothing like the others at all"),
    ]  # fmt: skip
    groups = overlaps({"train": train})
    assert sorted((group.sameness, len(group.members)) for group in groups) == [("exact", 2), ("near", 2), ("normalised", 2)]
    assert counts(groups) == {
        "exact": 1, "normalised": 1, "near": 1, "leaks_left_out": 0, "leaks_learned": 0, "contradictions": 0,
    }  # fmt: skip


def test_a_copy_that_judges_is_no_leak_while_the_program_keeps_it_apart() -> None:
    """Equal up to case, the teaching copy is left out; nearly equal, it is learned, and such leaks come first."""
    parts = {
        "train": [
            label("Where is my parcel?"),
            label("i would like to return both of these black walking shoes before the end of June, please"),
        ],
        "test": [
            label("where is MY parcel?"),
            label("i would like to return both of those black walking shoes before the end of June, please"),
        ],
    }
    learned, kept_apart = overlaps(parts)
    assert (learned.leak, learned.sameness) == ("learned", "near")
    assert (kept_apart.leak, kept_apart.sameness) == ("left out", "normalised")


def test_feedback_leaks_too() -> None:
    """Accepted corrections are compared with what judges: the seed's test part, and the gate's own slice."""
    parts = {
        "test": [label("i would like to return both of those black walking shoes before the end of June, please")],
        "feedback": [
            label("i would like to return both of these black walking shoes before the end of June, please", correction="c_1")
        ],
        "gate": [
            label("i would like to return both of these black walking shoes before the end of June, please!", correction="c_2")
        ],
    }
    group = only(overlaps(parts))
    assert [member.part for member in group.members] == ["test", "feedback", "gate"]
    assert group.leak == "learned"


def test_validation_beside_test_is_no_leak() -> None:
    """Two parts that judge teach each other nothing."""
    assert only(overlaps({"validation": [label("the same words")], "test": [label("the same words")]})).leak == ""


def test_copies_that_are_answered_differently_contradict() -> None:
    """Only copies of the same words can: near-duplicates may well mean different things."""
    groups = overlaps({"train": [label("Cancel it", "a"), label("cancel it", "b")]})
    assert only(groups).contradicts
    near = [
        label("i would like to return both of these black walking shoes before the end of June, please", "a"),
        label("i would like to return both of those black walking shoes before the end of June, please", "b"),
    ]
    assert not only(overlaps({"train": near})).contradicts


def test_marks_are_compared_by_their_words() -> None:
    """White space moves offsets; the same words marked alike do not contradict."""
    one = said("He has  asthma", {"spans": [{"start": 8, "end": 14, "label": "D"}]})
    two = said("he has asthma", {"spans": [{"start": 7, "end": 13, "label": "D"}]})
    three = said("he has asthma", {"spans": []})
    assert not only(overlaps({"train": [one, two]})).contradicts
    assert only(overlaps({"train": [one, three]})).contradicts


def test_words_of_contributors_are_not_shown() -> None:
    """In JSON an accepted correction is named by its id; the owner's own examples are shown."""
    groups = overlaps({"train": [label("my secret words")], "gate": [label("My secret words", correction="c_1")]})
    shown = as_json(only(groups))
    assert [member["input"] for member in shown["members"]] == ["my secret words", ""]
    assert shown["members"][1]["correction_id"] == "c_1"
    json.dumps(shown)
