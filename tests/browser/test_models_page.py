"""The Models page plots a run's curves itself, in both languages and on a telephone: real app, real versions, real retraining."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.acting import open_tab
from tests.serving import ASKED, THINGS, Served, served, small_demo

TOP = 'method = "top"\nbatch_size = 4\nepochs = 10\nretrain_epochs = 10'  # 80 steps: a point every 10

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The real app with a small demo of method top, whose champion has a retrained successor that somebody promoted."""
    directory: Path = tmp_path_factory.mktemp("browser-models")
    demo = small_demo(directory)
    demo.write_text(demo.read_text(encoding="utf-8").replace('method = "head"', TOP), encoding="utf-8")
    with served(demo, directory / "home") as running:
        _another_version(running)
        running.house.staff.set_password("owner", "a good password")
        yield running


def _another_version(running: Served) -> None:
    """Correct and accept some answers, retrain, promote what comes out whatever the gate says of so little."""
    with running.staff() as staff, running.visitor() as ann:
        for thing in THINGS[:8]:
            text = f"{ASKED['refund'].format(thing)}, for the second time"
            shown = ann.post("/api/v1/predictions", json={"input": text}).json()
            sent = ann.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": {"label": "refund"}}).json()
            staff.post("/api/v1/reviews", json={"correction_id": sent["id"], "verdict": "accept"}).raise_for_status()
    running.house.retrainer.start("button", "owner")
    running.house.retrainer.wait(120)
    running.house.retrainer.offering.promote(2, "owner", "to have a line")


def _models(browser: Browser, running: Served, path: str, tab: str, **context: object) -> Page:
    page = browser.new_context(locale="en-GB", **context).new_page()  # type: ignore[arg-type]
    page.goto(f"{running.url}/studio/login")
    page.locator("[name=name]").fill("owner")
    page.locator("[name=password]").fill("a good password")
    page.get_by_role("button").click()
    page.goto(f"{running.url}{path}")
    open_tab(page, tab)
    return page


@pytest.mark.parametrize(
    ("path", "tab", "words", "phone"),
    [
        ("/studio/", "Models", ("Loss by step of the training", "version 2", "sealed test"), False),
        ("/zh/studio/", "模型", ("训练损失（按步数）", "版本 2", "封存测试"), True),
    ],
)
def test_the_page_plots_curves_and_scores(
    browser: Browser, trained: Served, path: str, tab: str, words: tuple[str, ...], phone: bool
) -> None:
    """Both plots are drawn with a line each, named in the page's language, and lie within the window's width."""
    look: dict[str, object] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"} if phone else {}
    page = _models(browser, trained, path, tab, **look)
    losses, scores = page.locator("#models-losses"), page.locator("#models-scores")
    for plot in (losses, scores):
        expect(plot.locator("canvas, svg.marks")).to_be_visible()
        box = plot.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= (390 if phone else 1280)
    expect(losses).to_contain_text(words[0])
    assert words[1] in losses.inner_html()
    assert words[2] in scores.inner_html()
    page.context.close()
