"""What the storm's clients were told against what is in the log. It reads both, and changes neither."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.storm_clients import CORRECTIONS, PREDICTIONS, Contributor
from feedback.records import keyed_id
from feedback.store import Store
from feedback.transfer import check_log


class Verdict(NamedTuple):
    """Counts; all but `acknowledged` and `stored` must be 0, and `unjudged` is told.

    lost: acknowledged, and not in the log. duplicated: rows beyond one a request. misattributed: the row names another
    contributor, or another text. changed: a request sent again got another id. unasked: rows that no client sent. broken:
    what does not hang together. unjudged: inputs that two people answered alike, and whose answers still wait.
    """

    acknowledged: int
    stored: int
    lost: int
    duplicated: int
    misattributed: int
    changed: int
    unasked: int
    broken: int
    unjudged: int

    @property
    def clean(self) -> bool:
        """Return whether nothing was lost, doubled or given to somebody else, and all hangs together."""
        return not any((self.lost, self.duplicated, self.misattributed, self.changed, self.unasked, self.broken))


def compare(store: Store, clients: Sequence[Contributor], *, agree: int = 2) -> Verdict:
    """Compare every client's acknowledgements with the log's rows. `agree` people who say the same settle an input."""
    predictions = {row["id"]: row for row in store.rows("SELECT id, contributor, input->>'$' AS text FROM predictions")}
    corrections = {
        row["id"]: row
        for row in store.rows(
            """SELECT c.id, c.contributor, p.input->>'$' AS text, c.prediction_id FROM corrections c
               LEFT JOIN predictions p ON p.id = c.prediction_id"""
        )
    }
    lost = misattributed = 0
    sent: set[tuple[str, str, str]] = set()
    for client in clients:
        waiting = [client.pending] if client.pending else []
        for request in [*(known.request for known in client.acknowledged), *waiting]:
            sent.add((request.path, client.id, request.text))
        for known in client.acknowledged:
            rows, prefix = (predictions, "p") if known.request.path == PREDICTIONS else (corrections, "c")
            row = rows.get(known.id)
            lost += row is None
            right = row is None or (row["contributor"], row["text"]) == (client.id, known.request.text)
            misattributed += not right or known.id != keyed_id(prefix, client.id, known.request.key)
    asked = Counter((row["contributor"], row["text"]) for row in predictions.values())
    said = Counter((row["contributor"], row["prediction_id"]) for row in corrections.values())
    unasked = sum((PREDICTIONS, row["contributor"], row["text"]) not in sent for row in predictions.values())
    unasked += sum((CORRECTIONS, row["contributor"], row["text"]) not in sent for row in corrections.values())
    unjudged = store.rows(
        """SELECT count(*) AS n FROM (SELECT input, proposed FROM current_corrections GROUP BY input, proposed
           HAVING count(DISTINCT contributor) >= ? AND bool_and(status = 'pending'))""",
        [agree],
    )
    return Verdict(
        acknowledged=sum(len(client.acknowledged) for client in clients),
        stored=len(predictions) + len(corrections),
        lost=lost,
        duplicated=sum(count - 1 for counts in (asked, said) for count in counts.values()),
        misattributed=misattributed,
        changed=sum(len(client.changed) for client in clients),
        unasked=unasked,
        broken=len(check_log(store)),
        unjudged=int(unjudged[0]["n"]),
    )


def told(verdict: Verdict) -> str:
    """Return the verdict as one line of JSON."""
    return json.dumps(verdict._asdict())
