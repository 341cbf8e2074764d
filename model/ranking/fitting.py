"""How a ranker learns: settings chosen, signals weighed by what people went on to like, then everything learned from all. It shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from model.ranking.contentment import contentment
from model.ranking.examination import examination, prior
from model.ranking.ranker import POOLED, START, Ranker, Settings
from model.ranking.signals import SIGNALS, damping, factors, neighbours, popularity, supported
from model.ranking.visits import Question, Visit, kept_back, likes_matrix
from model.ranking.weighing import AT, Choice, gained, sharpness, weighed

RIDGES = (30.0, 100.0, 300.0, 1000.0)
FACTORS = (8, 16, 32, 48)
"""What is tried."""
LEAST_QUESTIONS = 30
"""With fewer, nothing is chosen: Settings' defaults stand."""
_CHUNK = 64  # people whose signals are computed at once

Report = Callable[[int, int], None]


class Fitted(NamedTuple):
    """The ranker, and what was seen on the way: `tried` is NDCG@AT by what was tried, on the `questions` kept back."""

    ranker: Ranker
    tried: dict[str, float]
    questions: int


def fit(
    visits: Sequence[Visit], ids: Sequence[str], texts: np.ndarray, encode: Callable[[Sequence[str]], np.ndarray], *,
    places: int = AT, seed: int = 0, settings: Settings | None = None, asked: Sequence[Question] = (), report: Report = lambda *_: None,
) -> Fitted:  # fmt: skip
    """Learn a ranker. `texts`: (items, width), unit vectors of the items; `encode` gives those of what people wrote.

    `asked`: questions besides those that are kept back. With `settings` nothing is chosen or weighed. `places`: the length of a list.
    """
    looked = examination(visits, places) if any(visit.ranks for visit in visits) else prior(places)
    seen, questions = kept_back(visits)
    questions += asked
    chosen = settings or Settings()
    tried: dict[str, float] = {}
    report(0, 3)
    if settings is None:
        chosen, tried = choose(seen, questions, ids, texts, encode, looked, seed)
    report(2, 3)
    ranker = learned(visits, ids, texts, chosen, looked, seed)
    report(3, 3)
    return Fitted(ranker, tried, len(questions))


def learned(
    visits: Sequence[Visit], ids: Sequence[str], texts: np.ndarray, settings: Settings, looked: np.ndarray, seed: int
) -> Ranker:
    """Return the ranker of these settings over all visits."""
    likes = likes_matrix(visits, len(ids))
    return Ranker(
        tuple(ids), texts, supported(likes), neighbours(likes, settings.ridge), factors(likes, settings.factors, seed), damping(likes),
        popularity(visits, len(ids), looked), looked, settings,
    )  # fmt: skip


def choose(
    seen: Sequence[Visit], questions: Sequence[Question], ids: Sequence[str], texts: np.ndarray,
    encode: Callable[[Sequence[str]], np.ndarray], looked: np.ndarray, seed: int,
) -> tuple[Settings, dict[str, float]]:  # fmt: skip
    """Return the settings that answer the questions best, from the visits before them, and what each came to."""
    tried: dict[str, float] = {}
    answered = [question for question in questions if question.liked]
    ranker = learned(seen, ids, texts, Settings(), looked, seed)
    if len(answered) < LEAST_QUESTIONS:
        return _told(ranker, questions, encode), tried
    likes = likes_matrix(seen, len(ids))
    for ridge in RIDGES:
        ranker = replace(ranker, b=neighbours(likes, ridge))
        tried[f"neighbours ridge {ridge:g}"] = _alone("neighbours", ranker, answered, looked)
    ridge = max(RIDGES, key=lambda r: tried[f"neighbours ridge {r:g}"])
    for count in FACTORS:
        ranker = replace(ranker, v=factors(likes, count, seed))
        tried[f"factors {count}"] = _alone("factors", ranker, answered, looked)
    count = max(FACTORS, key=lambda c: tried[f"factors {c}"])
    ranker = replace(ranker, b=neighbours(likes, ridge), v=factors(likes, count, seed))
    choices = list(choices_of(ranker, answered, encode, looked))
    family, families = _family(choices)
    weights = tuple(map(float, weighed(choices, _start())))
    chosen = replace(ranker, settings=Settings(ridge, count, family, weights))
    chosen = replace(chosen, settings=replace(chosen.settings, sharpness=sharpness(choices, chosen.weights())))
    return _told(chosen, questions, encode), tried | families


