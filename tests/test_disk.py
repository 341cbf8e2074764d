"""A disk that is full, and one that takes no writes: refusals in words, reads and answers go on, and it recovers by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import app as front_door
from feedback.checkpoint import wal_bytes
from feedback.errors import StorageFull
from feedback.experiments import Experiments
from feedback.home import Home, write_atomically
from feedback.pairs import NoPairs, Pairs
from feedback.records import Experiment, Prediction, Variant, Visitor, now
from feedback.store import Store
from tests.conftest import WordsModel
from tests.feedback.test_web import Site, demo_of
from tests.small_disk import MEGABYTE, SmallDisk, breaking_disk, small_disk

PASSWORD = "a long password"


def prediction(name: object) -> Prediction:
    """Return a prediction row of a kilobyte, which does not compress."""
    return Prediction(f"p_{name}", "u", "", 0, "champion", 1, os.urandom(500).hex(), "h", {}, 0.5, 1.0)


def stored(store: Store) -> int:
    """Return how many predictions the log holds."""
    return int(store.rows("SELECT count(*) AS n FROM predictions")[0]["n"])


def stored_until_refused(store: Store) -> tuple[int, str]:
    """Store rows until the disk refuses one; return how many were stored, and the refusal."""
    for kept in range(1000):
        try:
            store.add(prediction(kept))
        except StorageFull as error:
            return kept, str(error)
    raise AssertionError("nothing was refused")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 24 MB."""
    with small_disk(tmp_path / "disk", 24) as mounted:
        yield mounted


# -- the log ---------------------------------------------------------------------------------------------------------


def test_writes_are_refused_before_the_disk_is_full_and_go_on_after(disk: SmallDisk) -> None:
    """Below what is kept free a write is refused with the figures, reads go on, and with room again the next write is stored."""
    with Store(disk.path / "home", keep_free=4 * MEGABYTE) as store:
        store.add(prediction(1))
        assert store.refusing == ""
        disk.fill(leave=3 * MEGABYTE)
        with pytest.raises(StorageFull, match=r"has 3\.0 MB free, 4\.0 MB are needed; free some space"):
            store.add(prediction(2))
        assert "3.0 MB free" in store.refusing
        assert stored(store) == 1
        disk.clear()
        store.add(prediction(3))
        assert store.refusing == ""
    with Store(disk.path / "home", keep_free=0) as store:
        assert [row["id"] for row in store.rows("SELECT id FROM predictions ORDER BY id")] == ["p_1", "p_3"]


def test_full_to_the_byte(disk: SmallDisk) -> None:
    """Where something else takes the last byte: writes, checkpoint and backup fail in words, reads go on, nothing stored is lost."""
    home = disk.path / "home"
    with Store(home, keep_free=0) as store:
        disk.fill(leave=100_000)
        kept, why = stored_until_refused(store)
        assert "No space left on device" in why
        for name in ("a", "b"):
            with pytest.raises(StorageFull):
                store.add(prediction(name))
            assert stored(store) == kept
        with pytest.raises(StorageFull, match="no checkpoint was begun"):
            store.checkpoint()
        with pytest.raises(StorageFull, match="no backup was begun"):
            store.backup(home / "backup.duckdb")
        assert stored(store) == kept
        disk.clear()
        store.add(prediction("later"))
        store.checkpoint()
        store.add(prediction("last"))
    with Store(home, keep_free=0) as store:
        assert stored(store) == kept + 2
        assert not store.undone
    assert kept > 0


