"""Tells the owner that something happened: one POST of JSON to the demo's webhook, in the background, failures remembered."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import httpx

from feedback.records import Json, now

_log = logging.getLogger("amend.webhook")
_SECONDS = 10.0


class Tell(Protocol):
    """Sends an event to the owner; Webhook.tell is one."""

    def __call__(self, event: str, **facts: Any) -> None:
        """Send it, in the background."""


class Delivery(NamedTuple):
    """One attempt: what was sent, when, and what went wrong ("" for nothing)."""

    event: str
    created: datetime
    error: str


class Webhook:
    """Posts events to `url`; with an empty url it does nothing. It never holds up the caller."""

    def __init__(self, url: str, demo: str) -> None:
        self._url = url
        self._demo = demo
        self.last: Delivery | None = None

    def tell(self, event: str, **facts: Json) -> None:
        """Send {"event", "demo", "created", ...facts} in a thread of its own."""
        if self._url:
            body = {"event": event, "demo": self._demo, "created": now().isoformat(timespec="seconds"), **facts}
            threading.Thread(target=self._send, args=(event, body), name="webhook", daemon=True).start()

    def _send(self, event: str, body: dict[str, Json]) -> None:
        try:
            httpx.post(self._url, json=body, timeout=_SECONDS).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            self.last = Delivery(event, now(), str(error))
            _log.warning("the webhook was not reached with %r: %s", event, error)
        else:
            self.last = Delivery(event, now(), "")
