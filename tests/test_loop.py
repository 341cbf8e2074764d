"""A whole life: predict, correct, review, retrain, offer, report, promote, roll back, through the routes of a real app."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from gradio_client import Client

from tests.serving import Served, served, small_demo


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One app for the module: a classification demo with a quick head."""
    directory = tmp_path_factory.mktemp("life")
    with served(small_demo(directory), directory / "home") as running:
        yield running


def said(response: httpx.Response, status: int = 201) -> Any:
    """Return the JSON of a response that must have this status."""
    assert response.status_code == status, response.text
    return response.json() if response.content else None


def rows(life: Served, sql: str) -> list[dict[str, Any]]:
    """Return rows of the log."""
    return life.house.store.rows(sql)


def ended(staff: httpx.Client, run_id: str) -> Any:
    """Wait for a training to end; return its last state."""
    deadline = time.monotonic() + 180
    while True:
        run = said(staff.get(f"/api/v1/retrainings/{run_id}"), 200)
        if run["state"] != "started":
            return run
        assert time.monotonic() < deadline, f"the training did not end: {run}"
        time.sleep(0.3)


def test_a_whole_life(life: Served) -> None:
    """Every step of one correction's way, with the rows that it leaves in the log."""
    with life.staff() as staff, life.visitor() as ann, life.visitor() as bob:
        live(life, staff, ann, bob)


