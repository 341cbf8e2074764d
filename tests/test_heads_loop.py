"""A whole life of a demo with several heads, through the routes of a real app: one head corrected, believed, learned, gated, exported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import THINGS, Served, served
from tests.test_loop import ended, rows, said

TOPICS = {"refund": "money back for the {}", "track": "where is the parcel with my {}"}
MOODS = {"kind": "Hello dear team, please: {}. Many thanks!", "angry": "This is a shame. {}. I am furious!"}


def demo_of(directory: Path) -> Path:
    """Write a demo of two heads: what a message wants, and how it sounds."""
    lines = [
        json.dumps({"text": how.format(what.format(thing)), "labels": {"topic": topic, "mood": mood}})
        for topic, what in TOPICS.items() for mood, how in MOODS.items() for thing in THINGS
    ]  # fmt: skip
    (directory / "heads.jsonl").write_text("\n".join(lines), encoding="utf-8")
    demo = directory / "heads.toml"
    demo.write_text(
        'name = "heads"\ntask = "multioutput_text_classification"\ntitle = "Heads"\n[data]\ntrain = "heads.jsonl"\n'
        '[training]\nmethod = "head"\n[experiment]\noffer = "manual"\n[retraining]\nafter_accepted = 0\n',
        encoding="utf-8",
    )
    return demo


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One app for the module."""
    directory = tmp_path_factory.mktemp("heads")
    with served(demo_of(directory), directory / "home") as running:
        yield running


def command(life: Served, *words: str) -> str:
    """Run a command of ours beside the running app, on its home; return what it prints."""
    home = str(life.house.home.directory)
    demo = str(life.house.demo.path)
    done = subprocess.run(
        [sys.executable, "-m", words[0], "--demo", demo, "--home", home, *words[1:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_head_is_corrected_believed_and_learned(life: Served, tmp_path: Path) -> None:
    """Two people correct the topic alone; the snapshot has the topic alone, both heads still answer, and every page reads it."""
    with life.staff() as staff, life.visitor() as ann, life.visitor() as bob:
        for number in range(30):
            for person in (ann, bob):
                shown = said(person.post("/api/v1/predictions", json={"input": f"please send order {number} over to my cousin"}))
                assert set(shown["output"]["labels"]) == {"topic", "mood"}
                output = {"labels": {"topic": "track"}}
                said(person.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": output}))
        assert rows(life, "SELECT count(*) AS n FROM current_corrections WHERE status = 'accepted'")[0]["n"] == 60
        run = ended(staff, said(staff.post("/api/v1/retrainings", json={}), 202)["id"])
        assert run["state"] in ("passed", "undecided"), run
        _, second = said(staff.get("/api/v1/versions"), 200)
        checks = {check["name"] for check in second["gate"]["checks"]}
        assert {"old_domain", "feedback", "class:topic/track", "class:mood/angry", "calibration"} <= checks
        assert {"topic_accuracy", "mood_macro_f1", "mean_accuracy"} <= set(second["scores"]["test"])
        said(staff.post("/api/v1/promotions", json={"version": 2, "reason": "good"}))
        after = said(ann.post("/api/v1/predictions", json={"input": "please send order 77 over to my cousin"}))
        assert after["output"]["labels"]["topic"] == "track"
        assert set(after["output"]["confidences"]) == {"topic", "mood"}
    out = tmp_path / "accepted.csv"
    command(life, "feedback.exchange", "export", str(out))
    assert '{""topic"": ""track""}' in out.read_text(encoding="utf-8")
    assert "labels are contradicted" in command(life, "model.clean", "--dry-run")
    plain = tmp_path / "plain"
    command(life, "model.versions", "export", "2", str(plain))
    assert "one label a head" in (plain / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert json.loads((plain / "config.json").read_text(encoding="utf-8"))["id2label"]["0"] == "mood/angry"
