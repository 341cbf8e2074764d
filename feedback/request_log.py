"""One line and one count a request, in ASGI middleware: id, method, route, status, time. Never the text, the query or a cookie.

It is the outermost of ours, so its clock sees all, and the id that it gives is in every answer (`X-Request-ID`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import perf_counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feedback import log_lines
from feedback.metrics import Meter
from feedback.peers import Peers

HEADER = "x-request-id"
UNMATCHED = "unmatched"
"""The route of a request that no route answers: its path is a stranger's choice, and stays out of lines and labels."""

_GONE = 499
"""Nothing was answered, since nobody waited for it any more (nginx's number for it)."""
_LOG = logging.getLogger("amend.request")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-real-ip", "via")
_QUIET = ("/healthz", "/readyz", "/metrics", "/assets/", "/static/", "/theme.css", "/gradio_api/heartbeat")
"""Asked for every few seconds, or by the dozen with every page: their lines are for debugging."""


class RequestLog:
    """Pure ASGI. `trusted` are the proxies whose X-Request-ID is honoured, `mounts` the paths under which pages are mounted."""

    def __init__(self, app: ASGIApp, *, meter: Meter, trusted: Sequence[str], mounts: Sequence[str] = ()) -> None:
        self._app = app
        self._meter = meter
        self._trusted = Peers(trusted)
        self._mounts = sorted(mounts, key=len, reverse=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with an id; then tell of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client, headers = scope.get("client"), Headers(scope=scope)
        peer = str(client[0]) if client else ""  # before a proxy's word replaces it
        facts = log_lines.begin(headers.get(HEADER, "") if peer in self._trusted else "")
        relayed = any(name in headers for name in _FORWARDED)  # before a stranger's words are dropped
        scope.setdefault("state", {}).update(peer=peer, relayed=relayed)
        began = perf_counter()
        status, answered = 0, 0.0

        async def send_with_id(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], perf_counter() - began
                MutableHeaders(scope=message)[HEADER] = facts["request_id"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except BaseException:
            # The server's own edge answers 500 outside of this middleware; a stream that breaks has begun its answer.
            status = status or 500
            raise
        finally:
            taken = perf_counter() - began
            self._tell(scope, status or _GONE, answered or taken, taken, facts)

    def _tell(self, scope: Scope, status: int, answered: float, taken: float, facts: dict[str, object]) -> None:
        """Count and log one request. A stream's time to the first byte is what the histogram takes, its whole time the line."""
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = self._route(scope)
        self._meter.request(method, route, status, answered)
        level = logging.DEBUG if status < 400 and any(part in route for part in _QUIET) else logging.INFO
        if _LOG.isEnabledFor(level):
            told = {"method": method, "route": route, "status": status, "ms": round(1000 * taken, 1), **facts}
            _LOG.log(level, "%s %s %d in %.1f ms", method, route, status, 1000 * taken, extra={"facts": told})

    def _route(self, scope: Scope) -> str:
        """Return the template of the route that answered, below its page's mount; never the path that was asked for."""
        template = getattr(scope.get("route"), "path", None)
        if not isinstance(template, str):
            return UNMATCHED
        root = str(scope.get("root_path", ""))
        mount = next((mount for mount in self._mounts if mount and root.endswith(mount)), "")
        return mount + template
