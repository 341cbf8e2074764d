"""Texts of a batch one after another, without padding, with what their attention and their loss need. It computes no network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

Feature = dict[str, Any]
"""What is learned from a window: `input_ids`, `labels`, `weight`. labels: a list with one a token; one int of a whole text; or, with
`heads` (how many outputs each head has, in order), a tuple with one a head. -100 stands where nothing is known."""


class Grid(NamedTuple):
    """Rows of a pack laid out as (texts, longest), for attention by padded blocks.

    rows: (texts * longest,) row numbers, 0 where a text is over; back: (rows,) where each row lies in the block;
    there: (texts, longest) true where a row is real; None where all texts are equally long: then a view does.
    """

    rows: torch.Tensor
    back: torch.Tensor
    there: torch.Tensor


class Shape(NamedTuple):
    """A size that every pack is filled up to, so that a GPU's graph of one step fits all: tokens, texts, places, the longest text."""

    tokens: int
    texts: int
    places: int
    longest: int


class Pack(NamedTuple):
    """A batch. `wanted` are the places that carry a label, in order of the texts: rows of the tokens.

    `weights` hold the whole normalisation: the loss is the sum of the places' losses times them. bounds and wanted_bounds say
    where each text begins and ends among tokens and wanted places; longest and most are the largest text's counts.
    """

    ids: torch.Tensor  # (tokens,) int64
    positions: torch.Tensor  # (tokens,) int64
    bounds: torch.Tensor  # (texts + 1,) int32
    wanted: torch.Tensor  # (places,) int64
    wanted_bounds: torch.Tensor  # (texts + 1,) int32
    labels: torch.Tensor  # (places,) int64, or (places, heads)
    weights: torch.Tensor  # (places,) float32
    texts: int
    longest: int
    most: int
    tokens_grid: Grid | None
    wanted_grid: Grid | None
    heads: tuple[int, ...] = ()  # outputs by head, where a text has several answers

    def to(self, device: torch.device) -> Pack:
        """Return the pack on the device. To CUDA from pinned memory, without waiting for it."""
        if device.type == "cpu":
            return self
        moved: dict[str, Any] = {}
        for name, value in self._asdict().items():
            if isinstance(value, torch.Tensor):
                moved[name] = (value.pin_memory() if device.type == "cuda" else value).to(device, non_blocking=True)
            elif isinstance(value, Grid):
                moved[name] = Grid(*(part.to(device) for part in value))
        return self._replace(**moved)


def places(feature: Feature) -> int:
    """Return how many places of a feature carry a label: a text as a whole is one."""
    labels = feature["labels"]
    return sum(label != -100 for label in labels) if isinstance(labels, list) else 1


def heads_of(features: Sequence[Feature]) -> tuple[int, ...]:
    """Return how many outputs each head has; () where every place has one answer. All features of a training agree."""
    return tuple(features[0].get("heads", ()))


def head_slices(heads: Sequence[int]) -> list[slice]:
    """Return the columns of each head."""
    return [slice(end - size, end) for size, end in zip(heads, accumulate(heads), strict=True)]


def pack(features: Sequence[Feature], level: float = 1.0, counted: int | None = None, grids: bool = True) -> Pack:
    """Return the features as one pack. `level`: the mean weight in the whole training set.

    `counted`: labelled places by which the loss is divided, where these features are only a part of their batch.
    `grids`: also what attention by padded blocks needs.
    """
    lengths = [len(feature["input_ids"]) for feature in features]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    found: list[np.ndarray] = []
    labels: list[Any] = []
    heads = heads_of(features)
    for feature, start in zip(features, starts, strict=False):
        # (tokens,), or of a whole text, for which its first token stands, (1,) or (1, heads)
        given = np.asarray(feature["labels"])[None] if heads else np.atleast_1d(np.asarray(feature["labels"]))
        kept = np.zeros(1, np.int64) if heads else np.flatnonzero(given != -100)
        found.append(kept + start)
        labels += given[kept].tolist()
    if not labels:  # nothing to learn here: one place that weighs nothing keeps all shapes as they are
        found[0], labels, features = np.zeros(1, np.int64), [0], [{**feature, "weight": 0.0} for feature in features]
    counts = [len(kept) for kept in found]
    weights = np.repeat([float(feature["weight"]) for feature in features], counts) / (max(1, counted or sum(counts)) * level)
    return Pack(
        ids=torch.tensor([token for feature in features for token in feature["input_ids"]], dtype=torch.long),
        positions=torch.from_numpy(np.concatenate([np.arange(n) for n in lengths])),
        bounds=torch.from_numpy(starts.astype(np.int32)),
        wanted=torch.from_numpy(np.concatenate(found).astype(np.int64)),
        wanted_bounds=torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)),
        labels=torch.tensor(labels, dtype=torch.long),
        weights=torch.from_numpy(weights.astype(np.float32)),
        texts=len(features),
        longest=max(lengths),
        most=max(counts),
        tokens_grid=_grid(lengths) if grids else None,
        wanted_grid=_grid(counts) if grids else None,
        heads=heads,
    )


def shape_of(lengths: Sequence[int], budget: int) -> Shape:
    """Return the shape that holds every batch of at most `budget` tokens (or one longer text), and the filling behind it."""
    longest = max(lengths)
    tokens = max(budget, longest) + 1  # one token more than ever needed: what fills up the places looks at something
    return Shape(tokens, max(1, budget // min(lengths)) + -(-tokens // longest), tokens, longest)


def filled(given: Pack, shape: Shape) -> Pack:
    """Return the pack filled up to the shape: texts of token 0 whose places weigh nothing. Not for padded attention.

    The real texts' logits come first, and are those of the pack as it was; its loss is the same.
    """
    missing, texts = shape.tokens - len(given.ids), shape.texts - given.texts
    extra = shape.places - len(given.wanted)
    steps = [min(shape.longest, missing - at) for at in range(0, missing, shape.longest)]
    if missing < 1 or extra < 0 or len(steps) > texts:
        raise ValueError(f"{len(given.ids)} tokens in {given.texts} texts do not fit into {shape}")
    steps += [0] * (texts - len(steps))
    ends = int(given.bounds[-1]) + torch.tensor(steps).cumsum(0).to(torch.int32)
    first = len(given.ids)  # all places that fill up look at the first filling text
    return given._replace(
        ids=functional.pad(given.ids, (0, missing)),
        positions=torch.cat([given.positions, torch.cat([torch.arange(n) for n in steps])]),
        bounds=torch.cat([given.bounds, ends]),
        wanted=functional.pad(given.wanted, (0, extra), value=first),
        wanted_bounds=functional.pad(given.wanted_bounds, (0, texts), value=shape.places),
        labels=functional.pad(given.labels, (0, 0, 0, extra), value=-100)
        if given.heads
        else functional.pad(given.labels, (0, extra)),
        weights=functional.pad(given.weights, (0, extra)),
        texts=shape.texts,
        longest=shape.longest,
        most=shape.places,
        tokens_grid=None,
        wanted_grid=None,
    )


def _grid(counts: Sequence[int]) -> Grid | None:
    """Return the padded layout of rows that lie one after another, `counts` a text; None where all counts are equal."""
    longest = max(counts)
    if min(counts) == longest:
        return None
    there = np.arange(longest)[None, :] < np.asarray(counts)[:, None]  # (texts, longest)
    rows = np.zeros(there.shape, dtype=np.int64)
    rows[there] = np.arange(int(there.sum()))
    return Grid(torch.from_numpy(rows.ravel()), torch.from_numpy(np.flatnonzero(there)), torch.from_numpy(there))
