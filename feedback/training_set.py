"""Accepted feedback frozen into a snapshot: Parquet, manifest, sha256, split by hash. It trains nothing.

A fifth of the accepted items (by a hash of the normalised text) is the gate's slice and is never trained on, in any
snapshot: the same text always falls on the same side.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
from pyarrow import ArrowException

from feedback.caps import CapRule
from feedback.disk import refuse_full_disk
from feedback.errors import BadInput
from feedback.home import write_atomically
from feedback.records import Example, Json, bucket_of, new_id, now
from feedback.store import Store
from feedback.weighing import weigh

GATE_SHARE = 0.2
_MANIFEST, _TABLE = "manifest.json", "examples.parquet"
_COLUMNS = ["correction_id", "contributor", "input", "output", "weight", "input_hash", "confirmation", "part"]


class Snapshot(NamedTuple):
    """A frozen training set. `train` is learned from, `gate` only judges; `sha256` is of the Parquet file.

    `weighing`: what the caps and the counting once did to the weights (weighing.Round.told), empty where nobody weighed.
    """

    id: str
    sha256: str
    train: list[Example]
    gate: list[Example]
    weighing: Mapping[str, Json] = MappingProxyType({})


def accepted(store: Store) -> list[Example]:
    """Return the examples that stand accepted now, one an input: the newest acceptance wins, a person's before a policy's.

    Of several heads the one that tells most of them wins: people may have spoken of different ones.

    `weight` is the probability that the output is right: with which a policy accepted it, where the policy has one (reliability's
    posterior). What a person accepted weighs 1, and so does what a policy accepted that knows no probability: agreement counts
    heads, and a number made up for it would only look as if somebody had measured it. The caps come later (weighing.py).

    The owner's gold items are never among them: a model that has learned its traps' answers would tell them to everybody.
    """
    rows = store.rows(
        """SELECT id, contributor, input, output, input_hash, confirmation,
               CASE WHEN starts_with(reviewer, 'policy:') THEN coalesce(probability, 1.0) ELSE 1.0 END AS weight
           FROM current_corrections c
           ANTI JOIN (SELECT input_hash FROM current_traps WHERE active AND source = 'gold') t ON t.input_hash = c.input_hash
           WHERE status = 'accepted'
           QUALIFY row_number() OVER (PARTITION BY input_hash
               ORDER BY (NOT starts_with(reviewer, 'policy:')) DESC, coalesce(len(json_keys(output, '$.labels')), 0) DESC,
                   reviewed DESC, id) = 1
           ORDER BY created, id"""
    )
    return [
        Example(
            input=json.loads(row["input"]),
            output=json.loads(row["output"]),
            weight=row["weight"],
            correction_id=row["id"],
            contributor=row["contributor"],
            input_hash=row["input_hash"],
            confirmation=row["confirmation"],
        )
        for row in rows
    ]


def part_of(input_hash: str) -> str:
    """Return `gate` or `train`: where an input of this hash belongs, for good."""
    return "gate" if bucket_of(input_hash) < GATE_SHARE else "train"


def freeze_accepted(store: Store, directory: Path, rule: CapRule) -> Snapshot:
    """Write a snapshot of what stands accepted now: what is learned from is weighed and capped, what judges is not.

    An example that is left no weight (it only repeats what a reviewer accepted) is left out. Refuses an empty snapshot.
    """
    examples = accepted(store)
    learned = weigh(store, [e for e in examples if part_of(e.input_hash) == "train"], rule)
    gate = [e for e in examples if part_of(e.input_hash) == "gate"]
    return freeze([*(e for e in learned.examples if e.weight > 0), *gate], directory, learned.told())


def freeze(examples: Sequence[Example], directory: Path, weighing: Mapping[str, Json] | None = None) -> Snapshot:
    """Write a snapshot under `directory`, whole or not at all, and return it. Refuses an empty one; StorageFull on a full disk.

    `weighing`: what is to be said of how the weights came about, kept in the manifest.
    """
    if not examples:
        raise BadInput("there is no accepted correction to learn from: review some first, or wait until contributors agree")
    name = new_id("s")
    staged = directory / f".{name}.partial"
    for left in directory.glob(".s_*.partial"):  # of an app that was killed while it froze: two never freeze at once
        shutil.rmtree(left, ignore_errors=True)
    frame = pd.DataFrame(
        [
            (
                e.correction_id,
                e.contributor,
                json.dumps(e.input, ensure_ascii=False),
                json.dumps(e.output, ensure_ascii=False),
                e.weight,
                e.input_hash,
                e.confirmation,
                part_of(e.input_hash),
            )
            for e in examples
        ],
        columns=_COLUMNS,
    )
    try:
        staged.mkdir(parents=True)
        frame.to_parquet(staged / _TABLE, index=False)
        digest = sha256((staged / _TABLE).read_bytes()).hexdigest()
        parts = frame["part"].value_counts().to_dict()
        manifest = {
            "id": name,
            "created": now().isoformat(timespec="seconds"),
            "rows": len(frame),
            "train": int(parts.get("train", 0)),
            "gate": int(parts.get("gate", 0)),
            "contributors": int(frame["contributor"].nunique()),
            "sha256": digest,
            "weighing": dict(weighing or {}),
        }
        write_atomically(staged / _MANIFEST, json.dumps(manifest, indent=1))
        staged.rename(directory / name)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        refuse_full_disk(error, directory)
        raise
    return read_snapshot(directory / name)


def weighing_of(directory: Path) -> Mapping[str, Json]:
    """Return what a snapshot's manifest says of its weights; empty where it says nothing or is gone (erased, pruned).

    Raises BadInput where the manifest is broken.
    """
    return _weighing(_manifest(directory)) if (directory / _MANIFEST).exists() else {}


def read_snapshot(directory: Path) -> Snapshot:
    """Read a snapshot back. Raises BadInput where files are missing or broken, or the sha256 does not match the manifest."""
    manifest = _manifest(directory)
    try:
        raw = (directory / _TABLE).read_bytes()
    except OSError as error:
        raise BadInput(f"{directory}: not a snapshot ({_MANIFEST} and {_TABLE}): {error}") from error
    digest = sha256(raw).hexdigest()
    if digest != manifest.get("sha256"):
        raise BadInput(f"{directory}: {_TABLE} has sha256 {digest}, its manifest says {manifest.get('sha256')}")
    parts: dict[str, list[Example]] = {"train": [], "gate": []}
    try:
        for row in pd.read_parquet(BytesIO(raw)).to_dict("records"):
            parts[str(row["part"])].append(
                Example(
                    input=json.loads(row["input"]),
                    output=json.loads(row["output"]),
                    weight=float(row["weight"]),
                    correction_id=str(row["correction_id"]),
                    contributor=str(row["contributor"]),
                    input_hash=str(row["input_hash"]),
                    confirmation=bool(row["confirmation"]),
                )
            )
    except (OSError, ValueError, TypeError, KeyError, RecursionError, ArrowException) as error:
        raise BadInput(f"{directory}: {_TABLE} is not the table of a snapshot: {type(error).__name__}: {error}") from error
    return Snapshot(manifest["id"], digest, parts["train"], parts["gate"], _weighing(manifest))


def _manifest(directory: Path) -> dict[str, Any]:
    """Return a snapshot's manifest; raise BadInput where it is missing, broken or names no snapshot."""
    try:
        manifest = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{directory}: not a snapshot ({_MANIFEST} and {_TABLE}): {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("id"), str):
        raise BadInput(f"{directory}: {_MANIFEST} names no snapshot: it must be an object with an id")
    return manifest


def _weighing(manifest: Mapping[str, Any]) -> Mapping[str, Json]:
    said = manifest.get("weighing", {})
    return said if isinstance(said, dict) else {}
