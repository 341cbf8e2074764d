"""Spans: offsets in code points, decoding, windows, checks and scores."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

from feedback.errors import BadDemo, BadInput
from feedback.records import Example
from model.answering import joined
from model.batches import OVERLAP, WINDOW, tokenize, windows, words_of
from model.network_task import NetworkTask, network_type
from model.tasks.bio import decode_bio, label_words
from model.tasks.text import UNKNOWN_NOTE

TEXTS = [
    "a 😀 naïve e\u0301tude",
    "日本 asthma 中",
    "İSTANBUL flu\r\nline\ttwo",
    "  padded  ",
    "ﬁne 𝕏-ray Ⅷ",
    "👩‍👩‍👧 family",
    "x\u200by\u00a0z",
]


@pytest.fixture
def task() -> NetworkTask:
    """Spans of two labels."""
    return network_type("token_classification")(("Disease", "Gene"))


@pytest.mark.parametrize("text", TEXTS)
def test_words_lie_where_they_are_in_the_text(tokenizer: Any, text: str) -> None:
    """Words come in order, without white space at the ends, and cover every letter: no normalisation shifts them."""
    (encoded,) = tokenize(tokenizer, [text])
    words = words_of(text, encoded)
    covered = {i for word in words for i in range(word.start, word.end)}
    assert all(a.end <= b.start for a, b in pairwise(words))
    assert all(text[w.start : w.end] == text[w.start : w.end].strip() != "" for w in words)
    assert covered >= {i for i, char in enumerate(text) if char.isalnum() and char.isascii()}


def test_a_span_in_mixed_text_is_found_at_its_code_points(task: NetworkTask, tokenizer: Any) -> None:
    """After an emoji and combining characters a span keeps its place: `encode` then `decode` gives it back."""
    text = "😀😀 e\u0301\u0301 日本: asthma\n"
    span = {"start": text.index("asthma"), "end": text.index("asthma") + 6, "label": "Disease"}
    (feature,) = task.encode(tokenizer, [Example(text, {"spans": [span]})])
    logits = 9.0 * np.eye(5)[np.maximum(np.array(feature["labels"][1:-1]), 0)]
    (answer,) = task.decode([text], tokenize(tokenizer, [text]), [logits], {})
    assert task.check_output(text, answer.output) == {"spans": [span]}


@pytest.mark.parametrize("tokens", [0, 1, 254, 255, 500, 5000])
def test_windows_cover_all_and_own_once(tokens: int) -> None:
    """Every token is owned by exactly one window, well inside it."""
    found = windows(tokens, WINDOW - 2)
    owned = [i for _, _, start, end in found for i in range(start, end)]
    assert owned == list(range(tokens))
    for start, end, own_start, own_end in found:
        assert end - start <= WINDOW - 2
        assert start == 0 or own_start - start >= OVERLAP // 2 - 1
        assert end == tokens or end - own_end >= OVERLAP // 2 - 1


def test_invalid_tags_are_decoded_to_the_best_valid_ones() -> None:
    """I- after O is impossible; the search finds the most probable valid sequence (checked against all of them)."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        table = rng.dirichlet(np.ones(5), size=4)
        best = max(
            (tags for tags in np.ndindex(5, 5, 5, 5) if all(_may_follow(a, b) for a, b in zip((0, *tags), tags, strict=False))),
            key=lambda tags: sum(np.log(table[i, t]) for i, t in enumerate(tags)),
        )
        names = ["O", "B-0", "I-0", "B-1", "I-1"]
        covered = ["O"] * 4
        for first, last, label in decode_bio(table):
            covered[first : last + 1] = [f"B-{label}"] + [f"I-{label}"] * (last - first)
        assert covered == [names[t] for t in best]


def _may_follow(before: int, after: int) -> bool:
    return after in (0, 1, 3) or before in (after, after - 1)


def test_threshold_and_temperature_apply_at_decoding(task: NetworkTask, tokenizer: Any) -> None:
    """A span below the threshold is left out; a higher temperature lowers its confidence."""
    text, encodings = "flu", tokenize(tokenizer, ["flu"])
    logits = [np.array([[0.0, 2.0, 0.0, 0.0, 0.0]])]
    (sure,) = task.decode([text], encodings, logits, {"threshold": 0.5})
    (cool,) = task.decode([text], encodings, logits, {"temperature": 10.0})
    (strict,) = task.decode([text], encodings, logits, {"threshold": 0.95})
    assert sure.output["spans"][0]["confidence"] > cool.output["spans"][0]["confidence"]
    assert strict.output == {"spans": []}
    expected = (np.exp(2) + 1) / (np.exp(2) + 4)  # softmax by hand: B-Disease and I-Disease together
    assert sure.output["spans"][0]["confidence"] == pytest.approx(expected, abs=1e-4)


