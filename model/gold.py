"""The owner's gold items become traps: read like a demo's other data, checked by its task, stored once."""

from __future__ import annotations

import json

from feedback.demo import Demo
from feedback.records import Trap
from feedback.store import Store
from model.data import load_gold
from model.task import Task


def lay_traps(demo: Demo, task: Task, store: Store) -> int:
    """Store the demo's gold items that are no traps yet, or whose answer has changed; return how many that were.

    Raises BadDemo naming the file and the row that breaks a rule of the task.
    """
    if not demo.acceptance.gold:
        return 0
    known = {
        str(row["input_hash"]): json.loads(row["output"])
        for row in store.rows("SELECT input_hash, output::VARCHAR AS output FROM current_traps WHERE active")
    }
    fresh: list[Trap] = []
    for example in load_gold(demo, task):
        if known.get(example.input_hash) != example.output:
            fresh.append(Trap(example.input_hash, example.input, example.output, "gold", "demo"))
    if fresh:
        store.add(*fresh)
    return len(fresh)
