"""The page in a frame of another site: it predicts and corrects there, as one visitor, where third-party cookies are blocked too."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Playwright, expect
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.browser.acting import TEXT
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.listening import listening
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser


def forwarding(target: str) -> Starlette:
    """Return a proxy before `target` that says which scheme the browser used; heartbeats are left out, they never end."""

    def forward(request: Request) -> Response:
        if "heartbeat" in request.url.path:
            return Response(status_code=404)
        headers = {**request.headers, "x-forwarded-proto": request.url.scheme, "x-forwarded-for": "203.0.113.7"}
        body = request.scope["body"]
        answer = httpx.request(
            request.method, f"{target}{request.url.path}?{request.url.query}", headers=headers, content=body, timeout=60
        )
        response = Response(answer.content, answer.status_code)
        dropped = (b"content-length", b"content-encoding", b"transfer-encoding")
        response.raw_headers += [(key.lower(), value) for key, value in answer.headers.raw if key.lower() not in dropped]
        return response

    async def read(request: Request) -> Response:
        request.scope["body"] = await request.body()

        return await run_in_threadpool(forward, request)

    return Starlette(routes=[Route("/{path:path}", read, methods=["GET", "POST", "DELETE", "PUT", "HEAD"])])


def framing(address: str) -> Starlette:
    """Return the other site: a page with ours in a frame."""
    page = f'<!doctype html><title>A partner</title><h1>Partner</h1><iframe src="{address}" width="1200" height="800"></iframe>'
    return Starlette(routes=[Route("/", lambda _: HTMLResponse(page))])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A self-signed certificate, as arguments of uvicorn."""
    directory = tmp_path_factory.mktemp("certificate")
    files = {"ssl_certfile": str(directory / "cert.pem"), "ssl_keyfile": str(directory / "key.pem")}
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-out", files["ssl_certfile"], "-keyout", files["ssl_keyfile"]],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


@pytest.fixture(scope="module")
def strict(playwright: Playwright) -> Iterator[Browser]:
    """A browser that blocks third-party cookies unless they are partitioned, as browsers are coming to do."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (apt-get install chromium)")
    flags = [*FLAGS, "--test-third-party-cookie-phaseout"]
    browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
    yield browser
    browser.close()


def test_it_works_in_a_frame_of_another_site(strict: Browser, certificate: dict[str, str], tmp_path: Path) -> None:
    """Ask and confirm inside the frame: one contributor, one row each, by a cookie that is Secure, None and Partitioned."""
    site = Site("choice", tmp_path / "home", server={"embed": True})
    context = strict.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 900}, locale="en-GB")
    try:
        with (
            listening(forwarding(site.url), "127.0.0.1", **certificate) as ours,
            listening(framing(ours), "localhost") as partner,
        ):
            page = context.new_page()
            page.goto(partner)
            frame = page.frame_locator("iframe")
            frame.locator("#am-input").fill(TEXT)
            frame.locator(".am-ask").click()
            card = frame.locator(".am-answer")
            expect(card.locator(".am-actions")).to_be_visible()
            card.get_by_role("button", name="Looks right").click()
            expect(card.locator(".am-status[data-kind=good]")).to_be_visible()
            (row,) = site.rows(
                "SELECT p.contributor AS asked, c.contributor AS sent FROM predictions p JOIN corrections c ON c.prediction_id = p.id"
            )
            assert row["asked"] == row["sent"]
            expect(frame.locator(".am-given")).to_contain_text(TEXT)  # the next call is known as the same person's
            (cookie,) = [one for one in context.cookies() if one.get("name") == f"amend_{site.demo.name}"]
            assert (cookie.get("secure"), cookie.get("sameSite"), cookie.get("httpOnly")) == (True, "None", True)
            context.close()  # its connections end before the servers do
    finally:
        site.close()


def test_without_embed_no_other_site_frames_it(strict: Browser, certificate: dict[str, str], tmp_path: Path) -> None:
    """The default: the browser shows nothing of ours in the frame, and nobody is counted."""
    site = Site("choice", tmp_path / "home")
    context = strict.new_context(ignore_https_errors=True, locale="en-GB")
    try:
        with (
            listening(forwarding(site.url), "127.0.0.1", **certificate) as ours,
            listening(framing(ours), "localhost") as partner,
        ):
            page = context.new_page()
            refused: list[str] = []
            page.on("console", lambda message: refused.append(message.text))
            page.goto(partner)
            expect(page.get_by_role("heading", name="Partner")).to_be_visible()
            assert page.frame_locator("iframe").locator("#am-input").count() == 0
            assert any("frame-ancestors" in text for text in refused), refused
            context.close()  # its connections end before the servers do
    finally:
        site.close()


def test_without_https_the_frame_says_what_is_missing(strict: Browser, tmp_path: Path) -> None:
    """Over plain http no cookie lives in a foreign frame: an answer is shown, and the words say why it cannot be corrected."""
    site = Site("choice", tmp_path / "home", server={"embed": True})
    context = strict.new_context(locale="en-GB")
    try:
        with listening(framing(site.url), "localhost") as partner:
            page = context.new_page()
            page.goto(partner)
            frame = page.frame_locator("iframe")
            frame.locator("#am-input").fill(TEXT)
            frame.locator(".am-ask").click()
            expect(frame.locator(".am-answer-body")).to_be_visible()  # the words may come before it: the list below says them too
            expect(frame.get_by_text("Your browser did not keep our cookie").first).to_be_visible()
            assert site.rows("SELECT count(*) AS n FROM predictions") == [{"n": 1}]
            context.close()
    finally:
        site.close()
