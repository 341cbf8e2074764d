"""Side by side in a real browser: two blind answers, one vote, either corrected; the page follows what the server decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.acting import TEXT, ask, last_correction, marks, sent
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser

NAMES = count(1)


@pytest.fixture
def comparing(spans_site: Site) -> Iterator[Site]:
    """A site that shows pairs: version 1 marks diseases, version 2 a rash too."""
    yield from compared(spans_site)


@pytest.fixture
def comparing_choices(choice_site: Site) -> Iterator[Site]:
    """A site that shows pairs: version 1 says refund, version 2 return."""
    yield from compared(choice_site)


def compared(site: Site) -> Iterator[Site]:
    """Start an experiment of a new name; stop it at the end."""
    site.side_by_side(f"e{next(NAMES)}")
    yield site
    if site.experiments.current:
        site.experiments.act(site.experiments.current.name, "stop", "test")


def ask_pair(page: Page, site: Site, text: str, path: str = "/") -> Locator:
    """Open the page, ask, wait for two answers; return their card."""
    page.goto(site.url + path)
    return ask_again(page, text)


def ask_again(page: Page, text: str) -> Locator:
    """Ask on the open page; return the card of two answers."""
    page.locator("#am-input").fill(text)
    page.locator(".am-ask").click()
    pair = page.locator(".am-pair")
    expect(pair.locator(".am-votes")).to_be_visible()
    return pair


def thanked(pair: Locator) -> None:
    """Wait until the page says thank you for the vote."""
    expect(pair.locator("> .am-status[data-kind=good]")).to_contain_text("Your vote is stored")


def last_pair(site: Site) -> dict[str, Any]:
    """Return the newest pair with its vote and the versions of its sides."""
    (row,) = site.rows(
        """SELECT d.*, v.choice, l.version AS left_version, r.version AS right_version FROM pairs d
           LEFT JOIN votes v ON v.pair_id = d.id JOIN predictions l ON l.id = d.left_prediction
           JOIN predictions r ON r.id = d.right_prediction ORDER BY d.created DESC LIMIT 1"""
    )
    return row


def side_of(pair: Locator, site: Site, version: int) -> Locator:
    """Return the card on the page that shows a version's answer, as the log knows it."""
    return pair.locator(".am-of-pair").nth(0 if last_pair(site)["left_version"] == version else 1)


def test_a_person_votes_by_mouse_and_learns_nothing(page: Page, comparing: Site, abroad: list[str]) -> None:
    """Two different answers, a vote that is stored once, locked buttons; no variant or version in anything that arrives."""
    arrived: list[str] = []
    page.on("response", lambda response: arrived.append(response.text()) if "component_server" in response.url else None)
    pair = ask_pair(page, comparing, TEXT)
    cards = pair.locator(".am-of-pair")
    expect(cards.locator("h3")).to_have_text(["Answer A", "Answer B"])
    expect(side_of(pair, comparing, 1).locator(".am-mark:visible")).to_have_text(["pneumonia"])
    expect(side_of(pair, comparing, 2).locator(".am-mark:visible")).to_have_text(["pneumonia", "rash"])
    expect(pair.locator(".am-mark.am-differs")).to_have_text(["rash"])
    pair.get_by_role("button", name="B is better").click()
    thanked(pair)
    assert last_pair(comparing)["choice"] == "right"
    expect(pair.get_by_role("button", name="B is better")).to_have_attribute("aria-pressed", "true")
    for button in pair.locator(".am-vote").all():
        expect(button).to_be_disabled()
    assert len(arrived) >= 3  # the list, the pair, the vote
    assert not [word for word in ("zebra", "quagga", "variant", "version", "forced") if word in "".join(arrived)]
    assert not [word for word in ("zebra", "quagga") if word in page.content()]
    assert abroad == []


