"""The clients of the storm: each asks and corrects with a key a request, and remembers what was acknowledged. They judge nothing.

A request whose answer was lost is sent again, with the same key, until it is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.http_client import Client

PREDICTIONS, CORRECTIONS = "/api/v1/predictions", "/api/v1/corrections"
_BUSY = (503, 507)


class Request(NamedTuple):
    """What is sent, under its Idempotency-Key; `text` is the input that it is about."""

    path: str
    key: str
    body: dict[str, Any]
    text: str


class Acknowledged(NamedTuple):
    """A request that was answered with 201, and the id in the answer."""

    request: Request
    id: str


class Contributor:
    """One client. `text_of(client, turn)` is what it asks, `label_of(turn)` what it says the answer should be."""

    def __init__(self, number: int, port: int, text_of: Callable[[int, int], str], label_of: Callable[[int], str]) -> None:
        self.number = number
        self.id = ""
        self.acknowledged: list[Acknowledged] = []
        self.retried = 0
        self.resent = 0
        self.changed: list[str] = []  # ids that a request sent again got instead of its first one
        self.pending: Request | None = None
        self._port = port
        self._client = Client(port)
        self._text_of = text_of
        self._label_of = label_of
        self._turn = 0
        self._lost = False

    async def greet(self) -> None:
        """Get the cookie, as a browser does when it loads the page. Raises OSError, EOFError where the server is gone."""
        try:
            self.id = (await self._client.request("GET", "/api/v1/me")).json()["contributor"]
        except (OSError, EOFError):
            await self._gone()
            raise

    async def work(self) -> None:
        """Ask and correct until the server is gone. The last acknowledged request is sent once more first: it must keep its id."""
        try:
            if not self.id:
                await self.greet()
            if self.acknowledged:
                await self._send_again(self.acknowledged[-1])
            while True:
                await self._one()
        except (OSError, EOFError):
            await self._gone()

    async def settle(self) -> None:
        """Send what is still unanswered, and nothing new."""
        while self.pending:
            await self._one()
        await self._client.close()

    async def _gone(self) -> None:
        self._lost = self.pending is not None
        cookies = self._client.cookies
        await self._client.close()
        self._client = Client(self._port)  # whatever was half read is gone with the old one
        self._client.cookies = cookies

    async def _one(self) -> None:
        request = self.pending = self.pending or self._next()
        if self._lost:
            self.retried += 1
            self._lost = False
        reply = await self._client.request("POST", request.path, request.body, f"idempotency-key: {request.key}\r\n")
        if reply.status in _BUSY:
            await asyncio.sleep(0.05)
            return
        if reply.status != 201:
            raise RuntimeError(f"{request.path}: {reply.status} {reply.body[:300]!r}")
        self.acknowledged.append(Acknowledged(request, reply.json()["id"]))
        self.pending = None

    async def _send_again(self, earlier: Acknowledged) -> None:
        request = earlier.request
        reply = await self._client.request("POST", request.path, request.body, f"idempotency-key: {request.key}\r\n")
        if reply.status not in _BUSY:
            self.resent += 1
            if reply.status != 201 or reply.json()["id"] != earlier.id:
                self.changed.append(earlier.id)

    def _next(self) -> Request:
        last = self.acknowledged[-1] if self.acknowledged else None
        if last and last.request.path == PREDICTIONS:
            body = {"prediction_id": last.id, "output": {"label": self._label_of(self._turn)}, "comment": f"turn {self._turn}"}
            return Request(CORRECTIONS, f"c{self._turn}", body, last.request.text)
        self._turn += 1
        text = self._text_of(self.number, self._turn)
        return Request(PREDICTIONS, f"p{self._turn}", {"input": text}, text)
