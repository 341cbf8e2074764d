"""What people did with items, as a ranker learns from it: visits, who liked what, and what is kept back to judge by. It learns nothing.

Items are numbers, 0..n-1, in the order of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import sparse

Did = Literal["liked", "raised", "clicked", "dismissed"]
DONE: tuple[Did, ...] = ("liked", "raised", "clicked", "dismissed")
STRENGTH: dict[Did, float] = {"liked": 1.0, "raised": 0.5, "clicked": 0.3, "dismissed": -0.3}
"""How much a deed says of a person's taste, for the signals that add deeds up. Negative ones count in the text signal alone."""
KEPT_BACK = 0.2
"""The share of what a person liked last, without lists, that is kept back to choose settings and to weigh the signals by."""


class Deed(NamedTuple):
    """What a person did with an item."""

    item: int
    did: Did


class Policy(NamedTuple):
    """How a list was drawn from a ranking: see exploring.py. `epsilon` in 0..1, `pool` items of the ranking could be shown."""

    epsilon: float
    pool: int


NO_CHANCE = Policy(0.0, 0)
"""Nothing was left to chance: the list is the ranking's beginning."""


class Visit(NamedTuple):
    """What one person did at one time, after `history`.

    `shown`: the items of the list in its order, () where the behaviour came without lists. `ranks`: of each shown item the place,
    from 0, that the ranking itself gave it, () where that is not known. `liked` and `dismissed` in the order of time;
    `raised`: what was moved up in the list.
    """

    user: str
    history: tuple[Deed, ...] = ()
    liked: tuple[int, ...] = ()
    dismissed: tuple[int, ...] = ()
    raised: tuple[int, ...] = ()
    shown: tuple[int, ...] = ()
    ranks: tuple[int, ...] = ()
    policy: Policy = NO_CHANCE
    text: str = ""
    weight: float = 1.0


class Question(NamedTuple):
    """A person as they were before something that is known: what they `liked` (nothing, perhaps) and `dismissed`.

    `among`: the items that were shown; (): all that `history` does not name. `places`: of each liked item its place in the list,
    from 0; () where there was no list.
    """

    history: tuple[Deed, ...]
    liked: tuple[int, ...]
    among: tuple[int, ...] = ()
    places: tuple[int, ...] = ()
    text: str = ""
    weight: float = 1.0
    dismissed: tuple[int, ...] = ()


def deeds_by_user(visits: Iterable[Visit]) -> dict[str, dict[int, Did]]:
    """Return of each person what they did with each item; the last deed counts."""
    found: dict[str, dict[int, Did]] = {}
    for visit in visits:
        known = found.setdefault(visit.user, {})
        known.update({deed.item: deed.did for deed in visit.history})
        known.update(dict.fromkeys(visit.raised, "raised"))
        known.update(dict.fromkeys(visit.dismissed, "dismissed"))
        known.update(dict.fromkeys(visit.liked, "liked"))
    return found


def likes_matrix(visits: Iterable[Visit], items: int) -> sparse.csr_matrix:
    """Return (people, items): the STRENGTH of what people liked or clicked, 0 elsewhere."""
    rows = list(deeds_by_user(visits).values())
    entries = [(u, item, STRENGTH[did]) for u, row in enumerate(rows) for item, did in row.items() if STRENGTH[did] > 0]
    people, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    return sparse.csr_matrix((np.asarray(values, dtype=np.float32), (people, columns)), shape=(len(rows), items))


def profiles(histories: Sequence[Sequence[Deed]], items: int) -> sparse.csr_matrix:
    """Return (histories, items): the STRENGTH of each deed."""
    entries = [(i, deed.item, STRENGTH[deed.did]) for i, history in enumerate(histories) for deed in history]
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    return sparse.csr_matrix((np.asarray(values, dtype=np.float32), (rows, columns)), shape=(len(histories), items))


def question_of(visit: Visit) -> Question:
    """Return what a visit with a list asks: which of the shown are liked."""
    place = {item: i for i, item in enumerate(visit.shown)}
    liked = tuple(item for item in visit.liked if item in place)
    places = tuple(place[item] for item in liked)
    return Question(visit.history, liked, visit.shown, places, visit.text, visit.weight, visit.dismissed)


def kept_back(visits: Sequence[Visit]) -> tuple[list[Visit], list[Question]]:
    """Return what the signals may see while they are weighed, and the questions to weigh them by.

    Kept back is the last KEPT_BACK of what a person liked (of three likes and more). Of those whose last visit has a list, every
    second one's list is kept back whole: most have no other, and then the signals would know of no list at all.
    """
    last = {visit.user: number for number, visit in enumerate(visits)}
    listed = [number for number in last.values() if visits[number].shown]
    asks = set(listed[::2])
    seen: list[Visit] = []
    questions: list[Question] = []
    for number, visit in enumerate(visits):
        if number in asks:
            seen.append(visit._replace(liked=(), dismissed=(), raised=(), shown=(), ranks=()))
            questions.append(question_of(visit))
        elif last[visit.user] != number or visit.shown or len(visit.liked) < 3:
            seen.append(visit)
        else:
            cut = len(visit.liked) - max(1, round(KEPT_BACK * len(visit.liked)))
            before = (*visit.history, *(Deed(item, "liked") for item in visit.liked[:cut]))
            before += tuple(Deed(item, "dismissed") for item in visit.dismissed)
            seen.append(visit._replace(liked=visit.liked[:cut]))
            questions.append(Question(before, visit.liked[cut:], text=visit.text, weight=visit.weight))
    return seen, questions
