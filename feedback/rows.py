"""Records as the log's rows: which table holds which record, and what a field is in its column. It knows no database."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from feedback import records
from feedback.records import Record

TABLE_OF: dict[type[Any], str] = {
    records.Exposure: "exposures",
    records.Prediction: "predictions",
    records.Correction: "corrections",
    records.Pair: "pairs",
    records.Vote: "votes",
    records.Trap: "traps",
    records.Asked: "asked",
    records.Block: "blocks",
    records.Erasure: "erasures",
    records.Review: "reviews",
    records.Withdrawal: "withdrawals",
    records.Experiment: "experiments",
    records.Promotion: "promotions",
    records.TrainingRun: "training_runs",
    records.Use: "uses",
    records.FeedItem: "feed_items",
    records.EarlyWarning: "warnings",
}
_JSON_COLUMNS = {"input", "output", "variants", "guardrails", "segments", "versions"}
_TOLD_ONLY = {"notes"}
COLUMNS: dict[str, tuple[str, ...]] = {
    table: tuple(f.name for f in fields(cls) if f.name not in _TOLD_ONLY) for cls, table in TABLE_OF.items()
}


def row_of(record: Record) -> tuple[str, tuple[Any, ...]]:
    """Return a record's table, and its cells in the order of COLUMNS; JSON as text."""
    table = TABLE_OF[type(record)]
    return table, tuple(_cell(record, name) for name in COLUMNS[table])


def _cell(record: Record, name: str) -> Any:
    value = getattr(record, name)
    if name in _JSON_COLUMNS:
        if name == "output" and value is None:
            return None
        if name == "variants":
            value = [{"name": v.name, "version": v.version, "share": v.share, "settings": dict(v.settings)} for v in value]
        if name == "guardrails":
            value = [{"metric": g.metric, "margin": g.margin} for g in value]
        return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
    return value
