"""What the tests of annotated data share: a model of spans with the task's own checks, and an importer over an empty log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from feedback.acceptance import Agreement, apply_policy
from feedback.desk import Model
from feedback.exchange.annotation import Annotation, Reading
from feedback.exchange.forms import read_file
from feedback.exchange.incoming import Importer, Taken
from feedback.experiments import Experiments
from feedback.records import Answer, Json
from feedback.store import Store
from model.task import Task
from model.tasks.token_classification import TokenClassification

SPANS = Reading("spans")
CHOICE = Reading("choice")


class SpansModel:
    """The checks of token_classification over Disease and Gene; every answer is that nothing is there."""

    def __init__(self) -> None:
        self.task: Task = TokenClassification(("Disease", "Gene"), 2000)

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """As model/serve.py does."""
        checked = self.task.check_input(input_)
        return checked, None if output is None else self.task.check_output(checked, output)

    def edits(self, shown: Json, output: Json) -> float:
        """The task's."""
        return self.task.edits(shown, output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Nothing."""
        return Answer({"spans": []}, 0.5)


def importer_of(store: Store, model: Model, experiments: Experiments | None = None) -> Importer:
    """Return an importer whose policy believes two who agree."""
    if experiments is None:
        experiments = Experiments(store)
        experiments.begin(1, "test")

    def judge(inputs: Sequence[tuple[str, str]]) -> None:
        for hash_, text in inputs:
            apply_policy(store, Agreement(2), hash_, text)

    return Importer(store, model, experiments, judge)


def take(importer: Importer, raw: bytes, form: str, how: Reading, name: str = "file", accepted: bool = False) -> Taken:
    """Read and import a file."""
    return importer.take(read_file(raw, name, form, how).annotations, name, "sue", accepted=accepted)


def accepted_set(store: Store) -> set[tuple[str, str]]:
    """Return what stands accepted: (input, output), as JSON text."""
    rows = store.rows("SELECT input, output FROM current_corrections WHERE status = 'accepted'")
    return {(json.dumps(json.loads(r["input"])), json.dumps(json.loads(r["output"]), sort_keys=True)) for r in rows}


def opinions(annotations: Sequence[Annotation]) -> list[tuple[str, str]]:
    """Return the (input, output) of annotations in a comparable form."""
    return sorted((json.dumps(a.input), json.dumps(a.output, sort_keys=True)) for a in annotations)


def empty(tmp_path: Path) -> Store:
    """Return another, empty log."""
    return Store(tmp_path / "other")
