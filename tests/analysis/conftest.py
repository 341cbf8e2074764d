"""Fixtures of this room's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from feedback.words import Say, Words
from tests.analysis.log_fixture import Log

ROOM = Path(__file__).resolve().parents[2] / "analysis"


@pytest.fixture
def log() -> Iterator[Log]:
    """An empty log."""
    made = Log()
    yield made
    made.con.close()


@pytest.fixture
def say() -> Callable[[str], Say]:
    """This room's words by language."""
    words = Words([ROOM / "words.toml"])

    def speaker(language: str) -> Any:
        return words.speaker(language)

    return speaker
