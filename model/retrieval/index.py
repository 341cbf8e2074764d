"""What is known of each entry, as vectors and as words, and how near a question is to it: the evidence that the reranker weighs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import bm25s  # type: ignore[import-untyped, unused-ignore]
import numpy as np

from feedback.records import Json
from model.catalogue import Entry
from model.embedding import Embedder

FEATURES = ("text", "question", "questions", "centre", "words")
"""Evidence of a question for an entry, each -1..1: cosine to its text or title, to the nearest of its questions, the mean of the three
nearest, to their centre, and BM25 over its words as a share of the best entry's."""
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_NEAREST = 3
_CHUNK = 512  # questions at once: the table of cosines to all known questions stays small


def words_in(text: str) -> list[str]:
    """Return the words of a text for BM25: lower case, a Chinese character each a word."""
    return _WORD.findall(text.lower())


class Known(NamedTuple):
    """Questions with a known answer: vectors (questions, width), and the entry's id of each."""

    vectors: np.ndarray
    answers: tuple[str, ...]


class Index:
    """The entries of a catalogue as they stand, with the questions that are known to lead to them. It never changes."""

    def __init__(self, entries: Sequence[Entry], known: Known, embedder: Embedder) -> None:
        self.ids = tuple(entry.id for entry in entries)
        self.place = {id_: i for i, id_ in enumerate(self.ids)}
        texts = [(i, text) for i, entry in enumerate(entries) for text in (entry.text, entry.title) if text]
        self._text_vectors = embedder.of([text for _, text in texts])
        self._text_owner = np.array([i for i, _ in texts], dtype=np.int64)
        asked = [(i, question) for i, entry in enumerate(entries) for question in entry.questions]
        vectors = [known.vectors] if len(known.answers) else []
        vectors += [embedder.of([question for _, question in asked])] if asked else []
        self._vectors = np.concatenate(vectors) if vectors else np.zeros((0, embedder.width), np.float32)
        self._owner = np.array(
            [*(self.place.get(answer, -1) for answer in known.answers), *(i for i, _ in asked)], dtype=np.int64
        )  # -1: an entry that the catalogue has no more
        self._count = np.bincount(self._owner[self._owner >= 0], minlength=len(self.ids))
        self._sums = np.zeros((len(self.ids), embedder.width), dtype=np.float64)
        np.add.at(self._sums, self._owner[self._owner >= 0], self._vectors[self._owner >= 0])
        order = np.argsort(self._owner, kind="stable")
        self._order, self._starts = order, np.searchsorted(self._owner[order], np.arange(len(self.ids) + 1))
        corpus = [words_in(" ".join((entry.title, entry.text, *entry.questions))) or [""] for entry in entries]
        self._bm25 = bm25s.BM25()
        self._bm25.index(corpus, show_progress=False)

    def __len__(self) -> int:
        return len(self.ids)

    def evidence(self, questions: Sequence[Json], vectors: np.ndarray, own: Sequence[int] = ()) -> np.ndarray:
        """Return (questions, entries, FEATURES), fp32.

        `own`: for each question its place among the known ones, which then tells nothing of itself (-1: it is none of them).
        """
        places = np.asarray(own if len(own) else [-1] * len(questions), dtype=np.int64)
        found = np.empty((len(questions), len(self.ids), len(FEATURES)), dtype=np.float32)
        for start in range(0, len(questions), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._of(found[part], questions[part], vectors[part], places[part])
        return found

    def _of(self, found: np.ndarray, questions: Sequence[Json], vectors: np.ndarray, own: np.ndarray) -> None:
        to_text = vectors @ self._text_vectors.T
        to_known = vectors @ self._vectors.T
        rows = np.flatnonzero(own >= 0)
        to_known[rows, own[rows]] = -np.inf
        found[:, :, 0] = _largest(to_text, self._text_owner, len(self.ids))
        found[:, :, 1], found[:, :, 2] = self._nearest(to_known, found[:, :, 0])
        found[:, :, 3] = self._centres(vectors, own, found[:, :, 0])
        for row, question in enumerate(questions):
            found[row, :, 4] = self._words(question)

    def bm25(self, question: Json) -> np.ndarray:
        """Return the BM25 score of each entry."""
        text = question if isinstance(question, str) else "\n".join([*question["before"], question["text"]])
        known = [word for word in words_in(text) if word in self._bm25.vocab_dict]
        if not known:  # the library has no answer to that
            return np.zeros(len(self.ids), dtype=np.float32)
        return np.asarray(self._bm25.get_scores(known), dtype=np.float32)

    def _words(self, question: Json) -> np.ndarray:
        scores = self.bm25(question)
        best = float(scores.max(initial=0.0))
        return scores / best if best > 0 else scores

    def _nearest(self, to_known: np.ndarray, instead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cosine to the nearest known question of each entry, and the mean of the three nearest; `instead` where none is."""
        nearest, mean = instead.copy(), instead.copy()
        for entry in range(len(self.ids)):
            columns = self._order[self._starts[entry] : self._starts[entry + 1]]
            if not len(columns):
                continue
            part = to_known[:, columns]
            best = -np.sort(-part, axis=1)[:, :_NEAREST]
            there = np.isfinite(best)
            some = there[:, 0]
            nearest[some, entry] = best[some, 0]
            mean[some, entry] = np.where(there, best, 0.0).sum(axis=1)[some] / there.sum(axis=1)[some]
        return nearest, mean

    def _centres(self, vectors: np.ndarray, own: np.ndarray, instead: np.ndarray) -> np.ndarray:
        norms = np.linalg.norm(self._sums, axis=1)
        found = np.where(norms > 0, (vectors @ self._sums.T) / np.maximum(norms, 1e-9), instead)
        for row, place in enumerate(own.tolist()):
            entry = self._owner[place] if place >= 0 else -1
            if entry >= 0:  # its own centre without itself
                rest = self._sums[entry] - self._vectors[place]
                norm = float(np.linalg.norm(rest))
                found[row, entry] = vectors[row] @ rest / norm if self._count[entry] > 1 and norm > 1e-6 else instead[row, entry]
        return found


def _largest(values: np.ndarray, owner: np.ndarray, groups: int) -> np.ndarray:
    """Return the largest value of each group of columns: (rows, groups)."""
    found = np.full((groups, len(values)), -1.0, dtype=np.float32)
    np.maximum.at(found, owner, values.T)
    return found.T


def ranks(scores: np.ndarray, ids: Sequence[str], truth: Sequence[str]) -> np.ndarray:
    """Return the rank (1: first) of each question's true entry in (questions, entries); an entry that is not there ranks last plus one."""
    place: Mapping[str, int] = {id_: i for i, id_ in enumerate(ids)}
    found = np.full(len(truth), len(ids) + 1)
    for row, id_ in enumerate(truth):
        if id_ in place:
            found[row] = 1 + int((scores[row] > scores[row, place[id_]]).sum())
    return found
