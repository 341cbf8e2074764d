"""How often each analysis claims a difference that is not there, and how often it finds one that is: a Monte-Carlo of its own.

`python benchmarks/false_alarms.py --json docs/benchmarks/false_alarms.json`: 2,000 users of two arms by a fair coin, each with
a geometric number of predictions (mean 1, 5 or 20), corrected with a probability of the user's own (beta law, mean .30,
ICC .2), judged once at the end and at 40 looks. The rules judge as the page does: critical values from
analysis.sequential.Rule, from MIN_USERS users an arm on, jackknife variance and Student's t while an arm is small. The other
analyses are what is done elsewhere, and look from the first 50 users on. Then the fixed sample-ratio check on the tests of
the Upworthy archive, whose randomisation is known to have been faulty from 2013-06-25 to 2014-01-10.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from analysis import sample_ratio, stats
from analysis.notes import MIN_USERS
from analysis.sequential import Rule
from benchmarks.common import ROOT, arguments, table, write_json

USERS, EVERY, ALPHA = 2000, 50, 0.05
RATE, DROP, ICC = 0.30, 0.05, 0.2
MEANS = (1, 5, 20)
BATCH = 250
ENDS = np.arange(EVERY, USERS + 1, EVERY)  # (looks,): users in both arms
HORIZON, VALID = Rule("horizon", USERS, ALPHA), Rule("always_valid", USERS, ALPHA)
RULES = ("horizon rule", "AsympCS, N* = 2000")
FAULTY_WEEKS = (201325, 201401)  # year and week, first and last
LEVEL = 0.001


class Rates(NamedTuple):
    """Shares of the repetitions in which an analysis claimed a difference, each with its standard error."""

    one_look: float
    one_look_se: float
    forty_looks: float
    forty_looks_se: float
    repetitions: int


def simulated(rng: np.random.Generator, runs: int, mean: int, drop: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return who is a challenger's user, predictions and corrections: (runs, users) each. a + b of the beta law is 1/ICC - 1."""
    challenger = rng.random((runs, USERS)) < 0.5
    n = rng.geometric(1 / mean, (runs, USERS))
    rate = np.where(challenger, RATE - drop, RATE)
    weight = 1 / ICC - 1
    return challenger, n, rng.binomial(n, rng.beta(weight * rate, weight * (1 - rate)))


