"""The studio says on top what is wrong with the app, in the language of the page, and says nothing where all is well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, expect

from feedback import conditions_panel, identity
from feedback.conditions import Conditions, Found
from feedback.home import Home
from feedback.staff import Staff
from feedback.words import Words
from tests.browser.acting import staff_of
from tests.browser.listening import Listening
from tests.conftest import ROOT
from tests.feedback.test_web import demo_of

pytestmark = pytest.mark.browser


class Studio:
    """Two pages, English and Chinese, with nothing but the list; `found` is what the probe finds."""

    def __init__(self, directory: Path) -> None:
        self.found: Found = None
        self.conditions = Conditions({"version_unloadable": lambda: self.found})
        home, words, app = Home(directory), Words([ROOT / "feedback" / "words.toml"]), FastAPI()
        staff = Staff(home)
        self.token = staff.make_token("sue")
        identity.install(app, home=home, staff=staff, demo=demo_of(directory))
        for language, path in (("zh", "/zh/studio"), ("en", "/studio")):
            with gr.Blocks(analytics_enabled=False) as page:
                conditions_panel.build(self.conditions, words, language, staff_of)
                gr.Markdown("the rest")
            gr.mount_gradio_app(app, page, path, ssr_mode=False, run_history=False, footer_links=[])
        self.listening = Listening(app)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The two pages, served."""
    made = Studio(tmp_path_factory.mktemp("conditions"))
    yield made
    made.listening.close()


@pytest.mark.parametrize(
    ("path", "language", "words"),
    [
        ("/studio/", "en", "Version 3 serves and cannot be loaded: <b>weights</b> are gone"),
        ("/zh/studio/", "zh", "正在服务的版本 3 无法加载：<b>weights</b> are gone"),
    ],
)
def test_the_list_in_both_languages(studio: Studio, browser: Browser, path: str, language: str, words: str) -> None:
    """It stands there as text while it stands, and is gone at the next load after it has cleared."""
    context = browser.new_context(
        locale=language, extra_http_headers={"Authorization": f"Bearer {studio.token}", "Accept-Language": language}
    )
    page = context.new_page()
    studio.found = {"version": 3, "detail": "<b>weights</b> are gone"}
    studio.conditions.look()
    page.goto(studio.listening.url + path)
    alert = page.locator("#conditions [role=alert]")
    expect(alert).to_contain_text(words)
    assert alert.locator("b").count() == 0
    studio.found = None
    studio.conditions.look()
    page.reload()
    expect(page.get_by_text("the rest")).to_be_visible()
    expect(page.locator("#conditions")).not_to_contain_text("3")
    assert page.locator("#conditions [role=alert]").count() == 0
    context.close()
