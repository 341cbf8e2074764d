"""Which variant people prefer when they see two blind answers: votes to strengths, and a look under the rule. It reads no log.

A vote is one comparison of Bradley and Terry's model; 'both' and 'neither' are ties, half a win to each. One person's votes are
alike, so the standard error comes from a bootstrap that draws users with all their votes: drawing votes would treat a
busy user's hundred as a hundred people's.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from analysis import bradley_terry, stats
from analysis.notes import MIN_USERS, Verdict
from analysis.sequential import Rule
from feedback.errors import BadInput
from feedback.records import Choice

MOST_VARIANTS = 6


class Ballot(NamedTuple):
    """One vote: the variants whose answers stood left and right, and which was preferred."""

    contributor: str
    left: str
    right: str
    choice: Choice


class Strength(NamedTuple):
    """A challenger against the control. None where its votes lead to no vote on the control, not even by way of others.

    The interval holds at every look under the rule, for all challengers at once (level 1 - alpha/challengers); `p` is
    Holm-adjusted. Both are None also while fewer than MIN_USERS users voted, and where nothing varies.
    """

    challenger: str
    votes: int  # in which it took part, against whomever
    log_strength: float | None  # ln s/s_control; above 0: preferred to the control
    win_probability: float | None  # 0..1: of a vote between it and the control, ties counted as half
    se: float | None  # of log_strength, over users
    low: float | None
    high: float | None
    p: float | None
    verdict: Verdict


class Position(NamedTuple):
    """Do people prefer what stands left? The share of the decided votes, with Wilson's 95 % interval; .5 is no bias.

    The interval takes the votes for independent, so it is a little narrow where few users gave most of them.
    """

    decided: int
    left: float | None  # 0..1; None where no vote was decided
    low: float | None
    high: float | None


class SideBySide(NamedTuple):
    """What the votes say. `strengths` by challenger in the variants' order."""

    users: int
    votes: int
    ties: int
    regularised: bool  # some variants never lost to the others, and bradley_terry.PSEUDO wins were added
    strengths: tuple[Strength, ...]
    position: Position
    verdict: Verdict
    about: str  # the challenger that the verdict names; empty where it names none


def side_by_side(
    ballots: Sequence[Ballot], variants: Sequence[str], rule: Rule, *, resamples: int = 1000, seed: int
) -> SideBySide:
    """Return the strengths of 2..6 variants (control first) and a look at each under the experiment's rule.

    ballots: in order of time; under the horizon rule those of the first n_max users who voted count. A look is
    z = log_strength / standard error after as many users as voted (see `bradley_terry.fit` for both).

    Raises BadInput for other numbers of variants, a name twice, a ballot about a variant that is not listed or against itself.
    """
    _check(ballots, variants, resamples)
    voters = list(dict.fromkeys(ballot.contributor for ballot in ballots))
    if rule.name == "horizon" and len(voters) > rule.n_max:
        voters = voters[: rule.n_max]
        inside = set(voters)
        ballots = [ballot for ballot in ballots if ballot.contributor in inside]
    users = len(voters)
    wins = _wins(ballots, {name: i for i, name in enumerate(variants)})
    total = wins.sum(axis=0)
    known = bradley_terry.reachable(total + total.T)
    found: dict[str, tuple[float, float]] = {}  # challenger -> log-strength, standard error
    regularised = False
    if known.sum() > 1:
        fit = bradley_terry.fit(wins[:, known][:, :, known], resamples, seed)
        regularised = fit.regularised
        names = [name for name, is_known in zip(variants, known, strict=True) if is_known]
        found = dict(zip(names[1:], zip(fit.log_strengths[1:].tolist(), fit.se[1:].tolist(), strict=True), strict=True))
    strengths = _look(variants[1:], found, Counter(name for b in ballots for name in (b.left, b.right)), rule, users)
    ties = sum(ballot.choice in ("both", "neither") for ballot in ballots)
    position = _position(sum(ballot.choice == "left" for ballot in ballots), len(ballots) - ties)
    return SideBySide(users, len(ballots), ties, regularised, strengths, position, *_verdict(strengths))


