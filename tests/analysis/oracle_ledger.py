"""Where each published case is checked, or why it is not. Only tables: test_oracles.py sees that no case is missing."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.analysis import oracle_cases as cases

OUT_OF_SCOPE = {
    "gbstats_tests.json": {
        "* EffectBayesianABTest *": "Bayesian: no Bayesian rule is offered (it errs under peeking, shared analysis.md)",
        "* strata *": "post-stratification is not offered",
    },
    "tea_tasting_metrics.json": {
        "* MannWhitneyU.*": "a rank test of users' values: metrics are ratios of sums",
        "* Proportion.*": "2x2 tests of one row a user, most with pooled variance or a continuity correction: a user has "
        "several predictions, so a rate is a ratio metric with Welch's test",
        "* SampleRatio.analyze binom *": "exact binomial: the chi-square and the sequential test are offered",
        "* SampleRatio.analyze norm test_sample_ratio_analyze_norm_corr": "continuity correction: not offered",
        "* Bootstrap.*": "a bootstrap of one seed: the jackknife is offered for small arms",
        "* Quantile.*": "quantiles are no metric here",
    },
    "confseq_boundaries.json": {
        "* normal_log_mixture(10, 100, 100)": "the one-sided mixture's value: only its closed-form bound is offered",
        "* gamma_*": "boundary family that is not offered",
        "* beta_binomial_*": "boundary family that is not offered",
        "* poly_stitching_bound*": "boundary family that is not offered",
        "* empirical_process_lil_bound*": "boundary family that is not offered",
        "* double_stitching_bound*": "boundary family that is not offered",
        "* get_ab_p_value*": "a sequential test of independent events: users are the unit, events are clustered",
        "* bernoulli_confidence_interval*": "a confidence sequence of independent events: events are clustered",
    },
    "spotify_gst_bounds.json": {"*": "group-sequential alpha spending: looks are not planned here, the horizon rule bounds all"},
    "unleash_variants.json": {"*": "assignment is GrowthBook's hash, not Unleash's"},
    "growthbook_bucketing.json": {
        "inNamespace *": "mutually exclusive experiments: one experiment runs at a time",
        "run-other *": "targeting, forced variations, overrides and hash attributes of their client: not offered",
        "stickyBucket *": "a pure hash needs no memory of buckets",
    },
    "cross_oracle.json": {
        "agreement/r*": "differences between two other tools; ratio_cuped's is explained in test_oracle_log.py",
        "agreement/cuped": "differences between two other tools",
        "agreement/cluster_experiments*": "differences between two other tools",
        "agreement/own_vs*": "the very numbers are compared under their own names",
        "agreement/pandas*": "both backends' numbers are compared under their own names",
        "*version*": "no numbers",
        "tea_tasting/ibis_ok": "no numbers",
        "*statsmodels_naive_event_ols": "events as if independent: the mistake this room avoids",
        "*statsmodels_gee*": "an odds ratio from a working correlation: another estimand",
        "tea_tasting/*/srm": "exact binomial: the chi-square and the sequential test are offered",
    },
    "mc_benchmark.json": {
        "mc/*/event *": "per-event rules: the control that must fail (test_sequential.py has its z test)",
        "mc/*/user Bayes*": "Bayesian: no Bayesian rule is offered",
        "mc/*/user-rate Welch t": "the mean of users' own rates under peeking: not the metric (its level at one look: mc4)",
        "mc/*/AsympCS event-level*": "the wrong unit: a control",
        "mc/*/Bonferroni*": "a correction for a known number of looks is not offered",
        "mc/*/betting*": "exact betting e-process: not offered",
        "mc2/*/chi2 p<.05": "no alarm at that level is offered: chi-square is shown beside, the sequential test alarms",
        "mc2/longitudinal_null": "how users come back in it was not recorded",
        "mc2/inflation*/betting*": "exact betting e-process: not offered",
        "mc2/inflation*/AsympCS N[*]=500": "tuned for far fewer users than the plan says: its factor is not theirs (1.85)",
        "mc2/inflation*/AsympCS N[*]=1000": "tuned for far fewer users than the plan says: its factor is not theirs (1.80)",
        "mc2/bandit": "no adaptive shares are offered",
        "mc2/family": "the correlation of its metrics was not recorded; Holm is checked by hand in test_stats.py",
        "mc3/*": "e-process and adaptive shares: not offered",
    },
}

ELSEWHERE = {
    "growthbook_bucketing.json": {
        "hash *": "tests/feedback/test_assign.py::test_hashes_equal_the_published_ones",
        "getBucketRange *": "tests/feedback/test_assign.py::test_ranges_equal_the_published_ones",
        "chooseVariation *": "tests/feedback/test_assign.py::test_choices_equal_the_published_ones",
        "getEqualWeights *": "tests/feedback/test_assign.py::test_equal_weights_equal_the_published_ones",
        "run-plain *": "tests/feedback/test_assign.py::test_whole_runs_equal_the_published_ones",
    },
    "mc_benchmark.json": {
        "mc/*/user delta-method z": "tests/analysis/test_simulated.py::test_rules_under_peeking",
        "mc/*/AsympCS delta *": "tests/analysis/test_simulated.py::test_rules_under_peeking",
        "mc/*/contOBF delta *": "tests/analysis/test_simulated.py::test_rules_under_peeking",
        "mc2/srm_*/seq *": "tests/analysis/test_simulated.py::test_sample_ratio_under_peeking",
        "mc2/srm_*/chi2 p<0.001": "tests/analysis/test_simulated.py::test_sample_ratio_under_peeking",
        "mc2/inflation*/fixed": "tests/analysis/test_planning.py::test_users_needed_are_the_measured_ones",
        "mc2/inflation*/contOBF Nmax=*": "tests/analysis/test_planning.py::test_planned_end_of_the_horizon_rule",
        "mc2/inflation*/AsympCS N[*]=[24]000": "tests/analysis/test_planning.py::test_users_needed_are_the_measured_ones",
        "mc2/cuped": "tests/analysis/test_cuped.py::test_adjusted_difference_is_unbiased_and_its_variance_right",
        "mc4/*": "tests/analysis/test_simulated.py::test_small_arms_keep_the_published_level",
    },
}


def chosen(file: str, label_of: Callable[[int], str]) -> list[Any]:
    """Return as parameters the numbered cases of a file that no line of the two tables names."""
    tabled = [*OUT_OF_SCOPE.get(file, ()), *ELSEWHERE.get(file, ())]
    labels = [label_of(number) for number in range(len(cases.read(file)["cases"]))]
    return [
        pytest.param(cases.read(file)["cases"][number], id=label)
        for number, label in enumerate(labels)
        if not any(fnmatchcase(label, pattern) for pattern in tabled)
    ]


GBSTATS = chosen("gbstats_tests.json", cases.gbstats_label)
TEA = chosen("tea_tasting_metrics.json", cases.tea_label)
CONFSEQ = chosen("confseq_boundaries.json", cases.confseq_label)
CHI2 = chosen("srm_chi2.json", str)
SSRM = chosen("ssrm_multinomial.json", str)
LOG_RULES = ("ttest", "asympcs_N2000", "asympcs_N400")
LOG_GBSTATS = [
    f"gbstats_and_others/gbstats_HEAD/{metric}/{kind}/{rule}"
    for metric in ("ratio", "rate", "cuped", "ratio_cuped")
    for kind in ("absolute", "relative")
    for rule in LOG_RULES
]
LOG_TEA = [
    f"tea_tasting/{backend}/{metric}"
    for backend in ("duckdb_relation", "pandas")
    for metric in ("ratio", "ratio_norm", "rate", "cuped", "ratio_cuped")
]
LOG_OTHERS = [
    f"gbstats_and_others/{name}"
    for name in (
        "srm",
        "gbstats_srm_cases",
        "statsmodels_cluster_ols_correction_True",
        "statsmodels_cluster_ols_correction_False",
        "cluster_experiments_clustered_ols",
        "cluster_experiments_delta",
        "spotify_ztest_user_rate",
        "spotify_ttest_user_rate",
        "own_closed_form",
    )
]
CHECKED = {
    "gbstats_tests.json": [param.id for param in GBSTATS],
    "tea_tasting_metrics.json": [param.id for param in TEA],
    "confseq_boundaries.json": [param.id for param in CONFSEQ],
    "srm_chi2.json": [param.id for param in CHI2],
    "ssrm_multinomial.json": [param.id for param in SSRM],
    "cross_oracle.json": LOG_GBSTATS + LOG_TEA + LOG_OTHERS,
}
