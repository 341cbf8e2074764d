"""Every address that the app and its Gradio pages answer, found by walking their routes: open ones are on a short list, others refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from feedback.doors import STUDIOS
from tests.serving import Served

PUBLIC = {
    "GET /healthz", "GET /readyz", "GET /api/openapi.json", "HEAD /api/openapi.json", "GET /api/docs", "GET /docs/oauth2-redirect",
    "GET /studio/login", "POST /studio/login", "POST /studio/logout",
    "POST /api/v1/predictions", "POST /api/v1/corrections", "GET /api/v1/corrections", "DELETE /api/v1/corrections/{}",
    "POST /api/v1/pairs", "POST /api/v1/votes", "POST /api/v1/opinions", "GET /api/v1/me", "GET /api/v1/me/data", "DELETE /api/v1/me",
    "GET /api/v1/learned", "GET /learned", "GET /zh/learned", "GET /learned/{}", "GET /zh/learned/{}",
}  # fmt: skip
"""What anybody may ask of our own routes: visitors' doings, each by their cookie, how the app is, and what it has learned (a partner's
report asks for the key in its link)."""
PUBLIC_METERED = {"GET /metrics"}
"""Open to addresses that the demo names (the loopback address by default); tests/feedback/test_metrics.py has its rules."""
PUBLIC_PAGE = {
    "GET /", "HEAD /", "GET /config", "GET /config/", "GET /static/{}", "GET /assets/{}", "GET /svelte/{}", "GET /theme.css",
    "GET /favicon.ico", "GET /robots.txt", "GET /manifest.json",
    *(f"GET /gradio_api/{name}" for name in (
        "app_id", "app_id/", "info", "info/", "user", "user/", "login_check", "login_check/", "openapi.json", "theme.css",
        "heartbeat/{}", "queue/data", "queue/status", "call/{}/{}", "call/v2/{}/{}",
    )),
    *(f"POST /gradio_api/{name}" for name in (
        "queue/join", "component_server", "component_server/", "call/{}", "call/{}/", "call/v2/{}", "call/v2/{}/", "cancel", "reset", "reset/",
    )),
}  # fmt: skip
"""What a public Gradio page answers to anybody: its files, its two words of configuration, its four public events."""
ANYWHERE_ELSE = ("/api/{}",)
"""Our answer to unknown addresses under /api: 404 or 405."""
REFUSED = (401, 403, 404, 405)


class Door(NamedTuple):
    """One method of one address; `{}` stands for whatever is in a path's variable places."""

    method: str
    path: str
    mount: str

    @property
    def name(self) -> str:
        """Return it as the lists above have it."""
        return f"{self.method} {self.path}"

    def url(self) -> str:
        """Return an address to ask: numbers satisfy every variable's type."""
        return self.mount + self.path.replace("{}", "1")


def doors(app: Any, mount: str = "") -> Iterator[Door]:
    """Yield every method of every route, in mounted apps too. A kind of route that is not known here fails the test."""
    for path, route in routes_of(app):
        if isinstance(route, Mount):
            if route.routes:
                yield from doors(route.app, mount + route.path)
            else:
                assert isinstance(route.app, StaticFiles), f"{route.path}: what is mounted there is not known here"
            continue
        assert not isinstance(route, WebSocketRoute), f"{path}: nobody checks a login on a web socket"
        assert isinstance(route, Route) or hasattr(route, "methods"), f"{path}: a {type(route).__name__}, which is not known here"
        for method in sorted(route.methods or ()):
            yield Door(method, re.sub(r"\{[^}]*\}", "{}", path), mount)


