"""Browser fixtures: two served sites (one a widget) and Debian's chromium, or a skip with its reason."""

from __future__ import annotations

import os

# Before gradio is imported: no analytics, no statistics over past events.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.served_site import Site

# Two test processes share two cores with a training now and then: five seconds are too few for an honest wait.
expect.set_options(timeout=20_000)

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """Let pytest-playwright use Debian's browser."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed (apt-get install chromium)")
    return {"executable_path": str(CHROMIUM), "args": list(FLAGS)}


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, object]:
    """A desktop that speaks English; without smooth scrolling, so that a place read once is still there."""
    return {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", "reduced_motion": "reduce"}


@pytest.fixture(scope="module")
def spans_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose answers are marked parts of a text."""
    site = Site("spans", tmp_path_factory.mktemp("spans"))
    yield site
    site.close()


@pytest.fixture(scope="module")
def choice_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose answers are one label out of twelve."""
    site = Site("choice", tmp_path_factory.mktemp("choice"))
    yield site
    site.close()


@pytest.fixture
def abroad(page: Page) -> list[str]:
    """Collect the addresses on other hosts that the page asks for."""
    asked: list[str] = []
    page.on(
        "request",
        lambda request: None if request.url.startswith(("http://127.0.0.1:", "data:", "blob:")) else asked.append(request.url),
    )
    return asked
