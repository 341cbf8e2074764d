"""A network below its output layer, and what flows into that layer, remembered row by row. It learns nothing.

What is remembered lies in memory alone: it is made of people's texts, and no file has to be found when they are erased.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from model.base import Model, output_layer
from model.batches import length_batches, model_inputs

Report = Callable[[int, int, "float | None"], None]
BYTES = 512 * 2**20
"""What one Frozen remembers at most; past it, what was asked for longest ago is forgotten."""


def flowing(
    network: Any,
    layer: torch.nn.Linear,
    rows: Sequence[Sequence[int]],
    pad: int,
    amp: Callable[[], AbstractContextManager[Any]] = nullcontext,
    report: Report = lambda *_: None,
) -> list[np.ndarray]:
    """Return what flows into the layer for each row of input ids: (tokens, width), or (width,) where a text has one answer."""
    caught: list[torch.Tensor] = []
    found: list[np.ndarray] = [np.empty(0)] * len(rows)
    hook = layer.register_forward_pre_hook(lambda _, given: caught.append(given[0].detach().float().cpu()))
    batches = length_batches([len(row) for row in rows], 32)
    network.eval()
    try:
        for number, batch in enumerate(batches, 1):
            with torch.no_grad(), amp():
                network(**model_inputs([rows[i] for i in batch], pad, network.device))
            for i, states in zip(batch, caught.pop(), strict=True):
                found[i] = states.numpy()[: len(rows[i])].copy() if states.ndim == 2 else states.numpy().copy()
            report(number, len(batches), None)
    finally:
        hook.remove()
    return found


class Frozen:
    """A model whose weights below the output layer stay as they are. One caller at a time."""

    def __init__(
        self, model: Model, amp: Callable[[], AbstractContextManager[Any]] = nullcontext, most_bytes: int = BYTES
    ) -> None:
        self.model = model
        self.layer = output_layer(model.network)
        self._amp = amp
        self._most = most_bytes
        self._known: dict[bytes, np.ndarray] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def inputs(self, rows: Sequence[Sequence[int]], report: Report = lambda *_: None) -> list[np.ndarray]:
        """Return what flows into the output layer for each row of input ids, computed for those rows alone that are new.

        (width,) in fp32 where a text has one answer; (tokens, width) else, in half precision: it keeps 11 bits of the mantissa.
        """
        keys = [np.asarray(row, dtype=np.int32).tobytes() for row in rows]
        found = {key: self._known[key] for key in keys if key in self._known}
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in found}
        if new:
            pad = int(self.model.tokenizer.pad_token_id or 0)
            states = flowing(self.model.network, self.layer, list(new.values()), pad, self._amp, report)
            found |= {key: s.astype(np.float16) if s.ndim == 2 else s for key, s in zip(new, states, strict=True)}
        for key in dict.fromkeys(keys):
            self._remember(key, found[key])
        return [found[key] for key in keys]

    def _remember(self, key: bytes, state: np.ndarray) -> None:
        old = self._known.pop(key, None)
        self._bytes += state.nbytes - (old.nbytes if old is not None else 0)
        self._known[key] = state
        while self._bytes > self._most and len(self._known) > 1:
            self._bytes -= self._known.pop(next(iter(self._known))).nbytes

    def same_below(self, other: Frozen) -> bool:
        """Whether the two networks are the same below their output layers, weight by weight."""
        mine, theirs = self._below(), other._below()
        return mine.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in mine.items())

    def _below(self) -> dict[str, torch.Tensor]:
        own = {id(p) for p in self.layer.parameters()}
        return {name: p.detach() for name, p in self.model.network.named_parameters() if id(p) not in own}
