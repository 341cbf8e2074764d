"""The report in words: both languages, every state, escaped, over HTTP, and inside a Gradio page."""

from __future__ import annotations

import asyncio
import re
import string
import tomllib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from analysis import panel
from analysis.declare_panel import declaration, guardrails_as_text, guardrails_from_text
from analysis.notes import Note
from analysis.panel import ACTIONS, Handlers, links
from analysis.presentation.contents import contents, proof_blocks, sentences
from analysis.presentation.figures import escape, fragment, page
from analysis.report import Report, report
from analysis.routes import WORDS, router
from feedback.declaring import MODES, RULES
from feedback.demo import ExperimentSettings
from feedback.errors import BadInput, Conflict, Unauthorised
from feedback.outcomes import COVARIATES, METRICS, SEGMENTS
from feedback.problems import install
from feedback.records import Experiment, Guardrail, Variant
from feedback.words import Say, told
from tests.analysis.log_fixture import START, Log, experiment
from tests.analysis.made_reports import (
    STATES,
    MadeReader,
    a_proof,
    a_replay,
    better,
    blocked,
    days,
    empty_votes,
    guarded,
    paired,
    small,
    votes,
    withheld,
)

HOSTILE = "<img src=x onerror=alert(1)> ${1+1} {{#each x}} `'\" @children </script>"
ROOM = Path(__file__).resolve().parents[2] / "analysis"
UNFILLED = re.compile(r"\{\w+\}|experiments\.\w")


class _Tags(HTMLParser):
    """Collects the names of the tags and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def seen(fragment: str) -> _Tags:
    """Return what a browser would see."""
    made = _Tags()
    made.feed(fragment)
    return made


@pytest.fixture
def reader() -> MadeReader:
    """A report of every state."""
    return MadeReader()


# -- words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("state", STATES)
def test_every_state_has_words(say: Callable[[str], Say], language: str, state: str) -> None:
    """Every state finds all its words in both languages, on the page and for programs, and no placeholder is left."""
    made, t = STATES[state](), say(language)
    assert not UNFILLED.search(page(made, t))
    assert not UNFILLED.search(str(sentences(made, t)))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_reports_of_real_logs_have_words(log: Log, say: Callable[[str], Say], language: str) -> None:
    """A report of an empty log, of some and of many users, and of one that ended early, each in words."""
    made = [report(log.frame, experiment())]
    log.crowd(60, {"champion": 9, "v2": 1})
    made += [report(log.frame, experiment()), report(log.frame, experiment(state="stopped", n_max=60))]
    log.crowd(240, {"champion": 9, "v2": 1}, prefix="w")
    made.append(report(log.frame, experiment(guardrails=(Guardrail("latency", 0.1),), covariate="predictions_before")))
    assert [one.verdict for one in made][-1] == "B better"
    for one in made:
        assert not UNFILLED.search(page(one, say(language)))


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    """Every English text has a Chinese one with the same placeholders."""
    texts = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    fields = [
        {key: {name for _, name, _, _ in string.Formatter().parse(text) if name} for key, text in texts[language].items()}
        for language in ("en", "zh")
    ]
    assert fields[0] == fields[1]
    assert all(key.startswith(("experiments.", "monitor.", "quality.", "studio.", "error.")) for key in fields[0])


def test_every_key_that_the_code_names_has_words() -> None:
    """Each "experiments...." in a module of this room is a key of the catalogue; of one with a {part}, its beginning is."""
    keys = set(tomllib.loads(WORDS.read_text(encoding="utf-8"))["en"])
    named = {
        key
        for module in ROOM.rglob("*.py")
        for key in re.findall(r'"(experiments\.[^"\s]+)"', module.read_text(encoding="utf-8"))
    }
    assert len(named) > 100
    for key in named:
        beginning = key.partition("{")[0]
        assert key in keys or ("{" in key and any(known.startswith(beginning) for known in keys)), key


def test_every_name_of_the_design_has_words() -> None:
    """Metrics, segments, covariates, rules, modes and actions are chosen by name: none of them lacks its words."""
    keys = set(tomllib.loads(WORDS.read_text(encoding="utf-8"))["en"])
    parts: Mapping[str, Any] = {
        "metric": METRICS, "segment": SEGMENTS, "covariate": COVARIATES, "form.rule": RULES, "rule": RULES, "mode": MODES,
        "done": (*ACTIONS, "change", "decide", "declare"), "axis": {m.unit.replace(" ", "_") for m in METRICS.values()},
    }  # fmt: skip
    assert {f"experiments.{part}.{name}" for part, names in parts.items() for name in names} <= keys


# -- what the page says --------------------------------------------------------------------------------------------


def test_the_verdict_names_the_challenger_and_says_whether_it_may_be_shipped(say: Callable[[str], Say]) -> None:
    """B is never shown: the challenger's name stands in its place; then what speaks for shipping it; the rule in words."""
    said = sentences(better(), say("en"))
    assert said["verdict"] == "v2 is better"
    assert said["shipping"][0] == "Yes: v2 may be shipped."
    assert "every guardrail holds" in said["shipping"][1]
    assert "the test ends at 2000 users, 960 are in" in said["rule"]


