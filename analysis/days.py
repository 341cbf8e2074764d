"""What the page showed at the end of each day: a metric's sums over the days of a test, for the effect over time."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

import numpy as np

from analysis.stats import Sums
from analysis.users import Frames, Scope, everybody
from feedback.outcomes import Metric
from feedback.rollup import COUNTS

POINTS = 60
"""Days that are returned at most; of a longer test every second, third ... day, and the last."""

_SUMS = ("k", "sy", "sn", "syy", "snn", "syn")


class Day(NamedTuple):
    """The end of a day: each variant's sums of one metric over the users exposed until then."""

    day: date
    arms: dict[str, Sums]


def days_of(frame: Frames, scope: Scope, metric: Metric) -> list[Day]:
    """Return the metric's sums at the end of each day on which something happened, oldest first; at most POINTS days.

    A user's y and n at the end of a day follow from the counts until then; what a day changes in y, n and their products
    is added up over users, and then over days: so the sums of a day are those that a reading gave on it. Only users who
    met a second variant later are left out of the days before as well.
    """
    names = [name for name in COUNTS if re.search(rf"\b{name}\b", f"{metric.y} {metric.n}")]
    numbers = ", ".join(str(int(number)) for number in scope.numbers)

    def each(form: str) -> str:
        return "".join(f", {form.format(name=name)}" for name in names)

    # Every change is a step of its user: what it adds to y, n and their products is y after it less y before it, and so on.
    # The steps of a day add up to what the day changed, in whatever order; only the arrival comes first.
    rows = frame(
        f"""{everybody(scope)},
        cohort AS (SELECT contributor, variant, place, first::DATE AS day FROM everybody WHERE state = 'in'),
        changes AS (
            SELECT place, variant, day, true AS arrives {each("0.0::DOUBLE AS {name}")} FROM cohort
            UNION ALL SELECT c.place, c.variant, greatest(d.day, c.day), false {each("d.{name}::DOUBLE")}
            FROM user_days d JOIN cohort c USING (contributor)
            WHERE d.experiment = $1 AND d.experiment_number IN ({numbers})),
        running AS (SELECT variant, day, arrives {each("{name} AS own_{name}")} {each("sum({name}) OVER so_far AS {name}")} FROM changes
            WINDOW so_far AS (PARTITION BY place ORDER BY day, NOT arrives ROWS UNBOUNDED PRECEDING)),
        after AS (SELECT variant, day, arrives, ({metric.y})::DOUBLE AS y, ({metric.n})::DOUBLE AS n
            {each("{name} - own_{name} AS {name}")} FROM running),
        steps AS (SELECT variant, day, arrives, y, n, CASE WHEN arrives THEN 0 ELSE ({metric.y})::DOUBLE END AS y0,
            CASE WHEN arrives THEN 0 ELSE ({metric.n})::DOUBLE END AS n0 FROM after)
        SELECT variant, day, count(*) FILTER (arrives)::DOUBLE AS k, sum(y - y0) AS sy, sum(n - n0) AS sn,
            sum(y * y - y0 * y0) AS syy, sum(n * n - n0 * n0) AS snn, sum(y * n - y0 * n0) AS syn
        FROM steps GROUP BY variant, day ORDER BY day""",
        scope.params,
    )
    if rows.empty:
        return []
    variants = sorted({str(variant) for variant in rows["variant"]})
    days = sorted({day.date() for day in rows["day"]})
    added = np.zeros((len(days), len(variants), len(_SUMS)))
    where = [days.index(day.date()) for day in rows["day"]], [variants.index(str(variant)) for variant in rows["variant"]]
    added[where] = rows[list(_SUMS)].to_numpy()
    until = added.cumsum(axis=0)  # (days, variants, sums)
    every = -(-len(days) // POINTS)
    kept = [index for index in range(len(days)) if (len(days) - 1 - index) % every == 0]  # the last day always
    return [
        Day(days[i], {name: Sums(int(k), *map(float, rest)) for name, (k, *rest) in zip(variants, until[i], strict=True)})
        for i in kept
    ]
