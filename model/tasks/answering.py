"""Answering a question out of the owner's templates and documents, or saying that a person should. Retrieval, no text is made up.

An answer is an entry of the demo's catalogue. Whoever corrects picks another entry, says that none fits, or writes the answer; an
accepted new answer, or a new wording of one, stands in the catalogue for the next visitor (live.py), before any training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from feedback.errors import BadInput, TooLarge
from feedback.records import Answer, Example, Json, normalised, text_of
from model.catalogue import Catalogue, Entry, new_id
from model.embedding import Embedder, embedder, frozen_base
from model.own_model import CONFIG, Learned, OwnAnswerer, OwnModelTask, Work
from model.retrieval.confidence import Confidence, signals_of
from model.retrieval.index import Index, Known
from model.retrieval.learning import Learnt, learn
from model.retrieval.reranker import Reranker
from model.task import Counts, register
from model.tasks.text import check_text

OFFERED = 3
"""Entries that are offered with an answer: did you mean."""
MOST_BEFORE = 4
"""Earlier questions that a question may bring along."""
THRESHOLD = 0.5
"""Below this confidence nothing is answered and a person should be asked: more likely wrong than right."""
HANDED_OVER = "note.handed_over"
_NUMBERS = "model.safetensors"
_SHOWN = frozenset({"answer", "text", "title", "offered", "confidence"})


@register
class Answering(OwnModelTask):
    """Questions in, `{"answer": id}` out; id "" says that no entry answers. `{"answer": id, "text": ...}` gives it other words.

    A question is a text, or `{"text": ..., "before": [earlier questions]}` in a conversation.
    """

    name = "answering"
    widget = "answers"
    form = "dialogue"
    catalogued = True
    one_answer = True
    hands_over = True
    sample_catalogue = Catalogue(
        [
            Entry("return", "Send it back within 30 days with the label in your account.", "How to return an item"),
            Entry("refund", "The money is on your account five days after the parcel is with us.", "When the refund comes"),
            Entry("hours", "We are open from nine to six, Monday to Saturday.", "Opening hours", ("When are you open?",)),
        ]
    )
    sample_labels = ("return", "refund", "hours")
    samples = (
        ("I want to send the lamp back 😀", {"answer": "return"}),
        ({"before": ["How do I return a naïve painting?"], "text": "and when is my money back?"}, {"answer": "refund"}),
        ("Who won the match?", {"answer": ""}),
    )

    # -- data ------------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, row: Mapping[str, Any], text_column: str, label_column: str) -> tuple[Json, Json]:
        """Return question and answer: an id, or the answer's words. `before` (a list, or JSON of one) makes it a conversation."""
        answer, before = row[label_column], row.get("before") or []
        if not isinstance(answer, str):
            raise BadInput(f'{label_column} = {answer!r}: must be an entry\'s id, the words of an answer, or ""')
        if isinstance(before, str):
            try:
                before = json.loads(before)
            except (ValueError, RecursionError):
                before = [before]
        question = {"before": before, "text": row[text_column]} if before else row[text_column]
        return question, {"answer": answer.strip()}

    @classmethod
    def labels_in(cls, output: Json) -> tuple[str, ...]:
        """Return nothing: the labels are the catalogue's ids."""
        return ()

    @classmethod
    def renamed(cls, output: Json, rename: Mapping[str, str]) -> Json | None:
        """Return the output with its id as the demo calls it; a dropped one is None."""
        answer = rename.get(output["answer"], output["answer"])
        return None if output["answer"] and not answer else {**output, "answer": answer}

    def words_of(self, input_: Json, output: Json) -> str:
        """Return the entry's title or the words given, – for none."""
        entry = self.catalogue.get(output["answer"])
        return output.get("text") or (entry.title or entry.text if entry else output["answer"]) or "–"

    def grown(self, learned: Sequence[Example], judged: Sequence[Example]) -> Answering:
        """Return the task with the answers that people wrote: those to judge by can be given, their questions teach nothing."""
        written = [(e.input, e.output) for e in (*learned, *judged)]
        catalogue = self.catalogue.with_(self._added(written, with_questions=False))
        return type(self)([entry.id for entry in catalogue.entries], self.max_chars, self.fallback_label, catalogue)

    def additions(self, written: Sequence[tuple[Json, Json]]) -> list[Entry]:
        """Return new entries and new wordings; each is found by the questions that it was written for."""
        return self._added(written, with_questions=True)

    def _added(self, written: Sequence[tuple[Json, Json]], *, with_questions: bool) -> list[Entry]:
        """Return what the last of each id makes of the owner's entries."""
        found: dict[str, Entry] = {}
        for question, output in written:
            if not output.get("text"):
                continue
            id_, asked = output["answer"], text_of(question if isinstance(question, str) else question["text"])
            known = found.get(id_) or self.catalogue.own(id_) or Entry(id_, output["text"])
            questions = tuple(dict.fromkeys((*known.questions, asked))) if with_questions else known.questions
            found[id_] = replace(known, text=output["text"], questions=questions)
        return list(found.values())

    # -- inputs and outputs ----------------------------------------------------------------------------------------

    def check_input(self, value: Json) -> Json:
        """Return the question; one without questions before it is its text alone. Raises BadInput, TooLarge."""
        if not isinstance(value, Mapping):
            return check_text(value, self.max_chars)
        before = value.get("before", [])
        if not set(value) <= {"text", "before"} or "text" not in value or not isinstance(before, (list, tuple)):
            raise BadInput(
                f'input is {str(value)[:120]!r}: it must be a text, or {{"text": ..., "before": [texts]}}', code="text_type"
            )
        if len(before) > MOST_BEFORE:
            raise TooLarge(f"input has {len(before)} questions before it: at most {MOST_BEFORE} are read", code="text_too_long",
                           values={"count": len(before), "limit": MOST_BEFORE})  # fmt: skip
        text, earlier = check_text(value["text"], self.max_chars), [check_text(one, self.max_chars) for one in before]
        return {"before": earlier, "text": text} if earlier else text

    def check_output(self, input_: Json, output: Json) -> Json:
        """Return `{"answer": id}`, with `text` where the words are others than the catalogue's. Raises BadInput, TooLarge.

        Words without an id are an entry's that reads the same, else a new answer with an id made of them.
        """
        if not isinstance(output, Mapping) or not set(output) & {"answer", "text"} or not set(output) <= _SHOWN:
            raise BadInput(
                f'output is {str(output)[:120]!r}: it must be {{"answer": an id or ""}}, with a "text" for new words',
                code="answer_shape",
            )
        answer, text = output.get("answer", ""), output.get("text", "")
        if not isinstance(answer, str) or not isinstance(text, str):
            raise BadInput(f"output is {str(output)[:120]!r}: answer and text must be texts", code="answer_shape")
        text = check_text(text, self.max_chars).strip() if text.strip() else ""
        entry = self.catalogue.get(answer)
        if entry is not None:
            return {"answer": answer, "text": text} if text and text != entry.text else {"answer": answer}
        words = text or ("" if answer in ("", *self.labels) else answer)  # a log names an answer by its words
        known = self._reads(words) if words else None
        if known:
            return {"answer": known}
        if text and answer in ("", new_id(text)):
            return {"answer": new_id(text), "text": text}
        if answer:
            raise BadInput(
                f"unknown answer {answer[:80]!r}: the catalogue has {len(self.catalogue)} entries, and none of this id or these words",
                code="answer_unknown",
            )
        return {"answer": ""}

    def _reads(self, words: str) -> str | None:
        wanted = normalised(words)
        return next((e.id for e in self.catalogue.entries if wanted in (normalised(e.text), normalised(e.title))), None)

    def present(self, output: Json) -> Json:
        """Return an output with title and words of its entry, for a page to draw."""
        entry = self.catalogue.get(output.get("answer", ""))
        if entry is None:
            return output
        return {"title": entry.title, **output, "text": output.get("text") or entry.text}

    def edits(self, shown: Json, output: Json) -> float:
        """Return 0 for the same answer in the same words, else 1."""
        return float(shown.get("answer") != output["answer"] or shown.get("text", "") != output.get("text", ""))

    def score(self, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, float]:
        """Return accuracy ("" where nothing answers is right), the share whose answer was among those offered, and of `answered` ones
        the share that is right (`precision`)."""
        pairs = list(zip(truth, answers, strict=True))
        right = sum(one["answer"] == answer["answer"] for one, answer in pairs)
        given = [(one, answer) for one, answer in pairs if answer["answer"]]
        has = [(one, answer) for one, answer in pairs if one["answer"]]
        among = sum(one["answer"] in _ids(answer) for one, answer in has)
        accuracy = right / len(pairs) if pairs else 0.0
        return {
            "main": accuracy,
            "accuracy": accuracy,
            "top3": among / len(has) if has else accuracy,
            "answered": len(given) / len(pairs) if pairs else 0.0,
            "precision": sum(o["answer"] == a["answer"] for o, a in given) / len(given) if given else accuracy,
        }

    def counts(self, truth: Json, answer: Json) -> dict[str, Counts]:
        """Return one tp, or one fp for the answer given and one fn for the right one; "" is an answer like others."""
        if truth["answer"] == answer["answer"]:
            return {truth["answer"]: Counts(1, 0, 0)}
        return {answer["answer"]: Counts(0, 1, 0), truth["answer"]: Counts(0, 0, 1)}

    # -- versions --------------------------------------------------------------------------------------------------

    def learn(self, work: Work) -> Learned:
        """Learn the reranker on the frozen base, from scratch: it takes seconds."""
        learnt = learn(
            self.catalogue, work.parts.train, work.parts.choosing, embedder(frozen_base(work.demo)), work.seed, work.progress
        )
        _save(work.directory, frozen_base(work.demo), learnt)
        told = {"shrink": learnt.shrink, "entries": len(self.catalogue)}
        return Learned(learnt.examples, loss=learnt.loss, base=work.demo.base, told=told)

    def open(self, directory: Path) -> AnsweringVersion:
        """Load a version; it answers out of this task's catalogue as it stands."""
        return AnsweringVersion(self, *_load(directory))


