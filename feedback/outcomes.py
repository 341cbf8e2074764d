"""What an experiment can be judged by: the metrics' and covariates' names and definitions. Data alone; it counts nothing.

A definition is a ratio of sums over users. Its `y` and `n` are SQL over one user's row of counts (analysis/metrics.py makes
those rows). An experiment keeps the definition's words from before its first exposure, so that a later change shows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from feedback.errors import BadInput

Direction = Literal["lower", "higher", "neither"]
"""Which way is better; `neither` is shown but never judged."""


class Metric(NamedTuple):
    """A ratio of per-user sums. Unit: `share` is in 0..1, `log ms` natural logarithms of milliseconds."""

    name: str
    unit: Literal["share", "per prediction", "per user", "log ms"]
    better: Direction
    y: str
    n: str

    @property
    def definition(self) -> str:
        """Return what is stored with an experiment: the ratio and which way is better."""
        return f"sum({self.y}) / sum({self.n}) over users; {self.better} is better"


METRICS = {
    metric.name: metric
    for metric in (
        Metric("correction_rate", "share", "lower", "corrected", "predictions"),
        Metric("confirmation_rate", "share", "higher", "confirmed", "predictions"),
        Metric("edit_distance", "per prediction", "lower", "edits", "predictions - unscored"),
        Metric("response_rate", "share", "neither", "corrected + confirmed", "predictions"),
        Metric("correcting_users", "share", "lower", "(corrected > 0)::INTEGER", "1"),
        Metric("predictions_per_user", "per user", "neither", "predictions", "1"),
        Metric("latency", "log ms", "lower", "CASE WHEN timings > 0 THEN log_latency / timings ELSE 0 END", "(timings > 0)::INTEGER"),
    )
}  # fmt: skip

COVARIATES = {
    "correction_rate_before": ("corrected_before", "predictions_before"),
    "predictions_before": ("predictions_before", "1"),
}
"""What a user did on the days before their first exposure, as (y, n) over the same row: CUPED takes its share of the noise out."""

SEGMENTS = ("channel", "language", "device")
"""What of a user's first exposure a report can be split by."""

GUARDRAILS = tuple(m.name for m in METRICS.values() if m.better != "neither")
"""Metrics that a guardrail can watch: those of which one way is better."""


def metric_of(name: str) -> Metric:
    """Return a metric, or raise BadInput with the choices."""
    if not name:
        raise BadInput(f"no primary metric is named: available are {', '.join(GUARDRAILS)}")
    if name not in METRICS:
        raise BadInput(
            f"unknown metric {name!r}: available are {', '.join(METRICS)}",
            code="unknown_metric",
            values={"name": name, "known": ", ".join(METRICS)},
        )
    return METRICS[name]


def primary(name: str) -> Metric:
    """Return a metric that can decide an experiment, or raise BadInput: one of which neither way is better cannot."""
    metric = metric_of(name)
    if metric.better == "neither":
        raise BadInput(
            f"metric {name!r} cannot decide, neither way is better: available are {', '.join(GUARDRAILS)}",
            code="metric_neither",
            values={"name": name, "known": ", ".join(GUARDRAILS)},
        )
    return metric
