"""Correcting in a real browser, by mouse, keyboard and finger: what a person does ends as exactly the right rows in the log."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.acting import SELECT, TEXT, ask, last_correction, marks, sent
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser


def test_a_person_adds_changes_and_removes_marks_by_mouse(page: Page, spans_site: Site, abroad: list[str]) -> None:
    """A selection and a label add a mark, a click and a label change one; the log has exactly that; no call leaves the machine."""
    card = ask(page, spans_site, TEXT)
    expect(card.locator(".am-mark")).to_have_count(1)
    page.evaluate(SELECT, [9, 18])
    card.get_by_role("button", name="Drug").click()
    card.locator(".am-mark", has_text="pneumonia").click()
    card.get_by_role("button", name="Symptom").click()
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert marks(spans_site, TEXT) == [("ibuprofen", "Drug"), ("pneumonia", "Symptom")]
    assert last_correction(spans_site)["confirmation"] is False
    assert abroad == []


def test_a_drag_selects(page: Page, spans_site: Site) -> None:
    """Dragging the mouse from one word into another selects up to where it was let go, without the white space around."""
    card = ask(page, spans_site, TEXT)
    piece = card.locator(".am-text > span").last  # " and got a rash."
    lines = piece.evaluate(
        "piece => [...piece.getClientRects()].map(({left, right, top, bottom}) => [left, right, (top + bottom) / 2])"
    )
    page.mouse.move(lines[0][0] + 1, lines[0][2])
    page.mouse.down()
    page.mouse.move(lines[-1][1] - 1, lines[-1][2], steps=5)
    page.mouse.up()
    page.keyboard.press("2")
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert marks(spans_site, TEXT)[-1] == ("and got a rash.", "Symptom")


def test_the_keyboard_alone_is_enough(page: Page, spans_site: Site) -> None:
    """Arrows choose a word, Shift extends, a digit labels, Delete removes, Ctrl+Z undoes, Escape clears the selection."""
    card = ask(page, spans_site, TEXT)
    box = card.locator(".am-text")
    box.focus()
    for key in ("Home", "ArrowRight", "ArrowRight", "3", "ArrowDown", "Delete", "End", "ArrowLeft", "Shift+ArrowLeft", "2"):
        page.keyboard.press(key)
    expect(card.locator(".am-mark")).to_have_text(["ibuprofen", "a rash"])
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(card.locator(".am-mark")).to_have_text(["ibuprofen", "pneumonia"])
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(card.locator(".am-mark")).to_have_text(["ibuprofen", "pneumonia"])
    card.get_by_role("button", name="Send correction").press("Enter")
    sent(card)
    assert marks(spans_site, TEXT) == [("ibuprofen", "Drug"), ("pneumonia", "Disease")]


def test_one_character_at_a_time(page: Page, spans_site: Site) -> None:
    """Alt+Shift+arrow moves the selection's end by one character, in the middle of words."""
    card = ask(page, spans_site, TEXT)
    card.locator(".am-text").focus()
    for key in ("Home", "Shift+ArrowRight", "Alt+Shift+ArrowLeft", "2"):
        page.keyboard.press(key)
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert marks(spans_site, TEXT)[0] == ("She too", "Symptom")


def test_fingers_are_enough(browser: Browser, spans_site: Site) -> None:
    """On a phone a tap chooses a word, a tap on a label marks it; buttons are 40 px high at least; nothing scrolls sideways."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(spans_site.url + "/")
    page.locator("#am-input").fill("rash " * 3 + "unbreakable" * 9)
    page.locator(".am-ask").tap()
    card = page.locator(".am-answer")
    expect(card.locator(".am-actions")).to_be_visible()
    card.locator(".am-text").tap(position={"x": 30, "y": 30})
    card.get_by_role("button", name="Symptom").tap()
    expect(card.locator(".am-mark")).to_have_text(["rash"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    pressable = ".am-root :is(button, a, summary)"
    heights = page.locator(pressable).evaluate_all(
        "all => all.filter(b => b.offsetParent).map(b => b.getBoundingClientRect().height)"
    )
    assert heights
    assert min(heights) >= 40
    card.get_by_role("button", name="Send correction").tap()
    sent(card)
    assert last_correction(spans_site)["output"]["spans"] == [{"start": 0, "end": 4, "label": "Symptom"}]
    context.close()


@pytest.mark.parametrize(
    ("before", "target", "after"),
    [
        ("first line\n\nsecond: ", "fever", "\nend"),
        ("👩‍👩‍👧‍👦 and 🏳️‍🌈 ", "👨‍⚕️ cough", " 🎉 end"),
        ("患者得了肺炎,服用", "阿莫西林", "三天。"),
        ("cafe\u0301 u\u0308ber ", "nai\u0308ve", " o\u0302k"),
        ("<b>bold</b> & <img src=x onerror=alert(1)> ", "<i>rash</i>", " &lt;"),
        ("{{this}} and {{#each x}} ", "{{x}}", " {{/each}}"),
        ("${1+1} `tick` \\n ", "${x}", " $& $1 end"),
        ("שלום ", "כאב", " עולם"),
    ],
    ids=["newlines", "emoji", "chinese", "combining", "markup", "handlebars", "template", "right-to-left"],
)
def test_texts_stay_what_they_are(page: Page, spans_site: Site, before: str, target: str, after: str) -> None:
    """Offsets are Python's code points, and a text is shown and stored as it was written, whatever is in it."""
    text = before + target + after
    card = ask(page, spans_site, text)
    box = card.locator(".am-text")
    assert box.evaluate("box => box.textContent") == text
    assert box.locator("b, i, img").count() == 0
    page.evaluate(SELECT, [len(before), len(before) + len(target)])
    page.keyboard.press("Tab")
    card.get_by_role("button", name="Drug").click()
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert (target, "Drug") in marks(spans_site, text)
    assert page.locator(".am-given-item .am-text").first.evaluate("box => box.textContent") == text
    (row,) = spans_site.rows("SELECT input FROM predictions ORDER BY created DESC LIMIT 1")
    assert json.loads(row["input"]) == text


