"""Damage made on purpose: torn blocks, torn ends, kills at every step of a checkpoint and of a migration. Acknowledged is kept.

Kills at random moments: test_kill_storm.py. A training that is killed: tests/model/test_faults.py.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from feedback import schema
from feedback.checkpoint import wal_of
from feedback.errors import LogBroken
from feedback.records import Prediction
from feedback.schema import MIGRATIONS
from feedback.store import Store
from feedback.transfer import check_log

BLOCK = 262_144
FIRST_BLOCK = 12_288


def prediction(name: object) -> Prediction:
    """Return a prediction row of some size, which does not compress."""
    return Prediction(f"p_{name}", "u", "", 0, "champion", 1, os.urandom(150).hex(), "h", {}, 0.5, 1.0)


def stored(store: Store) -> int:
    """Return how many predictions the log holds."""
    return int(store.rows("SELECT count(*) AS n FROM predictions")[0]["n"])


def goes_on(directory: Path, count: int) -> bool:
    """Check that a log opens with `count` rows, takes more, checkpoints and opens again; return whether a checkpoint was undone."""
    with Store(directory) as store:
        undone = store.undone
        assert stored(store) == count
        store.add(prediction("later"))
        store.checkpoint()
        store.add(prediction("last"))
    with Store(directory) as store:
        assert stored(store) == count + 2
        assert check_log(store) == []
    return undone


def tear(file: Path) -> None:
    """Write garbage over the whole metadata block that a checkpoint rewrites in place."""
    with file.open("r+b") as opened:
        opened.seek(FIRST_BLOCK)
        opened.write(os.urandom(BLOCK))


# -- a torn block ------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of 40 rows: 20 in the file, 20 in its write-ahead log."""
    with Store(tmp_path / "log") as store:
        for number in range(20):
            store.add(prediction(number))
        store.checkpoint()
        for number in range(20, 40):
            store.add(prediction(number))
    return tmp_path / "log"


def test_a_torn_metadata_block_is_undone_from_the_copy(log: Path) -> None:
    """The live block is garbage, the copy from before the checkpoint is there: every row comes back, and the log goes on."""
    copy = log / "before-checkpoint"
    copy.mkdir()
    for file in (log / "log.duckdb", wal_of(log / "log.duckdb")):
        shutil.copy(file, copy / file.name)
    tear(log / "log.duckdb")
    assert goes_on(log, 40)
    assert not copy.exists()


def test_a_torn_metadata_block_without_a_copy_is_told_with_the_way_out(log: Path) -> None:
    """Without the copy nothing can be undone: the error says what cannot be opened and where backups are; nothing is changed."""
    tear(log / "log.duckdb")
    before = (log / "log.duckdb").read_bytes()
    with pytest.raises(LogBroken, match=rf"log\.duckdb cannot be opened; backups are in {log}/backups"):
        Store(log)
    assert (log / "log.duckdb").read_bytes() == before


# -- a torn end of the write-ahead log -----------------------------------------------------------------------------------


def cut(count: int) -> Callable[[Path], None]:
    """Return the damage that takes the last bytes away."""
    return lambda wal: os.truncate(wal, wal.stat().st_size - count)


def append(tail: bytes) -> Callable[[Path], None]:
    """Return the damage that puts bytes behind the end."""

    def damage(wal: Path) -> None:
        with wal.open("ab") as file:
            file.write(tail)

    return damage


def blank(back: int, count: int) -> Callable[[Path], None]:
    """Return the damage that leaves noughts `back` bytes before the end, as where a page never reached the disk."""

    def damage(wal: Path) -> None:
        with wal.open("r+b") as file:
            file.seek(-back, os.SEEK_END)
            file.write(bytes(count))

    return damage


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (cut(1), 39),
        (cut(9), 39),
        (cut(300), 39),
        (append(bytes(4096)), 40),
        (append(b"\xee" * 100), 40),
        (append(os.urandom(1000)), 40),
        (append(b"\x01"), 40),
        (blank(300, 200), 39),
    ],
    ids=["1 byte short", "9 bytes short", "300 bytes short", "noughts behind", "0xee behind", "noise behind", "1 byte behind",
         "a hole in the last"],
)  # fmt: skip
def test_a_torn_end_takes_only_what_was_not_acknowledged(log: Path, damage: Callable[[Path], None], kept: int) -> None:
    """A commit is acknowledged once all of it is durable: a torn end is left out, all before it is there, and the log goes on."""
    damage(wal_of(log / "log.duckdb"))
    assert not goes_on(log, kept)


