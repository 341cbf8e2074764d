"""From the log to sums: who counts, in which column, and that every way of adding up gives the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis import cuped, metrics, stats
from analysis.metrics import REST, VALUES, Reading
from analysis.sample_ratio import sequential_p, sequential_p_of_counts
from feedback import rollup
from feedback.errors import BadInput
from feedback.outcomes import COVARIATES, METRICS
from feedback.records import Experiment, Guardrail, Variant
from tests.analysis.log_fixture import START, TWO_ARMS, Log, experiment

ENDLESS = experiment(rule="always_valid")


def read(log: Log, made: Experiment = ENDLESS) -> Reading:
    """Return the reading of an experiment."""
    return metrics.reading(log.frame, metrics.scope_of(log.frame, made), made)


def at(day: float) -> datetime:
    """Return the time that many days after the start."""
    return START + timedelta(days=day)


def random_log(log: Log, seed: int, days: int = 6, users: int = 60) -> None:
    """Fill a log: users arrive over the days, predict on several, correct late, take back, and some meet two variants."""
    chance = random.Random(seed)
    for index in range(users):
        who, arm, arrived = f"u{index}", chance.choice(("champion", "v2")), chance.uniform(0, days - 1)
        log.expose(
            who, arm, chance.choice((1, 1, 2)), created=at(arrived),
            channel=chance.choice(("page", "api")), language=chance.choice(("en", "zh", "de")), device="phone",
        )  # fmt: skip
        for _ in range(chance.randint(0, 6)):
            day = min(arrived + chance.choice((0.001, chance.uniform(0, 4))), days - 0.01)
            shown = log.predict(
                who, "v2" if chance.random() < 0.02 else arm, chance.choice((1, 1, 2)), created=at(day),
                latency_ms=chance.choice((20.0, 50.0, 0.0)), forced=chance.random() < 0.1,
            )  # fmt: skip
            if chance.random() < 0.5:
                later = min(day + chance.choice((0.001, 2.0)), days - 0.005)
                said = log.correct(
                    who, shown, chance.random() < 0.4, created=at(later), edits=chance.choice((None, 0.0, 2.0, 5.0))
                )
                if chance.random() < 0.3:
                    log.withdraw(who, said, created=at(min(later + 1.0, days - 0.001)))
    for arm in ("champion", "v2"):
        log.predict("u0", arm, created=at(days - 0.01))


def sums_of(users: pd.DataFrame, metric: metrics.Metric) -> dict[str, stats.Sums]:
    """Return the six sums of each variant from one row a user."""
    found = {}
    for variant, part in users.groupby("variant"):
        found[str(variant)] = stats.sums_of(part["y"].tolist(), part["n"].tolist())
    return found


def same(one: Mapping[str, stats.Sums], other: Mapping[str, stats.Sums]) -> bool:
    """Return whether the same variants have the same sums, up to rounding."""
    return one.keys() == other.keys() and all(one[name] == pytest.approx(other[name]) for name in one)


@pytest.mark.parametrize("seed", range(3))
def test_a_reading_adds_up_the_users_of_plain_python(log: Log, seed: int) -> None:
    """Users, predictions, corrections and who is left out, counted row by row from the definition of the cohort."""
    random_log(log, seed)
    rows = {name: list(log.waiting.get(name, [])) for name in ("exposures", "predictions", "corrections", "withdrawals")}
    met: dict[str, set[str]] = {}
    for row in [*rows["exposures"], *(p for p in rows["predictions"] if not p["forced"])]:
        met.setdefault(row["contributor"], set()).add(row["variant"])
    cohort = {
        e["contributor"]: e["variant"]
        for e in rows["exposures"]
        if e["experiment_number"] == 1 and len(met[e["contributor"]]) == 1
    }
    shown = {
        p["id"]: p for p in rows["predictions"] if p["contributor"] in cohort and p["experiment_number"] == 1 and not p["forced"]
    }
    gone = {w["correction_id"] for w in rows["withdrawals"]}
    said = [c for c in rows["corrections"] if c["prediction_id"] in shown and c["id"] not in gone and not c["confirmation"]]
    made = read(log)
    for variant, arm in made.arms.items():
        assert arm.users == sum(v == variant for v in cohort.values())
        assert arm.predictions == sum(p["variant"] == variant for p in shown.values())
        assert arm.corrections == sum(shown[c["prediction_id"]]["variant"] == variant for c in said)
        assert arm.untimed == sum(p["variant"] == variant and p["latency_ms"] <= 0 for p in shown.values())
        assert arm.sums["edit_distance"].sy == sum(
            (c["edits"] or 0.0)
            for c in rows["corrections"]
            if c["prediction_id"] in shown and c["id"] not in gone and shown[c["prediction_id"]]["variant"] == variant
        )
    two = sum(len(variants) > 1 for variants in met.values())
    assert made.left_out == (two, 60 - two - len(cohort), 0, 60)
    assert two > 0


@pytest.mark.parametrize("name", METRICS)
def test_reading_users_rows_and_days_agree(log: Log, name: str) -> None:
    """The sums of every metric are the same from the one SELECT, from one row a user, and at the end of the last day."""
    random_log(log, 7)
    made, metric = read(log), METRICS[name]
    scope = metrics.scope_of(log.frame, ENDLESS)
    wanted = {variant: arm.sums[name] for variant, arm in made.arms.items()}
    assert len(wanted) == 2
    assert same(sums_of(metrics.users_of(log.frame, scope, metric), metric), wanted)
    rows = metrics.rows_of(log.frame, scope, metric)
    assert same({variant: stats.sums_of(*pair) for variant, pair in rows.items()}, wanted)
    assert same(metrics.days_of(log.frame, scope, metric)[-1].arms, wanted)


@pytest.mark.parametrize("name", ["correction_rate", "correcting_users", "edit_distance", "latency"])
def test_each_day_is_what_the_page_showed_that_day(log: Log, name: str) -> None:
    """The sums of day d are those of a log that ends with day d: late answers and withdrawals came when they came."""
    random_log(log, 11)
    scope = metrics.scope_of(log.frame, ENDLESS)
    days = {day.day: day.arms for day in metrics.days_of(log.frame, scope, METRICS[name])}
    two = set(log.frame("SELECT contributor FROM predictions GROUP BY ALL HAVING count(DISTINCT variant) > 1")["contributor"])
    assert len(days) == 6
    for table in ("withdrawals", "corrections", "predictions", "exposures"):  # whoever turns out to meet two is out of both
        log.con.execute(f"DELETE FROM {table} WHERE contributor IN (SELECT unnest(?))", [sorted(two)])
    for day in sorted(days, reverse=True):
        for table in ("withdrawals", "corrections", "predictions", "exposures"):
            log.con.execute(f"DELETE FROM {table} WHERE created::DATE > ?", [day])
        then = {variant: arm.sums[name] for variant, arm in read(log).arms.items()}
        shown = {variant: sums for variant, sums in days[day].items() if sums.k}
        assert same(shown, then)


def test_long_tests_are_thinned_to_sixty_days(log: Log) -> None:
    """Of 150 days every third is kept, and the last; a day is thinned away, its events are not."""
    for index in range(150):
        log.expose(f"u{index}", created=at(index))
        log.predict(f"u{index}", created=at(index + 0.1))
    days = metrics.days_of(log.frame, metrics.scope_of(log.frame, ENDLESS), METRICS["correction_rate"])
    assert (len(days), days[-1].day) == (50, at(149).date())
    assert [day.arms["champion"].k for day in days] == list(range(3, 151, 3))


def test_nobody_gives_empty_answers(log: Log) -> None:
    """An empty log: no arm, no point, no day, no row."""
    made, scope = read(log), metrics.scope_of(log.frame, ENDLESS)
    assert (made.arms, made.arrivals.shape, made.left_out) == ({}, (0, 2), (0, 0, 0, 0))
    assert made.segments == {"channel": {}, "language": {}, "device": {}}
    assert metrics.days_of(log.frame, scope, METRICS["latency"]) == []
    assert metrics.rows_of(log.frame, scope, METRICS["latency"]) == {}
    assert len(metrics.users_of(log.frame, scope)) == 0


@pytest.mark.parametrize("made", [ENDLESS, replace(ENDLESS, covariate="correction_rate_before")])
def test_a_fold_changes_nothing(log: Log, made: Experiment) -> None:
    """The reading of the raw log and of its rollup are the same to the last count."""
    random_log(log, 5)
    before = read(log, made)
    rollup.fold(log.con)
    after = read(log, made)
    assert log.frame("SELECT sum(predictions) AS n FROM folded_user_days")["n"][0] > 100
    assert after.left_out == before.left_out
    assert (after.arrivals == before.arrivals).all()
    for variant, arm in before.arms.items():
        assert after.arms[variant][:5] == arm[:5]
        assert same(after.arms[variant].sums, arm.sums)


def test_the_first_n_max_users_count(log: Log) -> None:
    """In the order of first exposure, among those who count at all; the rest is told of."""
    log.expose("two", "champion", 1, created=at(0))
    log.expose("two", "v2", 2, created=at(0.1))
    for index in range(12):
        log.expose(f"u{index}", ("champion", "v2")[index % 2], created=at(20 - index))
    made = read(log, experiment(n_max=5))
    assert {name: arm.users for name, arm in made.arms.items()} == {"champion": 2, "v2": 3}
    assert made.left_out == (1, 0, 7, 13)
    assert made.arrivals.tolist() == [[0, 1], [1, 1], [1, 2], [2, 2], [2, 3]]
    users = metrics.users_of(log.frame, metrics.scope_of(log.frame, experiment(n_max=5)))
    assert users["contributor"].tolist() == ["u11", "u10", "u9", "u8", "u7"]


def test_skewed_predictions_are_told_and_count_nowhere(log: Log) -> None:
    """A clock that was wrong, or an import: the user counts, the prediction from before the exposure and its answer do not."""
    log.expose("a", created=at(2))
    early = log.predict("a", created=at(1))
    log.correct("a", early, created=at(3))
    log.predict("a", created=at(2.5))
    arm = read(log).arms["champion"]
    assert (arm.users, arm.predictions, arm.corrections, arm.skewed) == (1, 1, 0, 1)


def test_segments_are_those_that_were_declared(log: Log) -> None:
    """By the first exposure's value; an arm that has nobody there is missing. What was not declared is not told."""
    for who, variant, channel in (("a", "champion", "page"), ("b", "v2", "page"), ("c", "v2", "api")):
        log.expose(who, variant, channel=channel, language="en")
        log.predict(who, variant)
    log.expose("a", "champion", 2, channel="api")
    made = read(log, replace(ENDLESS, segments=("channel",)))
    found = {value: {name: arm.users for name, arm in arms.items()} for value, arms in made.segments["channel"].items()}
    assert found == {"page": {"champion": 1, "v2": 1}, "api": {"v2": 1}}
    assert list(made.segments) == ["channel"]