def test_a_broken_guardrail_stands_against_shipping(say: Callable[[str], Say]) -> None:
    """A winner whose latency is too bad is better, and is not to be shipped; an unknown guardrail is said to be unknown."""
    said = sentences(guarded(), say("en"))
    assert said["verdict"] == "v2 is better"
    assert said["shipping"] == ["Not now.", "v2 has won, but a guardrail is broken: latency (lower is better)."]
    # exp(.19) - 1 = 20.9 %, exp(.1) - 1 = 10.5 %: differences of log milliseconds are shown as relative ones.
    assert said["guardrails"][0] == (
        "Broken: latency (lower is better), v2. It is worse than the limit of +11\N{NO-BREAK SPACE}%;"
        " measured +13\N{NO-BREAK SPACE}%, at worst +21\N{NO-BREAK SPACE}%."
    )
    assert said["guardrails"][1] == "Not known yet: confirmation rate (higher is better), v2. The limit is -2.0 points."


def test_nothing_is_shipped_under_an_alarm(say: Callable[[str], Say]) -> None:
    """A sample-ratio alarm is the verdict, and stands against shipping."""
    said = sentences(blocked(), say("en"))
    assert said["verdict"] == "Blocked: sample ratio"
    assert any("sample-ratio alarm stands" in line for line in said["shipping"])


def test_few_users_let_the_replay_lead(say: Callable[[str], Say]) -> None:
    """Below 50 users an arm the replay comes before the arms, and the page says when the A/B test could decide; else after."""
    text = seen(page(small(), say("en"))).text
    assert text.index("Replay on corrections") < text.index("Arms, by correction rate")
    assert "at this traffic: not within a year" in text
    assert "From 124 accepted corrections of 52 people" in text
    large = seen(page(better(), say("en"))).text
    assert large.index("Arms, by correction rate") < large.index("Replay on corrections")


@pytest.mark.parametrize(
    ("days_left", "per_day", "said"),
    [
        (None, 0.9, "at this traffic: not within a year"),
        (None, 0.0, "not while nobody new comes"),
        (0.0, 5.0, "reached"),
        (0.4, 5.0, "within a day"),
        (13.3, 5.0, "in about 14 days"),
    ],
)
def test_the_forecast_says_when(say: Callable[[str], Say], days_left: float | None, per_day: float, said: str) -> None:
    """The end of the test in days, or why there is no date."""
    made = replace(better().forecast, days_to_end=days_left, per_day=per_day)
    lines = sentences(better(forecast=made), say("en"))["forecast"]
    assert said in next(line for line in lines if line.startswith("Planned end"))


def test_the_forecast_names_power_difference_and_users(say: Callable[[str], Say]) -> None:
    """What is found at the end with 80 % power, and the users that a change by a fifth needs; nothing once it is over."""
    lines = " ".join(sentences(better(), say("en"))["forecast"])
    assert "With 2000 users it finds a difference of 5.2 points or more with 80 % power." in lines
    assert "a change by 20 % of the control's value (6.2 points) with 80 % power takes about 1400 users" in lines
    assert sentences(better(state="stopped"), say("en"))["forecast"] == []


