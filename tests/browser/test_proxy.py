"""Behind a proxy that strips a path prefix the page, its calls and its cookie work, and nothing leaves the prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.browser.acting import TEXT, sent
from tests.browser.listening import listening
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser
PREFIX = "/tools/amend"


@contextmanager
def proxied(target: str, seen: list[str]) -> Iterator[str]:
    """Serve `target` under PREFIX the way a front server does; collect the paths asked for."""
    client = httpx.AsyncClient(base_url=target, timeout=60)

    async def forward(request: Request) -> Response:
        seen.append(request.url.path)
        headers = {key: value for key, value in request.headers.items() if key != "host"}
        headers |= {"host": request.headers["host"], "x-forwarded-prefix": PREFIX, "x-forwarded-for": "203.0.113.7"}
        path = request.url.path.removeprefix(PREFIX) or "/"
        outgoing = client.build_request(
            request.method, path, params=request.query_params, headers=headers, content=await request.body()
        )
        answer = await client.send(outgoing, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:
                await answer.aclose()

        response = StreamingResponse(body(), answer.status_code)
        response.raw_headers = [(key.lower(), value) for key, value in answer.headers.raw if key.lower() != b"transfer-encoding"]
        return response

    methods = ["GET", "POST", "DELETE", "PUT", "HEAD"]

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    app = Starlette(routes=[Route("/{path:path}", forward, methods=methods)], lifespan=life)
    with listening(app) as url:
        yield url


def test_the_page_works_under_a_prefix(page: Page, choice_site: Site, abroad: list[str]) -> None:
    """Ask, choose, send under /tools/amend/: stored once, cookie for that path, every request under the prefix."""
    seen: list[str] = []
    with proxied(choice_site.url, seen) as url:
        before = choice_site.rows("SELECT count(*) AS n FROM corrections")[0]["n"]
        page.goto(f"{url}{PREFIX}/")
        page.locator("#am-input").fill(TEXT)
        page.locator(".am-ask").click()
        card = page.locator(".am-answer")
        expect(card.locator(".am-actions")).to_be_visible()
        card.get_by_role("button", name="Looks right").click()
        sent(card)
        assert choice_site.rows("SELECT count(*) AS n FROM corrections")[0]["n"] == before + 1
        (cookie,) = [c for c in page.context.cookies() if c.get("name") == f"amend_{choice_site.demo.name}"]
        assert cookie.get("path") == PREFIX
        page.goto("about:blank")
    assert abroad == []
    # The browser by itself asks the host for an icon before it has read the page's.
    assert [path for path in seen if not path.startswith(PREFIX) and path != "/favicon.ico"] == []
