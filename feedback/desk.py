"""The use cases of the people at the page: predict, correct, withdraw, review. The page, the routes and the tests all come here.

The desk knows no web and no model; it declares the Protocol that it needs of model/.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

from feedback.acceptance import Agreement, apply_policy
from feedback.admission import Admission
from feedback.errors import BadInput, Conflict, NotFound, StorageFull, TooLarge
from feedback.experiments import Experiments
from feedback.given import Given as Given
from feedback.given import given_by
from feedback.heads import within
from feedback.limits import Limits
from feedback.recent import Recent
from feedback.records import (
    Answer,
    Correction,
    Json,
    Prediction,
    Review,
    Status,
    Variant,
    Visitor,
    Withdrawal,
    input_hash,
    keyed_id,
    new_id,
)
from feedback.review_value import Waiting
from feedback.reviewing import Reviewing
from feedback.store import Duplicate, Store

T = TypeVar("T")
PATIENCE = 8.0
"""Seconds that a visitor's call waits for the log; then it is told to come again."""
NOT_RECORDED = "note.not_recorded"
"""The note of an answer that could not be stored: its id is empty, nothing can be said of it, and it counts nowhere."""


class Model(Protocol):
    """What the desk needs of model/: check and compare values by the task's rules, and answer an input with a version."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Return input and output (None stays None) in canonical form; raise BadInput where a rule is broken."""

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Return the version's answer to a checked input; raise Busy where the queue is full."""

    def edits(self, shown: Json, output: Json) -> float:
        """Return how many marks were added, removed or changed between two checked outputs; 0 where they are equal."""


def as_shown(model: Model, input_: Json, output: Json) -> Json:
    """Return an answer that a version gave, in canonical form; as it stands where a label of it has left the demo since.

    Nothing that is said of it now can equal that one: who was shown it can correct it, and cannot confirm it.
    """
    try:
        return model.check(input_, output)[1]
    except BadInput:
        return output


