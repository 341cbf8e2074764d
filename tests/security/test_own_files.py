"""Files that the app itself wrote and finds again: where they are damaged or changed, it says which and what, and nothing else is raised."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedback.alarms import Alarms
from feedback.records import Example
from feedback.store import Store
from feedback.training_set import freeze, read_snapshot, weighing_of
from model.card import CARD, Card, read_card
from model.job import Job
from tests.security.generated import DEEP, HUGE, MANY, dumped, in_words, like, mutated, values

CARD_VALUES = json.loads(
    json.dumps(Card(1, "text_classification", ("a", "b"), gate={"verdict": "passed", "worse": []}).to_dict())
)
JOB_VALUES = json.loads(Job("d.toml", "out", kind="retrain", parent="v1", snapshot="s").to_json())
ALARM = {
    "id": "a1", "source": "policy", "rule": "jump", "raised": "2026-01-01T00:00:00", "noticed": "2026-01-01T00:00:00", "cleared": None,
    "recent": [1, 2], "before": [1, 20], "author": "", "reason": "", "normal": False,
}  # fmt: skip


def in_file(directory: Path, name: str, content: str | bytes) -> Path:
    """Write a file into a directory and return the directory."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return directory


@given(raw=(like(CARD_VALUES) | values).map(dumped).map(str.encode) | mutated(dumped(CARD_VALUES).encode()))
@example(raw=DEEP.encode())
@example(raw=dumped(CARD_VALUES | {"gate": 5}).encode())
@example(raw=dumped(CARD_VALUES | {"erased": 5}).encode())
@example(raw=dumped(CARD_VALUES | {"number": HUGE}).encode())
@MANY
def test_a_card_of_any_value(tmp_path: Path, raw: bytes) -> None:
    """A version's card is a card that says its verdict and can be written again, or names its file."""
    where = in_file(tmp_path / "v0001", CARD, raw)
    card = in_words(lambda: read_card(where), str(where / CARD))
    if card is not None:
        assert isinstance(card.verdict, str)
        assert Card.from_dict(json.loads(json.dumps(card.to_dict()))).labels == card.labels


@given(raw=(like(JOB_VALUES) | values).map(dumped).map(str.encode) | mutated(dumped(JOB_VALUES).encode()))
@example(raw=b"5")
@example(raw=DEEP.encode())
@example(raw=b"\xff")
@MANY
def test_a_job_of_any_value(tmp_path: Path, raw: bytes) -> None:
    """A training process's job is one, or it is named."""
    where = in_file(tmp_path / "run", "job.json", raw) / "job.json"
    job = in_words(lambda: Job.read(where), "job", str(where))
    if job is not None:
        assert all(isinstance(text, str) for text in (job.demo, job.out, job.kind))
        assert Job.from_json(job.to_json()) == job


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot as the app writes it."""
    directory = tmp_path_factory.mktemp("snapshots")
    examples = [Example(f"text {n}", {"label": "a"}, 1.0, f"c{n}", "u1", f"{n:064x}") for n in range(6)]
    return directory / freeze(examples, directory).id


def test_a_snapshot_is_read_back(frozen: Path) -> None:
    """Every example, on its side of the split, with its weight."""
    back = read_snapshot(frozen)
    assert sorted(e.input for e in (*back.train, *back.gate)) == [f"text {n}" for n in range(6)]


@given(data=st.data())
@MANY
def test_a_snapshot_whose_manifest_is_any_value(frozen: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Its directory is named; a changed sha256, or other bytes under it, is no snapshot."""
    manifest = json.loads((frozen / "manifest.json").read_text())
    table = (frozen / "examples.parquet").read_bytes()
    raw = data.draw(mutated(table) | st.just(table))
    said = data.draw(like({**manifest, "sha256": sha256(raw).hexdigest()}) | values)
    where = in_file(in_file(tmp_path / "s", "manifest.json", dumped(said)), "examples.parquet", raw)
    back = in_words(lambda: read_snapshot(where), str(where))
    assert back is None or (isinstance(back.id, str) and back.sha256 == sha256(raw).hexdigest())
    in_words(lambda: weighing_of(where), str(where))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.assign(part="elsewhere"),
        lambda frame: frame.assign(input="{not json"),
        lambda frame: frame.assign(weight="heavy"),
        lambda frame: frame.drop(columns=["output"]),
        lambda frame: frame.assign(output=None),
    ],
)
def test_a_snapshot_with_a_foreign_table_under_the_right_sha256(
    frozen: Path, tmp_path: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    """Somebody who can write a manifest still gets words, and no half-read snapshot."""
    where = tmp_path / "s"
    where.mkdir()
    spoil(pd.read_parquet(frozen / "examples.parquet")).to_parquet(where / "examples.parquet", index=False)
    digest = sha256((where / "examples.parquet").read_bytes()).hexdigest()
    in_file(where, "manifest.json", json.dumps({"id": "s", "sha256": digest}))
    assert in_words(lambda: read_snapshot(where), str(where)) is None


@given(raw=(st.lists(like(ALARM) | values, max_size=2) | values).map(dumped).map(str.encode) | mutated(dumped([ALARM]).encode()))
@example(raw=DEEP.encode())
@example(raw=b"\xff")
@MANY
def test_alarms_of_any_value(shared_log: Store, tmp_path: Path, raw: bytes) -> None:
    """The file of alarms is read, or named with what to do."""
    where = in_file(tmp_path / "home", "alarms.json", raw) / "alarms.json"
    in_words(lambda: Alarms(shared_log, where), str(where))


@pytest.fixture(scope="module")
def shared_log(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An empty log."""
    with Store(tmp_path_factory.mktemp("log")) as store:
        yield store
