"""A whole life in a real browser, on the real app: correct, review, retrain, offer, see the report, promote, roll back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.serving import Served, served, small_demo

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The real app with a small classification demo."""
    directory: Path = tmp_path_factory.mktemp("browser-life")
    with served(small_demo(directory), directory / "home") as running:
        yield running


def correct(page: Page, life: Served, text: str, label: str) -> None:
    """Ask, choose another label, send."""
    page.goto(life.url + "/")
    page.locator("#am-input").fill(text)
    page.locator(".am-ask").click()
    card = page.locator(".am-answer")
    expect(card.locator(".am-actions")).to_be_visible()
    wanted = card.get_by_role("radio", name=re.compile(f"^{label}"))
    if wanted.get_attribute("aria-checked") == "true":
        card.get_by_role("button", name="Looks right").click()
    else:
        wanted.click()
        card.get_by_role("button", name="Send correction").click()
    expect(card.locator(".am-status[data-kind=good]")).to_be_visible()


def test_a_whole_life_in_the_browser(browser: Browser, life: Served) -> None:
    """Visitor and owner walk one correction's whole way through the pages; every step leaves its row."""
    rows = life.house.store.rows
    ann_context, owner_context = browser.new_context(locale="en-GB"), browser.new_context(locale="en-GB")
    ann, owner = ann_context.new_page(), owner_context.new_page()
    texts = ["Send back what I paid for order 17", "Kindly reimburse order 18", "I expect my payment back soon"]
    for text in texts:
        correct(ann, life, text, "refund")
    assert rows("SELECT DISTINCT output->>'label' AS label FROM corrections") == [{"label": "refund"}]
    expect(ann.locator(".am-given")).to_contain_text(texts[0])

    # the owner logs in and accepts by keyboard
    life.house.staff.set_password("owner", "a good password")
    owner.goto(life.url + "/studio/")
    assert owner.url.endswith("/studio/login")
    owner.locator("[name=name]").fill("owner")
    owner.locator("[name=password]").fill("a good password")
    owner.get_by_role("button").click()
    expect(owner.locator(".am-progress")).to_contain_text("3 waiting")
    for waiting in (2, 1, 0):
        owner.keyboard.press("a")
        expect(owner.locator(".am-progress")).to_contain_text(f"{waiting} waiting")
    assert rows("SELECT reviewer, verdict FROM reviews") == [{"reviewer": "owner", "verdict": "accept"}] * 3

    # retrain, and wait until the version is listed
    owner.get_by_role("tab", name="Models").click()
    owner.locator("#models-retrain").click()
    expect(owner.locator("#models-overview textarea")).to_have_value(re.compile("3 accepted"))
    expect(owner.locator("#models-progress textarea")).to_have_value("No training is running.", timeout=120_000)
    (run,) = rows("SELECT state, version FROM current_training_runs")
    assert run["version"] == 2, run

    # offer: at this size the gate cannot decide, so it asks for a reason
    owner.locator("#models-refresh").click()
    owner.locator("#models-pick input").click()
    owner.get_by_role("option", name="2", exact=True).click()
    expect(owner.locator("#models-gate textarea")).to_have_value(re.compile("What the gate said of version 2"))
    if run["state"] != "passed":
        owner.locator("#models-offer").click()
        expect(owner.get_by_text("that needs a reason").first).to_be_visible()
    owner.locator("#models-reason textarea").fill("let us see")
    owner.locator("#models-offer").click()
    expect(owner.locator("#models-overview textarea")).to_have_value(re.compile("Version 2 is the challenger"))
    correct(ann, life, "Where is my parcel with the tent", "track")
    assert rows("SELECT count(*) AS n FROM exposures")[0]["n"] == 1

    # the report is honest about one visitor; promote and roll back
    owner.get_by_role("tab", name="Experiments").click()
    expect(owner.locator("#experiments-report")).to_contain_text("v2")
    owner.get_by_role("tab", name="Models").click()
    owner.locator("#models-promote").click()
    expect(owner.locator("#models-overview textarea")).to_have_value(re.compile("Version 2 serves as champion"))
    owner.locator("#models-rollback").click()
    expect(owner.locator("#models-overview textarea")).to_have_value(re.compile("Version 1 serves as champion"))
    assert [row["kind"] for row in rows("SELECT kind FROM promotions ORDER BY created")] == ["first", "promote", "rollback"]

    # and the visitor reads what came of it
    ann.goto(life.url + "/")
    expect(ann.locator(".am-given")).to_contain_text("version 2")
    ann_context.close()
    owner_context.close()
