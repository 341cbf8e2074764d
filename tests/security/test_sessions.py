"""Logins and cross-site requests: throttled without locking anybody out, expiring, ended for good, refused from foreign pages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from itsdangerous import TimestampSigner

from feedback import staff as command
from feedback.errors import BadInput
from feedback.home import Home
from feedback.sessions import SESSION_SECONDS
from feedback.staff import OWNER, Staff
from feedback.store import Store
from tests.feedback.test_web import JSON, Site, demo_of

PASSWORD = "correct horse battery"
QUEUE = "/api/v1/reviews/queue"
LOGIN = "amend_t_studio"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site whose owner's password is known."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        made = Site(home, store, demo_of(tmp_path))
        made.staff.set_password(OWNER, PASSWORD)
        yield made


def log_in(client: TestClient, password: str = PASSWORD, name: str = OWNER) -> int:
    """Send the form; return the status: 303 lets in."""
    answer = client.post("/studio/login", data={"name": name, "password": password}, follow_redirects=False)
    return answer.status_code


def from_network(site: Site, number: int) -> TestClient:
    """Return a client of another network prefix (a trusted proxy says so)."""
    return site.client(**{"x-forwarded-for": f"198.51.{number}.1"})


def inside(client: TestClient) -> bool:
    """Return whether this client is staff."""
    return client.get(QUEUE).status_code == 200


# -- the throttle


def test_one_network_has_eight_tries_a_minute(site: Site) -> None:
    """Whatever the names; the answer says when to come back, in a header too."""
    tries = [log_in(from_network(site, 1), "guess", f"name{number}") for number in range(9)]
    assert tries == [403] * 8 + [429]
    refused = from_network(site, 1).post("/studio/login", data={"name": "x", "password": "y"})
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert log_in(from_network(site, 2)) == 303


def test_many_networks_together_have_eight_tries_at_a_name(site: Site) -> None:
    """A name is protected from a guesser with many addresses; other names are not affected."""
    assert [log_in(from_network(site, number), "guess") for number in range(9)] == [403] * 8 + [429]
    site.staff.set_password("ann", PASSWORD)
    assert log_in(from_network(site, 10), name="ann") == 303


def test_strangers_cannot_lock_a_person_out_of_their_own_browser(site: Site) -> None:
    """While strangers fill the name's tries, the browser that this person logged in from before still gets in."""
    mine = from_network(site, 1)
    assert log_in(mine) == 303
    mine.post("/studio/logout")
    assert not inside(mine)
    for number in range(9):
        log_in(from_network(site, 2 + number), "guess")
    assert log_in(from_network(site, 20)) == 429
    assert log_in(mine) == 303


def test_the_mark_of_a_browser_is_no_login_and_has_a_throttle_of_its_own(site: Site) -> None:
    """It opens nothing, serves one name, allows eight tries a minute like everybody, and ends with the password."""
    mine = site.client()
    log_in(mine)
    mark = next(str(cookie.value) for cookie in mine.cookies.jar if cookie.name == f"{LOGIN}_browser")
    for name in (LOGIN, "amend_t"):
        thief = site.client()
        thief.cookies.set(name, mark)
        assert not inside(thief)
    assert site.staff.sessions.marked(mark, OWNER)
    assert not site.staff.sessions.marked(mark, "ann")
    assert [log_in(mine, "guess") for _ in range(9)] == [403] * 8 + [429]
    site.staff.set_password(OWNER, "another password")
    assert not site.staff.sessions.marked(mark, OWNER)


# -- what a login lives and dies by


