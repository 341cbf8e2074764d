"""A served site whose answers are lists of eight courses: the real page, log and desk, and a ranking that a test can predict in its head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI

from feedback import identity, panel, problems
from feedback.identity import visitor_of
from feedback.records import Answer, Json
from feedback.words import Words
from model.catalogue import Catalogue, Entry
from model.tasks.ranking import Ranking
from tests.browser import served_site
from tests.browser.served_site import Site
from tests.conftest import ROOT

COURSES = [f"Course {letter}" for letter in "ABCDEFGHIJ"]
CATALOGUE = Catalogue([Entry(title[-1].lower(), f"What {title} <b>teaches</b>.", title) for title in COURSES])
TASK = Ranking([entry.id for entry in CATALOGUE.entries], 200, catalogue=CATALOGUE)


class RankingModel:
    """Shows what is left of the alphabet, four at a time; the second for what was liked last, the last by chance."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Check by the task's own rules."""
        checked = TASK.check_input(input_)
        return checked, None if output is None else TASK.check_output(checked, output)

    def edits(self, shown: Json, output: Json) -> float:
        """Likes, dismissals and moves."""
        return TASK.edits(shown, output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Answer in the task's form."""
        seen = {deed["item"] for deed in input_["history"]}
        items = [entry.id for entry in CATALOGUE.entries if entry.id not in seen][:4]
        liked = [deed["item"] for deed in input_["history"] if deed["did"] == "liked"]
        why = [
            {"kind": "popular"},
            {"kind": "liked", "item": liked[-1]} if liked else {"kind": "asked"},
            {"kind": "nothing"},
            {"kind": "chance"},
        ]
        of_items: dict[str, list[Json]] = {
            "items": items, "best": items, "ranks": [0, 1, 2, 9], "propensities": [0.9] * 4, "scores": [1.0] * 4, "why": why,
        }  # fmt: skip
        output = {key: value[: len(items)] for key, value in of_items.items()}
        return Answer({**output, "policy": [0.1, 40]}, 0.6)


class RankingSite(Site):
    """The public pages alone."""

    def __init__(self, directory: Path) -> None:
        served_site.LABELS["ranking"] = tuple(TASK.labels)
        served_site.MODELS["ranking"] = RankingModel
        super().__init__("ranking", directory, examples=("something practical",))

    def _app(self, widget: str) -> FastAPI:
        words = Words([ROOT / "feedback" / "words.toml"])
        app = FastAPI()
        problems.install(app)
        identity.install(app, home=self.home, staff=self.staff, demo=self.demo)
        for language, path, other in (("zh", "/zh", "/?lang=en"), ("en", "/", "/zh/?lang=zh")):
            page = panel.build(
                self.desk, self.pairs, self.asking, self.demo, widget=TASK.widget, labels=self.labels, words=words, language=language,
                visitor_of=visitor_of, other_language_url=other, form=TASK.form, present=TASK.present, names=CATALOGUE.titles(),
            )  # fmt: skip
            served_site._mount(app, page, path, language)
        return app
