"""Model versions on disk: home/versions/v0001 and on, each a plain transformers directory with a card. The disk is the truth.

The command `python -m model.versions` is in model/commands.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from feedback.errors import BadInput, Conflict, NotFound
from model.card import CARD, Card, read_card
from model.exports import Export, add_foreign, export_version
from model.lineage import line

__all__ = ["Card", "Versions", "add_foreign", "as_lines"]

_NAME = re.compile(r"v(\d{4,})")


class Versions:
    """The versions of one home directory. Safe to use from many threads; a version, once in place, never changes but its gate."""

    def __init__(self, home: Path) -> None:
        self.directory = Path(home).resolve() / "versions"
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        for left in self.directory.glob(".*.partial"):
            shutil.rmtree(left, ignore_errors=True)

    def _scan(self) -> tuple[dict[int, Card], list[str]]:
        cards: dict[int, Card] = {}
        problems: list[str] = []
        for path in sorted(self.directory.iterdir()):
            if path.name.startswith("."):
                continue
            match = _NAME.fullmatch(path.name)
            try:
                card = read_card(path)
            except BadInput as error:
                problems.append(error.detail)
                continue
            if not match or int(match[1]) != card.number:
                problems.append(f"{path}: its card says version {card.number}")
            elif not (path / "config.json").is_file():
                problems.append(f"{path}: config.json is missing")
            else:
                cards[card.number] = card
        return dict(sorted(cards.items())), problems

    def numbers(self) -> list[int]:
        """Return the numbers of all whole versions, ascending."""
        return list(self._scan()[0])

    def cards(self) -> list[Card]:
        """Return the cards of all whole versions, by number."""
        return list(self._scan()[0].values())

    def problems(self) -> list[str]:
        """Return what lies in the versions' directory and is no version, a sentence each."""
        return self._scan()[1]

    def card(self, number: int) -> Card:
        """Return a version's card; raise NotFound with the numbers there are."""
        if not (self.path_of(number) / CARD).is_file():
            known = ", ".join(map(str, self.numbers())) or "none"
            raise NotFound(
                f"no model version {number}; there are: {known}", code="no_version", values={"number": number, "known": known}
            )
        return read_card(self.path_of(number))

    def path_of(self, number: int) -> Path:
        """Return where a version of this number lies or would lie."""
        return self.directory / f"v{number:04d}"

    def path(self, number: int) -> Path:
        """Return a version's directory; raise NotFound with the numbers there are."""
        self.card(number)
        return self.path_of(number)

    def next_number(self) -> int:
        """Return the number after the highest that any directory here claims, whole or not."""
        taken = [int(match[1]) for path in self.directory.iterdir() if (match := _NAME.fullmatch(path.name))]
        return max(taken, default=0) + 1

    def adopt(self, directory: Path, number: int | None = None) -> int:
        """Move a finished version directory into place under the next number (or this one) and return the number.

        Raises BadInput where it is not whole, Conflict where the number is taken.
        """
        with self._lock:
            card = read_card(directory)
            if not (directory / "config.json").is_file():
                raise BadInput(f"{directory}: config.json is missing: not a whole version")
            chosen = self.next_number() if number is None else number
            target = self.path_of(chosen)
            if target.exists():
                raise Conflict(f"version {chosen} exists already: {target}")
            card.numbered(chosen).write(directory)
            try:
                os.rename(directory, target)
            except OSError:  # another file system: copy beside the target, then rename
                staged = self.directory / f".v{chosen:04d}.partial"
                shutil.rmtree(staged, ignore_errors=True)
                shutil.copytree(directory, staged)
                os.rename(staged, target)
                shutil.rmtree(directory, ignore_errors=True)
            return chosen

    def regated(self, number: int, directory: Path) -> Card:
        """Take over the gate's new result from a candidate directory that judged this version again; remove the directory."""
        with self._lock:
            judged = read_card(directory)
            card = replace(self.card(number), gate=judged.gate, champion_version=judged.champion_version)
            card.write(self.path_of(number))
            shutil.rmtree(directory, ignore_errors=True)
            return card

    def forget(self, erasure: str, contributor: str, hashes: frozenset[str], learned: Sequence[int]) -> None:
        """Take an erased contributor, and inputs of these hashes, out of every card; note the erasure on those that `learned`.

        The weights stay as they are: what was learned from is named, not unlearned. Doing it again changes nothing.
        """
        with self._lock:
            for card in self.cards():
                clean = card.without(contributor, hashes)
                if card.number in learned and erasure not in card.erased:
                    clean = replace(clean, erased=(*card.erased, erasure))
                if clean is not card:
                    clean.write(self.path_of(card.number))

    def export(
        self,
        number: int,
        out: Path,
        format: str = "transformers",
        beside: Path | None = None,
        tell: Callable[[str], object] = lambda _: None,
    ) -> Path:
        """Write a version as a plain directory with a MODEL_CARD.md; raise BadInput for an unknown format or a full `out`.

        `beside`: the demo's folder, from where its base may be named; `tell` hears how the result was verified, if it was.
        """
        cards = {**{card.number: card for card in self.cards()}, number: self.card(number)}
        descent = tuple(cards[one] for one in line(number, cards) if one in cards)
        said = export_version(Export(self.path(number), descent, out, format, self.directory.parent / "snapshots", beside))
        if said:
            tell(said)
        return out


def summary(card: Card) -> Mapping[str, object]:
    """Return what a list shows of a card: number, kind, parent, method, verdict, validation score."""
    validation = card.scores.get("validation", {})
    return {
        "number": card.number,
        "kind": card.kind,
        "parent": card.parent,
        "method": card.method,
        "verdict": card.verdict,
        "validation": round(validation["main"], 4) if "main" in validation else None,
        "created": card.created,
    }


def public_facts(versions: Versions) -> list[dict[str, Any]]:
    """Return what everybody may know of each version: number, day, kind, verdict, and the score of its sealed test part."""
    facts = []
    for card in versions.cards():
        sealed = card.scores.get("test", {})
        facts.append(
            {
                "number": card.number,
                "made": card.created,
                "kind": card.kind,
                "verdict": card.verdict,
                "score": round(sealed["main"], 4) if "main" in sealed else None,
                "items": int(sealed.get("items", 0)),
            }
        )
    return facts


def as_lines(versions: Versions) -> str:
    """Return the list of versions, one JSON object a line, problems last."""
    lines = [json.dumps(summary(card)) for card in versions.cards()]
    return "\n".join([*lines, *(f"ignored: {why}" for why in versions.problems())])


if __name__ == "__main__":
    from model.commands import versions_main

    raise SystemExit(versions_main())
