"""The report over a real log: who counts, which words it may use, and bad input."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from analysis import metrics
from analysis.report import report
from feedback.errors import BadInput
from feedback.records import Variant
from tests.analysis.log_fixture import TWO_ARMS, Log, experiment


def _keys(log: Log, **settings: object) -> list[str]:
    return [note.key.removeprefix("experiments.note.") for note in report(log.frame, experiment(**settings)).notes]  # type: ignore[arg-type]


def test_only_standing_corrections_of_ones_own_predictions_count(log: Log) -> None:
    """Confirmations, withdrawn corrections and other people's are no corrections; the response rate takes confirmations."""
    log.expose("a")
    made = [log.predict("a") for _ in range(5)]
    log.correct("a", made[0])
    log.correct("a", made[1], confirmation=True)
    log.withdraw("a", log.correct("a", made[2]))
    log.correct("b", made[3])
    arm = report(log.frame, experiment()).arms[0]
    assert (arm.users, arm.predictions, arm.corrections, arm.rate, arm.response_rate) == (1, 5, 1, 0.2, 0.4)


def test_only_this_experiments_events_after_the_exposure_count(log: Log) -> None:
    """Predictions before the exposure, forced ones, of another experiment or number, and of the unexposed are left out."""
    log.predict("a")
    log.expose("a")
    log.predict("a")
    log.predict("a", forced=True)
    log.predict("a", experiment="other")
    log.predict("a", number=7)
    log.predict("nobody")
    arm = report(log.frame, experiment()).arms[0]
    assert (arm.users, arm.predictions) == (1, 1)


def test_users_of_two_variants_are_left_out_and_counted(log: Log) -> None:
    """Whether the exposures or the predictions show it; above 1 % the report warns."""
    log.expose("a")
    log.predict("a")
    log.expose("b")
    log.predict("b", "v2")
    log.expose("c", "champion", 1)
    log.expose("c", "v2", 2)
    made = report(log.frame, experiment())
    assert (made.arms[0].users, made.left_out) == (1, (2, 0, 0, 3))
    assert "experiments.note.two_variants" in [note.key for note in made.notes]


def test_pausing_and_stopping_keep_the_data(log: Log) -> None:
    """Each is a new number of the same design: the stopped number reports what the running ones collected, once a user."""
    log.declare(experiment(1))
    log.expose("a", number=1)
    log.predict("a", number=1)
    log.declare(experiment(2, state="paused"))
    log.declare(experiment(3))
    log.expose("a", number=3)
    log.predict("a", number=3)
    made = report(log.frame, log.declare(experiment(4, state="stopped")))
    assert (made.arms[0].users, made.arms[0].predictions) == (1, 2)


def test_users_from_before_a_change_of_shares_are_left_out(log: Log) -> None:
    """They keep their variant at the old odds: under the new shares they would bias the rates and the sample ratio."""
    log.declare(experiment(1))
    log.expose("a", number=1)
    log.expose("a", number=2)
    log.predict("a", number=2)
    log.expose("b", number=2)
    log.predict("b", number=2)
    shares = (Variant("champion", 1, 0.9), Variant("v2", 2, 0.1))
    made = report(log.frame, log.declare(experiment(2, shares)))
    assert (made.arms[0].users, made.left_out.carried_over) == (1, 1)


def test_six_sums_by_hand(log: Log) -> None:
    """Users with (y, n) = (1, 2), (0, 1), (0, 0): k 3, Sy 1, Sn 3, Syy 1, Snn 5, Syn 2. An exposed user counts without events."""
    for who, count in (("a", 2), ("b", 1), ("c", 0)):
        log.expose(who)
        made = [log.predict(who) for _ in range(count)]
        if who == "a":
            log.correct(who, made[0])
    arms = metrics.reading(log.frame, metrics.scope_of(log.frame, experiment()), experiment()).arms
    assert arms["champion"].sums["correction_rate"] == (3, 1, 3, 1, 5, 2)
    rows = metrics.rows_of(log.frame, metrics.scope_of(log.frame, experiment()), metrics.METRICS["correction_rate"])
    assert rows == {"champion": ([1.0, 0.0, 0.0], [2.0, 1.0, 0.0])}


