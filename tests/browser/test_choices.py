"""Correcting one of several heads in a real browser: what a person did not speak of is neither corrected nor confirmed in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.acting import ask, last_correction, sent
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser

NAMES = {"en": {"topic": "Topic", "mood": "Mood", "mood/so-so": "neither"}, "zh": {"topic": "主题", "topic/deal": "交易"}}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose answers are a topic out of eleven and a mood out of three."""
    site = Site("choices", tmp_path_factory.mktemp("choices"), label_names=NAMES)
    yield site
    site.close()


def checked(card: Locator, head: str) -> str:
    """Return the words of the label that is picked in a head."""
    return card.get_by_role("radiogroup", name=head, exact=True).locator("[aria-checked=true] .am-option-words").inner_text()


def test_the_topic_alone_is_corrected(page: Page, site: Site, abroad: list[str]) -> None:
    """With the first pick the other head goes to no opinion, and the log has the picked head alone; the list says what was said."""
    card = ask(page, site, "profit of Orvane halves")
    assert (checked(card, "Topic"), checked(card, "Mood")) == ("earnings", "bad")
    expect(card.get_by_role("button", name="Send correction")).to_be_disabled()
    card.get_by_role("radio", name="deal").click()
    assert (checked(card, "Topic"), checked(card, "Mood")) == ("deal", "No opinion")
    expect(card.get_by_role("button", name="Looks right")).to_be_disabled()
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    row = last_correction(site)
    assert row["output"] == {"labels": {"topic": "deal"}}
    assert (row["confirmation"], row["edits"]) == (False, 1.0)
    expect(page.locator(".am-given-item dd")).to_have_text(["deal"])
    assert abroad == []


def test_the_other_head_is_confirmed_by_picking_it(page: Page, site: Site) -> None:
    """Both heads are in the log where both were picked; start over goes back to the model's answer."""
    card = ask(page, site, "Kestrel in talks")
    card.get_by_role("radio", name="deal").click()
    card.get_by_role("button", name="Start over").click()
    assert (checked(card, "Topic"), checked(card, "Mood")) == ("earnings", "bad")
    card.get_by_role("radio", name="deal").click()
    card.get_by_role("radio", name="bad").click()
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert last_correction(site)["output"] == {"labels": {"topic": "deal", "mood": "bad"}}


def test_the_keyboard_alone_corrects(page: Page, site: Site) -> None:
    """Arrows and digits pick within a head, 0 says nothing of it, Tab goes on to the next, Escape begins anew, the search finds."""
    card = ask(page, site, "what a day")
    card.get_by_role("radio", name="earnings").focus()
    for key in ("ArrowDown", "2", "0"):
        page.keyboard.press(key)
    assert (checked(card, "Topic"), checked(card, "Mood")) == ("earnings", "bad")  # nothing said at all is where it began
    page.keyboard.press("2")
    page.keyboard.press("Tab")
    page.keyboard.press("3")
    assert (checked(card, "Topic"), checked(card, "Mood")) == ("deal", "good")
    page.keyboard.press("Escape")
    assert (checked(card, "Topic"), checked(card, "Mood")) == ("earnings", "bad")
    card.get_by_role("searchbox").fill("OTHER 8")
    page.keyboard.press("Enter")
    assert (checked(card, "Topic"), checked(card, "Mood")) == ("other 8", "No opinion")
    card.get_by_role("button", name="Send correction").press("Enter")
    sent(card)
    assert last_correction(site)["output"] == {"labels": {"topic": "other 8"}}


def test_what_looks_right_confirms_every_head(page: Page, site: Site) -> None:
    """The whole answer goes to the log, without the model's confidences."""
    card = ask(page, site, "net loss widens")
    card.get_by_role("button", name="Looks right").click()
    sent(card)
    row = last_correction(site)
    assert (row["output"], row["confirmation"]) == ({"labels": {"topic": "earnings", "mood": "bad"}}, True)


def test_fingers_are_enough(browser: Browser, site: Site) -> None:
    """On a phone every option is 40 px high at least, nothing scrolls sideways, and a tap corrects one head; in Chinese too."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(site.url + "/zh/?lang=zh")
    page.locator("#am-input").fill("merger talks")
    page.locator(".am-ask").tap()
    card = page.locator(".am-answer")
    card.get_by_role("radio", name="交易").tap()
    assert checked(card, "主题") == "交易"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    heights = card.locator(".am-option").evaluate_all(
        "all => all.filter(b => b.offsetParent).map(b => b.getBoundingClientRect().height)"
    )
    assert len(heights) == 12 + 4
    assert min(heights) >= 40
    card.get_by_role("button", name="提交纠正").tap()
    sent(card)
    assert last_correction(site)["output"] == {"labels": {"topic": "deal"}}
    context.close()


def test_a_reviewer_sees_the_difference_and_keeps_what_was_said(page: Page, site: Site) -> None:
    """The review page says the difference head by head; amending one head leaves the proposed other as it is."""
    card = ask(page, site, "to be reviewed")
    card.get_by_role("radio", name="deal").click()
    card.get_by_role("radio", name="good").click()
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    page.goto(site.url + "/studio/login")
    page.get_by_label("Name").fill("owner")
    assert site.password is not None
    page.get_by_label("Password").fill(site.password)
    page.get_by_role("button", name="Log in").click()
    item = page.locator(".am-item", has_text="to be reviewed")
    for _ in range(8):
        if item.is_visible():
            break
        page.locator(".am-item").get_by_role("button", name="Skip").click()
        page.wait_for_timeout(400)
    expect(item.locator(".am-differences li")).to_contain_text(["Topic: earnings → deal", "Mood: bad → good"])
    item.get_by_role("button", name="Amend").click()
    item.get_by_role("radio", name="neither").click()
    item.get_by_role("button", name="Accept as amended").click()
    expect(page.locator(".am-item", has_text="to be reviewed")).to_have_count(0)
    (row,) = site.rows("SELECT output::VARCHAR AS output FROM reviews WHERE verdict = 'amend'")
    assert json.loads(row["output"]) == {"labels": {"mood": "so-so", "topic": "deal"}}