def test_rare_values_of_a_segment_go_together(log: Log) -> None:
    """The eight with the most users by name, the rest under one; together they are everybody."""
    for index in range(12):
        for turn in range(12 - index):
            log.expose(f"u{index}_{turn}", language=f"l{index:02}")
    parts = read(log).segments["language"]
    assert list(parts) == [f"l{index:02}" for index in range(VALUES)] + [REST]
    assert parts[REST]["champion"].users == 4 + 3 + 2 + 1
    assert sum(arms["champion"].users for arms in parts.values()) == 78


def test_a_covariate_is_of_the_days_before(log: Log) -> None:
    """Whatever the experiment, or none; not the day of the first exposure itself, and nothing after it."""
    log.expose("a", created=at(3.5))
    log.expose("b", created=at(3.5))
    log.expose("b", experiment="old", created=at(1))
    old = log.predict("a", experiment="", created=at(1.2))
    log.correct("a", old, created=at(2))
    elsewhere: tuple[tuple[str, dict[str, Any]], ...] = (("a", {"experiment": ""}), ("b", {"experiment": "old", "variant": "v9"}))
    for who, settings in elsewhere:
        log.predict(who, created=at(2.2), **settings)
        log.predict(who, created=at(3.1), **settings)  # on the day
        log.predict(who, created=at(4.2), **settings)  # after
        log.correct(who, log.predict(who, created=at(4.0)), created=at(4.1))
    users = metrics.users_of(log.frame, metrics.scope_of(log.frame, ENDLESS)).set_index("contributor")
    assert users[["corrected_before", "predictions_before"]].to_dict("index") == {
        "a": {"corrected_before": 1, "predictions_before": 2},
        "b": {"corrected_before": 0, "predictions_before": 1},
    }
    for name in COVARIATES:
        moments = read(log, replace(ENDLESS, covariate=name)).arms["champion"].moments
        assert moments is not None
        x, m = np.array([1.0, 0.0]) if "correction" in name else np.array([2.0, 1.0]), np.array([2.0, 1.0])
        m = m if "correction" in name else np.ones(2)
        values = {"y": np.ones(2), "n": np.ones(2), "x": x, "m": m}
        wanted = {key: float((values[key[1]] * (values[key[2]] if key[2:] else 1)).sum()) for key in cuped.Moments._fields[1:]}
        assert cuped.Moments(**moments) == cuped.Moments(2, **wanted)
    assert read(log).arms["champion"].moments is None


