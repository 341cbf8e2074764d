"""The benchmark of rankings measures what it says: cuts without a leak, rankings of unseen items, intervals over users."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.ranking import interval, judge, popularity
from benchmarks.ranking_data import DATA, Cut, each_users_last, everybodys_last, histories, read, visits
from benchmarks.recommend_people import people
from tests.conftest import ROOT


def frame() -> pd.DataFrame:
    """Two people with ten ratings each, the second later than the first."""
    rows = [(u, i, 5.0 if i % 2 else 1.0, 100 * u + i) for u in (0, 1) for i in range(10)]
    return pd.DataFrame(rows, columns=["user", "item", "rating", "timestamp"])


def test_each_user_keeps_their_first_four_fifths() -> None:
    """The last two of ten are cut off, of each; only liked ones are asked for."""
    cut = each_users_last(frame())
    assert cut.train.groupby("user").size().tolist() == [8, 8]
    assert cut.liked == {0: {9}, 1: {9}}


def test_at_one_moment_nothing_later_is_known() -> None:
    """Every training rating is older than every test rating, and who has no training rating is not asked."""
    cut = everybodys_last(frame(), 0.5)
    assert set(cut.train["user"]) == {0}
    assert cut.liked == {}


def test_what_was_rated_is_not_ranked() -> None:
    """The best score is of an item that the user knows: it does not count, and the next one has the first place."""
    cut = Cut(pd.DataFrame({"user": [0], "item": [0], "rating": [5.0]}), {0: {1}})
    result = judge(lambda users: np.asarray([[3.0, 2.0, 1.0]]), cut, 3)
    assert (result.ndcg.tolist(), result.recall.tolist()) == ([1.0], [1.0])
    only = np.asarray([True, False, True])
    assert len(judge(lambda users: np.asarray([[3.0, 2.0, 1.0]]), cut, 3, only).ndcg) == 0  # the liked one is not among them


def test_popularity_counts() -> None:
    """Likes or ratings, the same for everybody."""
    train = pd.DataFrame({"user": [0, 1, 2], "item": [0, 0, 1], "rating": [1.0, 1.0, 5.0]})
    assert popularity(train, 2, likes_only=False)([0])[0].tolist() == [2.0, 1.0]
    assert popularity(train, 2, likes_only=True)([0])[0].tolist() == [0.0, 1.0]


def test_the_interval_is_that_of_a_mean() -> None:
    """For many users it is near mean -+ 1.96 s / sqrt(n), the normal interval."""
    values = np.random.default_rng(0).normal(0.3, 1.0, size=2000)
    low, high = interval(values)
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - error, abs=0.005)
    assert high == pytest.approx(values.mean() + error, abs=0.005)


def test_movielens_becomes_visits() -> None:
    """The real set, where it is there: 100,004 ratings by 671 people, each one visit in time, nobody's test items in it."""
    if not DATA.exists():
        pytest.skip(f"{DATA} is not here: the data set is not part of the project")
    ratings = read()
    assert (len(ratings.frame), ratings.users, len(ratings.texts)) == (100_004, 671, 9_125)
    cut = each_users_last(ratings.frame)
    by_user = {int(visit.user): visit for visit in visits(cut.train)}
    for user, liked in cut.liked.items():
        assert not liked & {*by_user[user].liked, *(deed.item for deed in by_user[user].history)}
    assert len(histories(cut.train)) == 671


def test_the_starter_people_are_made_up_again() -> None:
    """The demo's behaviour is what its generator writes, name by name: nobody's data is in it."""
    ids = [
        json.loads(line)["id"] for line in (ROOT / "demos" / "recommend.catalogue.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    written = [json.loads(line) for line in (ROOT / "demos" / "recommend.jsonl").read_text(encoding="utf-8").splitlines()]
    assert people(ids) == written
    assert len(ids) == 120
