"""One's own data over HTTP: see it, take it, erase it, by the cookie; and the same by id for administrators."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from feedback.demo import Demo
from feedback.erasing import Erased, Eraser, count_of
from feedback.errors import BadInput, NotFound
from feedback.identity import cookie_header
from feedback.limits import Limits
from feedback.own_data import OwnData, as_json, as_zip, own_data, own_summary
from feedback.privacy import notice
from feedback.routes import Body, Moment, StaffOf, VisitorOf, json_only
from feedback.store import Store
from feedback.words import Words

ERASURES_PER_MINUTE = 2
"""By network prefix: each erasure writes the log and its copies anew."""
Form = Literal["zip", "json"]


class MeOut(BaseModel):
    """What is stored of you. `statuses`: corrections by status; `versions` learned from them; `notice` in your language."""

    contributor: str
    predictions: int
    corrections: int
    votes: int
    statuses: dict[str, int]
    versions: list[int]
    first: str | None
    last: str | None
    notice: list[str]


class EraseMeIn(Body):
    """The word `erase`, so that nobody erases by accident: it cannot be undone."""

    confirm: Literal["erase"]


class EraseIn(Body):
    """Whom to erase; `confirm` repeats the id."""

    contributor: str
    confirm: str


class ErasedOut(BaseModel):
    """What was erased. `versions` had learned from it: they are marked, and the next training leaves it out."""

    id: str
    rows: int
    versions: list[int]
    snapshots: int
    copies: int


class ErasedByStaffOut(ErasedOut):
    """The same, with the copies of the log that could not be reached, and why."""

    left: list[str]


class ErasureOut(BaseModel):
    """One erasure as the log keeps it: no id of a contributor, no text."""

    id: str
    author: str
    rows: int
    versions: list[int]
    created: Moment


def router(eraser: Eraser, store: Store, demo: Demo, limits: Limits, words: Words, cookie: str) -> APIRouter:
    """Return the routes. `cookie` is the name of the contributors' cookie: an erased person begins anew without it."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(json_only)])

    @api.get("/me", tags=["visitors"], summary="What is stored of you")
    def me(who: VisitorOf) -> MeOut:
        said = notice(demo.privacy, words.speaker(who.language or "en"), second_opinions=demo.acceptance.second_opinions)
        return MeOut(**{**own_summary(store, who.contributor)._asdict(), "notice": said})

    @api.get("/me/data", tags=["visitors"], summary="Everything you gave, as a file", response_class=Response)
    def my_data(who: VisitorOf, format: Annotated[Form, Query()] = "zip") -> Response:
        return _file(own_data(store, who.contributor), format, f"{demo.name}-my-data")

    @api.delete("/me", tags=["visitors"], summary="Erase everything you gave, for good")
    def erase_me(body: EraseMeIn, who: VisitorOf, request: Request, response: Response) -> ErasedOut:
        limits.attempt("erasures", who.network or who.contributor, ERASURES_PER_MINUTE)
        done = eraser.erase(who.contributor)
        gone = cookie_header(
            cookie, "", path=request.scope.get("root_path") or "/", secure=request.url.scheme == "https",
            embed=demo.server.embed, max_age=0,
        )  # fmt: skip
        response.headers.append("set-cookie", gone)
        return ErasedOut(**_said(done))

    @api.get("/data/{contributor:path}", tags=["staff"], summary="Everything of one contributor", response_class=Response)
    def their_data(contributor: str, _: StaffOf, format: Annotated[Form, Query()] = "json") -> Response:
        if not any(count_of(store, contributor).values()):
            raise NotFound(f"nothing in the log is of contributor {contributor[:60]!r}", code="nothing_given")
        return _file(own_data(store, contributor, staff=True), format, f"{demo.name}-contributor")

    @api.post("/erasures", status_code=201, tags=["staff"], summary="Erase a contributor, for good")
    def erase(body: EraseIn, author: StaffOf) -> ErasedByStaffOut:
        if body.confirm != body.contributor:
            raise BadInput("confirm does not repeat the contributor's id: nothing was erased, since it cannot be undone")
        done = eraser.erase(body.contributor, author)
        return ErasedByStaffOut(**{**_said(done), "left": list(done.left)})

    @api.get("/erasures", tags=["staff"], summary="The erasures so far")
    def erasures(_: StaffOf) -> list[ErasureOut]:
        return [ErasureOut(**row) for row in eraser.all()]

    return api


def _said(done: Erased) -> dict[str, Any]:
    return {name: getattr(done, name) for name in ("id", "rows", "versions", "snapshots", "copies")}


def _file(data: OwnData, form: Form, name: str) -> Response:
    content, kind = (as_zip(data), "application/zip") if form == "zip" else (as_json(data), "application/json")
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"', "cache-control": "no-store"}
    return Response(content, media_type=kind, headers=headers)
