"""What is counted: the metrics' definitions and the SQL that brings the log to per-user sums. It judges nothing.

The cohort of a report: contributors whose first exposure to the experiment falls into the numbers under report, who met
one variant of it only; under the horizon rule the first n_max of them. Of theirs, the predictions made in those
numbers, not forced, since the first exposure. A withdrawn correction counts nowhere, and a contributor's correction
counts for their own prediction only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import pandas as pd

from analysis.stats import Sums
from feedback.outcomes import METRICS, Direction, Metric, metric_of, primary
from feedback.records import Experiment, Variant

__all__ = ["METRICS", "Direction", "Metric", "metric_of", "primary"]


class Frames(Protocol):
    """The store's read-only door: one SELECT and its positional parameters in, a frame out."""

    def __call__(self, sql: str, params: Sequence[Any] = ..., /) -> pd.DataFrame:
        """Return the rows of one SELECT."""


class Arm(NamedTuple):
    """One variant's cohort: users, predictions and answers (counts), the metrics' sums, predictions without a latency."""

    users: int
    predictions: int
    corrections: int  # of predictions that got one which is no confirmation
    untimed: int  # predictions whose latency is no number above 0
    sums: dict[str, Sums]


class LeftOut(NamedTuple):
    """Contributors of the experiment that no arm counts."""

    two_variants: int
    carried_over: int  # first met under another number with other variants or shares
    exposed: int  # everybody who was ever exposed, in or out


class Scope(NamedTuple):
    """What a report reads: the experiment's name, its numbers with one design, and how many users at most."""

    name: str
    numbers: tuple[int, ...]
    most: int


_COHORT = """
WITH given AS (SELECT ?::VARCHAR AS name, ?::INTEGER[] AS numbers, ?::BIGINT AS most),
seen AS (SELECT contributor, variant, experiment_number AS number, e.created
    FROM exposures e, given WHERE e.experiment = given.name),
shown AS (SELECT p.id, p.contributor, p.variant, p.experiment_number AS number, p.latency_ms, p.created
    FROM predictions p, given WHERE p.experiment = given.name AND NOT p.forced),
met AS (SELECT contributor, count(DISTINCT variant) AS variants
    FROM (SELECT contributor, variant FROM seen UNION ALL SELECT contributor, variant FROM shown) GROUP BY ALL),
firsts AS (SELECT contributor, min(created) AS first, arg_min(variant, created) AS variant, min(number) AS number
    FROM seen GROUP BY contributor),
cohort AS (SELECT f.contributor, f.first, f.variant
    FROM firsts f JOIN met USING (contributor), given
    WHERE met.variants = 1 AND list_contains(given.numbers, f.number)
    QUALIFY row_number() OVER (ORDER BY f.first, f.contributor) <= given.most),
answers AS (SELECT c.prediction_id, c.contributor, c.confirmation, c.edits FROM corrections c
    WHERE c.id NOT IN (SELECT correction_id FROM withdrawals)),
users AS (SELECT cohort.contributor, any_value(cohort.variant) AS variant, any_value(cohort.first) AS first,
        count(p.id) AS predictions,
        count(*) FILTER (a.confirmation) AS confirmed,
        count(*) FILTER (NOT a.confirmation) AS corrected,
        coalesce(sum(a.edits), 0) AS edits,
        count(*) FILTER (a.prediction_id IS NOT NULL AND a.edits IS NULL) AS unscored,
        count(*) FILTER (p.latency_ms > 0 AND isfinite(p.latency_ms)) AS timings,
        coalesce(sum(CASE WHEN p.latency_ms > 0 AND isfinite(p.latency_ms) THEN ln(p.latency_ms) END), 0) AS log_latency
    FROM cohort CROSS JOIN given
    LEFT JOIN shown p ON p.contributor = cohort.contributor AND p.created >= cohort.first
        AND list_contains(given.numbers, p.number)
    LEFT JOIN answers a ON a.prediction_id = p.id AND a.contributor = p.contributor
    GROUP BY cohort.contributor)
"""


