"""The log's raw tables in and out, and its self-check. It knows tables and forms, no tasks: those are imported as corrections."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple, get_type_hints

import pandas as pd
from pyarrow import ArrowException

from feedback.declaring import guardrails_of
from feedback.errors import BadInput
from feedback.exchange.annotation import parsed
from feedback.hanging import problems_in
from feedback.records import Variant
from feedback.rollup import SOURCES
from feedback.schema import TABLES, VIEWS
from feedback.store import TABLE_OF, Duplicate, Store

FORMS = ("parquet", "csv", "jsonl")
MEDIA_TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
}
_LATER = {
    "corrections": {"edits"},
    "reviews": {"probability"},
    "experiments": {"mode", "guardrails", "segments", "covariate", "coverage", "definition", "winner"},
}
"""Columns that exports of earlier versions do not have: their defaults stand in."""
_UNKEYED = {"training_runs": ("id", "state"), "traps": ("input_hash", "created"), "blocks": ("contributor", "created")}
"""Tables without a key, and the columns by which an import knows their rows again."""
_ROLLED_UP = ("exposures", *SOURCES)
_CLASS_OF = {table: cls for cls, table in TABLE_OF.items()}


class Imported(NamedTuple):
    """What an import did: rows stored, and rows that were there already."""

    stored: int
    known: int


def export_table(store: Store, table: str, form: str) -> bytes:
    """Return a raw table or view as a file's bytes. Raises BadInput with the choices for an unknown table or form."""
    if table not in TABLES + VIEWS:
        raise BadInput(f"no table {table!r}: available are {', '.join(TABLES + VIEWS)}")
    if form not in FORMS:
        raise BadInput(f"unknown form {form!r}: available are {', '.join(FORMS)}")
    frame = store.frame(f"SELECT * FROM {table}")
    if form == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    if form == "csv":
        return frame.to_csv(index=False).encode()
    text = frame.to_json(orient="records", lines=True, date_format="iso", date_unit="us", force_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def read_rows(raw: bytes, form: str, name: str) -> list[dict[str, Any]]:
    """Return the rows of an exported table. Raises BadInput naming the line of a JSONL that is broken."""
    if form == "jsonl":
        return _jsonl_rows(raw, name)
    if form not in FORMS:
        raise BadInput(f"{name}: unknown form {form!r}: available are {', '.join(FORMS)}")
    try:
        frame = (
            pd.read_parquet(io.BytesIO(raw))
            if form == "parquet"
            else pd.read_csv(io.BytesIO(raw), dtype=str, keep_default_na=False, na_values=[])
        )
    except (ValueError, OSError, pd.errors.ParserError, ArrowException) as error:
        raise BadInput(f"{name}: not a {form} file: {error}") from error
    return [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def _jsonl_rows(raw: bytes, name: str) -> list[dict[str, Any]]:
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: byte {error.start} is not UTF-8") from error
    rows = []
    for number, line in enumerate(text.split("\n"), 1):  # no other line's end: U+2028 is part of a text
        if line.strip():
            row = parsed(line, f"{name}, line {number}")
            if not isinstance(row, dict):
                raise BadInput(f"{name}, line {number}: {line.strip()[:80]!r} must be a JSON object")
            rows.append(row)
    return rows


def import_rows(store: Store, table: str, rows: Sequence[Mapping[str, Any]]) -> Imported:
    """Store exported rows of one table; a row that is there already is counted, not stored twice."""
    if table not in TABLES or table not in _CLASS_OF:
        raise BadInput(f"no table {table!r} to import into: available are {', '.join(sorted(_CLASS_OF))}")
    records = [_record(table, row, index) for index, row in enumerate(rows, 1)]
    if table in _UNKEYED:  # compare what tells their rows apart
        columns = _UNKEYED[table]
        there = {tuple(row.values()) for row in store.rows(f"SELECT {', '.join(columns)} FROM {table}")}
        fresh = [record for record in records if tuple(getattr(record, name) for name in columns) not in there]
        store.add(*fresh)
        return Imported(len(fresh), len(records) - len(fresh))
    known = 0
    for record in records:
        try:
            store.add(record)
        except Duplicate:
            known += 1
    if table in _ROLLED_UP and known < len(records):
        store.refold()  # they are older than what was folded already
    return Imported(len(records) - known, known)


def check_log(store: Store) -> list[str]:
    """Return what is wrong with the log, in words; an empty list where nothing is."""
    return problems_in(lambda sql: int(store.rows(sql)[0]["n"]))


def _record(table: str, row: Mapping[str, Any], index: int) -> Any:
    if not isinstance(row, Mapping):
        raise BadInput(f"row {index} of {table} is {type(row).__name__}: it must be an object of columns")
    cls = _CLASS_OF[table]
    names = {f.name for f in fields(cls)} - {"notes"}
    missing, unknown = names - set(row) - _LATER.get(table, set()), set(row) - names
    if missing or unknown:
        raise BadInput(
            f"row {index}: columns of {table} are {', '.join(sorted(names))}; missing: {', '.join(sorted(missing)) or 'none'}, "
            f"unknown: {', '.join(sorted(unknown)) or 'none'}"
        )
    values = {name: row[name] for name in names if name in row}
    try:
        for name in ("created", "published", "since", "raised"):
            if name in values:
                values[name] = _moment(values[name])
        for name in ("input", "output", "variants", "guardrails", "segments", "versions"):
            if name in values and isinstance(values[name], str):
                values[name] = json.loads(values[name]) if values[name] else None
        if "variants" in values:
            values["variants"] = tuple(Variant(**variant) for variant in values["variants"])
        if "guardrails" in values:
            values["guardrails"] = guardrails_of(values["guardrails"])
        for name in ("segments", "versions"):
            if name in values:
                values[name] = tuple(values[name])
        hints = get_type_hints(cls)
        return cls(**{name: _typed(value, hints[name]) for name, value in values.items()})
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadInput(f"row {index} of {table}: {error}") from error


def _typed(value: Any, hint: Any) -> Any:
    """Turn a CSV's text into what the record holds there; other forms bring the right types already."""
    if hint in (int | None, int) and value not in (None, ""):
        return int(value)
    if hint == int | None:
        return None
    if hint is float:
        return float(value)
    if hint == float | None:
        return None if value in (None, "") else float(value)
    if hint is bool and isinstance(value, str):
        return {"True": True, "False": False, "true": True, "false": False}[value]
    return value


def _moment(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).removesuffix("Z"))
    return moment.replace(tzinfo=None)


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return None
    return value.item() if hasattr(value, "item") else value
