"""Sends a browser where it belongs: to the page of its language, to the login, out of the studio. Programs are refused in words."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from feedback.doors import LANGUAGE_PATHS, LOGIN, STUDIOS, check_address
from feedback.errors import AmendError
from feedback.problems import problem_response
from feedback.records import Visitor

__all__ = ["LANGUAGE_PATHS", "Entrance", "address_of"]


class Entrance:
    """Pure ASGI, inside of the identity middleware: redirects whole-page GETs that ask for HTML, checks every address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect, refuse, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, visitor = address_of(scope), scope["state"]["visitor"]
        if scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", ""):
            target = _target(path, visitor)
            if target is not None:
                query = scope.get("query_string", b"").decode("latin-1")
                address = scope.get("root_path", "") + target + (f"?{query}" if query else "")
                await RedirectResponse(address, 307)(scope, receive, send)
                return
        try:
            check_address(scope["method"], path, visitor)
        except AmendError as error:
            await problem_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def address_of(scope: Scope) -> str:
    """Return a request's path without a proxy's prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


def _target(path: str, visitor: Visitor) -> str | None:
    if path == "/" and visitor.language in LANGUAGE_PATHS and LANGUAGE_PATHS[visitor.language]:
        return LANGUAGE_PATHS[visitor.language] + "/"
    if any(path == studio or path.startswith(studio + "/") for studio in STUDIOS) and path != LOGIN and visitor.staff is None:
        return LOGIN
    if path in ("/studio", "/studio/") and LANGUAGE_PATHS.get(visitor.language):
        return f"{LANGUAGE_PATHS[visitor.language]}/studio/"
    return None
