"""The Chinese README says what the English one says, as far as a machine can tell: the same sections, tree, commands and settings."""

from __future__ import annotations

import re
import tomllib

import pytest

from feedback.demo import Demo
from model.task import task_types
from tests.conftest import ROOT

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")


def blocks(text: str, kind: str) -> list[str]:
    """Return the code blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.S | re.M)


def tree(text: str) -> list[str]:
    """Return the paths of the tree, each with its room in front."""
    paths, room = [], ""
    for line in blocks(text, "text")[0].splitlines():
        name = line.split()[0]
        room = room if line.startswith(" ") else name if name.endswith("/") else ""
        paths.append(room + name if line.startswith(" ") else name)
    return paths


def test_it_has_the_same_sections() -> None:
    """As many headings of each level, in the same order of levels."""
    assert re.findall(r"^#+(?= )", CHINESE, re.M) == re.findall(r"^#+(?= )", ENGLISH, re.M)


def test_every_path_of_its_tree_exists() -> None:
    """As in the English tree, whose every line is there."""
    assert set(tree(ENGLISH)) <= set(tree(CHINESE))
    for path in tree(CHINESE):
        assert (ROOT / path).exists(), path


def test_every_link_leads_somewhere() -> None:
    """Relative links are files; the English README is one of them."""
    targets = re.findall(r"\]\(([^)#:]+)\)", CHINESE)
    assert "README.md" in targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_it_names_the_same_commands() -> None:
    """Every command of the English README, word for word up to its comment."""
    commands = {line.split(" #")[0].strip() for block in blocks(ENGLISH, "bash") for line in block.splitlines() if line.strip()}
    ours = {line.split(" #")[0].strip() for block in blocks(CHINESE, "bash") for line in block.splitlines() if line.strip()}
    assert commands <= ours


@pytest.mark.parametrize("text", blocks(CHINESE, "toml"))
def test_its_tomls_are_demos(text: str) -> None:
    """Each is a whole demo of a known task."""
    demo = Demo.model_validate({**tomllib.loads(text), "path": ROOT / "x.toml"})
    assert demo.task in task_types()
