"""What the page asks: a whole report with everything declared, the proof, the per-user table, and what may be shipped."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd
import pytest

from analysis.reader import Reader
from analysis.report import report
from feedback.errors import BadInput, Conflict, NotFound
from feedback.records import Experiment, Guardrail
from tests.analysis.log_fixture import Log, experiment


def crowded(log: Log, users: int = 240, champion: int = 8, challenger: int = 1) -> Log:
    """Of ten users of an arm so many correct twice in five predictions."""
    log.crowd(users, {"champion": champion, "v2": challenger})
    return log


def reader(log: Log, made: Experiment) -> Reader:
    """Return a reader that knows one experiment."""

    def get(name: str) -> Experiment:
        if name != made.name:
            raise NotFound(f"no experiment {name!r}; there are: {made.name}")
        return made

    return Reader(log.frame, get)


def test_a_report_with_everything_declared(log: Log) -> None:
    """Guardrails, secondary metrics, segments, timeline and forecast are there, and the JSON holds no NaN."""
    made = experiment(
        guardrails=(Guardrail("latency", 0.2), Guardrail("confirmation_rate", 0.1)), segments=("channel",), rule="always_valid"
    )
    told = report(crowded(log).frame, made)
    assert (told.verdict, told.about, told.leads) == ("B better", "v2", "test")
    assert [(row.metric, row.holds) for row in told.guardrails] == [("latency", True), ("confirmation_rate", True)]
    assert told.shipping.ready
    assert {row.metric for row in told.secondary} == {"edit_distance", "correcting_users"}
    assert [(row.segment, row.value, row.control_users) for row in told.segments] == [("channel", "", 120)]
    assert told.timeline[-1].difference == pytest.approx(told.comparisons[0].difference)
    assert told.forecast.wanted_users is not None
    text = json.dumps(told.to_json(), allow_nan=False)
    assert json.loads(text)["timeline"][0]["day"] == "2026-11-01"


def test_a_broken_guardrail_stands_against_shipping(log: Log) -> None:
    """The challenger corrects less but is far slower: better, not to be shipped."""
    for index in range(240):
        arm = "v2" if index % 2 else "champion"
        log.expose(f"u{index}", arm)
        for turn in range(5):
            shown = log.predict(f"u{index}", arm, latency_ms=300.0 + index % 7 if index % 2 else 100.0 + index % 7)
            if turn < 2 and index // 2 % 10 < (1 if index % 2 else 8):
                log.correct(f"u{index}", shown)
    told = report(log.frame, experiment(guardrails=(Guardrail("latency", 0.2),)))
    assert told.verdict == "B better"
    assert [row.holds for row in told.guardrails] == [False]
    assert not told.shipping.ready
    assert [note.key for note in told.shipping.against] == ["experiments.ship.guardrail_broken"]
    assert reader(log, experiment(guardrails=(Guardrail("latency", 0.2),))).shippable("x") is None


def test_what_may_be_shipped_says_why(log: Log) -> None:
    """Metric, difference, always-valid p, users and guardrails in one sentence for the log."""
    won = reader(crowded(log), experiment(guardrails=(Guardrail("latency", 0.2),))).shippable("x")
    assert won is not None
    assert won.challenger == "v2"
    assert won.reason.startswith("correction_rate -0.28 against champion, always-valid p ")
    assert won.reason.endswith("240 users, guardrails kept: 1")


def test_a_covariate_takes_noise_out(log: Log) -> None:
    """Users who corrected much before do so again: the interval gets narrower, the estimate stays near, the share is told."""
    for index in range(240):
        often = index // 2 % 2 == 0
        for turn in range(10):
            shown = log.predict(f"u{index}", experiment="", number=0, variant="champion")
            if turn < (8 if often else 1):
                log.correct(f"u{index}", shown)
    log.rows += 2 * 86_400  # the experiment starts two days later
    for index in range(240):
        arm = "v2" if index % 2 else "champion"
        often = index // 2 % 2 == 0
        log.expose(f"u{index}", arm)
        for turn in range(10):
            shown = log.predict(f"u{index}", arm)
            if turn < (7 if often else 2) - index % 2 + index // 4 % 2:
                log.correct(f"u{index}", shown)
    plain = report(log.frame, experiment())
    helped = report(log.frame, experiment(covariate="correction_rate_before"))
    assert helped.covariate is not None
    assert helped.covariate.explained > 0.8
    before, after = plain.comparisons[0], helped.comparisons[0]
    assert after.difference == pytest.approx(before.difference, abs=0.02)
    assert (after.high or 0) - (after.low or 0) < 0.5 * ((before.high or 0) - (before.low or 0))


def test_the_proof_runs_on_this_log_s_users(log: Log) -> None:
    """240 users: the rule in force stays under its level, the per-event control is run beside it."""
    proof = reader(crowded(log), experiment(n_max=240)).proof("x")
    assert (proof.users, proof.looks[-1], proof.shuffles) == (240, 240, 1000)
    assert [rate.analysis for rate in proof.rates] == ["rule", "peeking", "per event"]
    assert proof.rates[0].low <= 0.05


def test_too_few_users_to_prove_anything_are_told(log: Log) -> None:
    """98 users: how many there are, how many are needed."""
    with pytest.raises(BadInput, match="98 users are there; to shuffle them takes 100"):
        reader(crowded(log, 98), experiment()).proof("x")


def test_nothing_can_be_shuffled_where_nobody_is_assigned(log: Log) -> None:
    """A side-by-side experiment has no arms of users."""
    with pytest.raises(Conflict, match="nobody is assigned"):
        reader(log, experiment(mode="side_by_side")).proof("x")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_per_user_table(log: Log, form: str) -> None:
    """One row a user of the cohort, whose sums are the report's."""
    raw = reader(crowded(log, 100), experiment()).users_file("x", form)
    table: Any = pd.read_csv(io.BytesIO(raw)) if form == "csv" else pd.read_parquet(io.BytesIO(raw))
    told = report(log.frame, experiment())
    assert len(table) == 100
    assert {"contributor", "variant", "first", "channel", "language", "device", "predictions", "corrected"} <= set(table.columns)
    assert table.groupby("variant")["corrected"].sum().to_dict() == {arm.name: arm.corrections for arm in told.arms}


