"""A demo's predictor, with the engine that its [serving] asks for. It wires; it computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from feedback.demo import Demo
from feedback.home import Home
from feedback.records import Example
from model.answering import open_version
from model.data import load_gold, load_seed
from model.quantised import Quantised
from model.serve import Predictor
from model.task import Task
from model.versions import Versions


def predictor_of(demo: Demo, home: Home, versions: Versions, task: Task) -> Predictor:
    """Return the predictor of a demo. Raises BadInput where its engine's libraries are missing."""

    def items() -> Sequence[Example]:
        """Items of known answers that no version learns: the seed's validation part and the owner's gold."""
        known = load_seed(demo)[1].validation if demo.data.train else []
        return [*known, *load_gold(demo, task)]

    opened = Quantised(home.directory / "engines", items, open_version) if demo.serving.engine == "onnx_int8" else open_version
    settings = demo.serving
    return Predictor(
        versions,
        task=task,
        queue=demo.limits.queue,
        threads=settings.threads,
        opened=opened,
        patience=settings.patience_seconds,
    )
