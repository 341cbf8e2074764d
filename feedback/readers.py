"""Who reads the log now: many at once, and nobody while its file is closed or exchanged. It knows no database."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from feedback.errors import Busy

PATIENCE = 30.0
"""Seconds that a reader waits for the log to be opened anew, and whoever asks for that."""


class Readers:
    """A count of those who read, and a door that the writer shuts. Safe to use from many threads; not reentrant."""

    def __init__(self) -> None:
        self._door = threading.Condition()
        self._count = 0
        self._shut = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read: wait while the door is shut, and keep it open until the end. Raises Busy after PATIENCE."""
        with self._door:
            if not self._door.wait_for(lambda: not self._shut, PATIENCE):
                raise Busy("the log is being opened anew, and its disk is slow: try again", 5)
            self._count += 1
        try:
            yield
        finally:
            with self._door:
                self._count -= 1
                self._door.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody reads, and let nobody begin: a cursor would keep the old file open under the new one's name."""
        with self._door:
            self._shut = True
            self._door.wait_for(lambda: self._count == 0)
        try:
            yield
        finally:
            with self._door:
                self._shut = False
                self._door.notify_all()