def test_the_replay_says_what_anchoring_is(say: Callable[[str], Say]) -> None:
    """An effect whose interval leaves out 0 is explained; one that includes it cannot be told from chance; none has a reason."""
    for anchoring, words in (
        (paired(124, 52, 0.13, 0.1), "trust the estimate less"),
        (paired(124, 52, 0.02, 0.1), "cannot be told from chance"),
        (withheld(12, 9), "9 people are too few, 20 are needed."),
    ):
        said = " ".join(sentences(small(replay=a_replay(anchoring)), say("en"))["replay"])
        assert words in said
    assert "it needs accepted corrections" in str(sentences(small(replay=a_replay()._replace(items=0)), say("en"))["replay"])
    assert "only the running app has" in str(sentences(small(replay=None), say("en"))["replay"])


def test_side_by_side_has_votes_and_no_arms(say: Callable[[str], Say]) -> None:
    """Strength, share, votes, people and the bias of the left side; no A/B table, no difference, no sample ratio."""
    text = seen(page(votes(), say("en"))).text
    assert "v2 is preferred to champion in 64.8\N{NO-BREAK SPACE}% of votes (strength +0.61)" in text
    assert "412 votes of 130 people; 61 called both right or neither" in text
    assert "Of 351 decided votes the answer on the left got 55.0" in text
    assert not re.search("Sample ratio|Arms, by|Declared share", text)
    assert "Collecting: too few people have voted" in seen(page(empty_votes(), say("en"))).text


def test_no_fixed_horizon_words_on_a_live_page(say: Callable[[str], Say]) -> None:
    """'Confidence interval' and 'significant' are no words of the page; the chi-square is labelled as for one look."""
    for state in STATES.values():
        text = seen(page(state(), say("en"))).text
        assert not re.search("confidence|significan|p-value", text, re.I)
        assert text.count("chi-square") == text.count("chi-square for one look")


def test_exploratory_parts_are_folded_and_say_so(say: Callable[[str], Say]) -> None:
    """Secondary metrics name Benjamini and Hochberg, both parts say exploratory, and both are closed at first."""
    made = page(better(), say("en"))
    assert made.count("<details><summary>") == 2
    assert "Other metrics (exploratory)" in made
    assert "Segments (exploratory)" in made
    assert "Benjamini and Hochberg" in made


def test_the_plot_has_a_sentence_for_its_name(say: Callable[[str], Say]) -> None:
    """One drawing a challenger, role img, named by a sentence; gaps make no line; an experiment without numbers has none."""
    made = page(STATES["several"](), say("en"))
    names = re.findall(r'role="img" aria-label="([^"]+)"', made)
    assert [name.split(" ")[0] for name in names] == ["v2", "v3"]
    assert "10 days with numbers" in names[0]
    assert made.count("<polyline") == 2
    gap = [*days()[:6], *(point for point in days()[8:])]
    gap[4] = replace(gap[4], difference=None, low=None, high=None)
    assert page(better(timeline=tuple(gap)), say("en")).count("<polyline") == 2
    assert 'role="img"' not in page(small(), say("en"))


def test_a_number_that_is_none_is_a_dash(say: Callable[[str], Say]) -> None:
    """Neither None nor nan reaches the page."""
    for state in STATES.values():
        assert not re.search(r"\bNone\b|\bnan\b|\binf\b", seen(page(state(), say("en"))).text)


# -- escaping ------------------------------------------------------------------------------------------------------


def test_no_text_becomes_markup(say: Callable[[str], Say]) -> None:
    """Names, a hypothesis and a reason full of markup and template signs stay text: the fragment has our tags only."""
    arms = tuple(replace(arm, name=HOSTILE) for arm in better().arms)
    comparison = replace(better().comparisons[0], challenger=HOSTILE)
    timeline = tuple(replace(point, challenger=HOSTILE) for point in days())
    made = better(
        arms=arms, comparisons=(comparison,), timeline=timeline, hypothesis=HOSTILE, about=HOSTILE, reason=HOSTILE,
        state="decided", winner=HOSTILE, author=HOSTILE, experiment=HOSTILE, notes=(Note("experiments.note.silent", {"arms": HOSTILE}),),
    )  # fmt: skip
    html = page(made, say("en"))
    found = seen(html)
    assert found.tags <= {
        "div", "p", "h2", "h3", "table", "thead", "tbody", "tr", "th", "td", "svg", "line", "circle", "polygon", "polyline",
        "text", "details", "summary",
    }  # fmt: skip
    assert not any(name.startswith("on") for name in found.attributes)
    assert not set("${`@") & set(html)
    assert found.text.count(HOSTILE) >= 8


