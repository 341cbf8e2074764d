"""What the tasks over one text share: checking it, and telling a script the model cannot read. No task of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feedback.errors import BadInput, TooLarge
from feedback.records import Json
from model.network_task import Encoded

UNKNOWN_SHARE = 0.3
UNKNOWN_NOTE = "note.unknown_script"


def check_text(value: Json, max_chars: int) -> str:
    """Return the text exactly as it came; raise BadInput or TooLarge where no model could answer it."""
    if not isinstance(value, str):
        raise BadInput(f"input is {type(value).__name__}: it must be a text (a JSON string)", code="text_type")
    if not value.strip():
        raise BadInput("input is an empty text: write at least one word", code="text_empty")
    if len(value) > max_chars:
        raise TooLarge(
            f"input has {len(value)} characters: at most {max_chars} are answered",
            code="text_too_long",
            values={"count": len(value), "limit": max_chars},
        )
    if "\0" in value:
        raise BadInput(f"input holds a NUL at character {value.index(chr(0))}: remove it", code="text_broken")
    for place, char in enumerate(value):
        if "\ud800" <= char <= "\udfff":
            raise BadInput(
                f"input holds half a surrogate pair ({char!a}) at character {place}: send valid Unicode", code="text_broken"
            )
    return value


def notes_on(encoded: Encoded) -> tuple[str, ...]:
    """Return the note on an unknown script where more than 30 % of the words are [UNK] to the tokenizer."""
    words = {word for word in encoded.words if word is not None}
    lost = {word for word, id_ in zip(encoded.words, encoded.ids, strict=True) if word is not None and id_ == encoded.unknown}
    return (UNKNOWN_NOTE,) if not words or len(lost) > UNKNOWN_SHARE * len(words) else ()


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities over the last axis, in double precision. An output at -inf gets 0."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=-1, keepdims=True)
    grown = np.exp(scaled)
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))


def f1_of(tp: int, fp: int, fn: int) -> float:
    """Return 2tp / (2tp + fp + fn), and 0 where there is nothing to find and nothing found."""
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def mean_of(values: Sequence[float]) -> float:
    """Return the mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