def test_a_clear_difference_is_called_both_ways(log: Log) -> None:
    """2 % against 34 % of predictions corrected, 100 users an arm: better, and worse with the arms exchanged."""
    log.crowd(200, {"champion": 9, "v2": 1})
    for rule in ("horizon", "always_valid"):
        made = report(log.frame, experiment(rule=rule))
        comparison = made.comparisons[0]
        assert (made.verdict, made.about) == ("B better", "v2")
        assert comparison.difference == pytest.approx(0.04 - 0.36)  # 2 of 5 by 1 and by 9 of 10 users
        assert comparison.high is not None
        assert comparison.p is not None
        assert comparison.high < 0
        assert comparison.p < 0.05
        swapped = report(log.frame, experiment(variants=(TWO_ARMS[1], TWO_ARMS[0]), rule=rule))
        assert (swapped.verdict, swapped.about) == ("B worse", "champion")


def test_the_same_rate_ends_without_a_difference(log: Log) -> None:
    """No verdict before the planned end, "no meaningful difference" at it; always-valid has no end."""
    log.crowd(200, {"champion": 3, "v2": 3})
    assert report(log.frame, experiment(n_max=400)).verdict == "no verdict yet"
    assert report(log.frame, experiment(n_max=200)).verdict == "no meaningful difference"
    assert report(log.frame, experiment(n_max=200, rule="always_valid")).verdict == "no verdict yet"


def test_the_horizon_rule_ends_at_its_users(log: Log) -> None:
    """Users after the first n_max do not count: looking on past the end would spend more than alpha."""
    log.crowd(200, {"champion": 3, "v2": 3})
    log.crowd(100, {"champion": 9, "v2": 0}, prefix="late")
    made = report(log.frame, experiment(n_max=200))
    assert (made.users, made.verdict) == (200, "no meaningful difference")
    assert report(log.frame, experiment(n_max=200, rule="always_valid")).users == 300


def test_below_fifty_users_nothing_is_compared(log: Log) -> None:
    """49 users in an arm, however different: collecting, no difference, no interval, and the words say why."""
    log.crowd(98, {"champion": 10, "v2": 0})
    made = report(log.frame, experiment())
    assert made.verdict == "collecting"
    assert made.comparisons[0].difference is made.comparisons[0].p is made.arms[0].low is None
    assert made.notes[0] == ("experiments.note.too_few", {"fewest": 49, "needed": 50})


def test_a_lost_arm_blocks_every_claim(log: Log) -> None:
    """A third of one arm's users missing: blocked, at the top and in each comparison, though the rates differ clearly."""
    log.crowd(300, {"champion": 9, "v2": 1, "champion ": 0}, each=3)
    log.flush()
    log.con.execute("UPDATE exposures SET variant = trim(variant)")
    log.con.execute("UPDATE predictions SET variant = trim(variant)")
    made = report(log.frame, experiment())
    assert made.sample_ratio.users == (200, 100)
    assert made.sample_ratio.p is not None
    assert made.sample_ratio.p < 0.001
    assert (made.verdict, made.comparisons[0].verdict) == ("blocked: sample ratio", "blocked: sample ratio")


def test_several_challengers_are_judged_by_holm(log: Log) -> None:
    """Holm's p of the better one is twice its own; the interval of each is built at half of alpha, so it is wider."""
    log.crowd(300, {"champion": 9, "v2": 1, "v3": 9})
    three = (Variant("champion", 1, 0.4), Variant("v2", 2, 0.3), Variant("v3", 3, 0.3))
    made = report(log.frame, experiment(variants=three))
    assert [comparison.verdict for comparison in made.comparisons] == ["B better", "no verdict yet"]
    assert (made.verdict, made.about) == ("B better", "v2")
    pair = report(log.frame, experiment(variants=(three[0], three[1], replace(three[2], share=0.0)))).comparisons
    one, both = pair[0], made.comparisons[0]
    assert len(pair) == 1
    assert one.low is not None
    assert both.low is not None
    assert one.difference == pytest.approx(both.difference)
    assert both.low < one.low


