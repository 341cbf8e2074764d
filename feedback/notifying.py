"""Sends an early warning where [watch] notify says (mail, chat, ...), through the library apprise. It decides nothing, and holds nobody up."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from feedback.errors import BadDemo
from feedback.records import EarlyWarning

_LOG = logging.getLogger("amend.warnings")


class Notifier:
    """Sends to every address. An address may hold a password: it is named by its place and kind, never shown.

    `words` gives a warning's sentence, `title` stands above it. Raises BadDemo where the library is absent or an address is none.
    """

    def __init__(self, addresses: Sequence[str], title: str, words: Callable[[EarlyWarning], str]) -> None:
        self._title, self._words = title, words
        self._ways = [(_kind(number, address), _way(number, address)) for number, address in enumerate(addresses, 1)]

    def send(self, warning: EarlyWarning) -> None:
        """Send it to all addresses, in a thread of its own."""
        if self._ways:
            threading.Thread(target=self._send, args=(self._words(warning),), name="notify", daemon=True).start()

    def _send(self, body: str) -> None:
        for kind, way in self._ways:
            if not way.notify(title=self._title, body=body, body_format="text"):
                _LOG.warning("%s was not reached with an early warning; the library's own log says why", kind)


def _way(number: int, address: str) -> Any:
    try:
        library = importlib.import_module("apprise")
    except ImportError as error:
        raise BadDemo("[watch] notify needs the library apprise: pip install -e '.[notify]'") from error
    way = library.Apprise()
    if not way.add(address):
        raise BadDemo(
            f"watch.notify: {_kind(number, address)} is no address that apprise {library.__version__} knows: "
            "mailto://, tgram://, slack://, json:// and others are"
        )
    return way


def _kind(number: int, address: str) -> str:
    return f"address {number} ({address.partition(':')[0][:20]})"
