"""What computes a network's logits: torch over packed texts where it knows the network, transformers' own pass elsewhere.

An engine takes windows of token ids and gives logits; texts, tokens and labels are answering.py's. Safe to use from many
threads at once: nothing of it changes after it is made, but by `share`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from model.batches import length_batches, run
from model.methods import fast_bf16
from model.packed import Packed, why_plain
from model.packed_attention import padded_attention, varlen_attention
from model.packing import pack

Rows = Sequence[Sequence[int]]


class Engine(Protocol):
    """Computes logits of windows."""

    name: str
    """What it is, for people: `torch bfloat16`, `ONNX Runtime int8`."""

    def logits(self, rows: Rows, size: int) -> list[np.ndarray]:
        """Return each row's logits, in batches of `size` rows of similar length: (tokens of the row, labels), or (labels,)."""


class PlainEngine:
    """transformers' own forward pass over padded batches: knows every network, and follows a network that still learns."""

    def __init__(self, network: Any, pad: int) -> None:
        self._network = network
        self._pad = pad
        self.name = f"torch {_dtype(network)} (plain)"

    def logits(self, rows: Rows, size: int) -> list[np.ndarray]:
        """See Engine."""
        found: list[np.ndarray] = [np.empty(0)] * len(rows)
        for i, logits in run(self._network, rows, self._pad, size):
            found[i] = logits
        return found


class PackedEngine:
    """The lean pass over texts without padding (packed.py). For networks that learn no more: it keeps joined weights."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._per_text = type(network).__name__ == "BertForSequenceClassification"
        half = network.device.type == "cuda" and fast_bf16(network.device)
        self._grids = not half
        self._packed = Packed(network, varlen_attention if half else padded_attention)
        self.name = f"torch {_dtype(network)}"

    def logits(self, rows: Rows, size: int) -> list[np.ndarray]:
        """See Engine."""
        found: list[np.ndarray] = [np.empty(0)] * len(rows)
        for batch in length_batches([len(row) for row in rows], size):
            chosen = [rows[i] for i in batch]
            features = [{"input_ids": row, "labels": 0 if self._per_text else [0] * len(row), "weight": 1.0} for row in chosen]
            with torch.inference_mode():
                given = pack(features, grids=self._grids).to(self._network.device)
                logits = self._packed.logits(given).float().cpu().numpy()
            at = 0
            for i, row in zip(batch, chosen, strict=True):
                found[i] = logits[at] if self._per_text else logits[at : at + len(row)]
                at += 1 if self._per_text else len(row)
        return found

    def share(self, other: PackedEngine) -> int:
        """Use the other's weights wherever they equal ours, value by value; return the bytes that are in memory once now.

        Versions of one base that differ in their top layers or head have all else in common.
        """
        shared = 0
        theirs = dict(other._holders())
        for name, mine in self._holders():
            known = theirs.get(name)
            if known is None or known.data_ptr() == mine.data_ptr() or known.shape != mine.shape or known.dtype != mine.dtype:
                continue
            if known.device == mine.device and torch.equal(known, mine):
                mine.data = known.data
                shared += mine.numel() * mine.element_size()
        self._packed.rejoin()
        return shared

    def _holders(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield every weight by a name, query, key and value as the joint one that holds them."""
        joint, parts = self._packed.joint()
        yield from joint
        yield from ((name, value) for name, value in self._network.named_parameters() if id(value) not in parts)


def engine_of(network: Any, pad: int) -> Engine:
    """Return the fastest engine of torch that knows the network."""
    return PlainEngine(network, pad) if why_plain(network) else PackedEngine(network)


def _dtype(network: Any) -> str:
    return str(next(network.parameters()).dtype).removeprefix("torch.")
