"""The Data page in a real browser: choose a file, see what was understood, import it, take corrections out again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from playwright.sync_api import Page, expect

from feedback import exchange_panel, exchange_routes, identity, login, panel, problems
from feedback.demo import Demo
from feedback.exchange.incoming import Importer
from feedback.exchange.uploads import Uploads
from feedback.home import Home
from feedback.limits import Limits
from feedback.staff import OWNER, Staff
from feedback.store import Store
from feedback.words import Words
from tests.browser.acting import staff_of
from tests.browser.listening import Listening
from tests.conftest import ROOT
from tests.feedback.exchanging import SpansModel, importer_of

pytestmark = pytest.mark.browser

SPAN = {"start": 8, "end": 14, "label": "Disease"}
ROWS: list[dict[str, Any]] = [
    {"sentence": "She has asthma <b>now</b>", "spans": [SPAN], "worker": "ann"},
    {"sentence": "She has asthma <b>now</b>", "spans": [SPAN], "worker": "bob"},
    {"sentence": "😀 哮喘", "spans": [{"start": 2, "end": 4, "label": "Disease"}], "worker": "ann"},
]


class Rooms(NamedTuple):
    """What the page needs of a room."""

    importer: Importer
    store: Store
    uploads: Uploads


class Site:
    """A studio with the Data page alone, in both languages, and the routes of data in and out."""

    def __init__(self, directory: Path) -> None:
        self.home, self.store = Home(directory), Store(directory)
        self.demo = Demo.model_validate(
            {"path": directory / "t.toml", "name": "t", "task": "any", "title": "T", "data": {"train": "x"}}
        )
        self.rooms = Rooms(importer_of(self.store, SpansModel()), self.store, Uploads(directory / "imports"))
        self.staff = Staff(self.home)
        self.password = self.staff.first_password() or ""
        self._listening = Listening(self._app())
        self.url = self._listening.url

    def _app(self) -> FastAPI:
        words = Words([ROOT / "feedback" / "words.toml"])
        app = FastAPI()
        problems.install(app)
        identity.install(app, home=self.home, staff=self.staff, demo=self.demo)
        app.include_router(exchange_routes.router(self.rooms.importer, self.store, self.rooms.uploads, widget="spans"))
        app.include_router(login.router(self.staff, Limits(self.demo.limits), words, identity.login_cookie("t"), False))
        for language, path in (("zh", "/zh/studio"), ("en", "/studio")):
            with gr.Blocks(analytics_enabled=False) as blocks, gr.Tab("D"):
                exchange_panel.build(
                    self.rooms, self.demo, widget="spans", labels=("Disease", "Gene"), words=words, language=language,
                    staff_of=staff_of,
                )  # fmt: skip
            blocks.queue(api_open=False, max_size=64)
            gr.mount_gradio_app(
                app, blocks, path, ssr_mode=False, run_history=False, footer_links=[],
                theme=panel.theme(), css=panel.css(), head=panel.head(language),
            )  # fmt: skip
        return app

    def close(self) -> None:
        """Stop serving, then close the log."""
        self._listening.close()
        self.store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh site."""
    made = Site(tmp_path)
    yield made
    made.close()


def studio(page: Page, site: Site, path: str = "/studio/") -> None:
    """Log in and open the page."""
    page.goto(site.url + "/studio/login")
    page.locator("[name=name]").fill(OWNER)
    page.locator("[name=password]").fill(site.password)
    page.get_by_role("button").click()
    page.goto(site.url + path)
    expect(page.locator("input[type=file]")).to_be_visible()


def choose(page: Page, name: str, text: str) -> None:
    """Choose a file of this name and content."""
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/plain", "buffer": text.encode()})


def lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_a_file_in_and_out_again(page: Page, site: Site, abroad: list[str]) -> None:
    """The columns are picked, marks are shown as understood, nothing is stored before the import, and the export has it all."""
    studio(page, site)
    choose(page, "crowd.jsonl", lines(ROWS))
    result = page.locator(".am-data-result")
    expect(result).to_contain_text("No 'text'")
    expect(page.get_by_role("button", name="Import", exact=True)).to_be_hidden()
    page.get_by_label("Column with the text").select_option("sentence")
    page.get_by_label("Column with the annotator").select_option("worker")
    page.get_by_label("Channel", exact=True).fill("acme")
    page.get_by_role("button", name="Preview").click()
    expect(result).to_contain_text("3 new corrections of 2 annotators")
    expect(page.locator(".am-data-rows .am-mark")).to_have_text(["asthma", "asthma", "哮喘"])
    expect(page.locator(".am-data-rows .am-given-item").first).to_contain_text("<b>now</b>")
    assert site.store.rows("SELECT * FROM corrections") == []
    page.get_by_role("button", name="Import", exact=True).click()
    expect(result).to_contain_text("3 became corrections (2 annotators)")
    expect(result).to_contain_text("2 accepted, 1 waiting for acceptance, 0 rejected")
    expect(page.locator(".am-table tbody th")).to_have_text("acme")
    assert len(site.store.rows("SELECT * FROM corrections")) == 3

    page.get_by_label("Which").select_option("all")
    page.get_by_label("Of the channel").select_option("acme")
    out = page.get_by_role("region", name="Export corrections")
    for form, name in (("jsonl", "t-all.jsonl"), ("label_studio", "t-all.json"), ("conll", "t-all.conll")):
        out.get_by_label("Form").select_option(form)
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download").click()
        assert waiting.value.suggested_filename == name
        content = Path(waiting.value.path()).read_text(encoding="utf-8")
        assert "asthma" in content
        if form == "jsonl":
            assert [json.loads(line)["text"] for line in content.splitlines()] == [row["sentence"] for row in ROWS]
    page.get_by_label("Which").select_option("gold")
    expect(page.get_by_label("Of the channel")).to_be_disabled()
    out.get_by_label("Form").select_option("jsonl")
    page.get_by_role("button", name="Download").click()
    expect(out.get_by_text("There is nothing of this kind.")).to_be_visible()
    assert abroad == []


def test_errors_by_row_keep_a_file_out_until_they_are_mended(page: Page, site: Site) -> None:
    """Wrong rows are told with their lines beside the right ones; the mended file goes in; a change asks for a new preview."""
    studio(page, site)
    wrong: list[dict[str, Any]] = [
        {**ROWS[0], "text": "She has asthma", "spans": [{**SPAN, "end": 99}]},
        {"text": "No", "spans": []},
    ]
    choose(page, "crowd.jsonl", lines(wrong))
    result = page.locator(".am-data-result")
    expect(result.get_by_role("alert")).to_contain_text("line 1: span")
    expect(page.locator(".am-data-rows .am-given-item")).to_have_count(1)
    bring = page.get_by_role("button", name="Import", exact=True)
    expect(bring).to_be_hidden()
    choose(page, "crowd.jsonl", lines([{"text": "She has asthma", "spans": [SPAN]}, {"text": "No", "spans": []}]))
    expect(bring).to_be_visible()
    expect(page.locator(".am-data-rows .am-mark")).to_have_text(["asthma"])
    page.get_by_text("Every row is of known truth").click()
    expect(bring).to_be_hidden()
    page.get_by_role("button", name="Preview").click()
    expect(result).to_contain_text("2 new items of known truth.")
    bring.click()
    expect(result).to_contain_text("2 became trap items")
    assert len(list((site.home.directory / "imports").iterdir())) == 0


@pytest.mark.parametrize("path", ["/studio/", "/zh/studio/"])
def test_it_fits_a_phone(page: Page, site: Site, path: str) -> None:
    """At 360 px nothing scrolls sideways, in either language, with a preview open."""
    page.set_viewport_size({"width": 360, "height": 740})
    studio(page, site, path)
    choose(page, f"{'long' * 30}.jsonl", lines([{"text": "She has asthma " + "x" * 120, "spans": [SPAN]}]))
    expect(page.locator(".am-data-rows .am-mark")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_strangers_bring_and_take_nothing(site: Site) -> None:
    """Calling the page's functions without a login stores nothing and tells nothing."""
    known = {"Authorization": f"Bearer {site.staff.make_token('reader')}"}
    config = httpx.get(site.url + "/studio/config", headers=known).json()
    (component,) = [c["id"] for c in config["components"] if c["props"].get("elem_id") == "data"]
    for name in ("upload", "columns", "preview", "bring", "forget", "channels"):
        body = {
            "session_hash": "s",
            "component_id": component,
            "fn_name": name,
            "data": {"upload": "a" * 64, "offset": 0, "part": ""},
        }
        answer = httpx.post(site.url + "/studio/gradio_api/component_server/", json=body).json()
        assert (answer["status"], "log in" in answer["detail"]) == (401, True)
    assert list((site.home.directory / "imports").iterdir()) == []