class Desk:
    """Predict, correct, withdraw and review, over one log. Safe to use from many threads.

    `judge(input_hash, input as JSON text)` is told of everything said about an input, and returns the verdicts that it stored, or
    None where it judges later; agreement at once where none is given.
    `admission` is what the pages and routes call through, together, for whatever a visitor may have to wait for.
    `screen` masks or refuses identifiers in comments (masking.py); the model's check does so in inputs.
    """

    def __init__(
        self,
        store: Store,
        model: Model,
        experiments: Experiments,
        policy: Agreement,
        *,
        limits: Limits | None = None,
        max_comment_chars: int = 1000,
        judge: Callable[[str, str], Sequence[Review] | None] | None = None,
        screen: Callable[[str], str] = str,
        admission: Admission | None = None,
    ) -> None:
        self.admission = admission or Admission()
        self._store = store
        self._recent = Recent(store)
        self._model = model
        self._experiments = experiments
        self._screen = screen
        self.judge = judge or partial(apply_policy, store, policy)
        self._limits = limits
        self._max_comment = max_comment_chars
        self.reviewing = Reviewing(store, model, self.judge, screen=screen)

    # -- visitors ------------------------------------------------------------------------------------------------

    def predict(self, visitor: Visitor, input_: Json, key: str = "") -> Prediction:
        """Answer an input with the visitor's variant; exposure and prediction are durable before this returns.

        Where the log's disk takes no more, the answer is given all the same, unrecorded, and says so: its id is empty, and
        NOT_RECORDED is among its notes. `key` (an Idempotency-Key) makes a retry return the first call's prediction. Raises
        BadInput, Busy.
        """
        if self._limits:
            self._limits.spend("predictions", visitor)
        input_, _ = self._model.check(input_)
        id_ = keyed_id("p", visitor.contributor, key) if key else new_id("p")
        if key and (known := self._prediction(id_)):
            return first_call(known, known.input == input_, key)
        assignment = self._experiments.assign(visitor)
        prediction = answered(
            self._model,
            visitor,
            assignment.variant,
            input_,
            id_,
            experiment=assignment.experiment,
            number=assignment.number,
            forced=assignment.forced,
        )
        try:
            self._store_prediction(prediction, assignment.exposure, key)
        except StorageFull:
            return replace(prediction, id="", notes=(*prediction.notes, NOT_RECORDED))
        if assignment.exposure:
            self._experiments.met(assignment.exposure)
        return prediction

    def _store_prediction(self, prediction: Prediction, exposure: Any, key: str) -> None:
        moment = self._recent.moment
        if exposure:
            try:
                self._store.add(exposure, prediction, patience=PATIENCE)
                self._recent.keep(prediction, moment)
                return
            except Duplicate:  # another tab of the same person was first with the exposure
                pass
        try:
            self._store.add(prediction, patience=PATIENCE)
            self._recent.keep(prediction, moment)
        except Duplicate:
            if not key:  # with a key it is the same call, twice at once: the first one's row stands
                raise

    def correct(
        self, visitor: Visitor, prediction_id: str, output: Json, comment: str = "", key: str = ""
    ) -> tuple[Correction, Status]:
        """Store what the visitor says the answer should be; return it with its status.

        Only the contributor to whom the prediction was shown, or staff, may correct it: others get NotFound. One
        correction a prediction and contributor: a second one raises Conflict. `key` makes a retry safe.
        """
        if self._limits:
            self._limits.spend("corrections", visitor)
        for name, value in (("prediction_id", prediction_id), ("comment", comment), ("Idempotency-Key", key)):
            check_text(name, value)
        prediction = self._prediction(prediction_id)
        if prediction is None or (prediction.contributor != visitor.contributor and not visitor.staff):
            raise NotFound(f"no prediction {prediction_id!r} was shown to you", code="no_prediction")
        if len(comment) > self._max_comment:
            raise TooLarge(
                f"the comment has {len(comment)} characters; at most {self._max_comment} are kept",
                code="comment_too_long",
                values={"count": len(comment), "limit": self._max_comment},
            )
        comment = self._screen(comment)
        _, output = self._model.check(prediction.input, output)
        if output is None:
            raise BadInput("output is missing: a correction says what the answer should be; send the shown output to confirm it")
        id_ = keyed_id("c", visitor.contributor, key) if key else new_id("c")
        shown = as_shown(self._model, prediction.input, prediction.output)
        correction = Correction(
            id_,
            prediction.id,
            visitor.contributor,
            output,
            within(output, shown),
            comment,
            edits=self._model.edits(shown, output),
        )
        try:
            self._store.add(correction, patience=PATIENCE)
        except Duplicate:
            return self._retried(correction, key)
        judged = self.judge(prediction.input_hash, _text(prediction.input))
        return correction, "pending" if judged is None else self.status(correction.id)

    def _retried(self, correction: Correction, key: str) -> tuple[Correction, Status]:
        rows = self._store.rows("SELECT * FROM corrections WHERE id = ?", [correction.id]) if key else []
        if not rows:
            raise Conflict("you have answered this one already: ask again to correct it differently", code="already_corrected")
        known = Correction(**{**rows[0], "output": json.loads(rows[0]["output"])})
        same = (known.prediction_id, known.output, known.comment) == (
            correction.prediction_id,
            correction.output,
            correction.comment,
        )
        first_call(known, same, key)
        if prediction := self._prediction(known.prediction_id):  # a kill may have come between storing and judging
            self.judge(prediction.input_hash, _text(prediction.input))
        return known, self.status(known.id)

    def status(self, correction_id: str) -> Status:
        """Return where a correction stands; raise NotFound for one that is not there."""
        rows = self._store.rows("SELECT status FROM current_corrections WHERE id = ?", [correction_id])
        if not rows:
            raise NotFound(f"no correction {correction_id!r}")
        status: Status = rows[0]["status"]
        return status

    def given(self, visitor: Visitor, limit: int = 100) -> list[Given]:
        """Return the visitor's own corrections, newest first, each with what came of it."""
        return given_by(self._store, "contributor", visitor.contributor, limit)

    def as_given(self, correction: Correction, status: Status) -> Given:
        """Return what `correct` returned as `given` lists it. Of one that waits the log knows no more: it is not asked."""
        prediction = self._prediction(correction.prediction_id) if status == "pending" else None
        if prediction is None:
            return given_by(self._store, "id", correction.id, 1)[0]
        return Given(
            correction.id, prediction.id, prediction.input, prediction.output, correction.output, correction.confirmation,
            correction.comment, status, "", (), (), correction.created,
        )  # fmt: skip

    def withdraw(self, visitor: Visitor, correction_id: str) -> None:
        """Take one's own correction back. Withdrawing twice changes nothing; others get NotFound."""
        rows = self._store.rows(
            """SELECT c.contributor, p.input, p.input_hash FROM corrections c JOIN predictions p ON p.id = c.prediction_id
               WHERE c.id = ?""",
            [correction_id],
        )
        if not rows or (rows[0]["contributor"] != visitor.contributor and not visitor.staff):
            raise NotFound(f"no correction {correction_id!r} of yours", code="no_correction")
        try:
            self._store.add(Withdrawal(correction_id, visitor.contributor), patience=PATIENCE)
        except Duplicate:
            return
        self.judge(rows[0]["input_hash"], rows[0]["input"])

    # -- reviewers: their use cases are in reviewing.py -----------------------------------------------------------

    def review(self, reviewer: str, correction_id: str, verdict: str, output: Json = None, reason: str = "") -> Review:
        """Store a person's verdict: accept, reject, or amend with an output of their own. The newest verdict counts."""
        return self.reviewing.judge(reviewer, correction_id, verdict, output, reason)

    def queue(self, limit: int = 50) -> list[Waiting]:
        """Return what waits for a reviewer, most valuable first."""
        return self.reviewing.queue(limit)

    def tally(self) -> dict[str, int]:
        """Return the number of corrections by status (of those that occur)."""
        return self.reviewing.tally()

    def _prediction(self, id_: str) -> Prediction | None:
        if known := self._recent.get(id_):
            return known
        rows = self._store.rows("SELECT * FROM predictions WHERE id = ?", [id_])
        return prediction_of(rows[0]) if rows else None