def test_unknown_names_and_forms_are_told_with_the_choices(log: Log) -> None:
    """What there is stands in the error."""
    with pytest.raises(NotFound, match="there are: x"):
        reader(log, experiment()).report("y")
    with pytest.raises(BadInput, match="available are parquet, csv"):
        reader(log, experiment()).users_file("x", "xlsx")


def test_a_definition_that_changed_since_is_told(log: Log) -> None:
    """What the metric counted at the declaration stands beside what it counts now."""
    told = report(log.frame, experiment(definition="sum(clicks) / sum(views) over users; higher is better"))
    assert "experiments.note.definition" in [note.key for note in told.notes]


def test_an_arm_that_nobody_meets_and_a_ramp_are_told(log: Log) -> None:
    """Everybody got the champion; a fifth of the traffic takes part."""
    for index in range(60):
        log.expose(f"u{index}", "champion")
        log.predict(f"u{index}", "champion")
    keys = [note.key for note in report(log.frame, experiment(coverage=0.2)).notes]
    assert "experiments.note.empty_arm" in keys
    assert "experiments.note.coverage" in keys
    assert "experiments.note.too_few" in keys


def test_clock_skew_counts_nowhere_and_is_told(log: Log) -> None:
    """A prediction from before its user's first exposure: left out of every number, counted in a note."""
    log.predict("a")
    log.expose("a")
    log.predict("a")
    told = report(log.frame, experiment())
    assert told.arms[0].predictions == 1
    assert [note.values for note in told.notes if note.key == "experiments.note.skewed"] == [{"predictions": 1}]
