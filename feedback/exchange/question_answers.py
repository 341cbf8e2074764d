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
from feedback.records import Json
from feedback.widgets import widget_named


def read(raw: bytes, name: str, how: Reading) -> Read:
    """Return the question-answer pairs of a log. Raises BadInput with the lines that are broken.

    Rows rated below `how.least_rating` are left out and counted; a row without a rating stays.
    """
    kind = widget_named(how.widget)
    if kind.from_answer is None:
        raise BadInput(
            f"{name}: an answer in words is no output of this demo's task ({how.widget}): question-answer logs suit tasks that answer "
            "a text with one label, or with a text"
        )
    answer = kind.from_answer
    ours = replace(how, columns={**how.columns, "text": how.column("question"), kind.column: kind.column})
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
        said = row.get(how.column("answer"))
        if said in ("", None):
            raise BadInput(f"no answer in column {how.column('answer')!r}; columns are {', '.join(map(str, row))}")
        return row_annotations(place, {**row, kind.column: _cell(answer(said), kind.column)}, ours)

    found, problems = one_by_one(rows, make, name)
    problems.refuse()
    return Read(found, dict(ignored))


def write(annotations: Iterable[Annotation]) -> bytes:
    """Return annotations as a JSONL log. Raises BadInput where the task marks spans."""
    rows = []
    for annotation in annotations:
        answer = next((annotation.output[key] for key in ("label", "text", "answer") if annotation.output.get(key)), None)
        if answer is None:
            raise BadInput(
                "an answer in words is no set of spans: export this demo's corrections as jsonl, csv, conll or label_studio"
            )
        row = {key: value for key, value in jsonl.row_of(annotation).items() if key not in ("label", "output")}
        rows.append({"question": row.pop("text"), "answer": answer, **row})
    return jsonl.dumped(rows)


def _cell(output: Json, column: str) -> Any:
    """Return an output as the column of a row holds it."""
    return output.get(column, output)


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
