"""This room's HTTP routes: predictions, corrections, exports. The same use cases as the page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from feedback.backups import back_up
from feedback.desk import Desk, Given
from feedback.errors import BadInput, Conflict, Unauthorised
from feedback.identity import visitor_of
from feedback.records import Visitor
from feedback.store import Store
from feedback.transfer import MEDIA_TYPES, check_log, export_table, import_rows


class Body(BaseModel):
    """Base of request bodies: an unknown field is an error, not a silent loss."""

    model_config = ConfigDict(extra="forbid")


Moment = Annotated[
    datetime,
    PlainSerializer(lambda moment: f"{moment.isoformat()}Z", return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time of the log, which keeps naive UTC: a program must be told that it is UTC (RFC 3339)."""


class PredictionIn(Body):
    """An input, in the form that the demo's task defines (mostly a string)."""

    input: Any


class PredictionOut(BaseModel):
    """An answer; `confidence` is one number in 0..1 for the whole of it. `notes` are codes of the words catalogue.

    `id` is empty, and note.not_recorded among the notes, where the log's disk takes no more: nothing can be said of the answer.
    """

    id: str
    output: Any
    confidence: float
    variant: str
    version: int
    notes: list[str] = Field(default_factory=list)


class CorrectionIn(Body):
    """What the answer should be; an output equal to the shown one confirms it."""

    prediction_id: str
    output: Any
    comment: str = ""


class CorrectionOut(BaseModel):
    """Where a correction stands: pending, accepted, rejected, undecided or withdrawn."""

    id: str
    status: str


class GivenOut(BaseModel):
    """One's own correction: `versions` learned from it, `checks` were judged by it."""

    id: str
    prediction_id: str
    input: Any
    shown: Any
    output: Any
    confirmation: bool
    comment: str
    status: str
    reason: str
    versions: list[int]
    checks: list[int]
    created: Moment


class RowsIn(Body):
    """Rows of a table as an export gives them."""

    rows: list[dict[str, Any]] = Field(max_length=5000)


Key = Annotated[str, Header(alias="Idempotency-Key", max_length=200)]


# Coroutines: a plain function would be run in a thread, which costs more than all that these do.
async def visitor(request: Request) -> Visitor:
    """Return who asks, as the middleware found out."""
    return visitor_of(request)


def staff(request: Request) -> str:
    """Return the name of the member of staff who asks; raise Unauthorised for anybody else."""
    name = visitor_of(request).staff
    if name is None:
        raise Unauthorised(
            "for staff only: send 'Authorization: Bearer TOKEN' (python -m feedback.staff token NAME), or log in at /studio"
        )
    return name


async def json_only(request: Request) -> None:
    """Refuse bodies that a foreign page's form could send: JSON routes take application/json and nothing else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and kind != "application/json":
        raise NotJson(f"content type {kind or 'none'!r}: this route takes application/json")


class NotJson(BadInput):
    """The body's content type is not application/json."""

    status = 415
    title = "Unsupported media type"


VisitorOf = Annotated[Visitor, Depends(visitor)]
StaffOf = Annotated[str, Depends(staff)]


def router(desk: Desk, store: Store, backups: Path) -> APIRouter:
    """Return the routes of the desk and the log."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(json_only)])
    _visitor_routes(api, desk)
    _log_routes(api, store, backups)
    return api


def _visitor_routes(api: APIRouter, desk: Desk) -> None:
    @api.post(
        "/predictions",
        status_code=201,
        tags=["visitors"],
        summary="Ask the model",
        responses={200: {"model": PredictionOut, "description": "Answered, and not recorded: the log's disk takes no more"}},
    )
    async def predict(body: PredictionIn, who: VisitorOf, response: Response, key: Key = "") -> PredictionOut:
        made = await desk.admission.run(desk.predict, who, body.input, key)
        if not made.id:
            response.status_code = 200  # nothing was created
        return PredictionOut(
            id=made.id,
            output=made.output,
            confidence=made.confidence,
            variant=made.variant,
            version=made.version,
            notes=list(made.notes),
        )

    @api.post("/corrections", status_code=201, tags=["visitors"], summary="Say what the answer should be")
    async def correct(body: CorrectionIn, who: VisitorOf, key: Key = "") -> CorrectionOut:
        correction, status = await desk.admission.run(desk.correct, who, body.prediction_id, body.output, body.comment, key)
        return CorrectionOut(id=correction.id, status=status)

    @api.get("/corrections", tags=["visitors"], summary="One's own corrections")
    def given(who: VisitorOf, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[GivenOut]:
        return [_given(item) for item in desk.given(who, limit)]

    @api.delete("/corrections/{correction_id}", status_code=204, tags=["visitors"], summary="Withdraw one's own correction")
    async def withdraw(correction_id: str, who: VisitorOf) -> Response:
        await desk.admission.run(desk.withdraw, who, correction_id)
        return Response(status_code=204)


def _log_routes(api: APIRouter, store: Store, backups: Path) -> None:
    @api.get("/exports/{table}", tags=["staff"], summary="A raw table or view, while the app runs", response_class=Response)
    def export(table: str, _: StaffOf, format: Literal["parquet", "csv", "jsonl"] = "csv") -> Response:
        return Response(export_table(store, table, format), media_type=MEDIA_TYPES[format])

    @api.post("/imports/{table}", status_code=201, tags=["staff"], summary="Add exported rows of a table")
    def import_(table: str, body: RowsIn, _: StaffOf) -> dict[str, int]:
        if table in ("experiments", "promotions"):
            raise Conflict(
                f"{table} decide what serves: they are imported while the app is stopped (python -m feedback.store import)"
            )
        return import_rows(store, table, body.rows)._asdict()

    @api.get("/checks", tags=["staff"], summary="What does not hang together in the log")
    def checks(_: StaffOf) -> list[str]:
        return check_log(store)

    @api.post("/backups", status_code=201, tags=["staff"], summary="A verified copy of the log on the server's disk")
    def backup(_: StaffOf) -> dict[str, str]:
        return {"path": str(back_up(store, backups))}


def _given(item: Given) -> GivenOut:
    return GivenOut(**{**item._asdict(), "versions": list(item.versions), "checks": list(item.checks)})
