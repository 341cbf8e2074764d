"""Guardrails, secondary metrics, segments, verdicts and shipping on plain numbers; and the forecast."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from analysis import comparing, planning, stats
from analysis.comparing import Claim, Look
from analysis.forecast import forecast, taking_part
from analysis.metrics import Arm, Day
from analysis.notes import Verdict
from analysis.parts import GuardrailRow, SampleRatio
from analysis.sequential import Rule, one_sided_critical
from analysis.stats import Estimate, Sums
from feedback.outcomes import METRICS
from feedback.records import Experiment, Guardrail, Variant

FINE = SampleRatio(1.0, 1.0, (500, 500), (0.5, 0.5))
ALARM = SampleRatio(0.01, 0.01, (500, 300), (0.5, 0.5))
HORIZON = Rule("horizon", 2000, 0.05)
TWO = (Variant("champion", 1, 0.5), Variant("b", 2, 0.5))


def made(variants: tuple[Variant, ...] = TWO, **settings: Any) -> Experiment:
    """Return an experiment."""
    return Experiment("x", 1, "running", variants, **settings)


def guarded(
    control: float, challenger: float, se: float, margin: float, rule: Rule = HORIZON, ready: bool = True
) -> GuardrailRow:
    """Return the row of one guardrail on latency (lower is better) at 1,000 of 2,000 users."""
    experiment = made(guardrails=(Guardrail("latency", margin),))
    found = {"champion": Estimate(control, se**2 / 2, 500), "b": Estimate(challenger, se**2 / 2, 500)}
    (row,) = comparing.guard(experiment, Look(rule, 1000, ready), {"latency": found})
    return row


def test_a_guardrail_s_bound_is_the_repeated_one_sided_interval() -> None:
    """Horizon rule at half time: bound = d + SE z(1 - 2a/4)/sqrt(1/2) (analysis.md, horizon rule at twice the level, one end)."""
    row = guarded(5.0, 5.01, 0.02, 0.1)
    z = 1.9599639845400545  # the normal law's .975 point
    assert row.difference == pytest.approx(0.01)
    assert row.bound == pytest.approx(0.01 + 0.02 * z / math.sqrt(0.5))
    assert row.holds


def test_a_guardrail_of_an_open_ended_test_uses_the_one_sided_confidence_sequence() -> None:
    """AsympCS one-sided (Waudby-Smith et al., arXiv:2103.06476), as sequential.py has it."""
    row = guarded(5.0, 5.0, 0.02, 0.1, Rule("always_valid", 2000, 0.05))
    assert row.bound == pytest.approx(0.02 * one_sided_critical(1000, 0.05, 2000))


@pytest.mark.parametrize(("challenger", "holds"), [(4.9, True), (5.0, True), (5.08, False), (5.2, False)])
def test_a_guardrail_holds_where_its_bound_is_within_the_margin(challenger: float, holds: bool) -> None:
    """Better or equal is fine; a little worse is not proven harmless; much worse is not."""
    assert guarded(5.0, challenger, 0.02, 0.1).holds is holds


@pytest.mark.parametrize("rule", [HORIZON, Rule("always_valid", 2000, 0.05)])
@pytest.mark.parametrize(("challenger", "broken"), [(5.0, False), (5.08, False), (5.12, False), (5.3, True)])
def test_a_breach_is_told_from_what_is_not_ruled_out_yet(challenger: float, broken: bool, rule: Rule) -> None:
    """Margin .1: broken where even the best difference that the interval allows is beyond it."""
    assert guarded(5.0, challenger, 0.02, 0.1, rule).broken is broken


def test_a_guardrail_is_not_known_before_the_arms_have_their_users() -> None:
    """No number, no claim."""
    row = guarded(5.0, 5.0, 0.02, 0.1, ready=False)
    assert (row.difference, row.bound, row.holds) == (None, None, None)


@pytest.mark.parametrize(
    ("claims", "ratio", "ready", "verdict"),
    [
        ([], FINE, False, ("collecting", "")),
        ([Claim("b", "B better", 0.1)], ALARM, True, ("blocked: sample ratio", "")),
        ([Claim("b", "B better", 0.1), Claim("c", "B better", 0.2)], FINE, True, ("B better", "c")),
        ([Claim("b", "B worse", 0.1), Claim("c", "no verdict yet", 0.0)], FINE, True, ("no verdict yet", "")),
        ([Claim("b", "B worse", 0.1), Claim("c", "B worse", 0.2)], FINE, True, ("B worse", "b, c")),
        ([Claim("b", "no meaningful difference", 0.0)], FINE, True, ("no meaningful difference", "")),
    ],
)
def test_the_verdict_over_several_challengers(
    claims: list[Claim], ratio: SampleRatio, ready: bool, verdict: tuple[Verdict, str]
) -> None:
    """An alarm blocks whatever is claimed; the largest of the winners is named; losers only where all lost."""
    assert comparing.verdict_of(claims, ratio, ready) == verdict


def row_of(holds: bool | None, challenger: str = "b") -> GuardrailRow:
    """Return a guardrail's row."""
    return GuardrailRow("latency", "log ms", "lower", 0.1, challenger, 0.0, 0.05, holds)


def test_shipping_needs_the_winner_and_every_guardrail() -> None:
    """Ship = primary better AND every guardrail non-inferior AND no sample-ratio alarm (analysis.md)."""
    assert comparing.shipping_of("B better", "b", [row_of(True)]).ready
    assert not comparing.shipping_of("B better", "b", [row_of(True), row_of(False)]).ready
    assert not comparing.shipping_of("B better", "b", [row_of(None)]).ready
    assert comparing.shipping_of("B better", "b", [row_of(False, "c")]).ready  # another challenger's guardrail
    for verdict in ("blocked: sample ratio", "no verdict yet", "B worse", "collecting"):
        assert not comparing.shipping_of(verdict, "", []).ready
    against = comparing.shipping_of("B better", "b", [row_of(False), row_of(None)]).against
    assert [note.key.rsplit(".", 1)[-1] for note in against] == ["guardrail_open", "guardrail_unknown"]


