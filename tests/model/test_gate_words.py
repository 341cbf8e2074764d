"""The gate's sentences in both languages, made anew from what a card holds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from feedback.records import Answer, Example
from feedback.words import Say, Words
from model.gate import NOTHING, Slice, run_gate
from model.gate_report import GateResult, gate_words
from model.task import task_type
from tests.conftest import ROOT

CATALOGUE = Words([Path(ROOT) / "model" / "words.toml"])


def part(before: Sequence[bool], after: Sequence[bool]) -> Slice:
    """Items of labels a and b in turn, which the two sides answer rightly or not."""
    examples = [Example(f"text {i}", {"label": "ab"[i % 2]}, contributor=f"u{i % 3}") for i in range(len(before))]
    sides = [
        [
            Answer(e.output if right else {"label": "ba"["ab".index(e.output["label"])]}, 0.9)
            for e, right in zip(examples, side, strict=True)
        ]
        for side in (before, after)
    ]
    return Slice(examples, *sides)


def rights(wrong: int, items: int) -> list[bool]:
    """The first `wrong` items are answered wrongly."""
    return [False] * wrong + [True] * (items - wrong)


def results() -> list[GateResult]:
    """Gates that between them say every sentence there is."""
    task = task_type("text_classification")(("a", "b", "c"))
    old, new = part(rights(60, 400), rights(50, 400)), part(rights(30, 60), rights(15, 60))
    rare = part(rights(2, 4), rights(2, 4))
    return [
        run_gate(
            task,
            old,
            new,
            {"latency_ms": (3.0, 4.0), "size_mb": (90.0, 90.0), "other": (1.0, 2.0)},
            gold=new,
            head=old,
            anchor=old,
        ),
        run_gate(task, old, part(rights(30, 60), rights(29, 60))),  # better by one item of sixty: undecided
        run_gate(task, old, part(rights(5, 900), rights(5, 900))),  # the slice would have seen it: failed
        run_gate(task, rare, part(rights(1, 3), rights(1, 3))),
        run_gate(task, NOTHING, NOTHING),
    ]


def test_every_sentence_is_said_in_both_languages() -> None:
    """All keys of the gate occur; English is what the card's `words` say, and Chinese holds Chinese and no English word."""
    said: set[str] = set()
    for result in results():
        card = json.loads(json.dumps(result.to_dict()))  # as it lies on the disk
        english = gate_words(card, CATALOGUE.speaker("en"))
        assert english == [
            *(f"{check['verdict']}: {check['words']}" for check in card["checks"]), *filter(None, [card["power_words"]])
        ]  # fmt: skip
        for line in gate_words(card, CATALOGUE.speaker("zh"), {"a": "甲", "b": "乙", "c": "丙"}.__getitem__):
            rest = re.sub(r"F1|p 值|McNemar|MB|other", "", line)
            assert not re.search(r"[A-Za-z]{2}", rest), line
        said |= {check["key"] for check in card["checks"]}
    assert said == {key for key in CATALOGUE.keys("en") if key.startswith("models.check.")}


def test_a_figure_is_the_same_in_both_languages() -> None:
    """60 wrong of 400 before, 50 after: +2.50 points, computed by hand; the Chinese line carries it too."""
    card = results()[0].to_dict()
    for language in ("en", "zh"):
        assert "+2.50" in gate_words(card, CATALOGUE.speaker(language))[0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_card_of_an_earlier_release_keeps_its_english_sentence(language: str) -> None:
    """Cards written before checks had keys are still read: their verdict is translated, their sentence stands as it was."""
    say: Say = CATALOGUE.speaker(language)
    old = {
        "verdict": "refused",
        "checks": [{"name": "gold", "verdict": "fail", "words": "Known truth: -9.00 points."}],
        "power": None,
    }
    (line,) = gate_words(old, say)
    assert line.endswith("Known truth: -9.00 points.")
    assert line.startswith(say("models.check_verdict.fail"))