def claims(challenger: np.ndarray, n: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Return, by analysis, whether each look claims a difference: (runs, looks)."""
    arms = (~challenger, challenger)
    k, sn, sy, snn, syy, syn = (np.stack([_at_looks(mask * x) for mask in arms]) for x in (1, n, y, n * n, y * y, y * n))
    value = sy / sn  # (arms, runs, looks), like the sums
    delta = np.maximum(syy - 2 * value * syn + value**2 * snn, 0) / (k - 1) * k / sn**2  # analysis.stats.ratio
    gap = np.abs(value[1] - value[0])
    pooled = sy.sum(axis=0) / sn.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # nobody was corrected yet: NaN, which claims nothing
        by_event = gap / np.sqrt(pooled * (1 - pooled) * (1 / sn[0] + 1 / sn[1]))
        by_user = gap / np.sqrt(delta.sum(axis=0))
    once = stats.quantile(ALPHA / 2)
    found = {
        "per event, z": by_event > once,
        "per event, always-valid": by_event > _critical(VALID),
        "per user, delta z": by_user > once,
        "per user, Bayes, flat prior": by_user > stats.quantile(ALPHA),
    }
    t, df, small = _small_arms(arms, n, y, k, delta, gap)
    enough = (k >= MIN_USERS).all(axis=0)
    for name, rule in zip(RULES, (HORIZON, VALID), strict=True):
        critical = np.broadcast_to(_critical(rule), gap.shape)
        claimed = by_user >= critical
        claimed[small] = special.stdtr(df, -t) <= special.ndtr(-critical[small])  # as analysis.sequential.in_t
        found[name] = claimed & enough
    return found


def _at_looks(x: np.ndarray) -> np.ndarray:
    """Return the sums over the users so far at each look: (runs, users) to (runs, looks)."""
    return np.asarray(x.reshape(len(x), -1, EVERY).sum(axis=2).cumsum(axis=1).astype(float))


def _critical(rule: Rule) -> np.ndarray:
    return np.array([rule.critical(int(end)) for end in ENDS])


def _small_arms(
    arms: tuple[np.ndarray, np.ndarray], n: np.ndarray, y: np.ndarray, k: np.ndarray, delta: np.ndarray, gap: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the statistics and Welch's degrees of freedom of the looks at which an arm is small, and which looks these are.

    An arm's variance is the jackknife's while it has fewer than SMALL_ARM users (analysis.stats.jackknife).
    """
    small = (k.min(axis=0) >= MIN_USERS) & (k.min(axis=0) < stats.SMALL_ARM)  # (runs, looks)
    variance = delta.copy()
    for look in np.flatnonzero(small.any(axis=0)):
        end = ENDS[look]
        for arm, mask in enumerate(arms):
            inside, ns, ys, users = mask[:, :end], n[:, :end], y[:, :end], k[arm, :, look]
            rest = (inside * ns).sum(axis=1, keepdims=True) - ns
            with np.errstate(divide="ignore", invalid="ignore"):  # a run in which somebody holds all of an arm is not small
                left_out = np.where(inside, ((inside * ys).sum(axis=1, keepdims=True) - ys) / rest, 0.0)
                mean = (left_out.sum(axis=1) / users)[:, None]
            spread = np.where(inside, (left_out - mean) ** 2, 0.0).sum(axis=1)
            jackknife = small[:, look] & (users < stats.SMALL_ARM)
            variance[arm, jackknife, look] = ((users - 1) / users * spread)[jackknife]
    both = variance.sum(axis=0)[small]
    parts = (variance**2 / (k - 1)).sum(axis=0)[small]
    return gap[small] / np.sqrt(both), both**2 / parts, small


def repeated(repetitions: int, mean: int, drop: float, seed: int) -> dict[str, Rates]:
    """Return the rates of all analyses over simulated experiments, in batches of bounded memory."""
    rng = np.random.default_rng(seed)
    once: dict[str, int] = {}
    ever: dict[str, int] = {}
    for start in range(0, repetitions, BATCH):
        for name, claimed in claims(*simulated(rng, min(BATCH, repetitions - start), mean, drop)).items():
            once[name] = once.get(name, 0) + int(claimed[:, -1].sum())
            ever[name] = ever.get(name, 0) + int(claimed.any(axis=1).sum())
    return {name: Rates(*_rate(once[name], repetitions), *_rate(ever[name], repetitions), repetitions) for name in once}


def _rate(hits: int, trials: int) -> tuple[float, float]:
    share = hits / trials
    return share, math.sqrt(share * (1 - share) / trials)


def keeps_level(rates: Rates) -> bool:
    """Return whether the false alarms at 40 looks are at most alpha, give or take 3 standard errors."""
    return rates.forty_looks <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / rates.repetitions)


def archive(folder: Path) -> dict[str, Any]:
    """Return what the sample-ratio checks say of the archive's tests, inside and outside the faulty weeks.

    The arms of a test had equal shares; its impressions are counts without an order. So the sequential test can be asked about
    the end only: its Bayes factor there depends on the counts alone (the order given to it is arbitrary, and only the last
    value is read). Its running minimum, that is when it would have raised the alarm, cannot be known.
    """
    packages = pd.read_parquet(
        folder / "upworthy_exploratory.parquet", columns=["clickability_test_id", "impressions", "test_week"]
    )
    seen: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for counts, week in _tests(packages):
        shares = [1.0] * len(counts)
        evidence = sample_ratio.log_bayes_factors(np.repeat(np.arange(len(counts)), counts).tolist(), shares)
        at_end = min(1.0, math.exp(-evidence[-1])) if len(counts) > 1 and len(evidence) else 1.0
        seen[FAULTY_WEEKS[0] <= week <= FAULTY_WEEKS[1]].append((sample_ratio.chi2_p(counts, shares), at_end))
    figures: dict[str, Any] = {}
    for name, found in (("faulty", seen[True]), ("clean", seen[False])):
        fixed, at_end = np.array(found).T
        figures[f"srm_rate_{name}"] = float((fixed < LEVEL).mean())
        figures[f"srm_tests_{name}"] = len(found)
        figures[f"srm_sequential_at_end_{name}"] = float((at_end < sample_ratio.ALARM).mean())
        figures[f"srm_sequential_at_end_001_{name}"] = float((at_end < LEVEL).mean())
    return figures


