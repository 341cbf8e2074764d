"""Contributors and alarms over HTTP, for staff: who gave what, block and unblock, what has jumped, clear it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from feedback.alarms import Alarm, Alarms, Watched
from feedback.blocking import Blocking
from feedback.contributors import Contributors, History, Summary
from feedback.reliability import Reliability, TrustRule, numbers
from feedback.routes import Body, Moment, StaffOf, json_only
from feedback.standing import Acceptance, Acceptances


class SummaryOut(BaseModel):
    """One contributor in numbers. `reliability` has the verdict (trusted, too_few, not_trusted) and the numbers behind it."""

    contributor: str
    first_seen: Moment
    last_seen: Moment
    predictions: int
    corrections: int
    confirmations: int
    accepted: int
    rejected: int
    undecided: int
    pending: int
    withdrawn: int
    traps: int
    traps_right: int
    reliability: dict[str, Any]
    blocked: bool
    channel: str
    network: str


class ContributorsOut(BaseModel):
    """A page of the list; `total` counts all that fit the question."""

    contributors: list[SummaryOut]
    total: int


class HistoryOut(BaseModel):
    """One contributor with all they said, newest first. `versions` learned from them."""

    summary: SummaryOut
    said: list[dict[str, Any]]
    traps: list[dict[str, Any]]
    blocks: list[dict[str, Any]]
    versions: list[int]


class BlockIn(Body):
    """Block (true) or unblock (false) a contributor, for a stated reason."""

    contributor: str = Field(min_length=1, max_length=300)
    blocked: bool
    reason: str = Field(min_length=1, max_length=1000)


class BlockOut(BaseModel):
    """What was stored; how many corrections are accepted in all, before and after."""

    contributor: str
    blocked: bool
    author: str
    reason: str
    created: Moment
    accepted_before: int
    accepted_after: int


class ClearIn(Body):
    """Why an alarm is cleared; `normal` where the new rate is as it should be."""

    reason: str = Field(min_length=1, max_length=1000)
    normal: bool = False


class RateOut(BaseModel):
    """How many of how many contributors were refused."""

    refused: int
    of: int


class AlarmOut(BaseModel):
    """The share of refusals by `source`, a policy or a reviewer, has jumped."""

    id: str
    source: str
    raised: Moment
    recent: RateOut
    before: RateOut
    bound: float
    noticed: Moment
    cleared: Moment | None
    author: str
    reason: str
    normal: bool


class WatchedOut(BaseModel):
    """What the test says of a source now: learning, steady or jumped (evidence at the threshold);
    `alarm` names the one that stands."""

    source: str
    state: Literal["learning", "steady", "jumped"]
    recent: RateOut
    before: RateOut
    bound: float
    evidence: float
    threshold: float
    alarm: str


class AlarmsOut(BaseModel):
    """Every source that is watched, and every alarm there ever was, newest first."""

    watched: list[WatchedOut]
    alarms: list[AlarmOut]


Sort = Literal["last_seen", "first_seen", "corrections", "accepted", "rejected", "reliability"]


def router(
    contributors: Contributors, blocking: Blocking, alarms: Alarms, acceptances: Acceptances, rule: TrustRule | None = None
) -> APIRouter:
    """Return the routes. An id may hold any character: it is the rest of the path."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(json_only)], tags=["staff"])

    def out(summary: Summary) -> SummaryOut:
        return summary_out(summary, lambda found: numbers(found, rule))

    @api.get("/contributors", summary="Everybody who came, with counts")
    def everybody(
        _: StaffOf,
        sort: Sort = "last_seen",
        part: Annotated[str, Query(max_length=300)] = "",
        blocked: bool = False,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> ContributorsOut:
        found, total = contributors.everybody(sort, part=part, blocked_only=blocked, limit=limit, offset=offset)
        return ContributorsOut(contributors=[out(summary) for summary in found], total=total)

    @api.get("/contributors/{contributor:path}", summary="One contributor: all they said and what came of it")
    def one(contributor: str, _: StaffOf, limit: Annotated[int, Query(ge=1, le=5000)] = 200) -> HistoryOut:
        return _history(contributors.one(contributor, limit), out)

    @api.post("/blocks", status_code=201, summary="Block or unblock a contributor")
    def block(body: BlockIn, author: StaffOf) -> BlockOut:
        act = blocking.block if body.blocked else blocking.unblock
        done = act(body.contributor, author, body.reason)
        return BlockOut(**asdict(done.block), accepted_before=done.before, accepted_after=done.after)

    @api.get("/acceptance", summary="How answers are accepted now, and how well that is calibrated")
    def acceptance(_: StaffOf) -> Acceptance:
        return acceptances.now()

    @api.get("/alarms", summary="Rejection rates that are watched, and alarms")
    def all_alarms(_: StaffOf) -> AlarmsOut:
        watched = alarms.watched()
        return AlarmsOut(watched=[_watched(item) for item in watched], alarms=[alarm_out(alarm) for alarm in alarms.all()])

    @api.post("/alarms/{alarm_id}/clear", summary="Clear an alarm")
    def clear(alarm_id: str, body: ClearIn, author: StaffOf) -> AlarmOut:
        return alarm_out(alarms.clear(alarm_id, author, body.reason, normal=body.normal))

    return api


def summary_out(summary: Summary, told: Callable[[Reliability], dict[str, object]]) -> SummaryOut:
    """Return a summary as the routes show it; `told` turns a reliability into numbers."""
    return SummaryOut(**{**summary._asdict(), "reliability": told(summary.reliability)})


def alarm_out(alarm: Alarm) -> AlarmOut:
    """Return an alarm as the routes show it."""
    return AlarmOut(**{**asdict(alarm), "recent": _rate(alarm.recent), "before": _rate(alarm.before)})


def _rate(rate: tuple[int, int]) -> RateOut:
    return RateOut(refused=rate[0], of=rate[1])


def _watched(item: Watched) -> WatchedOut:
    jump = item.jump
    return WatchedOut(
        source=item.source,
        state=jump.state,
        recent=_rate(jump.recent),
        before=_rate(jump.before),
        bound=round(jump.bound, 4),
        evidence=round(jump.evidence, 3),
        threshold=round(jump.threshold, 1),
        alarm=item.alarm.id if item.alarm else "",
    )


def _history(history: History, out: Callable[[Summary], SummaryOut]) -> HistoryOut:
    return HistoryOut(
        summary=out(history.summary),
        said=[{**item._asdict(), "verdicts": [one._asdict() for one in item.verdicts]} for item in history.said],
        traps=[item._asdict() for item in history.traps],
        blocks=[asdict(block) for block in history.blocks],
        versions=list(history.versions),
    )
