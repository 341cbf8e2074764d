"""Refitting the head: which network it takes, that a resident process gives what a fresh one gives, and the head as a rival."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from feedback.demo import Demo
from feedback.records import Example, input_hash
from feedback.training_set import freeze
from model.answering import open_network
from model.card import Card
from model.held import Held
from model.job import Job
from model.making import run_job
from model.network_task import network_task
from model.parts import Parts
from model.progress import Progress
from model.refit import refit
from model.sharing import HEAD


def accepted(directory: Path, count: int = 60) -> str:
    """Freeze accepted corrections of the fruit demo; return the snapshot's directory."""
    items = []
    for number in range(count):
        word, label = [("papaya", "fruit"), ("ladder", "tool")][number % 2]
        text = f"please bring {number} of the {word} along"
        items.append(Example(text, {"label": label}, 1.0, f"c{number}", f"u{number % 5}", input_hash(text)))
    directory.mkdir(exist_ok=True)
    return str(directory / freeze(items, directory).id)


@pytest.fixture
def seeded(text_demo: Demo, tmp_path: Path) -> Job:
    """A job that retrains the fruit demo's seed version on accepted corrections."""
    seed = tmp_path / "versions" / "v0001"
    run_job(Job(demo=str(text_demo.path), out=str(seed), method="full"), text_demo, Progress(None))
    return Job(
        demo=str(text_demo.path), out="", method="head", kind="retrain", number=2, parent=str(seed), parent_version=1,
        champion=str(seed), champion_version=1, snapshot=accepted(tmp_path / "snapshots"), trigger="lane",
    )  # fmt: skip


def done(job: Job, demo: Demo, out: Path, held: Held | None = None) -> Card:
    """Run the job into a directory."""
    return run_job(replace(job, out=str(out)), demo, Progress(None), held)


def test_a_process_that_stays_gives_what_a_fresh_one_gives(seeded: Job, text_demo: Demo, tmp_path: Path) -> None:
    """The same job in a fresh process' memory, and after another job in the same: equal weights, equal gate, equal scores."""
    held = Held()
    fresh = done(seeded, text_demo, tmp_path / "fresh")
    done(replace(seeded, snapshot=accepted(tmp_path / "other", 24)), text_demo, tmp_path / "before", held)
    again = done(seeded, text_demo, tmp_path / "again", held)
    for name, value in load_file(tmp_path / "fresh" / HEAD).items():
        np.testing.assert_array_equal(value, load_file(tmp_path / "again" / HEAD)[name])
    assert (fresh.gate, fresh.scores, fresh.interpolation) == (again.gate, again.scores, again.interpolation)


def test_the_version_answers_as_the_gate_saw_it(seeded: Job, text_demo: Demo, tmp_path: Path) -> None:
    """What is written answers the sealed test as the card says: the gate judged the very model that serves."""
    card = done(seeded, text_demo, tmp_path / "out")
    task, seed, _ = Held().data(text_demo)
    answers = open_network(tmp_path / "out").answer([e.input for e in seed.test], [{}] * len(seed.test))
    scores = task.score([e.output for e in seed.test], [a.output for a in answers])
    assert scores["main"] == pytest.approx(card.scores["test"]["main"])


def test_the_better_of_parent_and_base_is_taken(seeded: Job, text_demo: Demo) -> None:
    """Where one of the two networks tells nothing of a text, the head on the other is taken."""
    assert seeded.parent
    held = Held()
    bound, seed, _ = held.data(text_demo)
    task = network_task(bound, "this")
    parent, base = held.sources(task, Path(seeded.parent), {}, text_demo)
    assert (parent.start is not None, base.start is None) == (True, True)
    parts = Parts(seed.train, [*seed.validation, *seed.test, *seed.train[:20]], [], [])
    for blind, from_parent in ((parent, False), (base, True)):
        with pytest.MonkeyPatch.context() as patch:
            real = blind.frozen.inputs
            patch.setattr(blind.frozen, "inputs", lambda rows, *more, real=real: [np.zeros_like(s) for s in real(rows)])
            found = refit(task, [parent, base], parts, Progress(None))
        assert found.from_parent == from_parent
        assert (found.interpolation is None) == (not from_parent)


@pytest.mark.parametrize("method", ["full", "head"])
def test_what_is_fine_tuned_meets_the_head_at_the_gate(method: str, seeded: Job, text_demo: Demo, tmp_path: Path) -> None:
    """A full fine-tuning is compared with a head on the frozen base that learned the same; a head is not compared with itself."""
    card = done(replace(seeded, method=method), text_demo, tmp_path / "out")
    assert card.gate is not None
    checks = {check["name"]: check for check in card.gate["checks"]}
    assert ("head" in checks) == (method == "full")
    if method == "full":
        assert checks["head"]["items"] == checks["old_domain"]["items"] + checks["feedback"]["items"]
        assert "frozen base" in checks["head"]["words"]


def test_spans_have_no_head_to_beat(span_demo: Demo, tmp_path: Path) -> None:
    """A head on a frozen base is no serious tagger: the parent's network alone is refitted, and nothing is compared."""
    seed = tmp_path / "versions" / "v0001"
    run_job(Job(demo=str(span_demo.path), out=str(seed), method="full"), span_demo, Progress(None))
    held = Held()
    bound, data, _ = held.data(span_demo)
    task = network_task(bound, "this")
    assert len(held.sources(task, seed, {}, span_demo)) == 1
    items = [replace(e, correction_id=f"c{i}", contributor=f"u{i}") for i, e in enumerate(data.train[:40])]
    (tmp_path / "s").mkdir()
    job = Job(
        demo=str(span_demo.path), out="", method="head", kind="retrain", number=2, parent=str(seed), parent_version=1,
        champion=str(seed), champion_version=1, snapshot=str(tmp_path / "s" / freeze(items, tmp_path / "s").id),
    )  # fmt: skip
    card = done(job, span_demo, tmp_path / "out", held)
    assert (card.method, card.parent) == ("head", 1)
    assert card.gate is not None
    assert "head" not in {check["name"] for check in card.gate["checks"]}
    texts = [e.input for e in data.test]
    answers = open_network(tmp_path / "out").answer(texts, [{}] * len(texts))
    assert task.score([e.output for e in data.test], [a.output for a in answers])["main"] == pytest.approx(
        card.scores["test"]["main"]
    )