def test_latency_is_the_users_mean_log(log: Log) -> None:
    """Users at 10 and 10, and at 1000 ms: exp((ln 10 + ln 1000)/2) = 100 ms, however many predictions each made."""
    for who, times in (("a", [10.0, 10.0]), ("b", [1000.0])):
        log.expose(who)
        for milliseconds in times:
            log.predict(who, latency_ms=milliseconds)
    assert report(log.frame, experiment()).arms[0].latency_ms == pytest.approx(100.0)


def test_an_empty_log_says_that_nobody_came(log: Log) -> None:
    """No events: collecting, in words, with no number at all."""
    made = report(log.frame, experiment())
    assert (made.verdict, made.users, made.notes[0].key) == ("collecting", 0, "experiments.note.nobody")
    for arm in made.arms:
        assert (arm.rate, arm.low, arm.response_rate, arm.predictions_per_user, arm.latency_ms) == (None,) * 5


@pytest.mark.parametrize("latency", [math.nan, math.inf, 0.0, -3.0])
def test_latencies_that_are_no_numbers_are_said_not_shown(log: Log, latency: float) -> None:
    """NaN, infinite, zero and negative latencies are left out and counted."""
    log.expose("a")
    log.predict("a")
    log.flush()
    log.con.execute("UPDATE predictions SET latency_ms = ?", [latency])  # a frame would turn NaN into NULL
    made = report(log.frame, experiment())
    assert made.arms[0].latency_ms is None
    assert ("experiments.note.untimed", {"predictions": 1}) in made.notes


def test_an_empty_arm_and_a_silent_one(log: Log) -> None:
    """Users without predictions give no rate, and the arm is named."""
    for index in range(120):
        log.expose(f"u{index}", ("champion", "v2")[index % 2])
        if index % 2 == 0:
            log.predict(f"u{index}")
    made = report(log.frame, experiment())
    assert (made.verdict, made.arms[1].rate, made.comparisons[0].difference) == ("no verdict yet", None, None)
    assert ("experiments.note.silent", {"arms": "v2"}) in made.notes


def test_one_user_who_made_every_prediction_decides_nothing(log: Log) -> None:
    """Sixty users an arm, one of whom predicted: no interval, and the words say so."""
    for index in range(120):
        log.expose(f"u{index}", ("champion", "v2")[index % 2])
    for who, arm in (("u0", "champion"), ("u1", "v2")):
        log.correct(who, log.predict(who, arm))
        log.predict(who, arm)
    assert "one_user" in _keys(log)


def test_nobody_who_corrects_is_no_difference_of_zero(log: Log) -> None:
    """Without any correction nothing varies: no number, no p, and a note instead of certainty."""
    log.crowd(120, {"champion": 0, "v2": 0}, each=1)
    made = report(log.frame, experiment(n_max=120))
    assert (made.verdict, made.comparisons[0].p) == ("no verdict yet", None)
    assert "no_variation" in _keys(log, n_max=120)


def test_a_planned_end_too_near_and_an_early_stop_are_said(log: Log) -> None:
    """n_max 60 gives 30 an arm, which never suffices; a stopped experiment without a verdict names no winner."""
    log.crowd(60, {"champion": 3, "v2": 3}, each=1)
    assert {"n_max", "ended_early", "too_few"} <= set(_keys(log, n_max=60, state="stopped"))


@pytest.mark.parametrize("metric", ["nonsense", "response_rate"])
def test_a_metric_that_cannot_decide_is_refused(log: Log, metric: str) -> None:
    """An unknown primary metric, or one of which neither way is better, is an error with the choices."""
    with pytest.raises(BadInput, match="available are correction_rate"):
        report(log.frame, experiment(primary_metric=metric))


@pytest.mark.parametrize("metric", ["confirmation_rate", "correcting_users", "latency"])
def test_every_metric_that_can_decide_gives_a_report(log: Log, metric: str) -> None:
    """The other primary metrics report on the same log; JSON holds it all, strictly."""
    log.crowd(120, {"champion": 4, "v2": 2})
    made = report(log.frame, experiment(primary_metric=metric))
    assert made.metric == metric
    body = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert body["arms"][1]["users"] == 60
    assert body["verdict"] == made.verdict
