"""The Task contract and its registry: what a kind of problem must say about itself. No training loop, no gradio.

A new task type is one file in model/tasks/ with a class that implements Task and is decorated with @register.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from feedback.errors import BadDemo, BadInput
from feedback.records import Answer, Example, Json

Widget = Literal["spans", "choice"]

SETTINGS = ("temperature", "threshold")
"""What a variant may set: `temperature` > 0 divides the logits; `threshold` in 0..1 is what an answer must reach."""


class Counts(NamedTuple):
    """What one item adds to the score of one class: true positives, false positives, false negatives."""

    tp: int
    fp: int
    fn: int


class Encoded(NamedTuple):
    """One tokenised text, whole, without special tokens, and how it is cut into windows.

    `offsets` are (start, end) in code points of the text, `words` numbers the word of each token. A window
    (start, end, own_start, own_end) in tokens covers [start, end) and answers for [own_start, own_end).
    """

    ids: list[int]
    offsets: list[tuple[int, int]]
    words: list[int | None]
    windows: list[tuple[int, int, int, int]]
    unknown: int  # the tokenizer's [UNK], or -1


class Setting(NamedTuple):
    """A variant's settings, checked: see SETTINGS."""

    temperature: float
    threshold: float


class Task(ABC):
    """One kind of problem: its inputs and outputs, how a model of it is built, decoded and scored.

    An instance is bound to a label set; it holds no weights and is safe to share between threads.
    `fallback_label` is what an answer below the threshold becomes, where the task has such a thing.
    """

    name: ClassVar[str]  # as a demo's TOML writes it
    widget: ClassVar[Widget]  # the kind of widget the page shows for correction
    samples: ClassVar[tuple[tuple[Json, Json], ...]]  # (input, output) pairs over `sample_labels`, for the contract suite
    sample_labels: ClassVar[tuple[str, ...]]
    frozen_head: ClassVar[bool] = False  # a head on the frozen base is a serious model here, which others must beat

    def __init__(self, labels: Sequence[str], max_chars: int = 2000, fallback_label: str = "") -> None:
        self.labels = tuple(labels)
        self.max_chars = max_chars
        self.fallback_label = fallback_label

    @abstractmethod
    def check_input(self, value: Json) -> Json:
        """Return the input in canonical form; raise BadInput (value, rule, choices) where it breaks a rule."""

    @abstractmethod
    def check_output(self, input_: Json, output: Json) -> Json:
        """Return the output in canonical form (equal answers compare ==); raise BadInput where it breaks a rule."""

    @abstractmethod
    def auto_class(self) -> type[Any]:
        """Return the transformers Auto class whose checkpoints this task reads and writes."""

    @abstractmethod
    def config_labels(self) -> list[str]:
        """Return the labels in the order of the model's outputs (`id2label`), e.g. O, B-Disease, I-Disease."""

    @classmethod
    @abstractmethod
    def labels_of_config(cls, id2label: Mapping[int, str]) -> list[str]:
        """Return the task's labels that a foreign checkpoint's `id2label` implies (B-/I- prefixes removed)."""

    @abstractmethod
    def sources(self, id2label: Mapping[int, str], rename: Mapping[str, str]) -> list[list[int]]:
        """Return, for each of config_labels(), the outputs of a checkpoint that mean it; [] where it has none.

        `rename` maps the checkpoint's labels to ours, "" drops one. Raises BadDemo for a label that is not ours.
        """

    @abstractmethod
    def encode(self, tokenizer: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
        """Return the features to learn from, one dict a window of an example (a short text is one window).

        `input_ids`: list of int with special tokens; `labels`: list of int as long (-100: no loss), or one int;
        `weight`: the example's, in 0..1.
        """

    @abstractmethod
    def decode(
        self,
        inputs: Sequence[Json],
        encodings: Sequence[Encoded],
        logits: Sequence[np.ndarray],
        settings: Mapping[str, float],
    ) -> list[Answer]:
        """Return the answers. logits[i]: (tokens, labels) over encodings[i].ids, or (labels,); columns as config_labels()."""

    @abstractmethod
    def score(self, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, float]:
        """Return scores in 0..1 with the main one under `main` and its own name, e.g. {"main": .8, "f1": .8}."""

    @abstractmethod
    def counts(self, truth: Json, answer: Json) -> dict[str, Counts]:
        """Return (tp, fp, fn) a label for one item: what the paired gate sums and resamples."""

    def edits(self, shown: Json, output: Json) -> float:
        """Return the fewest marks to add, remove or change that turn one checked output into the other; 0 for equal ones."""
        counts = self.counts(output, shown).values()
        return float(max(sum(c.fp for c in counts), sum(c.fn for c in counts)))

    def check_settings(self, settings: Mapping[str, float]) -> Setting:
        """Return a variant's settings with defaults (temperature 1, threshold 0); raise BadInput for a bad one."""
        for name, value in settings.items():
            if name not in SETTINGS:
                raise BadInput(f"unknown setting {name!r}: available are {', '.join(SETTINGS)}")
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise BadInput(f"setting {name} = {value!r}: must be a finite number")
        temperature, threshold = float(settings.get("temperature", 1.0)), float(settings.get("threshold", 0.0))
        if temperature <= 0:
            raise BadInput(f"setting temperature = {temperature:g}: must be above 0")
        if not 0 <= threshold <= 1:
            raise BadInput(f"setting threshold = {threshold:g}: must lie in 0..1")
        return Setting(temperature, threshold)


class UnknownTask(BadDemo):
    """The demo names a task that no file in model/tasks/ registers."""


_REGISTRY: dict[str, type[Task]] = {}


def register(cls: type[Task]) -> type[Task]:
    """Class decorator: make a Task known under its `name`."""
    _REGISTRY[cls.name] = cls
    return cls


def task_types() -> dict[str, type[Task]]:
    """Return every task type found in model/tasks/, by name."""
    package = importlib.import_module("model.tasks")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"model.tasks.{module.name}")
    return dict(sorted(_REGISTRY.items()))


def task_type(name: str) -> type[Task]:
    """Return the task type of this name; raise UnknownTask with the choices."""
    known = task_types()
    if name not in known:
        raise UnknownTask(f"unknown task {name!r}: available are {', '.join(known)}")
    return known[name]
