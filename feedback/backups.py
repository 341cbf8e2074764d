"""Backups of the log: made while the app runs, read through before they count, pruned once a newer one has been.

A backup is `backups/log-TIME.duckdb` with a manifest beside it: rows, the versions that belong to it, the demo's TOML and the
alarms. Secrets are not in it: whoever steals a backup shall not get logins and cookies with it.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from feedback.checkpoint import log_bytes
from feedback.demo import BackupSettings
from feedback.errors import AmendError, LogBroken, StorageFull
from feedback.home import write_atomically
from feedback.records import now
from feedback.schema import TABLES
from feedback.store import Store
from feedback.verifying import Verified, verify
from feedback.watcher import Watcher
from feedback.webhook import Tell

Kind = Literal["scheduled", "asked"]
_NAME = re.compile(r"log-(\d{8}T\d{6})\d*")
_LOOK_SECONDS = 300.0
_ROOM = 64 * 2**20  # bytes that a backup leaves free
_LOG = logging.getLogger(__name__)


class Backup(NamedTuple):
    """One backup as it lies on disk. `verified` is None where nobody has read it through; `rows` are those of that moment."""

    file: Path
    made: datetime
    size: int
    kind: Kind
    verified: datetime | None
    rows: dict[str, int]
    versions: tuple[str, ...]


class Failure(NamedTuple):
    """Why the last attempt came to nothing."""

    at: datetime
    words: str


def manifest_of(file: Path) -> Path:
    """Return the path of a backup's manifest."""
    return file.with_suffix(".json")


def back_up(store: Store, directory: Path, kind: Kind = "asked", demo: Path | None = None) -> Path:
    """Write a verified copy of the log into `directory`, named by the moment; return its path.

    Raises StorageFull where there is no room or the copy fails, LogBroken where what was written cannot be read again.
    """
    _check_room(store.file, directory)
    target = directory / f"log-{now():%Y%m%dT%H%M%S%f}.duckdb"
    for again in (False, True):
        before = _counts(store)
        store.backup(target)
        try:
            found = verify(target)
        except AmendError:
            target.unlink(missing_ok=True)  # what cannot be read is no backup, and would only be mistaken for one
            raise
        if _fits(before, found, _counts(store)):
            _write_manifest(target, found, kind, demo)
            return target
        target.unlink(missing_ok=True)
        if again:
            raise LogBroken(f"the copy of the log had other row counts than the log: {before} before it, {found.rows} in it")
        _LOG.warning("a backup is made again: rows were erased while it was made, or it is not whole")
    raise AssertionError  # the loop returns or raises


def listed(directory: Path) -> list[Backup]:
    """Return the backups in a directory, newest first."""
    found = [_read(file) for file in directory.glob("log-*.duckdb") if _NAME.fullmatch(file.stem)]
    return sorted(found, key=lambda backup: backup.file.name, reverse=True)


class Backups:
    """Makes a backup every so many hours. `lock` is an erasure's: a backup is not pruned while one rewrites it."""

    def __init__(
        self,
        settings: BackupSettings,
        store: Store,
        directory: Path,
        demo: Path | None = None,
        tell: Tell | None = None,
        lock: threading.Lock | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._settings = settings
        self._store = store
        self._directory = directory
        self._demo = demo
        self._tell = tell
        self._erasing = lock or threading.Lock()
        self._clock = clock
        self._began = clock()
        self.failure: Failure | None = None
        self._watcher = Watcher("backups", self.look, _LOOK_SECONDS, _LOG, "a backup that was due was not made")

    def begin(self) -> None:
        """Look for a backup that is due now and then, where the demo asks for them."""
        if self._settings.every_hours:
            self._watcher.begin()

    def close(self) -> None:
        """Stop looking; a backup under way is finished first."""
        self._watcher.close()

    def all(self) -> list[Backup]:
        """Return every backup on disk, newest first."""
        return listed(self._directory)

    def newest(self) -> Backup | None:
        """Return the newest verified backup, or None."""
        return next((backup for backup in self.all() if backup.verified), None)

    def look(self) -> Path | None:
        """Make a backup where one is due, prune, and return it. A failure is kept, told to the webhook, and raised."""
        if not self._settings.every_hours:
            return None
        newest = self.newest()
        if newest and self._clock() - newest.made < timedelta(hours=self._settings.every_hours):
            return None
        try:
            made = back_up(self._store, self._directory, "scheduled", self._demo)
        except (AmendError, OSError) as error:
            first = self.failure is None
            self.failure = Failure(self._clock(), str(error))
            if first and self._tell:
                self._tell("backup_failed", detail=str(error))
            raise error if isinstance(error, AmendError) else StorageFull(str(error)) from error
        self.failure = None
        self._prune()
        return made

    def overdue(self) -> timedelta | None:
        """Return the age of the newest verified backup (or of this start) where it is over twice the interval, else None."""
        newest = self.newest()
        age = self._clock() - (newest.made if newest else self._began)
        late = self._settings.every_hours and age > 2 * timedelta(hours=self._settings.every_hours)
        return age if late else None

    def _prune(self) -> None:
        """Remove the scheduled ones past the newest `keep`: there is a newer verified one, or this is not called."""
        scheduled = [backup for backup in self.all() if backup.kind == "scheduled" and backup.verified]
        with self._erasing:
            for backup in scheduled[self._settings.keep :]:
                backup.file.unlink(missing_ok=True)
                manifest_of(backup.file).unlink(missing_ok=True)


def _check_room(log: Path, directory: Path) -> None:
    needed = log_bytes(log) + _ROOM
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise StorageFull(f"a backup needs {needed:,} bytes in {directory}; {free:,} are free")


def _counts(store: Store) -> dict[str, int]:
    counted = ", ".join(f'(SELECT count(*) FROM "{table}") AS "{table}"' for table in TABLES)
    return {table: int(number) for table, number in store.rows(f"SELECT {counted}")[0].items()}


def _fits(before: dict[str, int], found: Verified, after: dict[str, int]) -> bool:
    """Return whether the copy's rows lie between the log's before and after it: tables only grow, but for erasures."""
    return all(before[table] <= found.rows.get(table, -1) <= after[table] for table in TABLES)


def _write_manifest(file: Path, found: Verified, kind: Kind, demo: Path | None) -> None:
    home = file.parent.parent
    versions, alarms = home / "versions", home / "alarms.json"
    said = {
        "kind": kind,
        "verified": now().isoformat(timespec="seconds"),
        **found._asdict(),
        "versions": sorted(path.name for path in versions.iterdir() if not path.name.startswith("."))
        if versions.is_dir()
        else [],
        "alarms": json.loads(alarms.read_text(encoding="utf-8")) if alarms.exists() else None,
        "demo": demo.read_text(encoding="utf-8") if demo else None,
    }
    write_atomically(manifest_of(file), json.dumps(said, ensure_ascii=False, indent=1))


def _read(file: Path) -> Backup:
    match = _NAME.fullmatch(file.stem)
    assert match is not None, file
    try:
        said: dict[str, Any] = json.loads(manifest_of(file).read_text(encoding="utf-8"))
        verified: datetime | None = datetime.fromisoformat(said["verified"])
        rows = {str(table): int(number) for table, number in said["rows"].items()}
        kind: Kind = "scheduled" if said["kind"] == "scheduled" else "asked"
        versions = tuple(str(name) for name in said["versions"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # none, or none of ours: not verified, and never pruned
        verified, rows, kind, versions = None, {}, "asked", ()
    made = datetime.strptime(match[1], "%Y%m%dT%H%M%S")
    return Backup(file, made, file.stat().st_size, kind, verified, rows, versions)