def test_users_without_history_have_a_covariate_of_zero(log: Log) -> None:
    """No row before is no missing number: all moments are numbers."""
    log.expose("a")
    moments = read(log, replace(ENDLESS, covariate="correction_rate_before")).arms["champion"].moments
    assert moments == {**dict.fromkeys(cuped.Moments._fields, 0.0), "k": 1}


def test_arrivals_are_thinned_above_two_thousand(log: Log) -> None:
    """One point a user up to there, evenly spaced ones above, the last one always everybody; the test stays the same test."""
    log.con.execute(
        """INSERT INTO exposures SELECT 'x', 1, 'u' || i, CASE WHEN hash(i) % 2 = 0 THEN 'champion' ELSE 'v2' END, 1, .5,
            '', '', '', TIMESTAMP '2026-11-01' + to_seconds(i) FROM range(5000) r(i)"""
    )
    whole, half = read(log), read(log, experiment(n_max=2000))
    assert whole.arrivals.shape == (1667, 2)  # every third of 5,000
    assert half.arrivals.shape == (2000, 2)
    assert half.arrivals.sum(axis=1).tolist() == list(range(1, 2001))
    assert whole.arrivals[-1].tolist() == [whole.arms[v.name].users for v in TWO_ARMS]
    users = metrics.users_of(log.frame, metrics.scope_of(log.frame, experiment(n_max=2000)))
    codes = [("champion", "v2").index(variant) for variant in users["variant"]]
    assert sequential_p_of_counts(half.arrivals, (0.5, 0.5)) == pytest.approx(sequential_p(codes, (0.5, 0.5)), rel=1e-12)
    assert sequential_p_of_counts(whole.arrivals, (0.4, 0.6)) < 1e-6


