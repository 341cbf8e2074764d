"""What is counted: the metrics' definitions and the SQL that brings the log to per-user sums. It judges nothing.

The cohort of a report: contributors whose first exposure to the experiment falls into the numbers under report, who met
one variant of it only; under the horizon rule the first n_max of them. Of theirs, the predictions made in those
numbers, not forced, since the first exposure. A withdrawn correction counts nowhere, and a contributor's correction
counts for their own prediction only. All is read from `exposures` and `user_days` (feedback/rollup.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.days import Day, days_of
from analysis.stats import Sums
from analysis.users import Frames, Scope, everybody, rows_of, scope_of, users_of
from feedback.outcomes import COVARIATES, METRICS, SEGMENTS, Direction, Metric, metric_of, primary
from feedback.records import Experiment

__all__ = [
    "METRICS", "Arm", "Day", "Direction", "Frames", "LeftOut", "Metric", "Reading", "Scope",
    "days_of", "metric_of", "no_arm", "primary", "reading", "rows_of", "scope_of", "users_of",
]  # fmt: skip

POINTS = 2000
"""Looks that the sequential sample-ratio test takes at most: one an arriving user up to here, evenly spaced above."""

VALUES = 8
"""Values of a segment that are reported: those with the most users. The rest goes under REST together."""

REST = "…"

_MOMENTS = ("sy", "sn", "sx", "sm", "syy", "snn", "sxx", "smm", "syn", "syx", "sym", "snx", "snm", "sxm")


class Arm(NamedTuple):
    """One variant's cohort. Counts of users, predictions and answers, and the raw sums behind every metric."""

    users: int
    predictions: int
    corrections: int  # of predictions that got one which is no confirmation
    untimed: int  # predictions whose latency is no number above 0
    skewed: int  # predictions from before their user's first exposure: in no other number here
    sums: dict[str, Sums]  # by metric
    moments: dict[str, Any] | None  # of the primary metric and the covariate, by cuped.Moments' names; None without one


class LeftOut(NamedTuple):
    """Contributors of the experiment that no arm counts."""

    two_variants: int
    carried_over: int  # first met under another number with other variants or shares
    beyond: int  # came after the first n_max of the horizon rule
    exposed: int  # everybody who was ever exposed, in or out


class Reading(NamedTuple):
    """All that one SELECT brings of an experiment. A variant that nobody met has no arm."""

    arms: dict[str, Arm]  # by variant
    segments: dict[str, dict[str, dict[str, Arm]]]  # declared segment -> value -> variant
    left_out: LeftOut
    arrivals: np.ndarray  # (points, variants in the experiment's order): users so far, in the order of first exposure


class _Wanted:
    """The columns of one reading: sums of products over users, each computed once however many metrics need it."""

    def __init__(self, judged: Metric, covariate: tuple[str, str] | None) -> None:
        self._columns: dict[tuple[str, ...], str] = {}
        self.users = self._sum()
        self._counts = [self._sum(name) for name in ("predictions", "corrected", "timings", "skewed")]
        self._sums = {
            m.name: [self._sum(*pair) for pair in ((m.y,), (m.n,), (m.y, m.y), (m.n, m.n), (m.y, m.n))] for m in METRICS.values()
        }
        self._moments: dict[str, str] = {}
        if covariate:
            parts = dict(zip("ynxm", (judged.y, judged.n, *covariate), strict=True))
            for name in _MOMENTS:
                self._moments[name] = self._sum(*(parts[letter] for letter in name[1:]))

    def _sum(self, *factors: str) -> str:
        """Return the name of the column with the sum of the factors' product; a factor "1" changes nothing."""
        key = tuple(sorted(factor for factor in factors if factor != "1"))
        return self._columns.setdefault(key, f"s{len(self._columns)}")

    @property
    def sql(self) -> str:
        """Return the columns of the SELECT."""
        return ", ".join(
            f"sum({' * '.join(f'({factor})::DOUBLE' for factor in key)}) AS {name}" if key else f"count(*)::DOUBLE AS {name}"
            for key, name in self._columns.items()
        )

    def arms(self, rows: pd.DataFrame) -> dict[str, Arm]:
        """Return each variant's arm, added up over its rows."""
        variants, values = rows["variant"].to_numpy(), rows[list(self._columns.values())].to_numpy(dtype=float)
        return {
            str(name): self._arm(dict(zip(self._columns.values(), values[variants == name].sum(axis=0), strict=True)))
            for name in sorted(set(variants))
        }

    def _arm(self, row: Mapping[Any, float]) -> Arm:
        users = int(row[self.users])
        predictions, corrections, timings, skewed = (int(row[name]) for name in self._counts)
        sums = {metric: Sums(users, *(float(row[name]) for name in names)) for metric, names in self._sums.items()}
        moments: dict[str, Any] = {"k": users, **{name: float(row[column]) for name, column in self._moments.items()}}
        return Arm(users, predictions, corrections, predictions - timings, skewed, sums, moments if self._moments else None)


