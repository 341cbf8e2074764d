"""Whether a rate has jumped: a sequential test of yes-or-no observations against their own past. It knows no store and no names.

Each observation multiplies a bet that the rate is above its baseline: 1 + b (x - p), b = (q - p) / (p (1 - p)), which is the
likelihood ratio of q against p and a fair bet or worse wherever the rate is at most p (Waudby-Smith and Ramdas, JRSS B 2024).
CUSUM over it, M = max(M, 1) times the bet, is an e-detector: while the rate stays at most p, an alarm at M >= A comes after A
observations or more on average, at whatever moments one looks (Shin, Ramdas and Rinaldo, NEJSDS 2024, doi 10.51387/23-NEJSDS51);
so does the mean over several q. Here p is the upper Clopper-Pearson bound of the baseline with its odds raised by a tolerated
factor, known before the observation comes; the promise holds as far as that bound (95 %) does.

Own simulation with a steady rate, 10 observations a day, 1,000 years each (tests/feedback/test_alarms.py runs a shortened one): a
false alarm within a year has 0.4 % (rate .1), 0.3 % (.3), 0.3 % (.6); with 2 a day 0.5 % (.3); with 100 a day none of 100 years (.2).
After a jump on day 70, watched for 40 days, 10 a day (200 to 400 runs), the alarm came in the median after .1 -> 1: 6
observations, .1 -> .5: 19, .1 -> .3: 97 (8 % not within 400), .3 -> 1: 11, .3 -> .6: 74; .1 -> .2 is mostly (94 %) not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal, NamedTuple

from scipy import special

from feedback.errors import BadInput


@dataclass(frozen=True, slots=True)
class JumpRule:
    """What is compared, and how rarely it may be wrong.

    The baseline of an observation is what came in the `memory` days before the `recent` days before its own day: a jump does not
    become its own baseline within a week. False alarms come no sooner than every `between` observations on average, and where
    there are many observations, no sooner than every `between_days`.
    """

    recent: float = 7.0  # days
    memory: float = 56.0  # days
    needed: int = 30  # observations in the baseline, below which nothing is said
    between: float = 1000.0  # observations
    between_days: float = 365.0  # at the baseline's own pace
    tolerated: float = 1.25  # the odds may rise by this factor and it is no jump
    odds: tuple[float, ...] = (2.0, 4.0, 8.0)  # bets on the odds being this many times the baseline's
    level: float = 0.05  # one-sided, of the baseline's upper bound

    def __post_init__(self) -> None:
        if (
            not (self.recent > 0 and self.memory > 0 and self.needed >= 1 and self.between > 1 and 0 < self.level < 0.5)
            or self.tolerated < 1
        ):
            raise BadInput(
                f"{self}: days above 0, at least 1 observation, between above 1, level within 0 and 0.5, tolerated 1 or more"
            )
        if not self.odds or min(self.odds) <= 1:
            raise BadInput(f"odds {self.odds!r}: at least one, each above 1")


class Observation(NamedTuple):
    """One yes (True) or no at a moment (naive UTC)."""

    created: datetime
    yes: bool


class Rate(NamedTuple):
    """How many of `of` observations were yes."""

    yes: int
    of: int

    @property
    def share(self) -> float:
        """Return the share of yes, 0..1; 0 where nothing was observed."""
        return self.yes / self.of if self.of else 0.0


class Jump(NamedTuple):
    """What the test says now. `learning`: too little baseline yet; `steady`; `jumped`, since `raised`, for good."""

    state: Literal["learning", "steady", "jumped"]
    recent: Rate  # of the last `recent` days up to the end, or up to the alarm
    before: Rate  # of the baseline that stood then
    bound: float  # the rate above which it is a jump, 0..1; 1 while learning
    evidence: float  # the e-detector, >= 0; an alarm at `threshold`
    threshold: float  # observations
    raised: datetime | None = None


def look(seen: Sequence[Observation], at: datetime, rule: JumpRule | None = None, *, watch_from: datetime | None = None) -> Jump:
    """Return what the observations (oldest first) say at the moment `at`; those before `watch_from` only make the baseline."""
    rule = rule or JumpRule()
    bets = [0.0] * len(rule.odds)
    window = _Windows(seen, rule)
    evidence = 0.0
    for index, (created, yes) in enumerate(seen):
        if watch_from is not None and created < watch_from:
            continue
        before, bound = window.baseline(created)
        if before.of < rule.needed:
            continue
        bets = [max(bet, 1.0) * _bet(yes, bound, odds) for bet, odds in zip(bets, rule.odds, strict=True)]
        evidence = sum(bets) / len(bets)
        if evidence >= (threshold := _threshold(before, rule)):
            return Jump("jumped", window.recent(created, index + 1), before, bound, evidence, threshold, created)
    before, bound = window.baseline(at)
    state: Literal["learning", "steady"] = "learning" if before.of < rule.needed else "steady"
    return Jump(state, window.recent(at, len(seen)), before, bound, evidence, _threshold(before, rule))


def upper(yes: int, of: int, level: float) -> float:
    """Return the one-sided upper Clopper-Pearson bound of a share: the 1 - level quantile of Beta(yes + 1, of - yes)."""
    return 1.0 if yes >= of else float(special.betaincinv(yes + 1, of - yes, 1 - level))


def _threshold(before: Rate, rule: JumpRule) -> float:
    """Return how much evidence is an alarm: the promised observations, or as many as come in the promised days."""
    return max(rule.between, rule.between_days * before.of / rule.memory)


def _raised(p: float, odds: float) -> float:
    """Return the rate with `odds` times the odds of p."""
    return odds * p / (1 - p + odds * p)


def _bet(yes: bool, p: float, odds: float) -> float:
    """Return the likelihood ratio of a rate with `odds` times the odds of p; 1 where p is 1, for nothing is above it."""
    if p >= 1:
        return 1.0
    q = _raised(p, odds)
    return q / p if yes else (1 - q) / (1 - p)


class _Windows:
    """Counts of sliding windows; each end only moves forward."""

    def __init__(self, seen: Sequence[Observation], rule: JumpRule) -> None:
        self._seen = seen
        self._sums = [0]
        for observation in seen:
            self._sums.append(self._sums[-1] + observation.yes)
        self._lag, self._memory = timedelta(days=rule.recent), timedelta(days=rule.memory)
        self._rule = rule
        self._start = self._end = 0
        self._day: date | None = None
        self._baseline = (Rate(0, 0), 1.0)

    def baseline(self, at: datetime) -> tuple[Rate, float]:
        """Return the baseline of a moment's day and the rate above which it is a jump; moments are asked for in order."""
        if at.date() != self._day:
            self._day = at.date()
            midnight = datetime.combine(self._day, time())
            self._end = self._until(midnight - self._lag, self._end)
            self._start = self._until(midnight - self._lag - self._memory, self._start)
            before, rule = self._count(self._start, self._end), self._rule
            bound = _raised(upper(before.yes, before.of, rule.level), rule.tolerated) if before.of >= rule.needed else 1.0
            self._baseline = before, bound
        return self._baseline

    def recent(self, at: datetime, end: int) -> Rate:
        """Return what came in the last days before a moment whose baseline was asked for last; `end` is exclusive."""
        return self._count(self._until(at - self._lag, self._end), end)

    def _until(self, moment: datetime, index: int) -> int:
        while index < len(self._seen) and self._seen[index].created < moment:
            index += 1
        return index

    def _count(self, start: int, end: int) -> Rate:
        return Rate(self._sums[end] - self._sums[start], end - start)
