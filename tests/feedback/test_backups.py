"""Backups while the app runs, and the way back: whole, verified, pruned, and never a log lost on the way."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from feedback.backups import Backups, back_up, listed, manifest_of
from feedback.demo import BackupSettings
from feedback.errors import LogBroken, StorageFull
from feedback.home import Home
from feedback.records import now
from feedback.rewriting import rows_in
from feedback.store import Store
from feedback.store_commands import main
from tests.feedback.filled import correction, filled_home, prediction, unfinished


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home with a log of twenty predictions and corrections; at the end no unfinished file is left in it."""
    yield filled_home(tmp_path / "home")
    assert unfinished(tmp_path) == []


def test_a_backup_under_load_is_a_consistent_prefix(tmp_path: Path) -> None:
    """Four threads add while three backups are made: in each, every thread's rows are its first ones, without a gap."""
    home = Home(tmp_path / "home")
    stop = threading.Event()
    with Store(home.directory, checkpoint_bytes=100_000) as store:

        def add(thread: int) -> None:
            for number in itertools.count():
                if stop.is_set():
                    return
                store.add(prediction(f"{thread}-{number}"))
                store.add(correction(f"{thread}-{number}"))

        threads = [threading.Thread(target=add, args=(thread,)) for thread in range(4)]
        for each in threads:
            each.start()
        made = [back_up(store, home.backups) for _ in range(3)]
        stop.set()
        for each in threads:
            each.join()
    sizes = []
    for file in made:
        there = {str(row[0]) for row in rows_in(file, "SELECT id FROM predictions UNION ALL SELECT id FROM corrections", [])}
        for thread in range(4):
            order = (f"{kind}_{thread}-{number}" for number in itertools.count() for kind in "pc")
            prefix = set(itertools.takewhile(there.__contains__, order))
            assert prefix == {name for name in there if name[2:].startswith(f"{thread}-")}
        sizes.append(len(there))
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]
    assert [backup.file for backup in listed(home.backups)] == made[::-1]
    assert all(backup.verified and backup.rows["predictions"] for backup in listed(home.backups))


def test_the_newest_are_kept(home: Home) -> None:
    """Scheduled ones past `keep` go once a newer one is verified; those that a person asked for stay."""
    with Store(home.directory) as store:
        at = [now()]
        watch = Backups(BackupSettings(every_hours=1, keep=2), store, home.backups, clock=lambda: at[0])
        asked = back_up(store, home.backups)
        manifest = json.loads(manifest_of(asked).read_text(encoding="utf-8"))
        assert (manifest["kind"], manifest["problems"], manifest["rows"]["predictions"]) == ("asked", [], 20)
        assert watch.look() is None  # a verified one is young enough, whoever asked for it
        made = []
        for _ in range(3):
            at[0] += timedelta(hours=2)
            made.append(watch.look())
        assert {backup.file for backup in watch.all()} == {asked, made[1], made[2]}
        assert made[0] is not None
        assert not manifest_of(made[0]).exists()


def test_one_that_fails_prunes_nothing_and_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room: kept as the failure, told once, no file left behind, the old ones stay; with room it clears."""
    told: list[str] = []
    usage = shutil.disk_usage(home.directory)
    with Store(home.directory) as store:
        at = [now()]
        watch = Backups(
            BackupSettings(every_hours=1, keep=1), store, home.backups, tell=lambda event, **_: told.append(event), clock=lambda: at[0]
        )  # fmt: skip
        first = watch.look()
        at[0] += timedelta(hours=3)
        assert watch.overdue() == pytest.approx(timedelta(hours=3), abs=timedelta(minutes=1))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        for _ in range(2):
            with pytest.raises(StorageFull, match="1,000 are free"):
                watch.look()
        assert watch.failure is not None
        assert told == ["backup_failed"]
        assert [backup.file for backup in watch.all()] == [first]
        monkeypatch.undo()
        second = watch.look()
        assert second is not None
        assert watch.failure is None
        assert [backup.file for backup in watch.all()] == [second]
        at[0] = now()
        assert watch.overdue() is None


def test_a_copy_that_cannot_be_read_again_is_no_backup(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk gave back something else than was written, nothing is left that could be taken for a backup."""
    with Store(home.directory) as store:
        plain = store.backup

        def torn(target: Path) -> None:
            plain(target)
            target.write_bytes(b"\x00" * 9000 + target.read_bytes()[9000:])

        monkeypatch.setattr(store, "backup", torn)
        with pytest.raises(LogBroken):
            back_up(store, home.backups)
        assert listed(home.backups) == []
        lost = store.rows
        monkeypatch.setattr(store, "backup", plain)
        monkeypatch.setattr(store, "rows", lambda sql: [{k: v + 1 for k, v in row.items()} for row in lost(sql)])
        with pytest.raises(LogBroken, match="other row counts"):
            back_up(store, home.backups)
    assert listed(home.backups) == []


def test_none_is_made_where_none_is_wanted(home: Home) -> None:
    """every_hours = 0: no look, no thread, and it is never overdue."""
    with Store(home.directory) as store:
        watch = Backups(BackupSettings(every_hours=0), store, home.backups, clock=lambda: now() + timedelta(days=9))
        watch.begin()
        watch.close()
        assert (watch.look(), watch.overdue(), watch.all()) == (None, None, [])


def test_the_watch_makes_one_by_itself(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun, it makes the first backup without being asked, and closing waits for one under way."""
    monkeypatch.setattr("feedback.backups._LOOK_SECONDS", 0.05)
    with Store(home.directory) as store:
        watch = Backups(BackupSettings(), store, home.backups)
        watch.begin()
        deadline = time.monotonic() + 60
        while watch.newest() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        watch.close()
        assert [backup.kind for backup in watch.all()] == ["scheduled"]


def output(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Run the command; return its status and what it printed."""
    status = main(list(words))
    said = capsys.readouterr()
    return status, said.out + said.err


def test_the_commands(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """backup, backups, restore: each says in a line what it did; a locked log and a missing file end with status 1."""
    at = ("--home", str(home.directory))
    status, said = output(capsys, *at, "backup")
    assert status == 0
    file = said.strip()
    status, said = output(capsys, *at, "backups")
    assert (status, said.count("verified"), "41 rows" in said or "40 rows" in said) == (0, 1, True)
    status, said = output(capsys, *at, "restore", file)
    assert status == 0
    assert "kept as" in said
    assert "the log hangs together" in said
    assert "put aside" in output(capsys, *at, "backups")[1]
    with Store(home.directory):
        status, said = output(capsys, *at, "restore", file)
    assert (status, "in use by" in said) == (1, True)
    assert output(capsys, *at, "restore", "gone.duckdb")[0] == 1
