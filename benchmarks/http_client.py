"""A small HTTP/1.1 client for load: one keep-alive connection, one cookie jar, JSON. About a fifth of httpx's CPU.

For benchmarks on the loopback alone: no TLS, no redirects, no proxies, no retries; a server that breaks HTTP raises.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

_LIMIT = 2**22  # bytes a line of a reply may have: the page's config is one line


class Reply(NamedTuple):
    """One answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class Client:
    """One user: a connection that is opened when needed, and the cookies that the server set. One request at a time."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._address = (host, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.cookies: dict[str, str] = {}

    async def request(self, method: str, path: str, data: Any = None, headers: str = "") -> Reply:
        """Send one request (`data` as JSON) and return its reply. Raises OSError and EOFError where the connection breaks."""
        reader = await self._send(method, path, data, headers)
        status, found = await self._head(reader)
        if status == 204:
            body = b""
        elif "content-length" in found:
            body = await reader.readexactly(int(found["content-length"]))
        else:
            body = b"".join([part async for part in _chunks(reader)])
        await self._finish(found)
        return Reply(status, found, body)

    async def events(self, path: str) -> AsyncIterator[Any]:
        """Yield the JSON of each `data:` of an event stream until the server ends it."""
        reader = await self._send("GET", path, None, "accept: text/event-stream\r\n")
        status, found = await self._head(reader)
        if status != 200:
            raise EOFError(f"{path}: the event stream was answered with {status}")
        waiting = b""
        async for part in _chunks(reader):
            waiting += part
            *whole, waiting = waiting.split(b"\n\n")
            for event in whole:
                if event.startswith(b"data:"):
                    yield json.loads(event[5:])
        await self._finish(found)

    async def close(self) -> None:
        """Close the connection; the cookies stay."""
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _send(self, method: str, path: str, data: Any, headers: str) -> asyncio.StreamReader:
        if self._streams and self._streams[0].at_eof():  # the server let go of an idle connection: as browsers do, open another
            await self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=_LIMIT)
        reader, writer = self._streams
        body = b"" if data is None else json.dumps(data).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: {self._address[0]}:{self._address[1]}\r\n{headers}"
        if self.cookies:
            head += "cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()) + "\r\n"
        if data is not None:
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        writer.write(head.encode() + b"\r\n" + body)
        return reader

    async def _head(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        found: dict[str, str] = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            if name == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
            found[name] = value
        return int(lines[0].split(" ", 2)[1]), found

    async def _finish(self, found: dict[str, str]) -> None:
        if found.get("connection", "").lower() == "close":
            await self.close()


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the parts of a chunked body (RFC 9112, section 7.1)."""
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        part = await reader.readexactly(size + 2)
        if size == 0:
            return
        yield part[:-2]