def answered(
    model: Model,
    visitor: Visitor,
    variant: Variant,
    input_: Json,
    id_: str,
    *,
    experiment: str = "",
    number: int = 0,
    forced: bool = False,
) -> Prediction:
    """Ask the model with a variant; return the answer to a checked input as the row that is stored before it is shown."""
    begun = time.perf_counter()
    answer = model.predict(variant.version, input_, variant.settings)
    return Prediction(
        id=id_,
        contributor=visitor.contributor,
        experiment=experiment,
        experiment_number=number,
        variant=variant.name,
        version=variant.version,
        input=input_,
        input_hash=input_hash(input_),
        output=answer.output,
        confidence=answer.confidence,
        latency_ms=(time.perf_counter() - begun) * 1000,
        forced=forced,
        channel=visitor.channel,
        network=visitor.network,
        notes=answer.notes,
    )


def prediction_of(row: Mapping[str, Any]) -> Prediction:
    """Return a row of the log's predictions as the record; its notes were told once and are not stored."""
    return Prediction(**{**row, "input": json.loads(row["input"]), "output": json.loads(row["output"])})


def check_text(name: str, value: object) -> None:
    """Refuse what is no text that can be stored: programs may send anything."""
    if not isinstance(value, str):
        raise BadInput(f"{name} must be a text, not {type(value).__name__}", code="text_type")
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise BadInput(f"{name} holds a character that cannot be stored (NUL, or half of a surrogate pair)", code="text_broken")


def _text(value: Json) -> str:
    """Return a value as the log holds it (store.py writes JSON this way)."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)


def first_call(known: T, same: bool, key: str) -> T:
    """Return the row of the first call where a retry says the same, or raise Conflict."""
    if not same:
        raise Conflict(f"the Idempotency-Key {key!r} was used for a different request: use a new key for a new request")
    return known
