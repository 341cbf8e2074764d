"""CoNLL exports of a running app have the words that its model reads, and what was marked comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest

from feedback.exchange.annotation import Annotation, Reading
from feedback.exchange.conll import plain_words
from feedback.exchange.forms import read_file, write_file
from model.batches import tokenize, words_of

MIXED = "她患有2型糖尿病（T2DM），e.g. non-Hodgkin's lymphoma…😀"
SPANS = [{"start": 3, "end": 8, "label": "Disease"}, {"start": 20, "end": 42, "label": "Disease"}]


@pytest.fixture
def cut(tokenizer: Any) -> Any:
    """The packaged tokenizer's words."""

    def words(text: str) -> list[tuple[int, int]]:
        (encoded,) = tokenize(tokenizer, [text])
        return [(word.start, word.end) for word in words_of(text, encoded)]

    return words


def test_chinese_and_punctuation_are_cut_as_the_model_cuts_them(cut: Any) -> None:
    """A character of Chinese is a word, a run of letters too, each sign by itself: a rule of the tokenizer, not of plain_words."""
    words = [MIXED[start:end] for start, end in cut(MIXED)]
    assert words == [
        "她", "患", "有", "2", "型", "糖", "尿", "病", "（", "T2DM", "）", "，", "e", ".", "g", ".", "non", "-", "Hodgkin", "'", "s",
        "lymphoma", "…", "😀",
    ]  # fmt: skip
    assert words != [MIXED[start:end] for start, end in plain_words(MIXED)]


def test_an_export_has_these_words_and_loses_nothing(cut: Any) -> None:
    """A line a word, with tags over the marked ones; read back, text and spans are the same to the character."""
    given = Annotation("", MIXED, {"spans": SPANS}, "u_ann")
    raw = write_file([given], "conll", cut)
    lines = [line.split("\t") for line in raw.decode().splitlines() if line and not line.startswith("# ")]
    assert [word for word, _ in lines] == [MIXED[start:end] for start, end in cut(MIXED)]
    assert [(word, tag) for word, tag in lines if tag != "O"][:6] == [
        ("2", "B-Disease"), ("型", "I-Disease"), ("糖", "I-Disease"), ("尿", "I-Disease"), ("病", "I-Disease"), ("non", "B-Disease"),
    ]  # fmt: skip
    (back,) = read_file(raw, "x.conll", "conll", Reading("spans")).annotations
    assert (back.input, back.output) == (MIXED, {"spans": SPANS})
