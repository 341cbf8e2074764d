"""Side by side: two different variants, in an order that tells nothing, stored as one, and shown to the right visitors."""

from __future__ import annotations

import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from math import sqrt

import pytest

from feedback.desk import Desk
from feedback.errors import Busy, Conflict, NotFound
from feedback.experiments import Experiments
from feedback.pairs import NoPairs, Pairs
from feedback.records import Answer, Experiment, Json, Variant, Visitor
from feedback.store import Store
from feedback.transfer import check_log
from tests.conftest import WordsModel
from tests.feedback.pairing import NAMES, compare, labels


@pytest.fixture
def pairs(store: Store, experiments: Experiments) -> Pairs:
    """Pairs over the fresh log, without limits."""
    return Pairs(store, WordsModel(), experiments)


# -- what is shown and stored


def test_two_variants_answer_and_all_is_stored(pairs: Pairs, store: Store, experiments: Experiments, ann: Visitor) -> None:
    """A pair is two forced predictions outside of the count of arms, and the row that joins them to its experiment."""
    compare(experiments)
    shown = pairs.predict(ann, "one")
    assert sorted(labels(shown)) == ["v1", "v2"]
    assert not shown.same
    assert store.rows("SELECT id, contributor, experiment, experiment_number, left_prediction, right_prediction FROM pairs") == [
        {"id": shown.id, "contributor": "u_ann", "experiment": "e", "experiment_number": 1,
         "left_prediction": shown.left.id, "right_prediction": shown.right.id}
    ]  # fmt: skip
    rows = store.rows("SELECT variant, version, forced, experiment FROM predictions ORDER BY version")
    assert rows == [{"variant": NAMES[i], "version": i + 1, "forced": True, "experiment": ""} for i in range(2)]
    assert store.rows("SELECT 1 FROM exposures") == []
    assert check_log(store) == []


def test_the_order_is_shuffled(pairs: Pairs, experiments: Experiments, ann: Visitor) -> None:
    """Over 400 pairs from the system's entropy each variant is on the left half the time, even with shares of .95 and .05.

    Binomial(400, 1/2) has a standard deviation of sqrt(400/4) = 10; the bounds are 6 of them away: 2 in a billion runs.
    """
    compare(experiments, 0.95, 0.05)
    first = sum(labels(pairs.predict(ann, "one"))[0] == "v1" for _ in range(400))
    assert 140 <= first <= 260


def test_more_than_two_are_drawn_by_share(store: Store, experiments: Experiments, ann: Visitor) -> None:
    """Of shares .6, .3, .1 and 0 two different ones are drawn by share without putting back; which is left is a fair coin.

    The chance to be in a pair is p_i + sum over j of p_j p_i / (1 - p_j): draw i first, or j first and i of the rest.
    """
    compare(experiments, 0.6, 0.3, 0.1, 0.0)
    pairs = Pairs(store, WordsModel(), experiments, chance=random.Random(7))
    drawn = [labels(pairs.predict(ann, "one")) for _ in range(400)]
    share = {"v1": 0.6, "v2": 0.3, "v3": 0.1}
    assert all(left != right for left, right in drawn)
    assert {label for pair in drawn for label in pair} == set(share)
    for label, p in share.items():
        chance = p + sum(q * p / (1 - q) for other, q in share.items() if other != label)
        within = [pair for pair in drawn if label in pair]
        assert abs(len(within) / 400 - chance) < 4 * sqrt(chance * (1 - chance) / 400), label
        left = sum(pair[0] == label for pair in within)
        assert abs(left / len(within) - 0.5) < 4 * sqrt(0.25 / len(within)), label


def test_a_pair_is_stored_whole_or_not_at_all(store: Store, experiments: Experiments, ann: Visitor) -> None:
    """Where the second model is busy nothing of the pair is in the log."""

    class OneBusy(WordsModel):
        def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
            if version == 2:
                raise Busy("full")
            return super().predict(version, input_, settings)

    compare(experiments)
    with pytest.raises(Busy):
        Pairs(store, OneBusy(), experiments).predict(ann, "one")
    counts = store.rows("SELECT (SELECT count(*) FROM pairs) AS d, (SELECT count(*) FROM predictions) AS p")
    assert counts == [{"d": 0, "p": 0}]


