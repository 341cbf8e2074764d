"""The report over HTTP, for staff and their programs. It knows neither the log nor who is staff: both are passed in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends

from analysis.figures import sentences
from analysis.report import Report
from feedback.words import Words

WORDS = Path(__file__).with_name("words.toml")
"""This room's part of the words catalogue."""


def router(report_of: Callable[[str], Report], staff: Callable[..., str]) -> APIRouter:
    """Return the route of the reports. `report_of` raises NotFound for an unknown name; `staff` is a FastAPI dependency."""
    api = APIRouter(prefix="/api/v1")
    english = Words([WORDS]).speaker("en")

    @api.get(
        "/experiments/{name}/report", tags=["staff"], summary="What the log says of an experiment", dependencies=[Depends(staff)]
    )
    def read(name: str) -> dict[str, Any]:
        found = report_of(name)
        return {**found.to_json(), "words": sentences(found, english)}

    return api
