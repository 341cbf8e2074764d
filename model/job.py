"""One piece of work for a training process, as a file: what to make, from what, and where to say how far it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from feedback.errors import BadInput

Kind = Literal["seed", "retrain", "added"]
KINDS: tuple[Kind, ...] = ("seed", "retrain", "added")


@dataclass(frozen=True)
class Job:
    """What `python -m model.train --job FILE` does. Every path is absolute; None: there is no such thing.

    kind seed: learn from the demo's data; from its base model. retrain: from `parent`'s weights on the seed data and
    `snapshot`; with `from_base` from the demo's base (or checkpoint) instead, with the seed's epochs and rate, and the card
    names no parent. added: no training, the gate alone judges `candidate`. A version directory appears at `out`, whole.
    """

    demo: str
    out: str
    progress: str = ""
    method: str = "full"
    kind: Kind = "seed"
    number: int = 1  # the version number it will get, for the card
    parent: str | None = None
    parent_version: int | None = None
    champion: str | None = None
    champion_version: int | None = None
    snapshot: str | None = None
    trigger: str = ""
    candidate: str | None = None
    track: str = ""  # the directory of the run's curves; "": they are not written
    passed_over: int | None = None  # the champion, where it learned from what was erased since and `parent` is an ancestor of it
    from_base: bool = False
    anchor: str | None = None  # the champion before with the best validation score, where that is better than the champion's

    def to_json(self) -> str:
        """Return the job as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job of a JSON text; raise BadInput naming the key that is unknown, missing or wrong."""
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"job: not JSON: {error}") from error
        known = {field.name for field in fields(cls)}
        if not isinstance(raw, dict):
            raise BadInput(f"job: must be a JSON object, not {type(raw).__name__}")
        if not set(raw) <= known or not {"demo", "out"} <= set(raw):
            raise BadInput(f"job: needs demo and out, and knows {', '.join(sorted(known))}; given: {', '.join(map(str, raw))}")
        if raw.get("kind", "seed") not in KINDS:
            raise BadInput(f"job: kind = {raw['kind']!r}: choices are {', '.join(KINDS)}")
        try:
            job = TypeAdapter(cls).validate_json(json.dumps(raw), strict=True)
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
            raise BadInput(f"job: {said}") from error
        if job.from_base and job.kind != "retrain":
            raise BadInput(f"job: from_base with kind {job.kind!r}: it is for kind 'retrain' alone")
        if job.kind == "retrain" and not ((job.parent or job.from_base) and job.snapshot):
            raise BadInput("job: kind 'retrain' needs a snapshot, and a parent or from_base")
        if job.kind == "added" and not job.candidate:
            raise BadInput("job: kind 'added' needs candidate")
        return job

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job file; raise BadInput where it is missing or broken."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise BadInput(f"{path}: is not UTF-8: {error}") from error
