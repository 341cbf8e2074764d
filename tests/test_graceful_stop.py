"""SIGTERM under load: what was acknowledged is in the log, no answer is torn, the status is 0, and it takes seconds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from feedback.backups import listed
from feedback.rewriting import rows_in
from feedback.stopping import GRACE_SECONDS
from feedback.store import Store
from feedback.transfer import check_log
from tests.conftest import ROOT
from tests.serving import small_demo

CLIENTS = 16
BOUND = 20.0


class Running(NamedTuple):
    """An app in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str
    home: Path
    log: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a demo and, after the first test, its home: the starter is trained once."""
    directory = tmp_path_factory.mktemp("stopped")
    small_demo(directory, extra="[limits]\npredictions_per_minute = 100000\ncorrections_per_minute = 100000")
    return directory


@pytest.fixture
def running(place: Path) -> Iterator[Running]:
    """`python app.py` on a free port, ready; killed at the end where it still runs."""
    demo, home, log = place / "small.toml", place / "home", place / "log.txt"
    port = _free_port()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py"), str(demo), "--home", str(home), "--port", str(port), "--log-format", "json"],
            stdout=out, stderr=out, env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while not _ready(url):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    yield Running(process, url, home, log)
    if process.poll() is None:
        process.kill()
    process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


class Visitor:
    """One client that predicts and corrects until nobody answers; it remembers what was acknowledged, and what was torn."""

    def __init__(self, url: str, name: str) -> None:
        self.predictions: set[str] = set()
        self.corrections: set[str] = set()
        self.refused: list[str] = []
        self.torn: list[str] = []
        self._url, self._name = url, name
        self.thread = threading.Thread(target=self._go, name=name)

    def _go(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            number = 0
            while True:
                number += 1
                shown = self._sent(client, "/api/v1/predictions", {"input": f"Where is parcel {number} of {self._name}"})
                if shown is None:
                    return
                self.predictions.add(shown["id"])
                said = self._sent(client, "/api/v1/corrections", {"prediction_id": shown["id"], "output": {"label": "track"}})
                if said is None:
                    return
                self.corrections.add(said["id"])

    def _sent(self, client: httpx.Client, path: str, body: dict[str, Any]) -> Any:
        """Return the whole answer; None where the app has stopped. An answer that began and did not end is torn."""
        begun = False
        try:
            with client.stream("POST", path, json=body) as response:
                begun = True
                answer = response.read()
        except httpx.TransportError as error:
            (self.torn if begun else self.refused).append(f"{type(error).__name__}: {error}")
            return None
        if response.status_code == 503:
            assert response.headers["retry-after"]
            self.refused.append("503")
            return None
        assert response.status_code == 201, answer
        return json.loads(answer)


def test_a_stop_under_load_loses_nothing(running: Running) -> None:
    """16 clients and an open page: status 0 within the bound, all that was acknowledged is there, and nothing else is."""
    visitors = [Visitor(running.url, f"visitor {number}") for number in range(CLIENTS)]
    with httpx.stream("GET", f"{running.url}/gradio_api/heartbeat/abcdef", timeout=60) as heartbeat:
        beats = heartbeat.iter_raw()
        assert b"ALIVE" in next(beats)
        for visitor in visitors:
            visitor.thread.start()
        while sum(len(visitor.corrections) for visitor in visitors) < 10 * CLIENTS:
            time.sleep(0.05)
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(BOUND) == 0, running.log.read_text()
        taken = time.monotonic() - began
    for visitor in visitors:
        visitor.thread.join(60)
    assert [torn for visitor in visitors for torn in visitor.torn] == []
    assert all(len(visitor.refused) == 1 for visitor in visitors)
    predictions = set().union(*(visitor.predictions for visitor in visitors))
    corrections = set().union(*(visitor.corrections for visitor in visitors))
    file = running.home / "log.duckdb"
    with Store(running.home) as store:
        assert check_log(store) == []
        assert {str(row["id"]) for row in store.rows("SELECT id FROM corrections")} == corrections
        stored = {str(row["id"]) for row in store.rows("SELECT id FROM predictions")}
    assert stored == predictions
    assert rows_in(file, "SELECT count(*) FROM corrections", []) == [(len(corrections),)]
    assert not (running.home / "running.json").exists()
    assert taken < GRACE_SECONDS, f"the open page's stream held the stop up for {taken:.1f} s"
    words = [line for line in running.log.read_text().splitlines() if line.startswith("{")]
    lines = [json.loads(line) for line in words]
    assert [line for line in lines if line["level"] in ("warning", "error")] == []
    assert sum(line.get("route") == "/api/v1/corrections" for line in lines) == len(corrections)


def test_a_slow_request_is_answered_all_the_same(running: Running) -> None:
    """A backup that takes seconds was accepted before the stop (SIGINT here): it is answered whole, and lies there verified."""
    token = (running.home / "secrets" / "owner.token").read_text(encoding="utf-8")
    answers: list[httpx.Response] = []

    def ask() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        answers.append(httpx.post(f"{running.url}/api/v1/backups", json={}, headers=headers, timeout=60))

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + 30
    while not list((running.home / "backups").glob("log-*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(BOUND) == 0
    asking.join(10)
    assert [answer.status_code for answer in answers] == [201]
    newest = listed(running.home / "backups")[0]
    assert str(newest.file) == answers[0].json()["path"]
    assert newest.verified
    with Store(running.home) as store:
        assert check_log(store) == []
