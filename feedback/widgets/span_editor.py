"""The widget that marks parts of a text: what the browser sends, rebuilt. The drawing is in span_editor.js."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feedback.errors import BadInput
from feedback.records import Json
from feedback.widgets.kind import Kind


def read(value: Json, labels: Sequence[str]) -> Json:
    """Return `{"spans": [{"start", "end", "label"}, ...]}` in code points, sorted, with nothing else in it.

    Raises BadInput for any other shape and for an unknown label. Whether the spans fit the text is the task's check.
    """
    spans = value.get("spans") if isinstance(value, dict) else None
    if not isinstance(spans, list):
        raise BadInput(f'the marked parts are {str(value)[:80]!r}: they must be {{"spans": [...]}}', code="spans_shape")
    clean = [_span(span, labels) for span in spans]
    return {"spans": sorted(clean, key=lambda span: (span["start"], span["end"]))}


def _span(span: Json, labels: Sequence[str]) -> dict[str, Json]:
    if not isinstance(span, dict) or type(span.get("start")) is not int or type(span.get("end")) is not int:
        raise BadInput(f"the span {str(span)[:80]!r} needs start and end as whole numbers", code="spans_shape")
    if span.get("label") not in labels:
        raise BadInput(f"unknown label {str(span.get('label'))[:80]!r}: labels are {', '.join(labels)}", code="label_unknown")
    return {"start": span["start"], "end": span["end"], "label": span["label"]}


def from_cell(value: Any) -> Json:
    """Return a cell as the output; raise BadInput where it is no list of objects."""
    if not isinstance(value, list) or not all(isinstance(span, dict) for span in value):
        raise BadInput(f"spans is {str(value)[:80]!r}: it must be a list of objects with start, end and label")
    return {"spans": value}


def renamed(output: Json, rename: Mapping[str, str]) -> Json | None:
    """Return the output in the demo's labels; a span whose label is dropped goes."""
    spans = [{**s, "label": rename.get(s["label"], s["label"]) if isinstance(s.get("label"), str) else s.get("label")}
             for s in output["spans"]]  # fmt: skip
    return {"spans": [span for span in spans if span["label"] != ""]}


SPANS = Kind("spans", "span_editor.js", read, "spans", from_cell, renamed, None, ("conll", "label_studio"))