def wilson(hits: int, trials: int, level: float = 0.95) -> stats.Interval:
    """Return Wilson's score interval of a share of hits among independent trials (JASA 1927)."""
    z = stats.quantile((1 - level) / 2)
    share, weight = hits / trials, z * z / trials
    half = z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return stats.Interval((share + weight / 2 - half) / (1 + weight), (share + weight / 2 + half) / (1 + weight))


def _check(ballots: Sequence[Ballot], variants: Sequence[str], resamples: int) -> None:
    if not 2 <= len(variants) <= MOST_VARIANTS or len(set(variants)) != len(variants):
        raise BadInput(f"variants {list(variants)}: 2 to {MOST_VARIANTS} different names are needed")
    if resamples < 2:
        raise BadInput(f"{resamples} resamples: a standard error needs at least 2")
    for ballot in ballots:
        if ballot.left == ballot.right or not {ballot.left, ballot.right} <= set(variants):
            raise BadInput(f"a vote on {ballot.left!r} and {ballot.right!r}: two different ones of {list(variants)} are needed")
        if ballot.choice not in ("left", "right", "both", "neither"):
            raise BadInput(f"choice {ballot.choice!r}: available are left, right, both, neither")


def _wins(ballots: Sequence[Ballot], index: dict[str, int]) -> np.ndarray:
    """Return each user's wins of variant i over j, ties half to each: (users, variants, variants)."""
    users: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((len(index), len(index))))
    for ballot in ballots:
        left, right = index[ballot.left], index[ballot.right]
        share = {"left": 1.0, "right": 0.0}.get(ballot.choice, 0.5)
        users[ballot.contributor][left, right] += share
        users[ballot.contributor][right, left] += 1 - share
    return np.stack(list(users.values())) if users else np.zeros((0, len(index), len(index)))


def _look(
    challengers: Sequence[str], found: dict[str, tuple[float, float]], votes: Counter[str], rule: Rule, users: int
) -> tuple[Strength, ...]:
    alpha, ready = rule.alpha / len(challengers), users >= MIN_USERS
    looks = {
        name: rule.look(stats.Difference(log_strength, se, math.inf), users, alpha)
        for name, (log_strength, se) in found.items()
        if ready and se > 0
    }
    # A challenger without a number keeps its place in the family: p = 1 makes the others' no smaller.
    adjusted = stats.holm([looks[name].p if name in looks else 1.0 for name in challengers])
    made: list[Strength] = []
    for name, p in zip(challengers, adjusted, strict=True):
        log_strength, se = found.get(name, (None, None))
        win = None if log_strength is None else float(special.expit(log_strength))
        low, high = looks[name].interval if name in looks else (None, None)
        known_p = p if name in looks else None
        verdict = _judged(rule, users, log_strength, known_p)
        made.append(Strength(name, votes[name], log_strength, win, se, low, high, known_p, verdict))
    return tuple(made)


def _judged(rule: Rule, users: int, log_strength: float | None, p: float | None) -> Verdict:
    if users < MIN_USERS:
        return "collecting"
    if log_strength is None or p is None:
        return "no verdict yet"
    if p <= rule.alpha:
        return "B better" if log_strength > 0 else "B worse"
    return "no meaningful difference" if rule.over(users) else "no verdict yet"


def _verdict(strengths: Sequence[Strength]) -> tuple[Verdict, str]:
    """Return the verdict of all and the challenger that it names: the strongest of those that won, else all must agree."""
    better = [s for s in strengths if s.verdict == "B better"]
    if better:
        return "B better", max(better, key=lambda s: s.log_strength or 0.0).challenger
    verdicts = {s.verdict for s in strengths}
    if verdicts == {"B worse"}:
        return "B worse", ", ".join(s.challenger for s in strengths)
    for undecided in ("collecting", "no verdict yet"):
        if undecided in verdicts:
            return undecided, ""
    return "no meaningful difference", ""


def _position(lefts: int, decided: int) -> Position:
    if not decided:
        return Position(0, None, None, None)
    return Position(decided, lefts / decided, *wilson(lefts, decided))
