"""The files that can be sent on: whole, escaped, in both languages; and the command that writes them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from analysis import report_commands
from analysis.history import design_of
from analysis.notes import Note
from analysis.presentation.blocks import Plot
from analysis.presentation.plots import effect, standalone
from analysis.presentation.written import files, plain
from analysis.routes import router
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.records import Exposure, Guardrail, Prediction
from feedback.store import Store
from feedback.words import Say
from tests.analysis.log_fixture import TWO_ARMS, experiment
from tests.analysis.made_reports import STATES, MadeReader, a_design, better, days
from tests.analysis.test_pages import HOSTILE, UNFILLED, seen
from tests.conftest import ROOT


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("state", STATES)
def test_every_state_can_be_written(say: Callable[[str], Say], language: str, state: str) -> None:
    """Every state gives a page and Markdown without an empty placeholder, in both languages."""
    made = files(STATES[state](), a_design(), say(language), language)
    assert f'<html lang="{language}">' in made["report.html"]
    for text in made.values():
        assert not UNFILLED.search(text)


def test_the_page_stands_alone_and_opens_what_was_folded(say: Callable[[str], Say]) -> None:
    """No script, no address of another host, drawings inside, a viewport for phones, nothing closed."""
    html = files(better(), a_design(), say("en"), "en")["report.html"]
    assert not re.search(r"<script|https?://|@import|url\(|<link|<img", html)
    assert html.count('role="img"') == 1
    assert html.count("<details open>") == html.count("<details") == 2
    assert "width=device-width" in html


def test_the_design_is_written(say: Callable[[str], Say]) -> None:
    """Hypothesis, when and by whom it was declared, the definition, guardrails, covariate, every number with author and reason."""
    text = seen(files(better(), a_design(), say("en"), "en")["report.html"]).text
    for words in (
        "Declared 2026-11-02 00:00 UTC by ann. Reason: an idea",
        "sum(corrected) / sum(predictions) over users; lower is better",
        "Guardrails: latency (lower is better), margin 11",
        "Covariate: correction rate before",
        "a slow disk",
    ):
        assert words in text


def test_markdown_names_the_drawings_beside_it(say: Callable[[str], Say]) -> None:
    """Each drawing that the Markdown names is among the files, is well-formed XML on its own, and names what it shows."""
    made = files(STATES["several"](), a_design(), say("en"), "en")
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", made["report.md"])
    assert named == ["effect-v2.svg", "effect-v3.svg"] == sorted(set(made) - {"report.html", "report.md"})
    for name in named:
        root = ElementTree.fromstring(made[name])
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "minus champion" in root.attrib["aria-label"]


def test_a_drawings_file_name_leads_nowhere(say: Callable[[str], Say]) -> None:
    """Variants named like paths, or alike but for their signs, get plain file names of their own."""
    names = ("../../etc/x", "a b", "a?b")
    compared = tuple(replace(better().comparisons[0], challenger=name) for name in names)
    points = tuple(replace(point, challenger=name) for name in names for point in days())
    made = files(better(comparisons=compared, timeline=points), a_design(), say("en"), "en")
    assert set(made) == {"report.html", "report.md", "effect-etc-x.svg", "effect-a-b.svg", "effect-a-b-2.svg"}


def test_hostile_texts_stay_texts_in_the_files(say: Callable[[str], Say]) -> None:
    """A hypothesis and a note full of markup are neither HTML in the page nor HTML, links or headings in the Markdown."""
    hostile = HOSTILE + "\n# title\n[x](javascript:alert(1)) | <b>"
    report = better(hypothesis=hostile, notes=(Note("experiments.note.silent", {"arms": hostile}),))
    made = files(report, a_design(), say("en"), "en")
    assert not seen(made["report.html"]).tags & {"img", "script", "b"}
    assert not re.search(r"(?<!\\)<|(?<!\\)\[x|^# title", made["report.md"], re.M)


def test_plain_text_begins_no_list() -> None:
    """A line that begins like a list, a heading or a rule, is escaped; numbers inside a line are left alone."""
    assert plain("- a") == "\\- a"
    assert plain("1. a") == "1\\. a"
    assert plain("# a") == "\\# a"
    assert plain("-9.0 points") == "\\-9.0 points"
    assert plain("from 1.5 to 2.5") == "from 1.5 to 2.5"


def test_a_drawing_keeps_to_its_axis() -> None:
    """However wide the first days' intervals, nothing is drawn outside of the frame, and the newest interval is to be seen."""
    points = list(days())
    points[2] = replace(points[2], low=-50.0, high=50.0)
    root = ElementTree.fromstring(standalone(effect(Plot("v2", "share", tuple(points), "words"), "words")))
    polygon = next(child for child in root if child.tag.endswith("polygon"))
    ys = [float(pair.split(",")[1]) for pair in polygon.attrib["points"].split()]
    assert min(ys) >= 12
    assert max(ys) <= 170
    assert abs(ys[len(ys) // 2 - 1] - ys[len(ys) // 2]) > 5  # the last day's two ends stand side by side in the polygon


def test_the_history_is_read_from_the_log(store: Store) -> None:
    """Declaration, start and pause are three steps with their authors and reasons, in order."""
    experiments = Experiments(store)
    experiments.begin(1, "test")
    declared(experiments)
    experiments.act("x", "start", "bob", "go")
    experiments.act("x", "pause", "cid", "a slow disk")
    steps = design_of(store.frame, experiments.get("x")).steps
    assert [(step.number, step.state, step.author, step.reason) for step in steps] == [
        (1, "declared", "ann", "an idea"),
        (2, "running", "bob", "go"),
        (3, "paused", "cid", "a slow disk"),
    ]
    assert steps[0].variants == TWO_ARMS


def declared(experiments: Experiments, name: str = "x") -> None:
    """Declare an experiment without starting it."""
    made = replace(experiment(author="ann", reason="an idea", guardrails=(Guardrail("latency", 0.1),)), name=name)
    experiments.declare(made, start=False)


# -- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose log has two experiments; no app runs on it."""
    directory = tmp_path / "home"
    Home(directory)
    with Store(directory) as store:
        experiments = Experiments(store)
        experiments.begin(1, "test")
        declared(experiments, "older")
        declared(experiments)
        store.add(
            Exposure("x", 1, "u_1", "v2", 2, 0.5),
            Prediction("p_1", "u_1", "x", 1, "v2", 2, "in", "h", {"label": "v2"}, 0.5, 10.0),
        )
    return directory


def test_the_command_reads_the_log_where_no_app_runs(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest experiment's files and its verdict; that no replay was made is said, on the screen and in the report."""
    out = tmp_path / "out"
    assert report_commands.main(["--home", str(home), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("x: Collecting: the A/B test cannot decide yet")
    assert "no replay" in said.err
    assert "No replay was made here" in (out / "report.md").read_text(encoding="utf-8")
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_command_writes_over_nothing_unless_told(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there stays, and none of the others is written; with --force all are."""
    (tmp_path / "report.md").write_text("mine", encoding="utf-8")
    words = ["older", "--home", str(home), "--out", str(tmp_path), "--language", "zh"]
    assert report_commands.main(words) == 1
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "report.html").exists()
    assert report_commands.main([*words, "--force"]) == 0
    assert (tmp_path / "report.md").read_text(encoding="utf-8").startswith("# 实验 older")


def test_the_command_names_the_choices(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown experiment, and a home without a log, are told in words; no log is made."""
    assert report_commands.main(["gone", "--home", str(home), "--out", str(tmp_path)]) == 1
    assert "there are: older, x" in capsys.readouterr().err
    assert report_commands.main(["--home", str(tmp_path / "nowhere"), "--out", str(tmp_path)]) == 1
    assert "there is no log" in capsys.readouterr().err
    assert not (tmp_path / "nowhere" / "log.duckdb").exists()


class _App:
    """A running app that answers from the made reports, by its own routes."""

    def __init__(self) -> None:
        app = FastAPI()
        app.include_router(router(MadeReader(), lambda: "ann"))
        self._client = TestClient(app)

    def __enter__(self) -> _App:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **params: str) -> object:
        """Answer like RunningApp.get."""
        if path == "/api/v1/experiments":
            return [{"name": "small"}, {"name": "better"}]
        return self._client.get(path, params=params).raise_for_status().json()


def test_the_command_asks_the_running_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an app on the home its own files are written, replay and all; the newest experiment is the last of its list."""
    monkeypatch.setattr(report_commands, "running_app", lambda home: _App())
    assert report_commands.main(["--home", str(tmp_path / "home"), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("better: v2 is better")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"report.html", "report.md", "effect-v2.svg"}


def test_the_module_is_a_command() -> None:
    """`python -m analysis.report --help` explains itself."""
    done = subprocess.run(
        [sys.executable, "-m", "analysis.report", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "--language" in done.stdout


def test_a_report_is_json(say: Callable[[str], Say]) -> None:
    """Every state of a report can be sent as JSON."""
    for state in STATES.values():
        json.dumps(state().to_json(), allow_nan=False)
