"""The ranker on small made-up behaviour: what each signal knows, why an item stands where it does, files, and the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feedback.errors import BadInput
from model.ranking.fitting import choose, fit
from model.ranking.lists import edits_between, moved, raised, wanted
from model.ranking.ranker import Because, Ranker, Settings
from model.ranking.scores import ndcg, recall
from model.ranking.signals import SIGNALS, neighbours, supported
from model.ranking.visits import Deed, Visit, kept_back, likes_matrix

ITEMS = 10
IDS = [f"item{i}" for i in range(ITEMS)]


def vectors() -> np.ndarray:
    """Unit vectors: 8 and 9 are worded like 0; the others like nothing else."""
    found = np.eye(ITEMS, dtype=np.float32)
    found[8, 0] = found[9, 0] = 2.0
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def encode(texts: Sequence[str]) -> np.ndarray:
    """A text that names an item has its vector."""
    return np.stack([vectors()[int(text)] for text in texts])


def camps(people: int = 60) -> list[Visit]:
    """Half like 0 to 3, half like 4 to 7, each three of their four; 8 and 9 nobody has met."""
    random = np.random.default_rng(0)
    return [
        Visit(f"p{i}", liked=tuple((np.flatnonzero(random.permutation(4) < 3) + 4 * (i % 2)).tolist())) for i in range(people)
    ]


@pytest.fixture(scope="module")
def ranker() -> Ranker:
    """What is learned of the two camps."""
    return fit(camps(), IDS, vectors(), encode, settings=Settings(ridge=5.0, factors=2)).ranker


def test_neighbours_are_the_closed_form_of_ease(ranker: Ranker) -> None:
    """B minimises ||X - XB||^2 + ridge ||B||^2 with a zero diagonal (Steck, WWW 2019): its columns are ridge regressions."""
    x = likes_matrix(camps(), ITEMS).toarray()[:, :8].astype(float)
    for column in range(8):
        others = [i for i in range(8) if i != column]
        expected = np.linalg.solve(x[:, others].T @ x[:, others] + 5.0 * np.eye(7), x[:, others].T @ x[:, column])
        assert np.allclose(ranker.b[others, column], expected, atol=1e-4)


def test_both_ways_to_the_neighbours_agree() -> None:
    """With fewer people than items the inverse comes by Woodbury's identity: the same numbers."""
    likes = likes_matrix(camps(6), ITEMS)
    few = neighbours(likes, 3.0)
    x = likes[:, supported(likes)].toarray()
    p = np.linalg.inv(x.T @ x + 3.0 * np.eye(x.shape[1]))
    expected = -p / np.diag(p)[None, :]
    np.fill_diagonal(expected, 0.0)
    assert x.shape[0] < x.shape[1]
    assert np.allclose(few, expected, atol=1e-5)


def test_what_ones_camp_likes_comes_first(ranker: Ranker) -> None:
    """Who liked 4 and 5 is shown 6 and 7 first, because of one of them."""
    history = [Deed(4, "liked"), Deed(5, "liked")]
    order = ranker.rank(history).order.tolist()
    assert set(order[:2]) == {6, 7}
    assert 4 not in order
    assert 5 not in order
    assert ranker.why(order[0], history) in (Because("liked", 4), Because("liked", 5))


def test_an_item_that_nobody_met_is_found_by_its_text(ranker: Ranker) -> None:
    """8 and 9 are worded like 0: for who liked 0 they stand above the other camp's items, because of 0."""
    history = [Deed(0, "liked"), Deed(1, "liked"), Deed(2, "liked"), Deed(3, "liked")]
    order = ranker.rank(history).order.tolist()
    assert set(order[:2]) == {8, 9}
    assert ranker.why(8, history) == Because("liked", 0)


def test_what_is_dismissed_pushes_its_like_down(ranker: Ranker) -> None:
    """Dismissing 0 lowers 8, which is worded like it, and is no reason for anything."""
    text = replace(ranker, settings=Settings(family="text"))
    assert text.rank([Deed(0, "dismissed")]).order.tolist()[-2:] == [8, 9]
    assert ranker.why(8, [Deed(0, "dismissed")]).kind != "liked"


def test_what_is_written_counts(ranker: Ranker) -> None:
    """Without a history, what is worded like the interest comes first and says so."""
    asked = encode(["6"])[0]
    assert ranker.rank([], asked).order[0] == 6
    assert ranker.why(6, [], asked) == Because("asked")


