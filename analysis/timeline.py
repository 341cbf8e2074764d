"""What the page showed at the end of each day: the effect with its interval over time. Points alone, no drawing."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.comparing import Look, challengers_of, estimate_of, numbers_of
from analysis.metrics import Day
from analysis.notes import MIN_USERS
from analysis.parts import Numbers, Point
from analysis.sequential import Rule
from feedback.outcomes import Metric
from feedback.records import Experiment


def timeline(days: Sequence[Day], experiment: Experiment, metric: Metric) -> tuple[Point, ...]:
    """Return a point a day and challenger, oldest first; numbers from the day on which both arms have users enough.

    The plain difference, without a covariate, and with the delta method's variance whatever the arms' size.
    """
    rule = Rule(experiment.rule, experiment.n_max, experiment.alpha)
    names = challengers_of(experiment)
    alpha = experiment.alpha / max(1, len(names))
    points: list[Point] = []
    for day in days:
        users = sum(sums.k for sums in day.arms.values())
        found = {name: estimate_of(sums, None) for name, sums in day.arms.items()}
        for name in names:
            pair = found.get(experiment.control.name), found.get(name)
            enough = all(estimate is not None and estimate.users >= MIN_USERS for estimate in pair)
            n = numbers_of(metric, Look(rule, users, enough), alpha, *pair) if enough else Numbers()
            points.append(Point(day.day, users, name, n.difference, n.low, n.high))
    return tuple(points)
