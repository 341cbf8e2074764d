"""The log: one DuckDB file, one writer thread with group commit, guarded checkpoints, reads on cursors of their own.

It stores records and answers SQL. What the rows mean is the business of desk.py, experiments.py and analysis/.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import duckdb
import pandas as pd

from feedback import rollup
from feedback.checkpoint import copy_is_there, copy_whole, fsync, guarded_checkpoint, undo_interrupted, wal_bytes, wal_of
from feedback.disk import refuse_full_disk
from feedback.errors import AmendError, BadInput, Busy, Conflict, LogBroken, LogLocked, StorageFull
from feedback.headroom import KEEP_FREE, Headroom
from feedback.home import FileLock
from feedback.readers import PATIENCE, Readers
from feedback.records import Record
from feedback.rewriting import Act, remove_database, replace_log, rewrite_copy
from feedback.rows import COLUMNS, row_of
from feedback.rows import TABLE_OF as TABLE_OF
from feedback.schema import migrate
from feedback.wal_tail import cut_torn_tail

_LOG = logging.getLogger(__name__)
_QUEUE = 4096
_BATCH = 1024
_SLOW = "the log's disk is too slow just now: nothing of this call was stored; try again"
_LATER = 5  # seconds until a call is worth trying again
_ANEW = "the log is opened anew after its disk failed: try again"


class Duplicate(Conflict):
    """A row with this key is in the log already; nothing of the call was stored."""


class _Job(NamedTuple):
    rows: dict[str, list[tuple[Any, ...]]]  # table -> rows
    done: Future[None]


class _Command(NamedTuple):
    verb: str
    argument: Any
    done: Future[None]


class Listener(Protocol):
    """What is told of each add: the records once they are durable, or why they were not stored."""

    def stored(self, rows: Sequence[Record]) -> None:
        """These records are durable."""

    def refused(self, error: AmendError) -> None:
        """The records of one add were not stored."""


class Store:
    """The log in `directory`/log.duckdb. Safe to use from many threads; close it, or use it as a context manager.

    `keep_free` bytes of its disk are left alone: with less, writes raise StorageFull, and reads go on. `undone` says whether
    a checkpoint that was cut short was undone at the start; `refusing` why the last write was refused by the disk, "" where not.
    """

    def __init__(self, directory: Path, *, checkpoint_bytes: int = 16 * 2**20, keep_free: int = KEEP_FREE) -> None:
        self.file = directory / "log.duckdb"
        self.checkpoint_bytes = self._checkpoint_at = checkpoint_bytes
        self.refusing = ""
        self.rewrites = 0  # how often rows were changed or removed for good since it was opened
        self._broken = False  # to be opened anew before anything else is written
        self._unreadable = False  # and before anything else is read
        self._readers = Readers()
        self._headroom = Headroom(directory, keep_free)
        self._lock = FileLock(directory / "log.lock")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self.undone = undo_interrupted(self.file)
            self._con = self._open()
            self._migrate()
            self._settle()
        except OSError as error:
            self._lock.release()
            refuse_full_disk(error, directory)
            raise
        except BaseException:
            self._lock.release()
            raise
        self._queue: queue.Queue[_Job | _Command] = queue.Queue(_QUEUE)
        self._closed = False
        self._begun = math.inf  # when the writer took up what it is doing, on the monotonic clock
        self._listeners: list[Listener] = []
        self._writer = threading.Thread(target=self._write_forever, name="log-writer", daemon=True)
        self._writer.start()

    # -- opening -------------------------------------------------------------------------------------------------

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            con = self._connect()
        except duckdb.Error as error:
            if isinstance(error, duckdb.IOException) and "lock" in str(error).lower():
                raise LogLocked(f"{self.file} is open in another process; close it there first. DuckDB says: {error}") from error
            raise LogBroken(
                f"{self.file} cannot be opened; backups are in {self.file.parent / 'backups'}. DuckDB says: {error}"
            ) from error
        con.execute("SET GLOBAL checkpoint_threshold = '1TB'")  # checkpoints are ours alone, see checkpoint.py
        con.execute("PRAGMA disable_checkpoint_on_shutdown")
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        return con

    def _connect(self) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(str(self.file))
        except duckdb.Error as error:
            cut = cut_torn_tail(wal_of(self.file), str(error))
            if not cut:
                raise
            _LOG.warning(
                "%s: its last %d bytes were torn, as by a power cut in a write that nobody was told of; cut off", self.file, cut
            )
        return duckdb.connect(str(self.file))

    def _migrate(self) -> None:
        def copy(first: int) -> None:
            copy_whole(self.file, self.file.with_name(f"log.before-migration-{first}.duckdb"))

        if migrate(self._con, str(self.file), copy):
            guarded_checkpoint(self._con, self.file)

    def _settle(self) -> None:
        """Close the door behind the log: SQL from analysts must not read or write files of this machine."""
        self._con.execute("SET GLOBAL enable_external_access = false")

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, *rows: Record, patience: float = 30.0) -> None:
        """Store records, all or none; on return they are durable. Raises Duplicate, StorageFull or Busy.

        Busy: they wait no longer than `patience` seconds for a slow disk, or for a rewrite. Then they are not stored, or (those
        that were being written at that moment) may be: with keys made of what is sent, the same call again is safe.
        """
        by_table: dict[str, list[tuple[Any, ...]]] = {}
        for record in rows:
            table, row = row_of(record)
            by_table.setdefault(table, []).append(row)
        try:
            self._submit(_Job(by_table, Future()), patience)
        except AmendError as error:
            for listener in self._listeners:
                listener.refused(error)
            raise
        for listener in self._listeners:
            listener.stored(rows)

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of every `add` from now on, in the thread that called it."""
        self._listeners.append(listener)

    def waiting(self) -> int:
        """Return how many writes wait for the writer."""
        return self._queue.qsize()

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

    def _submit(self, job: _Job | _Command, patience: float | None = None) -> None:
        if self._closed:
            raise Busy("the log is closed: the app is stopping")
        if patience is not None and time.monotonic() - self._begun > patience:  # others have waited as long already
            raise Busy(_SLOW, _LATER)
        try:
            self._queue.put(job, timeout=5)
        except queue.Full:
            raise Busy("the log's queue is full: the disk is too slow for the load; try again", _LATER) from None
        try:
            job.done.result(patience)
        except TimeoutError:
            if job.done.cancel():
                raise Busy(_SLOW, _LATER) from None
            if not job.done.done():
                raise Busy("the log's disk is too slow just now, and this call was being written: look before it is sent anew "
                           "without the same Idempotency-Key", _LATER) from None  # fmt: skip
            job.done.result()  # it was done in this very moment

    def _write_forever(self) -> None:
        while True:
            self._begun = math.inf
            batch = [self._queue.get()]
            self._begun = time.monotonic()
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH:  # drain without waiting: whoever came during the last commit goes together
                    batch.append(self._queue.get_nowait())
            jobs = [item for item in batch if isinstance(item, _Job) and item.done.set_running_or_notify_cancel()]
            if jobs:
                self._write(jobs)
            for command in (item for item in batch if isinstance(item, _Command)):
                if not command.done.set_running_or_notify_cancel():
                    continue  # nobody waits for it any more
                if command.verb == "stop":
                    command.done.set_result(None)
                    return
                self._run(command)
            if jobs and not self._broken and wal_bytes(self.file) > self._checkpoint_at:
                self._tidy()

    def _tidy(self) -> None:
        """Fold and checkpoint between two writes. What fails is tried again some writes later: nothing waits for it."""
        self._checkpoint_at = self.checkpoint_bytes
        for verb in ("fold", "checkpoint"):  # folded, so that a report never has more than this to add up itself
            command = _Command(verb, None, Future())
            self._run(command)
            if error := command.done.exception():
                self._checkpoint_at = wal_bytes(self.file) + self.checkpoint_bytes // 4
                _LOG.warning("a %s is put off, no row is lost: %s", verb, error)
                return

    def _write(self, jobs: Sequence[_Job]) -> None:
        try:
            self._headroom.ask("nothing of this call was stored")
            self._mend()
            fresh = not wal_bytes(self.file)
            self._commit(jobs)
            if fresh:
                fsync(self.file.parent)  # or a power cut could take the name of the write-ahead log, and all in it
        except StorageFull as error:
            self._refuse(jobs, error)
        except duckdb.ConstraintException as error:
            if len(jobs) > 1:  # one of them is a duplicate: each on its own, so that only that one fails
                for job in jobs:
                    self._write([job])
                return
            jobs[0].done.set_exception(Duplicate(f"stored already: {error}"))
        except duckdb.FatalException as error:
            self._broken = self._unreadable = True
            self._refuse(
                jobs, StorageFull(f"the log could not be written and is opened anew; nothing of this call was stored: {error}")
            )
        except (duckdb.IOException, duckdb.TransactionException, OSError) as error:
            # A commit that fails for want of space is rolled back, and cut off the write-ahead log: it can be read and tried again.
            self._broken |= isinstance(error, duckdb.TransactionException) and "Failed to commit" not in str(error)
            self._refuse(jobs, StorageFull(f"the disk under the log refuses writes; nothing of this call was stored: {error}"))
        except (duckdb.DataError, duckdb.InvalidInputException, TypeError, ValueError) as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._write([job])
                return
            jobs[0].done.set_exception(BadInput(f"the log cannot hold this value: {error}"))
        except Exception as error:  # noqa: BLE001  # the thread's outer edge: a dead writer would hang every caller
            self._broken = True
            self._refuse(jobs, StorageFull(f"the log could not be written; nothing of this call was stored: {error}"))
        else:
            self.refusing = ""
            for job in jobs:
                job.done.set_result(None)

    def _refuse(self, jobs: Sequence[_Job], error: StorageFull) -> None:
        if not self.refusing:
            _LOG.warning("the log refuses writes until its disk takes them again: %s", error)
        self.refusing = str(error)
        for job in jobs:
            job.done.set_exception(error)

    def _commit(self, jobs: Sequence[_Job]) -> None:
        merged: dict[str, list[tuple[Any, ...]]] = {}
        for job in jobs:
            for table, rows in job.rows.items():
                merged.setdefault(table, []).extend(rows)
        with self._transaction():
            for table, rows in merged.items():
                appender = self._con.appender(table, columns=list(COLUMNS[table]))
                try:
                    appender.append_rows(rows)
                    appender.flush()
                except BaseException:
                    appender.clear()
                    raise

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._con.execute("BEGIN")
        try:
            yield
            self._con.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # a failed COMMIT has rolled back already
                self._con.execute("ROLLBACK")
            raise

    def _run(self, command: _Command) -> None:
        try:
            self._mend()
            if command.verb in ("checkpoint", "backup"):
                room = self.file.stat().st_size + 2 * wal_bytes(self.file)  # the copy of both, and the file grown by the other
                self._headroom.ask(f"no {command.verb} was begun", room)
            if command.verb == "checkpoint":
                guarded_checkpoint(self._con, self.file)
            elif command.verb in ("fold", "refold"):
                self._fold(anew=command.verb == "refold")
            elif command.verb == "rewrite":
                self._rewrite(command.argument)
            elif command.verb == "backup":
                copy_whole(self.file, command.argument)
        except StorageFull as error:
            command.done.set_exception(error)
        except Exception as error:  # noqa: BLE001  # the thread's outer edge, as above
            self._unreadable = self._unreadable or isinstance(error, duckdb.FatalException)
            self._broken = self._broken or self._unreadable or copy_is_there(self.file)
            command.done.set_exception(StorageFull(f"{command.verb} of the log failed; no stored row is lost: {error}"))
        else:
            command.done.set_result(None)

    def _fold(self, anew: bool) -> None:
        with self._transaction():
            if anew:
                rollup.empty(self._con)
            rollup.fold(self._con)

    def _rewrite(self, act: Act) -> None:
        copy, fresh = (self.file.with_name(f"log.{which}.partial") for which in ("copied", "rewritten"))
        remove_database(fresh)
        copy_whole(self.file, copy)
        rewrite_copy(copy, fresh, act)
        with self._readers.alone():
            self.rewrites += 1
            self._broken = self._unreadable = True  # until the new log is open: a failure in between is mended by the next call
            self._con.close()
            replace_log(self.file, fresh)
            self._open_anew()

    def _mend(self) -> None:
        """After a failure that left the connection or a checkpoint half-way: undo it and open the log anew.

        Raises where that fails; then nothing is acknowledged, and the next call tries again.
        """
        if not self._broken:
            return
        with self._readers.alone():
            self._unreadable = True
            with contextlib.suppress(duckdb.Error):
                self._con.close()
            self._open_anew()

    def _open_anew(self) -> None:
        undo_interrupted(self.file, keep_broken=False)  # why it broke is known, and the disk may be full
        self._con = self._open()
        self._settle()
        self._broken = self._unreadable = False

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
        if self._unreadable:
            self._submit(_Command("mend", None, Future()), PATIENCE)
        with self._readers.reading(), self._cursor(sql) as cursor:
            yield cursor

    @contextlib.contextmanager
    def _cursor(self, sql: str) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            statements = duckdb.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise BadInput("the log is read with one SELECT statement; it is written through the app's verbs only")
            cursor = self._con.cursor()
        except duckdb.ConnectionException as error:  # closed: its disk failed, and it could not be opened anew
            raise Busy(_ANEW) from error
        except duckdb.Error as error:
            raise BadInput(f"this SQL cannot be read: {error}") from error
        try:
            yield cursor
        except duckdb.FatalException as error:
            self._broken = self._unreadable = True
            raise Busy(_ANEW) from error
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


if __name__ == "__main__":
    from feedback.store_commands import main

    raise SystemExit(main())
