"""One loaded version that answers batches of checked inputs, by whatever engine it was opened with. It has no queue and no thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from feedback.records import Answer, Json, text_of
from model.base import Model, load_model
from model.batches import merged, specials, tokenize, window_ids, words_of
from model.card import read_card
from model.catalogue import FILE, Catalogue, load_catalogue
from model.engine import Engine, PlainEngine, engine_of
from model.methods import device_of, fast_bf16
from model.network_task import Encoded, NetworkTask, network_task
from model.own_model import OwnModelTask
from model.task import Answering, Task

BATCH = 16  # windows; larger batches are slower on CPUs


class Answerer:
    """A network, its tokenizer and the map from its outputs to the task's labels. Safe to use from many threads at once.

    `engine` computes; by default transformers' own pass, which follows a network that is still learning.
    """

    def __init__(
        self, task: NetworkTask, model: Model, rename: Mapping[str, str] | None = None, engine: Engine | None = None
    ) -> None:
        self.task: NetworkTask = task
        self.model = model
        self.engine: Engine = engine or PlainEngine(model.network, int(model.tokenizer.pad_token_id or 0))
        self._around = specials(model.tokenizer)
        outputs = {int(i): label for i, label in model.network.config.id2label.items()}
        sources = task.sources(outputs, rename or {})
        self._sources = None if sources == [[i] for i in range(len(outputs))] else sources
        self._lock = threading.Lock()  # a tokenizer keeps settings between calls: one caller at a time

    @property
    def name(self) -> str:
        """Return what computes."""
        return self.engine.name

    def megabytes(self) -> float:
        """Return the size of the weights in 10^6 bytes."""
        return float(sum(p.numel() * p.element_size() for p in self.model.network.parameters())) / 1e6

    def answer(self, inputs: Sequence[Json], settings: Sequence[Mapping[str, float]]) -> list[Answer]:
        """Return the answers in order, each decoded with its own settings."""
        encodings, logits = self.logits(inputs)
        return [
            self.task.decode([input_], [encoded], [row], chosen)[0]
            for input_, encoded, row, chosen in zip(inputs, encodings, logits, settings, strict=True)
        ]

    def words(self, text: str) -> list[tuple[int, int]]:
        """Return the words of a text as the tokenizer cuts them: (start, end) in code points, end exclusive."""
        with self._lock:
            (encoded,) = tokenize(self.model.tokenizer, [text])
        return [(word.start, word.end) for word in words_of(text, encoded)]

    def logits(self, inputs: Sequence[Json]) -> tuple[list[Encoded], list[np.ndarray]]:
        """Return tokens and logits of whole inputs, columns in the order of the task's config labels."""
        with self._lock:
            encodings = tokenize(self.model.tokenizer, [text_of(value) for value in inputs])
        rows = [ids for encoded in encodings for ids in window_ids(encoded, self._around)]
        logits = merged(encodings, self.engine.logits(rows, BATCH), len(self._around.before))
        return encodings, logits if self._sources is None else [joined(row, self._sources) for row in logits]


def joined(logits: np.ndarray, sources: Sequence[Sequence[int]]) -> np.ndarray:
    """Return logits over our labels from a checkpoint's: log-sum-exp of the outputs behind each, -inf behind none.

    Outputs that several labels share (an I- that stands for B- too) count fully for each; a hair less for the first, so
    that a tie goes on with I-. logits: (..., outputs) -> (..., labels).
    """
    columns = []
    for place, source in enumerate(sources):
        if not source:
            columns.append(np.full(logits.shape[:-1], -np.inf))
            continue
        column = np.logaddexp.reduce(logits[..., list(source)].astype(np.float64), axis=-1)
        shared = place + 1 < len(sources) and sources[place + 1] == source
        columns.append(column - 1e-6 if shared else column)
    return np.stack(columns, axis=-1)


def open_version(
    directory: Path, device: str = "auto", dtype: torch.dtype | None = None, catalogue: Catalogue | None = None
) -> Answering:
    """Load a version directory for answering; see open_checkpoint. Raises BadInput, BadDemo.

    `catalogue`: what a catalogued task answers out of now; None: what the version was made with.
    """
    card = read_card(directory)
    task = card.bound_task()
    if isinstance(task, OwnModelTask):
        if task.catalogued:
            task.catalogue = load_catalogue(directory / FILE) if catalogue is None else catalogue
        return task.open(directory)
    return open_checkpoint(network_task(task, "a checkpoint"), directory, card.rename, device, dtype)


def open_network(directory: Path, dtype: torch.dtype | None = None) -> Answerer:
    """Load a version that a transformers network answers. Raises BadDemo for a task with a model of its own."""
    card = read_card(directory)
    return open_checkpoint(network_task(card.bound_task(), "a checkpoint"), directory, card.rename, dtype=dtype)


def open_checkpoint(
    task: NetworkTask,
    directory: Path,
    rename: Mapping[str, str] | None = None,
    device: str = "auto",
    dtype: torch.dtype | None = None,
) -> Answerer:
    """Load any checkpoint of the task for answering; `dtype` None: bf16 where that is fast, fp32 elsewhere. Raises BadDemo."""
    place = device_of(device)
    model = load_model(task, str(directory), dtype or (torch.bfloat16 if fast_bf16(place) else torch.float32))
    model.network.to(place)
    return Answerer(task, model, rename, engine_of(model.network, int(model.tokenizer.pad_token_id or 0)))


def answer_all(
    task: Task,
    directory: Path | Answering,
    inputs: Sequence[Json],
    settings: Mapping[str, float] | None = None,
    rename: Mapping[str, str] | None = None,
) -> list[Answer]:
    """Return a checkpoint's answers to many inputs, in order; `directory` may be an Answerer that is loaded already."""
    if isinstance(directory, (str, Path)):
        directory = open_checkpoint(network_task(task, "a checkpoint"), Path(directory), rename)
    return directory.answer(inputs, [settings or {}] * len(inputs))
