"""The worked demos of docs/adding-a-demo.md are whole: their TOMLs and data load, their tasks are known, their words are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from feedback.demo import load_demo
from model.data import load_seed
from model.train import main
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "adding-a-demo.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.S | re.M))
TOMLS = sorted(name for name in FILES if name.endswith(".toml"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with every file that the page shows."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_page_shows_three_demos_of_three_tasks(folder: Path) -> None:
    """Medicine, education and city services, each with another task."""
    assert TOMLS == ["city.toml", "clinic.toml", "course.toml"]
    assert len({load_demo(folder / name).task for name in TOMLS}) == 3


@pytest.mark.parametrize("name", TOMLS)
def test_each_loads_with_its_data(name: str, folder: Path) -> None:
    """TOML and rows pass the checks of the app, and something is left to train on; title and notice are in both languages."""
    demo = load_demo(folder / name)
    task, seed = load_seed(demo)
    assert len(seed.train) >= 5
    assert len(seed.train) + len(seed.validation) + len(seed.test) >= 8
    assert set(demo.title) == set(demo.notice) == {"en", "zh"}
    for example in seed.train:
        assert task.check_output(example.input, example.output) == example.output
    assert all(task.check_input(text) for text in demo.examples)


def test_the_one_in_medicine_trains(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page asks to start can be trained: a head on the packaged base, in seconds."""
    monkeypatch.chdir(folder)
    words = ["--demo", "clinic.toml", "--out", "made", "--method", "head", "--device", "cpu", "--threads", "1"]
    assert main(words) == 0
    assert (folder / "made" / "card.json").is_file()


def test_the_commands_name_modules_that_are_there() -> None:
    """Each `python -m MODULE` of the page is a module of ours."""
    for module in re.findall(r"python -m ([a-z_.]+)", PAGE):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