def test_escape_leaves_no_sign_of_html_or_templates() -> None:
    """<, &, quotes, $, braces, backquotes, backslashes and @ are all written as references."""
    assert not set("<>\"'${}`\\@") & set(escape(HOSTILE + "\\"))


# -- routes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(reader: MadeReader) -> TestClient:
    """The routes, open to whoever says ?key=right."""

    def staff(key: str = "") -> str:
        if key != "right":
            raise Unauthorised("for staff only")
        return "ann"

    app = FastAPI()
    install(app)
    app.include_router(router(reader, staff))
    return TestClient(app)


@pytest.mark.parametrize("path", ["report", "report.html", "report.md", "report/files", "proof", "users"])
def test_the_routes_are_for_staff(client: TestClient, path: str) -> None:
    """401 without staff; and an unknown experiment is 404 with the choices."""
    with client:
        assert client.get(f"/api/v1/experiments/better/{path}").status_code == 401
        if path.startswith("report"):
            gone = client.get(f"/api/v1/experiments/gone/{path}?key=right")
            assert (gone.status_code, "there are: better" in gone.json()["detail"]) == (404, True)


def test_the_routes_answer(client: TestClient) -> None:
    """JSON with words in the language asked for, a page, Markdown, all files, the proof, and the per-user table as a download."""
    with client:
        got = {
            path: client.get(f"/api/v1/experiments/better/{path}{'&' if '?' in path else '?'}key=right")
            for path in ("report", "report?language=zh", "report.html", "report.md", "report/files", "proof", "users?format=csv")
        }
        assert client.get("/api/v1/experiments/better/report?key=right&language=fr").status_code == 422
        assert client.get("/api/v1/experiments/better/users?key=right&format=xls").status_code == 422
    assert {answer.status_code for answer in got.values()} == {200}
    body = got["report"].json()
    assert (body["verdict"], body["words"]["verdict"], body["comparisons"][0]["challenger"]) == ("B better", "v2 is better", "v2")
    assert got["report?language=zh"].json()["words"]["verdict"] == "v2 更好"
    assert got["report.html"].headers["content-security-policy"].startswith("default-src 'none'")
    assert got["report.md"].text.startswith("# Experiment better")
    assert set(got["report/files"].json()) == {"report.html", "report.md", "effect-v2.svg"}
    assert [rate["analysis"] for rate in got["proof"].json()["rates"]] == ["rule", "peeking", "per event"]
    assert got["users?format=csv"].headers["content-disposition"] == 'attachment; filename="better-users.csv"'


# -- the panel -----------------------------------------------------------------------------------------------------


class _Acts:
    """Notes what was done and declared; refuses what says so."""

    def __init__(self) -> None:
        self.done: list[tuple[str, dict[str, Any], str]] = []

    def __call__(self, name: str, what: Mapping[str, Any], author: str) -> Experiment:
        """Note or refuse."""
        if what["reason"] == "refuse":
            raise Conflict("<b>no</b>")
        self.done.append((name, dict(what), author))
        return experiment()


def handlers(t: Say, reader: MadeReader, acts: _Acts | None = None) -> Handlers:
    """Return the page's handlers over the made reports."""
    return Handlers(t, reader, reader.experiments, acts or _Acts(), "en")


def test_the_page_builds_and_hides_its_handlers(say: Callable[[str], Say], reader: MadeReader) -> None:
    """Inside a tab of a Blocks: no handler is in the public API."""

    async def built() -> gr.Blocks:  # in a running loop: without one, Gradio makes loops that nobody closes
        made = gr.Blocks()
        with made, gr.Tab("Experiments"):
            panel.build(
                say("zh"), reader, reader.experiments, _Acts(), lambda given, author, start: experiment(), lambda: [1, 2],
                ExperimentSettings().declared(), author_of=lambda _: "sue", language="zh",
            )  # fmt: skip
        return made

    with ThreadPoolExecutor(1) as pool:  # a thread of its own: where browser tests ran before, Playwright's loop runs in this one
        blocks = pool.submit(lambda: asyncio.run(built())).result()
    assert blocks.get_api_info()["named_endpoints"] == {}
    assert len(blocks.fns) == 10


