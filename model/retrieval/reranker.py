"""The reranker: weights of the evidence, and a direction of its own for each entry that has questions enough. Frozen embeddings below.

score(question, entry) = evidence . weights + question . direction(entry) + bias(entry), learned as a softmax over the entries;
each question is scored without what it itself taught the index. The directions are shrunk (L2): with few questions the evidence
decides, with many the directions do, as a logistic regression on the embeddings would.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from model.progress import Progress
from model.retrieval.index import FEATURES, Index

START = (4.0, 8.0, 4.0, 4.0, 1.0)
"""Weights of FEATURES without anything to learn from: near questions count most, then near texts. Words: of 0 to 4, 1 was best or within
a point of it on 500 training questions of BANKING77 (.616 without, .622) and 400 of demos/helpdesk (.578, .605)."""
SHRINK = (0.1, 0.5, 2.0)
"""Strengths that may shrink the directions; the one that is best on held-out questions is taken."""
STEPS = 150
_RATE = 0.1


class Reranker(NamedTuple):
    """Learned numbers: weights (FEATURES,), directions (entries, width) and biases (entries,) for `ids`."""

    weights: np.ndarray
    directions: np.ndarray
    biases: np.ndarray
    ids: tuple[str, ...]

    def scores(self, index: Index, evidence: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return (questions, entries of the index); an entry that was not there at the training has no direction."""
        found = evidence @ self.weights
        mine = {id_: i for i, id_ in enumerate(self.ids)}
        pairs = [(place, mine[id_]) for place, id_ in enumerate(index.ids) if id_ in mine]
        if pairs and self.directions.size:
            there, own = (np.array(side) for side in zip(*pairs, strict=True))
            found[:, there] += vectors @ self.directions[own].T + self.biases[own]
        return np.asarray(found)


def untrained() -> Reranker:
    """Return the reranker that goes by the evidence alone."""
    return Reranker(np.array(START, dtype=np.float32), np.zeros((0, 0), np.float32), np.zeros(0, np.float32), ())


def fit(
    index: Index,
    evidence: np.ndarray,
    vectors: np.ndarray,
    truth: np.ndarray,
    weights: np.ndarray,
    shrink: float,
    seed: int,
    progress: Progress,
) -> tuple[Reranker, float]:
    """Return the reranker of questions and the last loss.

    evidence (questions, entries, FEATURES), vectors (questions, width), truth (questions,) places of entries, weights 0..1.
    """
    torch.manual_seed(seed)
    given, known = torch.from_numpy(evidence), torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    right, weight = torch.from_numpy(truth), torch.from_numpy(weights.astype(np.float32))
    log_weights = torch.tensor(np.log(START), dtype=torch.float32, requires_grad=True)  # evidence never speaks against an entry
    directions = torch.zeros(len(index), known.shape[1], requires_grad=True)
    biases = torch.zeros(len(index), requires_grad=True)
    optimizer = torch.optim.Adam([log_weights, directions, biases], lr=_RATE)
    loss = torch.zeros(())
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        scores = given @ log_weights.exp() + known @ directions.T + biases
        losses = functional.cross_entropy(scores, right, reduction="none")
        shrunk = (directions**2).sum() + (biases**2).sum() + ((log_weights - torch.tensor(np.log(START))) ** 2).sum()
        loss = (losses * weight).sum() / weight.sum() + shrink * shrunk / weight.sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 10 == 9:
            progress.step(step + 1, STEPS, float(loss.detach()))
    found = [part.detach().numpy().astype(np.float32) for part in (log_weights.exp(), directions, biases)]
    return Reranker(found[0], found[1], found[2], index.ids), float(loss.detach())


assert len(START) == len(FEATURES)
