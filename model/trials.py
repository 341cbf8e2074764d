"""One trial of a search: settings to a score on items that neither train nor gate, and two settings against each other.

It knows no study: who proposes settings, and when a search ends, is search.py's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from feedback.demo import Demo
from feedback.errors import AmendError
from feedback.records import Example
from model.answering import Answerer
from model.base import Model
from model.job import Job
from model.network_task import NetworkTask
from model.paired import LEVEL, Paired, paired_counts
from model.parts import Parts
from model.progress import Progress
from model.recipe import settings_of, train_seed
from model.tracking import open_track

LEAST = 50
"""Items that `choosing` needs for a search to go by them; with fewer, a part of the training data is held out besides."""
FOLD = 0.2
RUNGS = (0.25, 0.5, 0.75)
"""When a trial says how it does, as shares of its steps. By epochs, a short trial, whose rate has fallen further by then, would
look better than a long one; at the same share of the steps both stand at the same place of their schedule."""
Values = Mapping[str, int | float]
"""Settings by key of [training]."""


class OutOfTime(AmendError):
    """The search's minutes are over."""

    title = "Out of time"


class Items(NamedTuple):
    """Who learns and who judges: `trials` train on `learning` and are judged on `judging`; the last comparison trains on
    `fresh_learning` and judges on `fresh`, which judged no trial. None of them judges at the gate. `words` says which they are.
    """

    learning: list[Example]
    judging: list[Example]
    fresh_learning: list[Example]
    fresh: list[Example]
    words: str


def items_of(parts: Parts) -> Items:
    """Deal out a search's items: the seed's training part, and the third of validation that the gate never uses."""
    fresh = [e for e in parts.train if _place(e) < FOLD]
    rest = [e for e in parts.train if _place(e) >= FOLD]
    if len(parts.choosing) >= LEAST:
        words = f"{len(parts.choosing)} validation items that the gate never uses"
        return Items(parts.train, parts.choosing, rest, fresh, words)
    held = [e for e in rest if _place(e) < 2 * FOLD]
    learning = [e for e in parts.train if not FOLD <= _place(e) < 2 * FOLD]
    words = (
        f"{len(held)} items held out of the training data, and the {len(parts.choosing)} validation items that the gate never "
        f"uses (alone too few: {LEAST} are asked for)"
    )
    return Items(learning, [*held, *parts.choosing], rest, fresh, words)


def _place(example: Example) -> float:
    """Return a third place in [0, 1) of a hash, independent of bucket_of and second_place: the 32 bits after theirs."""
    return int(example.input_hash[16:24], 16) / 2**32


class Watch(Progress):
    """The progress of one trial: at each rung it judges the model as it is, and it ends the training when the time is over.

    `tell(rung, score)` may raise to end the trial. `judge(model)` must leave the model as it found it.
    """

    def __init__(self, deadline: float, judge: Callable[[Model], float], tell: Callable[[int, float], None]) -> None:
        super().__init__(None)
        self._deadline = deadline
        self._judge = judge
        self._tell = tell

    def step(self, done: int, total: int, loss: float | None) -> None:
        """Look at the clock; at a rung, judge."""
        super().step(done, total, loss)
        if time.monotonic() > self._deadline:
            raise OutOfTime("the minutes of this search are over")
        rungs = [round(share * total) for share in RUNGS]
        if self._stage == "training" and done in rungs and done < total and self.track.model is not None:
            score = self._judge(self.track.model)
            self.track.numbers(done, {"search/score": score})
            self._tell(rungs.index(done), score)


