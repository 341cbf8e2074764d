"""GET /api/v1/conditions, for staff: what is not as it should be with the app itself, now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from feedback.conditions import Conditions, condition_words
from feedback.routes import StaffOf
from feedback.words import Words


class ConditionOut(BaseModel):
    """One condition that stands: its name, since when (UTC), its figures, and the words of the studio in English."""

    name: str
    since: datetime
    values: dict[str, Any]
    words: str


def router(conditions: Conditions, words: Words) -> APIRouter:
    """Return the route; it asks every probe anew."""
    api = APIRouter(prefix="/api/v1")
    say = words.speaker("en")

    @api.get("/conditions", tags=["staff"], summary="What is not as it should be with the app, now")
    def standing(_: StaffOf) -> list[ConditionOut]:
        return [
            ConditionOut(name=item.name, since=item.since, values=dict(item.values), words=condition_words(item, say))
            for item in conditions.look()
        ]

    return api
