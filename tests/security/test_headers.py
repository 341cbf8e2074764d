"""What answers say of themselves to browsers and caches, what cookies allow, and that no header of a stranger breaks anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from feedback.home import Home
from feedback.staff import OWNER
from feedback.store import Store
from tests.feedback.test_web import HTTPS, Site, demo_of
from tests.security.test_sessions import LOGIN, PASSWORD, QUEUE
from tests.security.test_sessions import site as site


def test_no_header_of_a_stranger_breaks_the_door(site: Site) -> None:
    """Malformed addresses, cookies, lengths and languages in headers are refused or passed over, never a breakdown."""
    odd = {
        "referer": ["http://[", "\x7f", "?channel=%ff"], "origin": ["http://["], "cookie": ["=;;=", 'a="\\', "amend_t=\xe9", "; " * 5000],
        "accept-language": ["zh" * 5000, "en;q=x", ";,;"], "content-length": ["٣", "-1", "9" * 40], "x-forwarded-for": ["::", "x, y", ""],
        "x-forwarded-prefix": ["/..", "//", "\xe9"], "authorization": ["Bearer", "Bearer \xe9", "Basic x"], "user-agent": ["\xff" * 100],
    }  # fmt: skip
    for name, values in odd.items():
        for value in values:
            for method in ("GET", "POST"):
                answer = site.client().request(method, "/healthz", headers={name.encode(): value.encode("utf-8")})
                assert answer.status_code < 500, (method, name, value)


@pytest.mark.parametrize("embed", [False, True])
def test_the_logins_cookies_are_kept_from_scripts_plain_http_and_other_sites(tmp_path: Path, embed: bool) -> None:
    """HttpOnly and SameSite always; Secure behind https; both of the login's cookies, and both are gone or stay as they should."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        site = Site(home, store, demo_of(tmp_path, server={"embed": embed}))
        site.staff.set_password(OWNER, PASSWORD)
        client = TestClient(site.app, base_url=HTTPS, headers={"x-forwarded-proto": "https"}, client=("127.0.0.1", 5000))
        answer = client.post("/studio/login", data={"name": OWNER, "password": PASSWORD}, follow_redirects=False)
        cookies = [cookie for cookie in answer.headers.get_list("set-cookie") if cookie.startswith(LOGIN)]
        assert len(cookies) == 2
        for cookie in cookies:
            assert {"HttpOnly", "Secure", "SameSite=None" if embed else "SameSite=Lax"} <= set(cookie.split("; "))
        gone = client.post("/studio/logout", follow_redirects=False).headers.get_list("set-cookie")
        assert [cookie.split("; ")[:2] for cookie in gone] == [[f"{LOGIN}=", "Max-Age=0"]]


def test_every_answer_carries_the_security_headers(site: Site) -> None:
    """Pages, data, refusals and errors alike; HSTS on https alone."""
    for path in ("/healthz", "/studio/login", "/api/v1/corrections", "/api/v1/nowhere", QUEUE, "/studio/x"):
        headers = site.client().get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy
        assert ("default-src 'none'" if path.startswith("/api/v1/") else "object-src 'none'") in policy
        assert "strict-transport-security" not in headers
        assert "strict-transport-security" in site.client(**{"x-forwarded-proto": "https"}).get(path).headers


def test_no_shared_cache_keeps_an_identity(site: Site) -> None:
    """An answer that sets a cookie, and everything of staff and of one visitor, is for nobody to keep."""
    client = site.client()
    first = client.get("/healthz")
    assert ("set-cookie" in first.headers, first.headers["cache-control"]) == (True, "no-store")
    assert "set-cookie" not in client.get("/healthz").headers
    assert client.get("/api/v1/corrections").headers["cache-control"] == "no-store"


def test_a_frame_is_allowed_only_where_the_demo_may_be_embedded(tmp_path: Path) -> None:
    """[server] embed = true leaves out who may frame it, and nothing else."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        policy = (
            Site(home, store, demo_of(tmp_path, server={"embed": True}))
            .client()
            .get("/healthz")
            .headers["content-security-policy"]
        )
    assert "frame-ancestors" not in policy
    assert "object-src 'none'" in policy
