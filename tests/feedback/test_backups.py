"""Backups while the app runs, and the way back: whole, verified, pruned, and never a log lost on the way."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from feedback.backups import Backups, back_up, listed, manifest_of
from feedback.demo import BackupSettings
from feedback.erasing import Eraser, NoCards
from feedback.errors import AmendError, BadInput, LogBroken, LogLocked, StorageFull
from feedback.home import Home
from feedback.records import Correction, Prediction, input_hash, now
from feedback.restoring import restore
from feedback.rewriting import rows_in
from feedback.store import Store
from feedback.store_commands import main
from feedback.verifying import verify
from tests.conftest import ROOT

_BLOCK = 256 * 1024


def prediction(name: str, contributor: str = "u_ann") -> Prediction:
    """Return one prediction about a text of its own."""
    text = f"text of {name}"
    return Prediction(f"p_{name}", contributor, "", 0, "champion", 1, text, input_hash(text), {"label": "v1"}, 0.5, 1.0)


def correction(name: str, contributor: str = "u_ann") -> Correction:
    """Return a correction of it."""
    return Correction(f"c_{name}", f"p_{name}", contributor, {"label": "v2"}, False)


def fill(store: Store, names: range, contributor: str = "u_ann") -> None:
    """Store so many predictions with their corrections."""
    for number in names:
        store.add(prediction(str(number), contributor), correction(str(number), contributor))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a log of twenty predictions and corrections, closed."""
    made = Home(tmp_path / "home")
    with Store(made.directory) as store:
        fill(store, range(20))
    return made


def counted(file: Path) -> dict[str, int]:
    """Return how many predictions and corrections a closed log has, and how many corrections hang in the air."""
    tables = ("predictions", "corrections", "corrections ANTI JOIN predictions p ON p.id = corrections.prediction_id")
    return {table.split(" A")[0] + ("" if "ANTI" not in table else " alone"): n for table, n in (
        (table, int(str(rows_in(file, f"SELECT count(*) FROM {table}", [])[0][0]))) for table in tables
    )}  # fmt: skip


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


def test_a_backup_restores_into_a_fresh_home(home: Home, tmp_path: Path) -> None:
    """Everything is back and hangs together; the versions that are not here are named."""
    (home.directory / "versions" / "v0001").mkdir(parents=True)
    with Store(home.directory) as store:
        file = back_up(store, home.backups)
    fresh = Home(tmp_path / "fresh")
    done = restore(fresh, file)
    assert (done.aside, done.missing, done.found.rows["corrections"]) == (None, ("v0001",), 20)
    with Store(fresh.directory) as store:
        assert store.rows("SELECT count(*) AS n FROM current_corrections")[0]["n"] == 20
        fill(store, range(20, 21))
    assert {path.name for path in fresh.directory.glob("log*")} == {"log.duckdb", "log.duckdb.wal", "log.lock"}


def test_the_log_of_before_is_put_aside_and_can_come_back(home: Home) -> None:
    """A restore keeps the present log, write-ahead log and all; restoring that one undoes the restore."""
    with Store(home.directory) as store:
        file = back_up(store, home.backups)
        fill(store, range(20, 25))
    done = restore(home, file)
    assert done.aside is not None
    assert counted(home.directory / "log.duckdb")["corrections"] == 20
    assert counted(done.aside)["corrections"] == 25
    again = restore(home, done.aside)
    assert again.found.rows["corrections"] == 25
    assert counted(home.directory / "log.duckdb") == {"predictions": 25, "corrections": 25, "corrections alone": 0}


def test_a_running_app_keeps_its_log(home: Home) -> None:
    """While somebody has the log open a restore refuses and changes nothing; it says who."""
    with Store(home.directory) as store:
        file = back_up(store, home.backups)
        fill(store, range(20, 22))
        with pytest.raises(LogLocked, match="in use by process"):
            restore(home, file)
        assert store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 22
    assert not list(home.backups.glob("log-aside-*"))


def test_a_damaged_backup_is_refused_in_words(home: Home) -> None:
    """Garbage in any block: either nothing that is read was in it, or the restore refuses, and the log stays as it is."""
    with Store(home.directory) as store:
        fill(store, range(20, 400))
        file = back_up(store, home.backups)
        fill(store, range(400, 403))
    whole, refused = file.read_bytes(), 0
    content = rows_in(file, "SELECT bit_xor(hash(p)) FROM predictions p", [])
    damaged = home.backups / "log-20200101T000000.duckdb"
    for start in range(0, len(whole), _BLOCK):
        place = 12288 + start + 5000 if start else 0
        damaged.write_bytes(whole[:place] + b"\xa5" * 4000 + whole[place + 4000 :])
        try:
            verify(damaged)
        except LogBroken:
            refused += 1
        else:
            assert rows_in(damaged, "SELECT bit_xor(hash(p)) FROM predictions p", []) == content
    assert refused >= 2
    damaged.write_bytes(b"\xa5" * 20_000 + whole[20_000:])
    with pytest.raises(LogBroken, match="damaged or no log"):
        restore(home, damaged)
    assert counted(home.directory / "log.duckdb")["predictions"] == 403
    with pytest.raises(BadInput, match=file.name):
        restore(home, home.backups / "nothing.duckdb")
    truncated = home.backups / "log-20200101T000001.duckdb"
    truncated.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LogBroken):
        verify(truncated)


