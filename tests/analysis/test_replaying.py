"""Which corrections are replayed, and how often a model is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from analysis.replaying import Replayer
from feedback.records import Correction, Experiment, Json, Prediction, Review, Use, Variant, input_hash, new_id
from feedback.store import Store

ARMS = (Variant("champion", 1, 0.5), Variant("b", 2, 0.5))
EXPERIMENT = Experiment("x", 1, "running", ARMS)


class Model:
    """Version n answers "v<n>"; it remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, list[Json]]] = []

    def answers(self, version: int, inputs: Sequence[Json], settings: Mapping[str, float]) -> list[Json]:
        """Answer."""
        self.asked.append((version, list(inputs)))
        return [f"v{version}"] * len(inputs)


def correct(store: Store, who: str, text: str, output: str, *, shown: str = "champion", verdict: str = "accept") -> str:
    """Store a prediction of experiment x with its correction, judged; return the correction's id."""
    made = Prediction(new_id("p"), who, "x", 1, shown, 1, text, input_hash(text), "out", 0.5, 20.0)
    said = Correction(new_id("c"), made.id, who, output, False)
    store.add(made)
    store.add(said)
    if verdict:
        store.add(Review(new_id("r"), said.id, verdict, None, "ann"))  # type: ignore[arg-type]
    return said.id


def replayer(store: Store, model: Model) -> Replayer:
    """Return a replayer for which an answer is right or wholly wrong."""
    return Replayer(store.frame, model.answers, lambda answer, truth: float(answer != truth))


def test_accepted_corrections_that_taught_nobody_count_once(store: Store) -> None:
    """Pending, rejected, used for training or for a gate: out. The same truth by two people: once."""
    for index in range(22):
        correct(store, f"u{index}", f"text {index}", "v2")
    correct(store, "late", "text 0", "v2")
    correct(store, "p", "pending", "v2", verdict="")
    correct(store, "r", "rejected", "v2", verdict="reject")
    for part in ("train", "gate"):
        store.add(Use(correct(store, part, part, "v2"), 2, "s", part))
    said = replayer(store, Model()).replay(EXPERIMENT)
    assert (said.items, said.users) == (22, 22)


def test_the_variant_that_knows_the_truth_wins(store: Store) -> None:
    """30 people corrected to what version 2 says, 5 to what version 1 says: b is right more often by 25 of 35."""
    for index in range(35):
        correct(store, f"u{index}", f"text {index}", "v2" if index < 30 else "v1", shown="b" if index % 2 else "champion")
    said = replayer(store, Model()).replay(EXPERIMENT)
    assert said.challengers[0].right.overall.difference == pytest.approx(25 / 35)


def test_a_page_that_is_looked_at_again_asks_nothing_twice(store: Store) -> None:
    """A second look asks for the new correction's answers alone."""
    model = Model()
    asker = replayer(store, model)
    correct(store, "a", "one", "v1")
    asker.replay(EXPERIMENT)
    asker.replay(EXPERIMENT)
    correct(store, "b", "two", "v1")
    asker.replay(EXPERIMENT)
    assert model.asked == [(1, ["one"]), (2, ["one"]), (1, ["two"]), (2, ["two"])]


def test_no_correction_is_no_number_and_no_question(store: Store) -> None:
    """An empty log: the model is not asked."""
    model = Model()
    said = replayer(store, model).replay(EXPERIMENT)
    assert (said.items, model.asked) == (0, [])
