"""Texts as unit vectors by a frozen base: the mean of its last states. It learns nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel

from model.base import SAFE, base_directory, load_config, load_tokenizer, quiet
from model.batches import length_batches

_BATCH = 32
_LONGEST = 256  # tokens that are read of a text: a card's description is shorter


class Texts:
    """The encoder of a base. Safe to use from many threads: nothing in it changes."""

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
