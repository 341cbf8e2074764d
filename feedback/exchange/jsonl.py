"""JSON Lines: one object a line with `text` and the answer (`spans`, `label`, `labels` or `output`), and who said it. The form that loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from feedback.errors import BadInput
from feedback.exchange.annotation import Annotation, Read, Reading, answer_cells, one_by_one, parsed, row_annotations
from feedback.exchange.bytes_of import lines_of, text_of_file


def read(raw: bytes, name: str, how: Reading) -> Read:
    """Return the annotations of a JSONL file. Raises BadInput with the lines that are broken."""
    rows = [(f"line {number}", line) for number, line in lines_of(text_of_file(raw, name), name) if line.strip()]

    def make(place: str, line: Any) -> list[Annotation]:
        return row_annotations(place, object_of(line), how)

    found, problems = one_by_one(rows, make, name)
    problems.refuse()
    return Read(found, {})


def write(annotations: Iterable[Annotation]) -> bytes:
    """Return annotations as JSONL; offsets are code points."""
    return dumped(row_of(annotation) for annotation in annotations)


def dumped(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Return objects as JSON Lines."""
    return "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows).encode()


def object_of(line: str) -> dict[str, Any]:
    """Return the JSON object on a line; raise BadInput where there is none."""
    value = parsed(line, "the line")
    if not isinstance(value, dict):
        raise BadInput(
            f"the line is {line.strip()[:80]!r}: it must be a JSON object", code="file_object", values={"line": line.strip()[:80]}
        )
    return value


def row_of(annotation: Annotation) -> dict[str, Any]:
    """Return an annotation under our column names; only what it has."""
    row: dict[str, Any] = {"text": annotation.input, **answer_cells(annotation.output), "annotator": annotation.annotator}
    row |= {"id": annotation.id, "status": annotation.status, "gold": annotation.gold, "comment": annotation.comment}
    row["time"] = annotation.time.isoformat() if annotation.time else ""
    return {key: value for key, value in row.items() if value not in ("", False) or key == "text"}