class Trials:
    """Trains and judges settings of one demo and method on one set of items. `tracking`: where each trial's curves go;
    `held_out`: input hashes of the seed's validation and test parts.
    """

    def __init__(
        self, demo: Demo, task: NetworkTask, method: str, items: Items, held_out: frozenset[str], tracking: Path
    ) -> None:
        self.items = items
        self._held_out = held_out
        self._demo = demo
        self._task = task
        self._method = method
        self._tracking = tracking

    def score(self, name: str, values: Values, deadline: float, tell: Callable[[int, float], None]) -> float:
        """Train with these settings; return the main score (0..1) on the judging items. Raises OutOfTime, and what `tell` raises."""
        truth = [e.output for e in self.items.judging]

        def judge(model: Model) -> float:
            return self._task.score(truth, self._answers(model, self.items.judging))["main"]

        watch = Watch(deadline, judge, tell)
        return self._trained(name, values, self._demo.training.seed, self.items.learning, watch, judge)[1]

    def against(self, values: Values, defaults: Values, seed: int, deadline: float) -> Paired:
        """Train both settings with one seed on the comparison's items; return their counts on its fresh ones, defaults first."""
        sides = []
        for name, chosen in (("defaults", defaults), ("best", values)):
            watch = Watch(deadline, lambda _: 0.0, lambda *_: None)
            model = self._trained(f"{name}-seed-{seed}", chosen, seed, self.items.fresh_learning, watch, lambda _: 0.0)[0]
            sides.append(self._answers(model, self.items.fresh))
        return paired_counts(self._task, [e.output for e in self.items.fresh], sides[0], sides[1])

    def _trained(
        self, name: str, values: Values, seed: int, learning: list[Example], watch: Watch, judge: Callable[[Model], float]
    ) -> tuple[Model, float]:
        training = self._demo.training.model_copy(update={**values, "method": self._method, "seed": seed})
        demo = self._demo.model_copy(update={"training": training})
        settings = settings_of(demo, Job(str(demo.path), "", method=self._method))
        others = self._held_out | {e.input_hash for e in (*self.items.judging, *self.items.fresh)}
        watch.track = open_track(self._tracking / name, demo)
        try:
            watch.track.begin({**settings._asdict(), "kind": "trial", "learns_from": len(learning)})
            model = train_seed(demo, self._task, Parts(learning, [], [], [], held_out=frozenset(others)), settings, watch).model
            score = judge(model)
            watch.track.ended({"search": {"main": score}}, None, "")
        finally:
            watch.track.close()
        return model, score

    def _answers(self, model: Model, items: Sequence[Example]) -> list[Any]:
        """Return the outputs; a network in training goes on as it was."""
        was, answers = model.network.training, []
        model.network.eval()
        for start in range(0, len(items), 128):
            part = items[start : start + 128]
            answers += Answerer(self._task, model).answer([e.input for e in part], [{}] * len(part))
        model.network.train(was)
        return [answer.output for answer in answers]


class Compared(NamedTuple):
    """The best settings against the defaults on fresh items. Scores 0..1, means over `seeds` trainings of each side.

    `noise`: what `gain` must exceed: 1.645 standard errors (one-sided 5 %), from the items and, with two seeds or more, from the seeds.
    """

    score: float
    defaults: float
    gain: float
    noise: float
    seeds: int
    items: int

    @property
    def better(self) -> bool:
        """Whether the gain is more than noise: never from one seed alone."""
        return self.seeds > 1 and self.gain > self.noise


def compared(pairs: Sequence[Paired]) -> Compared:
    """Return what paired trainings say, one Paired a seed, all over the same items.

    The items' error is that of the counts summed over seeds, so an item that the same side gets right with every seed counts
    as one item. The seeds' error is the standard deviation of their differences over the root of their number.
    """
    each = [pair.difference() for pair in pairs]
    summed = replace(pairs[0], by_label=np.sum([pair.by_label for pair in pairs], axis=0))
    seeds = float(np.std(each, ddof=1)) / len(each) ** 0.5 if len(each) > 1 else 0.0
    noise = float(norm.ppf(1 - LEVEL)) * float(np.hypot(summed.standard_error(), seeds))
    scores = [[_f1(side) for side in (pair.champion, pair.candidate)] for pair in pairs]
    before, after = (float(np.mean(column)) for column in zip(*scores, strict=True))
    return Compared(after, before, after - before, noise, len(each), len(summed))


def _f1(counts: np.ndarray) -> float:
    tp, fp, fn = counts.sum(axis=0)
    return float(2 * tp / (2 * tp + fp + fn)) if tp + fp + fn else 1.0
