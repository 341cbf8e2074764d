"""Images as a whole: a drawn digit is answered, corrected, accepted, learned and gated, on the demo as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedback.demo import load_demo
from model.data import load_seed
from model.pictures import picture_of, pixels_of
from tests.conftest import ROOT
from tests.serving import Served, served

DIGITS = ROOT / "demos" / "digits.toml"


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo, served from a home of its own."""
    home: Path = tmp_path_factory.mktemp("digits")
    with served(DIGITS, home) as running:
        yield running


def test_drawn_digits_teach_the_next_version(life: Served) -> None:
    """Pictures that no training had are answered; what people say of them, accepted, trains a version that the gate judges."""
    _, seed = load_seed(load_demo(DIGITS))
    shown = [(seed.test[i].input, seed.test[i].output) for i in range(0, len(seed.test), 4)]
    flipped = [(picture_of(pixels_of(picture)[::-1, ::-1]), output) for picture, output in shown]  # upside down: of a new kind
    right = 0
    with life.visitor() as ann, life.staff() as staff:
        for picture, output in shown[:10]:
            right += ann.post("/api/v1/predictions", json={"input": picture}).json()["output"]["label"] == output["label"]
        assert right >= 9
        for picture, output in flipped:
            made = ann.post("/api/v1/predictions", json={"input": picture}).json()
            given = ann.post("/api/v1/corrections", json={"prediction_id": made["id"], "output": output}).json()
            staff.post("/api/v1/reviews", json={"correction_id": given["id"], "verdict": "accept"})
        assert ann.post("/api/v1/predictions", json={"input": "no picture"}).status_code == 422
        started = staff.post("/api/v1/retrainings", json={})
        assert started.status_code in (201, 202), started.text
        run, deadline = started.json()["id"], time.monotonic() + 300
        while (state := staff.get(f"/api/v1/retrainings/{run}").json()["state"]) == "started" and time.monotonic() < deadline:
            time.sleep(0.5)
        assert state in ("passed", "refused", "undecided"), staff.get(f"/api/v1/retrainings/{run}").json()
    card = life.house.versions.card(2)
    assert (card.task, card.method, card.parent) == ("image_classification", "own", 1)
    assert card.gate is not None
    assert card.scores["test"]["main"] > 0.95  # what it knew it still knows
    assert card.training["from_seed"] < card.training["examples"]
