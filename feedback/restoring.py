"""A backup put in the log's place. The present log is never deleted: it is put aside among the backups, where erasures reach it.

A kill at any moment leaves the old log whole or the new one whole.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from feedback.backups import listed
from feedback.checkpoint import fsync, log_bytes, undo_interrupted, wal_of
from feedback.errors import BadInput, StorageFull
from feedback.home import FileLock, Home
from feedback.records import now
from feedback.rewriting import remove_database, replace_log, rewrite_file
from feedback.verifying import Verified, verify


class Restored(NamedTuple):
    """What a restore did. `aside` is where the log of before lies, None where there was none; `missing` versions are on no disk here."""

    found: Verified
    aside: Path | None
    missing: tuple[str, ...]


def restore(home: Home, backup: Path) -> Restored:
    """Verify a backup, put the present log aside and the backup in its place. Nothing is changed where any of that fails.

    Raises LogLocked while the app runs, LogBroken where the backup is damaged, BadInput where it is no file, StorageFull.
    """
    if not backup.is_file():
        raise BadInput(f"{backup}: no such backup; there are: {', '.join(b.file.name for b in listed(home.backups)) or 'none'}")
    lock = FileLock(home.directory / "log.lock")
    lock.acquire()
    try:
        # Staged under the name that a rewrite of the log begins with: what a kill leaves here goes with the next erasure.
        log, staged = home.directory / "log.duckdb", home.directory / "log.copied.partial"
        undo_interrupted(log)
        _check_room(home.directory, log_bytes(backup) + log_bytes(log))
        remove_database(staged)
        try:
            _copy(backup, staged)
            if wal_of(staged).exists():
                rewrite_file(staged, lambda _: None)  # one put aside has a write-ahead log: what is swapped in is one file
            found = verify(staged)  # the copy, not the original: what is verified is what will serve
            aside = put_aside(log, home.backups)
            replace_log(log, staged)
        finally:
            remove_database(staged)
    finally:
        lock.release()
    versions = home.directory / "versions"
    return Restored(found, aside, tuple(name for name in _versions_of(backup) if not (versions / name).is_dir()))


def put_aside(log: Path, directory: Path) -> Path | None:
    """Copy a log that nobody has open, with its write-ahead log, to `log-aside-TIME.duckdb`; return the copy's path.

    A copy, not a second name for the same file: until the swap is done the old log may yet be opened and written.
    """
    if not log.exists():
        return None
    target = directory / f"log-aside-{now():%Y%m%dT%H%M%S%f}.duckdb"
    staged = target.with_name(target.name + ".partial")
    remove_database(staged)
    _copy(log, staged)
    staged.rename(target)
    if wal_of(staged).exists():
        wal_of(staged).rename(wal_of(target))
    fsync(directory)
    return target


def _copy(source: Path, target: Path) -> None:
    """Copy a database file with its write-ahead log, which one put aside has."""
    _copy_file(source, target)
    if wal_of(source).exists():
        _copy_file(wal_of(source), wal_of(target))


def _copy_file(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    fsync(target)


def _check_room(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise StorageFull(
            f"a restore needs {needed:,} bytes in {directory} (the backup, and the present log put aside); {free:,} are free"
        )


def _versions_of(backup: Path) -> tuple[str, ...]:
    """Return the names of the versions that belong to a backup; none where it has no manifest."""
    return next((known.versions for known in listed(backup.resolve().parent) if known.file.name == backup.name), ())
