"""The mathematics of label consensus: expectation-maximisation over arrays of numbers. consensus.py gives them names.

The model. Contributor j answers item i of truth z after having been shown answer s (if any). With probability c_j the shown
answer is copied unread; else the answer a is drawn from row z of j's confusion matrix M_j (Dawid and Skene, Applied Statistics
1979). A matrix has labels^2 numbers and a contributor few answers, so each row has a Dirichlet prior around a simpler
account: j knows the truth with probability k_j, or guesses from a taste of their own, t_j (MACE: Hovy et al., NAACL 2013).
A spammer of one label is all guess and one taste, and so weighs nothing; a lazy one is all copy, and weighs nothing; a
biased one keeps their bias and their weight. Tastes are drawn to an even one and not to the crowd's: where attackers push a
label, the crowd's taste is theirs, and honest people would look as if they never guessed another.
What the model showed is an answer too, of a contributor that is nobody's second opinion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from feedback.errors import BadInput


@dataclass(frozen=True, slots=True)
class Priors:
    """Pseudo-counts of the priors, and the tolerance.

    They were chosen among some dozen settings, by the simulated attacks of benchmarks/acceptance.py (on other seeds than it
    prints) and so that the real crowds there lose nothing; on these, all settings tried lay within their standard errors.
    """

    knows: float = 0.75  # mean of k_j
    knows_weight: float = 4.0
    copies: float = 0.2  # mean of c_j
    copies_weight: float = 4.0
    taste_weight: float = 8.0  # a person's taste, towards an even one (the crowd's own would be the attackers')
    cell_weight: float = 2.0  # times labels^2: a row of M_j towards knows-or-guesses
    classes_weight: float = 1.0  # a label, towards equal shares
    known_weight: float = 3.0  # how many answers an answer to a known item counts for (Nigam et al., Machine Learning 2000)
    tolerance: float = 1e-7  # largest change of a posterior in a sweep at which the sweeps end
    sweeps: int = 2000  # at most


PLAIN = Priors(
    knows=1.0, knows_weight=1e-9, copies=0.0, copies_weight=1e-9, cell_weight=1e-9, classes_weight=1e-12, known_weight=1.0
)
"""No priors to speak of: Dawid and Skene's maximum likelihood, for comparison."""


class Answers(NamedTuple):
    """Answers as numbers. The last contributor is the model. item, who, said, shown: (answers,); shown is -1 for none."""

    item: np.ndarray
    who: np.ndarray
    said: np.ndarray
    shown: np.ndarray
    known: np.ndarray  # (items,): true label, -1 where it is not known
    contributors: int
    labels: int


class Abilities(NamedTuple):
    """What is learned of contributors. The first axis is always the contributor."""

    knows: np.ndarray  # k: (contributors,)
    copies: np.ndarray  # c: (contributors,)
    taste: np.ndarray  # t: (contributors, said)
    confusion: np.ndarray  # M: (contributors, truth, said); rows sum to 1


class Counts(NamedTuple):
    """Expected counts: cells (contributors, truth, said) of answers that were no copies; copies (contributors, [copied, shown])."""

    cells: np.ndarray
    copies: np.ndarray


class Fit(NamedTuple):
    """A fixed point: truth is (items, labels) and sums to 1 a row, classes (labels,) the shares of the labels."""

    truth: np.ndarray
    classes: np.ndarray
    abilities: Abilities
    sweeps: int


def unknown_abilities(contributors: int, labels: int, priors: Priors) -> Abilities:
    """Return what is believed before anybody said anything."""
    taste = np.full((contributors, labels), 1 / labels)
    knows = np.full(contributors, priors.knows)
    base = _knows_or_guesses(knows, taste)
    return Abilities(knows, np.full(contributors, priors.copies), taste, base)


def _knows_or_guesses(knows: np.ndarray, taste: np.ndarray) -> np.ndarray:
    """Return (contributors, truth, said): k on the diagonal, plus (1 - k) times the taste."""
    eye = np.eye(taste.shape[1])
    return np.asarray(knows[:, None, None] * eye + ((1 - knows)[:, None] * taste)[:, None, :])


def likelihoods(data: Answers, abilities: Abilities) -> np.ndarray:
    """Return P(answer | truth) for each answer and each possible truth: (answers, labels)."""
    copies = abilities.copies[data.who][:, None]
    read = abilities.confusion[data.who, :, data.said]
    return np.asarray(copies * (data.said == data.shown)[:, None] + (1 - copies) * read)


