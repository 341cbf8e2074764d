"""Examples whose label the search contradicts: gathered from seed and log, found, and laid before the reviewers. It decides nothing.

A suspect in the queue is a Prediction by `policy:clean` whose output is the label as it stands, and its Correction whose
output is the model's. No policy accepts it and no metric counts it; what a reviewer accepts is trained on instead.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from feedback.demo import Demo
from feedback.records import Asked, Correction, Example, Json, Prediction, Record, new_id
from feedback.store import Store
from feedback.training_set import Snapshot, accepted, part_of
from model.clean import Report, Seen, judged
from model.data import load_seed, seed_as_written
from model.network_task import network_task
from model.overlap import JUDGING, PARTS, Group, as_json, counts, overlaps
from model.parts import parts_of
from model.scratch import base_of
from model.task import Task

AUTHOR = "policy:clean"
VARIANT = "clean"
CHANNEL = "cleaning"
NOT_TRAINED_ON = frozenset({"validation", "test"})
"""The seed's parts whose suspects are listed only: an accepted item of these texts is left out of every training."""
MOST_GROUPS = 200

Examples = Mapping[str, Sequence[Example]]
"""By part (overlap.PARTS), each text once: `train` as it is trained on now, accepted corrections in place of the seed's."""
Search = Callable[[Demo, Examples], "dict[str, list[Seen | None]]"]


class Suspect(NamedTuple):
    """An example whose label a model that had not seen it contradicts. `confidence` 0..1 is that label's; least first."""

    part: str
    example: Example
    confidence: float
    proposal: Json

    @property
    def trained_on(self) -> bool:
        """Return whether a reviewer's word on it changes what is trained on or what gates."""
        return self.part not in NOT_TRAINED_ON


class Material(NamedTuple):
    """What a cleaning looks at: the task, the examples, and the texts that are there more than once."""

    task: Task
    parts: dict[str, list[Example]]
    groups: list[Group]


class Suggested(NamedTuple):
    """What was laid before the reviewers: correction id by place in the suspects; how many had been so before."""

    corrections: dict[int, str]
    known: int


def gather(demo: Demo, store: Store) -> Material:
    """Return the examples as the next training would have them, and the overlaps. Raises BadDemo."""
    task, seed = load_seed(demo)
    feedback: dict[str, list[Example]] = {"train": [], "gate": []}
    for example in accepted(store):
        feedback[part_of(example.input_hash)].append(example)
    dealt = parts_of(task, seed, Snapshot("", "", feedback["train"], feedback["gate"]))
    learned = [*dealt.train, *(e for e in dealt.choosing if e.correction_id)]
    parts = {
        "train": [e for e in learned if not e.correction_id],
        "feedback": [e for e in learned if e.correction_id],
        "gate": dealt.feedback,
        "validation": seed.validation,
        "test": seed.test,
    }
    replaced = {e.input_hash for e in (*parts["feedback"], *parts["gate"])}
    written = seed_as_written(demo, task)
    written["train"] = [e for e in written["train"] if e.input_hash not in replaced]
    return Material(task, parts, overlaps({**written, "feedback": feedback["train"], "gate": feedback["gate"]}))


def search(demo: Demo, parts: Examples, report: Report = lambda *_: None) -> dict[str, list[Seen | None]]:
    """Judge every example out of sample, in the order of its part. Raises BadInput where there is too little to learn from."""
    task, _ = load_seed(demo)
    names = [name for name in PARTS for _ in parts.get(name, ())]
    examples = [example for name in PARTS for example in parts.get(name, ())]
    learns = [name not in JUDGING for name in names]
    found: dict[str, list[Seen | None]] = defaultdict(list)
    seen = judged(network_task(task, "a search for wrong labels"), examples, learns, base_of(demo), report=report)
    for name, one in zip(names, seen, strict=True):
        found[name].append(one)
    return found


