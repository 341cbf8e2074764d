"""Who counts in a report: the cohort as SQL, one row a user, and the numbers of an experiment that share one design.

The log is read from `exposures` and `user_days` (feedback/rollup.py), each once, in one grouping by contributor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import pandas as pd

from analysis.stats import SMALL_ARM
from feedback.declaring import guardrails_of
from feedback.outcomes import SEGMENTS, Metric
from feedback.records import Experiment, Variant
from feedback.rollup import COUNTS

BEFORE = ("corrected_before", "predictions_before")
"""What a user did on the days before the day of their first exposure, in whatever experiment or none: covariates."""

_ENDLESS = 2**62


class Frames(Protocol):
    """The store's read-only door: one SELECT and its positional parameters in, a frame out."""

    def __call__(self, sql: str, params: Sequence[Any] = ..., /) -> pd.DataFrame:
        """Return the rows of one SELECT."""


class Scope(NamedTuple):
    """What a report reads: the experiment's name, its numbers with one design, and how many users at most."""

    name: str
    numbers: tuple[int, ...]
    most: int

    @property
    def params(self) -> list[Any]:
        """Return the parameters of `everybody`: $1 and $2."""
        return [self.name, self.most]


def scope_of(frame: Frames, experiment: Experiment) -> Scope:
    """Return what to read: the unbroken run of numbers with the same design that ends in this one.

    Pausing, resuming, stopping, and changing how much of the traffic takes part give an experiment a new number but
    change nothing that is compared.
    """
    rows = frame(
        """SELECT number, variants::VARCHAR AS variants, primary_metric, rule, n_max, alpha, salt, mode,
            guardrails::VARCHAR AS guardrails, segments::VARCHAR AS segments, covariate
        FROM experiments WHERE name = ? AND number < ? ORDER BY number DESC""",
        [experiment.name, experiment.number],
    )
    numbers = [experiment.number]
    for row in rows.to_dict("records"):
        if row["number"] != numbers[-1] - 1 or not _same_design(row, experiment):
            break
        numbers.append(int(row["number"]))
    most = experiment.n_max if experiment.rule == "horizon" else _ENDLESS
    return Scope(experiment.name, tuple(sorted(numbers)), most)


def everybody(scope: Scope, segments: Sequence[str] = (), *, before: bool = False) -> str:
    """Return the common table expressions that end in `everybody`: a row for each contributor who was ever exposed.

    Columns: contributor, variant, first (exposure), the named segments (of the first exposure), the counts in the
    scope's numbers as doubles, `state` (in, two, carried, beyond) and, of those who are in or beyond, `place` from 1
    in the order of first exposure; with `before` the covariates' counts. Parameters: `scope.params`.
    """
    # Plain integers of ours, in the text: a list parameter is compared value by value, which is slower than the grouping.
    numbers = ", ".join(str(int(number)) for number in scope.numbers)
    counts = ", ".join(f"CASE WHEN experiment_number IN ({numbers}) THEN {name}::DOUBLE ELSE 0 END AS {name}" for name in COUNTS)
    nothing = ", ".join(f"0.0::DOUBLE AS {name}" for name in COUNTS)
    firsts = ", ".join(f"arg_min({segment}, first) AS {segment}" for segment in segments)
    sums = ", ".join(f"sum({name}) AS {name}" for name in COUNTS)
    return f"""WITH met AS (
        SELECT contributor, variant, created AS first, experiment_number AS number, {_listed(segments)} {nothing}
            FROM exposures WHERE experiment = $1
        UNION ALL BY NAME SELECT contributor, variant, {counts} FROM user_days WHERE experiment = $1),
    users AS (SELECT contributor, min(first) AS first, min(variant) AS variant, max(variant) AS other,
            min(number) AS number, {firsts + "," if firsts else ""} {sums}
        FROM met GROUP BY contributor HAVING min(first) IS NOT NULL),
    placed AS (SELECT *{_ZEROES if before else ""}, variant = other AND number IN ({numbers}) AS fits,
            row_number() OVER (ORDER BY variant = other AND number IN ({numbers}) DESC, first, contributor) AS place
        FROM users{_JOINED if before else ""}),
    everybody AS MATERIALIZED (SELECT * EXCLUDE (other, number, fits), CASE WHEN variant <> other THEN 'two'
            WHEN NOT fits THEN 'carried' WHEN place <= $2 THEN 'in' ELSE 'beyond' END AS state FROM placed)
    """


_ZEROES = f" REPLACE ({', '.join(f'coalesce({name}, 0.0) AS {name}' for name in BEFORE)})"
_JOINED = """ LEFT JOIN (
            SELECT d.contributor, sum(d.corrected)::DOUBLE AS corrected_before, sum(d.predictions)::DOUBLE AS predictions_before
            FROM user_days d JOIN (SELECT contributor, min(created)::DATE AS day FROM exposures
                WHERE experiment = $1 GROUP BY contributor) f ON f.contributor = d.contributor AND d.day < f.day
            GROUP BY d.contributor) USING (contributor)"""


def users_of(frame: Frames, scope: Scope, metric: Metric | None = None) -> pd.DataFrame:
    """Return one row a user of the cohort, in the order of first exposure.

    Columns: contributor, variant, first (naive UTC), channel, language, device, the counts of feedback/rollup.py,
    corrected_before and predictions_before, and with a metric its y and n. Counts are doubles.
    """
    pair = f", ({metric.y})::DOUBLE AS y, ({metric.n})::DOUBLE AS n" if metric else ""
    return frame(
        f"""{everybody(scope, SEGMENTS, before=True)}
        SELECT contributor, variant, first, {_listed(SEGMENTS)} {_listed(COUNTS)} {", ".join(BEFORE)} {pair}
        FROM everybody WHERE state = 'in' ORDER BY place""",
        scope.params,
    )


def rows_of(frame: Frames, scope: Scope, metric: Metric, fewer: int = SMALL_ARM) -> dict[str, tuple[list[float], list[float]]]:
    """Return the per-user (y, n) of each variant that has fewer users than that, for the jackknife of a small arm."""
    rows = frame(
        f"""{everybody(scope)} SELECT variant, ({metric.y})::DOUBLE AS y, ({metric.n})::DOUBLE AS n
        FROM everybody WHERE state = 'in' QUALIFY count(*) OVER (PARTITION BY variant) < {int(fewer)} ORDER BY place""",
        scope.params,
    )
    return {str(variant): (part["y"].tolist(), part["n"].tolist()) for variant, part in rows.groupby("variant")}


def _listed(names: Sequence[str]) -> str:
    return "".join(f"{name}, " for name in names)


def _same_design(row: Mapping[Any, Any], experiment: Experiment) -> bool:
    variants = tuple(Variant(**variant) for variant in json.loads(row["variants"]))
    guardrails, segments = guardrails_of(json.loads(row["guardrails"])), tuple(json.loads(row["segments"]))
    plain = ("primary_metric", "rule", "n_max", "alpha", "salt", "mode", "covariate")
    return (variants, guardrails, segments) == (experiment.variants, experiment.guardrails, experiment.segments) and all(
        row[name] == getattr(experiment, name) for name in plain
    )