def test_unreadable_script_is_said(task: NetworkTask, tokenizer: Any) -> None:
    """A text whose words are mostly [UNK] carries a note; a readable one does not."""
    texts = ["患者感到非常糟糕", "the patient has flu"]
    encodings = tokenize(tokenizer, texts)
    strange, plain = task.decode(texts, encodings, [np.zeros((len(e.ids), 5)) for e in encodings], {})
    assert strange.notes == (UNKNOWN_NOTE,)
    assert plain.notes == ()


@pytest.mark.parametrize(
    "span",
    [
        {"start": 0, "end": 0, "label": "Gene"},
        {"start": -1, "end": 2, "label": "Gene"},
        {"start": 0, "end": 99, "label": "Gene"},
        {"start": 0, "end": 2, "label": "gene"},
        {"start": False, "end": 2, "label": "Gene"},
        {"start": 0.0, "end": 2, "label": "Gene"},
        {"start": 0, "end": 2, "label": "Gene", "text": "ab"},
        {"start": 0, "end": 2},
    ],
)
def test_bad_spans_are_refused(task: NetworkTask, span: dict[str, Any]) -> None:
    """Empty, out of range, unknown label, bool for int, extra or missing keys: each is refused with the span shown."""
    with pytest.raises(BadInput, match="span"):
        task.check_output("some text", {"spans": [span]})


def test_overlap_is_refused_and_touching_is_not(task: NetworkTask) -> None:
    """Two spans may touch, not overlap; they come back sorted."""
    left, right = {"start": 0, "end": 4, "label": "Gene"}, {"start": 4, "end": 9, "label": "Gene"}
    assert task.check_output("some text", {"spans": [right, left]}) == {"spans": [left, right]}
    with pytest.raises(BadInput, match="overlap"):
        task.check_output("some text", {"spans": [left, {**right, "start": 3}]})


def test_scores_agree_with_seqeval(task: NetworkTask) -> None:
    """Precision, recall and F1 equal seqeval's strict IOB2 on 50 random corpora."""
    rng = random.Random(5)
    for _ in range(50):
        tags = [[_random_tags(rng) for _ in range(12)] for _ in range(2)]
        truth, answers = ([{"spans": _spans(t)} for t in side] for side in tags)
        ours = task.score(truth, answers)
        options = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
        assert ours["f1"] == pytest.approx(f1_score(*tags, **options))
        assert ours["precision"] == pytest.approx(precision_score(*tags, **options))
        assert ours["recall"] == pytest.approx(recall_score(*tags, **options))


def _random_tags(rng: random.Random) -> list[str]:
    tags: list[str] = []
    while len(tags) < 8:
        kind = rng.choice(["", "", "Disease", "Gene"])
        tags += [f"B-{kind}", *[f"I-{kind}"] * rng.randrange(3)] if kind else ["O"]
    return tags[:8]


def _spans(tags: list[str]) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = []
    for i, tag in enumerate(tags):
        if tag[0] == "B":
            spans.append({"start": i, "end": i + 1, "label": tag[2:]})
        elif tag[0] == "I":
            spans[-1]["end"] = i + 1
    return spans


def test_words_take_the_label_of_the_span_they_touch() -> None:
    """A span that begins within a word takes the whole word; neighbours of the same label stay apart."""
    words = [(0, 3), (4, 9), (10, 12), (13, 15)]
    spans = [{"start": 5, "end": 12, "label": "X"}, {"start": 13, "end": 15, "label": "X"}]
    assert label_words(words, spans) == ["O", "B-X", "I-X", "B-X"]


def test_foreign_tags_are_understood(task: NetworkTask, tokenizer: Any) -> None:
    """A checkpoint with I- tags alone, other names and a label too many is read in our labels."""
    outputs = {0: "O", 1: "I-DIS", 2: "I-GEN", 3: "I-LOC"}
    rename = {"DIS": "Disease", "GEN": "Gene", "LOC": ""}
    sources = task.sources(outputs, rename)
    assert sources == [[0, 3], [1], [1], [2], [2]]
    logits = joined(np.array([[0.0, 5.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0], [0.0, 0.0, 0.0, 5.0]]), sources)
    (answer,) = task.decode(["lung cancer Rome"], tokenize(tokenizer, ["lung cancer Rome"]), [logits], {})
    assert task.check_output("lung cancer Rome", answer.output) == {"spans": [{"start": 0, "end": 11, "label": "Disease"}]}


def test_unknown_foreign_labels_are_explained(task: NetworkTask) -> None:
    """A checkpoint with LABEL_0 names is refused with what to write in the TOML, and read once that is written."""
    with pytest.raises(BadDemo, match=r"LABEL_1.*rename"):
        task.sources({0: "O", 1: "LABEL_1"}, {})
    assert task.sources({0: "LABEL_0", 1: "LABEL_1"}, {"LABEL_0": "O", "LABEL_1": "B-Gene"}) == [[0], [], [], [1], []]
