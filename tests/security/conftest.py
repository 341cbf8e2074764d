"""Fixtures of the security tests: one small demo served as visitors and staff find it, shared by a module's tests."""

from __future__ import annotations

import os

# Before gradio is imported: no analytics, no statistics over past events.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")

from collections.abc import Iterator

import pytest

from tests.browser.conftest import browser_context_args as browser_context_args
from tests.browser.conftest import browser_type_launch_args as browser_type_launch_args
from tests.serving import Served, served, small_demo

UNLIMITED = "[limits]\npredictions_per_minute = 1000000\ncorrections_per_minute = 1000000"
"""Generated requests shall meet the routes, not the rate limit."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A whole app over a fresh home: routes, pages and studio of both languages."""
    directory = tmp_path_factory.mktemp("security")
    with served(small_demo(directory / "demo", extra=UNLIMITED), directory / "home") as app:
        yield app
