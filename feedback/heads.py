"""Outputs of several heads, `{"labels": {head: label}}`: what they say head by head, and how far two of them agree. It judges nobody.

A head that is left out has not been spoken of. Outputs of any other form say what they say as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from feedback.records import Json


def told(output: Json) -> dict[str, str] | None:
    """Return by head what an output says; None for one that says something as a whole."""
    labels = output.get("labels") if isinstance(output, Mapping) else None
    return {str(head): str(label) for head, label in labels.items()} if isinstance(labels, Mapping) else None


def told_by(text: str) -> dict[str, str] | None:
    """Return what an output says that is given as JSON text."""
    return told(json.loads(text)) if '"labels"' in text else None


def output_text(labels: Mapping[str, str]) -> str:
    """Return an output as the log holds it (store.py writes JSON this way)."""
    return json.dumps({"labels": dict(labels)}, ensure_ascii=False, sort_keys=True)


def within(output: Json, other: Json) -> bool:
    """Return whether the other says all that an output says: it is equal to it, or says it of more heads."""
    mine, theirs = told(output), told(other)
    if mine is None or theirs is None:
        return bool(output == other)
    return mine.items() <= theirs.items()


def at_one(output: str, other: str) -> bool:
    """Return whether two outputs, as JSON text, are equal, or share a head and differ in none that they share."""
    if output == other:
        return True
    mine, theirs = told_by(output), told_by(other)
    if mine is None or theirs is None:
        return False
    shared = mine.keys() & theirs.keys()
    return bool(shared) and all(mine[head] == theirs[head] for head in shared)


WITHIN = (
    "({output}::VARCHAR = {other}::VARCHAR OR (json_type({output}, '$.labels') = 'OBJECT' AND json_contains({other}, {output})))"
)
"""`within` in SQL, over two columns that hold JSON; `{output}` and `{other}` are to be filled in."""
