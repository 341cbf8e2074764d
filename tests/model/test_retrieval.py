"""Evidence, reranker and confidence on embeddings made here: what each must do, on cases whose answer is known by construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from feedback.records import Example
from model.catalogue import Catalogue, Entry
from model.embedding import Embedder
from model.progress import Progress
from model.retrieval.confidence import FALLBACK, Confidence, fit_confidence, signals_of
from model.retrieval.index import FEATURES, Index, Known, ranks, words_in
from model.retrieval.learning import learn
from model.retrieval.reranker import fit, untrained

WIDTH = 12


class Made:
    """Stands for a base: a text's vector is the mean of its words' own random ones, so texts that share words are near."""

    width = WIDTH

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Return (texts, WIDTH), rows of length 1."""
        rows = np.array([np.mean([self._word(word) for word in text.split()], axis=0) for text in texts], dtype=np.float32)
        return np.asarray(
            rows.reshape(-1, WIDTH) / np.maximum(np.linalg.norm(rows.reshape(-1, WIDTH), axis=1, keepdims=True), 1e-9)
        )

    def of_questions(self, questions: Sequence[str]) -> np.ndarray:
        """Return the same for questions."""
        return self.of(questions)

    @staticmethod
    def _word(word: str) -> np.ndarray:
        found: np.ndarray = np.random.default_rng(sum(ord(char) * 31**i for i, char in enumerate(word)) % 2**32).normal(
            size=WIDTH
        )
        return found


BASE = cast(Embedder, Made())
ENTRIES = [Entry("plant", "green leaf pot", "Plants"), Entry("boat", "sail water wind"), Entry("cake", "sugar flour oven")]


def index(known: dict[str, str]) -> Index:
    """Return the index of the three entries with questions known to lead to them."""
    return Index(ENTRIES, Known(BASE.of(list(known)) if known else np.zeros((0, WIDTH), np.float32), tuple(known.values())), BASE)


def test_without_questions_all_evidence_is_the_texts() -> None:
    """The nearest, the mean and the centre of no question stand for the text; BM25 is a share of the best entry's score."""
    evidence = index({}).evidence(["water wind"], BASE.of(["water wind"]))
    assert evidence.shape == (1, 3, len(FEATURES))
    assert (evidence[0, :, 1] == evidence[0, :, 0]).all()
    assert (evidence[0, :, 2] == evidence[0, :, 0]).all()
    assert evidence[0, :, 3] == pytest.approx(evidence[0, :, 0])
    assert evidence[0, :, 4].tolist() == [0.0, 1.0, 0.0]
    assert untrained().scores(index({}), evidence, BASE.of(["water wind"])).argmax() == 1


def test_a_known_question_leads_to_its_entry_and_tells_nothing_of_itself() -> None:
    """Asked again it has cosine 1 with its entry; as a training question it is left out of all that it taught."""
    known = {"how big is yours": "boat", "how big was hers": "boat", "which colour": "cake"}
    made = index(known)
    vectors = BASE.of(list(known))
    seen = made.evidence(list(known), vectors)
    assert seen[0, 1, 1] == pytest.approx(1.0, abs=1e-5)
    own = made.evidence(list(known), vectors, range(3))
    assert own[0, 1, 1] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
    assert own[0, 1, 3] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
    assert own[2, 2, 1] == own[2, 2, 0]  # its only question was itself: the text is left
    assert own[2, 2, 3] == own[2, 2, 0]


def test_an_entry_that_is_gone_is_no_answer() -> None:
    """Questions of an entry that the catalogue has no more lead nowhere."""
    made = Index(ENTRIES[:2], Known(BASE.of(["hot oven"]), ("cake",)), BASE)
    assert made.evidence(["hot oven"], BASE.of(["hot oven"])).shape == (1, 2, len(FEATURES))
    assert ranks(np.array([[0.1, 0.2]]), made.ids, ["cake"]).tolist() == [3]


def test_words_are_cut_in_any_script() -> None:
    """Chinese characters stand alone; a question without a known word has no BM25 score anywhere."""
    assert words_in("Où est le 包裹, OK?") == ["où", "est", "le", "包", "裹", "ok"]
    assert index({}).bm25("zzz qqq").tolist() == [0.0, 0.0, 0.0]


def test_the_reranker_learns_what_words_and_nearness_cannot_tell() -> None:
    """Questions share a word with the wrong entry; half of them teach, and the other half are answered right."""
    random = np.random.default_rng(1)
    said = [f"{'wind' if i % 2 else 'oven'} {random.integers(1000)} {'tall' if i % 2 else 'short'}" for i in range(80)]
    truth = ["cake" if i % 2 else "boat" for i in range(80)]
    taught, asked = said[:40], said[40:]
    vectors = BASE.of(taught)
    made = Index(ENTRIES, Known(vectors, tuple(truth[:40])), BASE)
    evidence = made.evidence(taught, vectors, range(40))
    wanted = np.array([made.place[answer] for answer in truth[:40]])
    learned, loss = fit(made, evidence, vectors, wanted, np.ones(40), 0.1, 1, Progress(None))
    scores = learned.scores(made, made.evidence(asked, BASE.of(asked)), BASE.of(asked))
    assert (scores.argmax(axis=1) == [made.place[answer] for answer in truth[40:]]).mean() > 0.9
    assert (learned.weights > 0).all()
    assert loss < 0.5
    again, _ = fit(made, evidence, vectors, wanted, np.ones(40), 0.1, 1, Progress(None))
    assert np.array_equal(again.directions, learned.directions)


def test_confidence_tells_found_from_missing() -> None:
    """Learned from signals that separate; with few questions the fallback; monotone in nearness and lead."""
    random = np.random.default_rng(2)
    found = np.stack([random.uniform(0.6, 1, 200), random.uniform(0.6, 1, 200), random.uniform(0.1, 0.5, 200)], axis=1)
    missing = np.stack([random.uniform(0.1, 0.6, 200), random.uniform(0.1, 0.5, 200), random.uniform(0, 0.1, 200)], axis=1)
    sure = fit_confidence(found, np.ones(200, dtype=bool), missing, missing[:50])
    assert sure.of(found).mean() > 0.9
    assert sure.of(missing).mean() < 0.2
    few = fit_confidence(found[:10], np.ones(10, dtype=bool), missing[:10], missing[:0])
    assert few == Confidence(FALLBACK)
    assert few.of(np.array([[0.9, 0.9, 0.3]])) > 0.9 > 0.1 > few.of(np.array([[0.3, 0.2, 0.0]]))


def test_signals_are_of_the_best_entry() -> None:
    """Share of the softmax, its cosine, and how far the next cosine is behind."""
    evidence = np.zeros((1, 3, len(FEATURES)), dtype=np.float32)
    evidence[0, :, 0], evidence[0, :, 1] = [0.2, 0.5, 0.4], [0.1, 0.7, 0.3]
    ((share, nearest, lead),) = signals_of(np.log(np.array([[0.2, 0.7, 0.1]])), evidence)
    assert (share, nearest, lead) == pytest.approx((0.7, 0.7, 0.3), abs=1e-6)


def test_a_few_examples_are_keys_and_nothing_is_learned_from_them() -> None:
    """Below the fewest the evidence decides alone, and what was taught is found again."""
    catalogue = Catalogue(ENTRIES)
    learnt = learn(
        catalogue, [Example("tall mast", {"answer": "boat"}), Example("who", {"answer": ""})], [], BASE, 1, Progress(None)
    )
    assert learnt.known.answers == ("boat",)
    assert learnt.reranker.ids == ()
    assert learnt.examples == 2
