"""How many users, how many days, how small a difference: answered before an experiment, from the log's own history.

All on the normal law and a variance that the arms share. It judges no experiment; stats.py and sequential.py do.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

from analysis.stats import Sums, quantile, ratio
from feedback.errors import BadInput

PlannedRule = Literal["fixed", "horizon", "always_valid"]

FACTORS: dict[PlannedRule, float] = {"fixed": 1.0, "horizon": 1.11, "always_valid": 1.7}
"""Users that a rule needs for 80 % power, against one look at the end (shared measurement, mc_benchmark.json,
inflation_eff-0.035: 2,700 fixed, 3,000 horizon, 4,600 AsympCS). They hold near that power; far below it always_valid is
dearer than its factor (power-0.03: 26 % of runs found the difference, where this factor promises 35 %)."""


class Plan(NamedTuple):
    """What it takes. `users` in all arms; `days` at `per_day` new users a day, infinite where nobody comes.

    `detectable` is the smallest absolute difference (metric unit) that these users find with probability `power`.
    """

    users: int
    days: float
    detectable: float
    per_day: float
    power: float
    alpha: float


def linear_variance(sums: Sums) -> float:
    """Return the variance a user of the linearised ratio, in the metric's unit squared: Var R = it / k.

    Deng, Knoblich, Lu, KDD 2018; raises BadInput like `stats.ratio`.
    """
    return ratio(sums).variance * sums.k


def users_needed(
    variance: float,
    difference: float,
    *,
    alpha: float,
    power: float = 0.8,
    rule: PlannedRule = "fixed",
    shares: tuple[float, float] = (0.5, 0.5),
) -> int:
    """Return the users in ALL arms that find an absolute `difference` with probability `power`, two-sided at `alpha`.

    N = s2 (1/q0 + 1/q1) (z(1-a/2) + z(1-b))^2 / d^2 times the rule's factor, s2 the variance a user and q the shares of
    control and challenger; with halves it is 2 s2 (...)^2 / d^2 an arm (Chow, Shao, Wang, Sample Size Calculations in
    Clinical Research, section 3.2). Under "horizon" it is the number to declare as the end. Shares that add up to less
    than 1 leave the rest to other arms, who are counted. Raises BadInput, with the rule, for what makes no plan.
    """
    if difference == 0 or not math.isfinite(difference):
        raise BadInput(f"difference {difference:g}: no number of users finds it; it must be a finite number other than 0")
    needed = _scale(variance, alpha, power, rule, shares) / difference**2
    if not needed < 2**53:
        raise BadInput(f"difference {difference:g}: too small to plan for, it takes more users than can be counted")
    return math.ceil(needed)


def detectable(
    variance: float,
    users: int,
    *,
    alpha: float,
    power: float = 0.8,
    rule: PlannedRule = "fixed",
    shares: tuple[float, float] = (0.5, 0.5),
) -> float:
    """Return the smallest absolute difference that `users` in all arms find with that power: `users_needed` the other way."""
    if users < 1:
        raise BadInput(f"{users} users: a plan needs at least 1")
    return math.sqrt(_scale(variance, alpha, power, rule, shares) / users)


def days_needed(users: int, arrived_per_day: float) -> float:
    """Return how many days `users` take to come at `arrived_per_day` new users a day; infinite where nobody comes."""
    if users < 0 or not 0 <= arrived_per_day < math.inf:
        raise BadInput(f"{users} users at {arrived_per_day:g} a day: neither may be below 0, nor the rate be infinite")
    if users == 0:
        return 0.0
    return users / arrived_per_day if arrived_per_day > 0 else math.inf


def plan(
    variance: float,
    per_day: float,
    *,
    alpha: float,
    difference: float | None = None,
    users: int | None = None,
    power: float = 0.8,
    rule: PlannedRule = "fixed",
    shares: tuple[float, float] = (0.5, 0.5),
) -> Plan:
    """Return the plan that finds `difference`, or that a declared number of `users` makes: give one of the two.

    `variance` a user as from `linear_variance`, `per_day` new users a day in all arms. Raises BadInput for both or
    neither, and like `users_needed`.
    """
    if users is None and difference is not None:
        users = users_needed(variance, difference, alpha=alpha, power=power, rule=rule, shares=shares)
    elif users is None or difference is not None:
        raise BadInput(f"difference {difference}, users {users}: a plan is made from one of the two, not from both or neither")
    found = detectable(variance, users, alpha=alpha, power=power, rule=rule, shares=shares)
    return Plan(users, days_needed(users, per_day), found, per_day, power, alpha)


def icc(sums: Sums) -> float:
    """Return the intraclass correlation of a 0/1 outcome: y_i times yes among the n_i predictions of user i.

    Pearson's pairwise estimator (Karlin, Cameron, Williams, PNAS 1981; compared by Ridout, Demetrio, Firth, Biometrics
    1999), around the overall rate R: [Syy - 2R Syn + R^2 Snn - Sn R(1-R)] / [R(1-R) (Snn - Sn)]. The six sums are all it
    needs, where the ANOVA estimator needs the sum of y_i^2/n_i beside them. At most 1; below 0 where users agree less
    than chance. Raises BadInput where the outcome is no 0/1 one, never varies, or nobody has two predictions.
    """
    rate = ratio(sums).value
    if not 0 < rate < 1:
        raise BadInput(f"a rate of {rate:g}: an intraclass correlation needs a 0/1 outcome that is not always the same")
    pairs = sums.snn - sums.sn
    if not pairs > 0:
        raise BadInput("no user made two predictions: an intraclass correlation needs pairs")
    binomial = rate * (1 - rate)
    squares = linear_variance(sums) * (sums.k - 1) * (sums.sn / sums.k) ** 2  # sum of (y_i - R n_i)^2
    return (squares - sums.sn * binomial) / (binomial * pairs)


def design_effect(sums: Sums, correlation: float) -> float:
    """Return 1 + (E[n^2]/E[n] - 1) ICC: the variance of a rate against that of as many independent predictions.

    Uses Sn and Snn alone (Donner, Birkett, Buck, Am. J. Epidemiology 1981). `correlation` is in -1..1, from `icc` or assumed.
    """
    if not -1 <= correlation <= 1:
        raise BadInput(f"an intraclass correlation of {correlation:g}: it must be in -1..1")
    if not sums.sn > 0:
        raise BadInput(f"the denominator of the arm is {sums.sn:g}: a design effect needs one above 0")
    return 1 + (sums.snn / sums.sn - 1) * correlation


def _scale(variance: float, alpha: float, power: float, rule: PlannedRule, shares: tuple[float, float]) -> float:
    """Return N d^2, which users and difference share; the one place where a plan's settings are checked."""
    if not 0 < variance < math.inf:
        raise BadInput(f"variance {variance:g}: a plan needs a finite one above 0")
    if not 0 < alpha < 0.5:
        raise BadInput(f"alpha {alpha:g}: must be above 0 and below 0.5")
    if not 0 < power < 1:
        raise BadInput(f"power {power:g}: must be above 0 and below 1")
    if rule not in FACTORS:
        raise BadInput(f"unknown rule {rule!r}: available are {', '.join(get_args(PlannedRule))}")
    if not (all(share > 0 for share in shares) and sum(shares) <= 1 + 1e-9):
        raise BadInput(f"shares {tuple(shares)}: control's and challenger's must be above 0 and at most 1 together")
    both = quantile(alpha / 2) + quantile(1 - power)
    if not both > 0:
        raise BadInput(f"power {power:g} at alpha {alpha:g}: a test has at least half of alpha as power without any difference")
    return variance * (1 / shares[0] + 1 / shares[1]) * both**2 * FACTORS[rule]
