"""Pictures as texts, and the small network that names them: what is refused, what is learned, and what a retraining keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from feedback.demo import Demo, load_demo
from feedback.errors import BadDemo, BadInput
from feedback.records import Example, Json, input_hash
from model.data import load_seed
from model.own_model import Learned, Work, answers_to
from model.parts import Parts
from model.pictures import picture_of, pixels_of
from model.progress import Progress
from model.tasks.image_classification import ImageClassification
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def digits() -> tuple[Demo, ImageClassification, list[Example], list[Example]]:
    """The demo, its task, 300 training pictures and the sealed ones."""
    demo = load_demo(ROOT / "demos" / "digits.toml")
    task, seed = load_seed(demo)
    assert isinstance(task, ImageClassification)
    assert sum(map(len, (seed.train, seed.validation, seed.test))) == 1797  # as scikit-learn says of load_digits
    return demo, task, seed.train[:300], seed.test


def learned(
    task: ImageClassification, demo: Demo, train: Sequence[Example], directory: Path, parent: Path | None = None
) -> Learned:
    """Learn a version into a directory."""
    directory.mkdir()
    return task.learn(Work(demo, Parts(list(train), [], [], []), directory, Progress(None), 1, parent))


def accuracy(task: ImageClassification, directory: Path, examples: Sequence[Example]) -> float:
    """Return the share of right answers of a version."""
    answers = answers_to(task.open(directory), examples)
    return task.score([e.output for e in examples], [answer.output for answer in answers])["accuracy"]


def example(pixels: object, label: str, weight: float = 1.0) -> Example:
    """Return a picture with its label."""
    picture = picture_of(pixels)
    return Example(picture, {"label": label}, weight=weight, input_hash=input_hash(picture))


def test_pixels_go_in_and_come_out() -> None:
    """Height and width, row by row; 255 greys are kept."""
    pixels = np.arange(6, dtype=np.float32).reshape(2, 3) / 255
    assert picture_of(pixels) == "3x2:000102030405"
    np.testing.assert_array_equal(pixels_of(picture_of(pixels)), pixels)


@pytest.mark.parametrize(
    ("value", "code"),
    [("", "picture_shape"), ("8x8", "picture_shape"), ("1x1:FF", "picture_shape"), ("2x2:ff", "picture_shape"), ("0x0:", "picture_shape"),
     ("65x1:" + "ff" * 65, "picture_shape"), ("2x1:0000", "picture_empty"), ("1x1:ff\n", "picture_shape"), ("١x1:ff", "picture_shape")],
)  # fmt: skip
def test_what_is_no_picture_is_refused(value: Json, code: str) -> None:
    """Sides and digits must fit together, in small ASCII letters; a blank picture shows nothing."""
    with pytest.raises(BadInput, match="input") as refused:
        ImageClassification(("a", "b")).check_input(value)
    assert refused.value.code == code


def test_digits_are_learned(digits: tuple[Demo, ImageClassification, list[Example], list[Example]], tmp_path: Path) -> None:
    """300 pictures teach more than 90 % of the sealed ones; the same work gives the same version; other sizes are read too."""
    demo, task, train, test = digits
    learned(task, demo, train, tmp_path / "one")
    learned(task, demo, train, tmp_path / "two")
    assert accuracy(task, tmp_path / "one", test) > 0.9
    version, other = task.open(tmp_path / "one"), task.open(tmp_path / "two")
    assert [a.confidence for a in answers_to(version, test)] == [a.confidence for a in answers_to(other, test)]
    twice = [example(np.kron(pixels_of(e.input), np.ones((2, 2))), e.output["label"]) for e in test]
    assert [a.output for a in answers_to(version, twice)] == [a.output for a in answers_to(version, test)]


def test_a_retraining_starts_from_its_parent(
    digits: tuple[Demo, ImageClassification, list[Example], list[Example]], tmp_path: Path
) -> None:
    """Labels that stay keep what was learned, a new one is learned besides, and one that is gone is never answered."""
    demo, task, train, test = digits
    learned(task, demo, train, tmp_path / "one")
    rest = [label for label in task.labels if label != "9"]
    fewer = ImageClassification([*rest, "stripes"])
    stripes = [example(np.tile([[0.0, 1.0]], (8, 4)) * share, "stripes") for share in np.linspace(0.5, 1, 20)]
    kept = [e for e in train if e.output["label"] != "9"]
    done = learned(fewer, demo, [*kept, *stripes], tmp_path / "two", tmp_path / "one")
    assert done.told["interpolation"] == 0.5  # no choosing pictures: half-way
    own = [e for e in test if e.output["label"] != "9"]
    assert accuracy(fewer, tmp_path / "two", own) > 0.9
    assert "9" not in {a.output["label"] for a in answers_to(fewer.open(tmp_path / "two"), test)}
    said = answers_to(fewer.open(tmp_path / "one"), own)  # the old version knows no stripes and answers no nines any more
    assert {a.output["label"] for a in said} <= set(rest)


def test_what_weighs_nothing_teaches_nothing(tmp_path: Path) -> None:
    """Wrong labels of weight 0 beside right ones: the right ones are learned."""
    task, demo = ImageClassification(("bar", "dash")), load_demo(ROOT / "demos" / "digits.toml")
    bar, dash = np.zeros((8, 8)), np.zeros((8, 8))
    bar[:, 3:5], dash[3:5, :] = 1, 1
    right = [example(bar * share, "bar") for share in np.linspace(0.6, 1, 20)]
    right += [example(dash * share, "dash") for share in np.linspace(0.6, 1, 20)]
    wrong = [example(bar * share, "dash", 0.0) for share in np.linspace(0.5, 0.9, 60)]
    learned(task, demo, [*right, *wrong], tmp_path / "one")
    assert accuracy(task, tmp_path / "one", right) == 1.0


def test_broken_versions_and_nothing_to_learn_are_told(tmp_path: Path) -> None:
    """Files that are missing or of other sizes, and pictures of one label alone, end in words."""
    task, demo = ImageClassification(("bar", "dash")), load_demo(ROOT / "demos" / "digits.toml")
    with pytest.raises(BadInput, match="no version"):
        task.open(tmp_path)
    with pytest.raises(BadDemo, match="two different labels"):
        learned(task, demo, [example(np.ones((8, 8)), "bar")], tmp_path / "one")
    (tmp_path / "one" / "config.json").write_text('{"side": 8, "labels": ["bar"]}', encoding="utf-8")
    (tmp_path / "one" / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(BadInput, match="no version"):
        task.open(tmp_path / "one")
