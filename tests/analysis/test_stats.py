"""Ratios, differences and multiplicity against other people's numbers and closed forms."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from analysis.stats import (
    Difference,
    Estimate,
    Interval,
    Sums,
    benjamini_hochberg,
    difference,
    fixed_interval,
    fixed_p,
    holm,
    jackknife,
    lift,
    non_inferior,
    ratio,
    sums_of,
)
from feedback.errors import BadInput

ORACLES = Path(__file__).resolve().parents[3] / "shared" / "oracles" / "ab"
needs_oracles = pytest.mark.skipif(not ORACLES.is_dir(), reason=f"the published numbers are not at {ORACLES}")


def _log() -> tuple[Sums, Sums]:
    """Per-user sums of cross_oracle_log.csv, control and challenger."""
    users: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    with (ORACLES / "cross_oracle_log.csv").open() as file:
        for row in csv.DictReader(file):
            cell = users[row["variant"], row["user"]]
            cell[0] += float(row["corrected"])
            cell[1] += 1
    arms = [[cell for (variant, _), cell in users.items() if variant == arm] for arm in ("0", "1")]
    control, challenger = (sums_of([y for y, _ in arm], [n for _, n in arm]) for arm in arms)
    return control, challenger


def _read(name: str) -> Any:
    return json.loads((ORACLES / name).read_text())


@needs_oracles
def test_ratio_agrees_with_gbstats_and_tea_tasting() -> None:
    """Estimate, SE, p and interval of one clustered log are gbstats' and tea-tasting's (cross_oracle.json, ratio)."""
    expected = _read("cross_oracle.json")
    gbstats = expected["gbstats_and_others"]["gbstats_HEAD"]["ratio/absolute/ttest"]
    tea = expected["tea_tasting"]["duckdb_relation"]["ratio"]
    control, challenger = (ratio(sums) for sums in _log())
    diff = difference(control, challenger)
    assert diff.value == pytest.approx(gbstats["estimate"], abs=1e-9)
    assert diff.se == pytest.approx(gbstats["se"], abs=1e-9)
    assert fixed_p(diff) == pytest.approx(gbstats["p"], abs=1e-9)
    assert fixed_interval(diff, 0.05) == pytest.approx(gbstats["ci"], abs=1e-9)
    assert (control.value, challenger.value, fixed_p(diff)) == pytest.approx(
        (tea["control"], tea["treatment"], tea["pvalue"]), abs=1e-9
    )


@needs_oracles
def test_lift_agrees_with_tea_tasting() -> None:
    """The log-scale lift is tea-tasting's ratio_norm (cross_oracle.json); gbstats' differs: its interval is not on the log."""
    expected = _read("cross_oracle.json")["tea_tasting"]["duckdb_relation"]["ratio_norm"]
    control, challenger = (ratio(sums) for sums in _log())
    made = lift(control, challenger, float(scipy.stats.norm.isf(0.025)))
    assert made is not None
    assert made == pytest.approx([expected[f"rel_effect_size{end}"] for end in ("", "_ci_lower", "_ci_upper")], abs=1e-9)


def _absolute_cases() -> list[Any]:
    """gbstats' two-sided t-tests of absolute differences of means and proportions, without strata or adjustment."""
    if not ORACLES.is_dir():
        return []
    kinds = ("SampleMeanStatistic", "ProportionStatistic", "RatioStatistic")
    found = []
    for number, case in enumerate(_read("gbstats_tests.json")["cases"]):
        config = case["config"] or {}
        plain = len(case["stats_pairs"]) == 1 and all(arm["_type"] in kinds for arm in case["stats_pairs"][0])
        answered = case["expected"].get("errorMessage") is None  # four say ZERO_NEGATIVE_VARIANCE: empty or constant arms
        if case["method"] == "TwoSidedTTest" and config.get("difference_type") == "absolute" and plain and answered:
            found.append(pytest.param(case, id=str(number)))
    return found


def _gbstats_sums(arm: dict[str, Any]) -> Sums:
    n = arm["n"]
    if arm["_type"] == "RatioStatistic":
        y, d = arm["m_statistic"], arm["d_statistic"]
        return Sums(n, y["sum"], d["sum"], y["sum_squares"], d["sum_squares"], arm["m_d_sum_of_products"])
    # gbstats divides a proportion's variance by n, ours by n - 1 like any mean's: inflate by (n - 1)/n to compare.
    total = arm["sum"]
    squares = total**2 / n + total * (1 - total / n) * (n - 1) / n if "sum_squares" not in arm else arm["sum_squares"]
    return Sums(n, total, float(n), squares, float(n), total)


