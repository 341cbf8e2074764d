"""The Contributors page in a real browser: the list, one person, block and unblock, an alarm that is cleared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, expect

from feedback import contributors_panel, identity, login, panel, problems
from feedback.acceptance import Agreement
from feedback.alarms import Alarms
from feedback.believing import Believing
from feedback.blocking import Blocking, judge_anew
from feedback.contributors import Contributors
from feedback.demo import AcceptanceSettings, Demo
from feedback.desk import Desk
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.limits import Limits
from feedback.records import Asked, Correction, Prediction, Record, Review, Trap, Visitor, now
from feedback.reliability import TrustRule
from feedback.staff import OWNER, Staff
from feedback.standing import Acceptances
from feedback.store import Store
from feedback.words import Words
from tests.browser.acting import staff_of
from tests.browser.listening import Listening
from tests.browser.served_site import LABELS, SpanModel
from tests.conftest import ROOT

pytestmark = pytest.mark.browser

ANN, BOB = Visitor("u_ann", network="0f" * 8, channel="clinic"), Visitor("u_bob")
TEXT = "She took ibuprofen for pneumonia."


class Site:
    """A studio with the Contributors page alone, and the line about alarms above it, in both languages."""

    def __init__(self, directory: Path) -> None:
        self.home, self.store = Home(directory), Store(directory)
        self.demo = Demo.model_validate(
            {"path": directory / "t.toml", "name": "t", "task": "any", "title": "T", "data": {"train": "x"}}
        )
        experiments = Experiments(self.store)
        experiments.begin(1, "test")
        self.desk = Desk(self.store, SpanModel(), experiments, Agreement(2))
        rule = TrustRule()
        blocking = Blocking(self.store, partial(judge_anew, self.store, Agreement(2)))
        alarms = Alarms(self.store, directory / "alarms.json")
        acceptances = Acceptances(self.store, AcceptanceSettings(policy="reliability"), Believing(self.store, "spans"))
        self.room = contributors_panel.Room(Contributors(self.store, rule), blocking, alarms, acceptances, rule)
        self.staff = Staff(self.home)
        self.password = self.staff.first_password() or ""
        self._listening = Listening(self._app())
        self.url = self._listening.url

    def _app(self) -> FastAPI:
        words = Words([ROOT / "feedback" / "words.toml"])
        app = FastAPI()
        problems.install(app)
        identity.install(app, home=self.home, staff=self.staff, demo=self.demo)
        app.include_router(login.router(self.staff, Limits(self.demo.limits), words, identity.login_cookie("t"), False))
        for language, path in (("zh", "/zh/studio"), ("en", "/studio")):
            with gr.Blocks(analytics_enabled=False) as blocks, gr.Tab("C"):
                contributors_panel.banner(self.room.alarms, words, language, staff_of)
                contributors_panel.build(
                    self.room,
                    self.demo,
                    widget="spans",
                    labels=LABELS["spans"],
                    words=words,
                    language=language,
                    staff_of=staff_of,
                )
            blocks.queue(api_open=False, max_size=64)
            gr.mount_gradio_app(
                app, blocks, path, ssr_mode=False, run_history=False, footer_links=[],
                theme=panel.theme(), css=panel.css(), head=panel.head(language),
            )  # fmt: skip
        return app

    def fill(self) -> None:
        """Ann and Bob agree once; Ann has a rejected one with awkward texts, nine traps, one of them wrong."""
        for who in (ANN, BOB):
            self.desk.correct(who, self.desk.predict(who, TEXT).id, {"spans": [{"start": 9, "end": 18, "label": "Drug"}]})
        odd = self.desk.predict(ANN, "pneumonia <b>again</b>")
        said = self.desk.correct(ANN, odd.id, {"spans": []}, "<i>no</i>")[0]
        self.desk.review("rev", said.id, "reject", reason="it is one")
        rows: list[Record] = []
        for n in range(9):
            truth = {"spans": [{"start": 0, "end": 4, "label": "Symptom"}]}
            rows += [
                Trap(f"h{n}", f"rash number {n}", truth, "gold", "owner"),
                Prediction(
                    f"pt{n}", "u_ann", "", 0, "champion", 1, f"rash number {n}", f"h{n}", {"spans": []}, 0.9, 1.0, forced=True
                ),
                Asked(f"pt{n}", "u_ann", "trap", f"h{n}"),
                Correction(f"ct{n}", f"pt{n}", "u_ann", truth if n else {"spans": []}, False),
            ]
        self.store.add(*rows)

    def fail(self) -> None:
        """Let a reviewer who accepted a hundred people reject twelve at once."""
        rows: list[Record] = []
        for n in range(112):
            when = now() - (timedelta(days=20 - n // 20) if n < 100 else timedelta(minutes=n - 99))
            rows += [
                Prediction(f"p{n}", f"u_{n}", "", 0, "champion", 1, "t", "h", {"spans": []}, 0.5, 1.0, created=when),
                Correction(f"c{n}", f"p{n}", f"u_{n}", {"spans": []}, True, created=when),
                Review(f"r{n}", f"c{n}", "reject" if n >= 100 else "accept", None, "carol", created=when),
            ]
        self.store.add(*rows)

    def close(self) -> None:
        """Stop serving, then close the log."""
        self._listening.close()
        self.store.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with Ann, Bob and a hundred and twelve others, and an alarm."""
    made = Site(tmp_path_factory.mktemp("contributors"))
    made.fill()
    made.fail()
    yield made
    made.close()


