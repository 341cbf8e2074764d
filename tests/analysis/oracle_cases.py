"""The published numbers as this room's inputs: labels of every case, and upstream statistics as per-user sums. It asserts nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.cuped import Moments
from analysis.stats import Sums

ORACLES = Path(__file__).resolve().parents[3] / "shared" / "oracles" / "ab"
needs_oracles = pytest.mark.skipif(not ORACLES.is_dir(), reason=f"the published numbers are not at {ORACLES}")

Pair = tuple[Moments, Moments]
"""Control and challenger. Without a covariate x = m = 0, without a denominator n = 1."""


@cache
def read(name: str) -> Any:
    """Return one file of published numbers, or an empty one where they are absent."""
    if not ORACLES.is_dir():
        return {"cases": [], "specs": {}, "mc": {}, "mc2": {}, "mc3": {}, "mc4": {}}
    return json.loads((ORACLES / name).read_text(encoding="utf-8"))


def labels() -> dict[str, list[str]]:
    """Return the label of every case of every file, by file name; a file that is not known here has the label `?` alone."""
    found: dict[str, list[str]] = {}
    for path in sorted(ORACLES.glob("*.json")):
        maker = _LABELS.get(path.name)
        found[path.name] = maker(read(path.name)) if maker else ["?"]
    return found


def gbstats_label(number: int) -> str:
    """`12 TwoSidedTTest adjusted relative TestClass::test` of the case with that number in gbstats_tests.json."""
    case = read("gbstats_tests.json")["cases"][number]
    config = case["config"] or {}
    marks = [config.get("difference_type", "relative")]
    if config.get("post_stratify"):
        marks.append("strata")
    if case["expected"].get("errorMessage"):
        marks.append("refused")
    kind = case["stats_pairs"][0][0]["_type"].removesuffix("Statistic")
    return f"{number} {case['method']} {kind} {' '.join(marks)} {case['upstream_test'].split('::', 1)[1]}"


def tea_label(number: int) -> str:
    """`12 Proportion.analyze fisher test_name` of the case with that number in tea_tasting_metrics.json."""
    case = read("tea_tasting_metrics.json")["cases"][number]
    method = str(case["params"].get("method", "-"))
    return f"{number} {case['metric']}.{case['method']} {method} {case['upstream_test'].split('::')[1]}"


def confseq_label(number: int) -> str:
    """`12 function(arguments)` of the case with that number in confseq_boundaries.json."""
    case = read("confseq_boundaries.json")["cases"][number]
    return f"{number} {case['function']}({', '.join(str(argument) for argument in case['args'])})"


def is_plain_run(case: Sequence[Any]) -> bool:
    """Return whether a whole run of GrowthBook's is one that tests/feedback/test_assign.py runs (its own rule)."""
    _, context, experiment, _, in_experiment, hash_used = case
    plain = set(experiment) <= {"key", "variations", "weights", "coverage"} and set(context) == {"attributes"}
    return bool(plain and hash_used and in_experiment)


def _bucketing(file: Any) -> list[str]:
    found = []
    for section, cases in file.items():
        for number, case in enumerate(cases if isinstance(cases, list) else ()):
            name = ("run-plain" if is_plain_run(case) else "run-other") if section == "run" else section
            found.append(f"{name} {number}")
    return found


def _nested(file: Any) -> list[str]:
    """`a/b/c` for two levels of names and, where the third is a dict of dicts, for that one too."""
    found = []
    for outer, scenarios in file.items():
        for name, rules in scenarios.items() if isinstance(scenarios, dict) else ():
            deep = isinstance(rules, dict) and all(isinstance(rule, dict) for rule in rules.values())
            found += [f"{outer}/{name}/{rule}" for rule in rules] if deep else [f"{outer}/{name}"]
    return found


_LABELS: dict[str, Any] = {
    "gbstats_tests.json": lambda file: [gbstats_label(number) for number in range(len(file["cases"]))],
    "tea_tasting_metrics.json": lambda file: [tea_label(number) for number in range(len(file["cases"]))],
    "confseq_boundaries.json": lambda file: [confseq_label(number) for number in range(len(file["cases"]))],
    "ssrm_multinomial.json": lambda file: [str(number) for number in range(len(file["cases"]))],
    "srm_chi2.json": lambda file: [str(number) for number in range(len(file["cases"]))],
    "spotify_gst_bounds.json": lambda file: [f"{n} {case['upstream_test']}" for n, case in enumerate(file["cases"])],
    "growthbook_bucketing.json": _bucketing,
    "unleash_variants.json": lambda file: [
        f"{spec}/{kind}/{number}"
        for spec, content in file["specs"].items()
        for kind in ("tests", "variantTests")
        for number in range(len(content.get(kind, ())))
    ],
    "cross_oracle.json": _nested,
    "mc_benchmark.json": _nested,
}


