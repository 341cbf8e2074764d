"""Pairs and votes over HTTP, blind, and what they cost of the limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from feedback import identity, pair_routes, problems, routes
from feedback.acceptance import Agreement
from feedback.admission import Admission
from feedback.demo import Demo, LimitSettings
from feedback.desk import Desk
from feedback.errors import TooMany
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.limits import Limits
from feedback.pairs import NoPairs, Pairs
from feedback.records import Visitor
from feedback.staff import Staff
from feedback.store import Store
from tests.conftest import WordsModel
from tests.feedback.pairing import NAMES, compare


def test_a_pair_spends_two_predictions(store: Store, experiments: Experiments, ann: Visitor) -> None:
    """Of five predictions a minute two pairs take four; a third pair takes none and is refused, and the fifth is still there."""
    limits = Limits(LimitSettings(predictions_per_minute=5))
    pairs, desk = (
        Pairs(store, WordsModel(), experiments, limits=limits),
        Desk(store, WordsModel(), experiments, Agreement(2), limits=limits),
    )
    for _ in range(20):  # nothing runs: nothing is spent
        with pytest.raises(NoPairs):
            pairs.predict(ann, "one")
    compare(experiments)
    for _ in range(2):
        pairs.predict(ann, "one")
    for _ in range(3):
        with pytest.raises(TooMany) as refused:
            pairs.predict(ann, "one")
        assert 1 <= refused.value.retry_after <= 60
    desk.predict(ann, "one")
    with pytest.raises(TooMany):
        desk.predict(ann, "one")


def test_votes_are_limited_and_a_small_limit_still_allows_a_pair(store: Store, experiments: Experiments, ann: Visitor) -> None:
    """With one prediction a minute a pair takes the minute; votes for anything have a limit of their own."""
    compare(experiments)
    pairs = Pairs(store, WordsModel(), experiments, limits=Limits(LimitSettings(predictions_per_minute=1)))
    shown = pairs.predict(ann, "one")
    with pytest.raises(TooMany):
        pairs.predict(ann, "one")
    pairs.vote(ann, shown.id, "left")
    with pytest.raises(TooMany):
        pairs.vote(ann, shown.id, "left")


@pytest.fixture
def site(tmp_path: Path, store: Store, experiments: Experiments) -> Iterator[TestClient]:
    """A client, with a cookie jar, of the routes of desk and pairs; three predictions a minute."""
    home = Home(tmp_path / "home")
    demo = Demo.model_validate(
        {"path": tmp_path / "t.toml", "name": "t", "task": "any", "title": "T", "data": {"train": "x"},
         "limits": {"predictions_per_minute": 3}}
    )  # fmt: skip
    limits = Limits(demo.limits)
    app = FastAPI()
    problems.install(app)
    identity.install(app, home=home, staff=Staff(home), demo=demo)
    desk = Desk(store, WordsModel(), experiments, Agreement(2), limits=limits)
    app.include_router(routes.router(desk, store, home.backups))
    app.include_router(pair_routes.router(Pairs(store, WordsModel(), experiments, limits=limits), Admission()))
    with TestClient(app, client=("127.0.0.1", 5000)) as client:
        yield client


def test_the_routes_are_blind(site: TestClient, experiments: Experiments) -> None:
    """Neither before nor after the vote does an answer hold a variant's name, a version, or a key of these names."""
    compare(experiments)
    made = site.post("/api/v1/pairs", json={"input": "one"}, headers={"Idempotency-Key": "k"})
    assert made.status_code == 201, made.text
    shown = made.json()
    assert set(shown) == {"id", "left", "right", "same"}
    assert set(shown["left"]) == set(shown["right"]) == {"id", "output", "confidence", "notes"}
    vote = site.post("/api/v1/votes", json={"pair_id": shown["id"], "choice": "left"})
    assert (vote.status_code, vote.json()) == (201, {"pair_id": shown["id"], "choice": "left"})
    again = site.post("/api/v1/votes", json={"pair_id": shown["id"], "choice": "right"})
    assert again.status_code == 409
    for answer in (made, vote, again):
        text = json.dumps([answer.json(), dict(answer.headers)])
        assert not [word for word in (*NAMES, "variant", "version", "forced") if word in text], text


def test_the_routes_answer_with_problems(site: TestClient, experiments: Experiments) -> None:
    """409 where nothing is compared, 422 for bad bodies, 404 for a stranger's pair, 415 for no JSON, 429 past the limit."""
    assert site.post("/api/v1/pairs", json={"input": "one"}).status_code == 409
    compare(experiments)
    shown = site.post("/api/v1/pairs", json={"input": "one"}).json()
    refused = [
        (site.post("/api/v1/pairs", json={"input": "one"}), 429),
        (site.post("/api/v1/votes", json={"pair_id": shown["id"], "choice": "best"}), 422),
        (site.post("/api/v1/votes", json={"pair_id": "d_nowhere", "choice": "left"}), 404),
        (site.post("/api/v1/votes", json={"pair_id": shown["id"], "choice": "left", "variant": "zebra"}), 422),
        (site.post("/api/v1/votes", content="pair_id=1", headers={"content-type": "text/plain"}), 415),
    ]
    for response, status in refused:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
    assert "retry-after" in refused[0][0].headers
