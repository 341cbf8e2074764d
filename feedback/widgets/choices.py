"""The widget that picks one label of each of several heads: what the browser sends, rebuilt. The drawing is in choices.js.

A label is written "head/label". A head that is left out has not been spoken of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feedback.errors import BadInput
from feedback.records import Json
from feedback.widgets.kind import Kind


def read(value: Json, labels: Sequence[str]) -> Json:
    """Return `{"labels": {head: label, ...}}` with nothing else in it; raise BadInput for another shape or an unknown label."""
    given = value.get("labels") if isinstance(value, dict) else None
    if not isinstance(given, dict) or not given:
        raise BadInput(f'the choices are {str(value)[:80]!r}: they must be {{"labels": {{head: label}}}}', code="labels_shape")
    for head, label in given.items():
        if "/" in head or not isinstance(label, str) or f"{head}/{label}" not in labels:
            raise BadInput(
                f"unknown label {str(label)[:80]!r} of {head[:80]!r}: labels are {', '.join(labels)}", code="label_unknown"
            )
    return {"labels": dict(given)}


def from_cell(value: Any) -> Json:
    """Return a cell as the output; raise BadInput where it is no object with a text a head. A head that holds nothing is not told."""
    value = {head: label for head, label in value.items() if label not in (None, "")} if isinstance(value, dict) else value
    if not isinstance(value, dict) or not all(isinstance(label, str) for label in value.values()):
        raise BadInput(f"labels is {str(value)[:80]!r}: it must be an object of heads with a label each")
    return {"labels": value}


def renamed(output: Json, rename: Mapping[str, str]) -> Json | None:
    """Return the output in the demo's labels ("head/label" -> "head/label"); a head whose label is dropped goes."""
    names = [rename.get(name, name) for name in (f"{head}/{label}" for head, label in output["labels"].items())]
    labels = {head: label for head, _, label in (name.partition("/") for name in names if name)}
    return {"labels": labels} if labels else None


CHOICES = Kind("choices", "choices.js", read, "labels", from_cell, renamed, None, ("label_studio",))
