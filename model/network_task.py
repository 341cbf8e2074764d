"""The contract of tasks that a transformers network with one output layer answers: from texts to features, from logits to answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from feedback.errors import BadDemo
from feedback.records import Answer, Example, Json
from model.task import Task, task_type


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


class NetworkTask(Task):
    """A task whose versions are transformers checkpoints; the trainer (methods.py), the lane and the exports know how to make them."""

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


def network_task(task: Task, what: str) -> NetworkTask:
    """Return the task as one of a network; raise BadDemo where it is none, since `what` is for networks alone."""
    if not isinstance(task, NetworkTask):
        raise BadDemo(f"{what} is for tasks that a transformers network answers; {task.name!r} has its own kind of model")
    return task


def network_type(name: str) -> type[NetworkTask]:
    """Return the task type of this name; raise UnknownTask with the choices, BadDemo where no network answers it."""
    kind = task_type(name)
    if not issubclass(kind, NetworkTask):
        raise BadDemo(f"task {name!r} has its own kind of model: a transformers network is asked for here")
    return kind
