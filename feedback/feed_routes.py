"""POST /api/v1/feed, for staff and their programs: items for the watch, each stored once. It reads nothing by itself."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import Field

from feedback.feeds.item import Item, item_of
from feedback.feeds.reading import Feeds
from feedback.routes import Body, StaffOf, json_only

DEFAULT_SOURCE = "http"


class ItemIn(Body):
    """One text. `published` is ISO 8601 (UTC where it has no offset; now where it is missing), `id` the source's own."""

    text: str
    published: str | None = None
    source: str | None = None
    id: str | None = None
    link: str | None = None


class ItemsIn(Body):
    """Items of a feed; how many at once is in [feed] most."""

    items: list[ItemIn] = Field(max_length=5000)


def router(feeds: Feeds) -> APIRouter:
    """Return the routes."""
    api = APIRouter(prefix="/api/v1", tags=["staff"], dependencies=[Depends(json_only)])

    @api.post("/feed", status_code=201, summary="Items for the watch; one that is known already is not stored again")
    def take(body: ItemsIn, _: StaffOf) -> dict[str, int]:
        taken = feeds.post([_item(number, one) for number, one in enumerate(body.items, 1)])
        return {"stored": taken.stored, "known": taken.known, "old": taken.old}

    @api.get("/feed", summary="How each source of the feed stood when it was read last")
    def standing(_: StaffOf) -> list[dict[str, Any]]:
        return [
            {"source": one.source, "read": f"{one.read.isoformat()}Z", **one.taken._asdict(), "failed": one.failed}
            for one in feeds.standing()
        ]

    return api


def _item(number: int, one: ItemIn) -> Item:
    return item_of(one.model_dump(exclude_none=True), DEFAULT_SOURCE, f"item {number}")
