"""Decides an experiment by itself, where the demo's TOML says `promote = "automatic"`. What wins it is asked of a callable."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from feedback.experiments import Experiments
from feedback.watcher import Watcher

AUTHOR = "policy:promote"
_LOG = logging.getLogger(__name__)


class Winner(Protocol):
    """The variant that may be shipped, and why in a sentence for the log."""

    @property
    def challenger(self) -> str:
        """Return the variant's name."""

    @property
    def reason(self) -> str:
        """Return the sentence."""


class Autopilot:
    """Looks every `seconds` whether the running experiment has a winner to ship, decides it so, and promotes the version."""

    def __init__(self, experiments: Experiments, winner_of: Callable[[str], Winner | None], seconds: float = 60.0) -> None:
        self._experiments = experiments
        self._winner_of = winner_of
        self._watcher = Watcher("autopilot", self.look, seconds, _LOG, "the running experiment could not be decided")

    def begin(self) -> None:
        """Start watching."""
        self._watcher.begin()

    def close(self) -> None:
        """Stop watching; a decision under way is finished first."""
        self._watcher.close()

    def look(self) -> str:
        """Look once; return the variant that was promoted, or nothing."""
        current = self._experiments.current
        if current is None or current.state != "running":
            return ""
        won = self._winner_of(current.name)
        if won is None:
            return ""
        self._experiments.decide(current.name, won.challenger, AUTHOR, won.reason, promote=True)
        return won.challenger