def test_a_hole_in_the_last_transaction_is_told(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is cut off is in the program's log, with its size."""
    blank(300, 200)(wal_of(log / "log.duckdb"))
    with caplog.at_level(logging.WARNING), Store(log):
        pass
    assert "bytes were torn" in caplog.text


def test_damage_in_the_middle_is_never_cut_off(log: Path) -> None:
    """Acknowledged rows stand behind it: the log is left as it is, for a backup or a person, and the error says so."""
    wal = wal_of(log / "log.duckdb")
    blank(wal.stat().st_size // 2, 100)(wal)
    before = wal.read_bytes()
    with pytest.raises(LogBroken, match="backups are in"):
        Store(log)
    assert wal.read_bytes() == before


# -- a kill at every step of a checkpoint ------------------------------------------------------------------------------

_KILLED = """
import os, resource, signal, sys
from pathlib import Path
from feedback import checkpoint
from feedback.records import Prediction
from feedback.store import Store

def row(n):
    return Prediction(f"p_{n}", "u", "", 0, "champion", 1, os.urandom(150).hex(), "h", {}, 0.5, 1.0)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def die_if(right, then):
    return lambda path, *rest, **more: die() if right(Path(path)) else then(path, *rest, **more)

class Limited:  # a connection that dies of the size of its file, in the middle of a CHECKPOINT
    def __init__(self, con, limit):
        self.con, self.limit = con, limit
    def __getattr__(self, name):
        return getattr(self.con, name)
    def execute(self, sql, *rest):
        if sql == "CHECKPOINT":
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, self.limit))
        return self.con.execute(sql, *rest)

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
directory, step = Path(sys.argv[1]), sys.argv[2]
store = Store(directory)
store.add(*(row(n) for n in range(3000)))
store.checkpoint()
store.add(*(row(n) for n in range(3000, 6000)))
size = store.file.stat().st_size
if step == "while copying":
    def half(source, target):
        target.write_bytes(source.read_bytes()[:size // 2])
        die()
    checkpoint.copy_live = half
elif step == "copied":
    checkpoint.fsync = die_if(lambda path: path.name.endswith(".partial"), checkpoint.fsync)
elif step == "renamed":
    checkpoint.fsync = die_if(lambda path: path == directory, checkpoint.fsync)
elif step.startswith("within"):
    store._con = Limited(store._con, size + 262144 * int(step.split()[1]))
elif step == "checkpointed":
    checkpoint.drop_copy = die
elif step == "dropped":
    checkpoint.shutil.rmtree = die_if(lambda path: path.name.endswith(".done") and path.is_dir(), checkpoint.shutil.rmtree)
print("acknowledged", flush=True)
store.checkpoint()
print("not killed", flush=True)
"""


def run_killed(code: str, *arguments: object) -> int:
    """Run a program that kills itself once it has said "acknowledged"; return the number of the signal."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.stdout == "acknowledged\n", done.stderr
    return -done.returncode


@pytest.mark.parametrize(
    ("step", "undone"),
    [
        ("while copying", False),
        ("copied", False),
        ("renamed", True),
        ("within 0", True),
        ("within 2", True),
        ("checkpointed", True),
        ("dropped", False),
    ],
)
def test_a_kill_at_any_step_of_a_checkpoint_loses_nothing(tmp_path: Path, step: str, undone: bool) -> None:
    """Wherever it is cut short, the next start has every row, undoes what must be undone, and leaves no half copy behind."""
    ended = run_killed(_KILLED, tmp_path, step)
    assert ended == (signal.SIGXFSZ if step.startswith("within") else signal.SIGKILL)
    assert goes_on(tmp_path, 6000) is undone
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


_KILLED_UNDOING = """
import os, signal, sys
from pathlib import Path
from feedback import checkpoint
from feedback.store import Store

print("acknowledged", flush=True)
checkpoint.drop_copy = lambda file: os.kill(os.getpid(), signal.SIGKILL)
Store(Path(sys.argv[1]))
"""


def test_a_kill_while_undoing_is_undone_again(tmp_path: Path) -> None:
    """Two kills: in the middle of a checkpoint, and in the middle of the start that undoes it."""
    run_killed(_KILLED, tmp_path, "within 2")
    assert run_killed(_KILLED_UNDOING, tmp_path) == signal.SIGKILL
    assert goes_on(tmp_path, 6000)


# -- a kill in a migration -------------------------------------------------------------------------------------------------

_KILLED_MIGRATING = """
import os, signal, sys
from pathlib import Path
from feedback import schema, store

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

*before, last = schema.MIGRATIONS
if sys.argv[2] == "in the middle":
    def half(con):
        last.apply(con)
        die()
    schema.MIGRATIONS = (*before, last._replace(apply=half))
elif sys.argv[2] == "committed":
    store.guarded_checkpoint = die
print("acknowledged", flush=True)
store.Store(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("step", ["in the middle", "committed"])
def test_a_killed_migration_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Killed before its COMMIT, or after it and before the checkpoint: the next start has every row and each migration once."""
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "MIGRATIONS", MIGRATIONS[:-1])
        with Store(tmp_path) as store:
            store.add(*(prediction(number) for number in range(50)))
    assert run_killed(_KILLED_MIGRATING, tmp_path, step) == signal.SIGKILL
    assert not goes_on(tmp_path, 50)
    with Store(tmp_path) as store:
        numbers = [row["number"] for row in store.rows("SELECT number FROM migrations ORDER BY applied, number")]
    assert numbers == [migration.number for migration in MIGRATIONS]
    assert (tmp_path / f"log.before-migration-{MIGRATIONS[-1].number}.duckdb").exists()
