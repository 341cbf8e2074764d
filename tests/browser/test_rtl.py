"""Texts that run from right to left: read, marked and sent as any other; each line runs as its own first letter says."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.acting import SELECT, ask, marks, sent
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser

HEBREW = "😀 המטופלת לקחה ibuprofen בגלל pneumonia והתאוששה תוך 3 ימים."
ARABIC = "أُصيبت المريضة بحمّى شديدة قبل يومين.\nThen she got pneumonia.\nوهي الآن بخير."
FIRST_OF_LINES = """box => {
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT), found = [], edge = box.getBoundingClientRect();
  let fresh = true;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    for (let i = 0; i < node.data.length; i += 1) {
      if (node.data[i] === '\\n') { fresh = true; continue; }
      if (!fresh) continue;
      fresh = false;
      const range = document.createRange();
      range.setStart(node, i); range.setEnd(node, i + 1);
      const { left, right } = range.getBoundingClientRect();
      found.push((left + right) / 2 > (edge.left + edge.right) / 2 ? 'right' : 'left');
    }
  }
  return found;
}"""
"""Which half of the box the first character of each line stands in."""


def direction(of: Locator) -> str:
    """Return the direction that an element's text has."""
    found: str = of.evaluate("node => getComputedStyle(node).direction")
    return found


@pytest.mark.parametrize("path", ["/", "/zh/?lang=zh"])
def test_each_line_runs_its_own_way(page: Page, spans_site: Site, tmp_path: Path, path: str) -> None:
    """Arabic lines begin at the right, the English line between them at the left, in the field, the answer and on a telephone."""
    card = ask(page, spans_site, ARABIC, path)
    assert direction(page.locator("#am-input")) == "rtl"
    box = card.locator(".am-widget .am-text")
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert box.evaluate(FIRST_OF_LINES) == ["right", "left", "right"]
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / f"rtl-{width}.png", full_page=True)
    assert box.evaluate("box => box.textContent") == ARABIC  # a label is drawn, never text: places stay those of the text


def test_a_mark_is_what_was_selected(page: Page, spans_site: Site, tmp_path: Path) -> None:
    """A Hebrew word behind an emoji and an English word within Hebrew: the log has their code points, cut by Python."""
    card = ask(page, spans_site, HEBREW)
    assert direction(card.locator(".am-widget .am-text")) == "rtl"
    for word, label in (("המטופלת", "Symptom"), ("ibuprofen", "Drug")):
        page.evaluate(SELECT, [HEBREW.index(word), HEBREW.index(word) + len(word)])
        card.get_by_role("button", name=label).click()
    page.screenshot(path=tmp_path / "rtl-marks.png", full_page=True)
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert marks(spans_site, HEBREW) == [("המטופלת", "Symptom"), ("ibuprofen", "Drug"), ("pneumonia", "Disease")]


def test_arrows_go_where_they_point(page: Page, spans_site: Site) -> None:
    """In a text that runs to the left, the left arrow goes on and the right arrow back; in English it is the other way round."""
    card = ask(page, spans_site, "Again: pneumonia")
    card.locator(".am-text").focus()
    for key in ("Home", "ArrowRight", "2"):
        page.keyboard.press(key)
    expect(card.locator(".am-mark").nth(0)).to_have_text(":")
    hebrew = "בוקר טוב לכולם"
    card = ask(page, spans_site, hebrew)
    card.locator(".am-text").focus()
    for key in ("Home", "ArrowLeft", "ArrowLeft", "ArrowRight", "2"):
        page.keyboard.press(key)
    expect(card.locator(".am-mark")).to_have_text(["טוב"])
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert marks(spans_site, hebrew) == [("טוב", "Symptom")]


def test_what_was_given_is_shown_the_same_way(page: Page, spans_site: Site) -> None:
    """In the list of one's own corrections an Arabic line begins at the right too."""
    card = ask(page, spans_site, ARABIC)
    card.get_by_role("button", name="Looks right").click()
    sent(card)
    page.reload()
    given = page.locator(".am-given-item .am-text").first
    expect(given).to_be_visible()
    assert given.evaluate(FIRST_OF_LINES) == ["right", "left", "right"]
