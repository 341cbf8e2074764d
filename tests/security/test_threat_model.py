"""docs/threat-model.md names tests as its proofs: each of them is there."""

from __future__ import annotations

import re

from tests.conftest import ROOT

MODEL = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_every_proof_that_the_threat_model_names_exists() -> None:
    """A file is one of tests/security, or has its path; a test's name is that of a function in it."""
    named = re.findall(r"`(?P<file>(?:tests/)?[a-z_/]*test_[a-z_]+\.py)(?:::(?P<test>test_\w+))?`", MODEL)
    assert len(named) > 15
    for file, test in named:
        found = (
            list(ROOT.glob(file)) if "/" in file else [*ROOT.glob(f"tests/security/{file}"), *ROOT.glob(f"tests/feedback/{file}")]
        )
        assert found, file
        assert not test or f"def {test}(" in found[0].read_text(encoding="utf-8"), f"{file}::{test}"


def test_every_command_that_it_names_exists() -> None:
    """What is to be done when something has leaked are verbs of `python -m feedback.staff`."""
    source = (ROOT / "feedback" / "staff.py").read_text(encoding="utf-8")
    verbs = set(re.findall(r"python -m feedback\.staff (\w+)", MODEL))
    assert verbs == {"logout", "password", "revoke"}
    assert all(f'add_parser("{verb}"' in source for verb in verbs)
