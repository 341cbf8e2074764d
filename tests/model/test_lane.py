"""The fast lane: accepted, refitted, gated, offered; what it waits for, what it forgets, and what its versions share on disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from feedback.demo import load_demo
from feedback.home import Home
from feedback.records import Visitor
from feedback.words import Words
from model.answering import open_network
from model.base import begin
from model.batches import tokenize
from model.data import network_seed
from model.frozen import Frozen
from model.head import fit_head, output_of
from model.house import House, open_house
from model.lane import FEWEST, State
from model.refit import HeadAnswerer
from model.sharing import BELOW, save_sharing
from tests.conftest import ROOT
from tests.serving import THINGS, small_demo

TAUGHT = "Cancel number {} and the {} as well"
"""What the starter calls something else, and visitors call praise."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo with a fast lane, its starter trained once."""
    directory = tmp_path_factory.mktemp("lane")
    demo = small_demo(directory)
    words = demo.read_text(encoding="utf-8").replace('offer = "manual"\n', "")
    demo.write_text(words.replace("after_accepted = 0", "after_accepted = 0\nlane_after_accepted = 5"), encoding="utf-8")
    opened(directory).close()
    return directory


def opened(directory: Path) -> House:
    """Return the opened house of the demo in a directory; nothing watches yet."""
    return open_house(load_demo(directory / "small.toml"), Home(directory / "home"), Words((ROOT / "feedback" / "words.toml",)))


@pytest.fixture(scope="module")
def taught(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same demo with 130 accepted corrections, made once."""
    directory = tmp_path_factory.mktemp("taught") / "copy"
    shutil.copytree(trained, directory)
    house = opened(directory)
    accept(house, 130)
    house.close()
    return directory


@pytest.fixture
def house(taught: Path, tmp_path: Path) -> Iterator[House]:
    """A copy of the demo with 130 accepted corrections, opened; the lane is run by hand."""
    shutil.copytree(taught, tmp_path / "copy")
    one = opened(tmp_path / "copy")
    yield one
    one.close()


def accept(house: House, count: int, start: int = 0) -> None:
    """Let visitors correct `count` texts and a reviewer accept them."""
    for number in range(start, start + count):
        who = Visitor(f"u_{number % 7}")
        shown = house.desk.predict(who, TAUGHT.format(number, THINGS[number % len(THINGS)]))
        made, _ = house.desk.correct(who, shown.id, {"label": "praise"})
        house.desk.review("sue", made.id, "accept")


def test_what_is_accepted_is_offered_and_served(house: House) -> None:
    """A round learns it, passes, and is a challenger that answers as taught; the card says who made it and what it shares."""
    assert house.lane.state() == State("ready", 130, 5)
    ended = house.lane.round()
    assert (ended.state, ended.trigger, ended.version) == ("passed", "lane", 2), ended
    current = house.experiments.current
    assert current is not None
    assert [v.version for v in current.variants] == [1, 2]
    card = house.versions.card(2)
    assert (card.method, card.trigger, card.parent, card.snapshot) == ("head", "lane", 1, ended.snapshot)
    answer = house.predictor.predict(2, TAUGHT.format("999", "sofa"), {})
    assert answer.output == {"label": "praise"}
    served = house.lane.last_served()
    assert served is not None
    assert served.version == 2
    newest = house.store.rows("SELECT max(created) AS t FROM reviews")[0]["t"]
    assert served.seconds == pytest.approx((current.created - newest).total_seconds(), abs=1e-3)
    assert {row["part"] for row in house.store.rows("SELECT DISTINCT part FROM uses WHERE version = 2")} == {"train", "gate"}


def test_the_next_round_replaces_a_challenger_whom_hardly_anybody_met(house: House) -> None:
    """The lane's own young experiment makes room; its lower part is one file with the version's before."""
    house.lane.round()
    accept(house, 30, start=130)
    assert house.lane.state() == State("ready", 30, 13)
    house.lane.round()  # against the same champion, with more of the same: it passes again
    current = house.experiments.current
    assert current is not None
    assert [v.version for v in current.variants] == [1, 3]
    stopped = next(e for e in house.experiments.all() if e.name != current.name)
    assert (stopped.state, stopped.author) == ("stopped", "policy:lane")
    first, second = (house.versions.path(n) / BELOW for n in (2, 3))
    assert first.samefile(second)


def test_an_experiment_that_tells_something_is_left_alone(house: House) -> None:
    """Twenty people met the lane's challenger, or a person offered it: no round is due until it ends."""
    house.lane.round()
    name = house.experiments.current.name if house.experiments.current else ""
    met = 0
    for number in range(400):
        shown = house.desk.predict(Visitor(f"u_new{number}"), "I want my money back for the lamp")
        met += shown.variant != "champion"
        if met == FEWEST:
            break
    accept(house, 30, start=200)
    assert house.lane.state() == State("experiment", experiment=name)
    house.experiments.act(name, "stop", "sue")
    assert house.lane.state().name == "ready"


def test_too_little_to_judge_on_is_said_and_nothing_is_trained(trained: Path, tmp_path: Path) -> None:
    """With fewer than 20 accepted items kept for judging no round begins."""
    shutil.copytree(trained, tmp_path / "copy")
    house = opened(tmp_path / "copy")
    accept(house, 20)
    state = house.lane.state()
    assert (state.name, state.needed) == ("few", 20)
    assert 0 < state.new < 20
    house.lane._look()
    assert house.retrainer.rounds.all() == []
    house.close()


def test_an_erasure_ends_what_remembers_texts(house: House) -> None:
    """The resident process, which holds features of people's texts, is gone after an erasure, and its output too."""
    house.lane.round()
    assert house.lane._resident.running
    house.room.eraser.erase("u_1")
    assert not house.lane._resident.running
    assert not (house.home.directory / "lane.log").exists()


def test_a_round_that_an_erasure_cuts_short_registers_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is under way when somebody erases theirs: cancelled, no version, and it is due again."""
    real = house.lane._resident.run

    def meanwhile(file: Path) -> str:
        house.room.eraser.erase("u_1")
        return real(file)

    monkeypatch.setattr(house.lane._resident, "run", meanwhile)
    ended = house.lane.round()
    assert (ended.state, ended.detail) == ("cancelled", "cancelled by policy:erasure")
    assert house.versions.numbers() == [1]
    assert house.lane.state().new > 100
    assert not list(house.home.runs.glob("*/candidate"))


def test_a_process_that_dies_is_said_and_the_next_round_has_another(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the midst of a job: the run failed with its status, and the round after it passes."""
    resident = house.lane._resident
    there = resident._there

    def killed() -> Any:
        process = there()
        process.kill()
        process.wait()
        monkeypatch.setattr(resident, "_there", there)
        return process

    monkeypatch.setattr(resident, "_there", killed)
    assert "resident training process ended" in house.lane.round().detail
    assert house.versions.numbers() == [1]
    assert house.lane.round().state == "passed"


def test_a_shared_version_is_a_plain_checkpoint(trained: Path, tmp_path: Path) -> None:
    """transformers loads the two files, and its logits are those of the head on remembered features."""
    task, seed = network_seed(load_demo(trained / "small.toml"))
    frozen = Frozen(begin(task, str(trained / "home" / "versions" / "v0001"), 1))
    pad = int(frozen.model.tokenizer.pad_token_id)
    fit_head(frozen.model.network, task.encode(frozen.model.tokenizer, seed.train), pad, nullcontext, lambda *_: None)
    texts = [e.input for e in seed.train[:9]] + ["short", "much longer than the others " * 30]
    _, ours = HeadAnswerer(task, frozen, output_of(frozen.layer)).logits(texts)
    (tmp_path / "v0007").mkdir()
    assert not save_sharing(frozen, tmp_path / "v0007", tmp_path)
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "v0007").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "v0007")
    for text, row in zip(texts, ours, strict=True):
        with torch.no_grad():
            logits = network(**tokenizer(text, return_tensors="pt")).logits[0].numpy()
        np.testing.assert_allclose(logits, row, atol=2e-4)
    (tmp_path / "v0008").mkdir()
    assert save_sharing(frozen, tmp_path / "v0008", tmp_path)


