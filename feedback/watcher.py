"""A thread that looks at something now and then: begun, ended, and not ended by a look that fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from feedback.errors import AmendError


class Watcher:
    """Calls `look` every `seconds`, the first time at once where `at_once` says so, until it is closed.

    An error of `expected` is the thread's outer edge: `failed` names what could not be done in `log`, and the next look tries again.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], object],
        seconds: float,
        log: logging.Logger,
        failed: str,
        *,
        at_once: bool = False,
        expected: tuple[type[Exception], ...] = (AmendError,),
    ) -> None:
        self._look = look
        self._seconds = seconds
        self._log = log
        self._failed = failed
        self._at_once = at_once
        self._expected = expected
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=name, daemon=True)

    def begin(self) -> None:
        """Start looking."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking; a look under way is finished first."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        if not self._at_once and self._stop.wait(self._seconds):
            return
        while not self._stop.is_set():
            try:
                self._look()
            except self._expected as error:
                self._log.warning("%s: %s", self._failed, error)
            self._stop.wait(self._seconds)
