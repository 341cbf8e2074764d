"""Who is asking, found out in ASGI middleware: contributor cookie, staff, language, channel, network.

It sets `scope["state"]["visitor"]` for routes and pages alike, refuses what the door refuses (doors.py) and completes the
answers' headers (headers.py).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import re
import secrets
from collections.abc import Iterable
from datetime import date
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI
from itsdangerous import BadSignature, Signer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from feedback.demo import Demo
from feedback.disk import refused
from feedback.doors import Door, bounded
from feedback.entrance import Entrance, address_of
from feedback.errors import AmendError
from feedback.headers import protect
from feedback.home import Home, write_atomically
from feedback.peers import Peers
from feedback.problems import problem_response
from feedback.records import Visitor, now
from feedback.staff import Staff
from feedback.words import LANGUAGES, preferred

_LOG = logging.getLogger(__name__)
_YEAR = 365 * 24 * 3600
_FORWARDED = (b"x-forwarded-", b"forwarded", b"x-real-ip")


class NetworkHash:
    """Turns an address into a hash of its prefix (/24, /48) under a salt that is thrown away every day."""

    def __init__(self, home: Home) -> None:
        self._path = home.secrets / "network-salt.json"
        self._day: date | None = None
        self._salt = ""

    def of(self, address: str) -> str:
        """Return 16 hex digits for the address's prefix today, or "" for what is no address."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return ""
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped  # a server on "::" sees IPv4 this way: one /48 would hold the whole of IPv4
        prefix = ipaddress.ip_network(f"{ip}/{24 if ip.version == 4 else 48}", strict=False)
        return sha256(f"{self._salt_of_today()}:{prefix}".encode()).hexdigest()[:16]

    def _salt_of_today(self) -> str:
        today = now().date()
        if today == self._day:
            return self._salt
        kept = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        if kept.get("day") != today.isoformat():
            kept = {"day": today.isoformat(), "salt": secrets.token_hex(16)}
            try:
                write_atomically(self._path, json.dumps(kept), 0o600)
            except OSError as error:
                if refused(error) is None:
                    raise
                _LOG.warning("today's salt of network hashes is kept in memory alone: %s", error)  # visitors come all the same
        self._day, self._salt = today, str(kept["salt"])
        return self._salt


class IdentityMiddleware:
    """Pure ASGI: works for plain routes, Gradio's queue and its event streams alike."""

    def __init__(self, app: ASGIApp, *, home: Home, staff: Staff, name: str, door: Door) -> None:
        self._app = app
        self._staff = staff
        self._door = door
        self._signer = Signer(home.secret("identity.key"), salt="contributor")
        self._network = NetworkHash(home)
        self.cookie = f"amend_{name}"
        self.login_cookie = login_cookie(name)
        self.language_cookie = "amend_language"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Identify, check, pass on; set the cookie on the response of a newcomer."""
        if scope["type"] == "websocket":  # no route of ours takes one, and nobody would be asked for a login
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope.setdefault("state", {})
        self._apply_prefix(scope, headers)
        cookies = _cookies(headers.getlist("cookie"))
        visitor, language_choice = self._visitor(scope, headers, cookies)
        scope["state"]["visitor"] = visitor
        secure = scope["scheme"] == "https"
        root = scope.get("root_path", "")
        origin = headers.get("origin", "")
        foreign = bool(origin) and not self._door.is_ours(origin, scope, headers)
        address = address_of(scope)  # now: a mount moves it on

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                if visitor.fresh:
                    out.append("set-cookie", self._cookie(self.cookie, self._sign(visitor.contributor), root or "/", secure))
                if language_choice:
                    out.append("set-cookie", self._cookie(self.language_cookie, language_choice, root or "/", secure))
                protect(out, path=address, secure=secure, embed=self._door.embed, foreign=foreign)
            await send(message)

        try:
            self._door.check(scope, headers)
        except AmendError as error:
            await problem_response(error)(scope, receive, send_with_headers)
            return
        await self._app(scope, bounded(receive, self._door.limit_of(scope)), send_with_headers)

    # -- who -----------------------------------------------------------------------------------------------------

    def _visitor(self, scope: Scope, headers: Headers, cookies: dict[str, str]) -> tuple[Visitor, str]:
        known = self._unsign(cookies.get(self.cookie, ""))
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        wanted = (query.get("lang") or [""])[0]
        choice = wanted if wanted in LANGUAGES else ""
        kept = cookies.get(self.language_cookie, "")
        language = choice or (kept if kept in LANGUAGES else preferred(headers.get("accept-language", "")))
        client = scope.get("client")
        forced = headers.get("x-amend-variant") or (query.get("variant") or [""])[0]
        staff = self._staff_name(headers, cookies)
        return (
            Visitor(
                contributor=known or f"u_{secrets.token_hex(12)}",
                staff=staff,
                channel=_channel(query, headers),
                language=language,
                device="phone" if "Mobi" in headers.get("user-agent", "") else "desktop",
                network=self._network.of(client[0]) if client else "",
                forced_variant=forced if forced and staff else None,
                fresh=known is None,
            ),
            choice,
        )

    def _staff_name(self, headers: Headers, cookies: dict[str, str]) -> str | None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and token:
            return self._staff.holder(token.strip())
        login = cookies.get(self.login_cookie)
        return self._staff.sessions.holder(login) if login else None

    def _sign(self, contributor: str) -> str:
        return self._signer.sign(contributor).decode()

    def _unsign(self, value: str) -> str | None:
        try:
            return self._signer.unsign(value).decode()
        except BadSignature:
            return None

    def _cookie(self, name: str, value: str, path: str, secure: bool) -> str:
        return cookie_header(name, value, path=path, secure=secure, embed=self._door.embed, max_age=_YEAR)

    def _apply_prefix(self, scope: Scope, headers: Headers) -> None:
        """Honour a trusted proxy's X-Forwarded-Prefix: the app then knows its path as the browser sees it."""
        prefix = headers.get("x-forwarded-prefix", "").rstrip("/") if scope["state"].get("from_proxy") else ""
        if prefix and re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix) and not scope.get("root_path"):
            scope["root_path"] = prefix
            scope["path"] = prefix + scope["path"]


