"""MovieLens (ml-latest-small) as a ranker sees it: ratings in time, cut into training and test, as visits or as a matrix. It ranks nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.common import ROOT
from model.ranking.visits import STRENGTH, Deed, Did, Visit

DATA = ROOT.parent / "shared" / "data" / "movielens_small"
LIKED, DISLIKED = 4.0, 2.0
"""Stars from which a film counts as liked, and up to which as dismissed; between them it was only seen."""
TEST = 0.2
PEOPLE = 671
"""As many as the README of the data set counts, numbered from 1."""


class Ratings(NamedTuple):
    """Ratings by person and in time. frame: user, item (numbers from 0), rating, timestamp; texts: of each item."""

    frame: pd.DataFrame
    texts: list[str]
    users: int


class Cut(NamedTuple):
    """Training ratings, and the liked test items of each user who has any: user -> items."""

    train: pd.DataFrame
    liked: dict[int, set[int]]


def read(directory: Path = DATA) -> Ratings:
    """Return all ratings of MovieLens; an item's text is its title and its genres.

    This copy has 22 rows more than its README: one person more, number 672, with 21 ratings of one second. They are left out.
    """
    films = pd.read_csv(directory / "movies.csv").sort_values("movieId")
    ratings = pd.read_csv(directory / "ratings.csv").sort_values(["userId", "timestamp", "movieId"], kind="stable")
    ratings = ratings[ratings["userId"] <= PEOPLE]
    place = {film: i for i, film in enumerate(films["movieId"])}
    people = {user: i for i, user in enumerate(sorted(ratings["userId"].unique()))}
    frame = pd.DataFrame(
        {
            "user": ratings["userId"].map(people),
            "item": ratings["movieId"].map(place),
            "rating": ratings["rating"],
            "timestamp": ratings["timestamp"],
        }
    ).reset_index(drop=True)
    texts = [f"{title}. {genres.replace('|', ', ')}" for title, genres in zip(films["title"], films["genres"], strict=True)]
    return Ratings(frame, texts, len(people))


def each_users_last(frame: pd.DataFrame, share: float = TEST) -> Cut:
    """Cut off the last share of each user's own ratings: what others did later is in the training part."""
    size = frame.groupby("user")["item"].transform("size")
    number = frame.groupby("user").cumcount()
    late = number >= size - np.maximum(1, (size * share).round())
    return _cut(frame[~late], frame[late])


def everybodys_last(frame: pd.DataFrame, share: float = TEST) -> Cut:
    """Cut all ratings at one moment: nothing later than it is known. Users without training ratings cannot be asked about."""
    late = frame["timestamp"] > frame["timestamp"].quantile(1 - share)
    return _cut(frame[~late], frame[late])


def _cut(train: pd.DataFrame, test: pd.DataFrame) -> Cut:
    known = set(train["user"])
    liked = test[(test["rating"] >= LIKED) & test["user"].isin(known)]
    return Cut(train, {user: set(map(int, group["item"])) for user, group in by_user(liked)})


def by_user(frame: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield each user with their rows."""
    for _, group in frame.groupby("user"):
        yield int(group["user"].iloc[0]), group


def did(rating: float) -> Did:
    """Return what a rating means."""
    return "liked" if rating >= LIKED else "dismissed" if rating <= DISLIKED else "clicked"


def visits(train: pd.DataFrame) -> list[Visit]:
    """Return one visit a user, without lists: what they liked in time, and the rest of what they saw."""
    found = []
    for user, group in by_user(train):
        deeds = [Deed(int(i), did(r)) for i, r in zip(group["item"], group["rating"], strict=True)]
        others = tuple(deed for deed in deeds if deed.did != "liked")
        found.append(Visit(str(user), others, tuple(deed.item for deed in deeds if deed.did == "liked")))
    return found


def histories(train: pd.DataFrame) -> dict[int, list[Deed]]:
    """Return all that each user did."""
    return {
        user: [Deed(int(i), did(r)) for i, r in zip(group["item"], group["rating"], strict=True)]
        for user, group in by_user(train)
    }


def matrix(train: pd.DataFrame, shape: tuple[int, int], *, likes_only: bool) -> sparse.csr_matrix:
    """Return (users, items): 1 for a liked film, and the STRENGTH of a click for one that was seen, unless likes_only."""
    kept = train[train["rating"] >= LIKED] if likes_only else train[train["rating"] > DISLIKED]
    values = [STRENGTH[did(r)] for r in kept["rating"]]
    return sparse.csr_matrix((np.asarray(values, dtype=np.float32), (kept["user"], kept["item"])), shape=shape)
