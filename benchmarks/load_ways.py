"""Three ways of giving one prediction and one correction over HTTP: a plain Gradio interface, our routes, our page. It times nothing.

Each way does what its client really sends. The plain interface: a browser joins the queue and reads the event stream, then
presses Flag. Our routes: two POSTs. Our page: its script calls the server's functions through `component_server`.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any, NamedTuple, Protocol

from benchmarks.http_client import Client, Reply

_DISEASES = (
    "pneumonia",
    "type 2 diabetes",
    "breast cancer",
    "asthma",
    "chronic kidney disease",
    "Down syndrome",
    "hepatitis B",
    "gout",
)
_DRUGS = ("metformin", "amoxicillin", "ibuprofen", "insulin", "tamoxifen", "allopurinol")
_SIGNS = ("a dry cough", "blurred vision", "swollen joints", "night sweats", "a mild fever", "back pain")
_FRAMES = (
    "In case {token} the patient was treated for {disease} with {drug} and still reports {sign}.",
    "The family of {token} has a long history of {disease}, and two of the children developed {sign} before the age of ten.",
    "After three weeks on {drug}, patient {token} no longer had {sign}, although the doctors had first suspected {disease}, which "
    "runs in the family on her mother's side.",
    "Nobody in the ward of {token} expected that {disease} would begin with {sign} and nothing else.",
)  # 10 to 30 words


class Said(NamedTuple):
    """One unit as its client knows it: which text it sent, which prediction came back, and the mark in text and comment."""

    token: str
    text: str
    prediction: str


class Way(Protocol):
    """One user's way: come in, ask, correct. Replies that are no success raise Refused."""

    async def enter(self) -> None:
        """Load what a user loads before the first question."""

    async def predict(self, text: str) -> Any:
        """Ask for an answer; return what `correct` needs of it."""

    async def correct(self, shown: Any, token: str) -> None:
        """Give an answer back, every third one changed, with the token as its comment."""


class Refused(Exception):
    """The server answered with no success."""


def sentence(rng: random.Random, token: str) -> str:
    """Return a sentence that only this token's client sends."""
    return rng.choice(_FRAMES).format(
        token=token, disease=rng.choice(_DISEASES), drug=rng.choice(_DRUGS), sign=rng.choice(_SIGNS)
    )


def marks(text: str) -> list[dict[str, Any]]:
    """Return the diseases of one of our sentences as spans."""
    return [{"start": m.start(), "end": m.end(), "label": "Disease"} for name in _DISEASES for m in re.finditer(name, text)]


def _changed(output: dict[str, Any], token: str) -> dict[str, Any]:
    spans = [{key: span[key] for key in ("start", "end", "label")} for span in output["spans"]]
    return {"spans": spans[1:] if int(token[-2:]) % 3 == 0 else spans}


def _good(reply: Reply, *allowed: int) -> Any:
    if reply.status not in allowed:
        raise Refused(f"{reply.status}: {reply.body[:300].decode(errors='replace')}")
    return reply.json()


class Routes:
    """Our HTTP routes, as programs use them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def enter(self) -> None:
        """Get the cookie that makes the contributor."""
        _good(await self._client.request("GET", "/api/v1/corrections"), 200)

    async def predict(self, text: str) -> tuple[str, dict[str, Any]]:
        """POST /api/v1/predictions."""
        answer = _good(await self._client.request("POST", "/api/v1/predictions", {"input": text}), 201)
        return answer["id"], answer["output"]

    async def correct(self, shown: tuple[str, dict[str, Any]], token: str) -> None:
        """POST /api/v1/corrections."""
        data = {"prediction_id": shown[0], "output": _changed(shown[1], token), "comment": token}
        _good(await self._client.request("POST", "/api/v1/corrections", data), 201)


class Page:
    """Our public page, as its script calls it in a browser."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._session = f"{random.getrandbits(52):x}"
        self._component = 0

    async def enter(self) -> None:
        """Load the page (it sets the cookie) and its config, then the list of one's own corrections."""
        page = await self._client.request("GET", "/", headers="accept: text/html\r\naccept-language: en\r\n")
        if page.status != 200:
            raise Refused(f"the page: {page.status}")
        config = _good(await self._client.request("GET", "/config"), 200)
        (self._component,) = (part["id"] for part in config["components"] if part["props"].get("elem_id") == "try")
        await self._call("given", {})

    async def predict(self, text: str) -> tuple[str, dict[str, Any]]:
        """Call the page's `predict`."""
        answer = await self._call("predict", {"input": text})
        if answer["text"] != text:
            raise Refused(f"asked {text!r}, answered {answer['text']!r}")
        return answer["id"], answer["output"]

    async def correct(self, shown: tuple[str, dict[str, Any]], token: str) -> None:
        """Call the page's `correct`, which also returns the list of one's own corrections."""
        await self._call("correct", {"prediction": shown[0], "output": _changed(shown[1], token), "comment": token})

    async def _call(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        body = {"data": data, "component_id": self._component, "fn_name": name, "session_hash": self._session}
        answer: dict[str, Any] = _good(await self._client.request("POST", "/gradio_api/component_server/", body), 200)
        if "error" in answer:
            raise Refused(json.dumps(answer)[:300])
        return answer


class Plain:
    """A browser at `plain_interface.py`: Submit through the queue, then Flag. (Its press on Flag sends a second, cheap event
    that changes the button's text: left out.)"""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._session = f"{random.getrandbits(52):x}"
        self._submit = self._flag = 0

    async def enter(self) -> None:
        """Load the page and its config, and find the two events in it."""
        page = await self._client.request("GET", "/", headers="accept: text/html\r\n")
        if page.status != 200:
            raise Refused(f"the page: {page.status}")
        events = _good(await self._client.request("GET", "/config"), 200)["dependencies"]
        (self._submit,) = (event["id"] for event in events if event["api_name"] == "ner")
        (self._flag,) = (event["id"] for event in events if len(event["inputs"]) == 2 and event["queue"] is False)

    async def predict(self, text: str) -> tuple[str, Any]:
        """Join the queue, then read the stream to its end."""
        body = {"data": [text], "event_data": None, "fn_index": self._submit, "trigger_id": 1, "session_hash": self._session}
        _good(await self._client.request("POST", "/gradio_api/queue/join", body), 200)
        output = None
        async for message in self._client.events(f"/gradio_api/queue/data?session_hash={self._session}"):
            if message["msg"] == "process_completed":
                if not message["success"]:
                    raise Refused(json.dumps(message)[:300])
                output = message["output"]["data"][0]
        if output is None or "".join(part["token"] for part in output) != text:
            raise Refused(f"asked {text!r}, answered {output!r}")
        return text, output

    async def correct(self, shown: tuple[str, Any], token: str) -> None:
        """Flag input and output."""
        body = {"data": list(shown), "event_data": None, "fn_index": self._flag, "trigger_id": 2, "session_hash": self._session}
        answer = _good(await self._client.request("POST", "/gradio_api/run/predict", body), 200)
        if "Error" in json.dumps(answer["data"]):
            raise Refused(json.dumps(answer)[:300])
