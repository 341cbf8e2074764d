"""A text that somebody else corrected, judged on the public page: shown, answered, skipped, and none left."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Page, expect

from feedback.records import Visitor
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser


def give(site: Site, who: str, text: str) -> None:
    """Let somebody say that an answer with marks should have none."""
    visitor = Visitor(who)
    shown = site.desk.predict(visitor, text)
    site.desk.correct(visitor, shown.id, {"spans": []})


def test_a_second_opinion_is_given_on_the_page(page: Page, spans_site: Site) -> None:
    """Two texts wait: the first is confirmed or corrected, the second is skipped, then nothing is left; 360 px hold it all."""
    site = spans_site
    for index, text in enumerate(("asked alpha pill", "asked beta pill")):
        give(site, f"u_other_{index}", text)
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(site.url)
    section = page.locator(".am-asked")
    section.get_by_role("button", name="Show me one").click()
    expect(section.locator(".am-answer .am-actions")).to_be_visible()
    expect(section.locator(".am-widget")).to_contain_text("asked")
    shots = os.environ.get("AMEND_SHOTS")
    if shots:
        section.screenshot(path=f"{shots}/asked-phone.png")
    section.get_by_role("button", name="Looks right").click()
    expect(section.get_by_role("button", name="Show me another")).to_be_visible()
    expect(page.locator(".am-given-item")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    kinds = [row["kind"] for row in site.store.rows("SELECT kind FROM asked")]
    assert kinds == ["opinion"]
    for _ in range(20):  # whatever else waits in this shared log is skipped
        button = section.locator(".am-asked-button")
        button.click()
        expect(button).to_be_enabled()
        if section.locator(".am-status").last.inner_text():
            break
    expect(section.locator(".am-status").last).to_contain_text("Nothing waits for your opinion")
    expect(section.locator(".am-answer")).to_be_hidden()
