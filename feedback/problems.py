"""Errors as problem details (RFC 9457): one place where an AmendError becomes an HTTP answer."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from feedback.errors import AmendError, Busy, TooMany

MEDIA_TYPE = "application/problem+json"


def problem(status: int, title: str, detail: str, code: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem document; `code` is the stable name that programs compare."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse({**body, "code": code} if code else body, status, headers=headers, media_type=MEDIA_TYPE)


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


def install(app: FastAPI) -> None:
    """Make the app answer our errors, bad requests and unknown addresses as problem details."""

    @app.exception_handler(AmendError)
    async def _ours(_: Request, error: AmendError) -> JSONResponse:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        said = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
        return problem(422, "Bad input", said)

    @app.exception_handler(Exception)
    async def _unforeseen(_: Request, error: Exception) -> JSONResponse:
        return problem(
            500, "Internal error", f"something unforeseen went wrong ({type(error).__name__}); the log of the server has it"
        )

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), str(error.detail), headers=dict(error.headers or {}))
