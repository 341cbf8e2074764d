"""Data files to rows of (text, output), one reader an ending. It renames, splits and judges nothing but the form."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from sklearn.datasets import load_digits

from feedback.errors import BadDemo, BadInput
from feedback.records import Json
from model.pictures import picture_of
from model.task import Task, task_type


class Row(NamedTuple):
    """One example as a file has it. `place` is "file:line" for messages."""

    text: Json
    output: Json
    place: str


def read_rows(path: Path, task: str, text_column: str = "text", label_column: str = "label") -> list[Row]:
    """Return every row of a data file. Raises BadDemo with file, line, value and rule where its form is broken.

    .jsonl, .csv and .parquet: rows with what the task type asks for (Task.keys); .tsv .conll .iob .txt for token_classification:
    one token and its tag a line, a blank line after each sentence. digits.sklearn, for pictures, is no file: it is the data set of
    that name that comes with scikit-learn.
    """
    kind = task_type(task)
    readers = _TOKEN_READERS if kind.widget == "spans" else _PICTURE_READERS if kind.form == "image" else _TEXT_READERS
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadDemo(f"{path}: no reader for {path.suffix!r} in {task}: endings are {', '.join(readers)}")
    try:
        rows = list(reader(path, kind, text_column, label_column))
    except OSError as error:
        raise BadDemo(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadDemo(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
    if not rows:
        raise BadDemo(f"{path}: holds no example")
    return rows


def _row(kind: type[Task], raw: Mapping[str, Any], text_column: str, label_column: str, place: str) -> Row:
    try:
        return Row(*kind.read(raw, text_column, label_column), place)
    except BadInput as error:
        raise BadDemo(f"{place}: {error.detail}") from error


def _jsonl(path: Path, kind: type[Task], text_column: str, label_column: str) -> Iterator[Row]:
    keys = kind.keys(text_column, label_column, table=False)
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            place = f"{path}:{number}"
            value = _json(line, place, "is not JSON")
            if not isinstance(value, dict) or not set(keys) <= set(value):
                raise BadDemo(f"{place}: {_short(line)} must be an object with {' and '.join(map(repr, keys))}")
            yield _row(kind, value, text_column, label_column, place)


def _csv(path: Path, kind: type[Task], text_column: str, label_column: str) -> Iterator[Row]:
    keys = kind.keys(text_column, label_column, table=True)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            missing = set(keys) - set(reader.fieldnames or [])
        except csv.Error as error:
            raise BadDemo(f"{path}:1: not CSV: {error}") from error
        if missing:
            raise BadDemo(f"{path}:1: no column {', '.join(sorted(missing))}; columns are {', '.join(reader.fieldnames or [])}")
        try:
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if any(row[key] is None for key in keys):
                    raise BadDemo(f"{place}: fewer cells than the header has columns")
                yield _row(kind, row, text_column, label_column, place)
        except csv.Error as error:
            raise BadDemo(f"{path}:{reader.line_num}: not CSV: {error}") from error


def _parquet(path: Path, kind: type[Task], text_column: str, label_column: str) -> Iterator[Row]:
    try:
        frame = pd.read_parquet(path)
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise BadDemo(f"{path}: is not Parquet: {error}") from error
    missing = set(kind.keys(text_column, label_column, table=True)) - set(frame.columns)
    if missing:
        raise BadDemo(f"{path}: no column {', '.join(sorted(missing))}; columns are {', '.join(map(str, frame.columns))}")
    for number, row in enumerate(frame.to_dict("records"), 1):
        yield _row(kind, {str(key): value for key, value in row.items()}, text_column, label_column, f"{path}:row {number}")


def _bundled(path: Path, kind: type[Task], text_column: str, label_column: str) -> Iterator[Row]:
    """The digits that scikit-learn brings along: 1,797 pictures of 8 by 8 pixels in 17 greys."""
    if path.name != "digits.sklearn":
        raise BadDemo(f"{path.name}: scikit-learn brings no such pictures along: there is digits.sklearn")
    found = load_digits()
    for number, (image, digit) in enumerate(zip(found.images, found.target, strict=True), 1):
        yield _row(
            kind,
            {text_column: picture_of(image / 16), label_column: str(digit)},
            text_column,
            label_column,
            f"{path.name}:{number}",
        )


def _conll(path: Path, kind: type[Task], text_column: str, label_column: str) -> Iterator[Row]:
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


_Reader = Callable[[Path, type[Task], str, str], Iterator[Row]]
_TEXT_READERS: dict[str, _Reader] = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
_PICTURE_READERS: dict[str, _Reader] = {**_TEXT_READERS, ".sklearn": _bundled}
_TOKEN_READERS: dict[str, _Reader] = {**_TEXT_READERS, ".tsv": _conll, ".conll": _conll, ".iob": _conll, ".txt": _conll}
