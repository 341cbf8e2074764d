"""Early warnings are kept once, told once everywhere, and acknowledged by a person."""

from __future__ import annotations

import http.server
import json
import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from feedback import identity, problems, warning_routes
from feedback.conditions import Conditions
from feedback.errors import BadDemo, BadInput, Conflict, NotFound
from feedback.home import Home
from feedback.notifying import Notifier
from feedback.records import EarlyWarning, Finding
from feedback.staff import Staff
from feedback.store import Store
from feedback.warnings import Warnings, sentence
from feedback.words import LANGUAGES, Words
from tests.conftest import ROOT
from tests.feedback.test_web import demo_of

NOON = datetime(2026, 3, 2, 12)
FOUND = Finding("volume", "merger", "", NOON - timedelta(hours=3), NOON, 40, 40, 9.5, 2e7, 12_960.0, 3)


class Eye:
    """A lookout that finds what a test says."""

    def __init__(self, *found: Finding) -> None:
        self.found: Sequence[Finding] = found

    def look(self, at: datetime) -> Sequence[Finding]:
        """Return it."""
        return self.found


def warnings(store: Store, eye: Eye, **more: Any) -> Warnings:
    """Return warnings whose clock stands at half past twelve."""
    return Warnings(store, eye, clock=lambda: NOON + timedelta(minutes=30), **more)


def test_a_finding_is_stored_and_told_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A second look, another process of the same log, and a finding moved by a bin say nothing new; another stream does."""
    told: list[tuple[str, dict[str, Any]]] = []
    also: list[EarlyWarning] = []
    eye = Eye(FOUND)
    seeing = warnings(store, eye, tell=lambda event, **facts: told.append((event, facts)), also=[also.append])
    with caplog.at_level(logging.WARNING, "amend.warnings"):
        (made,) = seeing.look()
    assert "topic merger" in caplog.text
    assert seeing.look() == []
    eye.found = [FOUND._replace(raised=NOON + timedelta(hours=1))]
    assert warnings(store, eye).look() == []
    eye.found = [FOUND._replace(kind="share", sentiment="negative", seen=20)]
    assert len(seeing.look()) == 1
    assert [event for event, _ in told] == ["early_warning"] * 2
    assert told[0][1] == {
        "warning": made.id, "kind": "volume", "topic": "merger", "sentiment": "", "since": "2026-03-02T09:00:00Z",
        "raised": "2026-03-02T12:00:00Z", "seen": 40, "items": 40, "expected": 9.5, "version": 3,
    }  # fmt: skip
    assert also[0] == made


def test_what_is_long_past_is_no_early_warning(store: Store) -> None:
    """After two days without the app, what happened meanwhile is not told as news."""
    assert warnings(store, Eye(FOUND._replace(raised=NOON - timedelta(days=3)))).look() == []
    assert store.rows("FROM warnings") == []


def test_a_warning_stands_until_somebody_acknowledges_it(store: Store) -> None:
    """Once; with a note; what is not there, and a second time, is refused. It is known as the same warning afterwards."""
    seeing = warnings(store, Eye(FOUND))
    (made,) = seeing.look()
    assert [noted.warning for noted in seeing.standing()] == [made]
    with pytest.raises(BadInput, match="at most 1000"):
        seeing.acknowledge(made.id, "rita", "x" * 1001)
    seeing.acknowledge(made.id, "rita", " the merger of A and B ")
    assert seeing.standing() == []
    (noted,) = seeing.all()
    assert (noted.warning.author, noted.warning.reason) == ("rita", "the merger of A and B")
    assert noted.noticed <= (noted.acknowledged or noted.noticed)
    assert seeing.look() == []
    with pytest.raises(Conflict, match="rita has acknowledged"):
        seeing.acknowledge(made.id, "sue")
    with pytest.raises(NotFound):
        seeing.acknowledge("w_none", "rita")


def test_staff_read_and_acknowledge_over_http(store: Store, tmp_path: Path) -> None:
    """For staff alone; times say that they are UTC; the words are the studio's."""
    app, staff = FastAPI(), Staff(Home(tmp_path))
    problems.install(app)
    identity.install(app, home=Home(tmp_path), staff=staff, demo=demo_of(tmp_path))
    seeing = warnings(store, Eye(FOUND))
    app.include_router(warning_routes.router(seeing, Words([ROOT / "feedback" / "words.toml"])))
    (made,) = seeing.look()
    token = {"authorization": f"Bearer {staff.make_token('robot')}"}
    with TestClient(app) as client:
        assert client.get("/api/v1/warnings").status_code == 401
        (read,) = client.get("/api/v1/warnings?standing=true", headers=token).json()
        assert read["words"] == "merger: 40 items since 2026-03-02 09:00 UTC, where 9.5 were usual."
        assert (read["raised"], read["state"]) == ("2026-03-02T12:00:00Z", "raised")
        done = client.post(f"/api/v1/warnings/{made.id}/acknowledgement", json={"reason": "seen"}, headers=token)
        assert (done.status_code, done.json()) == (201, {"id": made.id, "state": "acknowledged"})
        assert client.post(f"/api/v1/warnings/{made.id}/acknowledgement", json={}, headers=token).status_code == 409
        assert client.get("/api/v1/warnings?standing=true", headers=token).json() == []
        assert client.get("/api/v1/warnings", headers=token).json()[0]["author"] == "robot"


@pytest.mark.parametrize("language", LANGUAGES)
def test_both_kinds_are_said_in_both_languages(language: str) -> None:
    """Every figure of a warning is in its sentence."""
    say = Words([ROOT / "feedback" / "words.toml"]).speaker(language)
    warning = EarlyWarning("w_1", "raised", **FOUND._replace(kind="share", sentiment="negative", seen=20)._asdict())
    words = sentence(warning, say, str.upper)
    assert all(part in words for part in ("MERGER", "NEGATIVE", "20", "40", "9.5", "2026-03-02 09:00"))


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # the library looks for it on Python 3.11
def test_apprise_sends_the_sentence_to_an_address() -> None:
    """The real library against a server on 127.0.0.1: title and words arrive as JSON."""
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")
    got: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        notifier = Notifier(
            [f"json://127.0.0.1:{server.server_port}"], "Amend: Finance", lambda warning: f"{warning.topic} & more"
        )
        notifier.send(EarlyWarning("w_1", "raised", **FOUND._asdict()))
        until = time.monotonic() + 10
        while not got and time.monotonic() < until:
            time.sleep(0.02)
        server.shutdown()
        thread.join()
    assert [(one["title"], one["message"]) for one in got] == [("Amend: Finance", "merger & more")]


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # the library looks for it on Python 3.11
def test_an_address_that_is_none_is_refused_without_its_secret() -> None:
    """At the start, by its place and kind; what stands in it is not repeated."""
    pytest.importorskip("apprise", reason="the extra 'notify' is not installed")
    with pytest.raises(BadDemo, match=r"address 2 \(nothing\)") as refused:
        Notifier(["json://127.0.0.1", "nothing://user:secret@host"], "t", str)
    assert "secret" not in str(refused.value)


def test_a_condition_can_be_added_and_clears_by_itself() -> None:
    """A probe of a part that is opened later is asked like the others."""
    conditions, found = Conditions({}), {"source": "wire", "since": "today"}
    conditions.add("feed_silent", lambda: found or None)
    assert [one.name for one in conditions.look()] == ["feed_silent"]
    found.clear()
    assert conditions.look() == []
