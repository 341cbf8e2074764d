"""Second opinions over HTTP: ask for a text to judge; the answer goes to POST /api/v1/corrections like any other."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from feedback.admission import Admission
from feedback.asking import Asking
from feedback.routes import Body, VisitorOf, json_only


class NextIn(Body):
    """Nothing: what is asked about is chosen by what helps most."""


class OpinionOut(BaseModel):
    """A text that somebody else put in, with the answer of one's own variant to it; correct or confirm it by its id."""

    id: str
    input: Any
    output: Any
    confidence: float
    notes: list[str] = Field(default_factory=list)


def router(asking: Asking, admission: Admission) -> APIRouter:
    """Return the route; `admission` is the desk's. It names neither variant nor version, and not why a text was chosen."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(json_only)], tags=["visitors"])

    @api.post(
        "/opinions",
        status_code=201,
        summary="Ask for a text that needs another opinion",
        response_model=OpinionOut,
        responses={204: {"description": "Nothing waits for you"}},
    )
    async def ask(_: NextIn, who: VisitorOf) -> Any:
        made = await admission.run(asking.next, who)
        if made is None:
            return Response(status_code=204)
        return OpinionOut(id=made.id, input=made.input, output=made.output, confidence=made.confidence, notes=list(made.notes))

    return api
