"""Every published case: checked here, checked in a named test elsewhere, or left out for a stated reason. Nothing in silence."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.cuped import adjusted
from analysis.planning import detectable, users_needed
from analysis.sample_ratio import chi2_p, log_bayes_factors
from analysis.sequential import Rule, asymp_critical, one_sided_critical, tuning
from analysis.stats import difference, fixed_p, quantile, tail
from feedback.errors import BadInput
from tests.analysis import oracle_cases as cases
from tests.analysis.oracle_cases import Pair, needs_oracles
from tests.analysis.oracle_ledger import CHECKED, CHI2, CONFSEQ, ELSEWHERE, GBSTATS, OUT_OF_SCOPE, SSRM, TEA
from tests.analysis.upstream import EXACT, estimates, gbstats_difference, interval_and_p, same, tea_mean

pytestmark = needs_oracles


@pytest.mark.parametrize("file", sorted(cases.labels()))
def test_no_case_is_left_out_in_silence(file: str) -> None:
    """Each case of each file is checked here, named as checked elsewhere, or left out with a reason: exactly one of them."""
    tabled = [*OUT_OF_SCOPE.get(file, ()), *ELSEWHERE.get(file, ())]
    for label in cases.labels()[file]:
        named = [pattern for pattern in tabled if fnmatchcase(label, pattern)]
        assert len(named) + CHECKED.get(file, []).count(label) == 1, (label, named)
    for pattern in tabled:
        assert any(fnmatchcase(label, pattern) for label in cases.labels()[file]), f"{pattern} names no case of {file}"
    assert not set(CHECKED.get(file, ())) - set(cases.labels()[file])


def test_what_is_checked_elsewhere_is_there() -> None:
    """The tests that the table names exist."""
    root = Path(__file__).resolve().parents[2]
    for place in {place for table in ELSEWHERE.values() for place in table.values()}:
        path, name = place.split("::")
        assert f"def {name}(" in (root / path).read_text(encoding="utf-8"), place


@pytest.mark.parametrize("case", GBSTATS)
def test_gbstats(case: dict[str, Any]) -> None:
    """Difference, standard error, interval and p-value from the raw sums are gbstats' (gbstats_tests.json)."""
    config, expected = case["config"] or {}, case["expected"]
    pair = cases.gbstats_pair(case)
    kind = case["stats_pairs"][0][0]["_type"].removesuffix("Statistic")
    if expected["errorMessage"]:
        _refused(pair)
        return
    relative = config.get("difference_type", "relative") == "relative"
    diff = gbstats_difference(pair, kind, cases.gbstats_pair(case, raw=True), relative)
    interval, p = interval_and_p(case["method"], diff, sum(arm.k for arm in pair), config)
    assert (diff.value, diff.se) == pytest.approx((expected["expected"], expected["uplift"]["stddev"]), abs=EXACT)
    assert interval == pytest.approx([float(end) for end in expected["ci"]], abs=EXACT)
    halvings = (0.4999 - 1e-5) / 2**12 if case["method"].startswith("SequentialOneSided") else EXACT  # how gbstats finds it
    assert p == pytest.approx(expected["pValue"], abs=halvings)


def _refused(pair: Pair) -> None:
    """gbstats says ZERO_NEGATIVE_VARIANCE and p = 1: here an error with words, or p = NaN where nobody's outcome varies."""
    try:
        made = difference(*estimates(pair, 0.0))
    except BadInput:
        return
    assert made.se == 0
    assert math.isnan(fixed_p(made))


@pytest.mark.parametrize("case", TEA)
def test_tea_tasting(case: dict[str, Any]) -> None:
    """Estimates, intervals, p-values and power from aggregates are tea-tasting's (tea_tasting_metrics.json)."""
    params, expected = case["params"], case["expected"]
    if case["metric"] == "SampleRatio":
        counts = [int(case["data"][str(arm)]["count_"]) for arm in case["args"]]
        assert chi2_p(counts, [1, params["ratio"]]) == pytest.approx(expected["pvalue"], abs=EXACT)
    elif case["method"] == "analyze":
        control, challenger = (cases.tea_moments(case["data"][str(arm)], params) for arm in case["args"])
        same(tea_mean((control, challenger), params), expected)
    else:
        sample = cases.tea_moments(case["data"], params)
        made = adjusted([sample]).estimates[0]
        for result in expected:
            _planned(result, made.variance * made.users, params, case["args"][0])


