"""How well `model/ranking` foretells what people like next, beside popularity and a library's tuned matrix factorisation.

`python benchmarks/ranking.py --json docs/benchmarks/ranking.json`: MovieLens ml-latest-small (671 users; GroupLens, for research).
Liked is a rating of 4 stars and more. Each user's last 20 % by time are the test; of all films that the user had not rated before,
each model ranks ten; NDCG@10 and recall@10 are means over users with a liked film in the test. Differences come with 95 %
intervals of a bootstrap over users. Everything is chosen inside the training part, on its users' last 20 %: the popularity that
counts likes or ratings, the `implicit` library's ALS and BPR over the grids below, and what ours chooses by itself.

`cold`: films that nobody had rated in the training part, ranked among themselves; no behaviour knows them, so chance is the mark.
`time`: the same with one moment for everybody. In the first cut the others' later ratings are in the training part, which flatters
every model that learns from behaviour; the second cut has no such leak, and fewer users.

Needs the extra: pip install -e '.[ranking_benchmark]'.
"""

from __future__ import annotations

import importlib
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.common import arguments, table, write_json
from benchmarks.ranking_data import (
    DATA,
    LIKED,
    Cut,
    Ratings,
    by_user,
    each_users_last,
    everybodys_last,
    histories,
    matrix,
    read,
    visits,
)
from feedback.errors import BadInput
from model.base import DEFAULT_BASE
from model.embedding import Texts
from model.ranking.fitting import Fitted, fit
from model.ranking.scores import ndcg, recall

K = 10
RESAMPLES = 10_000
Grid = dict[str, tuple[object, ...]]
ALS_GRID: Grid = {
    "factors": (32, 64, 128),
    "regularization": (1.0, 10.0, 30.0, 100.0),
    "alpha": (1.0, 5.0),
    "likes_only": (True, False),
}
BPR_GRID: Grid = {"factors": (32, 64), "learning_rate": (0.01, 0.03), "regularization": (0.01, 0.05), "likes_only": (True, False)}
SMALL_ALS: Grid = {"factors": (64,), "regularization": (10.0, 30.0), "alpha": (1.0,), "likes_only": (True,)}
SMALL_BPR: Grid = {"factors": (64,), "learning_rate": (0.01,), "regularization": (0.05,), "likes_only": (True,)}

Scores = Callable[[list[int]], np.ndarray]
"""Users -> (users, items): the higher, the sooner shown."""


class Judged(NamedTuple):
    """NDCG@K and recall@K of each test user, in the order of the users."""

    ndcg: np.ndarray
    recall: np.ndarray