class PeerMark:
    """Outermost: notes whether a trusted proxy speaks, before its word replaces the address; from others such words are dropped.

    Gradio believes X-Forwarded-Host of anybody, and writes it into the page as the address of its calls.
    """

    def __init__(self, app: ASGIApp, *, trusted: tuple[str, ...]) -> None:
        self._app = app
        self._trusted = Peers(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set `scope["state"]["from_proxy"]`."""
        if scope["type"] == "http":
            client = scope.get("client")
            trusted = bool(client and client[0] in self._trusted)
            scope.setdefault("state", {})["from_proxy"] = trusted
            if not trusted:
                scope["headers"] = [pair for pair in scope["headers"] if not pair[0].lower().startswith(_FORWARDED)]
        await self._app(scope, receive, send)


def install(app: FastAPI, *, home: Home, staff: Staff, demo: Demo) -> None:
    """Put the middleware around the app: peer mark, the proxy's word on address and scheme, identity, then the entrance."""
    trusted = demo.server.trusted_proxies
    app.add_middleware(Entrance)
    app.add_middleware(IdentityMiddleware, home=home, staff=staff, name=demo.name, door=Door.of(demo))
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(trusted))
    app.add_middleware(PeerMark, trusted=trusted)


def login_cookie(demo: str) -> str:
    """Return the name of the studio's login cookie; two demos on one host keep theirs apart."""
    return f"amend_{demo}_studio"


def cookie_header(name: str, value: str, *, path: str, secure: bool, embed: bool, max_age: int) -> str:
    """Return a Set-Cookie value: HttpOnly always, Secure behind https only, SameSite=None; Partitioned inside frames."""
    parts = [f"{name}={value}", f"Max-Age={max_age}", f"Path={path}", "HttpOnly"]
    if embed and secure:
        parts += ["SameSite=None", "Secure", "Partitioned"]
    else:
        parts += ["SameSite=Lax"] + (["Secure"] if secure else [])
    return "; ".join(parts)


def visitor_of(request: Any) -> Visitor:
    """Return the visitor of a Starlette or Gradio request that came through the middleware."""
    visitor: Visitor = request.state.visitor
    return visitor


def _cookies(headers: Iterable[str]) -> dict[str, str]:
    jar: dict[str, str] = {}
    for header in headers:
        for piece in header.split(";"):
            try:
                parsed = SimpleCookie(piece.strip())
            except CookieError:  # somebody else's malformed cookie must not hide ours
                continue
            jar.update({name: morsel.value for name, morsel in parsed.items()})
    return jar


def _channel(query: dict[str, list[str]], headers: Headers) -> str:
    """Return the partner's channel: the query's, or that of the page that asks; 40 plain characters at most."""
    named = (query.get("channel") or [""])[0]
    if not named and (referer := headers.get("referer")):
        with contextlib.suppress(ValueError):  # "http://[" is no address
            named = (parse_qs(urlsplit(referer).query).get("channel") or [""])[0]
    return named if re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", named) else ""
