"""Annotated data in and out over HTTP, for staff: upload, import, export by set and channel, counts by channel."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from feedback.errors import BadInput
from feedback.exchange.annotation import COLUMNS, Reading, Widget
from feedback.exchange.conll import Words, plain_words
from feedback.exchange.forms import MEDIA_TYPES, read_file, write_file
from feedback.exchange.incoming import CHANNEL, Importer
from feedback.exchange.outgoing import annotations_of, channel_counts
from feedback.exchange.uploads import Uploads
from feedback.routes import Body, Moment, StaffOf, json_only
from feedback.store import Store

Form = Literal["csv", "jsonl", "conll", "label_studio", "question_answers"]


class PartIn(Body):
    """A part of a file. `sha256` is the whole file's and names the upload; `offset` in bytes; `data` in base64."""

    sha256: str
    offset: int = Field(ge=0)
    data: str


class ImportIn(Body):
    """A file to import: its text as `content`, or uploaded before under its `sha256`.

    `source` names where it comes from (default: `name`); the same source again stores only what is new. `columns`: our
    name -> the file's. `annotators`: columns that hold one annotator's answers each. `gold`: every row is of known
    truth. `accepted`: rows whose status is accepted are accepted on your word.
    """

    name: str = Field(min_length=1, max_length=200)
    form: Form
    content: str | None = None
    sha256: str | None = None
    source: str = Field("", max_length=200)
    channel: str = CHANNEL
    columns: dict[str, str] = Field(default_factory=dict)
    annotators: list[str] = Field(default_factory=list, max_length=1000)
    gold: bool = False
    accepted: bool = False
    least_rating: float | None = None


class TakenOut(BaseModel):
    """What an import did; `ignored` says what of the file was left out, and how often."""

    stored: int
    known: int
    repeated: int
    traps: int
    known_traps: int
    accepted: int
    annotators: int
    ignored: dict[str, int]


class ChannelOut(BaseModel):
    """What came by one channel ("" is none)."""

    channel: str
    visitors: int
    predictions: int
    corrections: int
    accepted: int
    rejected: int
    since: Moment
    latest: Moment


def router(
    importer: Importer,
    store: Store,
    uploads: Uploads,
    *,
    widget: Widget,
    rename: Mapping[str, str] | None = None,
    words: Words = plain_words,
) -> APIRouter:
    """Return the routes. `words` cuts a text as the task does (CoNLL); `rename` is the demo's, a file's label -> ours."""
    api = APIRouter(prefix="/api/v1", tags=["staff"], dependencies=[Depends(json_only)])

    @api.post("/exchange/uploads", status_code=201, summary="A part of a file to import")
    def upload(body: PartIn, _: StaffOf) -> dict[str, int]:
        try:
            part = base64.b64decode(body.data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadInput(f"data is not base64: {error}") from error
        return {"bytes": uploads.append(body.sha256, body.offset, part)}

    @api.post("/exchange/imports", status_code=201, summary="Annotated data of a file, through the acceptance policy")
    def import_(body: ImportIn, who: StaffOf) -> TakenOut:
        how = reading_of(body, widget, rename or {})
        if (body.content is None) == (body.sha256 is None):
            raise BadInput("send the file as 'content', or upload it and send its 'sha256': one of the two")
        raw = uploads.take(body.sha256) if body.sha256 else (body.content or "").encode("utf-8", "surrogatepass")
        read = read_file(raw, body.name, body.form, how)
        source = body.source or body.name
        taken = importer.take(read.annotations, source, who, channel=body.channel, accepted=body.accepted)
        return TakenOut(**taken._asdict(), ignored=read.ignored)

    @api.get("/exchange/exports/{form}", summary="What people said, as annotated data", response_class=Response)
    def export(
        form: Form,
        _: StaffOf,
        which: Literal["accepted", "all", "training", "gold"] = "accepted",
        channel: Annotated[str | None, Query(max_length=40)] = None,
    ) -> Response:
        return Response(write_file(annotations_of(store, which, channel), form, words), media_type=MEDIA_TYPES[form])

    @api.get("/channels", summary="What came by each channel")
    def channels(_: StaffOf) -> list[ChannelOut]:
        return [ChannelOut(**counts._asdict()) for counts in channel_counts(store)]

    return api


def reading_of(body: ImportIn, widget: Widget, rename: Mapping[str, str]) -> Reading:
    """Return how a file is to be read; raise BadInput for a column that we do not know."""
    unknown = [name for name in body.columns if name not in COLUMNS]
    if unknown:
        raise BadInput(f"unknown column {unknown[0]!r}: ours are {', '.join(COLUMNS)}")
    if re.search(r"[\x00-\x1f]", body.name + body.source):
        raise BadInput("name and source are plain words: no control characters")
    return Reading(widget, body.columns, tuple(body.annotators), body.gold, body.least_rating, rename)
