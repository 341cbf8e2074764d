"""The owner's gold items become traps: read like a demo's other data, checked by its task, stored once."""

from __future__ import annotations

import json

from feedback.demo import Demo
from feedback.records import Trap
from feedback.store import Store
from model.data import load_gold
from model.task import Task

AUTHOR = "demo"


def lay_traps(demo: Demo, task: Task, store: Store) -> int:
    """Store the demo's gold items that are no traps yet, or whose answer has changed; end those that have left the file.

    Returns how many were stored or ended. A trap that a person has ended stays ended while its answer in the file stays the
    same. Raises BadDemo naming the file and the row that breaks a rule of the task.
    """
    known = {
        str(row["input_hash"]): row
        for row in store.rows(
            "SELECT input_hash, input::VARCHAR AS input, output::VARCHAR AS output, source, author, active FROM current_traps"
        )
    }
    gold = {example.input_hash: example for example in load_gold(demo, task)}
    changed: list[Trap] = []
    for hash_, example in gold.items():
        was = known.get(hash_)
        same = was is not None and was["source"] == "gold" and json.loads(was["output"]) == example.output
        if not same or (was is not None and not was["active"] and was["author"] == AUTHOR):
            changed.append(Trap(hash_, example.input, example.output, "gold", AUTHOR))
    for hash_, was in known.items():
        if hash_ not in gold and was["active"] and was["source"] == "gold" and was["author"] == AUTHOR:
            changed.append(Trap(hash_, json.loads(was["input"]), json.loads(was["output"]), "gold", AUTHOR, active=False))
    if changed:
        store.add(*changed)
    return len(changed)