def test_secondary_metrics_are_adjusted_together() -> None:
    """Benjamini and Hochberg over what has a number; metrics of which neither way is better are not judged."""
    found = {"champion": Estimate(0.30, 0.0001, 600), "b": Estimate(0.20, 0.0001, 600)}
    flat = {"champion": Estimate(0.30, 0.0, 600), "b": Estimate(0.30, 0.0, 600)}
    estimates = {"confirmation_rate": found, "edit_distance": flat, "response_rate": found}
    rows = comparing.secondary(made(), Look(HORIZON, 1200, True), estimates)
    assert [row.metric for row in rows] == ["confirmation_rate", "edit_distance"]
    plain = comparing.numbers_of(METRICS["confirmation_rate"], Look(HORIZON, 1200, True), 0.05, found["champion"], found["b"])
    assert rows[0].p == plain.p  # one row with a number: nothing to adjust for
    assert rows[1].p is None
    early = comparing.secondary(made(), Look(HORIZON, 60, False), estimates)
    assert all(row.difference is None for row in early)


def arm(users: int, rate: float) -> Arm:
    """Return an arm whose users each made one prediction."""
    hits = round(users * rate)
    sums = dict.fromkeys(METRICS, Sums(users, hits, users, hits, users, hits))
    return Arm(users, users, hits, 0, 0, sums, None)


def test_a_segment_has_numbers_only_with_users_enough_in_both_arms() -> None:
    """49 users in one arm: counts alone."""
    segments = {
        "language": {"en": {"champion": arm(200, 0.5), "b": arm(200, 0.2)}, "zh": {"champion": arm(49, 0.5), "b": arm(80, 0.2)}}
    }
    rows = comparing.by_segment(made(), METRICS["correction_rate"], Look(HORIZON, 529, True), segments)
    assert [(row.value, row.control_users, row.challenger_users, row.difference is None) for row in rows] == [
        ("en", 200, 200, False), ("zh", 49, 80, True),
    ]  # fmt: skip
    assert rows[0].difference == pytest.approx(-0.3)


def test_a_segment_that_an_arm_never_met_has_no_number() -> None:
    """A value only the control saw."""
    rows = comparing.by_segment(
        made(), METRICS["correction_rate"], Look(HORIZON, 60, True), {"channel": {"qr": {"champion": arm(60, 0.5)}}}
    )
    assert [(row.control_users, row.challenger_users, row.difference) for row in rows] == [(60, 0, None)]


HISTORY = Sums(400, 120.0, 400.0, 120.0, 400.0, 120.0)  # 400 users, one prediction each, 30 % corrected


def test_the_forecast_is_the_planner_s_on_the_log_s_own_history() -> None:
    """Users for a change by a fifth, days at this traffic: as planning.py computes them from the history's variance."""
    variance = planning.linear_variance(HISTORY)
    needed = planning.users_needed(variance, 0.06, alpha=0.05, power=0.8, rule="horizon")
    told = forecast(made(), METRICS["correction_rate"], [Sums(0, 0, 0, 0, 0, 0)] * 2, HISTORY, 0, 20.0)
    assert told.wanted == pytest.approx(0.06)
    assert told.wanted_users == needed
    assert told.wanted_days == pytest.approx(needed / 20)
    assert told.days_to_end == pytest.approx(100)
    assert told.detectable == pytest.approx(planning.detectable(variance, 2000, alpha=0.05, power=0.8, rule="horizon"))


def test_not_within_a_year_and_nobody_at_all() -> None:
    """5 users a day: 2,000 take more than a year. No user: no day. No history: no difference can be named."""
    slow = forecast(made(), METRICS["correction_rate"], [], HISTORY, 0, 5.0)
    assert (slow.days_to_end, slow.per_day) == (None, 5.0)
    nobody = forecast(made(), METRICS["correction_rate"], [], HISTORY, 0, 0.0)
    assert (nobody.days_to_end, nobody.wanted_days) == (None, None)
    unknown = forecast(made(), METRICS["correction_rate"], [], Sums(0, 0, 0, 0, 0, 0), 0, 10.0)
    assert (unknown.wanted, unknown.wanted_users, unknown.detectable) == (None, None, None)


def test_an_open_end_has_no_end() -> None:
    """Always-valid rules come to no end, so there is no day for it."""
    assert forecast(made(rule="always_valid"), METRICS["correction_rate"], [], HISTORY, 0, 100.0).days_to_end is None


def test_the_experiment_s_own_days_tell_how_many_take_part() -> None:
    """120 users within four days: 30 a day; of a long test only the last 28 days count; a test nobody met has none."""

    def users(day: int, count: int) -> Day:
        return Day(date(2026, 11, 1) + timedelta(days=day), {"champion": Sums(count, 0, count, 0, count, 0)})

    assert taking_part([users(0, 40), users(3, 120)], datetime(2026, 11, 4, 12)) == pytest.approx(30)
    assert taking_part([users(0, 900), users(50, 956)], datetime(2026, 12, 21)) == pytest.approx(2)
    assert taking_part([], datetime(2026, 11, 4)) == 0.0


def test_what_is_known_outranks_history_once_there_are_users_enough() -> None:
    """From 200 users of its own the experiment plans by them."""
    own = stats.sums_of([0.0, 1.0] * 150, [1.0] * 300)
    told = forecast(made(), METRICS["correction_rate"], [own], HISTORY, 300, 10.0)
    assert told.wanted == pytest.approx(0.1)
