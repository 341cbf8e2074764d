"""Brings accepted corrections and every variant's answers to them together, for the paired replay (replay.py judges).

Only corrections that no version has learned from or been gated on count: a version would be praised for what it was
taught. Answers are kept in memory, so that a page that is looked at again asks for new corrections' answers alone.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.comparing import challengers_of
from analysis.metrics import Frames
from analysis.replay import Replay, Scored, replayed
from feedback.records import Experiment, Json, Variant

Answers = Callable[[int, Sequence[Json], Mapping[str, float]], list[Json]]
"""(version, inputs, settings) -> outputs: a model that answers."""

Edits = Callable[[Json, Json], float]
"""(an answer, the truth) -> marks to add, remove or change; 0 where it is right."""

NEWEST = 500
"""Corrections that a replay takes at most: the newest ones."""

_SQL = """
SELECT input::VARCHAR AS input, input_hash, output::VARCHAR AS output, contributor, variant, experiment, confirmation
FROM current_corrections c
WHERE status = 'accepted' AND NOT EXISTS (FROM uses u WHERE u.correction_id = c.id)
    AND NOT starts_with(contributor, 'policy:') -- found by the cleaning in what the versions were trained on
QUALIFY row_number() OVER (PARTITION BY c.input::VARCHAR, c.output::VARCHAR ORDER BY c.created) = 1
ORDER BY created DESC LIMIT ?
"""


class Replayer:
    """Replays accepted corrections through an experiment's variants. Safe to use from many threads."""

    def __init__(self, frame: Frames, answers: Answers, edits: Edits) -> None:
        self._frame = frame
        self._answers = answers
        self._edits = edits
        self._lock = threading.Lock()  # one replay at a time: it takes the processor from visitors
        self._known: dict[tuple[int, str], dict[str, Json]] = {}  # (version, settings) -> input -> output

    def replay(self, experiment: Experiment) -> Replay:
        """Return what the accepted corrections say of the experiment's variants."""
        rows = self._frame(_SQL, [NEWEST]).to_dict("records")
        names = [experiment.control.name, *challengers_of(experiment)]
        variants = [next(v for v in experiment.variants if v.name == name) for name in names]
        with self._lock:
            outputs = [self._outputs(variant, [str(row["input"]) for row in rows]) for variant in variants]
        scored = []
        for index, row in enumerate(rows):
            truth = json.loads(row["output"])
            loss = tuple(self._edits(made[index], truth) for made in outputs)
            shown = str(row["variant"]) if row["experiment"] == experiment.name else ""
            scored.append(Scored(str(row["contributor"]), shown, tuple(float(edits == 0) for edits in loss), loss))
        return replayed(scored, names, experiment.alpha)

    def _outputs(self, variant: Variant, inputs: Sequence[str]) -> list[Json]:
        """Return a variant's outputs for JSON inputs, asking for those alone that are not known yet."""
        key = (variant.version, json.dumps(dict(variant.settings), sort_keys=True))
        known = self._known.get(key, {})
        fresh = [text for text in dict.fromkeys(inputs) if text not in known]
        asked: list[Any] = [json.loads(text) for text in fresh]
        answers = self._answers(variant.version, asked, variant.settings) if fresh else []
        # What is kept is what was asked for last: memory stays bounded by NEWEST an arm.
        kept = known | dict(zip(fresh, answers, strict=True))
        self._known[key] = {text: kept[text] for text in dict.fromkeys(inputs)}
        return [kept[text] for text in inputs]
