"""The widget for answers out of a catalogue: what the browser sends, rebuilt. The drawing is in answers.js."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedback.errors import BadInput
from feedback.records import Json
from feedback.widgets.kind import Kind


def read(value: Json, labels: Sequence[str]) -> Json:
    """Return `{"answer": id or "", "text": words}`, the text only where there is one; raise BadInput for another shape.

    Whether the id is one of the catalogue's is the task's check: answers are added while the page is open.
    """
    answer, text = (value.get("answer", ""), value.get("text", "")) if isinstance(value, dict) else (None, None)
    if not isinstance(answer, str) or not isinstance(text, str):
        raise BadInput(
            f'the answer is {str(value)[:80]!r}: it must be {{"answer": an id or "", "text": ...}}', code="answer_shape"
        )
    return {"answer": answer, "text": text} if text.strip() else {"answer": answer}


def from_cell(value: Any) -> Json:
    """Return a cell as the output: an object; raise BadInput where it is none."""
    if not isinstance(value, dict):
        raise BadInput(f'output is {str(value)[:80]!r}: it must be an object with "answer", "text" or both')
    return value


def from_answer(value: Any) -> Json:
    """Return an answer of a log in words: the task finds out whether the catalogue has it already."""
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"answer is {str(value)[:80]!r}: it must be a text")
    return {"answer": "", "text": value.strip()}


ANSWERS = Kind("answers", "answers.js", read, from_cell=from_cell, from_answer=from_answer, forms=("question_answers",))