class Solver:
    """The two steps over one set of answers. It keeps index matrices, and no state of the fit."""

    def __init__(self, data: Answers, priors: Priors) -> None:
        if data.labels < 2:
            raise BadInput(f"{data.labels} label: a consensus needs at least 2")
        self.data, self.priors = data, priors
        answers, items = len(data.item), len(data.known)
        ones, index = np.ones(answers), np.arange(answers)
        cells = data.contributors * data.labels
        self._by_item = sparse.csr_array((ones, (data.item, index)), shape=(items, answers))
        self._by_cell = sparse.csr_array((ones, (data.who * data.labels + data.said, index)), shape=(cells, answers))
        self._by_who = sparse.csr_array((ones, (data.who, index)), shape=(data.contributors, answers))
        self._is_known = data.known >= 0
        self.weights = np.where(self._is_known[data.item], priors.known_weight, 1.0)  # (answers,)
        self._fixed = np.eye(data.labels)[data.known[self._is_known]]

    def expect(self, abilities: Abilities, classes: np.ndarray) -> np.ndarray:
        """Return the posterior of the truth of every item; known ones stay what they are: (items, labels)."""
        with np.errstate(divide="ignore"):  # log 0 is -inf, and means impossible
            log = self._by_item @ np.maximum(np.log(likelihoods(self.data, abilities)), -700) + np.log(classes)
        truth = np.exp(log - log.max(axis=1, keepdims=True))
        truth /= truth.sum(axis=1, keepdims=True)
        truth[self._is_known] = self._fixed
        return np.asarray(truth)

    def counts(self, truth: np.ndarray, old: Abilities) -> Counts:
        """Return the expected counts: `old` splits each answer into copied and read."""
        data = self.data
        weight = truth[data.item] * self.weights[:, None]  # (answers, labels)
        copied = copied_share(data, old)
        cells = self._by_cell @ (weight * (1 - copied))
        was_shown = (data.shown >= 0)[:, None]
        both = np.stack([(weight * copied).sum(axis=1), (weight * was_shown).sum(axis=1)], axis=1)
        return Counts(cells.reshape(-1, data.labels, data.labels).transpose(0, 2, 1), self._by_who @ both)

    def maximise(self, truth: np.ndarray, old: Abilities) -> Abilities:
        """Return the abilities after one step."""
        return abilities_of(self.counts(truth, old), old, self.priors)

    def classes(self, truth: np.ndarray) -> np.ndarray:
        """Return the shares of the labels among items that are not known (traps are chosen, not drawn): (labels,)."""
        open_ = truth[~self._is_known] if not self._is_known.all() else truth
        counts = open_.sum(axis=0) + self.priors.classes_weight
        return np.asarray(counts / counts.sum())

    def start(self) -> tuple[np.ndarray, np.ndarray, Abilities]:
        """Return the deterministic start: abilities from the known items alone, the truth as these abilities see it."""
        abilities = unknown_abilities(self.data.contributors, self.data.labels, self.priors)
        truth = np.zeros((len(self.data.known), self.data.labels))
        truth[self._is_known] = self._fixed
        for _ in range(10):
            abilities = self.maximise(truth, abilities)
        equal = np.full(self.data.labels, 1 / self.data.labels)
        return self.expect(abilities, equal), equal, abilities

    def votes(self) -> tuple[np.ndarray, np.ndarray, Abilities]:
        """Return Dawid and Skene's own start: each item's shares of the votes."""
        truth = self._by_item @ np.eye(self.data.labels)[self.data.said]
        truth = truth / np.maximum(truth.sum(axis=1, keepdims=True), 1)
        truth[self._is_known] = self._fixed
        abilities = unknown_abilities(self.data.contributors, self.data.labels, self.priors)
        return truth, self.classes(truth), abilities

    def fit(self, truth: np.ndarray, abilities: Abilities) -> Fit:
        """Sweep until no posterior changes by more than the tolerance (or as many times as the priors allow)."""
        sweep = 0
        change = np.inf
        while sweep < self.priors.sweeps and change >= self.priors.tolerance:
            sweep += 1
            abilities = self.maximise(truth, abilities)
            classes = self.classes(truth)
            new = self.expect(abilities, classes)
            change = float(np.abs(new - truth).max()) if new.size else 0.0
            truth = new
        return Fit(truth, classes, abilities, sweep)


def copied_share(data: Answers, abilities: Abilities) -> np.ndarray:
    """Return the probability that each answer is a copy of what was shown, for each possible truth: (answers, labels)."""
    copies = abilities.copies[data.who][:, None] * (data.said == data.shown)[:, None]
    read = (1 - abilities.copies[data.who][:, None]) * abilities.confusion[data.who, :, data.said]
    return np.asarray(copies / np.maximum(copies + read, 1e-300))


def _knew(cells: np.ndarray, old: Abilities) -> np.ndarray:
    """Return how many of the right answers were known and not guessed: (contributors, labels)."""
    guess = (1 - old.knows)[:, None] * old.taste
    knew = old.knows[:, None] / np.maximum(old.knows[:, None] + guess, 1e-300)
    return np.asarray(np.diagonal(cells, axis1=1, axis2=2) * knew)


def abilities_of(counts: Counts, old: Abilities, priors: Priors) -> Abilities:
    """Return the posterior means of what is learned of each contributor."""
    cells = counts.cells
    copied, shown = counts.copies.T
    copies = (copied + priors.copies_weight * priors.copies) / (shown + priors.copies_weight)
    knew = _knew(cells, old)
    knows = (knew.sum(axis=1) + priors.knows_weight * priors.knows) / (cells.sum(axis=(1, 2)) + priors.knows_weight)
    guessed = cells.sum(axis=1) - knew  # (contributors, said)
    taste = (guessed + priors.taste_weight / cells.shape[1]) / (guessed.sum(axis=1, keepdims=True) + priors.taste_weight)
    confusion = cells + priors.cell_weight * cells.shape[1] ** 2 * _knows_or_guesses(knows, taste)
    return Abilities(knows, copies, taste, confusion / confusion.sum(axis=2, keepdims=True))
