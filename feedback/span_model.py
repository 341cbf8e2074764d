"""The mathematics of span consensus: which marked spans are real, by expectation-maximisation over arrays. It knows no names.

Every span that the model showed or anybody marked is a candidate: real or not. A contributor has four rates: of real spans
that were not shown they find a share; in a share of the texts they invent a mark; of shown spans they keep a share of the
real ones, and a share of the false ones. (Two coins a contributor, as in Raykar et al., JMLR 2010, split by what was shown.)
- All inventions are reckoned to fall on one and the same place, so attackers who agree on a mark gain nothing by number.
- Who marks a span says nothing further of those it overlaps: they had to go. Candidates that overlap exclude each other;
  the sum over all sets without overlaps is taken exactly, by dynamic programming.
- Real spans that nobody marked are no candidates, yet are there: as many as the finders' rates say (capture and
  recapture). So a confirmed empty answer is weak evidence, and people who miss much are not taken for people who deny much.
- Open texts never outweigh a contributor's known ones, and how many spans are hidden is learned from known texts alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MAX_SWEEPS = 500
FIND, INVENT, KEEP_REAL, KEEP_FALSE = range(4)


@dataclass(frozen=True, slots=True)
class SpanPriors:
    """Means of the rates and their weights in observations. People miss more than they invent: on real crowds recall is about
    .50 and precision .68 (../shared/model.md, 'Whom to believe').
    """

    find: float = 0.5
    invent: float = 0.05  # a text
    keep_real: float = 0.95
    keep_false: float = 0.5
    weight: float = 2.0  # of each rate
    hidden: float = 0.3  # real spans a text that the model does not show
    beside: float = 0.15  # odds that a certain span stands where a false one was shown
    shown_real: float = 0.8  # share of shown spans that are real
    shares_weight: float = 10.0  # texts (shown spans) that the two means above are worth
    known_weight: float = 5.0  # how many texts a text of known truth counts for
    unproven: float = 4.0  # how many open texts count in full for who answered no known one, where there are any
    tolerance: float = 1e-6

    @property
    def means(self) -> np.ndarray:
        """Return the prior means in the order of the rates: (4,)."""
        return np.array([self.find, self.invent, self.keep_real, self.keep_false])


class Marks(NamedTuple):
    """Judgements as numbers: a row is one contributor's word on one candidate of a text they answered."""

    candidate: np.ndarray  # (rows,)
    who: np.ndarray  # (rows,)
    marked: np.ndarray  # (rows,) bool
    shown: np.ndarray  # (rows,) bool: was shown to this contributor
    text_of: np.ndarray  # (candidates,)
    was_shown: np.ndarray  # (candidates,) bool: to anybody
    beside: np.ndarray  # (candidates,) bool: was not shown, and overlaps what was
    real: np.ndarray  # (candidates,): 1 or 0 where the text is known, -1 where it is not
    answer_text: np.ndarray  # (answers,)
    answer_who: np.ndarray  # (answers,)
    known: np.ndarray  # (texts,) bool
    clusters: tuple[tuple[int, ...], ...]  # candidates that overlap others, in groups, each sorted by end
    spans: tuple[tuple[int, int, str], ...]  # (candidates,)
    people: int


class Rates(NamedTuple):
    """of: (people, 4) in the order FIND, INVENT, KEEP_REAL, KEEP_FALSE; hidden: real spans a text not shown; shown_real: share."""

    of: np.ndarray
    hidden: float
    shown_real: float


class SpanFit(NamedTuple):
    """A fixed point. real: (candidates,) the probability that each is real, exclusions taken into account."""

    real: np.ndarray
    rates: Rates
    sweeps: int


def log_odds(marks: Marks, rates: Rates, priors: SpanPriors) -> np.ndarray:
    """Return the log odds of each candidate before exclusions: (candidates,)."""
    on_real = np.where(marks.shown, rates.of[marks.who, KEEP_REAL], rates.of[marks.who, FIND])
    on_false = np.where(marks.shown, rates.of[marks.who, KEEP_FALSE], rates.of[marks.who, INVENT])
    unmarked = np.where(marks.shown, 1 - on_false, 1.0)  # a false place is one of many: that it was left alone says nothing
    said = np.where(marks.marked, np.log(on_real / on_false), np.log((1 - on_real) / unmarked))
    evidence = np.bincount(marks.candidate, said, minlength=len(marks.text_of))
    shown = math.log(rates.shown_real / (1 - rates.shown_real))
    new = np.where(marks.beside, math.log(priors.beside), math.log(rates.hidden))
    return np.asarray(evidence + np.where(marks.was_shown, shown, new))


def expect(marks: Marks, rates: Rates, priors: SpanPriors) -> np.ndarray:
    """Return the probability that each candidate is real; those of known texts stay what they are."""
    odds = log_odds(marks, rates, priors)
    real = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    for cluster in marks.clusters:
        real[list(cluster)] = exclusive([marks.spans[c] for c in cluster], odds[list(cluster)].tolist())
    return np.where(marks.real >= 0, marks.real, real)


def exclusive(spans: Sequence[tuple[int, int, str]], odds: Sequence[float]) -> list[float]:
    """Return the marginals of spans (sorted by end) of which no two that overlap are real: forward and backward sums of logs."""
    n = len(spans)
    before = [sum(spans[j][1] <= spans[i][0] for j in range(n)) for i in range(n)]  # how many end before i starts
    forward = [0.0]  # log sum over the sets of the first i spans
    for i in range(n):
        forward.append(float(np.logaddexp(forward[i], forward[before[i]] + odds[i])))
    order = sorted(range(n), key=lambda i: -spans[i][0])  # by start, last first
    starts = [spans[i][0] for i in order]
    backward = [0.0]
    for place, i in enumerate(order):
        after = sum(start >= spans[i][1] for start in starts)
        backward.append(float(np.logaddexp(backward[place], backward[after] + odds[i])))
    return [
        math.exp(min(0.0, forward[before[i]] + odds[i] + backward[sum(s >= spans[i][1] for s in starts)] - forward[n]))
        for i in range(n)
    ]


