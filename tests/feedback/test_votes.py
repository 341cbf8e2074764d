"""Votes: one a pair, its contributor's alone; equal answers cannot be better; a pair half in the log is told of."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from feedback.errors import BadInput, Conflict, NotFound
from feedback.experiments import Experiments
from feedback.pairs import Pairs
from feedback.records import Answer, Json, Pair, Visitor
from feedback.store import Duplicate, Store
from feedback.transfer import check_log
from tests.conftest import WordsModel
from tests.feedback.pairing import compare, compare_settings


@pytest.fixture
def pairs(store: Store, experiments: Experiments) -> Pairs:
    """Pairs over the fresh log, without limits."""
    return Pairs(store, WordsModel(), experiments)


@pytest.mark.parametrize("choice", ["left", "right", "both", "neither"])
def test_one_vote_a_pair(pairs: Pairs, store: Store, experiments: Experiments, ann: Visitor, choice: str) -> None:
    """The same vote again is the same vote; another one is a conflict in words; the log holds the first."""
    compare(experiments)
    shown = pairs.predict(ann, "one")
    first = pairs.vote(ann, shown.id, choice)
    assert pairs.vote(ann, shown.id, choice) == first
    with pytest.raises(Conflict, match=f"voted '{choice}' on this pair already"):
        pairs.vote(ann, shown.id, "left" if choice != "left" else "right")
    assert store.rows("SELECT pair_id, contributor, choice FROM votes") == [
        {"pair_id": shown.id, "contributor": "u_ann", "choice": choice}
    ]


def test_one_vote_is_a_rule_of_the_store(pairs: Pairs, store: Store, experiments: Experiments, ann: Visitor) -> None:
    """Of sixteen different votes at once one is stored, and whoever said the same hears no error; the key refuses the rest."""
    compare(experiments)
    shown = pairs.predict(ann, "one")

    def vote(n: int) -> str | None:
        try:
            return pairs.vote(ann, shown.id, ("left", "right")[n % 2]).choice
        except Conflict:
            return None

    with ThreadPoolExecutor(16) as pool:
        heard = list(pool.map(vote, range(16)))
    (row,) = store.rows("SELECT * FROM votes")
    assert sorted(heard, key=str) == sorted([row["choice"]] * 8 + [None] * 8, key=str)
    with pytest.raises(Duplicate):
        store.add(pairs.vote(ann, shown.id, row["choice"]))


def test_only_the_pairs_contributor_votes(
    pairs: Pairs, store: Store, experiments: Experiments, ann: Visitor, bob: Visitor
) -> None:
    """Another visitor, staff too, gets NotFound, as for a pair that is not there."""
    compare(experiments)
    shown = pairs.predict(ann, "one")
    for who, id_ in ((bob, shown.id), (Visitor("u_staff", staff="sue"), shown.id), (ann, "d_nowhere"), (ann, shown.left.id)):
        with pytest.raises(NotFound, match="was shown to you"):
            pairs.vote(who, id_, "left")
    assert store.rows("SELECT 1 FROM votes") == []


def test_a_vote_after_the_experiment_ended_counts(pairs: Pairs, store: Store, experiments: Experiments, ann: Visitor) -> None:
    """Who was shown a pair while it ran may vote later."""
    compare(experiments)
    shown = pairs.predict(ann, "one")
    experiments.act("e", "stop", "test")
    pairs.vote(ann, shown.id, "left")
    assert len(store.rows("SELECT 1 FROM votes")) == 1


def test_equal_answers_are_shown_and_cannot_be_better(pairs: Pairs, store: Store, experiments: Experiments, ann: Visitor) -> None:
    """Two answers that agree are a pair like any other; only both or neither may be voted, and nothing is voted by itself."""
    compare_settings(experiments)
    shown = pairs.predict(ann, "one")
    assert shown.same
    for choice in ("left", "right"):
        with pytest.raises(BadInput, match="available are both, neither"):
            pairs.vote(ann, shown.id, choice)
    assert store.rows("SELECT 1 FROM votes") == []
    assert pairs.vote(ann, shown.id, "both").choice == "both"


def test_equal_up_to_what_the_task_ignores_is_the_same(store: Store, experiments: Experiments, ann: Visitor) -> None:
    """A confidence inside an output is no difference: the task's canonical form decides."""

    class Sure(WordsModel):
        def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
            return Answer({"label": "v1", "confidence": version / 10}, 0.5)

    compare(experiments)
    assert Pairs(store, Sure(), experiments).predict(ann, "one").same


def test_bad_values_are_named(pairs: Pairs, experiments: Experiments, ann: Visitor) -> None:
    """Unknown choices, broken ids and inputs are refused in words."""
    compare(experiments)
    shown = pairs.predict(ann, "one")
    for choice in ("best", "", "LEFT"):
        with pytest.raises(BadInput, match="available are left, right, both, neither"):
            pairs.vote(ann, shown.id, choice)
    with pytest.raises(BadInput, match="cannot be stored"):
        pairs.vote(ann, "d_\ud800", "left")
    with pytest.raises(BadInput, match="at least one letter"):
        pairs.predict(ann, " ")


def test_the_check_finds_a_pair_without_its_prediction(
    pairs: Pairs, store: Store, experiments: Experiments, ann: Visitor
) -> None:
    """A pair whose right prediction is missing is told of, and cannot be voted on."""
    compare(experiments)
    shown = pairs.predict(ann, "one")
    assert check_log(store) == []
    store.add(Pair("d_half", "u_ann", "e", 1, shown.left.id, "p_nowhere"))
    assert check_log(store) == ["1 pairs without their row in predictions"]
    with pytest.raises(NotFound):
        pairs.vote(ann, "d_half", "both")