def studio(page: Page, site: Site, path: str = "/studio/") -> None:
    """Log in and open the page."""
    page.goto(site.url + "/studio/login")
    page.locator("[name=name]").fill(OWNER)
    page.locator("[name=password]").fill(site.password)
    page.get_by_role("button").click()
    page.goto(site.url + path)
    expect(page.locator(".am-people .am-given-item").first).to_be_visible()


def test_a_contributor_is_found_read_blocked_and_unblocked(page: Page, site: Site, abroad: list[str]) -> None:
    """From the list to one person's corrections with verdicts, reasons and traps; blocking needs a reason and can be undone."""
    studio(page, site)
    page.get_by_label("Find by name").fill("U_ann")
    page.keyboard.press("Enter")
    expect(page.locator(".am-people .am-given-item")).to_have_count(1)
    page.get_by_role("button", name="u_ann").click()
    card = page.locator(".am-card:has(.am-person-name)")
    expect(card).to_contain_text("8 of 9 trap items right")
    expect(card).to_contain_text("Came by the channel clinic.")
    expect(card.get_by_text("Rejected by rev: it is one")).to_be_visible()
    expect(card.locator(".am-quote")).to_have_text("<i>no</i>")
    page.get_by_role("button", name="Block", exact=True).click()
    expect(page.locator(".am-status[data-kind=bad]:visible").first).to_be_visible()
    assert site.store.rows("SELECT * FROM blocks") == []
    page.get_by_label("Reason for blocking").fill("a robot")
    page.get_by_role("button", name="Block", exact=True).click()
    expect(page.get_by_role("button", name="Unblock")).to_be_visible()
    expect(card.locator(".am-badge[data-status=rejected]").first).to_have_text("blocked")
    (row,) = site.store.rows("SELECT contributor, blocked, author, reason FROM blocks")
    assert row == {"contributor": "u_ann", "blocked": True, "author": OWNER, "reason": "a robot"}
    assert site.desk.given(BOB)[0].status == "undecided"
    page.get_by_label("Reason for unblocking").fill("it was Ann")
    page.get_by_role("button", name="Unblock").click()
    expect(page.get_by_role("button", name="Block", exact=True)).to_be_visible()
    assert site.desk.given(BOB)[0].status == "accepted"
    page.get_by_role("button", name="Back to everybody").click()
    expect(page.locator(".am-person").first).to_be_visible()
    assert abroad == []