_KILLS = """
import os, shutil, sys
from pathlib import Path
from feedback import restoring
from feedback.home import Home
from feedback.verifying import Verified

template, base, backup = map(Path, sys.argv[1:])
restoring.verify = lambda file: Verified(1, {}, [], None)  # tested elsewhere; here only files move

def killed_at(number, home):
    counter = 0
    def struck(real):
        def call(*args, **kwargs):
            nonlocal counter
            counter += 1
            if counter == number:
                os._exit(9)  # before it is done
            return real(*args, **kwargs)
        return call
    for owner, names in ((os, ("rename", "replace", "unlink", "link", "rmdir", "mkdir")), (shutil, ("copyfile",))):
        for name in names:
            setattr(owner, name, struck(getattr(owner, name)))
    restoring.restore(home, backup)
    os._exit(0)

number, status = 0, 9
while status == 9:
    number += 1
    directory = base / f"{number:03d}"
    shutil.copytree(template, directory)
    home = Home(directory)
    child = os.fork()
    if child == 0:
        try:
            killed_at(number, home)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status)
"""


def test_a_kill_at_any_step_of_a_restore_leaves_the_old_or_the_new(home: Home, tmp_path: Path) -> None:
    """A process is killed before each single file operation of a restore: the next start has 20 rows or 25, whole."""
    with Store(home.directory) as store:
        file = back_up(store, tmp_path)
        fill(store, range(20, 25))
    base = tmp_path / "killed"
    base.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _KILLS, str(home.directory), str(base), str(file)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr[-2000:]
    found = []
    for directory in sorted(base.iterdir()):
        with Store(directory) as store:
            (row,) = store.rows("SELECT (SELECT count(*) FROM predictions) AS p, (SELECT count(*) FROM current_corrections) AS c")
        assert row["p"] == row["c"]
        found.append(row["p"])
    assert found == sorted(found, reverse=True)  # never the new one by an earlier kill and the old one by a later
    assert set(found) == {20, 25}
    assert len(found) > 8


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


def test_what_a_killed_restore_leaves_goes_with_the_next_erasure(home: Home) -> None:
    """Staged files of a restore that was killed hold texts: an erasure removes them as it does its own."""
    with Store(home.directory) as store:
        fill(store, range(100, 103), "u_gone")
        file = back_up(store, home.backups)
    left = [
        home.directory / "log.copied.partial",
        home.directory / "log.copied.partial.wal",
        home.backups / "log-aside-20260101T000000.duckdb.partial",
        home.backups / "log-aside-20260101T000000.duckdb.partial.wal",
    ]
    for path in left:
        shutil.copyfile(file, path)
    with Store(home.directory) as store:
        Eraser(home, store, NoCards(), lambda *_: None).erase("u_gone", "sue")
    assert not [path for path in left if path.exists()]


def test_an_erasure_reaches_backups_and_what_was_put_aside(home: Home) -> None:
    """After it no byte of a backup, nor of a log put aside, has the person's text; the others' rows are there, and it restores."""
    with Store(home.directory) as store:
        fill(store, range(100, 103), "u_gone")
        file = back_up(store, home.backups)
    done = restore(home, file)
    assert done.aside is not None
    with Store(home.directory) as store:
        Eraser(home, store, NoCards(), lambda *_: None).erase("u_gone", "sue")
    for copy in (file, done.aside):
        assert b"text of 101" not in copy.read_bytes()
        assert counted(copy) == {"predictions": 20, "corrections": 20, "corrections alone": 0}
    assert restore(home, file).found.rows["predictions"] == 20


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


@pytest.fixture(autouse=True)
def _no_partials(tmp_path: Path) -> Iterator[None]:
    """Whatever a test did, no unfinished file is left in a home that nobody killed."""
    yield
    left = [path for path in tmp_path.glob("[hf]*/**/*partial*") if "killed" not in path.parts]
    assert left == []


def test_errors_are_ours() -> None:
    """What the commands catch covers what restore raises."""
    kinds: list[Any] = [LogBroken, LogLocked, StorageFull, BadInput]
    assert all(issubclass(kind, AmendError) for kind in kinds)