def test_without_history_the_popular_comes_first() -> None:
    """Nothing is known of a new person but what others like; the items that nobody met stand last."""
    visits = [*camps(), *(Visit(f"q{i}", liked=(2, 3)) for i in range(30))]
    ranker = fit(visits, IDS, vectors(), encode, settings=Settings()).ranker
    order = ranker.rank([]).order.tolist()
    assert set(order[:2]) == {2, 3}
    assert set(order[-2:]) == {8, 9}
    assert ranker.why(order[0], []) == Because("popular")


def test_the_better_family_is_chosen() -> None:
    """With enough questions the choice is made by them: on the camps, behaviour beats popularity."""
    visits = camps(200)
    seen, questions = kept_back(visits)
    settings, tried = choose(seen, questions, IDS, vectors(), encode, np.ones(10), 0)
    assert settings.family in ("neighbours", "factors", "blend")
    assert tried[settings.family] == max(tried[name] for name in (*SIGNALS[:4], "blend"))
    assert tried["neighbours"] > tried["popularity"] + 0.1


def test_what_is_kept_back_is_not_seen() -> None:
    """No question's likes are among what the signals learn from for that person."""
    seen, questions = kept_back(camps())
    assert len(seen) == len(questions) == 60
    for visit, question in zip(seen, questions, strict=True):
        assert not set(visit.liked) & set(question.liked)
        assert {deed.item for deed in question.history} == set(visit.liked)


def test_files_bring_back_the_ranker(ranker: Ranker, tmp_path: Path) -> None:
    """What is loaded ranks as what was saved; a broken file is told in words."""
    ranker.save(tmp_path)
    again = Ranker.load(tmp_path)
    history = [Deed(1, "liked")]
    assert again.rank(history).order.tolist() == ranker.rank(history).order.tolist()
    assert again.settings == ranker.settings
    (tmp_path / "ranker.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match="no ranker"):
        Ranker.load(tmp_path)


def test_items_come_and_go(ranker: Ranker) -> None:
    """Over another catalogue the known items keep what was learned; a new one has its text alone."""
    ids = ["new", *reversed(IDS[:8])]
    texts = np.stack([vectors()[0], *reversed(vectors()[:8])])
    other = ranker.for_items(ids, texts)
    place = {id_: i for i, id_ in enumerate(ids)}
    order = [ids[i] for i in other.rank([Deed(place["item4"], "liked"), Deed(place["item5"], "liked")]).order]
    assert set(order[:2]) == {"item6", "item7"}
    camp = [Deed(place[f"item{i}"], "liked") for i in range(4)]
    assert other.rank(camp).order[0] == place["new"]


def test_ndcg_and_recall() -> None:
    """By hand: likes at places 1 and 3 of 4, three liked in all; (1 + 1/2) / (1 + 1/log2 3 + 1/2)."""
    assert ndcg(["a", "x", "b", "y"], {"a", "b", "c"}, 4) == pytest.approx(1.5 / (1.5 + 1 / np.log2(3)))
    assert recall(["a", "x", "b", "y"], {"a", "b", "c"}, 4) == pytest.approx(2 / 3)
    assert ndcg(["a"], set(), 3) == 0.0


def test_the_fewest_moves() -> None:
    """One item dragged to the top is one move, whatever it passes; a swap of neighbours is one."""
    assert moved("abcde", list("eabcd")) == ["e"]
    assert len(moved("abcde", list("abdce"))) == 1
    assert moved("abcde", list("abcde")) == []
    assert len(moved("abcde", list("edcba"))) == 4


def test_what_a_person_wants_of_a_list() -> None:
    """Likes and what was moved up; a dismissed item is none, wherever it stands."""
    said = {"items": ["c", "a", "d", "b"], "liked": ["b"], "dismissed": ["d"], "shown": ["a", "b", "c", "d"]}
    assert raised(said) in (["c", "d"], ["c"])
    assert wanted(said) == {"b", "c"}
    shown = {"items": ["a", "b", "c", "d"], "liked": [], "dismissed": []}
    assert edits_between(shown, shown) == 0
    assert edits_between(shown, {**said, "items": ["c", "a", "b", "d"]}) == 3  # a like, a dismissal, a move