def test_how_answers_are_accepted_is_told_when_asked(page: Page, site: Site) -> None:
    """Opened, the fold names the policy, the traps and what decides meanwhile; a line of calibration counts known items."""
    studio(page, site)
    fold = page.locator("details:has(.am-standing)")
    expect(fold.locator(".am-standing")).to_be_empty()
    fold.locator("summary").click()
    expect(fold).to_contain_text("Policy: reliability.")
    expect(fold).to_contain_text("9 of the owner's, 0 that everybody agreed on. Answers to them: 9.")
    expect(fold).to_contain_text("until then 2 who agree decide")


def test_sorting_and_pages(page: Page, site: Site) -> None:
    """The list sorts by what is picked and turns its pages."""
    studio(page, site)
    page.get_by_label("Sort by").select_option("corrections")
    expect(page.locator(".am-person").first).to_have_text("u_ann")
    expect(page.locator(".am-people .am-given-item")).to_have_count(50)
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".am-people .am-given-item")).to_have_count(14)
    page.get_by_role("button", name="Previous").click()
    expect(page.locator(".am-people .am-given-item")).to_have_count(50)


@pytest.mark.parametrize("path", ["/studio/", "/zh/studio/"])
def test_it_fits_a_phone(page: Page, site: Site, path: str) -> None:
    """At 360 px nothing scrolls sideways, in either language, on the list and on a person."""
    page.set_viewport_size({"width": 360, "height": 740})
    studio(page, site, path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("input[type=search]").fill("u_ann")
    page.keyboard.press("Enter")
    expect(page.locator(".am-people .am-given-item")).to_have_count(1)
    page.locator(".am-person").click()
    expect(page.locator(".am-person-name")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_an_alarm_stands_until_a_person_clears_it(page: Page, site: Site) -> None:
    """The alarm names the reviewer and the numbers, above the page too; cleared with a reason it is gone and remembered."""
    studio(page, site)
    page.reload()
    expect(page.locator("#alarms [role=alert]")).to_contain_text("the reviewer carol")
    alarm = page.locator(".am-alarm")
    expect(alarm).to_contain_text("0 of 100 before that")
    alarm.get_by_role("button", name="Clear the alarm").click()
    expect(alarm).to_be_visible()
    alarm.get_by_label("What was it").fill("new guideline")
    alarm.get_by_role("button", name="Clear the alarm").click()
    expect(page.get_by_text("No rejection rate has jumped.")).to_be_visible()
    (cleared,) = site.room.alarms.all()
    assert (cleared.author, cleared.reason) == (OWNER, "new guideline")
    page.get_by_text("Cleared alarms (1)").click()
    expect(page.get_by_text("new guideline")).to_be_visible()


def test_strangers_learn_and_change_nothing(site: Site) -> None:
    """Calling the page's functions without a login shows nobody and blocks nobody."""
    known = {"Authorization": f"Bearer {site.staff.make_token('reader')}"}
    config = httpx.get(site.url + "/studio/config", headers=known).json()
    (component,) = [c["id"] for c in config["components"] if c["props"].get("elem_id") == "contributors"]
    calls = {
        "people": {},
        "person": {"contributor": "u_ann"},
        "block": {"contributor": "u_ann", "blocked": True, "reason": "x"},
        "clear": {"alarm": "a", "reason": "x"},
    }
    before = site.store.rows("SELECT count(*) AS n FROM blocks")
    for name, data in calls.items():
        body = {"session_hash": "s", "component_id": component, "fn_name": name, "data": data}
        answer = httpx.post(site.url + "/studio/gradio_api/component_server/", json=body).json()
        assert (answer["status"], "log in" in answer["detail"]) == (401, True)
        assert "u_ann" not in json.dumps(answer)
    assert site.store.rows("SELECT count(*) AS n FROM blocks") == before