def best_set(spans: Sequence[tuple[int, int, str]], odds: Sequence[float]) -> tuple[list[int], float]:
    """Return the likeliest set of spans (sorted by end) that do not overlap, as indices, and its probability among all sets."""
    n = len(spans)
    before = [sum(spans[j][1] <= spans[i][0] for j in range(n)) for i in range(n)]
    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    total = [0.0]
    for i in range(n):
        with_it = (best[before[i]][0] + odds[i], (*best[before[i]][1], i))
        best.append(max(best[i], with_it, key=lambda found: found[0]))
        total.append(float(np.logaddexp(total[i], total[before[i]] + odds[i])))
    return list(best[n][1]), math.exp(best[n][0] - total[n])


def unseen(marks: Marks, rates: Rates) -> np.ndarray:
    """Return for each text the probability that a real span that was not shown is found by none of its contributors: (texts,)."""
    log = np.log1p(-rates.of[marks.answer_who, FIND])
    return np.asarray(np.exp(np.bincount(marks.answer_text, log, minlength=len(marks.known))))


def counts(marks: Marks, real: np.ndarray, rates: Rates, priors: SpanPriors) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected hits and trials of the four rates: (people, 4) each. Trials of INVENT are texts."""
    open_weight = _open_weight(marks, priors)
    w = np.where(marks.known[marks.text_of[marks.candidate]], priors.known_weight, open_weight[marks.who])
    w_answer = np.where(marks.known[marks.answer_text], priors.known_weight, open_weight[marks.answer_who])
    q = real[marks.candidate]

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(marks.who, values * w, minlength=marks.people)

    new, old, yes = ~marks.shown, marks.shown, marks.marked
    hits = np.stack(
        [total(q * (new & yes)), total((1 - q) * (new & yes)), total(q * (old & yes)), total((1 - q) * (old & yes))], 1
    )
    missed = np.where(marks.known, 0.0, rates.hidden * unseen(marks, rates))[marks.answer_text]
    find = total(q * new) + np.bincount(marks.answer_who, missed * w_answer, minlength=marks.people)
    texts = np.bincount(marks.answer_who, w_answer, minlength=marks.people)
    return hits, np.stack([find, np.maximum(texts, hits[:, INVENT]), total(q * old), total((1 - q) * old)], 1)


def _open_weight(marks: Marks, priors: SpanPriors) -> np.ndarray:
    """Return what an open text counts for in each contributor's rates, 0..1: (people,).

    Together they never outweigh the known texts: a flood of answers agrees with itself, and would else overrule the traps.
    """
    known = marks.known[marks.answer_text]
    if not known.any():
        return np.ones(marks.people)
    proven = priors.known_weight * np.bincount(marks.answer_who[known], minlength=marks.people)
    open_ = np.bincount(marks.answer_who[~known], minlength=marks.people)
    return np.asarray(np.minimum(1.0, np.maximum(proven, priors.unproven) / np.maximum(open_, 1)))


def rates_of(hits: np.ndarray, trials: np.ndarray, priors: SpanPriors) -> np.ndarray:
    """Return the posterior means of the rates: (people, 4)."""
    return np.asarray(np.clip((hits + priors.weight * priors.means) / (trials + priors.weight), 1e-6, 1 - 1e-6))


def fit(marks: Marks, priors: SpanPriors) -> SpanFit:
    """Sweep from the deterministic start (rates from the known texts alone) until no probability changes by the tolerance."""
    rates = Rates(np.tile(priors.means, (marks.people, 1)), priors.hidden, priors.shown_real)
    start = np.where(marks.real >= 0, marks.real, 0.0)
    on_known = marks._replace(  # the judgements on known texts alone
        **{name: getattr(marks, name)[marks.real[marks.candidate] >= 0] for name in ("candidate", "who", "marked", "shown")},
        answer_text=marks.answer_text[marks.known[marks.answer_text]],
        answer_who=marks.answer_who[marks.known[marks.answer_text]],
    )
    rates = rates._replace(of=rates_of(*counts(on_known, start, rates, priors), priors))
    real = expect(marks, rates, priors)
    sweep = 0
    change = np.inf
    while sweep < MAX_SWEEPS and change >= priors.tolerance:
        sweep += 1
        rates = Rates(rates_of(*counts(marks, real, rates, priors), priors), *_shares(marks, real, rates, priors))
        new = expect(marks, rates, priors)
        change = float(np.abs(new - real).max()) if new.size else 0.0
        real = new
    return SpanFit(real, rates, sweep)


def _shares(marks: Marks, real: np.ndarray, rates: Rates, priors: SpanPriors) -> tuple[float, float]:
    """Return hidden real spans a text, and the share of shown spans that are real: over the known texts where there are any.

    Not over all: attackers who agree on a mark in every open text would else make hidden spans look common, and so themselves right.
    """
    basis = marks.known if marks.known.any() else ~marks.known
    inside = basis[marks.text_of]
    new, old = inside & ~marks.was_shown & ~marks.beside, inside & marks.was_shown
    missed = np.where(marks.known, 0.0, rates.hidden * unseen(marks, rates))[basis]
    worth = priors.shares_weight
    hidden = (float(real[new].sum()) + float(missed.sum()) + worth * priors.hidden) / (int(basis.sum()) + worth)
    shown = (float(real[old].sum()) + worth * priors.shown_real) / (int(old.sum()) + worth)
    return hidden, shown
