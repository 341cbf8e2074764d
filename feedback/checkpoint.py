"""The dangerous moment of a DuckDB file, guarded: copy file and WAL, checkpoint, drop the copy; undo at start what was cut short.

A CHECKPOINT rewrites live metadata in place, so a torn write there can make the file unopenable. While the copy
exists no commit is acknowledged, so a copy found at start is always the whole truth (measured in docs/decisions.md).
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import subprocess
from pathlib import Path

import duckdb

from feedback.disk import REFUSED

_PLAIN = {"PATH": os.defpath, "LC_ALL": "C"}


def wal_of(file: Path) -> Path:
    """Return the path of a database's write-ahead log."""
    return file.with_name(file.name + ".wal")


def wal_bytes(file: Path) -> int:
    """Return the size of a database's write-ahead log, 0 where there is none."""
    try:
        return wal_of(file).stat().st_size
    except FileNotFoundError:
        return 0


def log_bytes(file: Path) -> int:
    """Return the size of a database with its write-ahead log, 0 where there is neither."""
    return sum(path.stat().st_size for path in (file, wal_of(file)) if path.exists())


def _copy_directory(file: Path) -> Path:
    return file.with_name("before-checkpoint")


def fsync(path: Path) -> None:
    """Make a file or directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def copy_live(source: Path, target: Path) -> None:
    """Copy a file that this process has open in DuckDB, by a child process.

    POSIX drops all of a process's locks on a file as soon as it closes any handle on it, so copying in this
    process would let a second process open the database beside us. Raises OSError.
    """
    copied = subprocess.run(["cp", "--", str(source), str(target)], check=False, capture_output=True, text=True, env=_PLAIN)
    if copied.returncode:
        number = next((number for number in REFUSED if os.strerror(number) in copied.stderr), errno.EIO)
        raise OSError(number, f"{os.strerror(number)}: {copied.stderr.strip()}", str(target))
    fsync(target)  # the copy is not open in DuckDB: a handle of ours on it is harmless


def copy_whole(file: Path, target: Path) -> None:
    """Copy file and write-ahead log, fold the copy's log in, and put it in place in one step. Raises OSError, duckdb.Error.

    The caller holds the only writer, and nothing is in a transaction.
    """
    staged = target.with_name(target.name + ".partial")
    for path in (staged, wal_of(staged)):
        path.unlink(missing_ok=True)
    try:
        copy_live(file, staged)
        if wal_of(file).exists():
            copy_live(wal_of(file), wal_of(staged))
        with duckdb.connect(str(staged)) as con:
            con.execute("CHECKPOINT")
        fsync(staged)
        staged.rename(target)
    finally:  # half a copy must not fill the disk for good
        for path in (staged, wal_of(staged)):
            path.unlink(missing_ok=True)


def guarded_checkpoint(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Checkpoint with a copy to fall back on. The caller holds the only writer, and nothing is in a transaction.

    Raises OSError where the copy fails (disk full): the database is then untouched. Whatever is
    raised after that leaves the copy: the caller puts it back (undo_interrupted) before anything else is acknowledged.
    """
    final = _copy_directory(file)
    _drop_partials(file)
    # A name of its own: a `cp` that outlives a killed process must not write into the next one's copy.
    partial = final.with_name(f"{final.name}.{secrets.token_hex(4)}.partial")
    partial.mkdir()
    try:
        copy_live(file, partial / file.name)
        if wal_of(file).exists():
            copy_live(wal_of(file), partial / wal_of(file).name)
        fsync(partial)
        partial.rename(final)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    fsync(file.parent)
    con.execute("CHECKPOINT")
    drop_copy(file)


def _drop_partials(file: Path) -> None:
    for partial in file.parent.glob(_copy_directory(file).name + "*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def copy_is_there(file: Path) -> bool:
    """Return whether a copy waits: nothing may be acknowledged until it is dropped or put back."""
    return _copy_directory(file).is_dir()


def drop_copy(file: Path) -> None:
    """Remove the copy durably; from here on commits are acknowledged again."""
    final = _copy_directory(file)
    gone = final.with_name(final.name + ".done")
    shutil.rmtree(gone, ignore_errors=True)
    final.rename(gone)  # one atomic step: a half-removed copy must never be restored
    fsync(file.parent)
    shutil.rmtree(gone, ignore_errors=True)


def undo_interrupted(file: Path, *, keep_broken: bool = True) -> bool:
    """At start, before the file is opened: bring back the state before a checkpoint that was cut short.

    Returns whether something was undone. The broken file is kept as `<name>.broken` for inspection, unless `keep_broken` is off.
    """
    final = _copy_directory(file)
    _drop_partials(file)
    shutil.rmtree(final.with_name(final.name + ".done"), ignore_errors=True)
    if not final.is_dir():
        return False
    if file.exists() and keep_broken:
        os.replace(file, file.with_name(file.name + ".broken"))
    for path in (file, wal_of(file)):
        path.unlink(missing_ok=True)
        source = final / path.name
        if source.exists():
            staged = path.with_name(path.name + ".restored")
            staged.unlink(missing_ok=True)
            try:
                os.link(source, staged)  # needs no space: the disk may be full, and the copy stays whole until it is dropped
            except OSError:  # a file system without hard links
                shutil.copyfile(source, staged)
                fsync(staged)
            os.replace(staged, path)
    fsync(file.parent)
    drop_copy(file)
    return True
