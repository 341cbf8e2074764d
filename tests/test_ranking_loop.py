"""A list's whole life through the routes of the real demo: shown, liked, accepted by a reviewer, learned, gated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from model.ranking.visits import Policy
from tests.conftest import ROOT
from tests.serving import Served, served


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo of courses."""
    with served(ROOT / "demos" / "recommend.toml", tmp_path_factory.mktemp("recommend") / "home") as running:
        yield running


def said(response: httpx.Response, status: int = 201) -> Any:
    """Return the JSON of a response that must have this status."""
    assert response.status_code == status, response.text
    return response.json()


def listed(person: httpx.Client, visit: str, history: list[dict[str, str]], text: str = "") -> Any:
    """Ask for a list."""
    return said(person.post("/api/v1/predictions", json={"input": {"text": text, "history": history, "visit": visit}}))


def sent(person: httpx.Client, shown: Any, liked: list[str]) -> Any:
    """Like some of a list, as the page sends it."""
    output = shown["output"]
    said_of_it = {"items": output["items"], "liked": liked, "dismissed": [], "shown": output["items"]}
    impression = {key: output[key] for key in ("ranks", "policy")}
    return said(person.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": {**said_of_it, **impression}}))


def ended(staff: httpx.Client, run_id: str) -> Any:
    """Wait for a training to end; return its last state."""
    deadline = time.monotonic() + 240
    while True:
        run = said(staff.get(f"/api/v1/retrainings/{run_id}"), 200)
        if run["state"] != "started":
            return run
        assert time.monotonic() < deadline, f"the training did not end: {run}"
        time.sleep(0.3)


def test_lists_teach_the_next_version(life: Served) -> None:
    """Forty people like what they were shown; a reviewer accepts; version 2 learned of them, was gated, and says who taught it."""
    with life.staff() as staff:
        for number in range(40):
            with life.visitor() as person:
                shown = listed(
                    person, "abcdefghij"[number % 10] * (number // 10 + 20), [{"item": f"bake-{number % 10 + 1}", "did": "liked"}]
                )
                correction = sent(
                    person,
                    shown,
                    [item for item in shown["output"]["items"] if item.startswith("clay")] or shown["output"]["items"][:1],
                )
                assert correction["status"] == "pending"  # nobody's own taste is believed by itself
                said(staff.post("/api/v1/reviews", json={"correction_id": correction["id"], "verdict": "accept"}))
        run = ended(staff, said(staff.post("/api/v1/retrainings", json={}), 202)["id"])
        assert run["version"] == 2, run
        assert run["state"] in ("passed", "undecided", "refused")
        first, second = said(staff.get("/api/v1/versions"), 200)
        assert {check["name"] for check in second["gate"]["checks"]} >= {"old_domain", "feedback"}
        assert second["training"]["examples"] > first["training"]["examples"]
        assert second["training"]["looked_at"][0] >= second["training"]["looked_at"][-1]
    used = life.house.store.rows("SELECT part, count(*) AS n FROM uses WHERE version = 2 GROUP BY part ORDER BY part")
    assert sum(row["n"] for row in used) == 40  # each person's list is one input: none was taken for another's


def test_impressions_are_in_the_log(life: Served) -> None:
    """Position, rank and the probability of being there stand with every item that was shown: no table of its own is needed."""
    with life.visitor() as person:
        shown = listed(person, "zzzz", [], "pottery")
    rows = life.house.store.rows(
        f"""SELECT unnest(output->'$.items[*]')->>'$' AS item, unnest(output->'$.ranks[*]')::INT AS rank,
                  unnest(output->'$.propensities[*]')::DOUBLE AS propensity FROM predictions WHERE id = '{shown["id"]}'"""
    )
    assert [row["item"] for row in rows] == shown["output"]["items"]
    assert len(rows) == 8
    assert all(0 < row["propensity"] <= 1 for row in rows)
    assert Policy(*shown["output"]["policy"]).pool >= max(row["rank"] for row in rows)


def test_bad_lists_are_refused_at_the_door(life: Served) -> None:
    """An item that was not shown cannot be liked, and says why."""
    with life.visitor() as person:
        shown = listed(person, "yyyy", [])
        output = {"items": shown["output"]["items"], "liked": ["nowhere"]}
        told = said(person.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": output}), 422)
        assert "nowhere" in told["detail"]
