"""What is noted is handed over together, and again where the act fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from feedback.errors import Busy
from feedback.noted import Noted


class Act:
    """Collects what it is called with; fails on the numbered calls."""

    def __init__(self, *failing: int) -> None:
        self.calls: list[frozenset[str]] = []
        self.failing = failing
        self.changed = threading.Condition()

    def __call__(self, names: frozenset[str]) -> None:
        """Note the call."""
        with self.changed:
            self.calls.append(names)
            self.changed.notify_all()
        if len(self.calls) in self.failing:
            raise Busy("not now")

    def wait(self, *names: str) -> None:
        """Wait until these names came in one call."""
        with self.changed:
            assert self.changed.wait_for(lambda: set(names) in [set(call) for call in self.calls], 10), self.calls


@pytest.fixture
def running() -> Iterator[list[Noted]]:
    """Whatever a test begins is closed."""
    made: list[Noted] = []
    yield made
    for noted in made:
        noted.close()


def begun(running: list[Noted], act: Any, pause: float = 0.05) -> Noted:
    """Return a running one."""
    made = Noted(act, pause, "test", "could not be done")
    running.append(made)
    made.begin()
    return made


def test_it_begins_with_nothing_and_hands_over_together(running: list[Noted]) -> None:
    """The first call comes by itself; what is noted within the pause comes in one call."""
    act = Act()
    noted = begun(running, act, 0.3)
    act.wait()
    noted.note("a")
    noted.note("b")
    noted.note("a")
    act.wait("a", "b")


def test_what_could_not_be_done_goes_with_the_next(running: list[Noted]) -> None:
    """After a failure nothing is lost."""
    act = Act(2)
    noted = begun(running, act)
    act.wait()
    noted.note("a")
    act.wait("a")
    noted.note("b")
    act.wait("a", "b")
