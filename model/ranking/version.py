"""A version of the task `ranking` that is loaded and answers with lists. It learns nothing, and checks no input."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np

from feedback.records import Answer, Json
from model.embedding import Embedder
from model.own_model import OwnAnswerer
from model.ranking.contentment import logit
from model.ranking.exploring import drawn, place_probabilities
from model.ranking.ranker import Ranked, Ranker
from model.ranking.visits import Deed, Policy
from model.ranking.weighing import AT
from model.task import Task

LENGTH = 8
"""Items of a list."""
POLICY = Policy(epsilon=0.1, pool=40)
"""At each place, one item of ten is drawn by chance out of the first 40: what nobody sees, nobody can like."""


class RankingVersion(OwnAnswerer):
    """A loaded version. The same input gives the same list: chance comes from a hash of the input, `visit` in it."""

    def __init__(self, task: Task, encoder: Embedder, ranker: Ranker) -> None:
        size = sum(values.nbytes for values in (ranker.texts, ranker.b, ranker.v)) / 1e6
        super().__init__(task, f"{ranker.settings.family} over a frozen base", encoder.megabytes() + size)
        self._encoder, self._ranker = encoder, ranker
        self._place = {id_: i for i, id_ in enumerate(ranker.ids)}

    def answer(self, inputs: Sequence[Json], settings: Sequence[Mapping[str, float]]) -> list[Answer]:
        """Return a list for each input; its confidence: see contentment.py."""
        for setting in settings:
            self.task.check_settings(setting)
        return [self._one(input_) for input_ in inputs]

    def _one(self, input_: Mapping[str, Json]) -> Answer:
        history = deeds_of(input_, self._place)
        text = input_["text"]
        asked = self._encoder.of([text])[0] if text else None
        ranked = self._ranker.rank(history, asked)
        policy = Policy(POLICY.epsilon, min(POLICY.pool, len(ranked.order)))
        ranks = drawn(ranked.order.tolist(), LENGTH, policy, _chance(input_))
        items = [int(ranked.order[rank]) for rank in ranks]
        output = {
            "items": self._ids(items),
            "best": self._ids(ranked.order[: POLICY.pool].tolist()),
            "ranks": ranks,
            "policy": [policy.epsilon, policy.pool],
            "propensities": [
                round(float(place_probabilities(rank, LENGTH, policy)[place]), 6) for place, rank in enumerate(ranks)
            ],
            "scores": [round(float(ranked.scores[item]), 4) for item in items],
            "why": [self._why(item, rank >= LENGTH, history, asked) for item, rank in zip(items, ranks, strict=True)],
        }
        return Answer(output, self._sure(ranked))

    def _sure(self, ranked: Ranked) -> float:
        """Return how likely the person leaves the first half of the list as it is; 0 where there is none."""
        if not len(ranked.order):
            return 0.0
        slope, intercept = self._ranker.settings.content
        return float(1 / (1 + np.exp(-(slope * logit(self._ranker.mass(ranked, ranked.order[:AT].tolist())) + intercept))))

    def _ids(self, items: Sequence[int]) -> list[str]:
        return [self._ranker.ids[item] for item in items]

    def _why(self, item: int, by_chance: bool, history: Sequence[Deed], asked: np.ndarray | None) -> dict[str, Json]:
        """Return what speaks for an item; what chance brought into the list says so."""
        if by_chance:
            return {"kind": "chance"}
        because = self._ranker.why(item, history, asked)
        return {"kind": because.kind} if because.item is None else {"kind": because.kind, "item": self._ranker.ids[because.item]}


def deeds_of(input_: Mapping[str, Json], place: Mapping[str, int]) -> tuple[Deed, ...]:
    """Return the history; an item that has left the catalogue since it was checked is left out."""
    return tuple(Deed(place[deed["item"]], deed["did"]) for deed in input_["history"] if deed["item"] in place)


def _chance(input_: Json) -> np.random.Generator:
    text = json.dumps(input_, ensure_ascii=False, sort_keys=True)
    return np.random.default_rng(int.from_bytes(sha256(text.encode()).digest()[:8], "big"))
