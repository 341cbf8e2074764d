"""The Monitor page: the feed over time, a warning that is acknowledged, the texts behind a point, and a correction of one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from analysis import monitor_panel
from analysis.monitoring import open_monitor
from feedback import identity
from feedback.acceptance import Agreement
from feedback.conditions import Conditions
from feedback.demo import Demo
from feedback.desk import Desk
from feedback.experiments import Experiments
from feedback.feeds.item import Item
from feedback.feeds.reading import Feeds
from feedback.home import Home
from feedback.identity import visitor_of
from feedback.records import Answer, Finding, Json, now
from feedback.staff import Staff
from feedback.store import Store
from feedback.warnings import Warnings
from feedback.words import LANGUAGES, Words
from tests.browser.acting import staff_of
from tests.browser.listening import Listening
from tests.conftest import ROOT

pytestmark = pytest.mark.browser
LABELS = ("topic/deal", "topic/macro", "mood/bad", "mood/good")
ZH = {"topic/deal": "并购", "topic/macro": "宏观", "mood/bad": "负面", "mood/good": "正面", "topic": "主题", "mood": "情绪"}


class Model:
    """Deals and good news unless a text says otherwise."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """A correction may be of one head alone."""
        return input_, None if output is None else {"labels": dict(output["labels"])}

    def edits(self, shown: Json, output: Json) -> float:
        """Equal or not."""
        return float(shown != output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Look for two words."""
        labels = {"topic": "macro" if "bank" in input_ else "deal", "mood": "bad" if "fails" in input_ else "good"}
        return Answer({"labels": labels, "confidences": dict.fromkeys(labels, 0.9)}, 0.9)

    def replies(self, version: int, inputs: Sequence[Json]) -> list[Answer]:
        """Answer a batch."""
        return [self.predict(version, input_, {}) for input_ in inputs]

    def answers(self, version: int, inputs: Sequence[Json], settings: Mapping[str, float]) -> list[Json]:
        """Outputs alone."""
        return [answer.output for answer in self.replies(version, inputs)]


class Eye:
    """A lookout that has found something this hour."""

    def look(self, at: datetime) -> Sequence[Finding]:
        """Return it."""
        hour = at.replace(minute=0, second=0, microsecond=0)
        return [Finding("share", "deal", "bad", hour - timedelta(hours=2), hour, 9, 12, 2.5, 1e5, 4e3, 1)]


def _told(event: str, **facts: Any) -> None:
    """Tell nobody."""


class Site:
    """Both languages' Monitor page over a log with three items of this hour and one warning."""

    def __init__(self, directory: Path) -> None:
        words = Words([ROOT / room / "words.toml" for room in ("feedback", "model", "analysis")])
        self.home, self.store, app, model = Home(directory), Store(directory), FastAPI(), Model()
        demo = Demo.model_validate(
            {
                "path": directory / "any.toml", "name": "any", "task": "any", "title": "Any", "data": {"train": "x"},
                "feed": {"enabled": True}, "label_names": {"zh": ZH},
            }
        )  # fmt: skip
        experiments = Experiments(self.store)
        experiments.begin(1, "test")
        desk = Desk(self.store, model, experiments, Agreement(2))
        feeds = Feeds(demo, self.store, model, model.replies, experiments, directory / "marks.json")
        feeds.post(
            [Item(text, "wire") for text in ("The merger <b>fails</b> ${x}", "The bank cuts")]
            + [Item("Two firms marry", "wire", now() - timedelta(hours=2), link="https://e.example/1")]
        )
        opened = open_monitor(demo, self.store, feeds, lambda: LABELS, "choices", model.answers, words, _told, Conditions({}))
        self.monitor = opened._replace(warnings=Warnings(self.store, Eye()))
        self.monitor.warnings.look()
        staff = Staff(self.home)
        self.token = staff.make_token("sue")
        identity.install(app, home=self.home, staff=staff, demo=demo)
        for language, path in (("zh", "/zh/studio"), ("en", "/studio")):
            with gr.Blocks(analytics_enabled=False) as page, gr.Tab("other"):
                gr.Markdown("other")
            with page, gr.Tab("monitor"):
                monitor_panel.build(
                    words.speaker(language), self.monitor, desk, LABELS, demo.label_names, language=language,
                    told=lambda error: str(error), visitor_of=visitor_of, author_of=staff_of,
                )  # fmt: skip
            gr.mount_gradio_app(app, page, path, ssr_mode=False, run_history=False, footer_links=[])
        self.listening = Listening(app)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The pages, served."""
    made = Site(tmp_path_factory.mktemp("monitor"))
    yield made
    made.listening.close()
    made.store.close()


def opened(browser: Browser, site: Site, path: str, width: int) -> Page:
    """Return the page with its tab open."""
    page = browser.new_page(
        viewport={"width": width, "height": 900}, extra_http_headers={"authorization": f"Bearer {site.token}"}
    )
    page.goto(site.listening.url + path)
    page.get_by_role("tab", name="monitor").click()
    page.locator("#monitor-drawings svg.feed").first.wait_for()
    return page


def chosen(page: Page, which: str, option: str) -> None:
    """Choose from one of Gradio's dropdowns."""
    page.locator(f"{which} input").first.click()
    page.get_by_role("option", name=option).first.click()