def scope_of(frame: Frames, experiment: Experiment) -> Scope:
    """Return what to read: the unbroken run of numbers with the same design that ends in this one.

    Pausing, resuming and stopping give an experiment a new number but change nothing that is compared.
    """
    rows = frame(
        "SELECT number, variants::VARCHAR AS variants, primary_metric, rule, n_max, alpha, salt FROM experiments"
        " WHERE name = ? AND number < ? ORDER BY number DESC",
        [experiment.name, experiment.number],
    )
    numbers = [experiment.number]
    for row in rows.to_dict("records"):
        if row["number"] != numbers[-1] - 1 or not _same_design(row, experiment):
            break
        numbers.append(int(row["number"]))
    most = experiment.n_max if experiment.rule == "horizon" else 2**62
    return Scope(experiment.name, tuple(sorted(numbers)), most)


def arms_of(frame: Frames, scope: Scope) -> dict[str, Arm]:
    """Return each exposed variant's sums from one grouped SELECT; a variant that nobody met is missing."""
    columns = ["variant", "count(*) AS k", "sum(predictions) AS predictions", "sum(corrected) AS corrections"]
    columns.append("sum(predictions - timings) AS untimed")
    for m in METRICS.values():
        pairs = {"sy": m.y, "sn": m.n, "syy": f"({m.y})*({m.y})", "snn": f"({m.n})*({m.n})", "syn": f"({m.y})*({m.n})"}
        columns.extend(f"sum(({sql})::DOUBLE) AS {m.name}_{key}" for key, sql in pairs.items())
    rows = frame(f"{_COHORT} SELECT {', '.join(columns)} FROM users GROUP BY variant", _params(scope))
    return {str(row["variant"]): _arm(row) for row in rows.to_dict("records")}


def arrivals_of(frame: Frames, scope: Scope) -> list[str]:
    """Return the cohort's variants in the order in which the users were first exposed."""
    rows = frame(f"{_COHORT} SELECT variant FROM cohort ORDER BY first, contributor", _params(scope))
    return [str(variant) for variant in rows["variant"]]


def rows_of(frame: Frames, scope: Scope, metric: Metric) -> dict[str, tuple[list[float], list[float]]]:
    """Return each variant's per-user (y, n), for the jackknife of a small arm."""
    sql = f"{_COHORT} SELECT variant, ({metric.y})::DOUBLE AS y, ({metric.n})::DOUBLE AS n FROM users ORDER BY contributor"
    parts = frame(sql, _params(scope)).groupby("variant")
    return {str(variant): (part["y"].tolist(), part["n"].tolist()) for variant, part in parts}


def left_out_of(frame: Frames, scope: Scope) -> LeftOut:
    """Return how many contributors of the experiment are left out, and why."""
    sql = f"""{_COHORT} SELECT count(*) FILTER (met.variants > 1) AS two,
        count(*) FILTER (met.variants = 1 AND NOT list_contains(given.numbers, f.number)) AS carried, count(*) AS exposed
        FROM firsts f JOIN met USING (contributor), given"""
    row = frame(sql, _params(scope)).iloc[0]
    return LeftOut(int(row["two"]), int(row["carried"]), int(row["exposed"]))


def _params(scope: Scope) -> list[Any]:
    return [scope.name, list(scope.numbers), scope.most]


def _arm(row: dict[Any, Any]) -> Arm:
    k = int(row["k"])
    sums = {name: Sums(k, *(float(row[f"{name}_{key}"]) for key in ("sy", "sn", "syy", "snn", "syn"))) for name in METRICS}
    return Arm(k, int(row["predictions"]), int(row["corrections"]), int(row["untimed"]), sums)


def _same_design(row: dict[Any, Any], experiment: Experiment) -> bool:
    variants = tuple(Variant(**variant) for variant in json.loads(row["variants"]))
    return (variants, row["primary_metric"], row["rule"], row["n_max"], row["alpha"], row["salt"]) == (
        experiment.variants,
        experiment.primary_metric,
        experiment.rule,
        experiment.n_max,
        experiment.alpha,
        experiment.salt,
    )
