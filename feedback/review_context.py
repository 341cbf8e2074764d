"""What a reviewer may read around a correction: answers by version, what others said, agreement, unanimous texts. Reads only."""

from __future__ import annotations

import json
from typing import NamedTuple

from feedback.agreement import LabelAgreement, agreement
from feedback.errors import NotFound
from feedback.records import Json, Status
from feedback.review_value import OPEN, OPINIONS
from feedback.store import Store


class VersionAnswer(NamedTuple):
    """What a model version answered to this very text, the last time it was asked; `confidence` 0..1."""

    version: int
    output: Json
    confidence: float


class Said(NamedTuple):
    """What another contributor says of the same text. `person` counts from 1: reviewers judge words, not people."""

    person: int
    output: Json
    confirmation: bool
    comment: str
    status: Status
    same: bool  # just what the judged correction proposes


class Judged(NamedTuple):
    """The newest verdict of another reviewer on the same correction, a person or a policy, since it was last taken back."""

    reviewer: str
    verdict: str
    reason: str


class Others(NamedTuple):
    """What others said of a correction's text. `alike`: the corrections that say just the same and wait still."""

    said: list[Said]
    judged: list[Judged]
    alike: list[str]


class Unanimous(NamedTuple):
    """A text of which several contributors say the same and nobody anything else. `corrections` wait; `people` at least 2."""

    input: Json
    shown: Json
    proposed: Json
    people: int
    corrections: tuple[str, ...]


def answers_to(store: Store, correction_id: str) -> list[VersionAnswer]:
    """Return what each version answered to a correction's text, by the log's predictions, newest version first."""
    rows = store.rows(
        """WITH it AS (SELECT input_hash, input::VARCHAR AS text FROM current_corrections WHERE id = ?)
           SELECT version, arg_max(output, created) AS output, arg_max(confidence, created) AS confidence
           FROM predictions p JOIN it ON it.input_hash = p.input_hash AND it.text = p.input::VARCHAR
           WHERE NOT starts_with(p.contributor, 'policy:') -- what the cleaning shows is no version's answer
           GROUP BY version ORDER BY version DESC""",
        [correction_id],
    )
    return [VersionAnswer(row["version"], json.loads(row["output"]), row["confidence"]) for row in rows]


def others_on(store: Store, correction_id: str, reviewer: str) -> Others:
    """Return what others said of a correction's text; raise NotFound. Whether the reviewer may read it is not asked here."""
    found = store.rows("SELECT contributor, input_hash, input, proposed FROM current_corrections WHERE id = ?", [correction_id])
    if not found:
        raise NotFound(f"no correction {correction_id!r}")
    it = found[0]
    said = store.rows(
        f"""WITH {OPINIONS} SELECT proposed, confirmation, comment, status FROM opinions
            WHERE input_hash = ? AND input::VARCHAR = ? AND contributor <> ? ORDER BY created, id""",
        [it["input_hash"], it["input"], it["contributor"]],
    )
    judged = store.rows(
        """SELECT reviewer, arg_max(verdict, created) AS verdict, arg_max(reason, created) AS reason FROM reviews r
           WHERE correction_id = ? AND reviewer <> ? AND verdict <> 'reopen'
           AND created > coalesce((SELECT max(created) FROM reviews o WHERE o.correction_id = r.correction_id
                                   AND o.verdict = 'reopen'), '1970-01-01'::TIMESTAMP)
           GROUP BY reviewer ORDER BY max(created)""",
        [correction_id, reviewer],
    )
    alike = store.rows(
        f"""WITH {OPEN} SELECT id FROM open_ones WHERE input_hash = ? AND input::VARCHAR = ? AND proposed::VARCHAR = ?
            AND id <> ? AND NOT starts_with(contributor, 'policy:') ORDER BY created, id""",
        [it["input_hash"], it["input"], it["proposed"], correction_id],
    )
    return Others(
        [
            Said(
                number, json.loads(row["proposed"]), row["confirmation"], row["comment"], row["status"],
                row["proposed"] == it["proposed"],
            )
            for number, row in enumerate(said, start=1)
        ],
        [Judged(**row) for row in judged],
        [row["id"] for row in alike],
    )  # fmt: skip


def unanimous(store: Store, limit: int | None = None) -> list[Unanimous]:
    """Return the texts that wait though at least two contributors say the same of them, nobody otherwise, and none was rejected.

    Somebody otherwise is also a reviewer who amended. The order is by the text's hash: the first few are a fair sample.
    """
    rows = store.rows(
        f"""WITH {OPEN}, {OPINIONS},
            alike AS (SELECT input_hash, input::VARCHAR AS text, any_value(output::VARCHAR) AS output, count(*) AS people
                      FROM opinions GROUP BY ALL HAVING count(*) > 1 AND count(DISTINCT output::VARCHAR) = 1
                      AND NOT bool_or(status = 'rejected'))
            SELECT a.text AS input, any_value(o.shown::VARCHAR) AS shown, a.output AS proposed, a.people,
                   list(o.id ORDER BY o.created, o.id) AS corrections
            FROM alike a JOIN open_ones o
                ON o.input_hash = a.input_hash AND o.input::VARCHAR = a.text AND o.proposed::VARCHAR = a.output
                AND NOT starts_with(o.contributor, 'policy:')
            GROUP BY a.input_hash, a.text, a.output, a.people ORDER BY a.input_hash, a.text LIMIT ?""",
        [2**31 if limit is None else limit],
    )
    return [
        Unanimous(
            json.loads(row["input"]), json.loads(row["shown"]), json.loads(row["proposed"]), row["people"],
            tuple(row["corrections"]),
        )
        for row in rows
    ]  # fmt: skip


def agreement_between_people(store: Store) -> list[LabelAgreement]:
    """Return how far contributors agree, over all labels and by label: each one's newest standing word on each text.

    People saw a model's answer before they spoke, and that makes them more alike than strangers would be.
    """
    rows = store.rows(
        f"""WITH {OPINIONS} SELECT list(proposed::VARCHAR) AS outputs FROM opinions
            GROUP BY input_hash, input::VARCHAR HAVING count(*) > 1"""
    )
    return agreement([[json.loads(output) for output in row["outputs"]] for row in rows])
