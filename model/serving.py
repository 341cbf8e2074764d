"""A demo's predictor, with the engine that its [serving] asks for. It wires; it computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from feedback.demo import Demo
from feedback.home import Home
from feedback.records import Example
from model.answering import open_network, open_version
from model.data import load_gold, load_seed
from model.network_task import network_task
from model.quantised import Quantised
from model.serve import Predictor
from model.task import Answering, Task
from model.versions import Versions


def predictor_of(demo: Demo, home: Home, versions: Versions, task: Task) -> Predictor:
    """Return the predictor of a demo. Raises BadInput where its engine's libraries are missing."""

    def items() -> Sequence[Example]:
        """Items of known answers that no version learns: the seed's validation part and the owner's gold."""
        known = load_seed(demo)[1].validation if demo.data.train else []
        return [*known, *load_gold(demo, task)]

    opened: Callable[[Path], Answering] = partial(open_version, catalogue=task.catalogue if task.catalogued else None)
    if demo.serving.engine == "onnx_int8":
        network_task(task, "engine onnx_int8")
        opened = Quantised(home.directory / "engines", items, open_network)
    settings = demo.serving
    return Predictor(
        versions,
        task=task,
        queue=demo.limits.queue,
        threads=settings.threads,
        opened=opened,
        patience=settings.patience_seconds,
    )
