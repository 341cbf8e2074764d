"""What the browser may send of a ranked list and of what a person did before."""

from __future__ import annotations

from typing import Any

import pytest

from feedback.duplicates import duplicate_groups
from feedback.errors import BadInput
from feedback.records import text_of
from feedback.widgets import form_named, widget_named


def test_a_list_is_rebuilt() -> None:
    """What the widget needs comes through, and nothing else does."""
    sent = {"items": ["b", "a"], "liked": ["a"], "shown": ["a", "b"], "ranks": [0, 3], "policy": [0.1, 40], "cards": {"a": {}}}
    assert widget_named("ranking").read(sent, ()) == {
        "items": ["b", "a"], "liked": ["a"], "dismissed": [], "shown": ["a", "b"], "ranks": [0, 3], "policy": [0.1, 40],
    }  # fmt: skip
    assert widget_named("ranking").read({"items": []}, ()) == {"items": [], "liked": [], "dismissed": []}


@pytest.mark.parametrize(
    "sent",
    [
        None,
        {},
        {"items": "ab"},
        {"items": [1]},
        {"items": ["a"] * 101},
        {"items": ["a"], "liked": None},
        {"items": ["a"], "ranks": ["0"], "policy": [0.1, 40]},
        {"items": ["a"], "ranks": [0]},
        {"items": ["a"], "ranks": [True], "policy": [0.1, 40]},
    ],
)
def test_another_shape_is_refused(sent: Any) -> None:
    """Whatever a browser may send instead is refused in words."""
    with pytest.raises(BadInput):
        widget_named("ranking").read(sent, ())


def test_a_history_is_cut_to_the_newest() -> None:
    """Of more deeds than are read the newest stay; a text alone is an interest."""
    deeds = [{"item": str(n), "did": "liked"} for n in range(250)]
    read = form_named("interest").read({"text": "", "history": deeds, "visit": "v"})
    assert [read["history"][0]["item"], read["history"][-1]["item"]] == ["50", "249"]
    assert form_named("interest").read("boats") == {"text": "boats", "history": []}
    for bad in (None, 3, {"text": "x"}, {"text": "x", "history": {}, "visit": ""}):
        with pytest.raises(BadInput):
            form_named("interest").read(bad)


def test_two_lists_are_no_near_duplicates() -> None:
    """Two people with the same history are two: the page's names of visits keep their lists apart where words would not."""
    history = [{"item": f"bake-{n}", "did": "liked"} for n in range(10)]
    visits = ("qzjwmxkvbyhdtrfplgncsaeioukwqzjx", "bdhvnrmwtyqkcflsgzpxjaeouiqhrbtm")
    texts = [text_of({"text": "", "history": history, "visit": visit}) for visit in visits]
    assert duplicate_groups(texts) == [0, 1]
    assert duplicate_groups([text_of({"text": "", "history": history})] * 2) == [0, 0]
