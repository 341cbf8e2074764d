"""The log: what is acknowledged is kept, once, whole, and by one process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from feedback.checkpoint import wal_of
from feedback.errors import BadInput, Conflict, LogBroken, LogLocked, StorageFull
from feedback.records import (
    Correction,
    Experiment,
    Prediction,
    Promotion,
    Review,
    TrainingRun,
    Use,
    Variant,
    Withdrawal,
    input_hash,
    new_id,
    now,
)
from feedback.store import Duplicate, Store

AWKWARD = "a\n<b>{{x}}</b> 😀👩‍👩‍👧 e\u0301 肺炎 ${y}"


def prediction(id_: str = "", text: str = AWKWARD) -> Prediction:
    """Return a prediction row."""
    return Prediction(id_ or new_id("p"), "u", "", 0, "champion", 1, text, input_hash(text), {"spans": []}, 0.5, 1.0)


def test_a_record_comes_back_as_it_went_in(store: Store) -> None:
    """Awkward text, JSON and moments survive the log unchanged."""
    made = prediction()
    store.add(made)
    row = store.rows("SELECT input->>'$' AS text, created, output::VARCHAR AS output FROM predictions")[0]
    assert row == {"text": AWKWARD, "created": made.created, "output": '{"spans": []}'}


def test_a_call_is_stored_whole_or_not_at_all(store: Store) -> None:
    """When one record of a call is a duplicate, none of the call is stored."""
    store.add(prediction("p_1"))
    with pytest.raises(Duplicate):
        store.add(prediction("p_2"), prediction("p_1"))
    assert [row["id"] for row in store.rows("SELECT id FROM predictions")] == ["p_1"]


def test_one_correction_a_prediction_and_contributor_is_a_rule_of_the_store(store: Store) -> None:
    """A second correction of the same prediction by the same contributor is refused by the key."""
    store.add(prediction("p_1"), Correction("c_1", "p_1", "u", {"spans": []}, True))
    with pytest.raises(Duplicate, match="primary key"):
        store.add(Correction("c_2", "p_1", "u", {"spans": []}, True))


def test_only_the_duplicate_of_a_group_fails(store: Store) -> None:
    """Of many threads that commit together, only those with a taken key are refused."""
    store.add(prediction("p_0"))
    refused: list[int] = []

    def write(number: int) -> None:
        try:
            store.add(prediction("p_0" if number % 4 == 0 else f"p_{number}"))
        except Duplicate:
            refused.append(number)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(1, 33)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(refused) == [4, 8, 12, 16, 20, 24, 28, 32]
    assert store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 25


def test_a_person_outranks_the_policy_and_a_withdrawal_outranks_both(store: Store) -> None:
    """current_corrections: policy < person, and withdrawn whatever was said."""

    def status() -> str:
        return str(store.rows("SELECT status FROM current_corrections")[0]["status"])

    store.add(prediction("p_1"), Correction("c_1", "p_1", "u", {"spans": []}, True))
    assert status() == "pending"
    store.add(Review("r_1", "c_1", "reject", None, "rev"))
    store.add(Review("r_2", "c_1", "accept", None, "policy:agreement"))
    assert status() == "rejected"
    store.add(Review("r_3", "c_1", "amend", {"spans": [1]}, "rev"))
    assert status() == "accepted"
    assert store.rows("SELECT output::VARCHAR AS o FROM current_corrections")[0]["o"] == '{"spans": [1]}'
    store.add(Withdrawal("c_1", "u"))
    assert status() == "withdrawn"


def test_reading_sql_cannot_write_or_reach_files(store: Store) -> None:
    """frame() and rows() take one SELECT, and no SELECT reads this machine's files."""
    for sql in (
        "DELETE FROM predictions",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY predictions TO '/tmp/x.csv'",
        "SELECT * FROM nowhere",
        "SELEC",
    ):
        with pytest.raises(BadInput):
            store.rows(sql)


def test_a_second_process_is_told_who_holds_the_log(tmp_path: Path) -> None:
    """Opening a log that another process has open names that process and what to do."""
    with Store(tmp_path):
        code = f"from pathlib import Path; from feedback.store import Store; Store(Path({str(tmp_path)!r}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert LogLocked.__name__ in done.stderr
    assert f"process {os.getpid()}" in done.stderr


def test_a_backup_is_whole_and_never_overwrites(store: Store, tmp_path: Path) -> None:
    """A backup made while the log is open holds every row, and is refused where a file is."""
    store.add(prediction("p_1"))
    store.checkpoint()
    store.add(prediction("p_2"))
    (tmp_path / "copy").mkdir()
    store.backup(tmp_path / "copy" / "log.duckdb")
    with pytest.raises(Conflict, match="never overwrites"):
        store.backup(tmp_path / "copy" / "log.duckdb")
    with Store(tmp_path / "copy") as copy:
        assert copy.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 2


def test_experiment_variants_come_back(store: Store) -> None:
    """Nested variants and the quoted column names survive."""
    variants = (Variant("a", 1, 0.5, {"threshold": 0.4}), Variant("b", 2, 0.5))
    store.add(Experiment("e", 1, "running", variants), Promotion("m_1", 1, None, "first", "x"))
    row = store.rows("SELECT variants->0->'settings'->>'threshold' AS t FROM experiments")[0]
    assert row["t"] == "0.4"


