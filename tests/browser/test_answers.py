"""Customer service in a real browser: did you mean, words of one's own, a conversation, and the questions that staff answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.serving import Served, served
from tests.test_answering_loop import ENTRIES, answering_demo

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The real app on a small catalogue."""
    directory = tmp_path_factory.mktemp("shop-page")
    with served(answering_demo(directory), directory / "home") as running:
        yield running


def asked(page: Page, question: str) -> Locator:
    """Type a question, ask, and return the answer's card once it is there."""
    page.locator("#am-input").fill(question)
    page.locator(".am-ask").click()
    expect(page.locator(".am-thread li").last).to_have_text(question)
    card = page.locator(".am-answer")
    expect(card.locator(".am-actions")).to_be_visible()
    return card


def picked(card: Locator) -> str:
    """Return the title of what is picked."""
    return card.locator("[role=radio][aria-checked=true] .am-answer-title").inner_text()


def outputs(shop: Served) -> list[str]:
    """Return the outputs of all corrections, the newest first."""
    return [
        row["output"] for row in shop.house.store.rows("SELECT output::VARCHAR AS output FROM corrections ORDER BY created DESC")
    ]


def test_another_answer_is_picked_by_keyboard_or_search(page: Page, shop: Served) -> None:
    """The shown answer stands first, others below "did you mean"; arrows pick; the search finds the rest; none of these is a choice."""
    page.goto(shop.url)
    card = asked(page, "I want to send the mirror back")
    assert picked(card) == ENTRIES["return"][0]
    expect(card.get_by_text("Did you mean")).to_be_visible()
    expect(card.get_by_role("radio")).to_have_count(4)  # three offered, and none of these
    card.locator("[role=radio][aria-checked=true]").focus()
    page.keyboard.press("ArrowUp")
    assert picked(card) == "None of these"
    card.get_by_placeholder("Find another answer").fill("voucher")
    near = card.locator(".am-answers-near").get_by_role("button", name=ENTRIES["voucher"][0])
    if near.count():
        near.click()
    else:  # it was offered already
        card.get_by_role("radio", name=ENTRIES["voucher"][0]).click()
    card.get_by_role("button", name="Send correction").click()
    expect(card.locator(".am-status[data-kind=good]")).to_be_visible()
    assert outputs(shop)[0] == '{"answer": "voucher"}'
    expect(page.locator(".am-given-item .am-answer-view strong").first).to_have_text(ENTRIES["voucher"][0])


def test_words_of_ones_own_and_a_conversation(page: Page, shop: Served) -> None:
    """The wording is edited in place; the next question brings the first along; begin anew forgets it; markup stays text."""
    page.goto(shop.url)
    card = asked(page, "when do you open, I need a tent")
    card.get_by_role("button", name="Edit its wording").click()
    expect(card.get_by_label("How the answer should read")).to_have_value(ENTRIES["hours"][1])
    card.get_by_label("How the answer should read").fill("<b>Nine</b> to six.")
    card.get_by_role("button", name="Send correction").click()
    expect(card.locator(".am-status[data-kind=good]")).to_be_visible()
    assert '"text": "<b>Nine</b> to six."' in outputs(shop)[0]
    expect(page.locator(".am-given-item .am-answer-text").first).to_have_text("<b>Nine</b> to six.")
    asked(page, "and on Mondays?")
    expect(page.locator(".am-thread li")).to_have_count(2)
    (row,) = shop.house.store.rows("SELECT input::VARCHAR AS input FROM predictions ORDER BY created DESC LIMIT 1")
    assert row["input"] == '{"before": ["when do you open, I need a tent"], "text": "and on Mondays?"}'
    page.get_by_role("button", name="Begin anew").click()
    expect(page.locator(".am-thread-box")).to_be_hidden()


def test_staff_answer_what_was_handed_over(page: Page, shop: Served, browser: Browser) -> None:
    """A question without an answer says so, appears in the studio, and is answered from there."""
    page.goto(shop.url)
    card = asked(page, "Which planet is the largest?")
    expect(card.get_by_text("a person should answer this", exact=False).first).to_be_visible()
    assert picked(card) == "None of these"
    context = browser.new_context(extra_http_headers={"Authorization": f"Bearer {shop.token}"})
    studio = context.new_page()
    studio.goto(f"{shop.url}/studio/")
    studio.get_by_role("tab", name="Questions").click()
    studio.locator("#questions-list").get_by_text("Which planet is the largest?", exact=False).click()
    studio.locator("#questions-text textarea").fill("Jupiter is.")
    studio.locator("#questions-send").click()
    expect(studio.locator("#questions-state textarea, #questions-state input").first).to_have_value(
        "Answered: whoever asks this next is given it, in a second or two."
    )
    context.close()
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Begin anew").click()
    again = asked(page, "Which planet is the largest?")
    expect(again.locator("[aria-checked=true] .am-answer-text")).to_have_text("Jupiter is.")
