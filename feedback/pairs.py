"""The use cases of side by side: two blind answers to one input, and the vote between them. It knows no web and no model.

Each answer of a pair is a prediction like any other, so either is corrected through the desk. It is stored as forced:
it was not assigned, and counts in no metric of users' own arms.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple, get_args

from feedback import assign
from feedback.desk import PATIENCE, Model, answered, as_shown, check_text, first_call, prediction_of
from feedback.errors import BadInput, Conflict, NotFound, StorageFull
from feedback.experiments import Experiments
from feedback.limits import Limits
from feedback.records import Choice, Experiment, Pair, Prediction, Variant, Visitor, Vote, keyed_id, new_id
from feedback.store import Duplicate, Store

CHOICES: tuple[Choice, ...] = get_args(Choice)
TIES: tuple[Choice, ...] = ("both", "neither")
PREDICTIONS = 2  # what a pair costs of the limit on predictions


class NoPairs(Conflict):
    """This visitor is not shown pairs now: one answer is to be asked for."""

    code = "no_pairs"


class PairNotStored(StorageFull, NoPairs):
    """The log's disk takes no more: a pair nobody can vote on is of no use, and one answer is still given (desk.py)."""

    code = StorageFull.code


class PairShown(NamedTuple):
    """A pair with its two predictions. `same`: the answers are equal, so neither can be the better one.

    What of it reaches a browser must name neither variant nor version: id, output, confidence and notes alone.
    """

    id: str
    left: Prediction
    right: Prediction
    same: bool


class Pairs:
    """Show two answers of two variants in a random order, and take one vote a pair. Safe to use from many threads."""

    def __init__(
        self,
        store: Store,
        model: Model,
        experiments: Experiments,
        *,
        limits: Limits | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._model = model
        self._experiments = experiments
        self._limits = limits
        self._chance = chance or random.SystemRandom()  # the system's entropy: nobody can work out which side is which

    def predict(self, visitor: Visitor, input_: Any, key: str = "") -> PairShown:
        """Answer an input with two variants; pair and predictions are durable, all in one, before this returns.

        `key` (an Idempotency-Key) makes a retry return the first call's pair. Raises NoPairs, BadInput, Busy, PairNotStored.
        A call without a key that ends in NoPairs spends nothing, so that one answer can be asked for instead.
        """
        check_text("Idempotency-Key", key)
        if not key:
            self._experiment_for(visitor)
        if self._limits:
            self._limits.spend("predictions", visitor, PREDICTIONS)
        input_, _ = self._model.check(input_)
        id_ = keyed_id("d", visitor.contributor, key) if key else new_id("d")
        if key and (known := self._shown(id_)):
            return first_call(known, known.left.input == input_, key)
        experiment = self._experiment_for(visitor)
        left, right = (
            # "pair" first: no key of a single prediction can lead to the same id, and so to the variant's name
            answered(self._model, visitor, variant, input_, keyed_id("p", "pair", id_, side), forced=True)
            for side, variant in zip(("left", "right"), self._drawn(experiment), strict=True)
        )
        pair = Pair(id_, visitor.contributor, experiment.name, experiment.number, left.id, right.id)
        try:
            self._store.add(pair, left, right, patience=PATIENCE)
        except Duplicate:  # the same call twice at once: the first one's rows stand, and their order with them
            first = self._shown(id_)
            if not key or first is None:
                raise
            return first_call(first, first.left.input == input_, key)
        except StorageFull as error:
            raise PairNotStored(error.detail) from error
        return PairShown(id_, left, right, self._equal(left, right))

    def vote(self, visitor: Visitor, pair_id: str, choice: str) -> Vote:
        """Store which answer the visitor prefers: left, right, both (are right) or neither.

        Only the contributor to whom the pair was shown may vote, whether or not its experiment still runs: others get
        NotFound. One vote a pair: the same one again changes nothing, another one raises Conflict. Two equal answers
        can only be both or neither.
        """
        if self._limits:
            self._limits.spend("votes", visitor)
        check_text("pair_id", pair_id)
        if choice not in CHOICES:
            raise BadInput(f"choice {str(choice)[:40]!r}: available are {', '.join(CHOICES)}", code="vote_unknown")
        pair = self._shown(pair_id)
        if pair is None or pair.left.contributor != visitor.contributor:
            raise NotFound(f"no pair {pair_id!r} was shown to you", code="no_pair")
        if pair.same and choice not in TIES:
            raise BadInput(f"choice {choice!r}: the two answers are the same; available are {', '.join(TIES)}", code="vote_same")
        vote = Vote(pair_id, visitor.contributor, choice)
        try:
            self._store.add(vote, patience=PATIENCE)
        except Duplicate:
            return self._voted(vote)
        return vote

    def _voted(self, vote: Vote) -> Vote:
        (row,) = self._store.rows("SELECT * FROM votes WHERE pair_id = ? AND contributor = ?", [vote.pair_id, vote.contributor])
        known = Vote(**row)
        if known.choice != vote.choice:
            raise Conflict(
                f"you have voted {known.choice!r} on this pair already: one vote a pair, ask again to vote anew", code="voted"
            )
        return known

    def _experiment_for(self, visitor: Visitor) -> Experiment:
        """Return the experiment that shows pairs to this visitor, or raise NoPairs with the reason."""
        experiment = self._experiments.current
        single = "ask for one answer (POST /api/v1/predictions)"
        if experiment is None or experiment.state != "running" or experiment.mode != "side_by_side":
            raise NoPairs(f"no side-by-side experiment runs now: {single}")
        if visitor.forced_variant:
            raise NoPairs(f"variant {visitor.forced_variant!r} is forced, and a pair is blind: {single}")
        if len(_having(experiment)) < PREDICTIONS:
            raise NoPairs(f"fewer than two variants of {experiment.name!r} have a share above 0: {single}")
        place = assign.place(experiment.salt, visitor.contributor)
        assert place is not None
        pieces = assign.ranges(len(experiment.variants), experiment.coverage, [v.share for v in experiment.variants])
        if experiment.coverage < 1 and assign.choose(place, pieces) < 0:
            raise NoPairs(f"you are not of the part of the visitors that {experiment.name!r} compares answers with: {single}")
        return experiment

    def _drawn(self, experiment: Experiment) -> list[Variant]:
        """Return two different variants, drawn by share without putting back, in an order that tells nothing."""
        having = _having(experiment)
        drawn: list[Variant] = []
        while len(drawn) < PREDICTIONS:
            rest = [variant for variant in having if variant not in drawn]
            drawn += self._chance.choices(rest, [variant.share for variant in rest])
        self._chance.shuffle(drawn)
        return drawn

    def _equal(self, left: Prediction, right: Prediction) -> bool:
        """Return whether two answers are the same by the task's rules: a confidence inside them is no difference."""
        return bool(as_shown(self._model, left.input, left.output) == as_shown(self._model, right.input, right.output))

    def _shown(self, pair_id: str) -> PairShown | None:
        found = self._store.rows("SELECT left_prediction, right_prediction FROM pairs WHERE id = ?", [pair_id])
        if not found:
            return None
        sides = list(found[0].values())
        rows = {row["id"]: row for row in self._store.rows("SELECT * FROM predictions WHERE id IN (?, ?)", sides)}
        if any(side not in rows for side in sides):  # an import half done: check_log tells of it
            return None
        left, right = (prediction_of(rows[side]) for side in sides)
        return PairShown(pair_id, left, right, self._equal(left, right))


def _having(experiment: Experiment) -> list[Variant]:
    return [variant for variant in experiment.variants if variant.share > 0]