def implicit_models() -> tuple[Any, Any]:
    """Return the library's ALS and BPR; raise BadInput where it is not installed."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        als, bpr = importlib.import_module("implicit.cpu.als"), importlib.import_module("implicit.cpu.bpr")
    except ImportError as error:
        raise BadInput(f"the package implicit is missing: pip install -e '.[ranking_benchmark]' ({error})") from error
    return als.AlternatingLeastSquares, bpr.BayesianPersonalizedRanking


# -- judging -----------------------------------------------------------------------------------------------------------------


def judge(scores: Scores, cut: Cut, items: int, only: np.ndarray | None = None) -> Judged:
    """Rank for every test user what they had not rated (`only`: of these items), and compare with what they liked."""
    known = {user: group["item"].to_numpy() for user, group in by_user(cut.train)}
    allowed = np.ones(items, dtype=bool) if only is None else only
    found: list[tuple[float, float]] = []
    users = asked(cut, allowed)
    for start in range(0, len(users), 100):
        part = users[start : start + 100]
        for user, row in zip(part, np.asarray(scores(part), dtype=np.float64), strict=True):
            row = np.where(allowed, row, -np.inf)
            row[known[user]] = -np.inf
            liked = {item for item in cut.liked[user] if allowed[item]}
            best = np.argsort(-row, kind="stable")[:K].tolist()
            found.append((ndcg(best, liked, K), recall(best, liked, K)))
    return Judged(*np.asarray(found).reshape(-1, 2).T)


def asked(cut: Cut, allowed: np.ndarray) -> list[int]:
    """Return the users with a liked test item among those allowed."""
    return sorted(user for user, liked in cut.liked.items() if any(allowed[item] for item in liked))


def interval(differences: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of a mean over users, from RESAMPLES resamples of users."""
    random = np.random.default_rng(seed)
    means = [differences[random.integers(len(differences), size=len(differences))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


# -- the models --------------------------------------------------------------------------------------------------------------


def popularity(train: pd.DataFrame, items: int, *, likes_only: bool) -> Scores:
    """Return a model that shows everybody what most people liked (or rated)."""
    kept = train[train["rating"] >= LIKED] if likes_only else train
    counts = np.bincount(kept["item"], minlength=items).astype(float)
    return lambda users: np.tile(counts, (len(users), 1))


def factorised(kind: str, setting: Mapping[str, object], train: pd.DataFrame, shape: tuple[int, int]) -> Scores:
    """Return a model of the library, learned."""
    als, bpr = implicit_models()
    given = {key: value for key, value in setting.items() if key != "likes_only"}
    known = matrix(train, shape, likes_only=bool(setting["likes_only"]))
    more = {"iterations": 15} if kind == "als" else {"iterations": 200}
    model = (als if kind == "als" else bpr)(**given, **more, random_state=0, num_threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # advice about BLAS threads: OMP_NUM_THREADS is set by whoever runs this
        model.fit(known, show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


def best_popularity(inner: Cut, items: int) -> bool:
    """Return whether likes are the better count, by the training part's own last fifth."""
    likes, all_ = (judge(popularity(inner.train, items, likes_only=only), inner, items).ndcg.mean() for only in (True, False))
    return bool(likes >= all_)


def best_factorised(inner: Cut, shape: tuple[int, int], preset: str) -> tuple[str, dict[str, object], float]:
    """Return kind, setting and NDCG@K of the best model of the grids, by the training part's own last fifth."""
    grids = {"als": ALS_GRID, "bpr": BPR_GRID} if preset == "full" else {"als": SMALL_ALS, "bpr": SMALL_BPR}
    best: tuple[str, dict[str, object], float] = ("", {}, -1.0)
    for kind, grid in grids.items():
        of_kind = -1.0
        for values in product(*grid.values()):
            setting: dict[str, object] = dict(zip(grid, values, strict=True))
            value = float(judge(factorised(kind, setting, inner.train, shape), inner, shape[1]).ndcg.mean())
            of_kind = max(of_kind, value)
            if value > best[2]:
                best = (kind, setting, value)
        print(f"  {kind}: best NDCG@{K} of its grid on the training part's last fifth {of_kind:.4f}", flush=True)
    return best


def ours(fitted: Fitted, train: pd.DataFrame, family: str = "") -> Scores:
    """Return the ranker that was learned, or one of its families."""
    ranker = fitted.ranker
    if family:
        ranker = replace(ranker, settings=replace(ranker.settings, family=family))
    deeds = histories(train)
    return lambda users: ranker.signals([deeds[user] for user in users]) @ ranker.weights()


# -- a whole cut -------------------------------------------------------------------------------------------------------------


def measure(name: str, cut: Cut, ratings: Ratings, texts: np.ndarray, preset: str) -> dict[str, object]:
    """Choose, learn and judge everything on one cut; print its table; return the figures, named with `name` in front."""
    shape = (ratings.users, len(ratings.texts))
    inner = each_users_last(cut.train)
    kind, setting, _ = best_factorised(inner, shape, preset)
    begun = time.process_time()
    fitted = fit(visits(cut.train), [str(i) for i in range(shape[1])], texts, lambda _: np.zeros((0, texts.shape[1])))
    seconds = time.process_time() - begun
    models = {
        "ours": ours(fitted, cut.train),
        **{f"ours_{family}": ours(fitted, cut.train, family) for family in ("blend", "neighbours", "factors", "text")},
        "popularity": popularity(cut.train, shape[1], likes_only=best_popularity(inner, shape[1])),
        "mf": factorised(kind, setting, cut.train, shape),
    }
    judged = {model: judge(scores, cut, shape[1]) for model, scores in models.items()}
    figures: dict[str, object] = {
        "users": len(judged["ours"].ndcg), "mf_model": f"implicit {kind} {setting}", "ours_family": fitted.ranker.settings.family,
        "ours_weights": [round(w, 3) for w in fitted.ranker.settings.weights], "ours_fit_cpu_s": round(seconds, 1),
        "ours_tried": {key: round(value, 4) for key, value in fitted.tried.items()},
    }  # fmt: skip
    rows: list[list[object]] = []
    for model, result in judged.items():
        figures |= {f"ndcg_{model}": float(result.ndcg.mean()), f"recall_{model}": float(result.recall.mean())}
        low, high = interval(judged["ours"].ndcg - result.ndcg)
        more = judged["ours"].recall - result.recall
        rlow, rhigh = interval(more)
        if model != "ours":
            figures |= {f"ndcg_ours_minus_{model}": [low, high], f"recall_ours_minus_{model}": [rlow, rhigh]}
        shown = "" if model == "ours" else f"{low:+.4f} to {high:+.4f}"
        rows.append([model, float(result.ndcg.mean()), float(result.recall.mean()), shown])
    print(table(["model", f"NDCG@{K}", f"recall@{K}", "ours minus it, NDCG, 95 %"], rows), flush=True)
    best = max(("ours", "popularity", "mf"), key=lambda model: float(judged[model].ndcg.mean()))
    figures["best"] = best
    print(f"  best mean: {best}; ours is {fitted.ranker.settings.family}, MF is {kind} {setting}", flush=True)
    figures |= cold(models["ours"], cut, shape[1])
    return {f"{name}{key}": value for key, value in figures.items()}


def cold(scores: Scores, cut: Cut, items: int) -> dict[str, object]:
    """Judge on films that nobody had rated, among themselves, beside the mean of random orders."""
    only = np.ones(items, dtype=bool)
    only[cut.train["item"].unique()] = False
    users = asked(cut, only)
    if not users:
        return {"cold_users": 0}
    result = judge(scores, cut, items, only)
    random = np.random.default_rng(0)
    chance = np.mean([judge(lambda part: random.random((len(part), items)), cut, items, only).ndcg for _ in range(20)], axis=0)
    low, high = interval(result.ndcg - chance)
    share = float(np.mean([np.mean([only[item] for item in liked]) for liked in cut.liked.values()]))
    print(
        f"  cold: {int(only.sum())} films, {len(users)} users, {share:.1%} of what is liked; "
        f"NDCG@{K} {result.ndcg.mean():.4f}, chance {chance.mean():.4f}, difference {low:+.4f} to {high:+.4f}",
        flush=True,
    )
    return {
        "cold_films": int(only.sum()), "cold_users": len(users), "cold_share_of_liked": share,
        "cold_ndcg_ours": float(result.ndcg.mean()), "cold_ndcg_chance": float(chance.mean()), "cold_ours_minus_chance": [low, high],
        "cold_recall_ours": float(result.recall.mean()),
    }  # fmt: skip


def main() -> int:
    """Run the benchmark; print the tables, write the JSON."""
    options = arguments(__doc__, default_preset="full").parse_args()
    implicit_models()
    ratings = read(DATA)
    texts = Texts(DEFAULT_BASE).encode(ratings.texts)
    figures: dict[str, object] = {"preset": options.preset}
    for name, cut in (("", each_users_last(ratings.frame)), ("time_", everybodys_last(ratings.frame))):
        print(f"{'each user has a last fifth' if not name else 'one moment for everybody'}: {len(cut.liked)} users", flush=True)
        figures |= measure(name, cut, ratings, texts, options.preset)
    write_json(options.json, figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
