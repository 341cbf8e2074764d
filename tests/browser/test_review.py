"""The Review page in a real browser: a reviewer judges by keyboard, and the contributor reads what came of it."""

from __future__ import annotations

import json
import time
from typing import cast

import httpx
import pytest
from playwright._impl._api_structures import SetCookieParam
from playwright.sync_api import Browser, Page, Route, expect

from feedback.leases import Leases
from feedback.records import Review, Visitor, new_id
from tests.browser.served_site import OWNER_NAME, Site

pytestmark = pytest.mark.browser

ANN = Visitor("u_ann")
LOGINS: dict[str, list[SetCookieParam]] = {}


def give(site: Site, text: str, label: str = "Drug", comment: str = "", who: Visitor = ANN) -> str:
    """Let a person mark the text's first word and nothing else; return the correction's id."""
    shown = site.desk.predict(who, text)
    spans = [{"start": 0, "end": len(text.split()[0]), "label": label}]
    return site.desk.correct(who, shown.id, {"spans": spans}, comment)[0].id


def undecide(site: Site, *corrections: str) -> None:
    """Let a policy be unable to decide these."""
    site.store.add(*[Review(new_id("r"), id_, "undecided", None, "policy:test") for id_ in corrections])


def studio(page: Page, site: Site) -> None:
    """Log in (once a site: logins are limited) and open the Review page."""
    if site.url in LOGINS:
        page.context.add_cookies(LOGINS[site.url])
    else:
        page.goto(site.url + "/studio/login")
        page.locator("[name=name]").fill(OWNER_NAME)
        page.locator("[name=password]").fill(site.password or "")
        page.get_by_role("button").click()
        page.wait_for_url(site.url + "/studio/")
        LOGINS[site.url] = cast(list[SetCookieParam], page.context.cookies())
    page.goto(site.url + "/studio/")
    expect(page.locator(".am-progress")).not_to_be_empty()


def verdict_of(site: Site, correction: str) -> dict[str, object]:
    """Return the newest review of a correction."""
    (row,) = site.rows(f"SELECT verdict, output, reviewer, reason FROM current_reviews WHERE correction_id = '{correction}'")
    return row


