"""What the page says and keeps while the log's disk takes no more: answers to be read, corrections that wait, words in both languages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from feedback.errors import StorageFull
from tests.browser.acting import TEXT, ask, last_correction, sent
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser

SAID = {"/": "This answer could not be recorded", "/zh/?lang=zh": "此回答未能保存"}
REFUSED = {"/": "the disk is full", "/zh/?lang=zh": "磁盘已满"}


@contextmanager
def full(site: Site) -> Iterator[None]:
    """Let the site's log find no room for any write."""

    def refuse(*_: object) -> None:
        raise StorageFull("no room")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.store._headroom, "ask", refuse)
        yield


@pytest.mark.parametrize("path", list(SAID))
def test_an_answer_that_is_not_recorded_is_there_to_be_read(page: Page, spans_site: Site, path: str) -> None:
    """The answer stands with a notice and without any way to correct it; the next one, recorded again, can be corrected."""
    with full(spans_site):
        page.goto(spans_site.url + path)
        page.locator("#am-input").fill(TEXT)
        page.locator(".am-ask").click()
        card = page.locator(".am-answer")
        expect(card.locator(".am-note").filter(has_text=SAID[path])).to_be_visible()
        expect(card.locator(".am-mark")).to_have_text(["pneumonia"])
        for hidden in (".am-actions", ".am-bar", ".am-comment", ".am-question"):
            expect(card.locator(hidden)).to_be_hidden()
        card.locator(".am-mark").click()
        page.keyboard.press("Delete")
        expect(card.locator(".am-mark")).to_have_count(1)
    page.locator(".am-ask").click()
    expect(card.locator(".am-actions")).to_be_visible()
    expect(card.locator(".am-note").filter(has_text=SAID[path])).to_have_count(0)
    card.locator(".am-mark").click()
    page.keyboard.press("Delete")
    expect(card.locator(".am-mark")).to_have_count(0)


@pytest.mark.parametrize("path", list(REFUSED))
def test_a_correction_that_is_refused_keeps_what_was_marked(page: Page, spans_site: Site, path: str) -> None:
    """The page says why, marks and comment stay as they are, and the same button sends them once there is room."""
    card = ask(page, spans_site, f"{TEXT} {path}", path)
    card.locator(".am-mark").click()
    page.keyboard.press("2")
    card.locator(".am-comment summary").click()
    card.locator(".am-comment textarea").fill("as I saw it")
    send = card.locator(".am-actions .am-button").last
    with full(spans_site):
        send.click()
        expect(card.locator(".am-status[data-kind=bad]")).to_contain_text(REFUSED[path])
    expect(card.locator(".am-mark")).to_have_text(["pneumonia"])
    expect(card.locator(".am-comment textarea")).to_have_value("as I saw it")
    send.click()
    sent(card)
    stored = last_correction(spans_site)
    assert [span["label"] for span in stored["output"]["spans"]] == ["Symptom"]
    assert stored["comment"] == "as I saw it"


def test_side_by_side_falls_back_to_one_answer(page: Page, spans_site: Site) -> None:
    """Two answers nobody could vote on are not shown: one is, with the notice."""
    spans_site.side_by_side("full-disk")
    try:
        with full(spans_site):
            page.goto(spans_site.url + "/")
            page.locator("#am-input").fill(TEXT)
            page.locator(".am-ask").click()
            expect(page.locator(".am-answer .am-note").filter(has_text=SAID["/"])).to_be_visible()
            expect(page.locator(".am-pair")).to_have_count(0)
    finally:
        spans_site.experiments.act("full-disk", "stop", "test")
