"""Who learns from what: seed, accepted and gold items dealt out so that no text is in two parts. It trains and judges nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from feedback.errors import BadInput
from feedback.records import Example
from feedback.training_set import Snapshot
from model.data import SeedData
from model.task import Task

CHOOSING_FEEDBACK = 0.1
CHOOSING_VALIDATION = 0.3
"""Shares, by a second hash, of accepted items and of the seed's validation part that choose `a` and so never gate."""


@dataclass(frozen=True)
class Parts:
    """Who learns from what: no text is in two of these. `left_out` counts accepted items that no part may use.

    `held_out`: input hashes of the seed's validation and test parts, the sealed one included.
    """

    train: list[Example]
    choosing: list[Example]
    old: list[Example]  # the gate's old domain
    feedback: list[Example]  # the gate's feedback slice
    left_out: int = 0
    held_out: frozenset[str] = frozenset()
    gold: tuple[Example, ...] = ()  # the owner's items of known truth: they judge, and nobody else can write them


def parts_of(task: Task, seed: SeedData, snapshot: Snapshot | None, gold: Sequence[Example] = ()) -> Parts:
    """Deal seed, accepted and gold items out. An accepted item replaces a seed example of the same text.

    A gold item that is a text of the seed's too stays there.

    Accepted items whose text is in the seed's validation or test part, or whose labels the demo no longer has, are left
    out; seed examples whose text is in the snapshot's gate slice are not trained on.
    """
    choosing = [e for e in seed.validation if second_place(e.input_hash) < CHOOSING_VALIDATION]
    old = [e for e in seed.validation if second_place(e.input_hash) >= CHOOSING_VALIDATION]
    if snapshot is None:
        return Parts(list(seed.train), choosing, old, [], held_out=seed.held_out, gold=_apart(gold, seed))
    train = _usable(task, snapshot.train, seed.held_out)
    feedback = _usable(task, snapshot.gate, seed.held_out)
    left_out = len(snapshot.train) + len(snapshot.gate) - len(train) - len(feedback)
    choosing += [e for e in train if second_place(e.input_hash) < CHOOSING_FEEDBACK]
    taken = {e.input_hash for e in (*train, *feedback)}
    replayed = [e for e in seed.train if e.input_hash not in taken]
    learned = [e for e in train if second_place(e.input_hash) >= CHOOSING_FEEDBACK]
    kept = _apart(gold, seed, taken)
    return Parts(replayed + learned, choosing, old, feedback, left_out, seed.held_out, kept)


def _apart(gold: Sequence[Example], seed: SeedData, taken: Collection[str] = ()) -> tuple[Example, ...]:
    """Return the gold items whose texts no other part has."""
    elsewhere = {e.input_hash for e in seed.train} | seed.held_out | set(taken)
    return tuple(e for e in gold if e.input_hash not in elsewhere)


def second_place(input_hash: str) -> float:
    """Return another place in [0, 1) of a hash, independent of bucket_of: the next 32 bits."""
    return int(input_hash[8:16], 16) / 2**32


def _usable(task: Task, examples: Sequence[Example], held_out: frozenset[str]) -> list[Example]:
    kept = []
    for example in examples:
        if example.input_hash in held_out:
            continue
        try:
            kept.append(replace(example, output=task.check_output(example.input, example.output)))
        except BadInput:  # its label has left the demo since
            continue
    return kept
