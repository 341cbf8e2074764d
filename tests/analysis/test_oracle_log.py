"""One clustered log (cross_oracle_log.csv) through everybody's tools: the answers of this room are theirs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from analysis.cuped import adjusted
from analysis.sample_ratio import chi2_p
from analysis.sequential import Rule
from analysis.stats import Difference, difference, fixed_interval, fixed_p, ratio
from tests.analysis import oracle_cases as cases
from tests.analysis.oracle_cases import Pair, needs_oracles
from tests.analysis.oracle_ledger import LOG_GBSTATS, LOG_OTHERS, LOG_TEA
from tests.analysis.upstream import EXACT, gbstats_difference, interval_and_p, same, tea_mean

pytestmark = needs_oracles


def _log_pair(metric: str) -> Pair:
    """Return the log's arms as a ratio (corrections of events), a user's rate, or either with what was before it."""
    made = []
    for rows in cases.log_rows():
        y, n, x, m = rows.T
        ones, none = np.ones(len(rows)), np.zeros(len(rows))
        if metric in ("rate", "cuped"):
            y, n, x, m = y / n, ones, x / m, ones
        made.append(cases.moments_of(y, n, *((x, m) if "cuped" in metric else (none, none))))
    control, challenger = made
    return control, challenger


def _published(label: str) -> Any:
    tool, *rest = label.split("/")
    found = cases.read("cross_oracle.json")[tool]
    for key in (rest[0], "/".join(rest[1:])):
        found = found[key] if key else found
    return found


@pytest.mark.parametrize("label", LOG_GBSTATS)
def test_gbstats_of_the_log(label: str) -> None:
    """gbstats' fixed and always-valid answers for ratio, rate and both with CUPED, absolute and relative (cross_oracle.json)."""
    _, _, metric, difference_type, rule = label.split("/")
    kind = {"cuped": "RegressionAdjusted", "ratio_cuped": "RegressionAdjustedRatio"}.get(metric, "Ratio")
    pair, expected = _log_pair(metric), _published(label)
    diff = gbstats_difference(pair, kind, pair, difference_type == "relative")
    method = "TwoSidedTTest" if rule == "ttest" else "SequentialTwoSidedTTest"
    n_star = {"sequential_tuning_parameter": rule.removeprefix("asympcs_N")} if rule != "ttest" else {}
    interval, p = interval_and_p(method, diff, 400, n_star)
    assert (diff.value, diff.se, p) == pytest.approx((expected["estimate"], expected["se"], expected["p"]), abs=EXACT)
    assert interval == pytest.approx(expected["ci"], abs=EXACT)


@pytest.mark.parametrize("label", LOG_TEA)
def test_tea_tasting_of_the_log(label: str) -> None:
    """tea-tasting's answers, from DuckDB and from pandas, for the same four metrics (cross_oracle.json)."""
    metric = label.rpartition("/")[2]
    params = {"use_t": metric != "ratio_norm", "equal_var": False, "alternative": "two-sided", "confidence_level": 0.95}
    same(tea_mean(_log_pair(metric.removesuffix("_norm")), params), _published(label))


def test_ratio_cuped_of_the_log() -> None:
    """gbstats and tea-tasting differ by .0006 for a ratio with CUPED in theta alone; ours is gbstats' (cross_oracle.json).

    theta is .3156 inside arms (gbstats, ours) and .3305 over all users thrown together (tea-tasting), where the difference
    between the arms is part of it. Times the covariate's own difference between the arms that is the .0006.
    """
    pair = _log_pair("ratio_cuped")
    ours, thrown = adjusted(pair), adjusted([cases.together(pair)]).theta
    before = pair[1].sx / pair[1].sm - pair[0].sx / pair[0].sm
    apart = cases.read("cross_oracle.json")["agreement"]["ratio_cuped"]["est_absdiff"]
    assert abs((thrown - ours.theta) * before) == pytest.approx(apart, abs=EXACT)
    theirs = _published("gbstats_and_others/gbstats_HEAD/ratio_cuped/absolute/ttest")
    assert difference(*ours.estimates).value == pytest.approx(theirs["estimate"], abs=EXACT)
    assert (ours.theta, thrown) == pytest.approx((0.3156, 0.3305), abs=1e-4)


@pytest.mark.parametrize("label", LOG_OTHERS)
def test_others_of_the_log(label: str) -> None:
    """statsmodels, cluster-experiments, spotify-confidence and the closed forms (cross_oracle.json), each in its own convention."""
    name, expected = label.partition("/")[2], _published(label)
    control, challenger = (ratio(cases.outcome(arm)) for arm in _log_pair("ratio"))
    diff = difference(control, challenger, welch=False)
    if name == "srm":
        assert chi2_p(expected["counts"], [1, 1]) == pytest.approx(expected["gbstats_check_srm"], abs=EXACT)
    elif name == "gbstats_srm_cases":
        assert expected == cases.read("srm_chi2.json")["cases"]  # test_chi2 checks these very cases
    elif name.startswith("spotify"):
        rates = difference(*(ratio(cases.outcome(arm)) for arm in _log_pair("rate")), welch="ttest" in name)
        made = (rates.value, *fixed_interval(rates, 0.05), fixed_p(rates))
        assert made == pytest.approx([expected[key] for key in ("difference", "ci_lower", "ci_upper", "p-value")], abs=EXACT)
    elif name == "own_closed_form":
        same({"control": control.value, "treatment": challenger.value, "diff": diff.value, "se": diff.se}, expected)
        for n_star in (400, 2000):
            look = Rule("always_valid", n_star, 0.05).look(diff, 400)
            assert look.interval == pytest.approx(expected[f"asympcs_N{n_star}"], abs=EXACT)
    else:  # cluster-robust: sums of squares by k, not k - 1; the corrected one times G/(G - 1) (N - 1)/(N - 2)
        variance = sum(arm.variance * (arm.users - 1) / arm.users for arm in (control, challenger))
        events = float(sum(rows[:, 1].sum() for rows in cases.log_rows()))
        corrected = "True" in name or "clustered_ols" in name
        variance *= 400 / 399 * (events - 1) / (events - 2) if corrected else 1.0
        made_robust = Difference(diff.value, math.sqrt(variance), math.inf)
        assert made_robust[:2] == pytest.approx((expected["estimate"], expected["se"]), abs=EXACT)
        assert fixed_p(made_robust) == pytest.approx(expected["p"], abs=EXACT)
