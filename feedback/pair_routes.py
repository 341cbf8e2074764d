"""The HTTP routes of side by side: ask for a pair, vote. What they answer names neither variant nor version."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from feedback.admission import Admission
from feedback.pairs import Pairs, PairShown
from feedback.records import Prediction
from feedback.routes import Body, Key, PredictionIn, VisitorOf, json_only


class SideOut(BaseModel):
    """One answer of a pair: correct it like any other by its `id`. `notes` are codes of the words catalogue."""

    id: str
    output: Any
    confidence: float
    notes: list[str] = Field(default_factory=list)


class PairOut(BaseModel):
    """Two blind answers in a random order. `same`: they are equal, and only both or neither can be voted."""

    id: str
    left: SideOut
    right: SideOut
    same: bool


class VoteIn(Body):
    """Which answer is better: left, right, both (are right) or neither."""

    pair_id: str
    choice: Literal["left", "right", "both", "neither"]


class VoteOut(BaseModel):
    """The stored vote."""

    pair_id: str
    choice: str


def router(pairs: Pairs, admission: Admission) -> APIRouter:
    """Return the routes of pairs and votes; `admission` is the desk's."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(json_only)])

    @api.post("/pairs", status_code=201, tags=["visitors"], summary="Ask for two answers side by side")
    async def ask(body: PredictionIn, who: VisitorOf, key: Key = "") -> PairOut:
        return _pair(await admission.run(pairs.predict, who, body.input, key))

    @api.post("/votes", status_code=201, tags=["visitors"], summary="Say which answer of a pair is better")
    async def vote(body: VoteIn, who: VisitorOf) -> VoteOut:
        made = await admission.run(pairs.vote, who, body.pair_id, body.choice)
        return VoteOut(pair_id=made.pair_id, choice=made.choice)

    return api


def _pair(shown: PairShown) -> PairOut:
    return PairOut(id=shown.id, left=_side(shown.left), right=_side(shown.right), same=shown.same)


def _side(made: Prediction) -> SideOut:
    return SideOut(id=made.id, output=made.output, confidence=made.confidence, notes=list(made.notes))
