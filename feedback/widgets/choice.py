"""The widget that picks one label out of several: what the browser sends, rebuilt. The drawing is in choice.js."""

from __future__ import annotations

from collections.abc import Sequence

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


CHOICE = Kind("choice", "choice.js", read)