def routes_of(app: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, route) of an app, routers that FastAPI includes lazily unfolded."""
    pending: list[Any] = list(app.routes)
    while pending:
        route = pending.pop(0)
        if hasattr(route, "effective_candidates"):
            pending += [*route.effective_candidates(), *route.effective_low_priority_routes()]
        else:
            yield str(route.path), route


@pytest.fixture(scope="module")
def every_door(running: Served) -> list[Door]:
    """All doors of the app that is served."""
    found = list(dict.fromkeys(doors(running.app)))
    assert {door.mount for door in found} == {"", "/zh", *STUDIOS}
    assert len(found) > 250, "the walk found hardly anything"
    return found


def ask(client: httpx.Client, door: Door) -> int:
    """Return the status of a request, without reading a stream to its end."""
    with client.stream(door.method, door.url(), json={} if door.method in ("POST", "PUT", "PATCH", "DELETE") else None) as answer:
        return answer.status_code


def is_public(door: Door) -> bool:
    """Return whether the lists say that anybody may ask this."""
    if f"{door.method} {door.mount}{door.path}" in PUBLIC | PUBLIC_METERED or door.path in ANYWHERE_ELSE:
        return True  # also Gradio's own login under the studio, which ours stands before
    return door.mount not in STUDIOS and door.name in PUBLIC_PAGE


def test_whatever_is_not_on_the_public_list_refuses_without_a_login(running: Served, every_door: list[Door]) -> None:
    """Routes and all of Gradio's own, in both languages: 401 for what staff may, 403 or 404 for what nobody may."""
    closed = [door for door in every_door if not is_public(door)]
    with running.visitor() as stranger:
        answers = {(door.mount, door.name): ask(stranger, door) for door in closed}
    assert {door: status for door, status in answers.items() if status not in REFUSED} == {}
    studio = {door: status for door, status in answers.items() if door[0] in STUDIOS}
    assert set(studio.values()) == {401}


def test_everything_on_the_public_list_exists(every_door: list[Door]) -> None:
    """The list has no entry that an earlier release needed."""
    there = {door.name for door in every_door}
    assert PUBLIC - {f"{door.method} {door.mount}{door.path}" for door in every_door} == set()
    assert PUBLIC_PAGE - there == set()


@pytest.mark.parametrize("kind", ["forged", "out of date", "ended", "another's", "not text"])
def test_a_bad_login_opens_no_door_of_the_studio(running: Served, every_door: list[Door], kind: str) -> None:
    """Every Gradio address under the studio refuses a login cookie that is forged, old, ended or of another app."""
    sessions = running.house.staff.sessions
    genuine = sessions.begin("owner")
    if kind == "ended":
        sessions.end(genuine)
    cookie = {
        "forged": genuine[:-8] + "AAAAAAAA",
        "out of date": "WyJvd25lciIsIngiLCJ5Il0.AAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "ended": genuine,
        "another's": sessions.mark("owner"),
        "not text": "%00%FF",
    }[kind]
    inside = [door for door in every_door if door.mount in STUDIOS and not is_public(door)]
    with httpx.Client(base_url=running.url, cookies={"amend_small_studio": cookie}) as client:
        assert {ask(client, door) for door in inside} == {401}


def test_a_browser_is_sent_to_the_login(running: Served) -> None:
    """A whole page of the studio that a person opens without a login: the form, not a bare 401."""
    with running.visitor() as stranger:
        for path in ("/studio", "/studio/", "/zh/studio/", "/studio/config", "/zh/studio/login"):
            answer = stranger.get(path, headers={"accept": "text/html"})
            assert (answer.status_code, answer.headers["location"]) == (307, "/studio/login"), path


FILES = [
    "/etc/passwd",
    "{home}/secrets/passwords.json",
    "{home}/secrets/owner.token",
    "{home}/log.duckdb",
    "{demo}",
    "app.py",
    ".",
]


WAYS = ("file={}", "file/{}", "proxy={}", "file=file://{}", "file=http://127.0.0.1:1{}", "file=%2e%2e/{}", "file=/dev/fd/../..{}")


