"""The log: one DuckDB file, one writer thread with group commit, guarded checkpoints, reads on cursors of their own.

It stores records and answers SQL. What the rows mean is the business of desk.py, experiments.py and analysis/.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pandas as pd

from feedback import records, rollup
from feedback.checkpoint import copy_is_there, copy_live, fsync, guarded_checkpoint, undo_interrupted, wal_of
from feedback.errors import AmendError, BadInput, Busy, Conflict, LogBroken, LogLocked, StorageFull
from feedback.home import FileLock
from feedback.records import Record
from feedback.rewriting import Act, remove_database, replace_log, rewrite_copy
from feedback.schema import MIGRATIONS

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
}
_JSON_COLUMNS = {"input", "output", "variants", "guardrails", "segments", "versions"}
_TOLD_ONLY = {"notes"}
COLUMNS: dict[str, tuple[str, ...]] = {
    table: tuple(f.name for f in fields(cls) if f.name not in _TOLD_ONLY) for cls, table in TABLE_OF.items()
}
_QUEUE = 4096
_BATCH = 1024


class Duplicate(Conflict):
    """A row with this key is in the log already; nothing of the call was stored."""


class _Job(NamedTuple):
    rows: dict[str, list[tuple[Any, ...]]]  # table -> rows
    done: Future[None]


class _Command(NamedTuple):
    verb: str
    argument: Any
    done: Future[None]


class Store:
    """The log in `directory`/log.duckdb. Safe to use from many threads; close it, or use it as a context manager."""

    def __init__(self, directory: Path, *, checkpoint_bytes: int = 16 * 2**20) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / "log.duckdb"
        self.checkpoint_bytes = checkpoint_bytes
        self._broken = False
        self._gate = threading.Condition()
        self._readers = 0
        self._swapping = False
        self._lock = FileLock(directory / "log.lock")
        self._lock.acquire()
        try:
            self.undone = undo_interrupted(self.file)
            self._con = self._open()
            self._migrate()
            self._settle()
        except BaseException:
            self._lock.release()
            raise
        self._queue: queue.Queue[_Job | _Command] = queue.Queue(_QUEUE)
        self._closed = False
        self._writer = threading.Thread(target=self._write_forever, name="log-writer", daemon=True)
        self._writer.start()

    # -- opening -------------------------------------------------------------------------------------------------

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            con = duckdb.connect(str(self.file))
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise LogLocked(f"{self.file} is open in another process; close it there first. DuckDB says: {error}") from error
            raise LogBroken(
                f"{self.file} cannot be opened; copies are in {self.file.parent / 'backups'}. DuckDB says: {error}"
            ) from error
        con.execute("SET GLOBAL checkpoint_threshold = '1TB'")  # checkpoints are ours alone, see checkpoint.py
        con.execute("PRAGMA disable_checkpoint_on_shutdown")
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        return con

    def _migrate(self) -> None:
        con = self._con
        con.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name VARCHAR, applied TIMESTAMP)")
        row = con.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
        have = int(row[0]) if row else 0
        if have > MIGRATIONS[-1].number:
            raise Conflict(f"{self.file}: written by a newer Amend (migration {have}, known up to {MIGRATIONS[-1].number})")
        waiting = [m for m in MIGRATIONS if m.number > have]
        if waiting and have:
            self._copy_to(self.file.with_name(f"log.before-migration-{waiting[0].number}.duckdb"))
        for migration in waiting:
            con.execute("BEGIN")
            try:
                migration.apply(con)
                con.execute("INSERT INTO migrations VALUES (?, ?, ?)", [migration.number, migration.name, records.now()])
                con.execute("COMMIT")
            except duckdb.Error:
                con.execute("ROLLBACK")
                raise
        if waiting:
            guarded_checkpoint(con, self.file)

    def _settle(self) -> None:
        """Close the door behind the log: SQL from analysts must not read or write files of this machine."""
        self._con.execute("SET GLOBAL enable_external_access = false")

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, *rows: Record) -> None:
        """Store records, all or none; on return they are durable. Raises Duplicate, StorageFull or Busy."""
        by_table: dict[str, list[tuple[Any, ...]]] = {}
        for record in rows:
            table = TABLE_OF[type(record)]
            by_table.setdefault(table, []).append(tuple(_cell(record, name) for name in COLUMNS[table]))
        self._submit(_Job(by_table, Future()))

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file, guarded."""
        self._submit(_Command("checkpoint", None, Future()))

    def fold(self) -> None:
        """Bring the rollup up to date (rollup.py): reports are right without it, and fast with it."""
        self._submit(_Command("fold", None, Future()))

    def refold(self) -> None:
        """Make the rollup anew: after rows were deleted, or rows came in that are older than others folded before."""
        self._submit(_Command("refold", None, Future()))

    def rewrite(self, act: Act) -> None:
        """Change or remove rows for good: `act` works on a copy, which then takes the log's place, rollup made anew.

        All or nothing; what it removed is in no byte of the file or its write-ahead log after that. Writers wait meanwhile
        (for a time that grows with the log), readers only for the last step. Raises StorageFull.
        """
        self._submit(_Command("rewrite", act, Future()))

    def backup(self, target: Path) -> None:
        """Write a consistent copy of the whole log to `target` while the app runs. Refuses to overwrite."""
        if target.exists():
            raise Conflict(f"{target} exists already: a backup never overwrites; choose another name")
        self._submit(_Command("backup", target, Future()))

    def _submit(self, job: _Job | _Command) -> None:
        if self._closed:
            raise Busy("the log is closed: the app is stopping")
        try:
            self._queue.put(job, timeout=5)
        except queue.Full:
            raise Busy("the log's queue is full: the disk is too slow for the load; try again") from None
        job.done.result()

    def _write_forever(self) -> None:
        while True:
            batch = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH:  # drain without waiting: whoever came during the last commit goes together
                    batch.append(self._queue.get_nowait())
            jobs = [item for item in batch if isinstance(item, _Job)]
            if jobs:
                self._write(jobs)
            for command in (item for item in batch if isinstance(item, _Command)):
                if command.verb == "stop":
                    command.done.set_result(None)
                    return
                self._run(command)
            if jobs and self._wal_bytes() > self.checkpoint_bytes:
                self._run(_Command("fold", None, Future()))  # so that a report never has more than this to add up itself
                self._run(_Command("checkpoint", None, Future()))

    def _write(self, jobs: Sequence[_Job]) -> None:
        try:
            self._mend()
            self._commit(jobs)
        except duckdb.ConstraintException as error:
            if len(jobs) > 1:  # one of them is a duplicate: each on its own, so that only that one fails
                for job in jobs:
                    self._write([job])
                return
            jobs[0].done.set_exception(Duplicate(f"stored already: {error}"))
        except duckdb.FatalException as error:
            self._broken = True
            _fail(jobs, StorageFull(f"the log could not be written and is opened anew; nothing of this call was stored: {error}"))
        except (duckdb.IOException, OSError) as error:
            _fail(jobs, StorageFull(f"the disk under the log refuses writes; nothing of this call was stored: {error}"))
        except (duckdb.DataError, duckdb.InvalidInputException, TypeError, ValueError) as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._write([job])
                return
            jobs[0].done.set_exception(BadInput(f"the log cannot hold this value: {error}"))
        except Exception as error:  # noqa: BLE001  # the thread's outer edge: a dead writer would hang every caller
            self._broken = True
            _fail(jobs, StorageFull(f"the log could not be written; nothing of this call was stored: {error}"))
        else:
            for job in jobs:
                job.done.set_result(None)

    def _commit(self, jobs: Sequence[_Job]) -> None:
        merged: dict[str, list[tuple[Any, ...]]] = {}
        for job in jobs:
            for table, rows in job.rows.items():
                merged.setdefault(table, []).extend(rows)
        self._con.execute("BEGIN")
        try:
            for table, rows in merged.items():
                appender = self._con.appender(table, columns=list(COLUMNS[table]))
                try:
                    appender.append_rows(rows)
                    appender.flush()
                except BaseException:
                    appender.clear()
                    raise
            self._con.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # a failed COMMIT has rolled back already
                self._con.execute("ROLLBACK")
            raise

    def _run(self, command: _Command) -> None:
        try:
            self._mend()
            if command.verb == "checkpoint":
                guarded_checkpoint(self._con, self.file)
            elif command.verb in ("fold", "refold"):
                self._fold(anew=command.verb == "refold")
            elif command.verb == "rewrite":
                self._rewrite(command.argument)
            else:
                self._copy_to(command.argument)
        except Exception as error:  # noqa: BLE001  # the thread's outer edge, as above
            self._broken = self._broken or isinstance(error, duckdb.FatalException) or copy_is_there(self.file)
            command.done.set_exception(StorageFull(f"{command.verb} of the log failed; no stored row is lost: {error}"))
        else:
            command.done.set_result(None)

    def _fold(self, anew: bool) -> None:
        self._con.execute("BEGIN")
        try:
            if anew:
                rollup.empty(self._con)
            rollup.fold(self._con)
            self._con.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # a failed COMMIT has rolled back already
                self._con.execute("ROLLBACK")
            raise

    def _rewrite(self, act: Act) -> None:
        copy, fresh = (self.file.with_name(f"log.{which}.partial") for which in ("copied", "rewritten"))
        remove_database(fresh)
        self._copy_to(copy)
        rewrite_copy(copy, fresh, act)
        with self._alone():
            self._broken = True  # until the new log is open: a failure in between is mended before the next write
            self._con.close()
            replace_log(self.file, fresh)
            self._mend()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until nobody reads, and let nobody begin: a cursor would keep the old file open under the new one's name."""
        with self._gate:
            self._swapping = True
            self._gate.wait_for(lambda: self._readers == 0)
        try:
            yield
        finally:
            with self._gate:
                self._swapping = False
                self._gate.notify_all()

    def _mend(self) -> None:
        """After a failure that left the connection or a checkpoint half-way: undo it and open the log anew.

        Raises where that fails; then nothing is acknowledged, and the next call tries again.
        """
        if not self._broken:
            return
        with contextlib.suppress(duckdb.Error):
            self._con.close()
        undo_interrupted(self.file)
        self._con = self._open()
        self._settle()
        self._broken = False

    def _copy_to(self, target: Path) -> None:
        """Copy file and WAL, fold the copy's WAL in, and put it in place in one step."""
        staged = target.with_name(target.name + ".partial")
        for path in (staged, wal_of(staged)):
            path.unlink(missing_ok=True)
        copy_live(self.file, staged)
        if wal_of(self.file).exists():
            copy_live(wal_of(self.file), wal_of(staged))
        with duckdb.connect(str(staged)) as con:
            con.execute("CHECKPOINT")
        wal_of(staged).unlink(missing_ok=True)
        fsync(staged)
        staged.rename(target)

    def _wal_bytes(self) -> int:
        try:
            return wal_of(self.file).stat().st_size
        except FileNotFoundError:
            return 0

    # -- reading -------------------------------------------------------------------------------------------------

    def frame(self, sql: str, params: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the result of one SELECT. Anything but a single SELECT raises BadInput."""
        with self._reading(sql) as cursor:
            return cursor.execute(sql, list(params)).df()

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows of one SELECT as dicts; JSON columns are text."""
        with self._reading(sql) as cursor:
            result = cursor.execute(sql, list(params))
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    @contextlib.contextmanager
    def _reading(self, sql: str) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._gate:
            self._gate.wait_for(lambda: not self._swapping)
            self._readers += 1
        try:
            with self._cursor(sql) as cursor:
                yield cursor
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    @contextlib.contextmanager
    def _cursor(self, sql: str) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            statements = duckdb.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise BadInput("the log is read with one SELECT statement; it is written through the app's verbs only")
            cursor = self._con.cursor()
        except duckdb.Error as error:
            raise BadInput(f"this SQL cannot be read: {error}") from error
        try:
            yield cursor
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.PermissionException) as error:
            raise BadInput(f"this SQL cannot be answered: {error}") from error
        except (duckdb.Error, UnicodeError) as error:  # without the statement: it may hold other people's values
            raise BadInput(f"the log cannot answer for these values ({type(error).__name__})") from error
        finally:
            cursor.close()

    # -- closing -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Write what is queued, then let go of the file."""
        if self._closed:
            return
        stop = _Command("stop", None, Future())
        self._queue.put(stop)
        self._closed = True
        stop.done.result()
        self._writer.join()
        self._con.close()
        self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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


def _fail(jobs: Sequence[_Job], error: AmendError) -> None:
    for job in jobs:
        job.done.set_exception(error)


if __name__ == "__main__":
    from feedback.store_commands import main

    raise SystemExit(main())
