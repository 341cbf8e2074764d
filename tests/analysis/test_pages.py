"""The report in words: both languages, escaped, over HTTP, and inside a Gradio page."""

from __future__ import annotations

import asyncio
import re
import string
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from analysis.figures import escape, page, sentences
from analysis.panel import _Page, build
from analysis.report import Report, report
from analysis.routes import WORDS, router
from feedback.errors import Conflict, NotFound, Unauthorised
from feedback.problems import install
from feedback.records import Variant
from feedback.words import Say
from tests.analysis.log_fixture import Log, experiment

HOSTILE = "<img src=x onerror=alert(1)> ${1+1} {{#each x}} `'\" @children </script>"


class _Tags(HTMLParser):
    """Collects the names of the tags and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def _made(log: Log, users: int = 200) -> Report:
    log.crowd(users, {"champion": 9, "v2": 1})
    return report(log.frame, experiment())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_report_has_words(log: Log, say: Callable[[str], Say], language: str) -> None:
    """Empty, small, large, blocked and ended reports find all their words in both languages, and no placeholder is left."""
    reports = [report(log.frame, experiment()), _made(log, 60), report(log.frame, experiment(state="stopped", n_max=60))]
    reports.append(_made(log, 0))
    log.flush()
    log.con.execute("UPDATE predictions SET latency_ms = 0")
    three = (Variant("champion", 1, 0.8), Variant("v2", 2, 0.1), Variant("v3", 3, 0.1))
    reports.append(report(log.frame, experiment(variants=three, rule="always_valid", hypothesis="h")))
    for made in reports:
        assert not re.search(r"\{\w+\}|experiments\.", page(made, say(language)))


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    """Every English text has a Chinese one with the same placeholders."""
    texts = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    fields = [
        {key: {name for _, name, _, _ in string.Formatter().parse(text) if name} for key, text in texts[language].items()}
        for language in ("en", "zh")
    ]
    assert fields[0] == fields[1]
    assert all(key.startswith("experiments.") for key in fields[0])


def test_the_verdict_names_the_challenger(log: Log, say: Callable[[str], Say]) -> None:
    """B is never shown: the challenger's name stands in its place, and the rule in force stands in words."""
    said = sentences(_made(log), say("en"))
    assert said["verdict"] == "v2 is better"
    assert "the test ends at 400 users, 200 are in" in said["rule"]


def test_no_text_becomes_markup(log: Log, say: Callable[[str], Say]) -> None:
    """Names and a hypothesis full of markup and template signs stay text: the fragment has our tags only."""
    made = report(log.frame, experiment(variants=(Variant(HOSTILE, 1, 0.5), Variant("v2", 2, 0.5)), hypothesis=HOSTILE))
    fragment = page(made, say("en"))
    seen = _Tags()
    seen.feed(fragment)
    assert seen.tags <= {"div", "p", "h2", "h3", "table", "thead", "tbody", "tr", "th", "td", "svg", "line", "circle"}
    assert not set("${`@") & set(fragment)
    assert seen.text.count(HOSTILE) >= 2
    assert "onerror" not in re.sub(r">[^<]*<", "><", fragment)


def test_escape_leaves_no_sign_of_html_or_templates() -> None:
    """<, &, quotes, $, braces, backquotes, backslashes and @ are all written as references."""
    assert not set("<>\"'${}`\\@") & set(escape(HOSTILE + "\\"))


def test_the_route_is_for_staff(log: Log) -> None:
    """401 without staff, 404 with the choices for an unknown name, else the report with its words."""
    made = _made(log)

    def report_of(name: str) -> Report:
        if name != "x":
            raise NotFound(f"no experiment {name!r}; there are: x")
        return made

    def staff(key: str = "") -> str:
        if key != "right":
            raise Unauthorised("for staff only")
        return "ann"

    app = FastAPI()
    install(app)
    app.include_router(router(report_of, staff))
    with TestClient(app) as client:
        assert client.get("/api/v1/experiments/x/report").status_code == 401
        assert client.get("/api/v1/experiments/y/report?key=right").status_code == 404
        body = client.get("/api/v1/experiments/x/report?key=right").json()
    assert (body["verdict"], body["words"]["verdict"], body["comparisons"][0]["challenger"]) == (
        "B better",
        "v2 is better",
        "v2",
    )


def test_the_page_builds_and_hides_its_handlers(log: Log, say: Callable[[str], Say]) -> None:
    """Inside a tab of a Blocks: no handler is in the public API."""

    async def built() -> gr.Blocks:  # in a running loop: without one, Gradio makes loops that nobody closes
        made = gr.Blocks()
        with made, gr.Tab("Experiments"):
            build(
                say("zh"),
                lambda: [experiment()],
                lambda name: _made(log),
                lambda name, action, author, reason: None,
                author_of=lambda _: "sue",
            )
        return made

    with ThreadPoolExecutor(1) as pool:  # a thread of its own: where browser tests ran before, Playwright's loop runs in this one
        blocks = pool.submit(lambda: asyncio.run(built())).result()
    assert blocks.get_api_info()["named_endpoints"] == {}
    assert len(blocks.fns) == 7


def test_the_page_passes_actions_on_and_tells_refusals(
    log: Log, say: Callable[[str], Say], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop needs a reason; a refusal of the use case is shown in its words, escaped, and the reason stays."""
    told: list[str] = []
    monkeypatch.setattr(gr, "Warning", told.append)
    monkeypatch.setattr(gr, "Info", told.append)
    acts: list[tuple[str, str, str, str]] = []

    def act(name: str, action: str, author: str, reason: str) -> None:
        if reason == "refuse":
            raise Conflict("<b>no</b>")
        acts.append((name, action, author, reason))

    shown = _Page(say("en"), lambda: [experiment()], lambda name: _made(log), act)
    assert shown.do("x", "stop", "sue", " ") == " "
    assert shown.do("x", "pause", "sue", "refuse") == "refuse"
    assert shown.do("x", "pause", "sue", "") == ""
    assert acts == [("x", "pause", "sue", "")]
    assert told[1] == "&lt;b&gt;no&lt;/b&gt;"
    assert "Write a reason" in told[0]


def test_the_page_without_experiments_says_so(say: Callable[[str], Say]) -> None:
    """No experiment: words, and no buttons."""

    def none(name: str) -> Report:
        raise NotFound(name)

    updates = _Page(say("en"), list, none, lambda *_: None).show("gone")
    assert "No experiment yet" in updates[1]
    assert all(update["visible"] is False for update in updates[3:])
