"""What a person sees when too many ask at once: mostly nothing, else words of ours, and never a page that hangs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.acting import TEXT, ask, last_correction, sent
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser


@pytest.fixture
def full(spans_site: Site) -> Iterator[Site]:
    """The site; a test fills its places by `full.desk.admission.most = 0`."""
    most = spans_site.desk.admission.most
    yield spans_site
    spans_site.desk.admission.most = most


def opened(page: Page, url: str) -> None:
    """Open the page and wait until it has asked for the list of what was given."""
    with page.expect_response("**/component_server/"):
        page.goto(url)


def test_a_short_rush_is_waited_out_by_the_page(page: Page, full: Site) -> None:
    """The first call finds no place; the page asks again by itself, and the person only sees that it takes a moment."""
    opened(page, full.url + "/")
    most, full.desk.admission.most = full.desk.admission.most, 0
    page.locator("#am-input").fill("Rush: " + TEXT)
    with page.expect_response("**/component_server/") as refused:
        page.locator(".am-ask").click()
    assert refused.value.json()["code"] == "busy"
    full.desk.admission.most = most
    expect(page.locator(".am-answer .am-mark").first).to_be_visible()
    expect(page.locator(".am-form .am-status")).to_be_hidden()


@pytest.mark.parametrize(("path", "words"), [("/", "Many people are asking just now"), ("/zh/?lang=zh", "现在访问人数较多")])
def test_a_long_rush_is_told_in_words(page: Page, full: Site, path: str, words: str) -> None:
    """No place after three tries: it says so in the page's language, and what was written is still there."""
    opened(page, full.url + path)
    full.desk.admission.most = 0
    page.locator("#am-input").fill(TEXT)
    calls: list[str] = []
    page.on("request", lambda request: calls.append(request.url) if "component_server" in request.url else None)
    page.locator(".am-ask").click()
    expect(page.locator(".am-form .am-status[data-kind=bad]")).to_contain_text(words)
    assert len(calls) == 3
    expect(page.locator("#am-input")).to_have_value(TEXT)
    expect(page.locator(".am-ask")).to_be_enabled()


def test_a_correction_survives_a_rush(page: Page, full: Site) -> None:
    """Sent while there is no place, it is told in words, kept, and goes through once at the next press."""
    card = ask(page, full, "Survives: " + TEXT)
    most, full.desk.admission.most = full.desk.admission.most, 0
    card.get_by_role("button", name="Looks right").click()
    expect(card.locator(".am-status[data-kind=bad]")).to_contain_text("Many people are asking just now")
    full.desk.admission.most = most
    card.get_by_role("button", name="Looks right").click()
    sent(card)
    assert last_correction(full)["confirmation"]
    expect(page.locator(".am-given-item").first).to_contain_text("Survives: ")
