"""Data files to rows of (text, output), one reader an ending. It renames, splits and judges nothing but the form."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from feedback.errors import BadDemo
from feedback.records import Json


class Row(NamedTuple):
    """One example as a file has it. `place` is "file:line" for messages."""

    text: Json
    output: Json
    place: str


def read_rows(path: Path, task: str, text_column: str = "text", label_column: str = "label") -> list[Row]:
    """Return every row of a data file. Raises BadDemo with file, line, value and rule where its form is broken.

    .jsonl: {"text", "spans"} or {"text", "label"}; .csv and .parquet: two columns (spans as JSON); .tsv .conll .iob
    .txt for token_classification: one token and its tag a line, a blank line after each sentence.
    """
    readers = _TOKEN_READERS if task == "token_classification" else _TEXT_READERS
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadDemo(f"{path}: no reader for {path.suffix!r} in {task}: endings are {', '.join(readers)}")
    try:
        rows = list(reader(path, task, text_column, label_column))
    except OSError as error:
        raise BadDemo(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadDemo(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
    if not rows:
        raise BadDemo(f"{path}: holds no example")
    return rows


def _output(task: str, value: Json) -> Json:
    return {"spans": value} if task == "token_classification" else {"label": value}


def _jsonl(path: Path, task: str, text_column: str, label_column: str) -> Iterator[Row]:
    key = "spans" if task == "token_classification" else label_column
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            value = _json(line, place, "is not JSON")
            if not isinstance(value, dict) or not {text_column, key} <= set(value):
                raise BadDemo(f"{place}: {_short(line)} must be an object with {text_column!r} and {key!r}")
            if key == "spans":
                _span_shapes(value[key], place)
            elif not isinstance(value[key], str):
                raise BadDemo(f"{place}: {label_column} = {value[key]!r}: must be a text")
            yield Row(value[text_column], _output(task, value[key]), place)


def _span_shapes(spans: Json, place: str) -> None:
    """Spans are objects with a label, so that renaming can look at it; the task checks the rest."""
    if not isinstance(spans, list) or not all(isinstance(span, dict) and isinstance(span.get("label"), str) for span in spans):
        raise BadDemo(f"{place}: spans = {_short(repr(spans))}: must be a list of objects with start, end and label")


def _csv(path: Path, task: str, text_column: str, label_column: str) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            missing = {text_column, label_column} - set(reader.fieldnames or [])
        except csv.Error as error:
            raise BadDemo(f"{path}:1: not CSV: {error}") from error
        if missing:
            raise BadDemo(f"{path}:1: no column {', '.join(sorted(missing))}; columns are {', '.join(reader.fieldnames or [])}")
        try:
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if row[text_column] is None or row[label_column] is None:
                    raise BadDemo(f"{place}: fewer cells than the header has columns")
                yield _table_row(row[text_column], row[label_column], task, place)
        except csv.Error as error:
            raise BadDemo(f"{path}:{reader.line_num}: not CSV: {error}") from error


def _parquet(path: Path, task: str, text_column: str, label_column: str) -> Iterator[Row]:
    try:
        frame = pd.read_parquet(path)
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise BadDemo(f"{path}: is not Parquet: {error}") from error
    missing = {text_column, label_column} - set(frame.columns)
    if missing:
        raise BadDemo(f"{path}: no column {', '.join(sorted(missing))}; columns are {', '.join(map(str, frame.columns))}")
    for number, (text, label) in enumerate(zip(frame[text_column], frame[label_column], strict=True), 1):
        yield _table_row(text, label, task, f"{path}:row {number}")


def _table_row(text: Any, label: Any, task: str, place: str) -> Row:
    if task != "token_classification":
        if not isinstance(label, str):
            raise BadDemo(f"{place}: label = {label!r}: must be a text")
        return Row(text, {"label": label}, place)
    spans = _json(label, place, "is not JSON: the label column must hold a list of spans")
    _span_shapes(spans, place)
    return Row(text, {"spans": spans}, place)


def _conll(path: Path, task: str, text_column: str, label_column: str) -> Iterator[Row]:
    """One token a line; first column the token, last its tag. Tokens are joined by single spaces."""
    tokens: list[str] = []
    tags: list[str] = []
    began = 1
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            bare = line.rstrip("\r\n")
            if not bare.strip() or bare.startswith("-DOCSTART-"):
                if tokens:
                    yield _sentence(tokens, tags, f"{path}:{began}")
                tokens, tags = [], []
                continue
            parts = [part.strip() for part in bare.split("\t")] if "\t" in bare else bare.split()
            if len(parts) < 2 or not parts[0] or not (parts[-1] == "O" or (parts[-1][:2] in ("B-", "I-") and parts[-1][2:])):
                raise BadDemo(
                    f"{path}:{number}: {_short(bare)}: must be a token and a tag (O, B-label or I-label) with a tab or space between"
                )
            if not tokens:
                began = number
            tokens.append(parts[0])
            tags.append(parts[-1])
    if tokens:
        yield _sentence(tokens, tags, f"{path}:{began}")


def _sentence(tokens: list[str], tags: list[str], place: str) -> Row:
    """Join tokens by single spaces; B- starts a span, I- goes on with one of its label or starts one."""
    spans: list[dict[str, Any]] = []
    before, at = "O", 0
    for token, tag in zip(tokens, tags, strict=True):
        end = at + len(token)
        if tag != "O" and tag[:2] == "I-" and before != "O" and before[2:] == tag[2:]:
            spans[-1]["end"] = end
        elif tag != "O":
            spans.append({"start": at, "end": end, "label": tag[2:]})
        before, at = tag, end + 1
    return Row(" ".join(tokens), {"spans": spans}, place)


def _json(text: Any, place: str, said: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadDemo(f"{place}: {_short(str(text))} {said}: {error}") from error


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 100 else text[:97] + "..."


_Reader = Callable[[Path, str, str, str], Iterator[Row]]
_TEXT_READERS: dict[str, _Reader] = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
_TOKEN_READERS: dict[str, _Reader] = {**_TEXT_READERS, ".tsv": _conll, ".conll": _conll, ".iob": _conll, ".txt": _conll}
