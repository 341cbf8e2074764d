"""One correction followed through log, snapshot, version and backup, then erased from all, and left out by the next retraining."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from feedback.acceptance import Agreement, apply_policy
from feedback.erasing import Eraser
from feedback.records import input_hash
from feedback.training_set import part_of
from tests.feedback.test_erasing import bytes_with
from tests.serving import Served, served, small_demo

MARK = "zebrafu"  # no word of the tokeniser
LEARNED = next(text for n in range(99) if part_of(input_hash(text := f"The zebrafu {n} wants its money back")) == "train")
JUDGED = next(text for n in range(99) if part_of(input_hash(text := f"Where is my zebrafu {n}")) == "gate")


@pytest.fixture
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A classification demo with a quick head."""
    directory = tmp_path_factory.mktemp("erasure")
    with served(small_demo(directory), directory / "home") as running:
        yield running


def said(response: httpx.Response) -> Any:
    """Return the JSON of a response that went well."""
    assert response.is_success, response.text
    return response.json()


def eraser_of(life: Served) -> Eraser:
    """Return the eraser over the running app's rooms; a training that reads what is erased is cancelled."""
    house = life.house
    policy = Agreement(house.demo.acceptance.agree)

    def interrupt(snapshots: frozenset[str]) -> None:
        for run in house.retrainer.rounds.all(1):
            if run["state"] == "started" and run["snapshot"] in snapshots:
                house.retrainer.cancel(run["id"], "policy:erasure")

    reconsider = lambda hash_, input_: apply_policy(house.store, policy, hash_, input_)  # noqa: E731
    return Eraser(house.home, house.store, house.versions, reconsider, interrupt)


def give(person: httpx.Client, staff: httpx.Client, text: str, label: str) -> str:
    """Correct the answer to a text, and have it accepted; return the correction's id."""
    shown = said(person.post("/api/v1/predictions", json={"input": text}))
    sent = said(person.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": {"label": label}}))
    said(staff.post("/api/v1/reviews", json={"correction_id": sent["id"], "verdict": "accept", "reason": f"about {text}"}))
    return str(sent["id"])


def retrained(staff: httpx.Client) -> int:
    """Retrain; return the new version's number."""
    run = said(staff.post("/api/v1/retrainings", json={}))
    deadline = time.monotonic() + 240
    while run["state"] == "started":
        assert time.monotonic() < deadline, f"the training did not end: {run}"
        time.sleep(0.3)
        run = said(staff.get(f"/api/v1/retrainings/{run['id']}"))
    assert run["version"], run
    return int(run["version"])


def test_one_correction_through_all_of_it(life: Served) -> None:
    """Log, snapshot, use, version's card, backup: it is in each of them, then in none; the next version never saw it."""
    store, home = life.house.store, life.house.home
    with life.staff() as staff, life.visitor() as ann, life.visitor() as bob:
        learned, judged = give(ann, staff, LEARNED, "refund"), give(ann, staff, JUDGED, "track")
        for number in range(12):
            give(bob, staff, f"Please send the money for order {number} back", "refund")
        second = retrained(staff)
        life.house.retrainer.offering.promote(second, "sue", "whatever its gate said")
        said(staff.post("/api/v1/backups", json={}))
        (who,) = (str(r["contributor"]) for r in store.rows("SELECT contributor FROM corrections WHERE id = ?", [learned]))
        uses = {r["correction_id"]: r["part"] for r in store.rows("SELECT * FROM uses WHERE version = ?", [second])}
        assert (uses[learned], uses[judged]) == ("train", "gate")
        assert who in (life.house.versions.card(second).gate or {})["contributors"]
        store.checkpoint()
        places = {name.split("/")[0] for name in bytes_with(home.directory, (MARK, who))}
        assert {"backups", "snapshots", "versions"} <= places

        done = eraser_of(life).erase(who)

        assert (done.versions, done.snapshots, done.copies, done.left) == ((second,), 1, 1, ())
        assert bytes_with(home.directory, (MARK, who)) == []
        assert life.house.versions.card(second).erased == (done.id,)
        assert life.house.versions.card(1).erased == ()
        assert said(staff.get("/api/v1/checks")) == []

        third = retrained(staff)
        card = life.house.versions.card(third)
        assert card.erased == ()
        assert (card.parent, card.passed_over, card.champion_version) == (1, second, second)
        assert who not in (card.gate or {})["contributors"]
        manifest = json.loads((home.snapshots / str(card.snapshot) / "manifest.json").read_text(encoding="utf-8"))
        assert (manifest["rows"], manifest["contributors"]) == (12, 1)
        assert len(store.rows("SELECT * FROM uses WHERE version = ?", [third])) == 12
        assert bytes_with(home.directory, (MARK, who)) == []


def test_a_training_under_way_on_what_is_erased_is_cancelled(life: Served) -> None:
    """Otherwise it would end as a version that learned from it, without saying so."""
    with life.staff() as staff, life.visitor() as ann, life.visitor() as bob:
        give(ann, staff, LEARNED, "refund")
        for number in range(6):
            give(bob, staff, f"Please send the money for order {number} back", "refund")
        run = said(staff.post("/api/v1/retrainings", json={}))
        (row,) = life.house.store.rows("SELECT DISTINCT contributor FROM predictions WHERE input->>'$' = ?", [LEARNED])
        eraser_of(life).erase(str(row["contributor"]))
        life.house.retrainer.wait(60)
        assert said(staff.get(f"/api/v1/retrainings/{run['id']}"))["state"] == "cancelled"
        assert life.house.versions.numbers() == [1]
        assert bytes_with(life.house.home.directory, (MARK,)) == []
