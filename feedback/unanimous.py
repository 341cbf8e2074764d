"""Which items become traps since everybody says the same of them, and which are none any more. It judges nobody.

A trap must be beyond dispute: FEW contributors and more said the same of it, nobody said otherwise, at least TRUSTED of them
are proved by the owner's traps (else colluders could make traps of their own), and it corrects what the model showed (an
item that the careless pass by confirming tells nothing). Those who made it are not tested by it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from feedback.heads import within
from feedback.heard import Heard
from feedback.records import Trap
from feedback.store import Store

FEW = 4
TRUSTED = 2


class Known(NamedTuple):
    """What stands in the log of an item that is or was a trap."""

    active: bool
    source: str
    author: str


def known_traps(store: Store) -> dict[str, Known]:
    """Return by input hash what stands of every item that is or was a trap."""
    rows = store.rows("SELECT input_hash, active, source, author FROM current_traps")
    return {str(row["input_hash"]): Known(bool(row["active"]), str(row["source"]), str(row["author"])) for row in rows}


def changes(
    said: Sequence[Heard], sure: Mapping[str, str], trusted: Collection[str], known: Mapping[str, Known], policy: str
) -> list[Trap]:
    """Return the traps to store: new ones, and those that end since somebody says otherwise, took back or is blocked.

    said: answers of all who are not blocked; sure: item -> its answer, where the policy is sure of one; known: by input hash;
    policy: the author of the traps.
    """
    by_hash: dict[str, list[Heard]] = defaultdict(list)
    for answer in said:
        by_hash[answer.input_hash].append(answer)
    made: list[Trap] = []
    for hash_, answers in by_hash.items():
        was = known.get(hash_)
        if was is None or (not was.active and was.author == policy):  # what a person ended stays ended
            answer = answers[0]
            if sure.get(answer.item) == answer.output and _beyond_dispute(answers, trusted):
                made.append(_trap(answer, policy, active=True))
        elif was.active and was.source == "unanimous":
            founders = [answer for answer in answers if answer.founding]
            if not _beyond_dispute(founders, trusted):
                made.append(_trap(answers[0], policy, active=False))
    return made


def _beyond_dispute(answers: Sequence[Heard], trusted: Collection[str]) -> bool:
    """Whether enough people, and enough trusted ones, said the same of the very same input, and nobody anything else."""
    people = {answer.contributor for answer in answers}
    alike = len({(answer.item, answer.output) for answer in answers}) == 1
    doubted = any(answer.person == "rejected" or answer.settled not in ("", answer.output) for answer in answers)
    corrects = not any(within(json.loads(answer.output), json.loads(answer.shown)) for answer in answers)
    return len(people) >= FEW and len(people & set(trusted)) >= TRUSTED and alike and corrects and not doubted


def _trap(answer: Heard, policy: str, *, active: bool) -> Trap:
    return Trap(answer.input_hash, json.loads(answer.item), json.loads(answer.output), "unanimous", policy, active)
