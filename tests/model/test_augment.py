"""Made-up examples: their labels stay right, their offsets hold, and none is a text that judges."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.demo import Demo
from feedback.records import Example, input_hash
from model import augment
from model.augment import Edit, augmented, edited
from model.data import load_seed
from model.job import Job
from model.making import run_job
from model.parts import parts_of
from model.progress import Progress
from model.task import task_type

MENTIONS = {"Disease": ("asthma", "type 2 diabetes", "naïve 😀 croup"), "Drug": ("aspirin", "metformin")}


def _example(disease: str, drug: str, number: int = 0, weight: float = 1.0) -> Example:
    text = f"{disease} was treated in case {number} with {drug}, which helped."
    spans = [
        {"start": 0, "end": len(disease), "label": "Disease"},
        {"start": text.index(drug, len(disease)), "end": text.index(drug, len(disease)) + len(drug), "label": "Drug"},
    ]
    return Example(text, {"spans": spans}, weight, input_hash=input_hash(text))


EXAMPLES = [_example(one, two, i) for i, (one, two) in enumerate((a, b) for a in MENTIONS["Disease"] for b in MENTIONS["Drug"])]


@pytest.fixture
def _no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "TYPO", 0.0)
    monkeypatch.setattr(augment, "CASE", 0.0)


@pytest.mark.usefixtures("_no_noise")
def test_a_mention_becomes_another_of_its_label() -> None:
    """Every span of every made-up example covers a mention of its own label, at the start of a sentence with a capital."""
    made = augmented(EXAMPLES, 20.0, 1)
    assert made
    allowed = {label: {*known, *(m[0].upper() + m[1:] for m in known)} for label, known in MENTIONS.items()}
    for example in made:
        assert [span["label"] for span in example.output["spans"]] == ["Disease", "Drug"]
        for span in example.output["spans"]:
            assert example.input[span["start"] : span["end"]] in allowed[span["label"]]
        assert example.input.endswith(", which helped.")
    assert len({example.input for example in made}) == len(made)


@given(seed=st.integers(0, 10_000))
def test_with_all_noise_spans_stay_valid(span_task: Any, seed: int) -> None:
    """Whatever the noise, spans hold at least one character, do not overlap, and their number and labels are the source's."""
    for example in augmented(EXAMPLES, 3.0, seed):
        assert span_task.check_output(example.input, example.output) == example.output
        assert [span["label"] for span in example.output["spans"]] == ["Disease", "Drug"]


@pytest.fixture(scope="module")
def span_task() -> Any:
    """The task with the two labels."""
    return task_type("token_classification")(("Disease", "Drug"))


_TEXT = st.text(alphabet="ab c😀é.", min_size=0, max_size=30)


@given(text=_TEXT, cuts=st.lists(st.integers(0, 30), min_size=4, max_size=8), new=st.lists(_TEXT, min_size=4, max_size=4))
def test_edits_move_spans_along(text: str, cuts: list[int], new: list[str]) -> None:
    """Edited: a span that no edit touches still covers its old characters; one that is replaced whole covers the new ones."""
    places = sorted({min(cut, len(text)) for cut in cuts})
    pieces = list(pairwise(places))
    spans: list[dict[str, Any]] = [{"start": a, "end": b, "label": "x"} for a, b in pieces[::2]]
    edits = [Edit(a, b, "<" + new[i % 4] + ">") for i, (a, b) in enumerate(pieces) if i % 3 != 0]
    after, moved = edited(text, spans, edits)
    changed = {(edit.start, edit.end): edit.text for edit in edits}
    for span, there in zip(spans, moved, strict=True):
        expected = changed.get((span["start"], span["end"]), text[span["start"] : span["end"]])
        assert after[there["start"] : there["end"]] == expected
    assert len(after) == len(text) + sum(len(edit.text) - (edit.end - edit.start) for edit in edits)


def test_an_edit_within_a_span_stretches_it_and_one_across_its_border_is_left_out() -> None:
    """By hand: a doubled letter inside, a swap over the border, a drop behind."""
    spans = [{"start": 4, "end": 8, "label": "x"}]
    text, moved = edited("see 1234 there", spans, [Edit(5, 6, "22"), Edit(7, 9, " 4"), Edit(9, 10, "")])
    assert text == "see 12234 here"
    assert moved == [{"start": 4, "end": 9, "label": "x"}]


def test_labels_keep_most_words_and_their_label() -> None:
    """At least half of the words are there, the label is the source's, and no text is made twice."""
    sources = [Example(f"please tell me where my parcel number {i} is now", {"label": "track"}) for i in range(20)]
    made = augmented(sources, 5.0, 3)
    assert len(made) > 50
    assert {example.output["label"] for example in made} == {"track"}
    assert min(len(example.input.split()) for example in made) >= 5
    assert len({example.input_hash for example in made}) == len(made)
    assert augmented([Example("ok", {"label": "a"})], 5.0, 3) == []  # nothing about it can change but its case: the same hash


def test_the_share_the_seed_and_the_weights_hold() -> None:
    """A share of 0 makes nothing; a seed fixes everything; an example weighs no more than the least sure of its sources."""
    assert augmented(EXAMPLES, 0.0, 1) == []
    assert augmented(EXAMPLES, 2.0, 1) == augmented(EXAMPLES, 2.0, 1)
    assert augmented(EXAMPLES, 2.0, 1) != augmented(EXAMPLES, 2.0, 2)
    unsure = [replace(example, weight=0.3) for example in EXAMPLES[:3]]
    weights = {example.weight for example in augmented([*unsure, *EXAMPLES[3:]], 10.0, 1)}
    assert weights == {0.3, 1.0}
    assert {example.weight for example in augmented(unsure, 10.0, 1)} == {0.3}


def test_no_text_that_judges_is_made() -> None:
    """Hashes to avoid never come out, though mentions alone would make them; nor does a real example's text."""
    free = augmented(EXAMPLES, 20.0, 1)
    avoid = frozenset(example.input_hash for example in free)
    again = augmented(EXAMPLES, 20.0, 1, avoid)
    assert free
    assert not {example.input_hash for example in again} & (avoid | {example.input_hash for example in EXAMPLES})


def test_other_inputs_and_outputs_give_nothing() -> None:
    """A task of another form is left alone, not broken."""
    assert augmented([Example({"rows": [1]}, {"label": "a"}), Example("text", {"rank": [1, 2]})], 5.0, 1) == []


def test_a_training_learns_them_and_says_so(span_demo: Demo, tmp_path: Path) -> None:
    """`augment` makes the card count them apart, train on more tokens, and hold no text of validation or test."""
    more = span_demo.model_copy(update={"training": span_demo.training.model_copy(update={"augment": 1.0, "epochs": 1})})
    plain = more.model_copy(update={"training": more.training.model_copy(update={"augment": 0.0})})
    cards = [
        run_job(Job(str(demo.path), str(tmp_path / name)), demo, Progress(None)) for name, demo in (("a", more), ("b", plain))
    ]
    assert cards[0].training["examples"] == cards[1].training["examples"]
    assert cards[0].training["tokens"] > 1.2 * cards[1].training["tokens"]
    assert (cards[0].training["augmented"], cards[0].settings["augment"]) == (pytest.approx(50, abs=30), 1.0)
    assert "augmented" not in cards[1].training
    task, seed = load_seed(more)
    parts = parts_of(task, seed, None)
    assert parts.held_out == seed.held_out
    made = augmented(parts.train, 1.0, 1, parts.held_out)
    assert not {example.input_hash for example in made} & seed.held_out
