"""This room's HTTP routes: versions, retrainings, offers, promotions, rollbacks. For staff alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from feedback.errors import NotFound
from feedback.experiments import Experiments
from feedback.routes import Body, StaffOf, json_only
from model import clean_routes
from model.cleaner import Cleaner
from model.lane import Lane
from model.retrain import Retrainer
from model.versions import Versions


class RetrainingIn(Body):
    """Nothing to say: the accepted feedback of now is what is learned from."""


class VersionIn(Body):
    """A plain save_pretrained directory on the server, to be gated and registered."""

    path: str


class OfferIn(Body):
    """A version to make the challenger; `reason` is needed where the gate did not pass it."""

    version: int
    share: float | None = Field(None, gt=0, lt=1)
    reason: str = Field("", max_length=1000)


class PromotionIn(Body):
    """A version to make the champion; `reason` is needed where the gate did not pass it."""

    version: int
    reason: str = Field("", max_length=1000)


class RollbackIn(Body):
    """Give the champion's place back to whoever held it before."""

    reason: str = Field("", max_length=1000)


def router(retrainer: Retrainer, experiments: Experiments, versions: Versions, cleaner: Cleaner, lane: Lane) -> APIRouter:
    """Return the routes of the versions, of what is done with them, and of the cleaning."""
    api = APIRouter(prefix="/api/v1", tags=["staff"], dependencies=[Depends(json_only)])

    @api.get("/versions", summary="Every model version with its card")
    def all_versions(_: StaffOf) -> list[dict[str, Any]]:
        waiting = retrainer.offering.waiting()
        return [
            {
                **card.to_dict(),
                "champion": card.number == experiments.champion,
                "waiting": waiting is not None and card.number == waiting.number,
            }
            for card in versions.cards()
        ]

    @api.post("/versions", status_code=202, summary="Gate and register a checkpoint")
    def add(body: VersionIn, author: StaffOf) -> dict[str, Any]:
        return _run(retrainer.add(Path(body.path), author).id)

    def _run(run_id: str) -> dict[str, Any]:
        for row in retrainer.rounds.all(10_000):
            if row["id"] == run_id:
                progress = retrainer.progress()
                return {**row, "progress": progress._asdict() if progress and progress.run == run_id else None}
        raise NotFound(f"no training {run_id!r}")

    @api.post("/retrainings", status_code=202, summary="Retrain on what is accepted now")
    def retrain(author: StaffOf, _: RetrainingIn | None = None) -> dict[str, Any]:
        return _run(retrainer.start("button", author).id)

    @api.get("/retrainings", summary="Retrainings, newest first")
    def runs(_: StaffOf) -> list[dict[str, Any]]:
        return retrainer.rounds.all()

    @api.get("/retrainings/{run_id}", summary="One retraining, with its progress")
    def one_run(run_id: str, _: StaffOf) -> dict[str, Any]:
        return _run(run_id)

    @api.get("/lane", summary="The fast lane: what it does or waits for, and how soon its newest challenger served")
    def fast_lane(_: StaffOf) -> dict[str, Any]:
        served = lane.last_served()
        return {"state": lane.state()._asdict(), "served": served._asdict() if served else None}

    @api.delete("/retrainings/{run_id}", status_code=204, summary="Cancel a running retraining")
    def cancel(run_id: str, author: StaffOf) -> Response:
        retrainer.cancel(run_id, author)
        return Response(status_code=204)

    @api.post("/offers", status_code=201, summary="Make a version the challenger")
    def offer(body: OfferIn, author: StaffOf) -> dict[str, Any]:
        experiment = retrainer.offering.offer(body.version, body.share, author, body.reason)
        return {"experiment": experiment.name, "number": experiment.number, "version": body.version}

    @api.post("/promotions", status_code=201, summary="Make a version the champion")
    def promote(body: PromotionIn, author: StaffOf) -> dict[str, Any]:
        made = retrainer.offering.promote(body.version, author, body.reason)
        return {"id": made.id, "version": made.version, "previous": made.previous}

    @api.post("/rollbacks", status_code=201, summary="Go back to the earlier champion")
    def roll_back(author: StaffOf, body: RollbackIn | None = None) -> dict[str, Any]:
        made = experiments.roll_back(author, body.reason if body else "")
        return {"id": made.id, "version": made.version, "previous": made.previous}

    whole = APIRouter()
    whole.include_router(api)
    whole.include_router(clean_routes.router(cleaner))
    return whole