def suspects(parts: Examples, seen: Mapping[str, Sequence[Seen | None]]) -> list[Suspect]:
    """Return the examples whose label is contradicted, the least probable label first."""
    found = [
        Suspect(name, example, one.confidence, one.proposal)
        for name in PARTS
        for example, one in zip(parts.get(name, ()), seen.get(name, ()), strict=True)
        if one is not None and one.proposal != example.output
    ]
    return sorted(found, key=lambda suspect: suspect.confidence)


def suggest(store: Store, task: Task, found: Sequence[Suspect], limit: int) -> Suggested:
    """Lay up to `limit` suspects before the reviewers, the least probable first, all or none.

    Left out: what is not trained on; a text of which a suspect waits; a proposal that was decided on before, or that would
    bring back a label which a reviewer replaced; and corrections that stand accepted no more.
    """
    judged_before = _before(store)
    standing = {example.correction_id for example in accepted(store)}
    records: list[Record] = []
    made: dict[int, str] = {}
    known = 0
    for place, suspect in enumerate(found):
        example = suspect.example
        if not suspect.trained_on or (example.correction_id and example.correction_id not in standing):
            continue
        if any(_settled(row, suspect) for row in judged_before[example.input_hash]):
            known += 1
        elif len(made) < limit:
            records += _records(task, suspect)
            made[place] = next(record.id for record in records[::-1] if isinstance(record, Correction))
    if records:
        store.add(*records)
    return Suggested(made, known)


def _before(store: Store) -> dict[str, list[dict[str, Any]]]:
    rows = store.rows(
        "SELECT input_hash, shown, proposed, status FROM current_corrections WHERE contributor = ? AND status <> 'withdrawn'",
        [AUTHOR],
    )
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["input_hash"]].append({**row, "shown": json.loads(row["shown"]), "proposed": json.loads(row["proposed"])})
    return found


def _settled(row: dict[str, Any], suspect: Suspect) -> bool:
    if row["status"] in ("pending", "undecided"):
        return True
    return bool(row["proposed"] == suspect.proposal or (row["status"] == "accepted" and row["shown"] == suspect.proposal))


def _records(task: Task, suspect: Suspect) -> list[Record]:
    example = suspect.example
    shown = Prediction(
        new_id("p"), AUTHOR, "", 0, VARIANT, 0, example.input, example.input_hash, example.output, suspect.confidence, 0.0,
        forced=True, channel=CHANNEL,
    )  # fmt: skip
    proposed = Correction(
        new_id("c"), shown.id, AUTHOR, suspect.proposal, False, edits=task.edits(example.output, suspect.proposal)
    )
    if not example.correction_id:
        return [shown, proposed]
    # The words are a contributor's: whoever erases them erases this too, as with every text that somebody else is asked about.
    return [shown, proposed, Asked(shown.id, AUTHOR, "opinion", example.input_hash)]


def summary(
    material: Material, seen: Mapping[str, Sequence[Seen | None]], found: Sequence[Suspect], done: Suggested, limit: int
) -> dict[str, Any]:
    """Return a cleaning's result as JSON, without the words of contributors. `suspects`: what was suggested, and the first of the rest."""
    judged_ = [one for some in seen.values() for one in some]
    chosen: list[dict[str, Any]] = []
    rest = 0
    for place, suspect in enumerate(found):
        if place not in done.corrections:
            if rest == limit:
                continue
            rest += 1
        of_seed = not suspect.example.correction_id
        chosen.append(
            {
                "part": suspect.part,
                "trained_on": suspect.trained_on,
                "input": suspect.example.input if of_seed else "",
                "correction_id": suspect.example.correction_id,
                "output": suspect.example.output,
                "proposal": suspect.proposal,
                "confidence": round(suspect.confidence, 4),
                "suggested": done.corrections.get(place, ""),
            }
        )
    return {
        "judged": sum(one is not None for one in judged_),
        "not_judged": sum(one is None for one in judged_),
        "contradicted": len(found),
        "suggested": len(done.corrections),
        "suggested_before": done.known,
        "suspects": chosen,
        "overlap": {**counts(material.groups), "groups": [as_json(group) for group in material.groups[:MOST_GROUPS]]},
    }
