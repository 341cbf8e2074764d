"""The card of a model version: what it is, where it comes from and what it scored. One JSON file, no weights."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from feedback.errors import BadInput
from feedback.home import write_atomically
from feedback.records import Json, input_hash, now
from model.task import Task, task_type

CARD = "card.json"


def libraries() -> dict[str, str]:
    """Return the versions of what computes: Python, torch, transformers, tokenizers."""
    return {"python": platform.python_version(), **{name: installed(name) for name in ("torch", "transformers", "tokenizers")}}


@dataclass(frozen=True)
class Card:
    """One version's card. Scores and shares lie in 0..1, times are ISO 8601 in UTC; None: there is no such thing.

    `parent`: the version whose weights it started from; a retrained one without a parent started from the base.
    `interpolation`: a in (1-a) champion + a candidate.
    `scores`: {"validation": {...}, "test": {...}}; `test` is the sealed part, shown to people, deciding nothing.
    `gate`: GateResult as JSON, None for a first version. `rename`: the checkpoint's labels to ours ("" drops one).
    """

    number: int
    task: str
    labels: tuple[str, ...]
    base: str = ""
    method: str = ""
    parent: int | None = None
    kind: str = "seed"  # seed, retrain, added
    snapshot: str | None = None
    snapshot_sha256: str | None = None
    seed: int | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)
    training: Mapping[str, Json] = field(default_factory=dict)  # seconds, steps, tokens, device, dtype, examples; {} for added
    interpolation: float | None = None
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gate: Mapping[str, Json] | None = None
    champion_version: int | None = None  # against which the gate judged it
    created: str = field(default_factory=lambda: now().isoformat(timespec="seconds"))
    libraries: Mapping[str, str] = field(default_factory=libraries)
    fallback_label: str = ""
    max_chars: int = 2000
    rename: Mapping[str, str] = field(default_factory=dict)
    source: str = ""  # of an added version: where it was copied from
    trigger: str = ""
    passed_over: int | None = None  # the champion whose weights it did not start from: they had learned from what was erased
    erased: tuple[str, ...] = ()  # ids of the erasures whose contributors' feedback it had learned from

    @property
    def verdict(self) -> str:
        """Return the gate's verdict (passed, refused, undecided); without a gate `first` for what a demo starts with.

        A checkpoint that was added without being gated is `undecided`: only a person may offer it.
        """
        if self.gate:
            return str(self.gate["verdict"])
        return "undecided" if self.kind == "added" and self.number > 1 else "first"

    def gate_words(self) -> list[str]:
        """Return the gate's checks, one English sentence each, then how often it passes candidates of known worth."""
        if not self.gate:
            return []
        lines = [f"{check['verdict']}: {check['words']}" for check in self.gate.get("checks", [])]
        return [*lines, *([str(self.gate["power_words"])] if self.gate.get("power_words") else [])]

    def bound_task(self) -> Task:
        """Return the task with this version's labels."""
        return task_type(self.task)(self.labels, self.max_chars, self.fallback_label)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON values, the verdict included."""
        return {**asdict(self), "labels": list(self.labels), "erased": list(self.erased), "verdict": self.verdict}

    @classmethod
    def from_dict(cls, raw: Json) -> Card:
        """Return the card of JSON values; keys that are unknown (of a later release) are left aside. Raises BadInput."""
        if not isinstance(raw, dict):
            raise BadInput("card: must be a JSON object")
        known = {item.name for item in fields(cls)}
        given = {key: value for key, value in raw.items() if key in known}
        missing = {"number", "task", "labels"} - set(given)
        if missing:
            raise BadInput(f"card: {', '.join(sorted(missing))} is missing")
        if isinstance(given["number"], bool) or not isinstance(given["number"], int) or given["number"] < 1:
            raise BadInput(f"card: number = {given['number']!r}: must be a whole number from 1")
        if not isinstance(given["labels"], list) or not all(isinstance(label, str) for label in given["labels"]):
            raise BadInput(f"card: labels = {given['labels']!r}: must be a list of texts")
        for name in ("settings", "training", "scores", "rename"):
            if not isinstance(given.get(name, {}), dict):
                raise BadInput(f"card: {name} = {given[name]!r}: must be a JSON object")
        gate, erased = given.get("gate"), given.get("erased", [])
        if gate is not None and not (isinstance(gate, dict) and isinstance(gate.get("verdict"), str)):
            raise BadInput("card: gate has no verdict")
        if not isinstance(erased, list) or not all(isinstance(id_, str) for id_ in erased):
            raise BadInput(f"card: erased = {erased!r}: must be a list of ids")
        return cls(**{**given, "labels": tuple(given["labels"]), "erased": tuple(erased)})

    def write(self, directory: Path) -> None:
        """Write card.json into a version directory, whole or not at all."""
        write_atomically(directory / CARD, json.dumps(self.to_dict(), indent=1, ensure_ascii=False))

    def without(self, contributor: str, hashes: frozenset[str]) -> Card:
        """Return the card whose gate names neither this contributor nor an input of these hashes; itself where it named none."""
        if not self.gate:
            return self
        worse = [item for item in self.gate.get("worse", []) if input_hash(item["input"]) not in hashes]
        contributors = {name: scores for name, scores in self.gate.get("contributors", {}).items() if name != contributor}
        gate = {**self.gate, "worse": worse, "contributors": contributors}
        same = len(worse) == len(self.gate.get("worse", [])) and len(contributors) == len(self.gate.get("contributors", {}))
        return self if same else replace(self, gate=gate)

    def numbered(self, number: int) -> Card:
        """Return the card with another number."""
        return replace(self, number=number)


def read_card(directory: Path) -> Card:
    """Read the card of a version directory; raise BadInput where it is missing or broken."""
    try:
        return Card.from_dict(json.loads((directory / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{directory / CARD}: cannot be read: {error}") from error
    except BadInput as error:
        raise BadInput(f"{directory / CARD}: {error.detail}") from error
