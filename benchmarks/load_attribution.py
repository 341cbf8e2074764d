"""After a load: does every row of the log belong to the client that made it? Read from the stopped app's log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.load_ways import Said
from feedback.store import Store


class Person(NamedTuple):
    """One client: the contributor that its cookie names, and all that it said."""

    contributor: str
    said: list[Said]


def misattributed(home: Path, people: Sequence[Person]) -> int:
    """Return how many of the clients' predictions and corrections are missing, or under another name, text or comment.

    Every text and comment carries a token that one client used once. Two clients with one name count too.
    """
    wrong = len(people) - len({person.contributor for person in people})
    with Store(home) as store:
        rows = store.rows(
            """SELECT p.id, p.contributor, p.input::VARCHAR AS input, c.contributor AS corrector, c.comment
               FROM predictions p LEFT JOIN corrections c ON c.prediction_id = p.id"""
        )
    by_id = {row["id"]: row for row in rows}
    for person in people:
        for token, text, prediction in person.said:
            row = by_id.get(prediction)
            told = row and (row["contributor"], json.loads(row["input"]), row["corrector"], row["comment"])
            wrong += told != (person.contributor, text, person.contributor, token)
    return wrong
