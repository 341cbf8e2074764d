"""Keeps a catalogue up to date with what is accepted: a new answer is found by the next visitor, with no training in between."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from feedback.errors import AmendError
from feedback.records import Json, Record, Review, Withdrawal
from feedback.store import Store
from feedback.watcher import Watcher
from feedback.written import written_answers
from model.catalogue import Catalogue, Entry

_SECONDS = 0.5
_LOG = logging.getLogger("amend.live")

Additions = Callable[[Sequence[tuple[Json, Json]]], list[Entry]]
"""Makes entries of accepted answers, given as (input, output)."""


class Live:
    """Watches the log for accepted answers. It reads only when a verdict came in, or rows were removed (an erasure)."""

    def __init__(self, store: Store, catalogue: Catalogue, additions: Additions) -> None:
        self._store = store
        self._catalogue = catalogue
        self._additions = additions
        self._heard = threading.Event()
        self._heard.set()
        self._rewrites = store.rewrites
        self._watcher = Watcher("live-catalogue", self.look, _SECONDS, _LOG, "accepted answers could not be read")
        store.listen(self)

    def begin(self) -> None:
        """Take up what stands accepted, then look by itself."""
        self.look()
        self._watcher.begin()

    def close(self) -> None:
        """Stop looking."""
        self._watcher.close()

    def look(self) -> None:
        """Bring the catalogue up to date where something was judged, withdrawn or erased since."""
        rewrites = self._store.rewrites
        if not self._heard.is_set() and rewrites == self._rewrites:
            return
        self._heard.clear()
        try:
            self._catalogue.add(self._additions(written_answers(self._store)))
        except AmendError:
            self._heard.set()  # what was heard is still to be looked at
            raise
        self._rewrites = rewrites

    def stored(self, rows: Sequence[Record]) -> None:
        """See store.Listener."""
        if any(isinstance(row, (Review, Withdrawal)) for row in rows):
            self._heard.set()

    def refused(self, error: AmendError) -> None:
        """See store.Listener: nothing was stored."""