@pytest.fixture
def site(spans_site: Site) -> Site:
    """The site with an empty queue, and nothing open in the page of an earlier test."""
    spans_site.desk.reviewing.leases = Leases()
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
    page.keyboard.press("Escape")
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
    expect(page.get_by_role("button", name="Accept", exact=True)).to_be_visible()
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
    expect(page.get_by_role("button", name="Accept", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Accept", exact=True).click()
    expect(page.locator(".am-done")).to_be_visible()


def test_strangers_judge_nothing(site: Site) -> None:
    """Calling the page's functions without a login stores no verdict and shows no correction."""
    id_ = give(site, "secret words")
    known = {"Authorization": f"Bearer {site.staff.make_token('reader')}"}
    config = httpx.get(site.url + "/studio/config", headers=known).json()
    (component,) = [c["id"] for c in config["components"] if c["props"].get("elem_id") == "review"]
    calls: tuple[tuple[str, dict[str, object]], ...] = (
        ("queue", {"page": "p"}), ("judge", {"correction": id_, "verdict": "accept"}), ("repeat", {"correction": id_}), ("undo", {"reviews": []}),
        ("release", {"page": "p"}), ("renew", {"page": "p", "items": [id_]}), ("others", {"correction": id_}), ("unanimous", {}),
        ("accept_unanimous", {"corrections": [id_]}), ("agreement", {}),
    )  # fmt: skip
    for name, data in calls:
        body = {"session_hash": "s", "component_id": component, "fn_name": name, "data": data}
        answer = httpx.post(site.url + "/studio/gradio_api/component_server/", json=body).json()
        assert (answer["status"], "log in" in answer["detail"]) == (401, True)
        assert "secret" not in json.dumps(answer)
    assert site.desk.status(id_) == "pending"


def test_the_difference_is_told_without_colour(page: Page, site: Site) -> None:
    """Added, removed and changed marks differ by sign and word; astral characters before them move nothing."""
    text = "\U0001f912 fever, then diabetes and pneumonia"
    shown = site.desk.predict(ANN, text)
    at = {word: text.index(word) for word in ("fever", "diabetes", "pneumonia")}
    spans = [
        {"start": at["fever"], "end": at["fever"] + 5, "label": "Symptom"},
        {"start": at["diabetes"], "end": at["diabetes"] + 8, "label": "Drug"},
    ]
    site.desk.correct(ANN, shown.id, {"spans": spans})
    studio(page, site)
    expect(page.locator(".am-differences li")).to_have_text(
        ["+added“fever”: Symptom", "≠changed“diabetes”: Disease → “diabetes”: Drug", "−removed“pneumonia”: Disease"]
    )
    expect(page.locator(".am-side").nth(0).locator(".am-mark.am-removed")).to_have_text("pneumonia")
    expect(page.locator(".am-side").nth(1).locator(".am-mark.am-changed")).to_have_text("diabetes")


def test_a_verdict_is_taken_back(page: Page, site: Site) -> None:
    """`u` takes the last verdict back: the correction is open again, waits, and can be judged otherwise."""
    id_ = give(site, "aspirin works")
    studio(page, site)
    page.keyboard.press("a")
    expect(page.locator(".am-done")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator(".am-status[data-kind=info]")).to_contain_text("Taken back")
    expect(page.locator(".am-item")).to_be_visible()
    expect(page.locator(".am-item")).to_contain_text("aspirin works")
    assert site.desk.status(id_) == "pending"
    page.keyboard.press("r")
    expect(page.locator(".am-done")).to_be_visible()
    assert site.desk.status(id_) == "rejected"


def test_others_are_shown_after_ones_own_verdict(page: Page, site: Site) -> None:
    """Until the verdict nothing of what others say is in the page; then it is, and theirs can be given the same verdict."""
    texts = "secondword is a drug"
    mine, same = give(site, texts), give(site, texts, who=Visitor("u_bob"))
    other = give(site, texts, "Symptom", "a quiet remark", Visitor("u_carl"))
    undecide(site, mine, same, other)
    site.desk.reviewing.leases.take("elsewhere", [same, other], 2)
    studio(page, site)
    expect(page.locator(".am-item")).to_contain_text("Why this one")
    assert "a quiet remark" not in page.content()
    page.keyboard.press("a")
    expect(page.locator(".am-others").first).to_contain_text("1 say the same, 1 say otherwise")
    expect(page.locator(".am-others").first).to_contain_text("a quiet remark")
    site.desk.reviewing.leases.release("elsewhere")
    page.get_by_role("button", name="The same verdict").click()
    expect(page.locator(".am-status[data-kind=good]")).to_contain_text("given 1 times")
    assert [site.desk.status(id_) for id_ in (mine, same, other)] == ["accepted", "accepted", "undecided"]


def test_the_unanimous_are_accepted_with_one_confirmation(page: Page, site: Site) -> None:
    """`b` shows count and sample, one button accepts, each in a row of its own; `u` takes all of them back."""
    ids = [give(site, text, who=Visitor(who)) for text in ("alpha pill", "beta pill") for who in ("u_ann", "u_bob")]
    undecide(site, *ids)
    studio(page, site)
    page.keyboard.press("b")
    expect(page.locator(".am-bulk")).to_contain_text("4 corrections of 2 texts")
    expect(page.locator(".am-bulk li.am-given-item")).to_have_count(2)
    assert {site.desk.status(id_) for id_ in ids} == {"undecided"}
    page.get_by_role("button", name="Accept all 4").click()
    expect(page.locator(".am-done")).to_be_visible()
    assert {site.desk.status(id_) for id_ in ids} == {"accepted"}
    expect(page.locator(".am-last li").first).to_contain_text("4 at once")
    page.keyboard.press("u")
    expect(page.locator(".am-last li").first).not_to_contain_text("4 at once")
    # Taken back, they are the policy's again: two people agree.
    listed = ", ".join(f"'{id_}'" for id_ in ids)
    sql = f"SELECT DISTINCT reviewer FROM current_corrections WHERE id IN ({listed})"
    assert [row["reviewer"] for row in site.store.rows(sql)] == ["policy:agreement"]


def test_two_reviewers_are_given_different_items(page: Page, site: Site, browser: Browser) -> None:
    """What is open in one page is not offered in another; when the first page is left, the second may have it."""
    for word in ("one", "two", "three"):
        give(site, f"{word} item")
    studio(page, site)
    expect(page.locator(".am-item")).to_be_visible()
    second = browser.new_context(reduced_motion="reduce").new_page()
    studio(second, site)
    expect(second.locator(".am-item")).to_be_visible()
    mine, theirs = page.locator(".am-item .am-side").nth(1), second.locator(".am-item .am-side").nth(1)
    assert mine.inner_text() != theirs.inner_text()
    second.keyboard.press("a")
    expect(second.locator(".am-done")).to_contain_text("open in other reviewers' pages (2)")
    page.goto("about:blank")
    expect(second.locator(".am-done")).to_be_visible()
    second.get_by_role("button", name="Look again").click()
    expect(second.locator(".am-item")).to_be_visible()
    second.context.close()


def test_nothing_typed_is_lost(page: Page, site: Site) -> None:
    """A verdict that does not get through leaves reason and marks; a reload brings them back; sent again it is stored once."""
    id_ = give(site, "cough syrup")
    studio(page, site)
    page.keyboard.press("e")
    page.keyboard.insert_text("因为 it is a medicine")
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    for key in ("Home", "2"):
        page.keyboard.press(key)
    page.route("**/component_server/**", lambda route: route.abort())
    page.get_by_role("button", name="Accept as amended").click()
    expect(page.locator(".am-status[data-kind=bad]")).to_contain_text("What you have typed is kept")
    page.unroute("**/component_server/**")
    page.reload()
    expect(page.get_by_label("Reason")).to_have_value("因为 it is a medicine")
    expect(page.locator(".am-widget .am-mark")).to_have_text("cough")

    def late(route: Route) -> None:
        route.fetch()  # it arrives and is stored; its answer does not come back
        route.abort()

    page.route("**/component_server/**", late)
    page.get_by_role("button", name="Accept as amended").click()
    expect(page.locator(".am-status[data-kind=bad]")).to_be_visible()
    page.unroute("**/component_server/**")
    page.get_by_role("button", name="Accept as amended").click()
    expect(page.locator(".am-done")).to_be_visible()
    rows = site.rows(f"SELECT verdict, reason FROM reviews WHERE correction_id = '{id_}'")
    assert rows == [{"verdict": "amend", "reason": "因为 it is a medicine"}]


def test_next_and_previous_leave_everything_as_it_is(page: Page, site: Site) -> None:
    """`j` and `k` leaf through what waits without judging; past the end the page says so."""
    for word in ("one", "two", "three"):
        give(site, f"{word} page")
    studio(page, site)
    text = page.locator(".am-item .am-side").nth(1)
    expect(text).to_be_visible()
    first = text.inner_text()
    page.keyboard.press("j")
    expect(text).not_to_have_text(first)
    page.keyboard.press("k")
    assert text.inner_text() == first
    for _ in range(3):
        page.keyboard.press("j")
        page.wait_for_load_state("networkidle")
        expect(page.get_by_role("button", name="Next")).to_be_enabled()
    expect(page.locator(".am-status")).to_contain_text(["last one that is free"])
    expect(page.locator(".am-progress")).to_contain_text("3 waiting")


def test_keys_are_listed_and_can_be_switched_off(page: Page, site: Site) -> None:
    """`?` lists the keys; switched off they judge nothing, in this browser from then on; a composition judges nothing ever."""
    id_ = give(site, "camphor oil")
    studio(page, site)
    expect(page.locator(".am-item")).to_be_visible()
    page.evaluate("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'a', bubbles: true, isComposing: true}))")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("take your last verdict back")
    page.keyboard.press("a")
    dialog.get_by_role("checkbox").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.reload()
    expect(page.locator(".am-item")).to_be_visible()
    page.keyboard.press("r")
    page.wait_for_load_state("networkidle")
    assert site.desk.status(id_) == "pending"


def test_agreement_by_label(page: Page, site: Site) -> None:
    """Opened, the table shows how far people agree, over all labels and by label."""
    for who in (ANN, Visitor("u_bob")):
        give(site, "zinc helps", who=who)
    give(site, "something that waits")
    studio(page, site)
    page.get_by_text("How far people agree").click()
    expect(page.locator(".am-agreement table")).to_contain_text("all labels")
    expect(page.locator(".am-agreement")).to_contain_text("F1 between people")


def test_it_speaks_chinese(page: Page, site: Site) -> None:
    """The Chinese studio has the same page in Chinese, and lets go of its items by the right address."""
    give(site, "ginseng tea")
    studio(page, site)
    page.goto(site.url + "/zh/studio/")
    expect(page.locator(".am-progress")).to_contain_text("1 条等待")
    page.get_by_role("button", name="再看一下").click()
    expect(page.locator(".am-item")).to_contain_text("用户的意见")
    expect(page.locator(".am-item")).to_be_visible()
    assert len(site.desk.reviewing.leases.elsewhere()) == 1
    page.goto("about:blank")
    deadline = time.monotonic() + 20
    while site.desk.reviewing.leases.elsewhere():
        assert time.monotonic() < deadline, "the page was left, and its item is held still"
        time.sleep(0.1)