def no_arm() -> Arm:
    """Return the arm of a variant that nobody met."""
    return Arm(0, 0, 0, 0, 0, dict.fromkeys(METRICS, Sums(0, 0.0, 0.0, 0.0, 0.0, 0.0)), None)


def reading(frame: Frames, scope: Scope, experiment: Experiment) -> Reading:
    """Return each variant's sums, in all and by the declared segments, who is left out, and how the users arrived.

    One SELECT, so one state of the log. It brings a row for each combination of variant and the segments' values, and
    at most POINTS of arrivals a variant, however many users there are.
    """
    covariate = COVARIATES[experiment.covariate] if experiment.covariate else None
    wanted = _Wanted(primary(experiment.primary_metric), covariate)
    segments = [name for name in SEGMENTS if name in experiment.segments]
    rows = frame(
        f"""{everybody(scope, segments, before=covariate is not None)}
        SELECT 'sums' AS part, state, variant, {"".join(f"{name}, " for name in segments)} {wanted.sql}
            FROM everybody GROUP BY ALL
        UNION ALL BY NAME SELECT 'arrivals' AS part, variant, (place - 1) // every AS point, count(*) AS users
            FROM everybody, (SELECT greatest(1, ceil(count(*) / {POINTS}))::BIGINT AS every FROM everybody WHERE state = 'in')
            WHERE state = 'in' GROUP BY ALL""",
        scope.params,
    )
    sums = rows[rows["part"] == "sums"]
    counted = sums[sums["state"] == "in"]
    left = {str(state): int(users) for state, users in sums.groupby("state")[wanted.users].sum().items()}
    return Reading(
        arms=wanted.arms(counted),
        segments={segment: _by_value(wanted, counted, segment) for segment in segments},
        left_out=LeftOut(left.get("two", 0), left.get("carried", 0), left.get("beyond", 0), sum(left.values())),
        arrivals=_arrivals(rows[rows["part"] == "arrivals"], [v.name for v in experiment.variants]),
    )


def _by_value(wanted: _Wanted, rows: pd.DataFrame, segment: str) -> dict[str, dict[str, Arm]]:
    """Return the arms by the segment's values, those with the most users first, the rest last."""
    users = rows.groupby(segment)[wanted.users].sum()
    named = list(users.sort_index().sort_values(ascending=False, kind="stable").index[:VALUES])
    parts = {str(value): wanted.arms(rows[rows[segment] == value]) for value in named}
    rest = rows[~rows[segment].isin(named)]
    return {**parts, REST: wanted.arms(rest)} if len(rest) else parts


def _arrivals(rows: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return the cumulative users: (points, variants). A variant that is not the experiment's is in no column."""
    known = rows[rows["variant"].isin(names)]
    if known.empty:
        return np.zeros((0, len(names)), dtype=np.int64)
    points = known["point"].to_numpy(dtype=np.int64)
    made = np.zeros((points.max() + 1, len(names)), dtype=np.int64)
    made[points, [names.index(name) for name in known["variant"]]] = known["users"].to_numpy(dtype=np.int64)
    return np.asarray(made.cumsum(axis=0))
