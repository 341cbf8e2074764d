"""The widget that picks one label out of several: what the browser sends, rebuilt. The drawing is in choice.js."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feedback.errors import BadInput
from feedback.records import Json
from feedback.widgets.kind import Kind


def read(value: Json, labels: Sequence[str]) -> Json:
    """Return `{"label": label}` with nothing else in it; raise BadInput for another shape or an unknown label."""
    label = value.get("label") if isinstance(value, dict) else None
    if not isinstance(label, str):
        raise BadInput(f'the choice is {str(value)[:80]!r}: it must be {{"label": ...}}', code="label_shape")
    if label not in labels:
        raise BadInput(f"unknown label {label[:80]!r}: labels are {', '.join(labels)}", code="label_unknown")
    return {"label": label}


def from_cell(value: Any) -> Json:
    """Return a cell as the output; raise BadInput where it is no text."""
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise BadInput(f"label is {str(value)[:80]!r}: it must be a text")
    return {"label": str(value)}


def renamed(output: Json, rename: Mapping[str, str]) -> Json | None:
    """Return the output in the demo's labels; None where its label is dropped."""
    label = rename.get(output["label"], output["label"])
    return {"label": label} if label else None


CHOICE = Kind("choice", "choice.js", read, "label", from_cell, renamed, from_cell, ("label_studio", "question_answers"))