def test_looks_right_confirms_once(page: Page, spans_site: Site) -> None:
    """'Looks right' stores the shown answer as a confirmation; after that there is nothing left to press."""
    card = ask(page, spans_site, TEXT)
    expect(card.get_by_role("button", name="Send correction")).to_be_disabled()
    card.get_by_role("button", name="Looks right").click()
    sent(card)
    assert last_correction(spans_site)["confirmation"] is True
    expect(card.locator(".am-actions")).to_be_hidden()
    expect(card).to_contain_text("once enough people say the same or a reviewer accepts")


def test_sending_a_correction_needs_a_difference(page: Page, spans_site: Site) -> None:
    """'Send correction' is there only while something differs; undoing takes it away again."""
    card = ask(page, spans_site, TEXT)
    send, right = card.get_by_role("button", name="Send correction"), card.get_by_role("button", name="Looks right")
    card.locator(".am-mark").click()
    card.get_by_role("button", name="Remove").click()
    expect(send).to_be_enabled()
    expect(right).to_be_disabled()
    card.get_by_role("button", name="Undo").click()
    expect(send).to_be_disabled()
    expect(right).to_be_enabled()


def test_what_was_given_is_listed_and_withdrawn(page: Page, spans_site: Site) -> None:
    """A correction is listed with its state and comment, still after a reload, and can be taken back."""
    card = ask(page, spans_site, "Given: " + TEXT)
    card.locator(".am-comment summary").click()
    card.get_by_label("Comment").fill("<b>sure</b> & {{x}}")
    card.get_by_role("button", name="Looks right").click()
    sent(card)
    page.reload()
    item = page.locator(".am-given-item").first
    expect(item.locator(".am-badge")).to_have_text("waiting")
    expect(item).to_contain_text("Your comment: <b>sure</b> & {{x}}")
    item.get_by_role("button", name="Withdraw").click()
    expect(item.locator(".am-badge")).to_have_text("withdrawn")
    assert last_correction(spans_site)["id"] in {row["correction_id"] for row in spans_site.rows("SELECT * FROM withdrawals")}


def test_two_people_who_agree(browser: Browser, spans_site: Site) -> None:
    """When a second person says the same, they are told that it is accepted, and so is the first one's list."""
    text = "One more rash."
    pages = [browser.new_context().new_page() for _ in range(2)]
    for page in pages:
        card = ask(page, spans_site, text)
        card.locator(".am-text").focus()
        for key in ("Home", "End", "ArrowLeft", "2"):
            page.keyboard.press(key)
        card.get_by_role("button", name="Send correction").click()
        sent(card)
    expect(pages[1].locator(".am-answer .am-status")).to_contain_text("Others agree with you")
    pages[0].reload()
    expect(pages[0].locator(".am-given-item .am-badge")).to_have_text("accepted")
    for page in pages:
        page.context.close()


# -- one choice out of many


def test_a_choice_is_corrected_by_digits_and_by_search(page: Page, choice_site: Site) -> None:
    """A digit picks, Escape goes back to the model's answer, the search finds a label that has no digit."""
    card = ask(page, choice_site, "where is it")
    shown, tracking = card.get_by_role("radio", name=re.compile("^refund")), card.get_by_role("radio", name="tracking")
    expect(shown).to_have_attribute("aria-checked", "true")
    shown.focus()
    page.keyboard.press("3")
    expect(tracking).to_have_attribute("aria-checked", "true")
    page.keyboard.press("Escape")
    expect(shown).to_have_attribute("aria-checked", "true")
    expect(card.get_by_role("button", name="Send correction")).to_be_disabled()
    card.get_by_role("searchbox").fill("other 8")
    page.keyboard.press("Enter")
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert last_correction(choice_site)["output"] == {"label": "other 8"}