def test_only_buttons_that_make_sense_are_shown(say: Callable[[str], Say], reader: MadeReader) -> None:
    """Declared: start and stop. Running: pause, stop, ramp, decide. Paused: resume. Stopped: decide alone. Decided: nothing."""
    page_ = handlers(say("en"), reader)

    def visible(state: Any) -> list[str]:
        updates = page_._controls(replace(experiment(), state=state))
        names = ("controls", *ACTIONS, "ramp", None, "decide", None, "prove", None)
        return [name for name, update in zip(names, updates, strict=True) if name and update["visible"]]

    assert visible("declared") == ["controls", "start", "stop"]
    assert visible("running") == ["controls", "pause", "stop", "ramp", "decide", "prove"]
    assert visible("paused") == ["controls", "resume", "stop", "ramp", "decide", "prove"]
    assert visible("stopped") == ["controls", "decide", "prove"]
    assert visible("decided") == ["prove"]


def test_the_page_passes_actions_on_and_tells_refusals(
    say: Callable[[str], Say], reader: MadeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop and decide need a reason; a refusal of the use case is shown in its words, escaped, and the reason stays."""
    told: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda words, title: told.append(words))
    monkeypatch.setattr(gr, "Info", lambda words, title: told.append(words))
    acts = _Acts()
    page_ = handlers(say("en"), reader, acts)
    assert page_.do("x", {"action": "stop", "reason": " "}, "sue") == ""
    assert page_.do("x", {"action": "decide", "winner": "v2", "reason": ""}, "sue") == ""
    assert page_.do("x", {"action": "pause", "reason": "refuse"}, "sue") == "refuse"
    assert page_.do("x", {"action": "change", "changes": {"coverage": 0.2}, "reason": "slowly"}, "sue") == ""
    assert page_.do("x", {"action": "decide", "winner": "v2", "promote": True, "reason": "won"}, "sue") == ""
    assert [
        (name, what["action"], what["changes"], what["winner"], what["promote"], author) for name, what, author in acts.done
    ] == [
        ("x", "change", {"coverage": 0.2}, "", False, "sue"),
        ("x", "decide", {}, "v2", True, "sue"),
    ]
    assert told[2] == "&lt;b&gt;no&lt;/b&gt;"
    assert "Write a reason" in told[0]
    assert "Write a reason" in told[1]


def test_the_page_without_experiments_says_so(say: Callable[[str], Say], reader: MadeReader) -> None:
    """No experiment: words, and no buttons."""
    updates = Handlers(say("en"), reader, list, _Acts(), "en").show("gone")
    assert "No experiment yet" in updates[1]
    assert all(update["visible"] is False for update in updates[3:8])


def test_a_report_that_cannot_be_made_becomes_words(say: Callable[[str], Say], reader: MadeReader) -> None:
    """A refusal is a sentence on the page, escaped, and the page goes on."""
    page_ = Handlers(say("en"), reader, lambda: [replace(experiment(), name="none<b>")], _Acts(), "en")
    assert "no experiment &#x27;none&lt;b&gt;&#x27;" in page_.show(None)[1]


def test_the_proof_is_a_small_table(say: Callable[[str], Say]) -> None:
    """The rule beside both controls with intervals, and what was done; too few users are said in the page's language."""
    text = seen(fragment(proof_blocks(a_proof(), say("en")))).text
    assert "shuffled over the 960 users of this log 1000 times" in text
    assert "looked at 40 times" in text
    assert re.search("The rule in force3.1.%2.1.% – 4.4.%", text)
    too_few = BadInput("in English", code="prove_too_few", values={"users": 12, "needed": 100, "each": 50})
    assert told(too_few, say("zh")).startswith("现有 12 名用户")


@pytest.mark.parametrize(("language", "up"), [("en", "../"), ("zh", "../../")])
def test_links_lead_up_from_the_studio(say: Callable[[str], Say], language: str, up: str) -> None:
    """Relative addresses: they work under /studio/, /zh/studio/ and any path prefix."""
    found = re.findall('href="([^"]+)"', links("x.1", say(language), language))
    assert found[0] == f"{up}api/v1/experiments/x.1/report.html?language={language}"
    assert len(found) == 3


# -- the form ------------------------------------------------------------------------------------------------------


def given(**changes: Any) -> dict[str, Any]:
    """Return a filled form."""
    base = {
        "name": " spring ", "hypothesis": "h", "mode": "assigned", "control": 1, "challenger": 2, "share": 30,
        "primary_metric": "correction_rate", "guardrails": "latency 0.1\n\nconfirmation_rate .02", "rule": "horizon", "n_max": 1500,
        "alpha": 0.05, "segments": ["device"], "covariate": "", "coverage": 25, "reason": "", "start": False,
    }  # fmt: skip
    return {**base, **changes}


def test_the_form_becomes_a_declaration(say: Callable[[str], Say]) -> None:
    """Shares sum to 1, percent become parts, a line is a guardrail."""
    made = declaration(given(), say("en"))
    assert made["name"] == "spring"
    assert made["variants"] == [
        {"name": "champion", "version": 1, "share": 0.7},
        {"name": "v2", "version": 2, "share": 0.3},
    ]
    assert made["guardrails"] == [{"metric": "latency", "margin": 0.1}, {"metric": "confirmation_rate", "margin": 0.02}]
    assert made["coverage"] == 0.25


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("guardrails", "latency", "Guardrail 'latency'"),
        ("guardrails", "latency fast", "Guardrail 'latency fast'"),
        ("challenger", None, "Choose a version"),
        ("n_max", None, "Users in all arms: a number is needed"),
        ("name", "  ", "A name is needed"),
    ],
)
def test_the_form_says_what_it_cannot_read(say: Callable[[str], Say], field: str, value: object, words: str) -> None:
    """Each field that cannot be read has its own words."""
    with pytest.raises(BadInput, match=re.escape(words)):
        declaration(given(**{field: value}), say("en"))


