"""Sends a browser where it belongs: to the page of its language, to the login, out of the studio. Programs are left alone."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from feedback.records import Visitor

LANGUAGE_PATHS = {"en": "", "zh": "/zh"}
"""Where each language's pages are mounted."""

_LOGIN = "/studio/login"


class Entrance:
    """Pure ASGI, inside of the identity middleware: redirects whole-page GETs that ask for HTML."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect, or pass on."""
        if scope["type"] == "http" and scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", ""):
            root = scope.get("root_path", "")
            target = _target(scope["path"].removeprefix(root) or "/", scope["state"]["visitor"])
            if target is not None:
                query = scope.get("query_string", b"").decode("latin-1")
                await RedirectResponse(root + target + (f"?{query}" if query else ""), 307)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _target(path: str, visitor: Visitor) -> str | None:
    if path == "/" and visitor.language in LANGUAGE_PATHS and LANGUAGE_PATHS[visitor.language]:
        return LANGUAGE_PATHS[visitor.language] + "/"
    prefixes = [f"{prefix}/studio" for prefix in LANGUAGE_PATHS.values()]
    if any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes) and path != _LOGIN and visitor.staff is None:
        return _LOGIN
    if path in ("/studio", "/studio/") and LANGUAGE_PATHS.get(visitor.language):
        return f"{LANGUAGE_PATHS[visitor.language]}/studio/"
    return None
