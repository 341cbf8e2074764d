"""One line a request: what is in it, what never is, and the id that a visitor can quote."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from feedback import log_lines, problems
from feedback.home import Home
from feedback.metrics import Meter
from feedback.peers import Peers
from feedback.request_log import RequestLog
from feedback.store import Store
from tests.coroutines import finished
from tests.feedback.test_web import Site, ask, demo_of


class Lines:
    """A site, and the JSON lines that its requests leave."""

    def __init__(self, site: Site, out: io.StringIO) -> None:
        self.site = site
        self.text = out

    def all(self) -> list[dict[str, Any]]:
        """Return every line so far."""
        return [json.loads(line) for line in self.text.getvalue().splitlines()]


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Lines]:
    """A site with its log as JSON in memory; afterwards logging is as it was."""
    root, out = logging.getLogger(), io.StringIO()
    before, level = list(root.handlers), root.level
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        site, meter = Site(home, store, demo_of(tmp_path)), Meter("t")
        store.listen(meter)
        site.app.add_middleware(RequestLog, meter=meter, trusted=("127.0.0.1",))
        log_lines.set_up("json", out)
        yield Lines(site, out)
    logging.captureWarnings(False)
    root.handlers[:] = before
    root.setLevel(level)


def test_a_line_tells_what_happened_and_nothing_that_was_said(lines: Lines) -> None:
    """Method, template, status, time, id, variant and version; no text, query, cookie or token."""
    token = lines.site.staff.make_token("prog")
    client = lines.site.client(token)
    response = client.post("/api/v1/predictions?channel=mine", json={"input": "my secret sickness"})
    (line,) = (line for line in lines.all() if line["logger"] == "amend.request")
    assert {key: line[key] for key in ("method", "route", "status", "variant", "version", "level")} == {
        "method": "POST", "route": "/api/v1/predictions", "status": 201, "variant": "champion", "version": 1, "level": "info",
    }  # fmt: skip
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["ms"] > 0
    cookie = client.cookies.get(f"amend_{lines.site.demo.name}")
    assert cookie
    for private in ("secret", "mine", token, cookie, cookie.split(".")[0], "127.0.0.1"):
        assert private not in lines.text.getvalue()


@pytest.mark.parametrize(
    ("peer", "given", "kept"),
    [
        ("127.0.0.1", "abc-DEF-12345", True),
        ("203.0.113.9", "abc-DEF-12345", False),  # a stranger's
        ("127.0.0.1", "short", False),
        ("127.0.0.1", "x" * 65, False),
        ("127.0.0.1", 'a"b\\nc-injected', False),
    ],
)
def test_whose_id_is_kept(lines: Lines, peer: str, given: str, kept: bool) -> None:
    """An incoming X-Request-ID counts from a trusted proxy alone, and only where it is letters, digits and hyphens."""
    client = TestClient(lines.site.app, client=(peer, 5000))
    answered = client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert (answered == given) is kept
    assert log_lines._ID.fullmatch(answered)


def test_a_problem_names_the_request(lines: Lines) -> None:
    """What a visitor is shown of an error can be found in the log."""
    response = lines.site.client().post("/api/v1/corrections", json={"prediction_id": "p_no", "output": {"label": "v1"}})
    assert response.status_code == 404
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert [line["status"] for line in lines.all() if line.get("request_id") == response.json()["request_id"]] == [404]


def test_a_line_written_in_the_requests_thread_has_its_id(lines: Lines) -> None:
    """A route runs in a thread of the pool: a warning from in there carries the id, two requests at once keep theirs."""

    @lines.site.app.get("/warn")
    def warn() -> None:
        logging.getLogger("elsewhere").warning("hm")

    client = lines.site.client()
    ids = [client.get("/warn").headers["x-request-id"] for _ in range(3)]
    assert [line["request_id"] for line in lines.all() if line["logger"] == "elsewhere"] == ids
    assert len(set(ids)) == 3


def test_the_unforeseen_is_told_without_its_message(lines: Lines) -> None:
    """The 500 names the request; the log has its line, and of the exception type and place, not the message with a text in it."""

    @lines.site.app.get("/broken")
    def broken() -> None:
        raise KeyError("my secret sickness")

    client = TestClient(lines.site.app, raise_server_exceptions=False)
    response = client.get("/broken")
    assert response.status_code == 500
    known = response.headers["x-request-id"]
    assert response.json()["request_id"] == known
    assert known in response.json()["detail"]
    assert [line["status"] for line in lines.all() if line["logger"] == "amend.request"] == [500]
    try:
        broken()
    except KeyError:
        logging.getLogger("server").exception("it broke")
    told = lines.all()[-1]
    assert (told["message"], told["error"]) == ("it broke", "KeyError")
    assert told["at"][-1].endswith(" broken")
    assert "secret" not in lines.text.getvalue()


def test_health_checks_fill_no_log(lines: Lines) -> None:
    """What is asked for every few seconds leaves no line while it goes well."""
    client = lines.site.client()
    client.get("/healthz")
    client.get("/readyz")
    ask(client)
    assert [line["route"] for line in lines.all() if line["logger"] == "amend.request"] == ["/api/v1/predictions"]


def test_text_for_a_terminal_names_the_request_too() -> None:
    """The line of a person at a terminal ends with the id; outside of a request there is none."""
    record = logging.LogRecord("amend", logging.INFO, "", 0, "hello", None, None)
    assert log_lines.TextLines().format(record).endswith("amend: hello")
    facts = log_lines.begin("given-id-1")
    assert log_lines.TextLines().format(record).endswith(f"hello [{facts['request_id']}]")
    log_lines._FACTS.set(None)


def test_without_the_middleware_nothing_is_named() -> None:
    """A site without it answers problems as before, with no id."""
    app = FastAPI()
    problems.install(app)
    log_lines._FACTS.set(None)
    assert "request_id" not in TestClient(app).get("/nothing").json()


@pytest.mark.parametrize(("error", "status"), [(None, 499), (RuntimeError("stopped"), 500)])
def test_a_request_without_an_answer_has_a_status(error: Exception | None, status: int) -> None:
    """Whoever left before the answer, and what broke before it began, are counted as such."""
    meter = Meter("t")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if error:
            raise error

    async def send(message: Message) -> None:
        raise AssertionError(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None, "root_path": ""}
    with contextlib.suppress(RuntimeError):
        finished(RequestLog(app, meter=meter, trusted=())(scope, receive, send))
    labels = {"method": "GET", "route": "unmatched", "status": str(status)}
    assert meter.registry.get_sample_value("amend_requests_total", labels) == 1


def test_peers_are_addresses_and_networks() -> None:
    """A network holds its addresses, an IPv4 one seen from "::" too; a name is compared as it stands; nonsense is nobody."""
    peers = Peers(("127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "testclient"))
    for inside in ("127.0.0.1", "10.255.3.4", "::ffff:10.1.2.3", "2001:db8::7", "testclient"):
        assert inside in peers
    for outside in ("127.0.0.2", "11.0.0.1", "2001:db9::1", "", "unknown"):
        assert outside not in peers