def gbstats_pair(case: dict[str, Any], *, raw: bool = False) -> Pair:
    """Return both arms of a gbstats case, its strata thrown together (what gbstats does without post-stratification).

    gbstats divides the spread of a 0/1 outcome by n, ours by n - 1 like that of any mean: unless `raw`, the spread of
    such an outcome is shrunk by (n - 1)/n, so that ours comes out as theirs.
    """
    arms = [[_gbstats_moments(pair[side], raw) for pair in case["stats_pairs"]] for side in (0, 1)]
    control, challenger = (together(strata) for strata in arms)
    return control, challenger


def together(arms: Sequence[Moments]) -> Moments:
    """Return the sums of all the arms' users as of one arm."""
    return Moments(*(sum(column) for column in zip(*arms, strict=True)))


def outcome(arm: Moments) -> Sums:
    """Return the six sums of the outcome."""
    return Sums(arm.k, arm.sy, arm.sn, arm.syy, arm.snn, arm.syn)


def _gbstats_moments(arm: dict[str, Any], raw: bool) -> Moments:
    kind, k = arm["_type"], arm["n"]
    if kind == "RegressionAdjustedRatioStatistic":
        parts = [arm[f"{part}_statistic_{when}"] for when in ("post", "pre") for part in "md"]  # y, n, x, m
        products = ("m_post_d_post", "m_post_m_pre", "m_post_d_pre", "m_pre_d_post", "d_post_d_pre", "m_pre_d_pre")
        return Moments(
            k,
            *(part["sum"] for part in parts),
            *(part["sum_squares"] for part in parts),
            *(arm[f"{product}_sum_of_products"] for product in products),
        )
    if kind == "RegressionAdjustedStatistic":
        y, x, product = arm["post_statistic"], arm["pre_statistic"], arm["post_pre_sum_of_products"]
        sy, sx = y["sum"], x["sum"]
        syx = product if raw or y["_type"] != "ProportionStatistic" else _shrunk(k, product, sy, sx)
        return Moments(k, sy, k, sx, k, _squares(y, raw), k, _squares(x, raw), k, sy, syx, sy, sx, k, sx)
    if kind == "RatioStatistic":
        above, below = arm["m_statistic"], arm["d_statistic"]
        squares = (above["sum_squares"], below["sum_squares"])
        return Moments(k, above["sum"], below["sum"], 0, 0, *squares, 0, 0, arm["m_d_sum_of_products"], 0, 0, 0, 0, 0)
    return Moments(k, arm["sum"], k, 0, 0, _squares(arm, raw), k, 0, 0, arm["sum"], 0, 0, 0, 0, 0)


def _squares(arm: dict[str, Any], raw: bool) -> float:
    if "sum_squares" in arm:
        return float(arm["sum_squares"])
    return float(arm["sum"]) if raw else _shrunk(arm["n"], arm["sum"], arm["sum"], arm["sum"])


def _shrunk(k: int, product: float, one: float, other: float) -> float:
    """Return the sum of products whose spread is (k - 1)/k of the given one's."""
    return one * other / k + (product - one * other / k) * (k - 1) / k if k else 0.0


def tea_moments(aggregates: dict[str, Any], params: dict[str, Any]) -> Moments:
    """Return the raw sums of tea-tasting's means, variances and covariances (ddof 1) for the columns a metric names."""
    k = int(aggregates["count_"])
    columns = [params["numer"], params["denom"], params.get("numer_covariate"), params.get("denom_covariate")]
    absent: list[float] = [1.0, 1.0, 0.0, 1.0 if columns[2] else 0.0]  # what stands for a column that is not named
    means = [aggregates["mean_"][c] if c else absent[i] for i, c in enumerate(columns)]

    def product(i: int, j: int) -> float:
        one, other = columns[i], columns[j]
        spread = 0.0
        if one and other:
            spread = aggregates["var_"][one] if one == other else aggregates["cov_"][str(tuple(sorted((one, other))))]
        return float(spread * (k - 1) + k * means[i] * means[j])

    pairs = [(0, 0), (1, 1), (2, 2), (3, 3), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    return Moments(k, *(k * mean for mean in means), *(product(i, j) for i, j in pairs))


def moments_of(y: Any, n: Any, x: Any, m: Any) -> Moments:
    """Return the sums of per-user rows, each an array (users,)."""
    pairs = [(y, y), (n, n), (x, x), (m, m), (y, n), (y, x), (y, m), (n, x), (n, m), (x, m)]
    return Moments(len(y), *(float(a.sum()) for a in (y, n, x, m)), *(float(a @ b) for a, b in pairs))


@cache
def log_rows() -> tuple[np.ndarray, np.ndarray]:
    """Return cross_oracle_log.csv by user, control and challenger: (users, 4) with corrections, events, and both before."""
    users: dict[tuple[str, str], list[float]] = {}
    with (ORACLES / "cross_oracle_log.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = users.setdefault(
                (row["variant"], row["user"]), [0.0, 0.0, float(row["pre_corrected"]), float(row["pre_events"])]
            )
            cell[0] += float(row["corrected"])
            cell[1] += 1
    control, challenger = (np.array([cell for (variant, _), cell in users.items() if variant == arm]) for arm in "01")
    return control, challenger
