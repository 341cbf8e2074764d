"""Brings a side-by-side experiment's votes from the log, for side_by_side.py to judge."""

from __future__ import annotations

from analysis.comparing import challengers_of
from analysis.metrics import Frames, scope_of
from analysis.sequential import Rule
from analysis.side_by_side import Ballot, SideBySide, side_by_side
from feedback.records import Experiment

_SEED = 1  # of the bootstrap: the same log always gives the same report

_SQL = """
WITH cast_votes AS (
    SELECT v.contributor, l.variant AS left_variant, r.variant AS right_variant, v.choice, v.created
    FROM votes v JOIN pairs p ON p.id = v.pair_id AND p.contributor = v.contributor
    JOIN predictions l ON l.id = p.left_prediction JOIN predictions r ON r.id = p.right_prediction
    WHERE p.experiment = ? AND list_contains(?::INTEGER[], p.experiment_number)),
voters AS (SELECT contributor FROM cast_votes GROUP BY contributor ORDER BY min(created), contributor LIMIT ?)
SELECT contributor, left_variant, right_variant, choice FROM cast_votes SEMI JOIN voters USING (contributor) ORDER BY created
"""


def compared(frame: Frames, experiment: Experiment) -> SideBySide:
    """Return what the votes of this design's numbers say; under the horizon rule those of the first n_max voters."""
    scope = scope_of(frame, experiment)
    rows = frame(_SQL, [scope.name, list(scope.numbers), scope.most])
    names = [experiment.control.name, *challengers_of(experiment)]
    ballots = [
        Ballot(str(row["contributor"]), str(row["left_variant"]), str(row["right_variant"]), row["choice"])
        for row in rows.to_dict("records")
        if row["left_variant"] in names and row["right_variant"] in names
    ]
    return side_by_side(ballots, names, Rule(experiment.rule, experiment.n_max, experiment.alpha), seed=_SEED)
