"""The HTTP routes of questions that were handed over to a person: staff list them and answer them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from feedback.admission import Admission
from feedback.handed_over import HandedOver
from feedback.identity import visitor_of
from feedback.routes import Body, StaffOf, json_only


class QuestionOut(BaseModel):
    """One question that waits; `offered`: the nearest answers that were shown beside it."""

    input_hash: str
    input: Any
    offered: list[Any]
    people: int
    last: datetime


class AnswerIn(Body):
    """A person's answer, in the form of the task's output: an entry's id, or words."""

    output: dict[str, Any]


class AnswerOut(BaseModel):
    """The correction that holds the answer; it is accepted."""

    id: str


def router(handed: HandedOver, admission: Admission) -> APIRouter:
    """Return the routes."""
    api = APIRouter(prefix="/api/v1/questions", tags=["staff"], dependencies=[Depends(json_only)])

    @api.get("", summary="Questions that no answer was sure enough for")
    def waiting(_: StaffOf, limit: Annotated[int, Field(ge=1, le=1000)] = 100) -> list[QuestionOut]:
        return [
            QuestionOut(input_hash=q.input_hash, input=q.input, offered=q.offered, people=q.people, last=q.last)
            for q in handed.waiting(limit)
        ]

    @api.post("/{input_hash}/answers", status_code=201, summary="Answer a question: whoever asks it next is given the answer")
    async def answer(input_hash: str, body: AnswerIn, request: Request, _: StaffOf) -> AnswerOut:
        made = await admission.run(handed.answer, visitor_of(request), input_hash, body.output)
        return AnswerOut(id=made)

    return api