def _planned(result: dict[str, Any], variance: float, params: dict[str, Any], asked: str) -> None:
    """Check one row of tea-tasting's power table against the plan for rule "fixed".

    A one-sided test at alpha is planned like a two-sided one at 2 alpha. Two-sided they count rejections on the wrong side
    too, which are taken off their power here. On the normal law the formulas are then one; under Student's t, which they
    integrate, the plan is short by some z^2/N, under 1 in 1,000 for thousands of users.
    """
    sided = params["alternative"] == "two-sided"
    alpha = params["alpha"] * (1 if sided else 2)
    wrong = tail(quantile(alpha / 2) + abs(result["effect_size"]) / math.sqrt(4 * variance / result["n_obs"])) if sided else 0.0
    power = result["power"] - wrong
    found = detectable(variance, result["n_obs"], alpha=alpha, power=power, rule="fixed")
    assert found == pytest.approx(abs(result["effect_size"]), rel=1e-3 if params["use_t"] else EXACT)
    if asked == "n_obs":
        needed = users_needed(variance, result["effect_size"], alpha=alpha, power=power, rule="fixed")
        assert needed == pytest.approx(result["n_obs"], rel=1e-3)


@pytest.mark.parametrize("case", CHI2)
def test_chi2(case: dict[str, Any]) -> None:
    """gbstats' p-values; where it counts a zero-weight arm in the degrees of freedom (.9876) the right one is .8747 (file's note)."""
    expected = 0.8746773813435417 if 0.0 in case["weights"] else case["p"]
    assert chi2_p(case["counts"], case["weights"]) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("case", SSRM)
def test_ssrm(case: dict[str, Any]) -> None:
    """ln BF of each of Optimizely's five steps (ssrm_multinomial.json).

    Their prior is Dirichlet(1, 1, 1), ours kappa times the null: the same under theta = 1/3 each and kappa = 3 alone, so
    ours is taken there and its null divided out; their null's likelihood is a product of the probabilities.
    """
    arms = [row.index(1) for row in case["data"]]
    ours = log_bayes_factors(arms, [1, 1, 1], kappa=3)
    assert ours + np.log(1 / 3) * np.arange(1, len(arms) + 1) == pytest.approx(case["log_marginal_M1"], abs=EXACT)
    theirs = np.cumsum(np.log(np.asarray(case["null_probabilities"]))[arms])
    assert theirs == pytest.approx(case["log_marginal_M0"], abs=EXACT)


@pytest.mark.parametrize("case", CONFSEQ)
def test_confseq(case: dict[str, Any]) -> None:
    """AsympCS is the two-sided normal mixture in units of the standard error: bound/sqrt(v), rho = 1/r (confseq's literals, 1e-5).

    One-sided, ours is the closed form that bounds the mixture from above (Waudby-Smith et al.): wider, by under 1 %.
    """
    args, expected = case["args"], case["expected"]
    if case["function"].endswith("best_rho"):
        assert 1 / tuning(args[1], args[0]) == pytest.approx(expected, abs=case["tol"])
    elif case["function"] == "normal_log_mixture":
        s, v, v_opt, alpha, _ = args
        rho = 1 / tuning(alpha, v_opt)
        assert s**2 / (2 * (v + rho)) - math.log(1 + v / rho) / 2 == pytest.approx(expected, abs=case["tol"])
        assert Rule("always_valid", v_opt, alpha).p(s / math.sqrt(v), v) == pytest.approx(min(1.0, math.exp(-expected)))
    elif case["args"][-1] is False:
        v, alpha, v_opt, alpha_opt, _ = args
        assert asymp_critical(v, alpha, tuning(alpha_opt, v_opt)) * math.sqrt(v) == pytest.approx(expected, abs=case["tol"])
    else:
        v, alpha, v_opt = args
        assert expected < one_sided_critical(v, alpha, v_opt) * math.sqrt(v) < 1.01 * expected
