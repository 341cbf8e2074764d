"""What is not as it should be with the app itself, now: a condition stands while its probe finds it, and clears by itself.

Unlike an alarm (alarms.py) nobody has to clear it, and nothing of it is stored. The probes: probes.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

from feedback.errors import AmendError
from feedback.records import now
from feedback.watcher import Watcher
from feedback.webhook import Tell
from feedback.words import Say

_LOG = logging.getLogger("amend.conditions")

Found = Mapping[str, object] | None
"""What a probe finds: the values of the condition's words, or None where all is well."""


class Condition(NamedTuple):
    """Something is wrong since `since` (naive UTC); `values` fill the words of `condition.NAME`."""

    name: str
    since: datetime
    values: Mapping[str, object]


class Conditions:
    """Asks every probe now and then, and says when a condition begins and ends. Safe to use from many threads."""

    def __init__(
        self,
        probes: Mapping[str, Callable[[], Found]],
        tell: Tell | None = None,
        *,
        seconds: float = 15.0,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._probes = dict(probes)
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        self._standing: dict[str, Condition] = {}
        self._watcher = Watcher("conditions", self.look, seconds, _LOG, "the conditions could not be looked at", at_once=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all that is looked for."""
        return tuple(self._probes)

    def add(self, name: str, probe: Callable[[], Found]) -> None:
        """Ask this probe too from now on: of a part that is opened after the others."""
        self._probes[name] = probe

    def standing(self) -> list[Condition]:
        """Return what stood at the last look, the oldest first."""
        with self._lock:
            return sorted(self._standing.values(), key=lambda condition: condition.since)

    def look(self) -> list[Condition]:
        """Ask every probe now; return what stands. One that cannot be asked leaves its condition as it was."""
        for name, probe in list(self._probes.items()):
            try:
                found = probe()
            except (AmendError, OSError) as error:
                _LOG.warning("the condition %s could not be looked at: %s", name, error)
                continue
            self._settle(name, found)
        return self.standing()

    def _settle(self, name: str, found: Found) -> None:
        with self._lock:
            known = self._standing.pop(name, None)
            if found is not None:
                self._standing[name] = Condition(name, known.since if known else self._clock(), dict(found))
        if found is not None and known is None:
            _LOG.warning("condition %s began: %s", name, _plain(found))
            if self._tell:
                self._tell("condition_began", condition=name, values=dict(found))
        elif found is None and known is not None:
            _LOG.info("condition %s ended; it stood since %s", name, known.since.isoformat(timespec="seconds"))
            if self._tell:
                self._tell("condition_ended", condition=name, since=known.since.isoformat(timespec="seconds"))

    def begin(self) -> None:
        """Look at once, and every some seconds from now on."""
        self._watcher.begin()

    def close(self) -> None:
        """Stop looking; a look under way is finished first."""
        self._watcher.close()


def condition_words(condition: Condition, say: Say) -> str:
    """Return what is wrong and what helps, in a person's language."""
    return say(f"condition.{condition.name}", **condition.values)


def _plain(values: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) or "no figures"