def live(life: Served, staff: httpx.Client, ann: httpx.Client, bob: httpx.Client) -> None:
    """Walk the way, step by step."""
    # predict and correct: two people say the same of many texts; one text is judged by a reviewer
    texts = [f"Please send the money for order {n} back to my card" for n in range(30)]
    for text in texts:
        for person in (ann, bob):
            shown = said(person.post("/api/v1/predictions", json={"input": text}))
            assert shown["variant"] == "champion"
            said(person.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": {"label": "refund"}}))
    lone = said(ann.post("/api/v1/predictions", json={"input": "Has the courier got lost?"}))
    sent = said(
        ann.post("/api/v1/corrections", json={"prediction_id": lone["id"], "output": {"label": "praise"}, "comment": "hm"})
    )
    assert sent["status"] == "pending"
    said(staff.post("/api/v1/reviews", json={"correction_id": sent["id"], "verdict": "amend", "output": {"label": "track"}}))
    assert rows(life, "SELECT count(*) AS n FROM current_corrections WHERE status = 'accepted'")[0]["n"] == 61
    assert rows(life, "SELECT count(DISTINCT contributor) AS n FROM predictions")[0]["n"] == 2

    # retrain: snapshot, process, gate, card
    run = ended(staff, said(staff.post("/api/v1/retrainings", json={}), 202)["id"])
    assert run["state"] in ("passed", "undecided"), run
    assert run["version"] == 2
    first, second = said(staff.get("/api/v1/versions"), 200)
    assert (first["champion"], second["champion"]) == (True, False)
    assert {check["name"] for check in second["gate"]["checks"]} >= {
        "old_domain",
        "feedback",
        "sentences",
        "worse_share",
        "calibration",
    }
    used = rows(life, "SELECT part, count(*) AS n FROM uses WHERE version = 2 GROUP BY part ORDER BY part")
    assert [row["part"] for row in used] == ["gate", "train"]
    assert sum(row["n"] for row in used) == 31  # one an input

    # the person reads what came of it
    given = said(ann.get("/api/v1/corrections"), 200)
    assert given[0]["status"] == "accepted"
    assert {2} == {version for item in given for version in item["versions"] + item["checks"]}

    # offer: a challenger with a share; what the gate did not pass needs a reason
    if run["state"] != "passed":
        assert "only with a reason" in said(staff.post("/api/v1/offers", json={"version": 2}), 409)["detail"]
    offered = said(staff.post("/api/v1/offers", json={"version": 2, "share": 0.5, "reason": "looks right"}))
    for number in range(24):
        with life.visitor() as visitor:
            shown = said(visitor.post("/api/v1/predictions", json={"input": f"Where is parcel {number}?"}))
            said(visitor.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": shown["output"]}))
    exposures = rows(life, "SELECT variant, count(*) AS n FROM exposures GROUP BY variant ORDER BY variant")
    assert [row["variant"] for row in exposures] == ["champion", "v2"]
    assert sum(row["n"] for row in exposures) == 24

    # report: honest at this size
    report = said(staff.get(f"/api/v1/experiments/{offered['experiment']}/report"), 200)
    assert report["verdict"] in ("collecting", "no verdict yet", "blocked: sample ratio")
    assert sum(arm["users"] for arm in report["arms"]) == 24

    # promote and roll back, while somebody asks all the time
    said(staff.post("/api/v1/promotions", json={"version": 2, "reason": "good"}))
    assert said(ann.post("/api/v1/predictions", json={"input": "one more"}))["version"] == 2
    said(staff.post("/api/v1/rollbacks", json={}))
    assert said(ann.post("/api/v1/predictions", json={"input": "one more"}))["version"] == 1
    kinds = [row["kind"] for row in rows(life, "SELECT kind FROM promotions ORDER BY created")]
    assert kinds == ["first", "promote", "rollback"]
    assert rows(life, "SELECT state FROM current_experiments")[0]["state"] == "decided"


def test_a_broken_promise_is_refused_in_words(life: Served) -> None:
    """Unknown versions, a second training at once, a training without feedback: each its own words."""
    with life.staff() as staff:
        assert "99" in said(staff.post("/api/v1/offers", json={"version": 99}), 404)["detail"]
        assert "99" in said(staff.post("/api/v1/promotions", json={"version": 99}), 404)["detail"]
        run = said(staff.post("/api/v1/retrainings", json={}), 202)
        assert "wait for it, or cancel it" in said(staff.post("/api/v1/retrainings", json={}), 409)["detail"]
        said(staff.delete(f"/api/v1/retrainings/{run['id']}"), 204)
        assert ended(staff, run["id"])["state"] == "cancelled"
        assert not list(Path(life.house.home.directory, "versions").glob("*partial*"))


def test_swapping_versions_drops_no_request(life: Served) -> None:
    """Promotions and rollbacks under constant requests: every request is answered."""
    statuses: list[int] = []
    with life.staff() as staff, life.visitor() as visitor:
        for number in range(40):
            if number % 8 == 3:
                said(staff.post("/api/v1/promotions", json={"version": 2, "reason": "swap"}))
            if number % 8 == 7:
                said(staff.post("/api/v1/rollbacks", json={}))
            statuses.append(visitor.post("/api/v1/predictions", json={"input": f"text {number}"}).status_code)
    assert statuses == [201] * 40


def test_gradio_client_can_ask_and_correct(life: Served) -> None:
    """Gradio's own API stays usable: predict and correct by name, as one contributor with one jar."""
    client = Client(life.url + "/", verbose=False)
    try:
        shown = client.predict("I want my money back for the lamp", api_name="/predict")
        assert {"id", "output", "confidence", "variant", "version"} <= set(shown)
        sent = client.predict(shown["id"], {"label": "refund"}, "by program", api_name="/correct")
        assert sent["status"] == "pending"
    finally:
        client.close()
    stored = rows(life, f"SELECT output::VARCHAR AS o, comment FROM corrections WHERE id = '{sent['id']}'")
    assert (json.loads(stored[0]["o"]), stored[0]["comment"]) == ({"label": "refund"}, "by program")


def command(life: Served, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours beside the running app, on its home."""
    home = str(life.house.home.directory)
    return subprocess.run(
        [sys.executable, "-m", words[0], "--demo", str(life.house.demo.path), "--home", home, *words[1:]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_commands_ask_the_running_app(life: Served, tmp_path: Path) -> None:
    """export, import, check, backup, list, export of a version and a retraining work while the app holds the log."""
    out = tmp_path / "corrections.parquet"
    exported = command(life, "feedback.store", "export", "corrections", str(out))
    assert exported.returncode == 0, exported.stderr
    assert len(pd.read_parquet(out)) == rows(life, "SELECT count(*) AS n FROM corrections")[0]["n"]
    assert "0 rows stored" in command(life, "feedback.store", "import", "corrections", str(out)).stdout
    assert command(life, "feedback.store", "check").stdout.strip() == "the log hangs together"
    assert Path(command(life, "feedback.store", "backup").stdout.strip()).exists()
    assert '"number": 2' in command(life, "model.versions", "list").stdout
    plain = tmp_path / "plain"
    assert command(life, "model.versions", "export", "1", str(plain)).returncode == 0
    assert (plain / "config.json").exists()
    retrained = command(life, "model.retrain")
    assert retrained.returncode == 0, retrained.stderr
    assert ", version " in retrained.stdout
    added = command(life, "model.versions", "add", str(plain))
    assert added.returncode == 0, added.stderr
    kinds = [card.kind for card in life.house.versions.cards()]
    assert kinds[-2:] == ["retrain", "added"]