@pytest.mark.parametrize(
    ("counts", "said"),
    [([[1, 2, 3]], "one column for each of 2"), ([[2, 1], [1, 2]], "never fall"), ([[-1, 1]], "0 or more")],
)
def test_counts_that_nobody_can_have_are_refused(counts: list[list[int]], said: str) -> None:
    """Another number of arms, falling or negative counts are errors in words; no points at all are no evidence."""
    with pytest.raises(BadInput, match=said):
        sequential_p_of_counts(np.array(counts), (0.5, 0.5))
    assert sequential_p_of_counts(np.zeros((0, 2), dtype=int), (0.5, 0.5)) == 1.0


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"state": "paused"}, True),
        ({"coverage": 0.2, "hypothesis": "other", "reason": "ramp", "author": "bob"}, True),
        ({"state": "decided", "winner": "v2"}, True),
        ({"variants": (replace(TWO_ARMS[0], share=0.9), replace(TWO_ARMS[1], share=0.1))}, False),
        ({"variants": (TWO_ARMS[0], Variant("v2", 3, 0.5))}, False),
        ({"guardrails": (Guardrail("latency", 0.2),)}, False),
        ({"segments": ("device",)}, False),
        ({"covariate": "predictions_before"}, False),
        ({"n_max": 401}, False),
        ({"salt": "s"}, False),
    ],
)
def test_the_numbers_of_one_design_are_read_together(log: Log, change: dict[str, Any], kept: bool) -> None:
    """What changes nothing that is compared keeps what was collected; what does begins anew."""
    log.declare(experiment(1))
    log.declare(experiment(2, state="paused"))
    third = log.declare(experiment(3, **change))
    assert metrics.scope_of(log.frame, third).numbers == ((1, 2, 3) if kept else (3,))


def test_only_arms_that_are_small_bring_their_rows(log: Log) -> None:
    """The jackknife is for arms below 200 users: a large arm's rows stay in the log."""
    log.con.execute(
        """INSERT INTO exposures SELECT 'x', 1, 'u' || i, CASE WHEN i % 10 = 0 THEN 'v2' ELSE 'champion' END, 1, .5,
            '', '', '', TIMESTAMP '2026-11-01' + to_seconds(i) FROM range(1000) r(i)"""
    )
    rows = metrics.rows_of(log.frame, metrics.scope_of(log.frame, ENDLESS), METRICS["correction_rate"])
    assert {name: len(y) for name, (y, _) in rows.items()} == {"v2": 100}


def test_a_reading_is_one_select(log: Log) -> None:
    """So its numbers belong to one moment of the log."""
    random_log(log, 1)
    asked: list[str] = []

    def watching(ask: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
        return lambda sql, params=(): asked.append(sql) or ask(sql, params)  # type: ignore[func-returns-value]

    metrics.reading(watching(log.frame), metrics.Scope("x", (1,), 100), replace(ENDLESS, covariate="predictions_before"))
    assert len(asked) == 1