@needs_oracles
def test_there_are_published_t_tests_to_compare_with() -> None:
    """The oracle file still holds plain absolute t-tests, so that the next test is not empty."""
    assert len(_absolute_cases()) == 8


@pytest.mark.parametrize("case", _absolute_cases())
def test_plain_means_agree_with_gbstats(case: dict[str, Any]) -> None:
    """With n_i = 1 the ratio metric is Welch's t-test: gbstats' estimate and interval (gbstats_tests.json)."""
    control, challenger = (_gbstats_sums(arm) for arm in case["stats_pairs"][0])
    diff = difference(ratio(control), ratio(challenger))
    alpha = case["config"]["alpha"]
    assert diff.value == pytest.approx(case["expected"]["expected"], abs=1e-9)
    assert fixed_interval(diff, alpha) == pytest.approx(case["expected"]["ci"], abs=1e-9)


def test_ratio_of_ones_is_the_mean() -> None:
    """With n_i = 1, R is the mean and its variance s^2/k (closed form): 1, 2, 3, 4 give 2.5 and (5/3)/4."""
    made = ratio(sums_of([1, 2, 3, 4], [1, 1, 1, 1]))
    assert made == pytest.approx(Estimate(2.5, 5 / 12, 4))


def test_jackknife_of_a_mean_is_its_variance() -> None:
    """For a mean the jackknife is exactly s^2/k (Efron and Stein, 1981); for a ratio it exceeds the delta method here."""
    assert jackknife([1, 2, 3, 4], [1, 1, 1, 1]).variance == pytest.approx(5 / 12)
    rng = np.random.default_rng(5)
    n = rng.integers(1, 9, 40).astype(float)
    y = np.floor(n * rng.random(40))
    assert jackknife(list(y), list(n)).variance > ratio(sums_of(list(y), list(n))).variance


def test_welch_degrees_of_freedom_are_scipys() -> None:
    """Welch's p-value and df are scipy.stats.ttest_ind(equal_var=False)'s."""
    a, b = [1.0, 2.0, 4.0, 8.0, 9.0], [3.0, 3.5, 4.0, 9.0, 11.0, 15.0]
    theirs = scipy.stats.ttest_ind(b, a, equal_var=False)
    diff = difference(ratio(sums_of(a, [1] * 5)), ratio(sums_of(b, [1] * 6)))
    assert (fixed_p(diff), diff.df) == pytest.approx((float(theirs.pvalue), float(theirs.df)), abs=1e-9)


@pytest.mark.parametrize(
    ("y", "n"), [([1.0], [1.0]), ([0.0, 0.0], [0.0, 0.0]), ([math.nan, 1.0], [1.0, 1.0]), ([1.0, 2.0], [1.0])]
)
def test_what_has_no_variance_is_refused(y: list[float], n: list[float]) -> None:
    """One user, no predictions, NaN and ragged rows are errors with words, not NaN results."""
    with pytest.raises(BadInput):
        ratio(sums_of(y, n))
    with pytest.raises(BadInput):
        jackknife(y, n)


def test_lift_needs_two_rates_above_zero() -> None:
    """0 has no logarithm: no lift is made up for it."""
    assert lift(Estimate(0.0, 0.1, 9), Estimate(0.2, 0.1, 9), 2.0) is None


def test_holm_and_benjamini_hochberg() -> None:
    """Holm by hand (4, 3, 2, 1 times, made monotone); Benjamini-Hochberg is scipy.stats.false_discovery_control's."""
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p) == pytest.approx(list(scipy.stats.false_discovery_control(p)))
    with pytest.raises(BadInput, match=r"1\.5 is no p-value"):
        holm([1.5])


def test_non_inferiority_looks_at_the_bad_side() -> None:
    """A rate that is better lower is compared at the interval's upper end, one that is better higher at the lower."""
    interval = Interval(-0.01, 0.03)
    assert non_inferior(interval, 0.05, lower_is_better=True) == (True, 0.03, 0.05)
    assert not non_inferior(interval, 0.02, lower_is_better=True).holds
    assert non_inferior(interval, 0.02, lower_is_better=False).holds
    with pytest.raises(BadInput):
        non_inferior(interval, 0.0, lower_is_better=True)


def test_nothing_varies_gives_no_p_value() -> None:
    """A standard error of 0 has no p-value: NaN, never 0 or 1."""
    assert math.isnan(fixed_p(Difference(0.0, 0.0, math.inf)))
