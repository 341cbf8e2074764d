"""The ledger of the gate's uses, and the list of what got worse: from log and card to the page's words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from feedback.records import TrainingRun, Use
from feedback.store import Store
from feedback.words import Words
from model.card import Card
from model.ledger import MANY, ledger_of
from model.shown import Shown
from tests.conftest import ROOT

GATE: dict[str, Any] = {
    "verdict": "refused",
    "checks": [],
    "scores": {"old": {"items": 85.0}, "feedback": {"items": 3.0}},
    "worse": [
        {
            "input": "gout \U0001f600 and mumps",
            "truth": {"spans": [{"start": 0, "end": 4, "label": "Disease"}, {"start": 11, "end": 16, "label": "Disease"}]},
            "before": {"spans": [{"start": 11, "end": 16, "label": "Disease"}]},
            "after": {"spans": []},
        }
    ],
}


def shown_rounds(**asked: Any) -> Any:
    """Return what the page asks of a retrainer, its rounds and its offering: one namespace stands for all three."""
    all_three = SimpleNamespace(**asked)
    all_three.rounds = all_three.offering = all_three
    return all_three


def card(number: int, gate: dict[str, Any] | None = GATE) -> Card:
    """Return a card that some gate judged."""
    return Card(number=number, task="token_classification", labels=("Disease",), gate=gate, champion_version=1)


def ended(store: Store, number: int, corrections: tuple[str, ...], state: Any = "refused") -> None:
    """Store the end of a gate, and the items that judged."""
    store.add(
        TrainingRun(f"t{number}", state, "s", 1, number, "count", "policy:count"),
        *(Use(correction, number, "s", "gate") for correction in corrections),
    )


def test_uses_and_fresh_items_are_counted(store: Store) -> None:
    """Two gates and a failed training: two uses; an item that judged an earlier version is not fresh."""
    ended(store, 2, ("c1", "c2"))
    store.add(TrainingRun("tx", "failed", "s", 1, None, "count", "policy:count"))
    ended(store, 3, ("c1", "c2", "c3"))
    first, second = ledger_of(store, card(2)), ledger_of(store, card(3))
    assert first is not None
    assert second is not None
    assert (first.uses, first.fresh) == (1, 2)
    assert (second.uses, second.old_items, second.feedback_items, second.fresh) == (2, 85, 3, 1)
    assert ledger_of(store, card(1, gate=None)) is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_tells_uses_wear_and_what_got_worse(store: Store, language: str) -> None:
    """The number of uses is in the words, from MANY on with a warning; the list shows spans as their words."""
    for number in range(2, 2 + MANY):
        ended(store, number, ("c1",))
    rooms = shown_rounds(ledger=lambda c: ledger_of(store, c), weighing=lambda c: {})
    versions = SimpleNamespace(card=card)
    say = Words([Path(ROOT) / "model" / "words.toml"]).speaker(language)
    shown = Shown(say, rooms, SimpleNamespace(), versions)  # type: ignore[arg-type]
    before, worn = shown.gate(MANY), shown.gate(MANY + 1)
    assert f"{MANY - 1}" in before
    assert len(worn.splitlines()) == len(before.splitlines()) + 1
    (row,) = shown.worse(2).to_numpy().tolist()
    assert row == ["gout \U0001f600 and mumps", "Disease: gout; Disease: mumps", "Disease: mumps", "–"]
    assert shown.worse(None).empty


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_says_that_few_contributors_cannot_be_capped(store: Store, language: str) -> None:
    """Three contributors of twenty: in the overview before a round, and under a version that such a round made."""
    told = {
        "weight": 5.5, "before": 9.0, "alike": 2, "contributors": 3, "needed": 20, "few_contributors": True, "met": False,
        "scaled": 1, "over": [{"kind": "contributor", "share": 0.4, "cap": 0.05}, {"kind": "contributor", "share": 0.3, "cap": 0.05}],
    }  # fmt: skip
    rooms = shown_rounds(
        ledger=lambda c: None,
        weighing=lambda c: told,
        waiting=lambda: None,
        feedback=lambda: (9, 9),
        believed_contributors=lambda: (3, 20),
        last_delivery=lambda: None,
    )
    versions = SimpleNamespace(card=card, problems=list)
    say = Words([Path(ROOT) / "model" / "words.toml"]).speaker(language)
    shown = Shown(say, rooms, SimpleNamespace(champion=1, current=None), versions)  # type: ignore[arg-type]
    assert say("models.few_contributors", count=3, needed=20) in shown.overview().splitlines()
    lines = shown.gate(2).splitlines()
    assert say("models.round_few", count=3, needed=20) in lines
    assert [line for line in lines if "40" in line] == [say("models.over.contributor", share=0.4, cap=0.05)]
    assert any("5.5" in line and "9" in line for line in lines)
