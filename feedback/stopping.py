"""The server that stops in order: nothing new is taken, what was accepted is answered, streams end, the status is 0."""

from __future__ import annotations

import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.routing import Mount

GRACE_SECONDS = 10
"""How long accepted requests have to end once the server was told to stop."""


class Server(uvicorn.Server):
    """uvicorn's, which by itself waits for Gradio's endless streams, and raises the signal again once it has stopped."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._pages = app
        super().__init__(
            uvicorn.Config(
                app, host=host, port=port, proxy_headers=False, server_header=False, log_config=None, log_level="warning",
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )  # fmt: skip

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second signal of any kind does not wait for anybody. The status is that of `main`."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the pages' heartbeats end first: each would hold the server up for the whole grace."""
        for route in self._pages.router.routes:
            stop = getattr(route.app, "stop_event", None) if isinstance(route, Mount) else None
            if stop is not None:
                stop.set()
        await super().shutdown(sockets)
