"""Long made-up logs for benchmarks: the store's own tables, filled by SQL. It measures nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import duckdb

from feedback.store import Store

DAYS = 28


class Size(NamedTuple):
    """How big a log is made; a user comes on 1 to `visits` days."""

    name: str
    predictions: int
    users: int
    visits: int


SIZES = {
    "small": (Size("100k", 100_000, 10_000, 3),),
    "full": (Size("1m", 1_000_000, 100_000, 3), Size("10m", 10_000_000, 100_000, 12), Size("10m_1m_users", 10_000_000, 1_000_000, 3)),
}  # fmt: skip


def build(home: Path, size: Size) -> None:
    """Make a log: the tables by the store's own migrations, the rows by SQL, since a commit for each would take a day."""
    with Store(home):
        pass
    with duckdb.connect(str(home / "log.duckdb")) as con:
        con.execute("SET checkpoint_threshold = '1TB'")
        con.execute("CREATE TEMP MACRO draw(a, b) AS (hash(concat(a, ':', b)) >> 11) / 9007199254740992.0")  # uniform in 0..1
        con.execute(
            f"""CREATE TEMP TABLE people AS SELECT i, 'u_' || md5('u' || i)[:24] AS contributor,
                CASE WHEN draw(i, 'arm') < .5 THEN 'champion' ELSE 'v2' END AS variant,
                TIMESTAMP '2026-03-01' + to_seconds(draw(i, 'first') * {DAYS} * 86400) AS first,
                1 + floor(draw(i, 'visits') * {size.visits})::INTEGER AS visits FROM range({size.users}) r(i)"""
        )
        con.execute(
            """INSERT INTO exposures SELECT 'x', 1, contributor, variant, CASE variant WHEN 'v2' THEN 2 ELSE 1 END, .5,
                CASE WHEN draw(i, 'channel') < .8 THEN 'page' ELSE 'api' END,
                list_element(['en', 'zh', 'de', 'fr'], 1 + floor(draw(i, 'language') * 4)::INTEGER),
                CASE WHEN draw(i, 'device') < .5 THEN 'phone' ELSE 'desktop' END, first FROM people ORDER BY first"""
        )
        con.execute(  # some users predict much more than others
            f"""CREATE TEMP TABLE shown AS SELECT j, 'p_' || md5('p' || j)[:24] AS id, contributor, variant, draw(j, 'luck') AS luck,
                first + to_days(floor(draw(j, 'visit') * visits)::INTEGER) + to_seconds(draw(j, 'second') * 3000) AS created
            FROM (SELECT j, floor({size.users} * pow(draw(j, 'who'), 1.5))::BIGINT AS i FROM range({size.predictions}) r(j))
            JOIN people USING (i)"""
        )
        con.execute(
            """INSERT INTO predictions SELECT id, contributor, 'x', 1, variant, CASE variant WHEN 'v2' THEN 2 ELSE 1 END,
                '"a text of some words that somebody sent"', 'h' || j % 1000, '{"label": "v1"}', .7, 20 + 100 * luck, false, 'page',
                'n', created FROM shown ORDER BY created"""
        )
        con.execute(
            """INSERT INTO corrections (id, prediction_id, contributor, output, confirmation, comment, created, edits)
            SELECT 'c_' || id[3:], id, contributor, '{"label": "v2"}', draw(j, 'right') < .4, '', created + to_seconds(20),
                CASE WHEN draw(j, 'right') < .4 THEN 0 ELSE 1 + floor(4 * draw(j, 'edits')) END
            FROM shown WHERE luck < .2 ORDER BY created"""
        )
        con.execute(
            """INSERT INTO withdrawals SELECT id, contributor, created + to_hours(30) FROM corrections
            WHERE draw(id, 'back') < .02 ORDER BY created"""
        )
        con.execute("CHECKPOINT")


COLUMNS = {
    "exposures": "contributor, variant, created",
    "predictions": "id, contributor, variant, latency_ms, created",
    "corrections": "id, prediction_id, contributor, confirmation, edits",
    "withdrawals": "correction_id",
}


def to_parquet(home: Path) -> None:
    """Write the columns that pandas needs, as an export of the log would."""
    with duckdb.connect(str(home / "log.duckdb")) as con:
        for name, columns in COLUMNS.items():
            con.execute(f"COPY (SELECT {columns} FROM {name}) TO '{home / name}.parquet' (FORMAT parquet)")
