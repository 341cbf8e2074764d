"""What was noted, handed over together some moments later, in a thread of its own. It knows nothing of what it hands over."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from feedback.errors import AmendError

_LOG = logging.getLogger(__name__)
_REST = 9.0  # times as long as the last call took, until the next: a tenth of a core at most


class Noted:
    """Calls `act(names)` with all that was noted since the last call, once at the beginning with nothing, never twice at once.

    An AmendError is the thread's outer edge: what `act` was called with is noted again, and goes with what is noted next.
    """

    def __init__(self, act: Callable[[frozenset[str]], object], pause: float, name: str, failed: str) -> None:
        self._act = act
        self._pause = pause
        self._failed = failed
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._heard = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=name, daemon=True)

    def begin(self) -> None:
        """Hand over by itself from now on."""
        self._heard.set()
        self._thread.start()

    def close(self) -> None:
        """Stop; a call under way is finished first."""
        self._ended.set()
        self._heard.set()
        if self._thread.is_alive():
            self._thread.join()

    def note(self, name: str) -> None:
        """Have a name handed over, `pause` seconds from now or somewhat later."""
        with self._lock:
            self._names.add(name)
        self._heard.set()

    def _watch(self) -> None:
        took = 0.0
        while True:
            self._heard.wait()
            if self._ended.wait(max(self._pause, _REST * took)):
                return
            self._heard.clear()
            with self._lock:
                names, self._names = frozenset(self._names), set()
            began = time.monotonic()
            try:
                self._act(names)
            except AmendError as error:
                _LOG.warning("%s: %s", self._failed, error)
                with self._lock:
                    self._names |= names
            took = time.monotonic() - began
