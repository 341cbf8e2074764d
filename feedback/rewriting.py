"""A DuckDB file written anew without the rows that were removed. It knows files and migrations, not what the rows mean.

DELETE and CHECKPOINT do not do it: the deleted text stays readable in the file's free blocks (measured with DuckDB
2.0, VACUUM included). So the rows are removed from a private copy, what is left of that goes into a new file, table by
table, and the new file takes the old one's place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from feedback import rollup
from feedback.checkpoint import fsync, undo_interrupted, wal_of
from feedback.errors import Conflict, LogBroken
from feedback.schema import MIGRATIONS

Act = Callable[[rollup.Connection], None]
"""What is done to the copy's rows, in one transaction."""

_ROLLUP = 3
"""The migration that made the rollup's tables: an older copy has none."""


def rewrite_copy(copy: Path, target: Path, act: Act) -> None:
    """Run `act` on `copy` (private, open nowhere), write what is left to the new file `target`, and remove the copy.

    The target has the copy's schema, its rollup is made anew, and it is durable. Raises duckdb.Error or OSError; then
    there is no target.
    """
    try:
        with duckdb.connect(str(copy)) as con:
            con.execute("BEGIN")
            act(con)
            con.execute("COMMIT")
            number = _number(con)
            _new_file(target, number)
            con.execute(f"ATTACH '{_quoted(target)}' AS fresh")
            for table, columns in _tables(con):
                con.execute(f"INSERT INTO fresh.main.{table} ({columns}) SELECT {columns} FROM {_main(con)}.main.{table}")
            con.execute("CHECKPOINT fresh")
            con.execute("DETACH fresh")
        if number >= _ROLLUP:
            with duckdb.connect(str(target)) as con:
                rollup.fold(con)
                con.execute("CHECKPOINT")
        fsync(target)
    except BaseException:
        remove_database(target)
        raise
    finally:
        remove_database(copy)


def rewrite_file(file: Path, act: Act) -> None:
    """Rewrite a copy of the log that no process has open (a backup), in place and in one step. Raises LogBroken, OSError."""
    copy, fresh = file.with_name(file.name + ".old.partial"), file.with_name(file.name + ".new.partial")
    for path in (copy, fresh):
        remove_database(path)
    try:
        shutil.copyfile(file, copy)
        if wal_of(file).exists():
            shutil.copyfile(wal_of(file), wal_of(copy))
        rewrite_copy(copy, fresh, act)
    except duckdb.Error as error:
        raise LogBroken(f"{file} cannot be rewritten. DuckDB says: {type(error).__name__}") from error
    finally:
        remove_database(copy)
    wal_of(file).unlink(missing_ok=True)
    fresh.replace(file)
    fsync(file.parent)


def replace_log(file: Path, fresh: Path) -> None:
    """Put a rewritten log in the place of the closed one, through the door of checkpoint.py: a kill at any point ends in
    the old log whole or the new one whole. Nothing may be acknowledged until this returns.
    """
    final = file.with_name("before-checkpoint")
    partial = final.with_name(final.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    fresh.rename(partial / file.name)
    fsync(partial)
    partial.rename(final)  # from here on the new log counts: whoever opens the directory next puts it in place
    fsync(file.parent)
    file.unlink(missing_ok=True)  # so that undoing keeps no `.broken` of it; a restore may find no log at all
    wal_of(file).unlink(missing_ok=True)
    undo_interrupted(file)


def rows_in(file: Path, sql: str, parameters: Sequence[object]) -> list[tuple[object, ...]]:
    """Return the rows of a SELECT on a copy of the log that no process has open. Raises LogBroken."""
    try:
        with duckdb.connect(str(file), read_only=True) as con:
            return con.execute(sql, list(parameters)).fetchall()
    except duckdb.Error as error:
        raise LogBroken(f"{file} cannot be read. DuckDB says: {type(error).__name__}") from error


def remove_database(file: Path) -> None:
    """Remove a database file and its write-ahead log, where they are there."""
    for path in (file, wal_of(file)):
        path.unlink(missing_ok=True)


def _new_file(target: Path, number: int) -> None:
    with duckdb.connect(str(target)) as con:
        con.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name VARCHAR, applied TIMESTAMP)")
        for migration in MIGRATIONS:
            if migration.number <= number:
                migration.apply(con)
        con.execute("CHECKPOINT")


def _number(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    number = int(row[0]) if row else 0
    if not 1 <= number <= MIGRATIONS[-1].number:
        raise Conflict(f"this copy of the log is at migration {number}; known are 1 to {MIGRATIONS[-1].number}")
    return number


def _main(con: duckdb.DuckDBPyConnection) -> str:
    row = con.execute("SELECT current_database()").fetchone()
    assert row is not None
    return '"' + str(row[0]).replace('"', '""') + '"'


def _tables(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return each table with its columns; not the rollup's, which counts rows that may be gone."""
    rows = con.execute(
        """SELECT table_name, string_agg('"' || column_name || '"', ', ' ORDER BY column_index) FROM duckdb_columns()
           WHERE database_name = current_database() AND NOT internal AND table_name NOT IN ('folded', 'folded_user_days')
             AND table_name IN (SELECT table_name FROM duckdb_tables() WHERE database_name = current_database())
           GROUP BY table_name ORDER BY table_name"""
    ).fetchall()
    return [(str(table), str(columns)) for table, columns in rows]


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
