"""The contract of tasks that bring their own model: how it learns, where it lies, how it answers. The loop around it is everybody's."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from feedback.demo import Demo
from feedback.records import Answer, Example, Json
from model.parts import Parts
from model.progress import Progress
from model.task import Answering, Task

OWN = "own"
"""The method on the cards of such tasks' versions."""
CONFIG = "config.json"
"""Every version directory has it: without it a directory is no whole version."""


@dataclass(frozen=True)
class Work:
    """What a task learns from, and where its version goes.

    `parts.train`: examples to learn (input, output, weight in 0..1). `parts.choosing`: to choose settings by, never to learn or judge.
    Nothing else of `parts` may be looked at: it judges. `directory`: empty and there; what is written into it is the version, CONFIG
    among it. `parent`: the version directory to start from, None to start anew. `progress.step(done, total, loss)` and
    `progress.check()` are called often: they tell the page, and end the work where it was cancelled.
    """

    demo: Demo
    parts: Parts
    directory: Path
    progress: Progress
    seed: int
    parent: Path | None = None


class Learned(NamedTuple):
    """What the card is to say: `examples` learned from, `steps` taken, the last `loss`; `told`: more, as JSON values."""

    examples: int
    steps: int = 0
    loss: float | None = None
    base: str = ""  # the frozen base below the model, where there is one
    told: Mapping[str, Json] = MappingProxyType({})


class OwnModelTask(Task):
    """A task with a model of its own.

    The same work gives the same version: randomness comes from `work.seed`. A version never changes after `learn` has returned.
    """

    @abstractmethod
    def learn(self, work: Work) -> Learned:
        """Learn and write the version's files. Raises BadDemo or BadInput in words where there is nothing to learn from."""

    @abstractmethod
    def open(self, directory: Path) -> Answering:
        """Load a version that `learn` wrote; it answers by this task, its catalogue included. Raises BadInput where files are broken."""


class OwnAnswerer:
    """A loaded version with what all of them have in common; a task's own adds `answer`, and says its name and size."""

    def __init__(self, task: Task, name: str, megabytes: float) -> None:
        self._task = task
        self._name = name
        self._megabytes = megabytes

    @property
    def task(self) -> Task:
        """See Answering."""
        return self._task

    @property
    def name(self) -> str:
        """See Answering."""
        return self._name

    def megabytes(self) -> float:
        """See Answering."""
        return self._megabytes

    def words(self, text: str) -> list[tuple[int, int]]:
        """Return what is between white space and punctuation; a Chinese character is a word of its own."""
        return [match.span() for match in _WORD.finditer(text)]


_WORD = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")


def answers_to(answerer: Answering, examples: Sequence[Example]) -> list[Answer]:
    """Return the answers to the examples' inputs, with default settings."""
    return answerer.answer([example.input for example in examples], [{}] * len(examples))
