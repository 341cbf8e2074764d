"""What no route should see, refused at the door: foreign pages, bodies too large, addresses that no page of ours uses, the studio
without a login. It knows addresses and headers, and no use case.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from feedback.demo import Demo
from feedback.errors import Forbidden, NotFound, TooLarge, Unauthorised
from feedback.records import Visitor

LANGUAGE_PATHS = {"en": "", "zh": "/zh"}
"""Where each language's pages are mounted."""
STUDIOS = tuple(f"{prefix}/studio" for prefix in LANGUAGE_PATHS.values())
LOGIN = "/studio/login"
_AT_THE_DOOR = (("GET", LOGIN), ("POST", LOGIN), ("POST", "/studio/logout"))
GRADIO = "/gradio_api/"
OPEN = frozenset(
    {
        "app_id", "call", "cancel", "component_server", "heartbeat", "info", "login_check", "openapi.json", "queue",
        "reset", "theme.css", "user",
    }
)  # fmt: skip
"""First parts of Gradio's addresses that our pages and gradio_client use. All others are closed, for staff too: uploads, files and
the proxy of other hosts, streams, recordings, its editor of source code, its run history, whatever a later release adds.
"""
CLOSED = ("login", "logout", "monitoring", "openapi.json", "pwa_icon")
"""Gradio's addresses beside the page itself that nothing here uses; its login is not ours."""
_SAFE = ("GET", "HEAD", "OPTIONS")


class Door(NamedTuple):
    """The door's settings: whether foreign pages may frame ours, their origins that may write, the largest body in bytes."""

    embed: bool
    origins: tuple[str, ...]
    max_body_bytes: int

    @classmethod
    def of(cls, demo: Demo) -> Door:
        """Return the settings of a demo."""
        return cls(demo.server.embed, demo.server.origins, demo.limits.max_body_bytes)

    def check(self, scope: Scope, headers: Headers) -> None:
        """Raise TooLarge or Forbidden for what is not let in, whoever asks."""
        length, limit = headers.get("content-length", "0"), self.limit_of(scope)
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > limit:
            raise TooLarge(
                f"the request's body has {length[:40]} bytes; the limit is {limit} (limits.max_body_bytes)", code="body_too_large"
            )
        if scope["method"] in _SAFE:
            return
        origin = headers.get("origin")
        if origin and not self.is_ours(origin, scope, headers):
            raise Forbidden(f"the origin {origin[:200]!r} is not this site (server.origins allows others)", code="origin")
        if not origin and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Forbidden("a page of another site sent this without saying which (Origin): it is not taken", code="origin")

    def is_ours(self, origin: str, scope: Scope, headers: Headers) -> bool:
        """Return whether a page of this origin may write here: the page's own host, or one that server.origins names."""
        hosts = {headers.get("host", "")}
        if scope["state"].get("from_proxy"):
            hosts.add(headers.get("x-forwarded-host", ""))
        return _host_of(origin) in hosts - {""} or origin in self.origins

    def limit_of(self, scope: Scope) -> int:
        """Return the largest body in bytes: Gradio's own routes carry the page's state beside the text and get room for it."""
        return self.max_body_bytes if "/api/" in scope["path"] else 8 * self.max_body_bytes


def check_address(method: str, path: str, visitor: Visitor) -> None:
    """Raise Unauthorised for the studio without a login, NotFound or Forbidden for what of Gradio's no page of ours uses.

    `path` is without the proxy's prefix.
    """
    if (method, path) in _AT_THE_DOOR:
        return
    inside = path
    mount = next((one for one in STUDIOS if path == one or path.startswith(f"{one}/")), None)
    if mount is not None:
        if visitor.staff is None:
            raise Unauthorised("the studio is for staff only: log in at /studio/login")
        inside = path[len(mount) :]
    else:
        for prefix in filter(None, LANGUAGE_PATHS.values()):
            if path.startswith(f"{prefix}/"):
                inside = path[len(prefix) :]
    if inside.startswith(GRADIO):
        name = inside[len(GRADIO) :].partition("/")[0].partition("=")[0]
        if name == "upload":
            raise Forbidden("files are not taken here: no page of this app needs an upload")
        if name not in OPEN:
            raise NotFound(f"there is no {GRADIO}{name[:40]} here: no page of this app uses it")
    elif inside.split("/")[1:2] and inside.split("/")[1] in CLOSED:
        raise NotFound(f"there is no /{inside.split('/')[1]} here")


def bounded(receive: Receive, limit: int) -> Receive:
    """Stop a body that grows past the limit although no Content-Length announced it."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, f"the request's body is larger than the limit of {limit} bytes (limits.max_body_bytes)")
        return message

    return counted


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # "http://[" is no address
        return ""
