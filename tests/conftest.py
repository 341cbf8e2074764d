"""Fixtures that many rooms' tests share: a fresh log, a readable stand-in for a model, visitors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from feedback.acceptance import Agreement
from feedback.desk import Desk
from feedback.errors import BadInput
from feedback.experiments import Experiments
from feedback.records import Answer, Json, Visitor
from feedback.store import Store

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


class WordsModel:
    """A model that a test can predict in its head: version n answers {"label": "v<n>"}; labels are v1, v2, v3."""

    labels = ("v1", "v2", "v3")

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Inputs are non-empty strings, outputs {"label": one of the labels}."""
        if not isinstance(input_, str) or not input_.strip():
            raise BadInput(f"input {input_!r}: a text with at least one letter is needed")
        if output is not None and (not isinstance(output, dict) or output.get("label") not in self.labels):
            raise BadInput(f"output {output!r}: label must be one of {', '.join(self.labels)}")
        return input_, None if output is None else {"label": output["label"]}

    def edits(self, shown: Json, output: Json) -> float:
        """Equal or not."""
        return float(shown != output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Name the version."""
        return Answer({"label": f"v{version}"}, 0.75)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A fresh log."""
    with Store(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def experiments(store: Store) -> Experiments:
    """Experiments over the fresh log; version 1 is the champion."""
    made = Experiments(store)
    made.begin(1, "test")
    return made


@pytest.fixture
def desk(store: Store, experiments: Experiments) -> Desk:
    """A desk whose policy believes two contributors who agree."""
    return Desk(store, WordsModel(), experiments, Agreement(2))


@pytest.fixture
def ann() -> Visitor:
    """A visitor."""
    return Visitor("u_ann")


@pytest.fixture
def bob() -> Visitor:
    """Another visitor."""
    return Visitor("u_bob")
