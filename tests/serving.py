"""A real app in a thread of the test process, and small demos for it: what the whole-life and browser tests stand on."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import uvicorn
from fastapi import FastAPI

import app as front_door
from feedback.demo import load_demo
from feedback.home import Home, write_atomically
from feedback.words import Words
from model.house import House, open_house
from tests.coroutines import finished

THINGS = ("lamp", "jacket", "kettle", "bicycle", "keyboard", "sofa", "watch", "tent", "mirror", "guitar", "blender", "carpet")
ASKED = {
    "refund": "I want my money back for the {}",
    "track": "Where is the parcel with my {}",
    "praise": "The {} is wonderful, thank you",
}


class Served(NamedTuple):
    """A running app: its address, the opened rooms, a staff token, and the application itself."""

    url: str
    house: House
    token: str
    app: FastAPI

    def staff(self) -> httpx.Client:
        """Return a client that is staff."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=60)

    def visitor(self) -> httpx.Client:
        """Return a client with a cookie jar of its own."""
        return httpx.Client(base_url=self.url, timeout=60)


def small_demo(directory: Path, name: str = "small", extra: str = "", rows: int = 12) -> Path:
    """Write a demo of three intents with `rows` utterances each, learned in seconds by a head on frozen embeddings."""
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / f"{name}.jsonl"
    with data.open("w", encoding="utf-8") as file:
        for label, sentence in ASKED.items():
            for thing in THINGS[:rows]:
                file.write(json.dumps({"text": sentence.format(thing), "label": label}) + "\n")
    demo = directory / f"{name}.toml"
    demo.write_text(
        f'name = "{name}"\ntask = "text_classification"\ntitle = {{ en = "Small", zh = "小" }}\n'
        f'examples = ["I want my money back for the lamp"]\n{extra}\n'
        f'[data]\ntrain = "{name}.jsonl"\n[training]\nmethod = "head"\n[experiment]\noffer = "manual"\n[retraining]\nafter_accepted = 0\n',
        encoding="utf-8",
    )
    return demo


async def _built(house: House) -> FastAPI:
    """Build the pages inside a running loop: outside of one, Gradio on Python 3.11 leaves a loop unclosed for each event."""
    return front_door.create_app(house)


@contextmanager
def served(demo_file: Path, home: Path) -> Iterator[Served]:
    """Serve a demo on a free port of the loopback interface until the block ends."""
    house = open_house(load_demo(demo_file), Home(home), Words(front_door.WORDS))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    write_atomically(house.home.running_file, json.dumps({"url": url, "pid": 0}))
    application = finished(_built(house))
    config = uvicorn.Config(application, log_level="error", proxy_headers=False, timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start within a minute"
            time.sleep(0.05)
        yield Served(url, house, house.staff.make_token("tester"), application)
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
