"""One's data on the public page: told, downloaded, and erased after a second question; in both languages."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, expect

from feedback import privacy_routes
from feedback.acceptance import Agreement
from feedback.desk import Desk
from feedback.erasing import Eraser
from feedback.limits import Limits
from feedback.masking import Checking, Screen
from feedback.words import Words
from tests.browser.acting import ask, sent
from tests.browser.served_site import ChoiceModel, Site
from tests.conftest import ROOT
from tests.feedback.test_erasing import Known


class OwnSite(Site):
    """A site with the routes of privacy before its pages."""

    def _app(self, widget: str) -> FastAPI:
        screened = Checking(ChoiceModel(), Screen(self.demo.privacy.identifiers))
        self.desk = Desk(self.store, screened, self.experiments, Agreement(2))
        app = super()._app(widget)
        pages = list(app.router.routes)
        words = Words([ROOT / "feedback" / "words.toml"])
        eraser = Eraser(self.home, self.store, Known(), lambda *_: None)
        app.include_router(
            privacy_routes.router(eraser, self.store, self.demo, Limits(self.demo.limits), words, f"amend_{self.demo.name}")
        )
        app.router.routes[:] = [route for route in app.router.routes if route not in pages] + pages
        return app


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that keeps texts for 30 days."""
    site = OwnSite(
        "choice",
        tmp_path_factory.mktemp("own"),
        privacy={"keep_days": 30, "identifiers": "mask"},
        acceptance={"second_opinions": False},
    )
    yield site
    site.close()


@pytest.mark.parametrize("path", ["/", "/zh/?lang=zh"])
def test_one_takes_and_erases_what_one_gave(page: Page, own_site: Site, path: str, tmp_path: Path) -> None:
    """The zip holds the text; a first click only asks; after the second the list is empty and somebody new is here."""
    card = ask(page, own_site, "Where is my zebra?", path)
    card.locator(".am-actions button").first.click()
    sent(card)
    own = page.locator("#am-own")
    expect(own).to_contain_text("30")
    with page.expect_download() as download:
        own.locator("a").click()
    download.value.save_as(tmp_path / "mine.zip")
    with zipfile.ZipFile(tmp_path / "mine.zip") as archive:
        tables = json.loads(archive.read("data.json"))["tables"]
    assert [row["input"] for row in tables["predictions"]] == ["Where is my zebra?"]

    own.locator("button", has_text="清除" if "zh" in path else "Erase everything").first.click()
    expect(own.get_by_role("alert")).to_be_visible()
    own.locator("button", has_text="保留" if "zh" in path else "Keep").click()
    assert own_site.rows("SELECT count(*) AS n FROM corrections")[0]["n"] == 1
    own.locator("button", has_text="全部清除" if "zh" in path else "Erase everything").click()
    own.locator("button", has_text="永久清除" if "zh" in path else "for good").click()
    expect(page.locator("#am-own .am-status[data-kind=good]")).to_be_visible()
    expect(page.locator(".am-given-item")).to_have_count(0)
    assert page.locator("#am-input").input_value() == ""
    assert own_site.rows("SELECT 1 FROM predictions WHERE input::VARCHAR LIKE '%zebra%'") == []
    page.locator("#am-input").fill(f"Somebody new {path}")
    page.locator(".am-ask").click()
    expect(page.locator(".am-answer .am-actions")).to_be_visible()
    assert own_site.rows("SELECT 1 FROM corrections") == []


def test_a_masked_text_is_what_the_page_shows(page: Page, own_site: Site) -> None:
    """The box, the answer and the list hold the masked text; what was typed is nowhere any more, and the answer is not stale."""
    card = ask(page, own_site, "Write to ann@example.org please")
    expect(page.locator("#am-input")).to_have_value("Write to ***@*******.*** please")
    expect(card.get_by_text("Your text has changed")).to_be_hidden()
    card.locator(".am-actions button").first.click()
    sent(card)
    expect(page.locator(".am-given-item").first).to_contain_text("Write to ***@*******.*** please")
    assert "ann@example" not in page.content()
    assert "ann@example" not in str(page.evaluate("JSON.stringify(sessionStorage)"))
