"""The Task contract and its registry: what a kind of problem must say about itself. No training loop, no gradio.

A new task type is one file in model/tasks/ with a class that is decorated with @register and implements one of two contracts:
NetworkTask (network_task.py), where a transformers network with one output layer answers and the trainer of this program
teaches it, or OwnModelTask (own_model.py), where the file brings its own way to learn, to save and to answer.
"""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from feedback.errors import BadDemo, BadInput
from feedback.records import Answer, Example, Json
from model.catalogue import EMPTY, Catalogue, Entry

Widget = str
"""The name of a widget of feedback/widgets: how the page shows an output and has it corrected."""
Form = str
"""The name of a form of feedback/widgets/forms: how the page asks for an input."""

SETTINGS = ("temperature", "threshold")
"""What a variant may set: `temperature` > 0 divides the logits; `threshold` in 0..1 is what an answer must reach."""


class Counts(NamedTuple):
    """What one item adds to the score of one class: true positives, false positives, false negatives."""

    tp: int
    fp: int
    fn: int


class Setting(NamedTuple):
    """A variant's settings, checked: see SETTINGS."""

    temperature: float
    threshold: float


class Answering(Protocol):
    """A version that is loaded and answers: what the predictor, the gate and the reports need of it. Safe from many threads."""

    @property
    def task(self) -> Task:
        """Return the task as this version knows it."""

    @property
    def name(self) -> str:
        """Return what computes, for people: `torch bfloat16`."""

    def answer(self, inputs: Sequence[Json], settings: Sequence[Mapping[str, float]]) -> list[Answer]:
        """Return the answers to checked inputs, in order, each by its own settings."""

    def words(self, text: str) -> list[tuple[int, int]]:
        """Return the words of a text as the version sees them: (start, end) in code points, end exclusive."""

    def megabytes(self) -> float:
        """Return the size of its weights in 10^6 bytes."""


class Task(ABC):
    """One kind of problem: its inputs and outputs, how they are read, checked, compared and scored.

    An instance is bound to a label set, and where `catalogued` to a catalogue of what may be answered; it holds no weights and is
    safe to share between threads. `fallback_label` is what an answer below the threshold becomes, where the task has such a thing.
    """

    name: ClassVar[str]  # as a demo's TOML writes it
    widget: ClassVar[Widget]  # the kind of widget the page shows for correction
    samples: ClassVar[tuple[tuple[Json, Json], ...]]  # (input, output) pairs over `sample_labels`, for the contract suite
    sample_labels: ClassVar[tuple[str, ...]]
    sample_catalogue: ClassVar[Catalogue] = EMPTY  # of a catalogued task
    form: ClassVar[Form] = "text"  # the kind of form that the page asks for an input with
    catalogued: ClassVar[bool] = False  # answers come out of the demo's catalogue, whose ids are the labels
    hands_over: ClassVar[bool] = False  # an answer may say that a person should answer: staff get the list of such inputs
    one_answer: ClassVar[bool] = False  # each input has one right answer, and each answer names one
    frozen_head: ClassVar[bool] = False  # a head on the frozen base is a serious model here, which others must beat

    def __init__(
        self, labels: Sequence[str], max_chars: int = 2000, fallback_label: str = "", catalogue: Catalogue = EMPTY
    ) -> None:
        self.labels = tuple(labels)
        self.max_chars = max_chars
        self.fallback_label = fallback_label
        self.catalogue = catalogue

    def roomy(self, max_chars: int) -> Self:
        """Return the same task with another limit on characters."""
        other = copy(self)
        other.max_chars = max_chars
        return other

    # -- data files ------------------------------------------------------------------------------------------------

    @classmethod
    def keys(cls, text_column: str, label_column: str, *, table: bool) -> tuple[str, ...]:
        """Return what a row of a data file must have; `table`: of CSV or Parquet, not of JSONL."""
        return (text_column, label_column)

    @classmethod
    @abstractmethod
    def read(cls, row: Mapping[str, Any], text_column: str, label_column: str) -> tuple[Json, Json]:
        """Return input and output of a row that has `keys`, unchecked but for the form; raise BadInput where that is broken."""

    @classmethod
    @abstractmethod
    def labels_in(cls, output: Json) -> Iterable[str]:
        """Return the labels that an output names."""

    @classmethod
    @abstractmethod
    def renamed(cls, output: Json, rename: Mapping[str, str]) -> Json | None:
        """Return the output in our labels; what is renamed to "" goes, and None says that nothing is left of it."""

    def words_of(self, input_: Json, output: Json) -> str:
        """Return an output in one line, for tables; JSON where the task has no better words."""
        return json.dumps(output, ensure_ascii=False, sort_keys=True)

    def present(self, output: Json) -> Json:
        """Return an output with what a page needs to draw it (an entry's title); check_output takes it off again."""
        return output

    def additions(self, written: Sequence[tuple[Json, Json]]) -> list[Entry]:
        """Return what accepted answers in people's own words, (input, output), add to the catalogue at once; by default nothing."""
        return []

    def grown(self, learned: Sequence[Example], judged: Sequence[Example]) -> Self:
        """Return the task as accepted feedback has made it larger (a catalogue's new entries); by default the task itself.

        learned: what a training may look at. judged: what it may not, but whose answers can be given all the same.
        """
        return self

    # -- inputs and outputs ----------------------------------------------------------------------------------------

    @abstractmethod
    def check_input(self, value: Json) -> Json:
        """Return the input in canonical form; raise BadInput (value, rule, choices) where it breaks a rule."""

    @abstractmethod
    def check_output(self, input_: Json, output: Json) -> Json:
        """Return the output in canonical form (equal answers compare ==); raise BadInput where it breaks a rule."""

    @abstractmethod
    def score(self, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, float]:
        """Return scores in 0..1 with the main one under `main` and its own name, e.g. {"main": .8, "f1": .8}."""

    @abstractmethod
    def counts(self, truth: Json, answer: Json) -> dict[str, Counts]:
        """Return (tp, fp, fn) a label for one item: what the paired gate sums and resamples."""

    def told(self, output: Json, like: Json) -> Json:
        """Return of an output what `like` speaks of too: all of it, unless an output of this task may say less than another."""
        return output

    def totals(self, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, list[int]]:
        """Return [tp, fp, fn] of each label over all items: of ours, and of those that only an answer names."""
        totals = {label: [0, 0, 0] for label in self.labels}
        for one, answer in zip(truth, answers, strict=True):
            for label, counts in self.counts(one, answer).items():
                known = totals.setdefault(label, [0, 0, 0])  # an older version may answer what the demo has no more: it is wrong
                totals[label] = [a + b for a, b in zip(known, counts, strict=True)]
        return totals

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
