"""What one contributor gave, as they see it and take it with them: JSON, or a zip with CSV for spreadsheets and the same JSON.

It says nothing of why an item was asked about: whoever knew could tell traps from questions.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import datetime
from typing import Any, NamedTuple

from feedback.records import now
from feedback.store import Store

TABLES = {
    "predictions": """SELECT p.id, p.created, CASE WHEN a.prediction_id IS NULL THEN p.input END AS input, p.output, p.confidence,
            a.prediction_id IS NOT NULL AS asked, p.experiment, p.variant, p.version, p.channel, p.network
        FROM predictions p LEFT JOIN asked a ON a.prediction_id = p.id WHERE p.contributor = $1 ORDER BY p.created, p.id""",
    "corrections": """SELECT c.id, c.prediction_id, c.created, c.output, c.confirmation, c.comment, s.status, s.reason,
            coalesce((SELECT list(u.version ORDER BY u.version) FROM uses u
                WHERE u.correction_id = c.id AND u.part = 'train'), []) AS versions,
            coalesce((SELECT list(u.version ORDER BY u.version) FROM uses u
                WHERE u.correction_id = c.id AND u.part = 'gate'), []) AS checks
        FROM corrections c JOIN current_corrections s ON s.id = c.id WHERE c.contributor = $1 ORDER BY c.created, c.id""",
    "withdrawals": "SELECT correction_id, created FROM withdrawals WHERE contributor = $1 ORDER BY created",
    "pairs": """SELECT id, created, experiment, left_prediction, right_prediction FROM pairs
        WHERE contributor = $1 ORDER BY created, id""",
    "votes": "SELECT pair_id, created, choice FROM votes WHERE contributor = $1 ORDER BY created, pair_id",
    "exposures": """SELECT experiment, experiment_number, created, variant, version, channel, language, device
        FROM exposures WHERE contributor = $1 ORDER BY created, experiment""",
}
"""What a contributor gets of each table. The text of an item that they were asked about is somebody else's: left out."""

_FOR_STAFF = {
    "asked": "SELECT prediction_id, kind, created FROM asked WHERE contributor = $1 ORDER BY created",
    "reviews": """SELECT r.correction_id, r.verdict, r.output, r.reviewer, r.reason, r.created FROM reviews r
        JOIN corrections c ON c.id = r.correction_id WHERE c.contributor = $1 ORDER BY r.created""",
    "blocks": "SELECT blocked, author, reason, created FROM blocks WHERE contributor = $1 ORDER BY created",
}
"""What an administrator sees besides."""
_JSON = ("input", "output")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class OwnData(NamedTuple):
    """Everything of one contributor: table -> rows with JSON values; moments are ISO 8601 in UTC."""

    contributor: str
    created: str
    tables: dict[str, list[dict[str, Any]]]


class OwnSummary(NamedTuple):
    """How much one contributor gave; `first` and `last` are None where they gave nothing. `statuses`: corrections by status."""

    contributor: str
    predictions: int
    corrections: int
    votes: int
    statuses: dict[str, int]
    versions: tuple[int, ...]
    first: str | None
    last: str | None


def own_data(store: Store, contributor: str, *, staff: bool = False) -> OwnData:
    """Return everything that the log has of a contributor; with `staff` why they were asked, all verdicts, and blocks."""
    queries = {**TABLES, **(_FOR_STAFF if staff else {})}
    tables = {name: [_plain(row) for row in store.rows(sql, [contributor])] for name, sql in queries.items()}
    return OwnData(contributor, now().isoformat(timespec="seconds") + "Z", tables)


def own_summary(store: Store, contributor: str) -> OwnSummary:
    """Return how much a contributor gave, and which versions learned from it."""
    row = store.rows(
        """SELECT (SELECT count(*) FROM predictions WHERE contributor = $1) AS predictions,
                  (SELECT count(*) FROM corrections WHERE contributor = $1) AS corrections,
                  (SELECT count(*) FROM votes WHERE contributor = $1) AS votes,
                  (SELECT min(created) FROM predictions WHERE contributor = $1) AS first,
                  (SELECT max(created) FROM predictions WHERE contributor = $1) AS last""",
        [contributor],
    )[0]
    statuses = store.rows(
        "SELECT status, count(*) AS n FROM current_corrections WHERE contributor = ? GROUP BY status ORDER BY status",
        [contributor],
    )
    versions = store.rows(
        """SELECT DISTINCT u.version FROM uses u JOIN corrections c ON c.id = u.correction_id
           WHERE c.contributor = ? AND u.part = 'train' ORDER BY u.version""",
        [contributor],
    )
    return OwnSummary(
        contributor, row["predictions"], row["corrections"], row["votes"], {str(s["status"]): int(s["n"]) for s in statuses},
        tuple(int(v["version"]) for v in versions), _iso(row["first"]), _iso(row["last"]),
    )  # fmt: skip


def as_json(data: OwnData) -> bytes:
    """Return the data as one JSON document, UTF-8."""
    return json.dumps(data._asdict(), ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")


def as_zip(data: OwnData) -> bytes:
    """Return a zip: data.json, and a CSV for each table that has rows.

    In the CSV a cell that a spreadsheet would run as a formula begins with an apostrophe (OWASP, CSV injection); the
    JSON has every text as it was written.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.json", as_json(data))
        for name, rows in data.tables.items():
            if rows:
                archive.writestr(f"{name}.csv", _csv(rows))
    return buffer.getvalue()


def _csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue().encode("utf-8-sig", "surrogatepass")  # the mark tells Excel that it is UTF-8


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its JSON read and its moments as text."""
    plain = {key: _iso(value) if isinstance(value, datetime) else value for key, value in row.items()}
    return {key: json.loads(value) if key in _JSON and isinstance(value, str) else value for key, value in plain.items()}


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="seconds") + "Z"