@pytest.mark.parametrize("mount", ["", "/zh", *STUDIOS])
@pytest.mark.parametrize("way", WAYS)
def test_no_file_of_the_machine_is_served(running: Served, mount: str, way: str) -> None:
    """Neither to strangers nor to staff: Gradio's file and proxy addresses are closed, whatever path is asked for."""
    with running.visitor() as stranger, running.staff() as staff:
        for file in FILES:
            path = file.format(home=running.house.home.directory, demo=running.house.demo.path)
            url = f"{mount}/gradio_api/{way.format(path)}"
            assert stranger.get(url).status_code in (401, 404), url
            assert staff.get(url).status_code == 404, url


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../../../../../../../../etc/passwd", "/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc/passwd", "/svelte/%2fetc%2fpasswd", "/static//etc/passwd",
        "/gradio_api/custom_component/x/client/component/..%2f..%2fetc%2fpasswd", "/static-offline-docs/..%2f..%2fpyproject.toml",
        "/static-offline-docs/%2e%2e/%2e%2e/requirements.txt",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_static_folders(running: Served, path: str) -> None:
    """What climbs out, in whatever spelling, is not found; the raw target goes out as it stands here."""
    with httpx.Client(base_url=running.url) as client:
        answer = client.send(httpx.Request("GET", running.url, extensions={"target": path.encode()}))
        assert answer.status_code in (400, 403, 404), answer.text[:200]
        assert "root:" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "//studio/config", "/./studio/config", "/studio//config", "/studio/./config", "/studio;x/config", "/%73tudio/config", "/STUDIO/config",
        "/zh//studio/config", "/zh/%2e%2e/studio/config", "/studio%2fconfig", "/studio/..;/studio/config", "/x/../studio/config",
        "/studio/config?x=/studio/login", "/studio/login/../config", "/studio/login/config", "/studio/login%2f..%2fconfig", "/studio\\config",
        "/studio/config%00", "/studio/config/", "/zh/studio/config#/studio/login",
    ],
)  # fmt: skip
def test_no_spelling_of_the_studio_gets_past_its_door(running: Served, path: str) -> None:
    """Whatever a stranger writes for the studio's configuration, they never read it."""
    with httpx.Client(base_url=running.url) as client:
        for headers in (
            {},
            {"x-forwarded-prefix": "/studio"},
            {"x-forwarded-prefix": "/zh"},
            {"x-original-url": "/studio/login"},
        ):
            request = httpx.Request("GET", running.url, headers=headers, extensions={"target": path.encode()})
            answer = client.send(request)
            assert "do_retrain" not in answer.text
            assert answer.status_code in (307, 400, 401, 404), (headers, answer.status_code)
    with running.staff() as staff:
        assert staff.get("/studio/config").status_code == 200


def test_a_strangers_page_reads_no_answer(running: Served) -> None:
    """No answer allows another origin to read it, though Gradio by itself would allow all but where it runs on localhost."""
    with running.staff() as staff:
        for path in ("/", "/config", "/studio/config", "/studio/gradio_api/info", "/api/v1/corrections", "/healthz"):
            for host in ("demo.example", running.url.removeprefix("http://")):
                answer = staff.get(path, headers={"origin": "https://evil.example", "host": host})
                assert "access-control-allow-origin" not in answer.headers, (path, host)


def test_a_web_socket_is_closed(running: Served) -> None:
    """No route takes one: the middleware closes it before anything is mounted."""
    with running.visitor() as client:
        upgrade = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "sec-websocket-version": "13",
        }
        assert client.get("/studio/gradio_api/queue/join", headers=upgrade).status_code in (400, 401, 403, 404, 426)


def test_the_four_public_events_are_all_that_a_stranger_may_call(running: Served) -> None:
    """The page's description names them; events of the studio cannot be called by name or by number from outside."""
    with running.visitor() as stranger:
        for page in ("", "/zh"):
            named = stranger.get(f"{page}/gradio_api/info").json()
            assert set(named["named_endpoints"]) == {"/predict", "/correct", "/pair", "/vote"}
            assert named["unnamed_endpoints"] == {}
        for number in range(40):
            body = {"data": [], "fn_index": number, "session_hash": "guess"}
            assert stranger.post("/studio/gradio_api/queue/join", json=body).status_code == 401
