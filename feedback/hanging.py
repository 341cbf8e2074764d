"""Whether the rows of a log hang together. It counts with the function it is given: the open log's, or that of a closed copy."""

from __future__ import annotations

from collections.abc import Callable

from feedback.schema import MIGRATIONS

_HANGS_ON = (
    ("corrections", "prediction_id", "predictions"),
    ("pairs", "left_prediction", "predictions"),
    ("pairs", "right_prediction", "predictions"),
    ("votes", "pair_id", "pairs"),
    ("reviews", "correction_id", "corrections"),
    ("withdrawals", "correction_id", "corrections"),
    ("uses", "correction_id", "corrections"),
    ("asked", "prediction_id", "predictions"),
    ("feed_items", "prediction_id", "predictions"),
)


def problems_in(count: Callable[[str], int]) -> list[str]:
    """Return what is wrong with a log of today's migration; `count(sql)` returns the one number that a SELECT on it gives."""
    problems: list[str] = []
    number = count("SELECT max(number) AS n FROM migrations")
    if number != MIGRATIONS[-1].number:
        problems.append(f"the schema is at migration {number}, the program at {MIGRATIONS[-1].number}")
    for child, key, parent in _HANGS_ON:
        found = count(f"SELECT count(*) AS n FROM {child} c ANTI JOIN {parent} p ON p.id = c.{key}")
        if found:
            problems.append(f"{found} {child} without their row in {parent}")
    unexposed = count(
        """SELECT count(*) AS n FROM predictions p
           ANTI JOIN exposures e ON e.experiment = p.experiment AND e.contributor = p.contributor WHERE p.experiment <> ''"""
    )
    if unexposed:
        problems.append(f"{unexposed} predictions in an experiment without an exposure")
    return problems
