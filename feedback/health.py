"""GET /healthz and /readyz: is the process alive, and can it serve? For whoever watches, without a login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from feedback.errors import AmendError
from feedback.experiments import Experiments
from feedback.store import Store


def router(demo: str, home: str, store: Store, experiments: Experiments, ready: Callable[[int], bool]) -> APIRouter:
    """Return the two routes; `home` names the home directory, `ready(version)` says whether a version is loaded."""
    api = APIRouter(tags=["health"])

    @api.get("/healthz", summary="The process is alive")
    def healthz() -> dict[str, Any]:
        return {"ok": True, "demo": demo, "home": home}

    @api.get("/readyz", summary="The log answers and the champion is loaded")
    def readyz() -> JSONResponse:
        try:
            store.rows("SELECT 1")
            champion = experiments.champion
        except AmendError as error:
            return JSONResponse({"ready": False, "reason": error.detail}, 503)
        if not ready(champion):
            return JSONResponse({"ready": False, "reason": f"version {champion} is loading"}, 503)
        return JSONResponse({"ready": True, "champion": champion})

    return api