@dataclass(frozen=True)
class _State:
    revision: int
    index: Index


class AnsweringVersion(OwnAnswerer):
    """A loaded version. What has been added to the catalogue since is found at the next question."""

    def __init__(
        self, task: Answering, base: Embedder, known: Known, reranker: Reranker, confidence: Confidence, size: float
    ) -> None:
        super().__init__(task, "reranker on a frozen base, and BM25", base.megabytes() + size)
        self._embedder, self._known, self._reranker, self._confidence = base, known, reranker, confidence
        self._state = self._indexed()

    def _indexed(self) -> _State:
        revision = self.task.catalogue.revision
        return _State(revision, Index(self.task.catalogue.entries, self._known, self._embedder))

    def ranked(self, questions: Sequence[Json]) -> tuple[Index, np.ndarray, np.ndarray]:
        """Return the index, the scores (questions, entries) and the confidence in each best entry."""
        if self._state.revision != self.task.catalogue.revision:
            self._state = self._indexed()  # made twice where two threads see it at once: either is right
        index = self._state.index
        vectors = self._embedder.of_questions(questions)
        evidence = index.evidence(questions, vectors)
        scores = self._reranker.scores(index, evidence, vectors)
        return index, scores, self._confidence.of(signals_of(scores, evidence))

    def answer(self, inputs: Sequence[Json], settings: Sequence[Mapping[str, float]]) -> list[Answer]:
        """Return the best entry of each question, or none below the threshold, with the nearest ones offered."""
        if not inputs:
            return []
        index, scores, confidences = self.ranked(inputs)
        return [
            self._one(index, row, float(sure), chosen) for row, sure, chosen in zip(scores, confidences, settings, strict=True)
        ]

    def _one(self, index: Index, scores: np.ndarray, sure: float, settings: Mapping[str, float]) -> Answer:
        threshold = self.task.check_settings(settings).threshold if "threshold" in settings else THRESHOLD
        best = np.argsort(-scores, kind="stable")[:OFFERED]
        share = np.exp(scores[best] - scores.max())
        offered = []
        for place, part in zip(best.tolist(), (share / np.exp(scores - scores.max()).sum()).tolist(), strict=True):
            entry = self.task.catalogue.get(index.ids[place])
            if entry:
                offered.append({"id": entry.id, "title": entry.title, "text": entry.text, "confidence": round(part, 4)})
        if sure < threshold or not offered:
            return Answer({"answer": "", "offered": offered}, 1 - sure, (HANDED_OVER,))
        return Answer(
            {"answer": offered[0]["id"], "text": offered[0]["text"], "title": offered[0]["title"], "offered": offered}, sure
        )