def _told(ranker: Ranker, questions: Sequence[Question], encode: Callable[[Sequence[str]], np.ndarray]) -> Settings:
    """Return the ranker's settings with how sure it may say that it is."""
    listed = [question for question in questions if question.among]
    written = [encode([question.text])[0] if question.text else None for question in listed]
    return replace(ranker.settings, content=contentment(ranker, listed, written))


def _alone(name: str, ranker: Ranker, questions: Sequence[Question], looked: np.ndarray) -> float:
    """Return the NDCG@AT of one signal over the questions."""
    found = []
    for start in range(0, len(questions), _CHUNK):
        part = questions[start : start + _CHUNK]
        for question, of in zip(part, ranker.signals([q.history for q in part], names=[name])[:, :, 0], strict=True):
            among = np.asarray(question.among, dtype=int) if question.among else np.arange(len(of))
            choice = _choice(question, of[:, None], among, looked)
            closed = np.isin(among, [deed.item for deed in question.history])
            found.append(gained(choice, np.where(closed, -np.inf, choice.signals[:, 0])))
    return float(np.mean(found))


def _family(choices: Sequence[Choice]) -> tuple[str, dict[str, float]]:
    """Return the best of the families, and NDCG of each; the blend is judged on the half of the questions that did not weigh it."""
    found = {
        name: float(np.mean([gained(c, c.signals[:, i]) for c in choices])) for i, name in enumerate(SIGNALS) if name != "asked"
    }
    halves = (choices[0::2], choices[1::2])
    blended = []
    for half, other in (halves, halves[::-1]):
        weights = weighed(other, _start())
        blended += [gained(choice, choice.signals @ weights) for choice in half]
    found["blend"] = float(np.mean(blended))
    return max(found, key=lambda name: (found[name], name == "blend")), found


def _start() -> np.ndarray:
    return np.asarray([START[name] for name in SIGNALS])


def choices_of(
    ranker: Ranker, questions: Sequence[Question], encode: Callable[[Sequence[str]], np.ndarray], looked: np.ndarray
) -> Iterator[Choice]:
    """Yield each question with its candidates' signals: the list that was shown, else all open items (of many: see POOLED)."""
    for start in range(0, len(questions), _CHUNK):
        part = questions[start : start + _CHUNK]
        histories = [question.history for question in part]
        signals, open_ = (
            ranker.signals(histories, asked_of([q.text for q in part], encode, ranker.texts.shape[1])),
            ranker.open(histories),
        )
        for question, of, may in zip(part, signals, open_, strict=True):
            yield _choice(question, of, _candidates(question, of, may), looked)


def _choice(question: Question, signals: np.ndarray, candidates: np.ndarray, looked: np.ndarray) -> Choice:
    """Return the question over its candidates; `signals`: (n, signals)."""
    place = {item: i for i, item in enumerate(candidates.tolist())}
    at = np.asarray([place[item] for item in question.liked], dtype=int)
    examined = looked[np.minimum(question.places, len(looked) - 1)] if question.places else np.ones(len(at))
    return Choice(signals[candidates].astype(np.float64), at, question.weight / examined, bool(question.among))


def asked_of(texts: Sequence[str], encode: Callable[[Sequence[str]], np.ndarray], width: int) -> np.ndarray | None:
    """Return (texts, width): the texts' unit vectors, zeros for an empty one; None where all are empty."""
    written = [i for i, text in enumerate(texts) if text.strip()]
    if not written:
        return None
    found = np.zeros((len(texts), width), dtype=np.float32)
    found[written] = encode([texts[i] for i in written])
    return found


def _candidates(question: Question, signals: np.ndarray, open_: np.ndarray) -> np.ndarray:
    if question.among:
        return np.asarray(question.among, dtype=int)
    items = np.flatnonzero(open_)
    if len(items) <= POOLED:
        return np.union1d(items, np.asarray(question.liked, dtype=int))
    first = [items[np.argpartition(-column, POOLED)[:POOLED]] for column in signals[items].T]
    return np.unique(np.concatenate([*first, np.asarray(question.liked, dtype=int)]))
