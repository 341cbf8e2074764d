"""What a list's order does to what is learned from it, on simulated people whose taste and whose looking are known.

The click model is the position-based one of Joachims, Swaminathan, Schnabel, "Unbiased Learning-to-Rank with Biased Feedback",
WSDM 2017 (section 3): a like happens where the place is looked at, with probability (1/place)^eta, and the item is liked once seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from model.ranking.examination import examination, paired_likes, prior
from model.ranking.exploring import drawn, place_probabilities
from model.ranking.fitting import fit
from model.ranking.scores import ndcg
from model.ranking.visits import Policy, Visit
from model.ranking.weighing import Choice, weighed

ITEMS, LENGTH = 12, 8
LOOKED = (1.0 + np.arange(LENGTH)) ** -1.0  # eta = 1: what their experiments use
LIKED = np.linspace(0.15, 0.6, ITEMS)  # item 11 is liked best once it is seen; the ranking that was shown has it last
POLICY = Policy(0.3, ITEMS)


def lists(people: int, seed: int, policy: Policy = POLICY) -> list[Visit]:
    """Lists drawn from the worst ranking there is, 0 first and 11 last, and what simulated people liked in them."""
    random = np.random.default_rng(seed)
    visits = []
    for person in range(people):
        ranks = drawn(range(ITEMS), LENGTH, policy, random)
        likes = [i for place, i in enumerate(ranks) if random.random() < LOOKED[place] * LIKED[i]]
        visits.append(Visit(f"p{person}", liked=tuple(likes), shown=tuple(ranks), ranks=tuple(ranks), policy=policy))
    return visits


@pytest.fixture(scope="module")
def visits() -> list[Visit]:
    """What 8,000 people did."""
    return lists(8_000, 1)


def test_the_probability_of_a_place_is_exact() -> None:
    """The probabilities that are logged are the frequencies of drawing: standard scores of 12 x 8 cells stay below 4."""
    random = np.random.default_rng(3)
    count = np.zeros((ITEMS, LENGTH))
    draws = 20_000
    for _ in range(draws):
        for place, rank in enumerate(drawn(range(ITEMS), LENGTH, POLICY, random)):
            count[rank, place] += 1
    expected = draws * np.stack([place_probabilities(rank, LENGTH, POLICY) for rank in range(ITEMS)])
    assert np.allclose(expected.sum(axis=0), draws)  # somebody is at each place
    often = expected > 20  # where the binomial count is near enough to normal
    spread = np.sqrt(expected * (1 - expected / draws))
    assert often.sum() > 80
    assert np.abs((count - expected) / spread)[often].max() < 4.0  # of 96 normal scores any is beyond 4 with probability 0.6 %


def test_probabilities_without_chance_and_of_chance_alone() -> None:
    """epsilon 0 shows the ranking itself; epsilon 1 shows everything everywhere equally."""
    assert place_probabilities(3, LENGTH, Policy(0.0, ITEMS)).tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert np.allclose(place_probabilities(3, LENGTH, Policy(1.0, ITEMS)), 1 / ITEMS)
    assert not place_probabilities(ITEMS, LENGTH, POLICY).any()  # outside the pool


def test_examination_is_recovered(visits: list[Visit]) -> None:
    """From likes and logged probabilities alone the looking comes out, within 0.05 of 1/place (the simulation's own truth)."""
    assert np.abs(examination(visits, LENGTH) - LOOKED).max() < 0.05


def test_paired_likes_stand_to_each_other_as_the_examinations(visits: list[Visit]) -> None:
    """The two sides of a pair have expectations in the ratio of the examinations: here places 1 and 2, whose truth is 2 to 1."""
    pairs = paired_likes(visits, LENGTH)
    assert pairs[0, 1] / pairs[1, 0] == pytest.approx(2.0, rel=0.15)


def test_without_chance_nothing_is_claimed_of_places() -> None:
    """Where every list is the ranking itself nothing tells places from items: the assumption stands."""
    assert np.allclose(examination(lists(200, 5, Policy(0.0, ITEMS)), LENGTH), prior(LENGTH), atol=1e-6)


def test_counting_likes_learns_the_order_that_was_shown(visits: list[Visit]) -> None:
    """The naive count puts what was shown first above what is liked best; the corrected popularity has the true order's best."""
    counts = np.zeros(ITEMS)
    for visit in visits:
        np.add.at(counts, list(visit.liked), 1.0)
    naive = np.argsort(-counts, kind="stable").tolist()
    ids = [str(i) for i in range(ITEMS)]
    fitted = fit(visits, ids, np.eye(ITEMS, dtype=np.float32), lambda texts: np.zeros((len(texts), ITEMS)), places=LENGTH)
    ours = np.argsort(-fitted.ranker.popular, kind="stable").tolist()
    assert naive[0] == 0  # the least liked item is on top
    assert ours[0] in (10, 11)
    gains = {True: ndcg(ours, {9, 10, 11}, 3), False: ndcg(naive, {9, 10, 11}, 3)}
    assert gains[True] == 1.0
    assert gains[False] < 0.5
    truth = np.argsort(-LIKED).tolist()
    inversions = sum(ours.index(a) > ours.index(b) for i, a in enumerate(truth) for b in truth[i + 1 :])
    assert inversions <= 6  # of 66 pairs; neighbours in the truth differ by 0.04


class Shown(NamedTuple):
    """A list with two signals of each item: what the person likes by, and what the list was sorted by."""

    signals: np.ndarray
    liked: np.ndarray
    places: np.ndarray


def test_weights_follow_taste_and_not_the_order() -> None:
    """With likes weighed by 1 / P(looked at) the signal of taste wins; weighed alike, the signal that sorted the lists does."""
    random = np.random.default_rng(7)
    questions = []
    for _ in range(1500):
        taste, sorted_by = random.normal(size=(2, LENGTH))
        order = np.argsort(-(sorted_by + 0.5 * random.normal(size=LENGTH)))  # the ranking that was in force, with some chance
        signals = np.stack([taste, sorted_by], axis=1)[order]
        likes = np.flatnonzero(random.random(LENGTH) < LOOKED / (1 + np.exp(2.0 - signals[:, 0])))
        if len(likes):
            questions.append(Shown(signals, likes, likes))
    start = np.asarray([0.5, 0.5])
    naive = weighed([Choice(q.signals, q.liked, np.ones(len(q.liked)), True) for q in questions], start)
    ours = weighed([Choice(q.signals, q.liked, 1 / LOOKED[q.places], True) for q in questions], start)
    assert naive[1] >= naive[0]
    assert ours[0] > 2 * ours[1]
