"""What several contributors together say of a label, and how surely: names around dawid_skene.py. It accepts nothing and stores nothing.

`batch` solves it at once; online_consensus.py takes answer by answer. Items of known truth (traps, reviewed ones) teach the
abilities; `held_out` judges them as if unknown, for threshold.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, NamedTuple

import numpy as np

from feedback.dawid_skene import (
    Abilities,
    Answers,
    Counts,
    Fit,
    Priors,
    Solver,
    abilities_of,
    copied_share,
    likelihoods,
)
from feedback.errors import BadInput


class LabelAnswer(NamedTuple):
    """One contributor's label for an item. `shown` is the label the model showed them, "" where it showed none."""

    item: str
    contributor: str
    label: str
    shown: str = ""


class Leading(NamedTuple):
    """The likeliest label of an item. `said_by` lists the contributors who gave just it; `shown` is what models had shown."""

    item: str
    label: str
    probability: float  # 0..1
    said_by: tuple[str, ...]
    shown: tuple[str, ...]

    @property
    def corrects(self) -> bool:
        """Return whether it differs from everything that was shown."""
        return self.label not in self.shown


class HeldOut(NamedTuple):
    """A known item as some of its contributors see it while its truth is kept from them."""

    leading: Leading
    right: bool


@dataclass(frozen=True)
class Consensus:
    """A settled state. people: the contributors, in the order of the abilities' first axis (the model comes after the last)."""

    items: tuple[str, ...]
    labels: tuple[str, ...]
    people: tuple[str, ...]
    answers: tuple[LabelAnswer, ...]
    known: Mapping[str, str]
    fit: Fit
    solver: Solver

    def posterior(self, item: str) -> dict[str, float]:
        """Return label -> probability for one item."""
        if item not in self.items:
            raise BadInput(f"no answer for item {item!r} is known: {len(self.items)} items have answers")
        return dict(zip(self.labels, self.fit.truth[self.items.index(item)].tolist(), strict=True))

    def leading(self) -> list[Leading]:
        """Return the likeliest label of every item, in the order of `items`."""
        said: dict[str, list[LabelAnswer]] = {item: [] for item in self.items}
        for answer in self.answers:
            said[answer.item].append(answer)
        return [_leading(item, self.labels, row, said[item]) for item, row in zip(self.items, self.fit.truth, strict=True)]

    def held_out(self, size: int | None = None) -> list[HeldOut]:
        """Return every known item as groups of `size` of its contributors see it, each without what it taught them.

        size: how many contributors an ordinary item has; None takes the median of the open items (2 where there are none).
        The groups of an item share nobody and are formed by a hash; a rest smaller than `size` is left out unless it is all.
        """
        by_item: dict[int, list[int]] = {}
        data = self.solver.data
        for index in np.flatnonzero((data.known[data.item] >= 0) & (data.who < len(self.people))):
            by_item.setdefault(int(data.item[index]), []).append(int(index))
        counts = self.solver.counts(self.fit.truth, self.fit.abilities)
        size = size or usual_size(Counter(a.item for a in self.answers if a.item not in self.known).values())
        found = []
        for item, indices in by_item.items():
            whole = np.concatenate([indices, np.flatnonzero((data.item == item) & (data.who == len(self.people)))]).astype(int)
            without = self._without(whole, counts)
            for group in groups(self.items[item], indices, [self.people[data.who[i]] for i in indices], size):
                answers = [self.answers[i] for i in group]
                row = self._judge(item, group, whole[len(indices) :], without)
                leading = _leading(self.items[item], self.labels, row, answers)
                found.append(HeldOut(leading, leading.label == self.known[leading.item]))
        return found

    def _without(self, answers: np.ndarray, counts: Counts) -> tuple[Answers, Abilities]:
        """Return the given answers of one known item, renumbered, with abilities that have not seen them."""
        data, old = self.solver.data, self.fit.abilities
        who, local = np.unique(data.who[answers], return_inverse=True)
        small = data._replace(item=data.item[answers], who=data.who[answers], said=data.said[answers], shown=data.shown[answers])
        copied = copied_share(small, old)
        truth = self.fit.truth[small.item] * self.solver.priors.known_weight
        cells, copies = counts.cells[who].copy(), counts.copies[who].copy()
        for row, (person, label) in enumerate(zip(local, small.said, strict=True)):
            cells[person, :, label] -= truth[row] * (1 - copied[row])
        seen = (small.shown >= 0) * self.solver.priors.known_weight
        np.add.at(copies, local, -np.stack([(truth * copied).sum(axis=1), seen], axis=1))
        part = Abilities(*(column[who] for column in old))
        mine = abilities_of(Counts(np.maximum(cells, 0), np.maximum(copies, 0)), part, self.solver.priors)
        return small._replace(who=local), mine

    def _judge(self, item: int, group: Sequence[int], model: np.ndarray, without: tuple[Answers, Abilities]) -> np.ndarray:
        """Return the posterior (labels,) that a group's answers, and what the model showed it, give a known item."""
        small, mine = without
        data = self.solver.data
        shown = {int(data.shown[i]) for i in group}
        keep = set(group) | {int(i) for i in model if int(data.said[i]) in shown}
        order = [int(i) for i in np.flatnonzero(data.item == item) if data.who[i] < len(self.people)] + [int(i) for i in model]
        mask = np.array([i in keep for i in order])
        log = np.log(np.maximum(likelihoods(small, mine)[mask], 1e-300)).sum(axis=0) + np.log(self.fit.classes)
        row = np.exp(log - log.max())
        return np.asarray(row / row.sum())


