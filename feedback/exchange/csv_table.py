"""CSV tables, as spreadsheets write them: long with an annotator column, or wide with a column an annotator.

Spreadsheets run a cell that begins with = + - @ (or a tab, a line's end, the full-width signs) as a formula. So such cells get an
apostrophe in front when they are written, and tables of ours say so in a first column: there the apostrophe is taken
off again at reading. A table of somebody else's is read as it stands.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from typing import Any

from feedback.errors import BadInput
from feedback.exchange.annotation import Annotation, Problems, Read, Reading, one_by_one, row_annotations
from feedback.exchange.bytes_of import text_of_file
from feedback.exchange.jsonl import row_of

MARK = "amend_csv"
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")
_DELIMITERS = (",", ";", "\t")
_ORDER = ("text", "label", "spans", "labels", "output", "annotator", "status", "gold", "comment", "time", "id")


def read(raw: bytes, name: str, how: Reading) -> Read:
    """Return the annotations of a table cut by commas, semicolons or tabs. Raises BadInput with line and column."""
    rows = rows_of(text_of_file(raw, name), name, how)
    found, problems = one_by_one(rows, lambda place, row: row_annotations(place, row, how), name)
    problems.refuse()
    return Read(found, {})


def rows_of(text: str, name: str, how: Reading) -> list[tuple[str, dict[str, str]]]:
    """Return (place, column -> cell) of every row. Raises BadInput with the lines whose form is broken."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, how, name), strict=True)
    problems = Problems(name)
    rows: list[tuple[str, dict[str, str]]] = []
    began = 1
    try:
        header = next(lines)
        if len(set(header)) < len(header):
            raise BadInput(
                f"{name}, line 1: a column is named twice: {', '.join(header)}",
                code="file_column_twice",
                values={"file": name, "header": ", ".join(header)},
            )
        ours = MARK in header
        while True:
            began = lines.line_num + 1
            cells = next(lines)
            if cells and len(cells) != len(header):
                problems.add(f"line {began}", f"{len(cells)} cells, but the header names {len(header)} columns")
            elif cells:
                values = [unescaped(cell) for cell in cells] if ours else cells
                rows.append((f"line {began}", dict(zip(header, values, strict=True))))
    except StopIteration:
        pass
    except csv.Error as error:
        raise BadInput(
            f"{name}, line {began}: not CSV: {error}", code="file_csv", values={"file": name, "line": began}
        ) from error
    problems.refuse()
    return rows


def write(annotations: Iterable[Annotation]) -> bytes:
    """Return annotations as CSV for spreadsheets: a mark of ours, formulas disarmed, spans as JSON in one cell."""
    rows = [row_of(annotation) for annotation in annotations]
    columns = [column for column in _ORDER if any(column in row for row in rows)] or ["text"]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([MARK, *columns])
    for row in rows:
        writer.writerow(["1", *(escaped(_plain(row.get(column, ""))) for column in columns)])
    return out.getvalue().encode()


def escaped(cell: str) -> str:
    """Return the cell so that no spreadsheet runs it; unescaped() gives it back, whatever it was."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unescaped(cell: str) -> str:
    """Take off what escaped() put in front."""
    return cell[1:] if _ESCAPED.match(cell) else cell


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _delimiter(text: str, how: Reading, name: str) -> str:
    """Return what cuts the header into columns among which the text's is; spreadsheets of many countries write semicolons."""
    first = text.split("\n", 1)[0].rstrip("\r")
    needed = how.column("text")
    for delimiter in _DELIMITERS:
        try:
            if needed in next(csv.reader([first], delimiter=delimiter)):
                return delimiter
        except (csv.Error, StopIteration):
            continue
    raise BadInput(
        f"{name}, line 1: no column {needed!r} (say what it is called: text=COLUMN); the header is {first[:200]!r}",
        code="file_no_text",
        values={"file": name, "column": needed, "header": first[:200]},
    )
