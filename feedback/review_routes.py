"""The HTTP routes of reviewers: the queue by value, verdicts, taking them back, accepting the unanimous, agreement. Staff only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from feedback.review_context import agreement_between_people, answers_to
from feedback.reviewing import MAX_REASON_CHARS, Reviewing
from feedback.routes import Body, Key, Moment, StaffOf, json_only
from feedback.store import Store


class ReviewIn(Body):
    """A person's verdict; `output` belongs to amend alone."""

    correction_id: str
    verdict: Literal["accept", "reject", "amend"]
    output: Any = None
    reason: str = Field("", max_length=MAX_REASON_CHARS)


class ReviewOut(BaseModel):
    """The stored verdict and where the correction stands now."""

    id: str
    correction_id: str
    verdict: str
    status: str


class WaitingOut(BaseModel):
    """One correction in the reviewers' queue; `reasons` say why it comes where it does (see feedback/review_value.py).

    `cleaning`: `shown` is the label as it stands in the data, and `proposed` a model's that had not learned from the text.
    """

    id: str
    input: Any
    shown: Any
    proposed: Any
    confirmation: bool
    comment: str
    status: str
    confidence: float
    variant: str
    version: int
    created: Moment
    value: float
    reasons: list[str]
    cleaning: bool


class UnanimousOut(BaseModel):
    """A text of which `people` (at least two) contributors say the same, and nobody anything else."""

    input: Any
    shown: Any
    proposed: Any
    people: int
    corrections: list[str]


class CorrectionsIn(Body):
    """The corrections that are to be accepted at once."""

    corrections: list[str] = Field(min_length=1, max_length=10_000)


class BulkOut(BaseModel):
    """The verdicts that were stored, one a correction; `left_out` were unanimous no more, or open in a page."""

    reviews: list[str]
    left_out: int


class ReviewsIn(Body):
    """One's own verdicts that are to be taken back."""

    reviews: list[str] = Field(min_length=1, max_length=10_000)


class ReopenedOut(BaseModel):
    """The corrections that wait again."""

    corrections: list[str]


class PageIn(Body):
    """The name that a page gave itself when it asked for items."""

    page: str = Field(min_length=1, max_length=100)


class ProgressOut(BaseModel):
    """`mine` and `all`: standing verdicts since `since`; `rate`: acts an hour of work; `elsewhere`: open in pages."""

    mine: int
    all: int
    waiting: int
    elsewhere: int
    rate: float | None


class AgreementOut(BaseModel):
    """`measure`: Krippendorff's alpha for labels, F1 between people for marked parts; `label` is "" for all together."""

    label: str
    measure: str
    value: float | None
    texts: int
    said: int


class AnswerOut(BaseModel):
    """What a version answered to the correction's text, the last time it was asked."""

    version: int
    output: Any
    confidence: float


class SaidOut(BaseModel):
    """What another contributor says of the same text."""

    person: int
    output: Any
    confirmation: bool
    comment: str
    status: str
    same: bool


class JudgedOut(BaseModel):
    """Another verdict on the same correction."""

    reviewer: str
    verdict: str
    reason: str


class OthersOut(BaseModel):
    """What others said; `alike` are corrections that say just the same and wait still."""

    said: list[SaidOut]
    judged: list[JudgedOut]
    alike: list[str]


def router(reviewing: Reviewing, store: Store) -> APIRouter:
    """Return the routes of reviewers."""
    api = APIRouter(prefix="/api/v1/reviews", dependencies=[Depends(json_only)], tags=["staff"])
    _verdict_routes(api, reviewing)
    _reading_routes(api, reviewing, store)
    return api


def _verdict_routes(api: APIRouter, reviewing: Reviewing) -> None:
    @api.post("", status_code=201, summary="Accept, reject or amend a correction")
    def review(body: ReviewIn, reviewer: StaffOf, key: Key = "") -> ReviewOut:
        made = reviewing.judge(reviewer, body.correction_id, body.verdict, body.output, body.reason, key=key)
        return ReviewOut(
            id=made.id, correction_id=made.correction_id, verdict=made.verdict, status=reviewing.status(made.correction_id)
        )

    @api.post("/undo", summary="Take one's own verdicts back, all or none")
    def undo(body: ReviewsIn, reviewer: StaffOf) -> ReopenedOut:
        return ReopenedOut(corrections=reviewing.undo(reviewer, body.reviews))

    @api.post("/unanimous", status_code=201, summary="Accept at once what several people say alike")
    def accept_unanimous(body: CorrectionsIn, reviewer: StaffOf) -> BulkOut:
        made = reviewing.accept_unanimous(reviewer, body.corrections)
        return BulkOut(reviews=list(made.reviews), left_out=made.left_out)

    @api.post("/release", status_code=204, summary="A page is left: what is open in it may be offered to others")
    def release(body: PageIn, _: StaffOf) -> Response:
        reviewing.leases.release(body.page)
        return Response(status_code=204)


def _reading_routes(api: APIRouter, reviewing: Reviewing, store: Store) -> None:
    @api.get("/queue", summary="What waits for a reviewer, most valuable first")
    def queue(_: StaffOf, limit: Annotated[int, Query(ge=1, le=10_000)] = 50) -> list[WaitingOut]:
        return [WaitingOut(**{**item._asdict(), "reasons": list(item.reasons)}) for item in reviewing.queue(limit)]

    @api.get("/unanimous", summary="What may be accepted at once")
    def unanimous(_: StaffOf, limit: Annotated[int, Query(ge=1, le=10_000)] = 200) -> list[UnanimousOut]:
        return [
            UnanimousOut(**{**group._asdict(), "corrections": list(group.corrections)}) for group in reviewing.unanimous(limit)
        ]

    @api.get("/progress", summary="How far the work is")
    def progress(reviewer: StaffOf, since: datetime | None = None) -> ProgressOut:
        return ProgressOut(**reviewing.progress(reviewer, since)._asdict())

    @api.get("/agreement", summary="How far contributors agree, by label")
    def agreement(_: StaffOf) -> list[AgreementOut]:
        return [AgreementOut(**row._asdict()) for row in agreement_between_people(store)]

    @api.get("/{correction_id}/answers", summary="What the model's versions answered to a correction's text")
    def answers(correction_id: str, _: StaffOf) -> list[AnswerOut]:
        return [AnswerOut(**row._asdict()) for row in answers_to(store, correction_id)]

    @api.get("/{correction_id}/others", summary="What others said of a correction's text, once one has judged it")
    def others(correction_id: str, reviewer: StaffOf) -> OthersOut:
        found = reviewing.others(reviewer, correction_id)
        return OthersOut(
            said=[SaidOut(**row._asdict()) for row in found.said],
            judged=[JudgedOut(**row._asdict()) for row in found.judged],
            alike=found.alike,
        )
