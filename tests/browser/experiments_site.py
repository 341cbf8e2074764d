"""A served Experiments page over reports made by hand, in both languages, where the app mounts it: for the browser tests alone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI

import feedback.panel
from analysis import panel
from analysis.routes import WORDS, router
from feedback import problems
from feedback.demo import ExperimentSettings
from feedback.entrance import LANGUAGE_PATHS
from feedback.errors import Conflict
from feedback.records import Experiment
from feedback.words import Words
from tests.analysis.log_fixture import experiment
from tests.analysis.made_reports import MadeReader


class Site:
    """What is served and what was asked of it. `acts` and `declared` are in the order in which they came."""

    def __init__(self) -> None:
        self.url = ""
        self.reader = MadeReader()
        self.acts: list[tuple[str, dict[str, Any], str]] = []
        self.declared: list[tuple[dict[str, Any], str, bool]] = []

    def perform(self, name: str, what: Mapping[str, Any], author: str) -> Experiment:
        """Note what was done; refuse what says so."""
        if what["reason"] == "refuse":
            raise Conflict("<b>no</b>, not in this state")
        self.acts.append((name, dict(what), author))
        return experiment()

    def declare(self, given: Mapping[str, Any], author: str, start: bool) -> Experiment:
        """Note what was declared."""
        self.declared.append((dict(given), author, start))
        return replace(experiment(), name="declared")

    def app(self) -> FastAPI:
        """Return the studio of each language with this page alone, and the routes; everybody is ann."""
        app = FastAPI()
        problems.install(app)
        app.include_router(router(self.reader, lambda: "ann"))
        words = Words([WORDS])
        for language in ("zh", "en"):
            with gr.Blocks(analytics_enabled=False) as blocks, gr.Tab("Experiments"):
                panel.build(
                    words.speaker(language), self.reader, self.reader.experiments, self.perform, self.declare, lambda: [1, 2, 3],
                    ExperimentSettings().declared(), author_of=lambda _: "ann", language=language,
                )  # fmt: skip
            blocks.queue(api_open=False)
            gr.mount_gradio_app(
                app, blocks, f"{LANGUAGE_PATHS[language]}/studio", ssr_mode=False, run_history=False, footer_links=[],
                theme=feedback.panel.theme(), css=feedback.panel.css(), head=feedback.panel.head(language),
            )  # fmt: skip
        return app


@contextmanager
def served_experiments() -> Iterator[Site]:
    """Serve the page on a free port of the loopback interface until the block ends."""
    site = Site()

    async def built() -> FastAPI:  # in a running loop: without one, Gradio makes loops that nobody closes
        return site.app()

    with ThreadPoolExecutor(1) as pool:  # a thread of its own: Playwright's loop runs in this one
        app = pool.submit(lambda: asyncio.run(built())).result()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    site.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", proxy_headers=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.02)
        yield site
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
