"""The documents are true: the tree that the README draws is there, its commands and TOMLs work, its pictures exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from feedback.demo import Demo, load_demo
from feedback.errors import AmendError
from model.task import task_types
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """Return the README's code blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", README, re.S | re.M)


@pytest.mark.parametrize(
    "text", re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs" / "adding-a-demo.md").read_text(encoding="utf-8"), re.S | re.M)
)
def test_the_worked_demos_are_whole(text: str, tmp_path: Path) -> None:
    """Each TOML of docs/adding-a-demo.md is a demo that loads, of a task that is there, with examples to try."""
    (tmp_path / "worked.toml").write_text(text, encoding="utf-8")
    demo = load_demo(tmp_path / "worked.toml")
    assert demo.task in task_types()
    assert demo.examples


def test_every_file_in_the_tree_exists() -> None:
    """Each path at the start of a line of the tree is there, under the room above it."""
    room = ""
    for line in blocks("text")[0].splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            room = name if name.endswith("/") else ""
            assert (ROOT / name).exists(), name
        else:
            assert (ROOT / room / name).exists(), f"{room}{name}"
    for name in re.findall(r"\b([a-z_]+\.(?:py|toml))\b", blocks("text")[0]):
        assert list(ROOT.glob(f"**/{name}")), name


def test_every_link_and_picture_is_there() -> None:
    """Relative links of every document lead to files."""
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("text", blocks("toml"))
def test_the_tomls_are_demos(text: str) -> None:
    """Every TOML of the README is a valid demo of a known task."""
    demo = Demo.model_validate({**tomllib.loads(text), "path": ROOT / "x.toml"})
    assert demo.task in task_types()


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m ([a-z_.]+)", README))))
def test_the_commands_exist(module: str) -> None:
    """Every `python -m MODULE` of the README explains itself with --help."""
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


def test_make_has_the_promised_targets() -> None:
    """install, demo, test, check and screenshots are targets, and `make -n demo` passes its variables on."""
    done = subprocess.run(
        ["make", "-n", "demo", "DEMO=demos/support.toml", "PORT=7999", "HOST=127.0.0.2", "HOME_DIR=/tmp/h"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert "app.py demos/support.toml --host 127.0.0.2 --port 7999 --home /tmp/h" in done.stdout
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert {"install", "demo", "test", "check", "screenshots"} <= targets


@pytest.mark.parametrize("file", sorted((ROOT / "demos").glob("*.toml")), ids=lambda path: path.name)
def test_the_demos_hang_together(file: Path) -> None:
    """Each demo is valid, is of a known task, speaks both languages, and has its data and a card that says where it is from."""
    demo = load_demo(file)
    assert demo.task in task_types()
    for words in (demo.title, demo.description, demo.notice, demo.placeholder):
        assert set(words) == {"en", "zh"}
    heads = {label.split("/")[0] for label in demo.labels if "/" in label}  # of a task with several heads: each has a title
    spoken = {label for label in demo.labels if not label.isdigit()}  # a digit is read alike in both
    assert set(demo.label_names.get("zh", {})) == spoken | heads
    assert demo.resolve(demo.data.train).exists() or demo.data.train.endswith(".sklearn")  # which a library brings along
    assert bool(demo.data.catalogue) == task_types()[demo.task].catalogued
    card = " ".join(file.with_suffix(".md").read_text(encoding="utf-8").lower().split())
    assert "for this project" in card or "come with scikit-learn" in card


def test_a_wrong_demo_makes_the_front_door_say_so(tmp_path: Path) -> None:
    """`python app.py` with a bad file ends with one line of words and status 1, not a traceback."""
    bad = tmp_path / "bad.toml"
    bad.write_text('name = "x"\n', encoding="utf-8")
    with pytest.raises(AmendError):
        load_demo(bad)
    done = subprocess.run(
        [sys.executable, str(ROOT / "app.py"), str(bad)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "task is missing" in done.stderr
    assert "Traceback" not in done.stderr
