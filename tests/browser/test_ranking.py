"""A ranked list in a real browser: liked, dismissed, dragged, by mouse, keys and fingers; the next list knows of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.acting import last_correction, sent
from tests.browser.ranking_site import RankingSite

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RankingSite]:
    """A site that shows lists of four courses."""
    site = RankingSite(tmp_path_factory.mktemp("ranking"))
    yield site
    site.close()


def listed(page: Page, site: RankingSite, interest: str = "", path: str = "/") -> Locator:
    """Open the page, ask for a list; return its card."""
    page.goto(site.url + path)
    return shown(page, interest)


def shown(page: Page, interest: str = "") -> Locator:
    """Ask for a list on the open page; return its card."""
    page.locator("#am-input").fill(interest)
    page.locator(".am-ask").click()
    card = page.locator(".am-answer")
    expect(page.locator(".am-root.am-busy")).to_have_count(0)  # it is busy from the click on
    expect(card.locator(".am-actions")).to_be_visible()
    return card


def titles(card: Locator) -> list[str]:
    """Return the last letters of the titles in the order that stands there."""
    return [title[-1] for title in card.locator(".am-ranked strong").all_inner_texts()]


def last_input(site: RankingSite) -> Any:
    """Return the newest prediction's input."""
    return json.loads(site.rows("SELECT input::VARCHAR AS input FROM predictions ORDER BY created DESC LIMIT 1")[0]["input"])


def test_a_list_is_asked_for_with_nothing(page: Page, site: RankingSite, abroad: list[str]) -> None:
    """An interest may be empty; each item says what it is and why it is there, and markup in a text is a text."""
    card = listed(page, site)
    assert titles(card) == ["A", "B", "C", "D"]
    expect(card.locator(".am-ranked-text").first).to_have_text("What Course A <b>teaches</b>.")
    assert card.locator(".am-ranked-why").all_inner_texts() == [
        "Liked by many",
        "Fits what you wrote",
        "Picked by chance, to find out what else you like",
    ]
    assert last_input(site)["text"] == ""
    assert abroad == []


def test_like_dismiss_and_order_reach_the_log(page: Page, site: RankingSite) -> None:
    """What was liked, dismissed and moved by buttons is in the log, with the order that was shown, ranks and policy."""
    card = listed(page, site)
    expect(card.get_by_role("button", name="Send correction")).to_be_disabled()
    card.get_by_role("button", name="Like “Course C”").click()
    card.get_by_role("button", name="Dismiss “Course A”").click()
    card.get_by_role("button", name="Move “Course D” up").click()
    assert titles(card) == ["A", "B", "D", "C"]
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    row = last_correction(site)
    assert row["output"] == {
        "items": ["a", "b", "d", "c"], "liked": ["c"], "dismissed": ["a"],
        "shown": ["a", "b", "c", "d"], "ranks": [0, 1, 2, 9], "policy": [0.1, 40],
    }  # fmt: skip
    assert (row["confirmation"], row["edits"]) == (False, 3.0)


def test_the_next_list_knows_what_was_said(page: Page, site: RankingSite) -> None:
    """The history comes from the server: after a reload the liked and the dismissed are not shown again, and one is a reason."""
    card = listed(page, site)
    card.get_by_role("button", name="Like “Course C”").click()
    card.get_by_role("button", name="Dismiss “Course A”").click()
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    page.reload()
    expect(page.locator(".am-given-item")).to_have_count(1)
    expect(page.locator(".am-given-item .am-badge", has_text="liked")).to_have_count(1)
    card = shown(page, "boats")
    assert titles(card) == ["B", "D", "E", "F"]
    expect(card.locator(".am-ranked-why").nth(1)).to_have_text("Because you liked “Course C”")
    expect(page.get_by_text("This list draws on what you liked (1) and dismissed (1) before.")).to_be_visible()
    asked = last_input(site)
    assert (asked["text"], asked["history"]) == ("boats", [{"item": "c", "did": "liked"}, {"item": "a", "did": "dismissed"}])
    page.get_by_role("button", name="Withdraw").first.click()
    expect(page.locator(".am-given-item[data-status=withdrawn]")).to_have_count(1)
    assert titles(shown(page)) == ["A", "B", "C", "D"]


def test_dragging_moves_an_item_and_undo_takes_it_back(page: Page, site: RankingSite) -> None:
    """A drag by the mouse is one step; Ctrl-Z and the button go back step by step."""
    card = listed(page, site)
    grip = card.get_by_role("button", name="Move “Course D”: drag, or use the arrow keys").bounding_box()
    first = card.locator(".am-ranked").first.bounding_box()
    assert grip is not None
    assert first is not None
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(first["x"] + 40, first["y"] + first["height"] + 20, steps=5)
    page.mouse.move(first["x"] + 40, first["y"] + 2, steps=5)
    page.mouse.up()
    assert titles(card) == ["D", "A", "B", "C"]
    card.get_by_role("button", name="Like “Course B”").click()
    page.keyboard.press("Control+z")
    expect(card.get_by_role("button", name="Like “Course B”")).to_have_attribute("aria-pressed", "false")
    card.get_by_role("button", name="Undo").click()
    assert titles(card) == ["A", "B", "C", "D"]
    expect(card.get_by_role("button", name="Send correction")).to_be_disabled()


def test_the_keyboard_alone_orders(page: Page, site: RankingSite) -> None:
    """Arrow keys, Home and End move what has the focus, which stays on it; the move is told to who cannot see it."""
    card = listed(page, site)
    card.get_by_role("button", name="Move “Course A”: drag").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    assert titles(card) == ["B", "A", "C", "D"]
    expect(card.locator(".am-widget [role=status]").last).to_have_text("“Course A” is now number 2 of 4.")
    page.keyboard.press("End")
    assert titles(card) == ["B", "C", "D", "A"]
    expect(card.get_by_role("button", name="Move “Course A”: drag")).to_be_focused()
    card.get_by_role("button", name="Send correction").press("Enter")
    sent(card)
    assert last_correction(site)["output"]["items"] == ["b", "c", "d", "a"]


def test_what_looks_right_confirms_the_list(page: Page, site: RankingSite) -> None:
    """A list that is sent as it was shown is a confirmation."""
    card = listed(page, site)
    card.get_by_role("button", name="Looks right").click()
    sent(card)
    assert last_correction(site)["confirmation"] is True


def test_fingers_are_enough(browser: Browser, site: RankingSite) -> None:
    """On a phone everything can be tapped: buttons of 44 px, nothing wider than the screen."""
    phone = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, reduced_motion="reduce")
    page = phone.new_page()
    card = listed(page, site)
    card.get_by_role("button", name="Move “Course B” down").tap()
    card.get_by_role("button", name="Like “Course B”").tap()
    assert titles(card) == ["A", "C", "B", "D"]
    for button in card.locator(".am-ranked button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["width"] >= 43.5
        assert box["height"] >= 43.5
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    card.get_by_role("button", name="Send correction").tap()
    sent(card)
    assert last_correction(site)["output"]["liked"] == ["b"]
    phone.close()


def test_the_page_in_chinese(page: Page, site: RankingSite) -> None:
    """Every word of the widget and the form is Chinese there."""
    card = listed(page, site, path="/zh/?lang=zh")
    expect(page.get_by_text("现在想看什么？（可不填）")).to_be_visible()
    assert card.locator(".am-ranked-why").first.inner_text() == "许多人喜欢"
    card.get_by_role("button", name="喜欢“Course A”").click()
    expect(card.get_by_role("button", name="撤销")).to_be_enabled()
