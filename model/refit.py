"""The head alone, refitted on what a frozen network remembers: a retraining in seconds. It judges nothing and saves nothing.

Its networks are the parent and, where the task says that a head on the frozen base is a serious model, the base: whichever head is
better on the choosing items is taken. From the parent's own head it may stop half-way, as every retraining does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from feedback.records import Json, text_of
from model.answering import BATCH, Answerer
from model.batches import merged, specials, tokenize, window_ids
from model.frozen import Frozen
from model.head import Output, fit_output
from model.methods import Fitted
from model.network_task import Encoded, NetworkTask
from model.parts import Parts
from model.progress import Progress
from model.recipe import CHOOSING_LEAST, HALFWAY, STEPS


class Source(NamedTuple):
    """A network to put a head on. `start`: its own head, where it is the parent; None for the base, which has none."""

    frozen: Frozen
    start: Output | None


class Refitted(NamedTuple):
    """The head that was taken, on which source, how far it went from the start (None: no start), and what it took."""

    source: Source
    output: Output
    interpolation: float | None
    took: Fitted

    @property
    def from_parent(self) -> bool:
        """Whether the network below the head is the parent's."""
        return self.source.start is not None


class HeadAnswerer(Answerer):
    """Answers with an output layer on remembered features: texts that were seen before cost a product of two matrices."""

    def __init__(self, task: NetworkTask, frozen: Frozen, output: Output) -> None:
        super().__init__(task, frozen.model)
        self._frozen = frozen
        self._output = output

    def logits(self, inputs: Sequence[Json]) -> tuple[list[Encoded], list[np.ndarray]]:
        """Return tokens and logits of whole inputs, columns in the order of the task's config labels."""
        with self._lock:
            encodings, states = _remembered(self._frozen, inputs)
            out = [state.astype(np.float32) @ self._output.weight.T + self._output.bias for state in states]
            return encodings, merged(encodings, out, len(specials(self.model.tokenizer).before))


def refit(task: NetworkTask, sources: Sequence[Source], parts: Parts, progress: Progress) -> Refitted:
    """Fit a head on every source and return the best one. Raises BadDemo where there are not two labels to tell apart.

    With fewer than CHOOSING_LEAST choosing items nothing can be chosen: the first source is taken, and its head goes half-way.
    """
    began = time.perf_counter()
    able = len(parts.choosing) >= CHOOSING_LEAST
    tried: list[tuple[float, Refitted]] = []
    for source in sources if able else sources[:1]:
        end, took = _fitted(task, source.frozen, parts, progress)
        progress.stage("choosing", f"{len(parts.choosing)} items")
        for a in (STEPS if able else (HALFWAY,)) if source.start else (None,):
            output = source.start.towards(end, a) if source.start and a else end
            one = Refitted(source, output, a, took)
            tried.append((_score(task, one, parts) if able else 0.0, one))
    best = max(score for score, _ in tried)
    chosen = next(one for score, one in tried if score >= best - 1e-12)  # of equals the first: nearest to the parent
    return chosen._replace(took=chosen.took._replace(seconds=time.perf_counter() - began))


def _fitted(task: NetworkTask, frozen: Frozen, parts: Parts, progress: Progress) -> tuple[Output, Fitted]:
    features = task.encode(frozen.model.tokenizer, parts.train)
    progress.stage("training", f"{len(parts.train)} examples, method head")
    states = frozen.inputs([feature["input_ids"] for feature in features], progress.step)
    end = fit_output(features, states, frozen.layer.out_features)
    tokens = sum(len(feature["input_ids"]) for feature in features)
    return end, Fitted(0.0, end.passes, tokens, frozen.model.network.device.type, "float32", end.loss)


def _score(task: NetworkTask, one: Refitted, parts: Parts) -> float:
    answers = answerer_of(task, one).answer([e.input for e in parts.choosing], [{}] * len(parts.choosing))
    return task.score([e.output for e in parts.choosing], [answer.output for answer in answers])["main"]


def answerer_of(task: NetworkTask, refitted: Refitted) -> HeadAnswerer:
    """Return what answers with the refitted head."""
    return HeadAnswerer(task, refitted.source.frozen, refitted.output)


def remember(frozen: Frozen, inputs: Sequence[Json], check: Callable[[], None]) -> None:
    """Compute what flows into the head for these inputs, so that the next round need not. `check` may raise to end it."""
    for start in range(0, len(inputs), 8 * BATCH):
        check()
        _remembered(frozen, inputs[start : start + 8 * BATCH])


def _remembered(frozen: Frozen, inputs: Sequence[Json]) -> tuple[list[Encoded], list[np.ndarray]]:
    """Return the inputs' tokens, and what flows into the head for each of their windows."""
    encodings = tokenize(frozen.model.tokenizer, [text_of(value) for value in inputs])
    around = specials(frozen.model.tokenizer)
    return encodings, frozen.inputs([ids for encoded in encodings for ids in window_ids(encoded, around)])
