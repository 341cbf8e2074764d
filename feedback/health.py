"""GET /healthz and /readyz: is the process alive, and can it serve? For whoever watches, without a login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from feedback.errors import AmendError
from feedback.experiments import Experiments
from feedback.store import Store


def router(
    demo: str,
    home: str,
    store: Store,
    experiments: Experiments,
    ready: Callable[[int], bool],
    pending: Callable[[], int] = lambda: 0,
) -> APIRouter:
    """Return the two routes; `home` names the home directory, `ready(version)` says whether a version is loaded.

    `pending` counts the requests that the model has not answered yet.
    """
    api = APIRouter(tags=["health"])

    @api.get("/healthz", summary="The process is alive")
    def healthz() -> dict[str, Any]:
        return {"ok": True, "demo": demo, "home": home}

    @api.get("/readyz", summary="The log answers and the champion is loaded")
    def readyz() -> JSONResponse:
        # A disk that refuses writes leaves the app ready: it answers, and says itself what it cannot store.
        state = {
            "storage": "refuses writes" if store.refusing else "ok",
            "pending": pending(),
            "writes_waiting": store.waiting(),
        }
        try:
            store.rows("SELECT 1")
            champion = experiments.champion
        except AmendError as error:
            return JSONResponse({"ready": False, "reason": error.detail, **state}, 503)
        if not ready(champion):
            return JSONResponse({"ready": False, "reason": f"version {champion} is loading", **state}, 503)
        return JSONResponse({"ready": True, "champion": champion, **state})

    return api
