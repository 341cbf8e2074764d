"""The load benchmark's own parts: its HTTP client against a real server, and that a wrong attribution is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from benchmarks.http_client import Client
from benchmarks.load_attribution import Person, misattributed
from benchmarks.load_servers import fill
from benchmarks.load_ways import Said
from feedback.experiments import Experiments
from feedback.records import Correction, Experiment, Prediction, Variant, input_hash
from feedback.store import Store
from tests.browser.listening import Listening
from tests.coroutines import finished


def echo() -> FastAPI:
    """Return an app that sets a cookie, sends back what came, streams events, and has nothing to say."""
    app = FastAPI()

    @app.post("/echo", status_code=201)
    async def _echo(request: Request, response: Response) -> dict[str, object]:
        response.set_cookie("who", "ann")
        return {"came": await request.json(), "cookie": request.cookies.get("who")}

    @app.get("/events")
    async def _events() -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            yield 'data: {"n": 1}\n\ndata: {"n"'
            await asyncio.sleep(0.05)
            yield ": 2}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    @app.delete("/", status_code=204)
    async def _nothing() -> None:
        return None

    return app


def test_the_client_speaks_http() -> None:
    """JSON both ways, cookies kept, events cut anywhere put together, no body after 204, all on one connection."""

    async def talk(port: int) -> list[object]:
        client = Client(port)
        first = await client.request("POST", "/echo", {"text": "déjà"})
        second = await client.request("POST", "/echo", [1])
        events = [event async for event in client.events("/events")]
        gone = await client.request("DELETE", "/")
        missing = await client.request("GET", "/nowhere")
        await client.close()
        return [first.status, first.json(), second.json(), events, (gone.status, gone.body), missing.status]

    listening = Listening(echo())
    try:
        told = finished(talk(int(listening.url.rpartition(":")[2])))
    finally:
        listening.close()
    assert told == [
        201,
        {"came": {"text": "déjà"}, "cookie": None},
        {"came": [1], "cookie": "ann"},
        [{"n": 1}, {"n": 2}],
        (204, b""),
        404,
    ]


def test_a_wrong_attribution_is_counted(tmp_path: Path) -> None:
    """Right rows count nothing; a stranger's name, another text, another comment, a missing row and a shared name each count."""
    with Store(tmp_path) as store:
        for token, who, text in (("t1", "ann", "one"), ("t2", "bob", "two"), ("t3", "ann", "three")):
            shown = Prediction(f"p{token}", who, "", 0, "champion", 1, text, input_hash(text), {"spans": []}, 0.5, 1.0)
            store.add(shown, Correction(f"c{token}", shown.id, who, {"spans": []}, True, token))
    ann = Person("ann", [Said("t1", "one", "pt1"), Said("t3", "three", "pt3")])
    bob = Person("bob", [Said("t2", "two", "pt2")])
    assert misattributed(tmp_path, [ann, bob]) == 0
    assert misattributed(tmp_path, [ann, Person("eve", bob.said)]) == 1
    assert misattributed(tmp_path, [Person("ann", [Said("t1", "other", "pt1"), Said("tx", "three", "pt3")])]) == 2
    assert misattributed(tmp_path, [ann, bob, Person("kim", [Said("t4", "four", "pt4")])]) == 1
    assert misattributed(tmp_path, [ann, Person("ann", [])]) == 1


def test_the_log_is_filled_with_whole_histories(tmp_path: Path) -> None:
    """As many corrections as predictions, each by its own contributor, everybody exposed once; nothing does not hang together."""
    with Store(tmp_path) as store:
        experiments = Experiments(store)
        experiments.begin(1, "test")
        experiments.declare(Experiment("x", 1, "running", (Variant("champion", 1, 0.5), Variant("v2", 2, 0.5))))
    fill(tmp_path, 200)
    with Store(tmp_path) as store:
        (row,) = store.rows(
            """SELECT count(*) AS n, count(c.id) AS corrected, count(DISTINCT p.contributor) AS people,
                (SELECT count(*) FROM exposures) AS exposed, count(DISTINCT p.input) AS texts
            FROM predictions p LEFT JOIN corrections c ON c.prediction_id = p.id AND c.contributor = p.contributor"""
        )
    assert (row["n"], row["corrected"], row["people"], row["exposed"]) == (200, 200, 20, 20)
    assert row["texts"] < 200  # some are said of twice
