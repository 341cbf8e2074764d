"""A candidate from the base instead of the parent, and what is left of a parent's labels: tiny networks, whole jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from feedback.demo import Demo
from feedback.errors import BadInput
from model.answering import open_network
from model.base import begin, resume
from model.card import Card, read_card
from model.data import network_seed
from model.job import Job
from model.lineage import carries_erased, clean_parent
from model.making import run_job
from model.progress import Progress
from model.recipe import renamed, settings_of
from tests.model.test_training import _feedback as feedback_in

QUIET = Progress(None)


def again(demo: Demo, directory: Path, name: str, snapshot: Path, **more: object) -> Job:
    """Return a retraining's job from version 1 in `directory`, judged against it."""
    first = str(directory / "v1")
    job = Job(
        str(demo.path), str(directory / name), kind="retrain", number=2, parent=first, parent_version=1, champion=first,
        champion_version=1, snapshot=str(snapshot),
    )  # fmt: skip
    return replace(job, **more)  # type: ignore[arg-type]  # names with their types


def weights(directory: Path) -> torch.Tensor:
    """Return all weights of a version in one row."""
    return torch.cat([p.detach().float().flatten() for p in open_network(directory).model.network.parameters()])


def test_a_candidate_from_the_base_owes_its_parent_nothing(text_demo: Demo, tmp_path: Path) -> None:
    """Two different parents, equal weights; no parent and no `a` on the card, the seed's epochs and rate, and the same gate."""
    run_job(Job(str(text_demo.path), str(tmp_path / "v1")), text_demo, QUIET)
    snapshot = feedback_in(tmp_path / "snapshots", text_demo)
    more = {"from_base": True, "trigger": "from_base", "passed_over": 1}
    card = run_job(again(text_demo, tmp_path, "v2", snapshot, **more), text_demo, QUIET)
    other = text_demo.model_copy(update={"training": text_demo.training.model_copy(update={"seed": 9})})
    run_job(Job(str(other.path), str(tmp_path / "other")), other, QUIET)
    run_job(again(text_demo, tmp_path, "v3", snapshot, parent=str(tmp_path / "other"), **more), text_demo, QUIET)
    assert torch.equal(weights(tmp_path / "v2"), weights(tmp_path / "v3"))
    assert (card.kind, card.parent, card.passed_over, card.interpolation) == ("retrain", None, None, None)
    assert (card.trigger, card.champion_version, card.snapshot) == ("from_base", 1, snapshot.name)
    seed = read_card(tmp_path / "v1").settings
    assert (card.settings["epochs"], card.settings["learning_rate"]) == (seed["epochs"], seed["learning_rate"])
    assert card.settings["seed"] != seed["seed"]
    assert card.gate is not None
    assert {"old_domain", "feedback"} <= {check["name"] for check in card.gate["checks"]}
    assert card.training["examples"] > 60


def test_a_candidate_from_the_base_needs_no_parent_and_is_a_retraining() -> None:
    """As a file: read back as written; without a snapshot, or with another kind, it is refused; files of before have none."""
    job = Job("d", "o", kind="retrain", snapshot="s", from_base=True)
    assert Job.from_json(job.to_json()) == job
    assert not Job.from_json('{"demo": "d", "out": "o"}').from_base
    with pytest.raises(BadInput, match="needs a snapshot"):
        Job.from_json(replace(job, snapshot=None).to_json())
    with pytest.raises(BadInput, match="from_base with kind 'seed'"):
        Job.from_json(replace(job, kind="seed").to_json())


def test_a_retraining_from_a_parent_learns_slower_than_one_from_the_base(text_demo: Demo) -> None:
    """From the parent its own epochs and a lower rate; both with a seed of their own."""
    parent = settings_of(text_demo, Job("d", "o", kind="retrain", number=3))
    base = settings_of(text_demo, Job("d", "o", kind="retrain", number=3, from_base=True))
    assert (parent.epochs, base.epochs) == (text_demo.training.retrain_epochs, text_demo.training.epochs)
    assert parent.learning_rate == pytest.approx(text_demo.training.retrain_rate * base.learning_rate)
    assert parent.seed == base.seed == text_demo.training.seed + 3


def test_a_version_from_the_base_carries_what_it_learned_and_nothing_of_before() -> None:
    """An erasure that taints the versions before it leaves it clean; one of its own feedback names it."""
    cards = {
        1: Card(1, "t", ("a",)),
        2: Card(2, "t", ("a",), parent=1, kind="retrain", erased=("e_1",)),
        3: Card(3, "t", ("a",), kind="retrain"),
        4: Card(4, "t", ("a",), parent=3, kind="retrain"),
    }
    assert [carries_erased(n, cards, ()) for n in (2, 3, 4)] == [True, False, False]
    assert clean_parent(4, cards, ()) == 4
    assert clean_parent(4, cards, {3}) == 1


@pytest.mark.parametrize("kind", ["text", "span"])
def test_a_label_that_left_takes_its_rows_along_and_no_others(
    kind: str, request: pytest.FixtureRequest, tiny_base: Path, tmp_path: Path
) -> None:
    """A parent with three labels goes on with two: the rows of the two, and of O, are what they were."""
    demo: Demo = request.getfixturevalue(f"{kind}_demo")
    wide, _ = network_seed(demo, labels=("fruit", "other", "tool"))
    model = begin(wide, str(tiny_base), 1)
    for part in model:
        part.save_pretrained(tmp_path / "wide")
    task, _ = network_seed(demo)
    parent = Card(1, task.name, wide.labels)
    rename = renamed(task, parent)
    assert rename == {"other": ""}
    kept = resume(task, str(tmp_path / "wide"), rename, 1).network
    rows = [wide.config_labels().index(label) for label in task.config_labels()]
    assert list(kept.config.id2label.values()) == task.config_labels()
    assert torch.equal(kept.classifier.weight, model.network.classifier.weight[rows])
    foreign = replace(parent, rename={"B-MISC": "B-other", "OTH": "other", "FRU": "fruit"})
    assert renamed(task, foreign) == {"B-MISC": "", "OTH": "", "FRU": "fruit", "other": ""}