def test_a_point_leads_to_its_texts_and_a_text_to_its_correction(browser: Browser, site: Site) -> None:
    """Text of others stays text; the topic alone is corrected, and the row says so; the warning is acknowledged with a note."""
    page = opened(browser, site, "/studio", 1280)
    expect(page.locator("#monitor-feed")).to_contain_text("3 items in this period. Answered by version 1.")
    expect(page.locator("#monitor-warnings")).to_contain_text("deal: 9 of 12 items bad since")
    chosen(page, "#monitor-point", f"{now():%Y-%m-%d %H}:00: 2 items")
    expect(page.locator("#monitor-texts li")).to_have_count(2)
    expect(page.locator("#monitor-texts")).to_contain_text("The merger <b>fails</b> ${x}")
    expect(page.locator("#monitor-texts b")).to_have_count(0)
    chosen(page, "#monitor-item", "The bank cuts")
    page.locator("#monitor-correcting input").first.click()
    page.get_by_role("option", name="deal").first.click()
    page.locator("#monitor-correct").click()
    page.get_by_text("Sent: waits for a second opinion or a review.").wait_for()
    rows = site.store.rows("SELECT output, confirmation FROM corrections")
    assert [(json.loads(row["output"]), row["confirmation"]) for row in rows] == [({"labels": {"topic": "deal"}}, False)]
    page.locator("#monitor-note textarea, #monitor-note input").first.fill("the merger of A and B")
    page.locator("#monitor-acknowledge").click()
    expect(page.locator("#monitor-warnings li.seen")).to_contain_text("sue: the merger of A and B")
    assert site.monitor.warnings.standing() == []
    page.close()


def test_the_page_fits_a_phone_and_speaks_chinese(browser: Browser, site: Site) -> None:
    """390 pixels wide nothing runs over; labels and words are the language's; choosing a topic draws it alone."""
    page = opened(browser, site, "/zh/studio", 390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator("#monitor-drawings")).to_contain_text("条数：全部")
    chosen(page, "#monitor-topic", "宏观")
    expect(page.locator("#monitor-drawings")).to_contain_text("条数：宏观")
    expect(page.locator("#monitor-feed")).to_contain_text("共 1 条")
    page.close()


def test_words_are_the_same_in_both_languages() -> None:
    """Every key of the page exists in both."""
    words = Words([ROOT / "analysis" / "words.toml"])
    keys: list[set[Any]] = [{key for key in words.keys(language) if key.startswith("monitor.")} for language in LANGUAGES]
    assert keys[0] == keys[1]
