"""What the browser tests do alike: ask, wait for thanks, look into the log."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
from playwright.sync_api import Locator, Page, expect

from feedback.errors import Unauthorised
from feedback.identity import visitor_of
from tests.browser.served_site import Site

TEXT = "She took ibuprofen for pneumonia and got a rash."
SELECT = """([start, end]) => {
  const box = document.querySelector('.am-widget .am-text'), range = document.createRange();
  const spot = (place) => {
    const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(), last = node; ; last = node, node = walker.nextNode()) {
      if (!node) return [last, last.data.length];
      const points = Array.from(node.data);
      if (place <= points.length) return [node, points.slice(0, place).join('').length];
      place -= points.length;
    }
  };
  range.setStart(...spot(start)); range.setEnd(...spot(end));
  const selection = getSelection(); selection.removeAllRanges(); selection.addRange(range);
}"""


def ask(page: Page, site: Site, text: str, path: str = "/") -> Locator:
    """Open the page, ask, wait for the answer; return its card."""
    page.goto(site.url + path)
    page.locator("#am-input").fill(text)
    page.locator(".am-ask").click()
    card = page.locator(".am-answer")
    expect(card.locator(".am-actions")).to_be_visible()
    return card


def sent(card: Locator) -> None:
    """Wait until the page says thank you."""
    expect(card.locator(".am-status[data-kind=good]")).to_be_visible()


def last_correction(site: Site) -> dict[str, Any]:
    """Return the newest correction with its output parsed."""
    (row,) = site.rows("SELECT * FROM corrections ORDER BY created DESC LIMIT 1")
    return {**row, "output": json.loads(row["output"])}


def marks(site: Site, text: str) -> list[tuple[str, str]]:
    """Return (marked text, label) of the newest correction, cut with Python's own code points."""
    return [(text[s["start"] : s["end"]], s["label"]) for s in last_correction(site)["output"]["spans"]]


def open_tab(page: Page, name: str) -> None:
    """Open a tab of the studio: on a telephone those that have no room are in Gradio's menu behind three dots."""
    expect(page.get_by_role("tab").first).to_be_visible()
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.count():
        page.locator(".overflow-menu > button").click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.click()


def staff_of(request: gr.Request) -> str:
    """Return who is logged in, or refuse."""
    name = visitor_of(request).staff
    if name is None:
        raise Unauthorised("log in first")
    return name