def test_half_a_backup_does_not_stay(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that finds the disk full in its midst says so, and leaves nothing there that would keep the disk full."""
    with Store(disk.path / "home", keep_free=0) as store:
        store.add(*(prediction(number) for number in range(3000)))
        disk.fill(leave=MEGABYTE)
        free = disk.free()
        monkeypatch.setattr(store._headroom, "ask", lambda *_: None)  # as if somebody took the room just after it was asked for
        with pytest.raises(StorageFull, match="No space left on device"):
            store.backup(disk.path / "home" / "backup.duckdb")
        assert disk.free() == free
        assert stored(store) == 3000


def test_a_start_on_a_full_disk_reads_and_refuses(disk: SmallDisk) -> None:
    """A log opens where nothing can be written: what is stored can be read, and writes are refused until there is room."""
    with Store(disk.path / "home", keep_free=0) as store:
        store.add(prediction(1))
    disk.fill(leave=8192)
    with Store(disk.path / "home") as store:
        assert stored(store) == 1
        with pytest.raises(StorageFull):
            store.add(prediction(2))
        disk.clear()
        with pytest.raises(StorageFull, match=r"32\.0 MB are needed"):  # this disk is smaller than what is kept free by default
            store.add(prediction(2))


def test_a_checkpoint_without_room_is_put_off(disk: SmallDisk, caplog: pytest.LogCaptureFixture) -> None:
    """Too little room for its copy: it is not begun, the log says so, rows are stored all the same; with room it is done."""
    with Store(disk.path / "home", checkpoint_bytes=100_000, keep_free=MEGABYTE) as store:
        store.add(*(prediction(number) for number in range(2000)))
        store.checkpoint()
        disk.fill(leave=store.file.stat().st_size + MEGABYTE)  # a copy of the file would fit, but for what is kept free
        store.add(*(prediction(number) for number in range(2000, 2500)))
        store.add(prediction("next"))
        assert "a checkpoint is put off" in caplog.text
        assert store.refusing == ""
        assert not (disk.path / "home" / "before-checkpoint").exists()
        assert stored(store) == 2501
        disk.clear()
        store.checkpoint()
        assert wal_bytes(store.file) == 0
    with Store(disk.path / "home", keep_free=0) as store:
        assert stored(store) == 2501


@pytest.fixture
def broken(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A log of 3000 rows whose checkpoint ran out of space half-way, which is fatal to DuckDB's connection."""
    with Store(disk.path / "home", keep_free=0) as store:
        store.add(*(prediction(number) for number in range(3000)))
        size = sum(path.stat().st_size for path in (disk.path / "home").iterdir() if path.is_file())
        disk.fill(leave=size + 300_000)
        with monkeypatch.context() as blind:
            blind.setattr(store._headroom, "ask", lambda *_: None)  # as if somebody took the room just after it was asked for
            with pytest.raises(StorageFull, match="no stored row is lost"):
                store.checkpoint()
        assert store._unreadable
        yield store


def test_a_checkpoint_that_runs_out_of_space_is_undone_by_the_next_call(broken: Store, disk: SmallDisk) -> None:
    """The next read opens the log anew, on the full disk, with every row; with room again writes and checkpoints go on."""
    assert stored(broken) == 3000
    assert not (disk.path / "home" / "before-checkpoint").exists()
    assert not (disk.path / "home" / "log.duckdb.broken").exists()
    disk.clear()
    broken.add(prediction("later"))
    broken.checkpoint()
    assert stored(broken) == 3001


def test_a_mending_that_fails_is_tried_again(broken: Store, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the log cannot be opened anew, reads and writes are refused in words; as soon as it can, both go on."""

    def refuse() -> Any:
        raise duckdb.IOException("the disk is not there yet")

    with monkeypatch.context() as failing:
        failing.setattr(broken, "_connect", refuse)
        for _ in range(2):
            with pytest.raises(StorageFull, match="not there yet"):
                stored(broken)
            with pytest.raises(StorageFull, match="not there yet"):
                broken.add(prediction("lost"))
    disk.clear()
    broken.add(prediction("later"))
    assert stored(broken) == 3001


def test_a_read_only_disk_is_told_at_the_start(disk: SmallDisk) -> None:
    """A log on a disk that is mounted read-only does not open, with the reason; mounted for writing, it does."""
    with Store(disk.path / "home", keep_free=0) as store:
        store.add(prediction(1))
    disk.remount("ro")
    with pytest.raises(StorageFull, match="Read-only file system"):
        Store(disk.path / "home", keep_free=0)
    disk.remount("rw")
    with Store(disk.path / "home", keep_free=0) as store:
        assert stored(store) == 1


# -- the routes ------------------------------------------------------------------------------------------------------


def test_on_a_full_disk_answers_and_reads_go_on_and_corrections_are_refused(disk: SmallDisk, tmp_path: Path) -> None:
    """An answer says that it is not recorded, a correction ends in 507, and nothing of either is counted; then all goes on."""
    home = Home(disk.path / "home")
    with Store(home.directory, keep_free=4 * MEGABYTE) as store:
        site = Site(home, store, demo_of(tmp_path))
        site.experiments.declare(Experiment("e", 1, "running", (Variant("a", 1, 0.5), Variant("b", 2, 0.5))))
        site.staff.set_password("rita", PASSWORD)
        rita = site.client(site.staff.make_token("rita"))
        client, other = site.client(), site.client()
        first = client.post("/api/v1/predictions", json={"input": "one"}).json()
        said = {"prediction_id": first["id"], "output": {"label": "v3"}}
        sent = client.post("/api/v1/corrections", json=said | {"comment": "c"}).json()
        disk.fill(leave=MEGABYTE)

        for visitor in (client, other):
            answer = visitor.post("/api/v1/predictions", json={"input": "two"}, headers={"Idempotency-Key": "k"})
            assert answer.status_code == 200
            assert (answer.json()["id"], answer.json()["notes"]) == ("", ["note.not_recorded"])
            assert answer.json()["output"]["label"].startswith("v")
        third = {"prediction_id": first["id"], "output": {"label": "v2"}}
        for refused in (
            client.post("/api/v1/corrections", json=third),
            client.delete(f"/api/v1/corrections/{sent['id']}"),
            rita.post("/api/v1/reviews", json={"correction_id": sent["id"], "verdict": "accept"}),
        ):
            assert refused.status_code == 507
            assert refused.headers["content-type"] == "application/problem+json"
            assert (refused.json()["title"], refused.json()["code"]) == ("Storage full", "storage_full")
        empty = client.post("/api/v1/corrections", json=said | {"prediction_id": ""})
        assert empty.status_code == 404
        assert [row["id"] for row in client.get("/api/v1/corrections").json()] == [sent["id"]]
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        login = client.post("/studio/login", data={"name": "rita", "password": PASSWORD}, follow_redirects=False)
        assert login.status_code == 303
        counts = "SELECT (SELECT count(*) FROM exposures) AS exposures, (SELECT count(*) FROM predictions) AS predictions"
        assert store.rows(counts) == [{"exposures": 1, "predictions": 1}]

        disk.clear()
        again = other.post("/api/v1/predictions", json={"input": "two"}, headers={"Idempotency-Key": "k"})
        assert again.status_code == 201
        assert again.json()["id"]
        assert again.json()["notes"] == []
        assert client.delete(f"/api/v1/corrections/{sent['id']}").status_code == 204
        assert store.rows(counts) == [{"exposures": 2, "predictions": 2}]


def test_a_disk_that_turned_read_only_refuses_writes_and_lets_reads_go_on(tmp_path: Path) -> None:
    """A failing disk under the running app: corrections end in 507, answers are unrecorded, reads go on; all of it is kept."""
    with breaking_disk(tmp_path / "disk", 16) as (disk, trigger):
        home = Home(disk.path / "home")
        with Store(home.directory, keep_free=MEGABYTE) as store:
            site = Site(home, store, demo_of(tmp_path))
            client = site.client()
            first = client.post("/api/v1/predictions", json={"input": "one"}).json()
            said = {"prediction_id": first["id"], "output": {"label": "v3"}}
            trigger.write_text("on purpose")
            for _ in range(2):
                refused = client.post("/api/v1/corrections", json=said)
                assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
                answer = client.post("/api/v1/predictions", json={"input": "two"})
                assert (answer.status_code, answer.json()["notes"]) == (200, ["note.not_recorded"])
                assert client.get("/api/v1/corrections").json() == []
            with pytest.raises(StorageFull):
                store.checkpoint()
            assert "ead-only" in store.refusing
            assert stored(store) == 1


# -- side by side ----------------------------------------------------------------------------------------------------


def test_where_a_pair_cannot_be_stored_one_answer_is_asked_for(
    store: Store, experiments: Experiments, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could vote on such a pair: the error says that storage is full, and is one of those after which pages ask for one answer."""
    experiments.declare(Experiment("e", 1, "running", (Variant("a", 1, 0.5), Variant("b", 2, 0.5)), mode="side_by_side"))

    def full(*_: object) -> None:
        raise StorageFull("no room")

    monkeypatch.setattr(store._headroom, "ask", full)
    with pytest.raises(NoPairs, match="no room") as caught:
        Pairs(store, WordsModel(), experiments).predict(Visitor("u"), "one")
    assert isinstance(caught.value, StorageFull)
    assert (caught.value.status, caught.value.code, caught.value.title) == (507, "storage_full", "Storage full")


def test_what_else_writes_on_a_full_disk_ends_in_words(disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new day's salt is kept in memory, so visitors come all the same; any other file that finds no room ends in 507."""
    home = Home(disk.path / "home")
    with Store(home.directory, keep_free=MEGABYTE) as store:
        site = Site(home, store, demo_of(tmp_path))
        client = site.client()
        client.post("/api/v1/predictions", json={"input": "one"})

        @site.app.get("/api/v1/writes")
        def writes() -> None:
            write_atomically(home.directory / "alarms.json", "x" * 10_000)

        disk.fill()
        tomorrow = now() + timedelta(days=1)
        monkeypatch.setattr("feedback.identity.now", lambda: tomorrow)
        assert client.get("/healthz").status_code == 200
        refused = client.get("/api/v1/writes")
        assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")


def test_the_app_says_at_its_start_that_its_disk_takes_nothing(
    disk: SmallDisk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python app.py` with its home on a read-only disk ends with status 1 and a sentence, not with a traceback."""
    demo = tmp_path / "t.toml"
    demo.write_text('name = "t"\ntask = "text_classification"\ntitle = "T"\n[data]\ntrain = "t.csv"\n', encoding="utf-8")
    disk.remount("ro")
    assert front_door.main([str(demo), "--home", str(disk.path / "home")]) == 1
    assert "Storage full: the disk under" in capsys.readouterr().err