def test_remembered_features_are_bounded_and_the_oldest_go_first(trained: Path) -> None:
    """Past the bound what was asked for longest ago is computed anew; what is asked for again stays."""
    task, seed = network_seed(load_demo(trained / "small.toml"))
    model = begin(task, str(trained / "home" / "versions" / "v0001"), 1)
    rows = [list(encoded.ids) for encoded in tokenize(model.tokenizer, [e.input for e in seed.train[:5]])]
    frozen = Frozen(model, most_bytes=3 * 384 * 4)
    kept = frozen.inputs(rows[:3])
    frozen.inputs(rows[:1])
    frozen.inputs(rows[3:4])
    assert len(frozen) == 3
    calls: list[int] = []
    forward: Callable[..., Any] = model.network.forward

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return forward(*given, **named)

    model.network.forward = counted
    np.testing.assert_array_equal(frozen.inputs(rows[:1])[0], kept[0])
    assert not calls
    np.testing.assert_allclose(frozen.inputs(rows[1:2])[0], kept[1], atol=1e-6)
    assert calls


def test_the_lane_watches_by_itself(house: House) -> None:
    """Begun like the app begins it, it offers what is accepted without anybody asking."""
    house.lane.begin()
    deadline = time.monotonic() + 400
    while house.lane.last_served() is None:
        assert time.monotonic() < deadline, house.retrainer.rounds.all()
        time.sleep(0.2)
    assert open_network(house.versions.path(2)).task.labels == house.versions.card(2).labels
