"""Too many at once, or a disk that stalls: everybody is answered within a bound, with 503 and Retry-After where it must be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from feedback import desk as desk_module
from feedback import identity, problems, routes
from feedback.acceptance import Agreement
from feedback.admission import Admission
from feedback.demo import Demo
from feedback.desk import Desk
from feedback.errors import Busy
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.records import Answer, Json, Prediction, Visitor
from feedback.staff import Staff
from feedback.store import Store
from tests.browser.listening import Listening
from tests.conftest import WordsModel


class SlowModel(WordsModel):
    """Takes a while for every answer."""

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Wait, then name the version."""
        time.sleep(0.05)
        return super().predict(version, input_, settings)


class Site:
    """A served room with a small queue."""

    def __init__(self, directory: Path, most: int) -> None:
        self.store = Store(directory)
        home = Home(directory)
        experiments = Experiments(self.store)
        experiments.begin(1, "test")
        self.desk = Desk(self.store, SlowModel(), experiments, Agreement(2), admission=Admission(most))
        demo = Demo.model_validate(
            {"path": directory / "t.toml", "name": "t", "task": "any", "title": "T", "data": {"train": "x"}}
        )
        app = FastAPI()
        problems.install(app)
        identity.install(app, home=home, staff=Staff(home), demo=demo)
        app.include_router(routes.router(self.desk, self.store, home.backups))
        self._listening = Listening(app)
        self.url = self._listening.url

    def close(self) -> None:
        """Stop serving, then close the log."""
        self._listening.close()
        self.store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """At most six calls inside."""
    made = Site(tmp_path / "home", 6)
    yield made
    made.close()


def stall(store: Store, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let every commit wait, as on a disk that hangs, until the returned event is set."""
    released, commit = threading.Event(), store._commit

    def slow(jobs: Sequence[Any]) -> None:
        released.wait(30)
        commit(jobs)

    monkeypatch.setattr(store, "_commit", slow)
    return released


def ask(url: str, text: str, key: str = "") -> httpx.Response:
    """Ask for an answer as a stranger."""
    headers = {"Idempotency-Key": key} if key else {}
    return httpx.post(f"{url}/api/v1/predictions", json={"input": text}, headers=headers, timeout=20)


def test_a_flood_is_answered_or_told_to_come_again(site: Site) -> None:
    """Two hundred at once before six places: 201 or 503 with Retry-After, all within seconds, and each 201 is one row."""
    begun = time.monotonic()
    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda number: ask(site.url, f"text {number}"), range(200)))
    assert time.monotonic() - begun < 20
    taken = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert taken
    assert refused
    assert len(taken) + len(refused) == 200
    assert all(int(answer.headers["Retry-After"]) >= 1 and answer.json()["code"] == "busy" for answer in refused)
    ids = {row["id"] for row in site.store.rows("SELECT id FROM predictions")}
    assert ids == {answer.json()["id"] for answer in taken}
    assert site.desk.admission.inside == 0
    assert ask(site.url, "afterwards").status_code == 201


def test_a_stalled_disk_holds_up_nobody_for_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no commit ends: writes are told to come again, reads are answered; then it goes on, and a retry is one row."""
    monkeypatch.setattr(desk_module, "PATIENCE", 0.5)
    with httpx.Client(base_url=site.url, timeout=20) as client:
        client.get("/api/v1/corrections")
        released = stall(site.store, monkeypatch)
        begun = time.monotonic()
        first = client.post("/api/v1/predictions", json={"input": "one"}, headers={"Idempotency-Key": "k"})
        with ThreadPoolExecutor(20) as pool:
            rest = list(pool.map(lambda number: ask(site.url, f"text {number}"), range(20)))
            read = client.get("/api/v1/corrections")
        assert time.monotonic() - begun < 5
        assert {answer.status_code for answer in [first, *rest]} == {503}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in [first, *rest])
        assert read.status_code == 200
        released.set()
        again = client.post("/api/v1/predictions", json={"input": "one"}, headers={"Idempotency-Key": "k"})
    assert again.status_code == 201
    assert site.store.rows("SELECT count(*) AS n FROM predictions WHERE input->>'$' = 'one'")[0]["n"] == 1
    assert (
        site.store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 1
    )  # what was refused in the queue is not stored later


def test_once_it_has_stalled_nobody_waits_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first waits for as long as it has patience; who comes after that is told at once."""
    released = stall(store, monkeypatch)
    row = Prediction("p1", "u1", "", 0, "champion", 1, "one", "h", {"label": "v1"}, 0.5, 20.0)
    with pytest.raises(Busy, match="being written"):
        store.add(row, patience=0.3)
    begun = time.monotonic()
    with pytest.raises(Busy, match="nothing of this call was stored"):
        store.add(row, patience=0.3)
    assert time.monotonic() - begun < 0.2
    released.set()


def test_what_became_a_row_after_all_is_found_by_its_key(store: Store, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A correction whose commit outlasted the patience is stored later; sent again with its key it is the same one."""
    ann = Visitor("u_ann")
    shown = desk.predict(ann, "one")
    monkeypatch.setattr(desk_module, "PATIENCE", 0.2)
    released = stall(store, monkeypatch)
    with pytest.raises(Busy):
        desk.correct(ann, shown.id, {"label": "v2"}, key="k")
    released.set()
    monkeypatch.setattr(desk_module, "PATIENCE", 8.0)
    correction, status = desk.correct(ann, shown.id, {"label": "v2"}, key="k")
    assert status == "pending"
    assert [row["id"] for row in store.rows("SELECT id FROM corrections")] == [correction.id]


def test_recent_predictions_are_forgotten_with_the_rows(store: Store, desk: Desk) -> None:
    """After a rewrite of the log, a prediction that it removed cannot be corrected, although it was in memory."""
    ann = Visitor("u_ann")
    kept, gone = desk.predict(ann, "kept"), desk.predict(ann, "gone")
    store.rewrite(lambda con: con.execute("DELETE FROM predictions WHERE id = ?", [gone.id]))
    assert desk.correct(ann, kept.id, {"label": "v2"})[1] == "pending"
    with pytest.raises(Exception, match="was shown to you"):
        desk.correct(ann, gone.id, {"label": "v2"})