def test_the_cards_stand_side_by_side_or_one_under_the_other(browser: Browser, comparing: Site) -> None:
    """A is left of B on a desktop and above it on a phone; nothing scrolls sideways, and buttons are 40 px high at least."""
    for width, beside in ((1280, True), (390, False), (360, False)):
        context = browser.new_context(viewport={"width": width, "height": 800}, is_mobile=not beside, has_touch=not beside)
        page = context.new_page()
        pair = ask_pair(page, comparing, "unbreakable" * 12 + " rash")
        pair.get_by_role("button", name="Correct B").click()
        one, two = (card.bounding_box() for card in pair.locator(".am-of-pair").all())
        assert one is not None
        assert two is not None
        assert (one["y"] == two["y"]) is beside
        assert (one["x"] + one["width"] <= two["x"]) is beside
        assert beside or one["y"] + one["height"] <= two["y"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        heights = page.locator(".am-root :is(button, a, summary)").evaluate_all(
            "all => all.filter(b => b.offsetParent).map(b => b.getBoundingClientRect().height)"
        )
        assert min(heights) >= 40
        context.close()


def test_the_keyboard_alone_is_enough(page: Page, comparing: Site) -> None:
    """From the text: Ctrl+Enter asks, Tab reaches the cards and the votes in reading order; correct B, then vote."""
    page.goto(comparing.url + "/")
    page.locator("#am-input").fill(TEXT)
    page.locator("#am-input").press("Control+Enter")
    pair = page.locator(".am-pair")
    expect(pair.locator(".am-votes")).to_be_visible()

    def tab_to(name: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == name:
                return
        raise AssertionError(f"Tab does not reach {name!r}")

    tab_to("Correct A")
    tab_to("Correct B")
    page.keyboard.press("Enter")
    expect(pair.locator(".am-of-pair").nth(1).locator(".am-widget .am-text")).to_be_focused()
    for key in ("Home", "ArrowRight", "ArrowRight", "3"):
        page.keyboard.press(key)
    tab_to("Send correction")
    page.keyboard.press("Enter")
    sent(pair.locator(".am-of-pair").nth(1))
    assert ("ibuprofen", "Drug") in marks(comparing, TEXT)
    tab_to("Neither is right")
    page.keyboard.press("Space")
    thanked(pair)
    row = last_pair(comparing)
    assert row["choice"] == "neither"
    assert last_correction(comparing)["prediction_id"] == row["right_prediction"]


def test_either_answer_is_corrected_after_the_vote(page: Page, comparing: Site) -> None:
    """A vote closes nothing: A and B are each corrected once, the list shows both, and Cancel gives up an edit."""
    pair = ask_pair(page, comparing, "Both: " + TEXT)
    pair.get_by_role("button", name="Both are right").click()
    thanked(pair)
    for index, (letter, key) in enumerate((("A", "2"), ("B", "3"))):
        card = pair.locator(".am-of-pair").nth(index)
        opener = card.get_by_role("button", name=f"Correct {letter}")
        opener.click()
        page.keyboard.press("Home")
        page.keyboard.press("1")
        card.get_by_role("button", name="Cancel").click()
        expect(opener).to_be_focused()
        opener.click()
        expect(card.get_by_role("button", name="Send correction")).to_be_disabled()
        page.keyboard.press("Home")
        page.keyboard.press(key)
        card.get_by_role("button", name="Send correction").click()
        sent(card)
        assert marks(comparing, "Both: " + TEXT)[0] == ("Both", {"2": "Symptom", "3": "Drug"}[key])
    expect(page.locator(".am-given-item")).to_have_count(2)
    row = last_pair(comparing)
    corrected = {row["prediction_id"] for row in comparing.rows("SELECT prediction_id FROM corrections")}
    assert {row["left_prediction"], row["right_prediction"]} <= corrected


def test_equal_answers_can_be_right_or_not(page: Page, comparing: Site) -> None:
    """Where both say the same the page says so, and asks only whether they are right; the note of the model stands once."""
    pair = ask_pair(page, comparing, "Same: pneumonia 肺炎")
    expect(pair).to_contain_text("they agree")
    expect(pair.locator(".am-vote:visible")).to_have_text(["Both are right", "Neither is right"])
    expect(pair.locator(".am-note:visible")).to_have_count(1)
    assert last_pair(comparing)["choice"] is None
    pair.get_by_role("button", name="Neither is right").click()
    thanked(pair)
    assert last_pair(comparing)["choice"] == "neither"
    ask_again(page, TEXT)
    expect(pair.locator(".am-vote:visible")).to_have_count(4)
    expect(pair.get_by_role("button", name="Neither is right")).to_be_enabled()


def test_the_open_page_follows_the_experiment(page: Page, spans_site: Site) -> None:
    """One answer, then two when the experiment starts, then one when it stops; a vote on what was shown still counts."""
    card = ask(page, spans_site, TEXT)
    expect(page.locator(".am-pair")).to_have_count(0)
    spans_site.side_by_side(name := f"e{next(NAMES)}")
    pair = ask_again(page, TEXT)
    expect(card).to_be_hidden()
    spans_site.experiments.act(name, "stop", "test")
    pair.get_by_role("button", name="A is better").click()
    thanked(pair)
    assert last_pair(spans_site)["choice"] == "left"
    page.locator(".am-ask").click()
    expect(card.locator(".am-actions")).to_be_visible()
    expect(pair).to_be_hidden()
    card.get_by_role("button", name="Looks right").click()
    sent(card)


def test_a_vote_lost_on_its_way_is_sent_again_once(page: Page, comparing: Site) -> None:
    """Offline the vote stays open and the person is told; stored but unanswered, the same press again succeeds."""
    pair = ask_pair(page, comparing, TEXT)
    vote = pair.get_by_role("button", name="A is better")
    page.context.set_offline(True)
    vote.click()
    expect(pair.locator("> .am-status[data-kind=bad]")).to_contain_text("please try again")
    expect(vote).to_be_enabled()
    page.context.set_offline(False)
    lost: list[str] = []

    def lose_first(route: Any) -> None:
        if '"fn_name":"vote"' in (route.request.post_data or "") and not lost:
            lost.append("lost")
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/component_server/", lose_first)
    vote.click()
    expect(pair.locator("> .am-status[data-kind=bad]")).to_be_visible()
    expect(vote).to_be_enabled()
    assert last_pair(comparing)["choice"] == "left"
    pair.get_by_role("button", name="B is better").click()
    expect(pair.locator("> .am-status[data-kind=bad]")).to_contain_text("voted on these answers already")
    vote.click()
    thanked(pair)


def test_a_choice_is_compared_and_corrected(page: Page, comparing_choices: Site) -> None:
    """One label out of many: each card shows its label, the list of labels opens for the card that is corrected."""
    pair = ask_pair(page, comparing_choices, "where is it")
    expect(side_of(pair, comparing_choices, 1).locator(".am-picked")).to_have_text("refund")
    card = side_of(pair, comparing_choices, 2)
    expect(card.locator(".am-picked")).to_have_text("return")
    expect(pair.get_by_role("radio")).to_have_count(0)
    card.locator(".am-tool:visible").click()
    expect(pair.get_by_role("radio")).to_have_count(12)
    page.keyboard.press("3")
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert last_correction(comparing_choices)["output"] == {"label": "tracking"}


def test_the_chinese_page_compares_in_chinese(page: Page, comparing: Site) -> None:
    """Headings, question, votes and thanks are Chinese."""
    pair = ask_pair(page, comparing, "In Chinese: " + TEXT, "/zh/")
    expect(pair.locator("h3")).to_have_text(["回答 A", "回答 B"])
    pair.get_by_role("button", name="A 更好").click()
    expect(pair.locator("> .am-status[data-kind=good]")).to_contain_text("您的投票已保存")


def test_programs_compare_by_the_public_events(comparing: Site) -> None:
    """gradio_client asks for a pair and votes with plain JSON that names no variant; a second vote is refused in words."""
    client = Client(comparing.url + "/", verbose=False)
    made = client.predict("By a program: " + TEXT, api_name="/pair")
    assert set(made) == {"id", "left", "right", "same"}
    assert set(made["left"]) == set(made["right"]) == {"id", "output", "confidence"}
    assert not [word for word in ("zebra", "quagga", "variant", "version") if word in json.dumps(made)]
    assert client.predict(made["id"], "left", api_name="/vote") == {"pair_id": made["id"], "choice": "left"}
    with pytest.raises(Exception, match="already"):
        client.predict(made["id"], "right", api_name="/vote")
    assert client.predict(made["left"]["id"], made["left"]["output"], api_name="/correct")["status"] == "pending"
