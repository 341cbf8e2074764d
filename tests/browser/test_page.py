"""The public page in a real browser: nothing that a person writes is lost, and everything is told in words."""

from __future__ import annotations

from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import Page, expect

from tests.browser.acting import TEXT, ask, last_correction, marks, sent
from tests.browser.served_site import Site

pytestmark = pytest.mark.browser


# -- when something goes wrong


def test_a_dropped_network_loses_nothing(page: Page, spans_site: Site) -> None:
    """Offline, text and edits stay and the person is told; back online, the same press goes through, once."""
    card = ask(page, spans_site, TEXT)
    card.locator(".am-mark").click()
    card.get_by_role("button", name="Drug").click()
    page.context.set_offline(True)
    card.get_by_role("button", name="Send correction").click()
    expect(card.locator(".am-status[data-kind=bad]")).to_contain_text("your changes are still here")
    page.locator(".am-ask").click()
    expect(page.locator(".am-form .am-status[data-kind=bad]")).to_be_visible()
    expect(page.locator("#am-input")).to_have_value(TEXT)
    page.context.set_offline(False)
    card.get_by_role("button", name="Send correction").click()
    sent(card)
    assert marks(spans_site, TEXT) == [("pneumonia", "Drug")]


def test_an_answer_lost_on_its_way_is_not_sent_twice(page: Page, spans_site: Site) -> None:
    """The server has stored it but the answer was lost: pressing again succeeds, and there is one row."""
    card = ask(page, spans_site, "Lost: " + TEXT)
    calls: list[str] = []

    def lose_first(route: Any) -> None:
        if '"fn_name":"correct"' in (route.request.post_data or "") and not calls:
            calls.append("lost")
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/component_server/", lose_first)
    card.get_by_role("button", name="Looks right").click()
    expect(card.locator(".am-status[data-kind=bad]")).to_be_visible()
    card.get_by_role("button", name="Looks right").click()
    sent(card)
    assert calls == ["lost"]
    (row,) = spans_site.rows("SELECT count(*) AS n FROM current_corrections WHERE starts_with(input->>'$', 'Lost: ')")
    assert row["n"] == 1


def test_errors_are_told_in_words(page: Page, spans_site: Site) -> None:
    """What the model or the desk refuses is told on the page; the text stays."""
    page.goto(spans_site.url + "/")
    page.locator("#am-input").fill("the model is busy")
    page.locator(".am-ask").click()
    expect(page.locator(".am-form .am-status[data-kind=bad]")).to_have_text(
        "Many people are asking just now. Please try again in a moment."
    )
    expect(page.locator("#am-input")).to_have_value("the model is busy")


def test_a_dropped_cookie_is_told(page: Page, spans_site: Site) -> None:
    """A browser that does not keep our cookie is told so, when it asks and when it sends."""
    page.goto(spans_site.url + "/")
    page.locator("#am-input").fill(TEXT)
    page.context.clear_cookies()
    page.locator(".am-ask").click()
    expect(page.locator(".am-form .am-status[data-kind=bad]")).to_contain_text("did not keep our cookie")
    page.context.clear_cookies()
    page.locator(".am-answer").get_by_role("button", name="Looks right").click()
    expect(page.locator(".am-answer .am-status[data-kind=bad]")).to_contain_text("did not keep our cookie")


def test_a_script_the_model_cannot_read_is_told(page: Page, spans_site: Site) -> None:
    """A note of the model reaches the reader in words."""
    card = ask(page, spans_site, "患者得了肺炎")
    expect(card.locator(".am-note").filter(has_text="has not learnt")).to_be_visible()


# -- the text field


def test_enter_in_a_composition_never_sends(page: Page, spans_site: Site) -> None:
    """Ctrl+Enter sends, plain Enter is a new line, and an input method's Enter is the input method's."""
    before = spans_site.rows("SELECT count(*) AS n FROM predictions")[0]["n"]
    page.goto(spans_site.url + "/")
    field = page.locator("#am-input")
    field.fill("fei yan")
    for mark in ({"isComposing": True}, {"keyCode": 229}):
        field.evaluate(
            "(field, mark) => field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', ctrlKey: true, bubbles: true, ...mark}))",
            mark,
        )
    field.press("Enter")
    expect(field).to_have_value("fei yan\n")
    page.wait_for_timeout(200)
    assert spans_site.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == before
    field.press("Control+Enter")
    expect(page.locator(".am-answer .am-actions")).to_be_visible()
    assert spans_site.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == before + 1


def test_the_limit_counts_code_points(page: Page, spans_site: Site) -> None:
    """200 emoji are 200 characters; one more is too many and cannot be sent; white space alone cannot either."""
    page.goto(spans_site.url + "/")
    field, count, button = page.locator("#am-input"), page.locator(".am-form .am-count"), page.locator(".am-ask")
    field.fill("😀" * 200)
    expect(count).to_have_text("200 / 200")
    expect(button).to_be_enabled()
    field.fill("😀" * 201)
    expect(count).to_have_text("1 over the limit")
    expect(button).to_be_disabled()
    field.fill(" \n ")
    expect(button).to_be_disabled()


def test_a_draft_outlives_a_reload_in_the_browser_alone(page: Page, spans_site: Site) -> None:
    """A text that was typed is there after a reload, and is in no table before it is sent."""
    page.goto(spans_site.url + "/")
    page.locator("#am-input").fill("half a thought")
    page.reload()
    expect(page.locator("#am-input")).to_have_value("half a thought")
    assert spans_site.rows("SELECT 1 FROM predictions WHERE contains(input::VARCHAR, 'half a thought')") == []


def test_examples_fill_the_field(page: Page, spans_site: Site) -> None:
    """An example's button puts it into the field, ready to send."""
    page.goto(spans_site.url + "/")
    page.get_by_role("button", name="He has diabetes.").click()
    expect(page.locator("#am-input")).to_have_value("He has diabetes.")
    expect(page.locator(".am-ask")).to_be_enabled()


def test_the_chinese_page(page: Page, spans_site: Site) -> None:
    """The Chinese page says its language, speaks it throughout, and links to the English one."""
    card = ask(page, spans_site, "In Chinese: " + TEXT, "/zh/")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    expect(page.get_by_role("heading", level=1)).to_have_text("疾病识别")
    card.get_by_role("button", name="看起来正确").click()
    sent(card)
    expect(page.locator(".am-given-item .am-badge").first).to_have_text("等待中")
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Find the diseases")
    assert page.evaluate("document.documentElement.lang") == "en"


# -- programs


def test_programs_use_the_two_public_events(spans_site: Site) -> None:
    """gradio_client predicts and corrects with plain JSON; a second correction is refused by the store, in words."""
    client = Client(spans_site.url + "/", verbose=False)
    assert set(client.view_api(print_info=False, return_format="dict")["named_endpoints"]) == {
        "/predict",
        "/correct",
        "/pair",
        "/vote",
    }
    made = client.predict("By a program: " + TEXT, api_name="/predict")
    assert set(made) == {"id", "output", "confidence", "variant", "version"}
    assert client.predict(made["id"], made["output"], "fine", api_name="/correct")["status"] == "pending"
    with pytest.raises(Exception, match="already"):
        client.predict(made["id"], made["output"], api_name="/correct")
    assert last_correction(spans_site)["comment"] == "fine"