def test_guardrails_are_typed_as_they_are_shown(say: Callable[[str], Say]) -> None:
    """What stands in the form of a demo's defaults is read back as the same."""
    shown = (Guardrail("latency", 0.1), Guardrail("confirmation_rate", 0.025))
    read = guardrails_from_text(guardrails_as_text(shown), say("en"))
    assert tuple(Guardrail(**one) for one in read) == shown


def test_contents_begin_with_the_verdict(say: Callable[[str], Say]) -> None:
    """Of everything on the page only the experiment's name stands before the verdict."""
    for state in STATES.values():
        assert type(contents(state(), say("en"))[1]).__name__ == "Headline"


def test_a_real_log_of_votes_has_words_of_votes_alone(log: Log, say: Callable[[str], Say]) -> None:
    """60 people who prefer version 2: no word of arms that nobody met, and it may be shipped."""
    for index in range(60):
        who, prefers = f"u{index}", "right" if index % 10 else "left"
        sides = [log.predict(who, variant, forced=True, experiment="", experiment_number=0) for variant in ("champion", "v2")]
        log._insert("pairs", {
            "id": f"r{index}", "contributor": who, "experiment": "x", "experiment_number": 1, "left_prediction": sides[0],
            "right_prediction": sides[1], "created": START,
        })  # fmt: skip
        log._insert("votes", {"pair_id": f"r{index}", "contributor": who, "choice": prefers, "created": START})
    made = report(log.frame, experiment(mode="side_by_side", n_max=80))
    said = sentences(made, say("en"))
    assert said["notes"] == []
    assert said["verdict"] == "v2 is better"
    assert "60 votes of 60 people; 0 called both right or neither" in str(said["votes"])


def test_variants_with_hostile_names_are_drawn(log: Log, say: Callable[[str], Say]) -> None:
    """A real report of a real log with such a name is escaped like the made ones."""
    made: Report = report(log.frame, experiment(variants=(Variant(HOSTILE, 1, 0.5), Variant("v2", 2, 0.5)), hypothesis=HOSTILE))
    html = page(made, say("en"))
    assert not set("${`@") & set(html)
    assert seen(html).text.count(HOSTILE) >= 2
