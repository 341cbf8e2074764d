"""The published Monte-Carlo figures again, with this room's own functions: levels and power under peeking and in small arms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.sample_ratio import chi2_p, log_bayes_factors
from analysis.sequential import Rule
from analysis.stats import Estimate, difference, fixed_p, jackknife, ratio, sums_of
from feedback.errors import BadInput
from tests.analysis.oracle_cases import needs_oracles, read
from tests.analysis.simulation import tolerance, users, z_at_looks

pytestmark = needs_oracles
SCENARIOS: dict[str, tuple[int, dict[str, Any]]] = {
    # name: (published runs, how the log differs from 2,000 users, a look every 50, mean 5, ICC .2, no effect); the
    # numbers are those of the shared measurement's script, false_alarms.py
    "null_main": (8000, {}),
    "null_start100_conc20": (8000, {"first": 100, "spread": 20}),
    "null_heavy": (8000, {"mean": 20}),
    "null_oneev": (8000, {"mean": 1.0000001}),
    "null_every5": (4000, {"first": 50, "every": 5}),
    "power-0.03": (4000, {"effect": -0.03}),
    "power-0.05": (4000, {"effect": -0.05}),
    "power-0.08": (4000, {"effect": -0.08}),
}
RULES: dict[str, Rule] = {
    **{f"AsympCS delta N*={n_star}": Rule("always_valid", n_star, 0.05) for n_star in (500, 2000, 5000)},
    "contOBF delta z.25/sqrt(t)": Rule("horizon", 2000, 0.05),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_rules_under_peeking(name: str) -> None:
    """Each rule stops as often, at any look and at the last, as mc_benchmark.json says: 4 standard errors of both simulations.

    Their runs are 8,000 or 4,000 (the denominators of the shares in the file), ours 500; 48 rules and users times two.
    """
    published_runs, settings = SCENARIOS[name]
    expected, runs = read("mc_benchmark.json")["mc"][name], 500
    looks = z_at_looks(np.random.default_rng(20261124), runs, 2000, **{"every": 50, **settings})
    bounds = {rule: np.array([RULES[rule].critical(int(n)) for n in looks.at]) for rule in RULES}
    bounds["user delta-method z"] = np.full(len(looks.at), 1.959964)  # normal table
    for rule, bound in bounds.items():
        stopped = looks.by_user > bound  # (runs, looks)
        measured = {"ever": stopped.any(axis=1).mean(), "last": stopped[:, -1].mean()}
        for when, share in measured.items():
            published = expected[rule][when]
            assert abs(share - published) < tolerance(published, runs, published_runs), (rule, when, share, published)


@pytest.mark.parametrize("spread", ["null_every_user", "null_every50", "true0.45_every50", "true0.47_every50", "true0.4_every50"])
def test_sample_ratio_under_peeking(spread: str) -> None:
    """Sequential multinomial test and chi-square alarm as often as mc_benchmark.json says, for three kappas and two levels.

    4 standard errors of 300 runs of ours and of 2,000 of theirs (the shares' denominators). Chi-square watched at every
    user is not recomputed: it is compared at the end only.
    """
    expected, runs, most = read("mc_benchmark.json")["mc2"][f"srm_{spread}"], 300, 2000
    share = float(spread.partition("true")[2].partition("_")[0] or 0.5)
    at = np.arange(most) if "every_user" in spread else np.arange(49, most, 50)
    arms = (np.random.default_rng(7).random((runs, most)) < share).astype(int)
    for kappa in (2, 100, 1000):
        factors = np.array([log_bayes_factors(list(row), [0.5, 0.5], kappa)[at] for row in arms])  # (runs, looks)
        for level in (0.05, 0.001):
            alarms = factors > -np.log(level)
            published = expected[f"seq multinomial kappa={kappa} alpha={level}"]
            for when, measured in (("ever", alarms.any(axis=1).mean()), ("at_end", alarms[:, -1].mean())):
                assert abs(measured - published[when]) < tolerance(published[when], runs, 2000), (kappa, level, when)
    seen = np.cumsum(arms, axis=1)[:, at if "every50" in spread else at[-1:]]  # (runs, looks)
    counted = np.array([[chi2_p([int(n + 1 - one), int(one)], [0.5, 0.5]) for n, one in zip(at[-len(row):], row, strict=True)]
                        for row in seen]) < 0.001  # fmt: skip
    published = expected["chi2 p<0.001"]
    assert abs(counted[:, -1].mean() - published["at_end"]) < tolerance(published["at_end"], runs, 2000)
    if "every50" in spread:
        assert abs(counted.any(axis=1).mean() - published["ever"]) < tolerance(published["ever"], runs, 2000)


def _levels(mean: int, most: int, runs: int) -> dict[str, float]:
    """Return how often each test of one look errs, for `most` users whom a coin sends to two arms without a difference."""
    rng = np.random.default_rng(20261124)
    y, n = users(rng, (runs, most), mean=mean)
    coin = rng.integers(0, 2, (runs, most)).astype(bool)
    errors: dict[str, list[bool]] = {}
    for number in range(runs):
        made: dict[str, list[Estimate]] = {"delta": [], "jackknife": [], "rate": []}
        try:
            for arm in (coin[number], ~coin[number]):
                ys, ns = y[number, arm], n[number, arm]
                made["delta"].append(ratio(sums_of(list(ys), list(ns))))
                made["jackknife"].append(jackknife(list(ys), list(ns)))
                made["rate"].append(ratio(sums_of(list(ys / ns), [1.0] * len(ns))))
        except BadInput:  # an arm of nobody or of one user
            continue
        for test, kind, welch in (
            ("delta_z", "delta", False),
            ("delta_welch_t", "delta", True),
            ("jackknife_z", "jackknife", False),
            ("jackknife_t", "jackknife", True),
            ("user_rate_welch_t", "rate", True),
        ):
            errors.setdefault(test, []).append(fixed_p(difference(made[kind][0], made[kind][1], welch=welch)) < 0.05)
    return {test: float(np.mean(wrong)) for test, wrong in errors.items()}


@pytest.mark.parametrize("most", [20, 30, 50, 100, 200])
@pytest.mark.parametrize("mean", [5, 20])
def test_small_arms_keep_the_published_level(mean: int, most: int) -> None:
    """Delta method and jackknife, normal and Welch, err as often as mc_benchmark.json (mc4) says, and the choice made is best.

    4 standard errors of 1,000 runs of ours and 20,000 of theirs (the shares' denominators). That the jackknife with Welch's
    t errs less than the delta method with the normal law is the reason for it in small arms.
    """
    expected, runs = read("mc_benchmark.json")["mc4"][f"ev{mean} n{most}"], 1000
    measured = _levels(mean, most, runs)
    for test, published in expected.items():
        assert abs(measured[test] - published) < tolerance(published, runs, 20_000), (test, measured[test], published)
    assert measured["jackknife_t"] <= measured["delta_z"]
