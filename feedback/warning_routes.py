"""GET /api/v1/warnings and what acknowledges one, for staff and their programs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from feedback.routes import Body, StaffOf, json_only
from feedback.warnings import Noted, Warnings, facts_of, sentence
from feedback.words import Words


class SeenIn(Body):
    """What was made of a warning, in one's own words; may be empty."""

    reason: str = Field("", max_length=1000)


def router(warnings: Warnings, words: Words) -> APIRouter:
    """Return the routes."""
    api = APIRouter(prefix="/api/v1", tags=["staff"], dependencies=[Depends(json_only)])

    def told(noted: Noted) -> dict[str, Any]:
        warning = noted.warning
        return {
            "id": warning.id, **facts_of(warning), "evidence": warning.evidence, "threshold": warning.threshold,
            "noticed": f"{noted.noticed.isoformat()}Z", "state": warning.state, "author": warning.author, "reason": warning.reason,
            "words": sentence(warning, words.speaker("en")),
        }  # fmt: skip

    @api.get("/warnings", summary="Early warnings of the feed, the newest first")
    def read(_: StaffOf, limit: Annotated[int, Query(ge=1, le=1000)] = 100, standing: bool = False) -> list[dict[str, Any]]:
        return [told(noted) for noted in (warnings.standing() if standing else warnings.all(limit))][:limit]

    @api.post("/warnings/{warning_id}/acknowledgement", status_code=201, summary="Somebody has seen this warning")
    def acknowledge(warning_id: str, body: SeenIn, who: StaffOf) -> dict[str, str]:
        made = warnings.acknowledge(warning_id, who, body.reason)
        return {"id": made.id, "state": made.state}

    return api