def _tests(packages: pd.DataFrame) -> Iterator[tuple[list[int], int]]:
    for _, rows in packages.groupby("clickability_test_id"):
        yield [int(count) for count in rows["impressions"]], int(rows["test_week"].iloc[0])


def main() -> int:
    """Run the benchmark; print the tables, write the JSON. Return 1 where a rule that is offered errs too often."""
    parser = arguments(__doc__, default_preset="full")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "ab_upworthy")
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions: the same as --preset small")
    options = parser.parse_args()
    quick = options.quick or options.preset == "small"
    nulls, powers = (800, 400) if quick else (8000, 4000)
    begun = time.monotonic()
    null = {mean: repeated(nulls, mean, 0.0, seed=mean) for mean in MEANS}
    power = repeated(powers, 5, DROP, seed=100)
    figures = _figures(null, power)
    _print(null, power)
    print(f"{time.monotonic() - begun:.0f} s for {len(MEANS) * nulls + powers} experiments of {USERS} users")
    if options.data.is_dir():
        found = archive(options.data)
        figures |= found
        _print_archive(found)
    else:
        print(f"the sample ratio was not checked on real tests: {options.data.name} is not there")
    write_json(options.json, figures)
    return 0 if all(keeps_level(null[mean][name]) for mean in MEANS for name in RULES) else 1


def _figures(null: dict[int, dict[str, Rates]], power: dict[str, Rates]) -> dict[str, object]:
    horizon, valid = (max(null[mean][name].forty_looks for mean in MEANS) for name in RULES)
    return {
        "false_alarm_horizon": horizon,
        "false_alarm_asympcs": valid,
        "false_alarm_per_event": null[5]["per event, z"].forty_looks,
        "power_horizon": power[RULES[0]].forty_looks,
        "power_asympcs": power[RULES[1]].forty_looks,
        "power_fixed_horizon": power["per user, delta z"].one_look,
        "false_alarms": [
            {"analysis": name, "predictions_a_user": mean, **rates._asdict()}
            for mean in MEANS
            for name, rates in null[mean].items()
        ],
        "power": [
            {"analysis": name, "predictions_a_user": 5, "drop": DROP, **power[name]._asdict()}
            for name in ("per user, delta z", *RULES)
        ],
    }


def _print(null: dict[int, dict[str, Rates]], power: dict[str, Rates]) -> None:
    rows = []
    for mean in MEANS:
        for name, r in null[mean].items():
            judged = ("OK" if keeps_level(r) else "NOT") if name in RULES else ""
            rows.append([mean, name, r.one_look, r.forty_looks, f"{r.forty_looks_se:.4f}", r.repetitions, judged])
    print("false alarms: no true difference, alpha .05")
    print(table(["predictions a user", "analysis", "one look", "40 looks", "SE", "repetitions", f"<= {ALPHA} + 3 SE"], rows))
    print(f"power against a drop of {DROP} from {RATE}, 5 predictions a user")
    fixed = power["per user, delta z"]
    found = [["fixed horizon, one look", fixed.one_look, f"{fixed.one_look_se:.4f}", fixed.repetitions]]
    found += [
        [f"{name}, 40 looks", power[name].forty_looks, f"{power[name].forty_looks_se:.4f}", fixed.repetitions] for name in RULES
    ]
    print(table(["analysis", "power", "SE", "repetitions"], found))


def _print_archive(found: dict[str, Any]) -> None:
    print(
        "sample ratio on impressions of real tests, equal shares (impressions have no order: the sequential test at the end only)"
    )
    keys = ("srm_tests", "srm_rate", "srm_sequential_at_end", "srm_sequential_at_end_001")
    rows = [[name, *(found[f"{key}_{name}"] for key in keys)] for name in ("faulty", "clean")]
    print(table(["weeks", "tests", "chi2 p < .001", "sequential p < .05", "sequential p < .001"], rows))


if __name__ == "__main__":
    raise SystemExit(main())
