"""What an A/B test can decide at this traffic, and when: from the log's own history. It promises nothing beyond a plain forecast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from analysis import planning, stats
from analysis.metrics import Day, Frames
from analysis.parts import Forecast
from feedback.errors import BadInput
from feedback.outcomes import Metric
from feedback.records import Experiment, now

POWER = 0.8
RELATIVE = 0.2
"""The change that a forecast plans for: a fifth of the control's rate."""

HISTORY_DAYS = 28
YEAR = 365.0


def history_of(frame: Frames, metric: Metric, today: datetime | None = None) -> stats.Sums:
    """Return the sums of everybody who came in the last 28 days, whatever they were shown: what a plan goes by before a test."""
    since = (today or now()).date() - timedelta(days=HISTORY_DAYS)
    sql = f"""WITH users AS (SELECT contributor, sum(predictions) AS predictions, sum(corrected) AS corrected,
            sum(confirmed) AS confirmed, sum(edits) AS edits, sum(unscored) AS unscored, sum(timings) AS timings,
            sum(log_latency) AS log_latency FROM user_days WHERE day >= ? GROUP BY contributor),
        pairs AS (SELECT ({metric.y})::DOUBLE AS y, ({metric.n})::DOUBLE AS n FROM users WHERE predictions > 0)
        SELECT count(*) AS k, coalesce(sum(y), 0) AS sy, coalesce(sum(n), 0) AS sn, coalesce(sum(y * y), 0) AS syy,
            coalesce(sum(n * n), 0) AS snn, coalesce(sum(y * n), 0) AS syn FROM pairs"""
    row = frame(sql, [since]).iloc[0]
    return stats.Sums(int(row["k"]), *(float(row[name]) for name in ("sy", "sn", "syy", "snn", "syn")))


def arriving(frame: Frames, today: datetime | None = None) -> float:
    """Return new users a day over the last 28 days, or over as many as the log has; 0 for an empty log."""
    moment = (today or now()).date()
    since = moment - timedelta(days=HISTORY_DAYS)
    sql = """SELECT count(*) FILTER (first >= ?) AS fresh, min(first) AS oldest
        FROM (SELECT min(day) AS first FROM user_days GROUP BY contributor)"""
    row = frame(sql, [since]).iloc[0]
    if not int(row["fresh"]):
        return 0.0
    oldest = row["oldest"].date() if hasattr(row["oldest"], "date") else row["oldest"]
    return int(row["fresh"]) / float(min(HISTORY_DAYS, max(1, (moment - oldest).days + 1)))


def taking_part(days: Sequence[Day], today: datetime | None = None) -> float:
    """Return new users of the experiment a day over the last 28 days, or over as many as it has run; from its own days."""
    if not days:
        return 0.0
    moment = (today or now()).date()
    since = moment - timedelta(days=HISTORY_DAYS)
    counts = [(day.day, sum(sums.k for sums in day.arms.values())) for day in days]
    before = max((users for day, users in counts if day < since), default=0)
    return (counts[-1][1] - before) / float(min(HISTORY_DAYS, max(1, (moment - counts[0][0]).days + 1)))


def forecast(
    experiment: Experiment, metric: Metric, known: Sequence[stats.Sums], history: stats.Sums, users: int, per_day: float
) -> Forecast:
    """Return what the experiment can decide. `known` are the arms' sums, control first; `history` stands in while they are small.

    `per_day`: new users a day who take part.
    """
    rule = experiment.rule
    shares = _shares(experiment)
    detectable = wanted = None
    wanted_users = None
    try:
        pooled = stats.Sums(sum(s.k for s in known), *(math.fsum(s[i] for s in known) for i in range(1, 6)))
        source = pooled if pooled.k >= stats.SMALL_ARM else history if history.k > pooled.k else pooled
        variance = planning.linear_variance(source)
        detectable = planning.detectable(
            variance, experiment.n_max, alpha=experiment.alpha, power=POWER, rule=rule, shares=shares
        )
        # A difference of log milliseconds is itself relative.
        wanted = RELATIVE if metric.unit == "log ms" else RELATIVE * abs(source.sy / source.sn)
        wanted_users = planning.users_needed(variance, wanted, alpha=experiment.alpha, power=POWER, rule=rule, shares=shares)
    except BadInput:  # nobody has come, or nothing varies yet: the page says that it cannot be told
        wanted = None
    return Forecast(
        per_day=per_day,
        power=POWER,
        detectable=detectable,
        days_to_end=_days(experiment.n_max - users, per_day) if rule == "horizon" else None,
        relative=RELATIVE,
        wanted=wanted,
        wanted_users=wanted_users,
        wanted_days=None if wanted_users is None else _days(wanted_users - users, per_day),
    )


def _shares(experiment: Experiment) -> tuple[float, float]:
    """Return control's and the smallest challenger's part of the traffic: the comparison that takes longest."""
    others = [v.share for v in experiment.variants[1:] if v.share > 0]
    return (experiment.control.share, min(others)) if others and experiment.control.share > 0 else (0.5, 0.5)


def _days(users: int, per_day: float) -> float | None:
    days = planning.days_needed(max(0, users), per_day)
    return days if days <= YEAR else None
