"""The owner's gold items become traps, once, and a broken one is told with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedback.demo import Demo
from feedback.desk import Desk
from feedback.errors import BadDemo
from feedback.records import Trap, Visitor, input_hash
from feedback.store import Store
from feedback.training_set import accepted
from model.gold import lay_traps
from model.task import task_type


def demo_of(tmp_path: Path, *rows: dict[str, str]) -> Demo:
    """Return a demo whose gold file holds these rows."""
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Demo.model_validate(
        {"path": tmp_path / "t.toml", "name": "t", "task": "text_classification", "title": "T", "data": {"train": "x"},
         "labels": ["good", "bad"], "acceptance": {"gold": "gold.jsonl"}}
    )  # fmt: skip


def test_gold_is_laid_once_and_again_where_its_answer_changed(tmp_path: Path, store: Store) -> None:
    """Two items, then nothing new at the next start, then one whose answer the owner has changed."""
    task = task_type("text_classification")(("good", "bad"))
    first = ({"text": "fine", "label": "good"}, {"text": "awful", "label": "bad"})
    assert lay_traps(demo_of(tmp_path, *first), task, store) == 2
    assert lay_traps(demo_of(tmp_path, *first), task, store) == 0
    assert lay_traps(demo_of(tmp_path, first[0], {"text": "awful", "label": "good"}), task, store) == 1
    rows = store.rows("SELECT input::VARCHAR AS input, output::VARCHAR AS output, source FROM current_traps ORDER BY input")
    assert [(json.loads(r["input"]), json.loads(r["output"])["label"], r["source"]) for r in rows] == [
        ("awful", "good", "gold"), ("fine", "good", "gold"),
    ]  # fmt: skip


def test_a_broken_gold_item_is_told_with_its_place(tmp_path: Path, store: Store) -> None:
    """A label that the task does not know: file and line, and nothing is stored."""
    task = task_type("text_classification")(("good", "bad"))
    with pytest.raises(BadDemo, match=r"gold\.jsonl.*2.*'ugly'"):
        lay_traps(demo_of(tmp_path, {"text": "fine", "label": "good"}, {"text": "x", "label": "ugly"}), task, store)
    assert store.rows("SELECT * FROM traps") == []


def test_no_gold_file_is_no_trap(tmp_path: Path, store: Store) -> None:
    """A demo without gold starts without traps."""
    demo = Demo.model_validate(
        {"path": tmp_path / "t.toml", "name": "t", "task": "text_classification", "title": "T", "data": {"train": "x"}}
    )
    assert lay_traps(demo, task_type("text_classification")(("a", "b")), store) == 0


def test_what_leaves_the_file_is_no_trap_any_more_and_what_a_person_ended_stays_ended(tmp_path: Path, store: Store) -> None:
    """A line taken out ends its trap; one that staff ended is not laid again until its answer in the file changes."""
    task = task_type("text_classification")(("good", "bad"))
    rows = [{"text": "fine", "label": "good"}, {"text": "awful", "label": "bad"}]
    lay_traps(demo_of(tmp_path, *rows), task, store)
    assert lay_traps(demo_of(tmp_path, rows[0]), task, store) == 1
    assert [row["input"] for row in store.rows("SELECT input FROM current_traps WHERE active")] == ['"fine"']
    assert lay_traps(demo_of(tmp_path, *rows), task, store) == 1  # back in the file, back as a trap
    store.add(Trap(input_hash("fine"), "fine", {"label": "good"}, "gold", "sue", active=False))
    assert lay_traps(demo_of(tmp_path, *rows), task, store) == 0
    assert lay_traps(demo_of(tmp_path, {"text": "fine", "label": "bad"}, rows[1]), task, store) == 1


def test_gold_is_never_trained_on(store: Store, desk: Desk) -> None:
    """A correction of a gold item's text, accepted by a reviewer, is no training example; once it is no trap, it is."""
    ann = Visitor("u_ann")
    made = desk.correct(ann, desk.predict(ann, "fine").id, {"label": "v2"})[0]
    desk.review("sue", made.id, "accept")
    assert len(accepted(store)) == 1
    store.add(Trap(input_hash("fine"), "fine", {"label": "v2"}, "gold", "demo"))
    assert accepted(store) == []
    store.add(Trap(input_hash("fine"), "fine", {"label": "v2"}, "gold", "demo", active=False))
    assert len(accepted(store)) == 1
