"""The rollup: what each user did on each day, kept small so that a report need not read the whole log. SQL alone.

A delta is one change of a user's counts: a prediction counts on its day, a correction on the day it was given, and a
withdrawal takes the same off on its own day. So the deltas up to a day add up to exactly what a page showed on that day.
`folded_user_days` holds sums of deltas, `folded` how far each source table is in them, and the view `user_days` adds the
deltas of the rest: it is right without any fold, and a fold makes it fast. A user's day can have several rows: sum them.

The marks are row numbers, which stay while rows are only appended. Whoever deletes rows of the log, or adds rows that are
older than ones folded already (an import), must call `Store.refold` right after it: where as many rows came as went, a
fold alone cannot tell. The view is stored by migration 3: a change of `deltas` needs a migration that makes it anew.
"""

from __future__ import annotations

from typing import Any, Protocol

SOURCES = ("predictions", "corrections", "withdrawals")
COUNTS = ("predictions", "corrected", "confirmed", "edits", "unscored", "timings", "log_latency", "skewed")
"""What is counted. `edits` and `log_latency` are doubles, the rest whole numbers; withdrawals can make deltas negative.

corrected, confirmed: answers by the prediction's own contributor; edits: marks they changed, unscored: answers of which
nobody counted them; timings: predictions whose latency is a number above 0, log_latency: the sum of its natural
logarithms (of milliseconds); skewed: predictions from before their contributor's first exposure in their experiment
(a wrong clock, an import), which are counted nowhere else, nor are answers to them. Forced predictions count nowhere.
"""
STEP = 1_000_000
"""Rows of a source folded at a time: bounds the memory of the first fold of a long log."""

TABLES = """
CREATE TABLE folded_user_days (
    experiment VARCHAR NOT NULL, experiment_number INTEGER NOT NULL, contributor VARCHAR NOT NULL,
    variant VARCHAR NOT NULL, day DATE NOT NULL, predictions INTEGER NOT NULL, corrected INTEGER NOT NULL,
    confirmed INTEGER NOT NULL, edits DOUBLE NOT NULL, unscored INTEGER NOT NULL, timings INTEGER NOT NULL,
    log_latency DOUBLE NOT NULL, skewed INTEGER NOT NULL);
CREATE TABLE folded (source VARCHAR NOT NULL, "rows" BIGINT NOT NULL, last BIGINT NOT NULL);
"""

_KEYS = "experiment, experiment_number, contributor, variant, day"
_TIMED = "latency_ms > 0 AND isfinite(latency_ms)"


class Connection(Protocol):
    """The one method that is needed of a database connection."""

    def execute(self, query: str, parameters: Any = None, /) -> Any:
        """Run one statement."""