def _ids(answer: Mapping[str, Json]) -> list[str]:
    return [answer["answer"], *(entry["id"] for entry in answer.get("offered", ()))]


def _save(directory: Path, base: str, learnt: Learnt) -> None:
    reranker = learnt.reranker
    numbers = {
        "vectors": learnt.known.vectors.astype(np.float16),
        "weights": reranker.weights,
        "directions": reranker.directions.astype(np.float16),
        "biases": reranker.biases,
    }
    save_file({name: np.ascontiguousarray(values) for name, values in numbers.items()}, directory / _NUMBERS)
    config = {
        "model_type": "amend-answering",
        "base": base,
        "known": list(learnt.known.answers),
        "ids": list(reranker.ids),
        "confidence": list(learnt.confidence.numbers),
    }
    (directory / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")


def _load(directory: Path) -> tuple[Embedder, Known, Reranker, Confidence, float]:
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        part = {name: values.astype(np.float32) for name, values in load_file(directory / _NUMBERS).items()}
        known = Known(part["vectors"], tuple(config["known"]))
        reranker = Reranker(part["weights"], part["directions"], part["biases"], tuple(config["ids"]))
        confidence = Confidence(tuple(float(number) for number in config["confidence"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise BadInput(f"{directory}: is no version of the task answering: {error}") from error
    size = sum(values.nbytes for values in part.values()) / 1e6
    return embedder(str(config["base"])), known, reranker, confidence, size
