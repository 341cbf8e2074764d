"""Texts as unit vectors by a frozen base: the mean of its last states, remembered by text. It learns nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel

from feedback.demo import Demo
from feedback.records import Json
from model.base import DEFAULT_BASE, SAFE, base_directory, load_config, load_tokenizer, quiet
from model.batches import length_batches, tokenize
from model.network_task import Encoded

_BATCH = 32
_LONGEST = 256  # tokens that are read of a text: a card's description is shorter
KEPT = 50_000
"""Vectors remembered, 1.5 KB each: made of people's texts, they lie in memory alone."""


class Texts:
    """The encoder of a base. One caller at a time: a tokenizer keeps settings between calls."""

    def __init__(self, base: str, beside: Path | None = None) -> None:
        quiet()
        source = base_directory(base, beside)
        config = load_config(source)
        self.tokenizer = load_tokenizer(source, config)
        self._network = AutoModel.from_pretrained(source, dtype=torch.float32, **SAFE).eval()
        self.width = int(config.hidden_size)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return (texts, width), fp32, rows of length 1."""
        found = np.zeros((len(texts), self.width), dtype=np.float32)
        for batch in length_batches([len(text) for text in texts], _BATCH):
            given = self.tokenizer(
                [texts[i] for i in batch], padding=True, truncation=True,
                max_length=min(_LONGEST, int(self.tokenizer.model_max_length)), return_tensors="pt",
            )  # fmt: skip
            with torch.no_grad():
                states = self._network(**given).last_hidden_state  # (batch, tokens, width)
            there = given["attention_mask"].unsqueeze(-1).to(states.dtype)
            means = (states * there).sum(dim=1) / there.sum(dim=1).clamp(min=1.0)
            found[batch] = torch.nn.functional.normalize(means, dim=1).numpy()
        return found

    def megabytes(self) -> float:
        """Return the size of the weights in 10^6 bytes."""
        return float(sum(p.numel() * p.element_size() for p in self._network.parameters())) / 1e6


class Embedder:
    """A base that embeds, one caller at a time: a tokenizer keeps settings between calls. Safe to use from many threads."""

    def __init__(self, base: str) -> None:
        self._texts = Texts(base)
        self._known: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        """Return the length of a vector."""
        return self._texts.width

    def megabytes(self) -> float:
        """Return the size of the base's weights in 10^6 bytes."""
        return self._texts.megabytes()

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Return the texts' vectors: (texts, width), fp32, rows of length 1."""
        with self._lock:
            new = [text for text in dict.fromkeys(texts) if text not in self._known]
            if new:
                self._known.update(zip(new, self._texts.encode(new), strict=True))
            for text in texts:
                self._known.move_to_end(text)
            found = np.stack([self._known[text] for text in texts]) if texts else np.zeros((0, self.width), np.float32)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return found

    def once(self, texts: Sequence[str]) -> np.ndarray:
        """Return the same without remembering any of them."""
        with self._lock:
            return self._texts.encode(texts)

    def encodings(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the texts' tokens."""
        with self._lock:
            return tokenize(self._texts.tokenizer, texts)

    def of_questions(self, questions: Sequence[Json]) -> np.ndarray:
        """Return the vectors of questions, each a text or a text with the questions before it: (questions, width).

        With questions before it a question is the mean of itself and of the whole conversation: "and how long does it take?" means
        nothing alone, and a question that stands alone is not drowned by what came before.
        """
        alone = self.of([question if isinstance(question, str) else question["text"] for question in questions])
        places = [i for i, question in enumerate(questions) if not isinstance(question, str)]
        if not places:
            return alone
        whole = self.of(["\n".join([*questions[i]["before"], questions[i]["text"]]) for i in places])
        mixed = alone[places] + whole
        alone[places] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        return alone


def embedder(base: str) -> Embedder:
    """Return the one embedder of a base in this process, by whatever name: versions on one base share it, and who measures drift.

    Raises BadDemo where it cannot be loaded.
    """
    return _embedder(base_directory(base))


@cache
def _embedder(directory: str) -> Embedder:
    return Embedder(directory)


def frozen_base(demo: Demo) -> str:
    """Return a demo's base as a version can find it again wherever it lies: a folder's whole path, or the name. Raises BadDemo."""
    return demo.base if demo.base == DEFAULT_BASE else base_directory(demo.base, demo.path.parent)