def usual_size(sizes: Collection[int]) -> int:
    """Return the median number of contributors of an item, at least 1; 2 where there is none."""
    return max(1, int(np.median(list(sizes)))) if sizes else 2


def groups(item: str, indices: Sequence[int], names: Sequence[str], size: int) -> list[list[int]]:
    """Return the indices in groups of `size`, ordered by a hash of item and name; a small rest only where it is all there is."""
    keyed = sorted(zip(indices, names, strict=True), key=lambda pair: sha256(f"{item}\x1f{pair[1]}".encode()).digest())
    order = [index for index, _ in keyed]
    whole = [order[i : i + size] for i in range(0, len(order), size)]
    return [group for group in whole if len(group) == size] or whole


def _leading(item: str, labels: Sequence[str], row: np.ndarray, answers: Sequence[LabelAnswer]) -> Leading:
    best = int(row.argmax())
    said_by = tuple(a.contributor for a in answers if a.label == labels[best])
    return Leading(item, labels[best], float(row[best]), said_by, tuple(sorted({a.shown for a in answers if a.shown})))


def batch(
    answers: Sequence[LabelAnswer],
    labels: Sequence[str],
    known: Mapping[str, str] | None = None,
    priors: Priors | None = None,
    *,
    start: Literal["known", "votes"] = "known",
) -> Consensus:
    """Return the consensus of all answers, by expectation-maximisation from a deterministic start to `priors.tolerance`.

    answers: of a contributor who answered an item twice, the last counts; known: item -> true label. start: `known` begins with
    the abilities that the known items show, `votes` with shares of votes (Dawid and Skene's own). The order of the answers is
    of no matter. BadInput names a label that is not in `labels`.
    """
    if start not in ("known", "votes"):
        raise BadInput(f"unknown start {start!r}: available are known, votes")
    named = Numbered(answers, labels, known or {})
    solver = Solver(named.data, priors or Priors())
    truth, _, abilities = solver.start() if start == "known" else solver.votes()
    return named.consensus(solver, solver.fit(truth, abilities))


def check_labels(names: Collection[str], labels: Sequence[str]) -> None:
    """Raise BadInput for the first name that is no label."""
    for name in sorted(names):
        if name not in labels:
            raise BadInput(f"unknown label {name!r}: available are {', '.join(labels)}")


class Numbered:
    """Answers turned into numbers: names in sorted order, so that the order in which they came leaves no trace."""

    def __init__(self, answers: Sequence[LabelAnswer], labels: Sequence[str], known: Mapping[str, str]) -> None:
        newest = {(a.item, a.contributor): a for a in answers}
        self.answers = tuple(newest[key] for key in sorted(newest))
        self.labels = tuple(labels)
        label = {name: index for index, name in enumerate(self.labels)}
        check_labels({a.label for a in self.answers} | {a.shown for a in self.answers if a.shown} | set(known.values()), labels)
        self.items = tuple(sorted({a.item for a in self.answers}))
        self.people = tuple(sorted({a.contributor for a in self.answers}))
        self.known = {item: known[item] for item in self.items if item in known}
        place = {name: index for index, name in enumerate(self.items)}
        person = {name: index for index, name in enumerate(self.people)}
        models = sorted({(a.item, a.shown) for a in self.answers if a.shown})
        rows = [(place[a.item], person[a.contributor], label[a.label], label.get(a.shown, -1)) for a in self.answers]
        rows += [(place[item], len(person), label[shown], -1) for item, shown in models]
        truths = np.array([label[self.known[item]] if item in self.known else -1 for item in self.items], dtype=int)
        item, who, said, shown = np.array(rows, dtype=int).reshape(-1, 4).T
        self.data = Answers(item, who, said, shown, truths, len(self.people) + 1, len(self.labels))

    def consensus(self, solver: Solver, fit: Fit) -> Consensus:
        """Return the fit with its names."""
        return Consensus(self.items, self.labels, self.people, self.answers, self.known, fit, solver)
