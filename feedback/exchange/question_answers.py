"""Logs of questions and answers, as JSONL or CSV: `question`, `answer`, and where there are any `annotator`, `rating`, `time`.

An answer is taken as what its annotator says the answer should be. That suits a task that gives a text one label, where
the answers are labels; spans in a text are no answers, and are refused in words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from feedback.errors import BadInput
from feedback.exchange import csv_table, jsonl
from feedback.exchange.annotation import Annotation, Read, Reading, one_by_one, parsed, row_annotations
from feedback.exchange.bytes_of import lines_of, text_of_file


def read(raw: bytes, name: str, how: Reading) -> Read:
    """Return the question-answer pairs of a log. Raises BadInput with the lines that are broken.

    Rows rated below `how.least_rating` are left out and counted; a row without a rating stays.
    """
    if how.widget != "choice":
        raise BadInput(
            f"{name}: an answer in words is no set of spans: question-answer logs suit a task that answers a text with one label, "
            "and this demo's task marks spans in a text"
        )
    named = {"text": how.column("question"), "label": how.column("answer")}
    ours = replace(how, columns={**how.columns, **named})
    rows = _rows(raw, name, ours)
    ignored: Counter[str] = Counter()

    def make(place: str, row: Any) -> list[Annotation]:
        if (
            how.least_rating is not None
            and (rating := _rating(row.get(how.column("rating")))) is not None
            and rating < how.least_rating
        ):
            ignored[f"rated below {how.least_rating:g}"] += 1
            return []
        return row_annotations(place, row, ours)

    found, problems = one_by_one(rows, make, name)
    problems.refuse()
    return Read(found, dict(ignored))


def write(annotations: Iterable[Annotation]) -> bytes:
    """Return annotations as a JSONL log. Raises BadInput where the task marks spans."""
    rows = []
    for annotation in annotations:
        if "label" not in annotation.output:
            raise BadInput(
                "an answer in words is no set of spans: export this demo's corrections as jsonl, csv, conll or label_studio"
            )
        row = jsonl.row_of(annotation)
        rows.append({"question": row.pop("text"), "answer": row.pop("label"), **row})
    return jsonl.dumped(rows)


def _rows(raw: bytes, name: str, how: Reading) -> list[tuple[str, Any]]:
    text = text_of_file(raw, name)
    if not text.lstrip().startswith("{"):
        return [(place, row) for place, row in csv_table.rows_of(text, name, how)]
    rows: list[tuple[str, Any]] = []
    for number, line in lines_of(text, name):
        if line.strip():
            rows.append((f"line {number}", parsed(line, f"{name}, line {number}:")))
            if not isinstance(rows[-1][1], Mapping):
                raise BadInput(f"{name}, line {number}: {line.strip()[:80]!r} must be a JSON object")
    return rows


def _rating(value: Any) -> float | None:
    if value in ("", None):
        return None
    try:
        rating = float(value)
    except (TypeError, ValueError, OverflowError):
        rating = math.nan
    if math.isnan(rating):
        raise BadInput(f"rating is {str(value)[:40]!r}: it must be a number")
    return rating
