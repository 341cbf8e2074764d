"""What the page and the routes ask of whoever reads the log. A Protocol alone; reader.py's Reader answers."""

from __future__ import annotations

from typing import Protocol

from analysis.history import Design
from analysis.prove import Proof
from analysis.report import Report


class Reports(Protocol):
    """Reports of one log; every method raises NotFound, with the choices, for an unknown name."""

    def report(self, name: str) -> Report:
        """Return an experiment's report."""

    def design(self, name: str) -> Design:
        """Return what was declared, and every number of it."""

    def proof(self, name: str) -> Proof:
        """Return the false-alarm rates, or raise BadInput where too few users are there."""

    def users_file(self, name: str, form: str) -> bytes:
        """Return the per-user table as a file."""