def test_a_login_ends_after_fourteen_days(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One second less and it opens, one second more and it does not: the server looks, not the browser."""
    began = TimestampSigner.get_timestamp(TimestampSigner("any"))
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: began)
    cookie = site.staff.sessions.begin(OWNER)
    for later, holder in ((SESSION_SECONDS - 1, OWNER), (SESSION_SECONDS + 1, None)):
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _, later=later: began + later)
        assert site.staff.sessions.holder(cookie) == holder


def test_what_is_no_login_of_ours_opens_nothing(site: Site) -> None:
    """Forged and damaged cookies are nobody's, without an exception; a changed place anywhere is enough."""
    for forged in ("", "x", '["owner"]', "a.b.c", "\x00", "é" * 50, "." * 5000, "WyJvd25lciJd.aaaa.bbbb"):
        assert site.staff.sessions.holder(forged) is None, forged
    genuine = site.staff.sessions.begin(OWNER)
    assert site.staff.sessions.holder(genuine) == OWNER
    for place in range(len(genuine) - 1):  # the last digit's lowest bits are no part of the signature
        changed = genuine[:place] + ("A" if genuine[place] != "A" else "B") + genuine[place + 1 :]
        assert site.staff.sessions.holder(changed) is None, place
    other_key = Staff(Home(site.home.directory.parent / "another")).sessions.begin(OWNER)
    assert site.staff.sessions.holder(other_key) is None


def test_logging_out_ends_the_login_on_the_server_and_no_other(site: Site) -> None:
    """A copy of the cookie is worth nothing afterwards, after a restart neither; another browser stays in."""
    mine, other, thief = site.client(), site.client(), site.client()
    assert (log_in(mine), log_in(other)) == (303, 303)
    stolen = next(str(cookie.value) for cookie in mine.cookies.jar if cookie.name == LOGIN)
    thief.cookies.set(LOGIN, stolen)
    assert inside(thief)
    mine.post("/studio/logout")
    assert [inside(client) for client in (mine, thief, other)] == [False, False, True]
    assert Staff(site.home).sessions.holder(stolen) is None


def test_log_out_everywhere_keeps_the_password(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m feedback.staff logout NAME`, beside the running app, ends every login of that person alone."""
    site.staff.set_password("ann", PASSWORD)
    mine, hers = [site.client(), site.client()], site.client()
    assert [log_in(client) for client in mine] + [log_in(hers, name="ann")] == [303] * 3
    assert command.main(["--home", str(site.home.directory), "logout", OWNER]) == 0
    assert [inside(client) for client in (*mine, hers)] == [False, False, True]
    assert log_in(mine[0]) == 303
    assert command.main(["--home", str(site.home.directory), "logout", "nobody"]) == 1
    assert "there are: ann, owner" in capsys.readouterr().err


def test_a_token_is_revoked(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m feedback.staff revoke NAME` ends it at once, and says which there are where the name is wrong."""
    robot = site.client(site.staff.make_token("robot"))
    other = site.client(site.staff.make_token("other"))
    assert inside(robot)
    assert command.main(["--home", str(site.home.directory), "revoke", "robot"]) == 0
    assert [inside(client) for client in (robot, other)] == [False, True]
    assert command.main(["--home", str(site.home.directory), "revoke", "robot"]) == 1
    assert "there are: other" in capsys.readouterr().err


def test_the_owners_own_token_is_made_anew_where_it_was_revoked(site: Site) -> None:
    """The commands on this machine go on working: they find a token that the app knows."""
    first = site.staff.owner_token()
    site.staff.revoke(OWNER)
    assert not inside(site.client(first))
    assert inside(site.client(site.staff.owner_token()))
    with pytest.raises(BadInput, match="no token is named 'ghost'"):
        site.staff.revoke("ghost")


# -- foreign pages

ATTACKS = [
    ("POST", "/api/v1/predictions"),
    ("DELETE", "/api/v1/corrections/c_1"),
    ("DELETE", "/api/v1/me"),
    ("POST", "/studio/login"),
    ("POST", "/studio/logout"),
    ("POST", "/studio/gradio_api/queue/join"),
    ("POST", "/studio/gradio_api/component_server"),
    ("POST", "/zh/studio/gradio_api/call/any"),
    ("POST", "/gradio_api/queue/join"),
    ("PUT", "/anything"),
    ("PATCH", "/anything"),
]
FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://testserver.evil.example"},
    {"origin": "http://testserver@evil.example"},
    {"origin": "http://["},
    {"origin": "testserver"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


def test_a_foreign_page_is_refused_even_with_the_owners_login(site: Site) -> None:
    """Every method that changes something, every address, before any route looks: 403 with the reason."""
    owner = site.client(site.staff.make_token("robot"))
    log_in(owner)
    for (method, path), headers in product(ATTACKS, FOREIGN):
        answer = owner.request(method, path, headers=headers, content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (403, "origin"), (method, path, headers)
    assert inside(owner), "it was not logged out"


def test_who_is_no_trusted_proxy_cannot_name_the_host(site: Site) -> None:
    """X-Forwarded-Host of a stranger makes no foreign origin ours."""
    stranger = TestClient(site.app, client=("203.0.113.9", 5000))
    told = {"origin": "https://evil.example", "x-forwarded-host": "evil.example"}
    answer = stranger.post("/api/v1/predictions", json={"input": "x"}, headers=told)
    assert answer.status_code == 403


def test_our_own_pages_and_programs_are_let_in(site: Site) -> None:
    """A page of ours, a person's bookmark and a program without a browser's headers write."""
    for headers in ({}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "http://testserver"}):
        answer = site.client().post("/api/v1/predictions", headers={**JSON, **headers}, json={"input": "x"})
        assert answer.status_code == 201, headers


def test_a_partners_origin_is_let_in_where_the_demo_says_so(tmp_path: Path) -> None:
    """server.origins names whole origins: scheme, host and port."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        client = Site(home, store, demo_of(tmp_path, server={"origins": ["https://partner.example"]})).client()
        for origin, status in (
            ("https://partner.example", 201),
            ("http://partner.example", 403),
            ("https://a.partner.example", 403),
        ):
            answer = client.post("/api/v1/predictions", headers={"origin": origin}, json={"input": "x"})
            assert answer.status_code == status, origin