def deltas(predictions: str, corrections: str, withdrawals: str) -> str:
    """Return the SELECT of the deltas of those rows of the sources that fit these conditions on `rowid`.

    `said` are answers and withdrawn answers with their sign. They meet the predictions in one join, and only the first
    exposures of contributors who occur are looked up: over a long log and a short tail these two decide the time.
    """
    shown = f"""SELECT experiment, experiment_number, contributor, variant, created, created::DATE AS day,
            1 AS predictions, 0 AS corrected, 0 AS confirmed, 0.0::DOUBLE AS edits, 0 AS unscored,
            ({_TIMED})::INTEGER AS timings, CASE WHEN {_TIMED} THEN ln(latency_ms) ELSE 0.0::DOUBLE END AS log_latency
        FROM predictions WHERE NOT forced AND {predictions}"""
    said = f"""SELECT prediction_id, contributor, created::DATE AS day, 1 AS sign, confirmation, edits
            FROM corrections WHERE {corrections}
        UNION ALL SELECT c.prediction_id, c.contributor, w.created::DATE, -1, c.confirmation, c.edits
            FROM (SELECT * FROM withdrawals WHERE {withdrawals}) w JOIN corrections c ON c.id = w.correction_id"""
    counted = ", ".join(f"CASE WHEN late THEN 0 ELSE {name} END AS {name}" for name in COUNTS[:-1])
    return f"""WITH said AS ({said}),
    events AS MATERIALIZED ({shown}
        UNION ALL SELECT p.experiment, p.experiment_number, p.contributor, p.variant, p.created, s.day, 0,
            s.sign * (NOT s.confirmation)::INTEGER, s.sign * s.confirmation::INTEGER, s.sign * coalesce(s.edits, 0.0),
            s.sign * (s.edits IS NULL)::INTEGER, 0, 0.0
        FROM said s JOIN predictions p ON p.id = s.prediction_id AND p.contributor = s.contributor WHERE NOT p.forced),
    firsts AS (SELECT experiment, contributor, min(created) AS first FROM exposures
        WHERE contributor IN (SELECT contributor FROM events) GROUP BY ALL),
    dated AS (SELECT e.*, coalesce(e.created < f.first, false) AS late
        FROM events e LEFT JOIN firsts f ON f.experiment = e.experiment AND f.contributor = e.contributor)
    SELECT {_KEYS}, {counted}, CASE WHEN late THEN predictions ELSE 0 END AS skewed FROM dated"""


def _tail(source: str) -> str:
    return f"rowid > (SELECT coalesce(max(last), -1) FROM folded WHERE source = '{source}')"


VIEW = f"""
CREATE VIEW user_days AS SELECT {_KEYS}, {", ".join(COUNTS)} FROM folded_user_days
    UNION ALL SELECT {_KEYS}, {", ".join(COUNTS)} FROM ({deltas(*(_tail(source) for source in SOURCES))});
"""


def fold(con: Connection) -> None:
    """Add what is new to the rollup; from nothing where rows of the log are gone. The caller holds the transaction."""
    marks = _marks(con)
    if not all(_adds_up(con, source, *marks[source]) for source in SOURCES):
        empty(con)
        marks = _marks(con)
    ends = {source: _number(con, f"SELECT coalesce(max(rowid), -1) FROM {source}") for source in SOURCES}
    steps = -(-max(ends[source] - marks[source][1] for source in SOURCES) // STEP)
    done = {source: marks[source][1] for source in SOURCES}
    summed = ", ".join(f"sum({name})" for name in COUNTS)
    for step in range(1, steps + 1):
        # Of each source the same part, so that what belongs to one user and day mostly meets in one step.
        upto = {source: marks[source][1] + (ends[source] - marks[source][1]) * step // steps for source in SOURCES}
        # Literal bounds: row groups outside of them are not read.
        between = [f"rowid > {done[source]} AND rowid <= {upto[source]}" for source in SOURCES]
        con.execute(f"INSERT INTO folded_user_days SELECT {_KEYS}, {summed} FROM ({deltas(*between)}) GROUP BY ALL")
        done = upto
    for source in SOURCES:
        if ends[source] > marks[source][1]:
            con.execute("DELETE FROM folded WHERE source = ?", [source])
            con.execute(f"INSERT INTO folded SELECT ?, count(*), ? FROM {source}", [source, ends[source]])


def empty(con: Connection) -> None:
    """Forget the rollup: the view reads the whole log again, and the next fold starts from nothing."""
    con.execute("DELETE FROM folded_user_days")
    con.execute("DELETE FROM folded")


def _marks(con: Connection) -> dict[str, tuple[int, int]]:
    known = {source: (int(rows), int(last)) for source, rows, last in con.execute("FROM folded").fetchall()}
    return {source: known.get(source, (0, -1)) for source in SOURCES}


def _adds_up(con: Connection, source: str, rows: int, last: int) -> bool:
    return rows == _number(con, f"SELECT count(*) FROM {source} WHERE rowid <= {last}")


def _number(con: Connection, sql: str) -> int:
    return int(con.execute(sql).fetchone()[0])
