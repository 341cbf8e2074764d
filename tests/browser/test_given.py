"""The list of one's own corrections: it grows with each, and shows what came of the others when somebody comes back."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from feedback.records import Visitor
from tests.browser.acting import TEXT, ask, last_correction, sent
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser


def test_the_list_grows_and_is_read_anew_on_coming_back(page: Page, spans_site: Site) -> None:
    """Two corrections stand in the list, the newest first; the verdict on one appears when the page is seen again."""
    texts = ["Grows, first: " + TEXT, "Grows, second: " + TEXT]
    card = ask(page, spans_site, texts[0])
    card.get_by_role("button", name="Looks right").click()
    sent(card)
    agreed = last_correction(spans_site)["output"]
    page.locator("#am-input").fill(texts[1])
    page.locator(".am-ask").click()
    expect(card.locator(".am-actions")).to_be_visible()
    card.get_by_role("button", name="Looks right").click()
    items = page.locator(".am-given-item")
    expect(items).to_have_count(2)
    expect(items.nth(0)).to_contain_text("second")
    expect(items.nth(1).locator(".am-badge")).to_have_text("waiting")
    bob = Visitor("u_bob_of_given")
    shown = spans_site.desk.predict(bob, texts[0])
    spans_site.desk.correct(bob, shown.id, agreed)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(items.nth(1).locator(".am-badge")).to_have_text("accepted")
