"""Errors as problem details (RFC 9457): one place where an AmendError becomes an HTTP answer."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from feedback.disk import refused
from feedback.errors import AmendError, Busy, StorageFull, TooMany, Unauthorised
from feedback.log_lines import request_id

MEDIA_TYPE = "application/problem+json"
_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "Why a request was refused (RFC 9457). `code` is a stable name that programs may compare.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
_ANYWHERE = (400, 403, 404, 405, 409, 413, 415, 422, 429, 503, 507)
"""What any route may answer: the door's refusals, the desk's, and those of a log that is busy or has no room."""


def problem(status: int, title: str, detail: str, code: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem document; `code` is the stable name that programs compare, `request_id` what the server's log calls it."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    named = {key: value for key, value in (("code", code), ("request_id", request_id())) if value}
    return JSONResponse({**body, **named}, status, headers=headers, media_type=MEDIA_TYPE)


def problem_response(error: AmendError) -> JSONResponse:
    """Return the problem document of an error of ours."""
    headers: dict[str, str] = {}
    if isinstance(error, (TooMany, Busy)):
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.title, error.detail, error.code, headers)


def unknown_api(app: FastAPI) -> None:
    """Answer every other address under /api/ as a problem; added last of the routes, before the pages are mounted at /."""
    known = list(app.router.routes)

    @app.api_route("/api/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], include_in_schema=False)
    async def _unknown(request: Request, rest: str) -> JSONResponse:
        if any(route.matches(request.scope)[0] == Match.PARTIAL for route in known):
            return problem(405, "Method not allowed", f"{request.method} is not a method of /api/{rest}: see /api/docs")
        return problem(404, "Not found", f"there is no /api/{rest}: see /api/docs")


def describe(app: FastAPI) -> None:
    """Declare the problems in the app's OpenAPI description: FastAPI by itself knows only its own shape of a 422."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        document = plain()  # FastAPI keeps it, so it is completed once
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        if "Problem" not in schemas:
            schemas["Problem"] = _SCHEMA
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for operation in _operations(document):
                operation["responses"].pop("422", None)
                operation["responses"] |= _answers("staff" in operation.get("tags", ()))
        return document

    app.openapi = described  # type: ignore[method-assign] # the way that FastAPI documents


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from (operation for operation in path.values() if isinstance(operation, dict) and "responses" in operation)


def _answers(staff: bool) -> dict[str, Any]:
    statuses = (*_ANYWHERE, *((Unauthorised.status,) if staff else ()))
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(statuses)}


def install(app: FastAPI) -> None:
    """Make the app answer our errors, bad requests and unknown addresses as problem details, and say so in its description."""
    describe(app)

    @app.exception_handler(AmendError)
    async def _ours(_: Request, error: AmendError) -> JSONResponse:
        return problem_response(error)

    @app.exception_handler(OSError)
    async def _disk(_: Request, error: OSError) -> JSONResponse:
        if refused(error) is None:
            raise error
        # Whatever wanted to write beside the log (alarms, uploads, an erasure's plan): its disk takes no more either.
        return problem_response(StorageFull(f"the server's disk takes no more ({error.strerror}): nothing was stored"))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        said = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        return problem(422, "Bad input", said)

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, error: Exception) -> JSONResponse:
        known = request_id()
        name, headers = (f" under {known}", {"X-Request-ID": known}) if known else ("", None)
        return problem(
            500,
            "Internal error",
            f"something unforeseen went wrong ({type(error).__name__}); the log of the server has it{name}",
            headers=headers,
        )

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), str(error.detail), headers=dict(error.headers or {}))
