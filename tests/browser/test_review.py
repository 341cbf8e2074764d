"""The Review page in a real browser: a reviewer judges by keyboard, and the contributor reads what came of it."""

from __future__ import annotations

import json

import httpx
import pytest
from playwright.sync_api import Page, expect

from feedback.records import Visitor
from tests.browser.served_site import OWNER_NAME, Site

pytestmark = pytest.mark.browser

ANN = Visitor("u_ann")


def give(site: Site, text: str, label: str = "Drug", comment: str = "") -> str:
    """Let Ann mark the text's first word; return the correction's id."""
    shown = site.desk.predict(ANN, text)
    spans = [{"start": 0, "end": len(text.split()[0]), "label": label}]
    return site.desk.correct(ANN, shown.id, {"spans": spans}, comment)[0].id


def studio(page: Page, site: Site) -> None:
    """Log in and open the Review page with something waiting."""
    page.goto(site.url + "/studio/login")
    page.locator("[name=name]").fill(OWNER_NAME)
    page.locator("[name=password]").fill(site.password or "")
    page.get_by_role("button").click()
    page.goto(site.url + "/studio/")
    expect(page.locator(".am-progress")).not_to_be_empty()


def verdict_of(site: Site, correction: str) -> dict[str, object]:
    """Return the newest review of a correction."""
    (row,) = site.rows(f"SELECT verdict, output, reviewer, reason FROM current_reviews WHERE correction_id = '{correction}'")
    return row


@pytest.fixture
def site(spans_site: Site) -> Site:
    """The site with an empty queue."""
    for item in spans_site.desk.queue():
        spans_site.desk.review("test", item.id, "reject")
    return spans_site


def test_one_is_accepted_by_a_key(page: Page, site: Site) -> None:
    """The item shows text, difference and comment as they are; `a` accepts it under the reviewer's name."""
    id_ = give(site, "ibuprofen helped", comment="<b>a drug</b>")
    studio(page, site)
    expect(page.locator(".am-side").nth(0).locator(".am-mark")).to_have_count(0)
    expect(page.locator(".am-side").nth(1).locator(".am-mark.am-added")).to_have_text("ibuprofen")
    expect(page.locator(".am-quote")).to_have_text("<b>a drug</b>")
    page.keyboard.press("a")
    expect(page.locator(".am-done")).to_contain_text("Nothing is waiting")
    assert verdict_of(site, id_) == {"verdict": "accept", "output": None, "reviewer": OWNER_NAME, "reason": ""}


def test_one_is_rejected_with_a_reason(page: Page, site: Site) -> None:
    """`r` typed into the reason is a letter; `r` outside of it rejects, and the contributor reads the reason."""
    id_ = give(site, "tracker says so")
    studio(page, site)
    page.get_by_label("Reason").press_sequentially("rather not")
    page.get_by_role("heading", name="Review").click()
    page.keyboard.press("r")
    expect(page.locator(".am-done")).to_be_visible()
    assert verdict_of(site, id_)["reason"] == "rather not"
    given = next(item for item in site.desk.given(ANN) if item.id == id_)
    assert (given.status, given.reason) == ("rejected", "rather not")


def test_one_is_amended_in_the_same_widget(page: Page, site: Site) -> None:
    """`m` opens the editor on what is proposed, digits change it, `m` again accepts it as amended; Escape cancels."""
    id_ = give(site, "fever again")
    studio(page, site)
    page.keyboard.press("m")
    expect(page.get_by_role("button", name="Accept as amended")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Reject")).to_be_visible()
    page.keyboard.press("m")
    for key in ("Home", "2", "m"):
        page.keyboard.press(key)
    expect(page.locator(".am-done")).to_be_visible()
    review = verdict_of(site, id_)
    assert (review["verdict"], json.loads(str(review["output"]))) == (
        "amend",
        {"spans": [{"start": 0, "end": 5, "label": "Symptom"}]},
    )


def test_skipping_leaves_it_waiting(page: Page, site: Site) -> None:
    """`s` goes on to the next; what was skipped still waits and can be shown again; the progress counts it."""
    first, second = give(site, "one thing"), give(site, "two things")
    studio(page, site)
    expect(page.locator(".am-progress")).to_contain_text("2 waiting")
    page.keyboard.press("s")
    page.keyboard.press("a")
    expect(page.locator(".am-done")).to_contain_text("skipped")
    expect(page.locator(".am-progress")).to_contain_text("1 waiting")
    page.get_by_role("button", name="Show it again").click()
    expect(page.get_by_role("button", name="Accept")).to_be_visible()
    statuses = [site.desk.status(id_) for id_ in (first, second)]
    assert sorted(statuses) == ["accepted", "pending"]


def test_a_withdrawn_correction_is_told(page: Page, site: Site) -> None:
    """The contributor was faster: the reviewer is told that it can no longer be judged."""
    id_ = give(site, "gone soon")
    studio(page, site)
    site.desk.withdraw(ANN, id_)
    page.keyboard.press("a")
    expect(page.locator(".am-status[data-kind=bad]")).to_contain_text("withdrawn")


def test_it_fits_a_phone(page: Page, site: Site) -> None:
    """At 360 px nothing scrolls sideways and every verdict is there to be pressed."""
    page.set_viewport_size({"width": 360, "height": 740})
    give(site, "word " + "unbreakable" * 9)
    studio(page, site)
    expect(page.get_by_role("button", name="Accept")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Accept").click()
    expect(page.locator(".am-done")).to_be_visible()


def test_strangers_judge_nothing(site: Site) -> None:
    """Calling the page's functions without a login stores no verdict and shows no correction."""
    id_ = give(site, "secret words")
    config = httpx.get(site.url + "/studio/config").json()
    (component,) = [c["id"] for c in config["components"] if c["props"].get("elem_id") == "review"]
    for name, data in (("queue", {}), ("judge", {"correction": id_, "verdict": "accept"})):
        body = {"session_hash": "s", "component_id": component, "fn_name": name, "data": data}
        answer = httpx.post(site.url + "/studio/gradio_api/component_server/", json=body).json()
        assert "log in" in answer["error"]
        assert "secret" not in json.dumps(answer)
    assert site.desk.status(id_) == "pending"
