"""The HTTP routes of a cleaning: begin one, read where it is and what the last one found. For staff alone."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import Field

from feedback.routes import Body, StaffOf, json_only
from model.clean_commands import LIMIT, MOST
from model.cleaner import Cleaner


class CleaningIn(Body):
    """How many suspects are laid before the reviewers at most; in a dry run none is."""

    limit: int = Field(LIMIT, ge=1, le=MOST)
    dry_run: bool = False


def router(cleaner: Cleaner) -> APIRouter:
    """Return the routes of the cleaning."""
    api = APIRouter(prefix="/api/v1", tags=["staff"], dependencies=[Depends(json_only)])

    @api.post("/cleaning", status_code=202, summary="Search the training set for wrong labels and doubled texts")
    def begin(author: StaffOf, body: CleaningIn | None = None) -> dict[str, Any]:
        asked = body or CleaningIn()
        return cleaner.start(author, asked.limit, asked.dry_run)._asdict()

    @api.get("/cleaning", summary="Where the cleaning is, and what the last one found")
    def state(_: StaffOf) -> dict[str, Any]:
        return cleaner.state()._asdict()

    return api
