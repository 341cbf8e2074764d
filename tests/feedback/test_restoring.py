"""The way back: a backup in the log's place, the log of before put aside, and never a log lost on the way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedback.backups import back_up
from feedback.erasing import Eraser, NoCards
from feedback.errors import BadInput, LogBroken, LogLocked
from feedback.home import Home
from feedback.restoring import restore
from feedback.rewriting import rows_in
from feedback.store import Store
from feedback.verifying import verify
from tests.conftest import ROOT
from tests.feedback.filled import counted, fill, filled_home, unfinished

_BLOCK = 256 * 1024
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


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home with a log of twenty predictions and corrections; at the end no unfinished file is left in it."""
    yield filled_home(tmp_path / "home")
    assert unfinished(tmp_path) == []


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