def test_small_checkpoints_happen_by_themselves(tmp_path: Path) -> None:
    """Past checkpoint_bytes the writer folds the write-ahead log in, and leaves no copy behind."""
    with Store(tmp_path, checkpoint_bytes=20_000) as store:
        for _ in range(60):
            store.add(prediction(text="x" * 900))
        assert wal_of(store.file).stat().st_size < 60_000
        assert store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 60
    assert not (tmp_path / "before-checkpoint").exists()


def test_an_interrupted_checkpoint_is_undone_at_start(tmp_path: Path) -> None:
    """A file torn in the middle of a checkpoint is replaced by the copy, write-ahead log included; nothing is lost."""
    with Store(tmp_path) as store:
        for number in range(50):
            store.add(prediction(f"p_{number}"))
    copy = tmp_path / "before-checkpoint"
    copy.mkdir()
    for name in ("log.duckdb", "log.duckdb.wal"):
        if (tmp_path / name).exists():
            shutil.copy(tmp_path / name, copy / name)
    with (tmp_path / "log.duckdb").open("r+b") as file:  # block 0 at 12,288 is the metadata that a checkpoint rewrites
        file.seek(12_288)
        file.write(b"\xee" * 4096)
    with Store(tmp_path) as store:
        assert store.undone
        assert store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 50
    assert not copy.exists()
    assert (tmp_path / "log.duckdb.broken").exists()


_STORM = """
import sys
from pathlib import Path
from feedback.records import Prediction
from feedback.store import Store
start = int(sys.argv[2])
with Store(Path(sys.argv[1]), checkpoint_bytes=4000) as store:
    for n in range(start, start + 100000):
        store.add(Prediction(f"p_{n}", "u", "", 0, "c", 1, "x" * 300, "h", {}, 0.5, 1.0))
        print(n, flush=True)
"""


@pytest.mark.slow
def test_kill_9_with_constant_checkpoints_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Six kills at awkward moments under checkpoints every dozen rows: every acknowledged row is there, once."""
    acknowledged = -1
    for round_ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", _STORM, str(tmp_path), str(acknowledged + 1000 * (round_ > 0) + 1)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(20 + 7 * round_)]
        process.send_signal(signal.SIGKILL)
        seen += [int(line) for line in process.stdout.read().splitlines() if line.strip().isdigit()]
        process.stdout.close()
        process.wait()
        acknowledged = max(seen)
        with Store(tmp_path) as store:
            there = {row["id"] for row in store.rows("SELECT id FROM predictions")}
            # The last printed number may be cut short by the kill; every whole line was acknowledged.
            assert {f"p_{n}" for n in seen[:-1]} <= there
            assert store.rows("SELECT count(*) - count(DISTINCT id) AS twice FROM predictions")[0]["twice"] == 0


def test_a_training_run_keeps_its_last_state(store: Store) -> None:
    """Every record type is stored; of a run's states the newest shows, with the time of the first."""
    run = TrainingRun("t_1", "started", "s_1", 3, None, "button", "sue")
    store.add(run, Use("c_1", 2, "s_1", "train"))
    store.add(replace(run, state="passed", version=2, created=now()))
    (row,) = store.rows("SELECT state, version, began FROM current_training_runs")
    assert row == {"state": "passed", "version": 2, "began": run.created}


class Refusing:
    """A connection whose CHECKPOINT fails; everything else is the real one's."""

    def __init__(self, con: Any) -> None:
        self._con = con

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)

    def execute(self, sql: str, *rest: Any) -> Any:
        """Refuse a checkpoint after the copy was made."""
        if sql == "CHECKPOINT":
            raise duckdb.TransactionException("not now")
        return self._con.execute(sql, *rest)


def test_a_checkpoint_that_fails_loses_nothing_acknowledged_later(tmp_path: Path) -> None:
    """The copy is put back before anything else is acknowledged: rows before and after the failure are all there."""
    with Store(tmp_path) as store:
        store.add(prediction("p_1"))
        store._con = Refusing(store._con)  # type: ignore[assignment]
        with pytest.raises(StorageFull, match="no stored row is lost"):
            store.checkpoint()
        store.add(prediction("p_2"))
        store.checkpoint()
        store.add(prediction("p_3"))
    with Store(tmp_path) as store:
        assert [row["id"] for row in store.rows("SELECT id FROM predictions ORDER BY id")] == ["p_1", "p_2", "p_3"]
        assert not store.undone


def test_the_writer_outlives_what_nobody_foresaw(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unforeseen error fails the call in words; the next call is stored."""

    def broken(*_: object) -> None:
        raise RuntimeError("nobody foresaw this")

    with monkeypatch.context() as patched:
        patched.setattr(store, "_commit", broken)
        with pytest.raises(StorageFull, match="nobody foresaw this"):
            store.add(prediction("p_1"))
    store.add(prediction("p_2"))
    assert [row["id"] for row in store.rows("SELECT id FROM predictions")] == ["p_2"]


def test_a_log_that_duckdb_itself_holds_elsewhere_is_told(tmp_path: Path) -> None:
    """Another program that opened the file without our lock: words that name it, not a traceback."""
    with Store(tmp_path):
        pass
    code = (
        f"import duckdb, sys; c = duckdb.connect({str(tmp_path / 'log.duckdb')!r}); print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline().strip() == "open"
    with pytest.raises(LogLocked, match="open in another process"):
        Store(tmp_path)
    other.communicate("")
    (tmp_path / "log.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(LogBroken, match="cannot be opened"):
        Store(tmp_path)
