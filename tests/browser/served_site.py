"""A served site for browser tests: the real log, desk, identity and pages, with a model that a test can predict in its head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI

from feedback import identity, login, panel, problems, review_panel, review_routes
from feedback.acceptance import Agreement
from feedback.asking import Asking
from feedback.demo import Demo
from feedback.desk import Desk
from feedback.errors import BadInput, Busy, Unauthorised
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.identity import visitor_of
from feedback.limits import Limits
from feedback.pairs import Pairs
from feedback.records import Answer, Experiment, Json, Variant
from feedback.staff import OWNER, Staff
from feedback.store import Store
from feedback.words import Words
from model.tasks.multioutput_text_classification import MultioutputTextClassification
from tests.browser.listening import Listening
from tests.conftest import ROOT

DISEASES = re.compile("pneumonia|diabetes|肺炎")
LABELS = {
    "spans": ("Disease", "Symptom", "Drug"),
    "choice": ("refund", "return", "tracking", *(f"other {n}" for n in range(9))),
    "choices": (
        "topic/earnings",
        "topic/deal",
        *(f"topic/other {n}" for n in range(9)),
        *(f"mood/{m}" for m in ("bad", "so-so", "good")),
    ),
}


class SpanModel:
    """Marks each of three words as Disease, version 2 a rash as Symptom too; busy for a text that says so; cannot read Chinese."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Inputs are texts; spans lie within the text."""
        if output is None:
            return input_, None
        spans = [{key: span[key] for key in ("start", "end", "label")} for span in output["spans"]]
        for span in spans:
            if not 0 <= span["start"] < span["end"] <= len(input_):
                raise BadInput(f"span {span}: outside of the text", code="spans_range")
        return input_, {"spans": spans}

    def edits(self, shown: Json, output: Json) -> float:
        """Equal or not."""
        return float(shown != output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Find the words; `confidence` a span as a task may give it."""
        if "busy" in input_:
            raise Busy("the queue is full")
        spans = [{"start": m.start(), "end": m.end(), "label": "Disease", "confidence": 0.9} for m in DISEASES.finditer(input_)]
        if version == 2:
            found = re.finditer("rash", input_)
            spans += [{"start": m.start(), "end": m.end(), "label": "Symptom", "confidence": 0.6} for m in found]
        notes = ("note.unknown_script",) if any("\u4e00" <= char <= "\u9fff" for char in input_) else ()
        return Answer({"spans": spans}, 0.9, notes)


class ChoiceModel:
    """Says refund to everything, in version 2 return."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Outputs name one label."""
        return input_, None if output is None else {"label": output["label"]}

    def edits(self, shown: Json, output: Json) -> float:
        """Equal or not."""
        return float(shown != output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Say so, hardly sure."""
        return Answer({"label": "return" if version == 2 else "refund"}, 0.4)


class ChoicesModel:
    """Says earnings and bad of everything, in version 2 earnings and good; by the rules of the task of several heads."""

    def __init__(self) -> None:
        self._task = MultioutputTextClassification(LABELS["choices"])

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Outputs name a label of some heads."""
        return input_, None if output is None else self._task.check_output(input_, output)

    def edits(self, shown: Json, output: Json) -> float:
        """How many heads that the output tells are others."""
        return self._task.edits(shown, output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Say so, surer of the topic."""
        labels = {"topic": "earnings", "mood": "good" if version == 2 else "bad"}
        return Answer({"labels": labels, "confidences": {"topic": 0.91, "mood": 0.4}}, 0.4)


MODELS: dict[str, type[Any]] = {"spans": SpanModel, "choice": ChoiceModel, "choices": ChoicesModel}


class Site:
    """A running site; `url` has no slash at its end, `login` opens the studio."""

    def __init__(self, widget: str, directory: Path, **settings: Any) -> None:
        self.home = Home(directory)
        self.store = Store(directory)
        self.labels = LABELS[widget]
        self.demo = _demo(directory, widget, **settings)
        self.experiments = Experiments(self.store)
        self.experiments.begin(1, "test")
        model = MODELS[widget]()
        self.desk = Desk(self.store, model, self.experiments, Agreement(2), max_comment_chars=40)
        self.pairs = Pairs(self.store, model, self.experiments)
        self.asking = Asking(self.store, model, self.experiments, self.demo.acceptance)
        self.staff = Staff(self.home)
        self.password = self.staff.first_password()
        self._listening = Listening(self._app(widget))
        self.url = self._listening.url

    def _app(self, widget: str) -> FastAPI:
        words = Words([ROOT / "feedback" / "words.toml"])
        app = FastAPI()
        problems.install(app)
        identity.install(app, home=self.home, staff=self.staff, demo=self.demo)
        app.include_router(
            login.router(self.staff, Limits(self.demo.limits), words, identity.login_cookie(self.demo.name), False)
        )
        app.include_router(review_routes.router(self.desk.reviewing, self.store))
        for language, path in (("zh", "/zh/studio"), ("en", "/studio")):
            studio = gr.Blocks(analytics_enabled=False)
            with studio, gr.Tab("Review"):
                review_panel.build(
                    self.desk, self.demo, widget=widget, labels=self.labels, words=words, language=language, reviewer_of=_reviewer
                )
            _mount(app, studio, path, language)
        for language, path, other in (("zh", "/zh", "/?lang=en"), ("en", "/", "/zh/?lang=zh")):
            page = panel.build(
                self.desk, self.pairs, self.asking, self.demo, widget=widget, labels=self.labels, words=words, language=language,
                visitor_of=visitor_of, other_language_url=other,
            )  # fmt: skip
            _mount(app, page, path, language)
        return app

    def side_by_side(self, name: str) -> None:
        """Start an experiment that shows versions 1 and 2 in pairs; the variants' names are found nowhere else."""
        variants = (Variant("zebra", 1, 0.5), Variant("quagga", 2, 0.5))
        self.experiments.declare(Experiment(name, 1, "running", variants, mode="side_by_side"))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Return what the log holds."""
        return self.store.rows(sql)

    def close(self) -> None:
        """Stop serving, then close the log."""
        self._listening.close()
        self.store.close()


def _demo(directory: Path, widget: str, **settings: Any) -> Demo:
    return Demo.model_validate(
        {
            "path": directory / "t.toml",
            "name": f"t-{widget}",
            "task": "any",
            "title": {"en": "Find the diseases", "zh": "疾病识别"},
            "notice": "Not medical advice.",
            "data": {"train": "x"},
            "examples": ("She has pneumonia.", "He has diabetes."),
            "limits": {"max_chars": 200, "max_comment_chars": 40},
            **settings,
        }
    )


def _reviewer(request: gr.Request) -> str:
    name = visitor_of(request).staff
    if name is None:
        raise Unauthorised("log in first")
    return name


def _mount(app: FastAPI, blocks: gr.Blocks, path: str, language: str) -> None:
    blocks.queue(api_open=False, max_size=64)
    gr.mount_gradio_app(
        app, blocks, path, ssr_mode=False, run_history=False, footer_links=[],
        theme=panel.theme(), css=panel.css(), head=panel.head(language),
    )  # fmt: skip


OWNER_NAME = OWNER
