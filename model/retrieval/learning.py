"""Learning to answer out of a catalogue from questions and their answers: reranker and confidence, each on questions kept from the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from feedback.records import Example
from model.catalogue import Catalogue
from model.embedding import Embedder
from model.progress import Progress
from model.retrieval.confidence import Confidence, fit_confidence, signals_of
from model.retrieval.index import Index, Known
from model.retrieval.reranker import SHRINK, Reranker, fit, untrained

FEWEST = 20
"""Questions without which nothing is learned: the evidence decides alone."""
FOLDS = 4


class Learnt(NamedTuple):
    """A version's numbers: `known` questions, reranker, confidence; `examples` learned from, the last `loss`, the `shrink` taken."""

    known: Known
    reranker: Reranker
    confidence: Confidence
    examples: int
    loss: float | None
    shrink: float | None


def learn(
    catalogue: Catalogue, train: Sequence[Example], choosing: Sequence[Example], embedder: Embedder, seed: int, progress: Progress
) -> Learnt:
    """Learn from examples whose output names an entry ("" for none). `choosing` picks the shrinkage; it is never learned from."""
    placed = {entry.id for entry in catalogue.entries}
    answered = [e for e in train if e.output["answer"] in placed]
    nothing = [e for e in train if e.output["answer"] == ""]
    progress.stage("training", f"embedding {len(train)} questions")
    known = Known(embedder.of_questions([e.input for e in answered]), tuple(e.output["answer"] for e in answered))
    progress.check()
    if len(answered) < FEWEST or len(set(known.answers)) < 2:
        return Learnt(known, untrained(), Confidence(), len(train), None, None)
    index = Index(catalogue.entries, known, embedder)
    weights = np.array([e.weight for e in answered], dtype=np.float64)
    evidence = index.evidence([e.input for e in answered], known.vectors, range(len(answered)))
    truth = np.array([index.place[answer] for answer in known.answers])
    shrink = _shrinkage(index, evidence, known, truth, weights, choosing, embedder, seed, progress)
    reranker, loss = fit(index, evidence, known.vectors, truth, weights, shrink, seed, progress)
    confidence = _confidence(index, evidence, known, truth, weights, shrink, nothing, embedder, seed, progress)
    return Learnt(known, reranker, confidence, len(train), loss, shrink)


def _shrinkage(
    index: Index, evidence: np.ndarray, known: Known, truth: np.ndarray, weights: np.ndarray,
    choosing: Sequence[Example], embedder: Embedder, seed: int, progress: Progress,
) -> float:  # fmt: skip
    """Return the strength under which held-out questions' answers are likeliest: those of `choosing`, or a fold where they are few."""
    held = [e for e in choosing if e.output["answer"] in index.place]
    if len(held) >= FEWEST:
        vectors = embedder.of_questions([e.input for e in held])
        other = index.evidence([e.input for e in held], vectors)
        wanted = np.array([index.place[e.output["answer"]] for e in held])
        keep = np.ones(len(truth), dtype=bool)
    else:
        keep = _folds(len(truth), seed) != 0
        vectors, other, wanted = known.vectors[~keep], evidence[~keep], truth[~keep]
    best, least = SHRINK[0], np.inf
    for strength in SHRINK:
        progress.check()
        made, _ = fit(index, evidence[keep], known.vectors[keep], truth[keep], weights[keep], strength, seed, progress)
        scores = made.scores(index, other, vectors)
        loss = float((logsumexp(scores, axis=1) - scores[np.arange(len(wanted)), wanted]).mean())
        if loss < least:
            best, least = strength, loss
    return best


def _confidence(
    index: Index, evidence: np.ndarray, known: Known, truth: np.ndarray, weights: np.ndarray, shrink: float,
    nothing: Sequence[Example], embedder: Embedder, seed: int, progress: Progress,
) -> Confidence:  # fmt: skip
    """Learn the confidence on questions that the fold's reranker had not seen."""
    fold = _folds(len(truth), seed)
    found, right, missing, none = [], [], [], []
    unanswered = embedder.of_questions([e.input for e in nothing])
    strange = index.evidence([e.input for e in nothing], unanswered)
    for number in range(FOLDS):
        progress.check()
        keep = fold != number
        made, _ = fit(index, evidence[keep], known.vectors[keep], truth[keep], weights[keep], shrink, seed, progress)
        out = np.flatnonzero(~keep)
        scores = made.scores(index, evidence[out], known.vectors[out])
        found.append(signals_of(scores, evidence[out]))
        right.append(scores.argmax(axis=1) == truth[out])
        without, gone = scores.copy(), evidence[out].copy()
        without[np.arange(len(out)), truth[out]] = -np.inf
        gone[np.arange(len(out)), truth[out]] = -1.0
        missing.append(signals_of(without, gone))
        mine = np.arange(len(nothing)) % FOLDS == number
        none.append(signals_of(made.scores(index, strange[mine], unanswered[mine]), strange[mine]))
    return fit_confidence(*(np.concatenate(part) for part in (found, right, missing, none)))


def _folds(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(count) % FOLDS
