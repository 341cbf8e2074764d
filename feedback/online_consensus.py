"""The consensus on labels, answer by answer: the same state as consensus.batch, kept up to date. It stores nothing.

What an answer touches is judged at once (incremental expectation-maximisation: Neal and Hinton, A view of the EM algorithm,
1998); `settle` sweeps to the posteriors that `batch` finds, in whatever order the answers came.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from feedback.consensus import Consensus, LabelAnswer, Numbered, check_labels
from feedback.dawid_skene import Abilities, Priors, Solver, abilities_of, unknown_abilities
from feedback.errors import BadInput


class Online:
    """The consensus as answers come and go: an answer costs a look at what its item's contributors said, `settle` a batch."""

    def __init__(self, labels: Sequence[str], priors: Priors | None = None) -> None:
        self._labels = tuple(labels)
        self._priors = priors or Priors()
        self._answers: dict[tuple[str, str], LabelAnswer] = {}
        self._of_item: dict[str, set[str]] = {}
        self._of_person: dict[str, set[str]] = {}
        self._known: dict[str, str] = {}
        self._truth: dict[str, np.ndarray] = {}  # item -> (labels,)
        self._ability: dict[str, Abilities] = {}  # person -> one row; "" is the model
        self._settled: Consensus | None = None

    def add(self, answer: LabelAnswer) -> None:
        """Take an answer in, in place of an earlier one of the same contributor for the same item. BadInput for a strange label."""
        check_labels({answer.label, answer.shown} - {""}, self._labels)
        self._answers[answer.item, answer.contributor] = answer
        self._of_item.setdefault(answer.item, set()).add(answer.contributor)
        self._of_person.setdefault(answer.contributor, set()).add(answer.item)
        self._touch(answer.item)

    def remove(self, item: str, contributor: str) -> None:
        """Take an answer back: withdrawn, erased, or its contributor blocked."""
        if (item, contributor) not in self._answers:
            raise BadInput(f"{contributor!r} has no answer for item {item!r}")
        del self._answers[item, contributor]
        self._of_item[item].discard(contributor)
        self._of_person[contributor].discard(item)
        self._touch(item)

    def know(self, item: str, label: str | None) -> None:
        """Fix an item's truth (a trap, a reviewer's verdict), or free it again with None."""
        check_labels(() if label is None else (label,), self._labels)
        self._known.pop(item, None)
        if label is not None:
            self._known[item] = label
        self._touch(item)

    def posterior(self, item: str) -> dict[str, float]:
        """Return label -> probability as it stands now, settled or not."""
        if not self._of_item.get(item):
            raise BadInput(f"no answer for item {item!r} is known")
        return dict(zip(self._labels, self._truth[item].tolist(), strict=True))

    def settle(self, *, warm: bool = False) -> Consensus:
        """Sweep to the fixed point, and return it.

        By default from the start that `batch` takes, so that the order in which answers came leaves no trace. `warm` sweeps
        from the present state: fewer sweeps, and the same posteriors where there is one fixed point; with many answers an
        item there can be several, and an early one is then kept (benchmarks/acceptance.py counts how often).
        """
        named = Numbered(list(self._answers.values()), self._labels, self._known)
        solver = Solver(named.data, self._priors)
        truth, _, abilities = self._present(named, solver) if warm else solver.start()
        self._settled = named.consensus(solver, solver.fit(truth, abilities))
        self._truth = dict(zip(named.items, self._settled.fit.truth, strict=True))
        learned = self._settled.fit.abilities
        self._ability = {
            name: Abilities(*(column[index : index + 1] for column in learned)) for index, name in enumerate((*named.people, ""))
        }
        return self._settled

    def _present(self, named: Numbered, solver: Solver) -> tuple[np.ndarray, np.ndarray, Abilities]:
        """Return the present state as arrays; what nothing is known of takes its start from the priors."""
        if self._settled is None:
            return solver.start()
        unknown = unknown_abilities(1, len(self._labels), self._priors)
        rows = [self._ability.get(name, unknown) for name in (*named.people, "")]
        abilities = Abilities(*(np.concatenate(columns) for columns in zip(*rows, strict=True)))
        classes = self._settled.fit.classes
        return solver.expect(abilities, classes), classes, abilities

    def _touch(self, item: str) -> None:
        """Re-judge one item and the contributors who answered it, with everything else as it was."""
        if not self._of_item.get(item):
            self._truth.pop(item, None)
            return
        people = self._of_item[item]
        theirs = [self._answers[other, person] for person in people for other in self._of_person[person]]
        named = Numbered(theirs, self._labels, self._known)
        solver = Solver(named.data, self._priors)
        truth, _, abilities = self._present(named, solver)
        if self._settled is not None:
            for index, name in enumerate(named.items):
                if name != item:
                    truth[index] = self._truth.get(name, truth[index])
            learned = abilities_of(solver.counts(truth, abilities), abilities, self._priors)
            for index, person in enumerate(named.people):
                self._ability[person] = Abilities(*(column[index : index + 1] for column in learned))
            truth, _, abilities = self._present(named, solver)
        self._truth[item] = truth[named.items.index(item)]