def test_either_answer_is_corrected_at_the_desk(
    pairs: Pairs, desk: Desk, experiments: Experiments, ann: Visitor, bob: Visitor
) -> None:
    """Both predictions are the contributor's own, before and after the vote; a confirmation counts for the variant's answer."""
    compare(experiments)
    shown = pairs.predict(ann, "one")
    assert not desk.correct(ann, shown.left.id, {"label": "v3"})[0].confirmation
    pairs.vote(ann, shown.id, "neither")
    assert desk.correct(ann, shown.right.id, shown.right.output)[0].confirmation
    with pytest.raises(NotFound):
        desk.correct(bob, shown.left.id, {"label": "v3"})


# -- who is shown a pair


@pytest.mark.parametrize(
    "state", ["none", "declared", "paused", "stopped", "decided", "assigned", "one share", "forced", "coverage"]
)
def test_without_such_an_experiment_one_answer_is_asked_for(
    pairs: Pairs, store: Store, experiments: Experiments, state: str
) -> None:
    """No side-by-side experiment that runs for this visitor: a conflict that says what to do, and nothing is stored."""
    visitor = Visitor("u_ann", staff="sue", forced_variant="zebra") if state == "forced" else Visitor("u_ann")
    if state == "declared":
        variants = (Variant("zebra", 1, 0.5), Variant("quagga", 2, 0.5))
        experiments.declare(Experiment("e", 1, "declared", variants, mode="side_by_side"), start=False)
    elif state == "assigned":
        experiments.declare(Experiment("e", 1, "running", (Variant("zebra", 1, 0.5), Variant("quagga", 2, 0.5))))
    elif state != "none":
        compare(experiments, *((1.0, 0.0) if state == "one share" else ()), coverage=0.0 if state == "coverage" else 1.0)
    if state in ("paused", "stopped"):
        experiments.act("e", {"paused": "pause", "stopped": "stop"}[state], "test")
    if state == "decided":
        experiments.decide("e", "zebra", "test", "enough")
    with pytest.raises(NoPairs, match="ask for one answer") as refused:
        pairs.predict(visitor, "one")
    assert isinstance(refused.value, Conflict)
    assert store.rows("SELECT 1 FROM predictions") == []


def test_coverage_takes_a_part_of_the_visitors(pairs: Pairs, experiments: Experiments) -> None:
    """With coverage .3 about 30 % of 200 visitors are shown pairs (4 binomial standard errors), and a ramp moves nobody out."""
    compare(experiments, coverage=0.3)

    def shown() -> set[str]:
        who = set()
        for n in range(200):
            try:
                pairs.predict(Visitor(f"u_{n}"), "one")
                who.add(f"u_{n}")
            except NoPairs:
                pass
        return who

    few = shown()
    assert abs(len(few) / 200 - 0.3) < 4 * sqrt(0.3 * 0.7 / 200)
    experiments.change("e", {"coverage": 0.6}, "test")
    assert few < shown()


# -- retries


def test_a_retry_with_its_key_is_the_same_pair(pairs: Pairs, store: Store, experiments: Experiments, ann: Visitor) -> None:
    """The same key gives the first pair in the first order, even after the experiment stopped; another input is a conflict."""
    compare(experiments)
    first = pairs.predict(ann, "one", key="k")
    for _ in range(8):
        again = pairs.predict(ann, "one", key="k")
        assert (again.id, again.left.id, again.left.output, again.right.output) == (
            first.id, first.left.id, first.left.output, first.right.output,
        )  # fmt: skip
    with pytest.raises(Conflict, match="different request"):
        pairs.predict(ann, "two", key="k")
    experiments.act("e", "stop", "test")
    assert pairs.predict(ann, "one", key="k").id == first.id
    with pytest.raises(NoPairs):
        pairs.predict(ann, "one", key="another")
    assert store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 2


def test_many_retries_at_once_are_one_pair(pairs: Pairs, store: Store, experiments: Experiments, ann: Visitor) -> None:
    """Sixteen simultaneous calls with one key get one pair, in one order."""
    compare(experiments)
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: pairs.predict(ann, "one", key="k"), range(16)))
    assert len({(shown.id, *labels(shown)) for shown in made}) == 1
    assert store.rows("SELECT count(*) AS n FROM pairs")[0]["n"] == 1


def test_no_key_of_a_single_prediction_leads_to_a_pairs(pairs: Pairs, desk: Desk, experiments: Experiments, ann: Visitor) -> None:
    """The key that made a pair makes another prediction at the desk: what that names is not the pair's variant."""
    compare(experiments)
    shown = pairs.predict(ann, "one", key="k")
    assert desk.predict(ann, "one", key="k").id not in (shown.left.id, shown.right.id)
