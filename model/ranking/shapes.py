"""The shapes of a ranking's inputs and outputs, checked: what a person did before, a list, and how the list came about. It ranks nothing."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

from feedback.errors import BadInput, TooLarge
from feedback.records import Json
from model.ranking.visits import DONE

MOST_HISTORY = 200
"""What a person did before, the newest deeds."""
MOST_RANK = 20_000
ANSWER = frozenset({"items", "liked", "dismissed", "shown", "ranks", "policy", "best", "propensities", "scores", "why", "cards"})
"""What an output may hold; `cards` is what pages are told besides."""


def history_of(value: Json, known: Container[str]) -> list[dict[str, Json]]:
    """Return `[{"item", "did"}]`: of several deeds with one item the last stands, items that are not known are left out.

    So a person's history outlives a change of the catalogue. Raises BadInput, TooLarge.
    """
    if not isinstance(value, (list, tuple)):
        raise BadInput(f"input history is {str(value)[:80]!r}: it must be a list", code="history_shape")
    if len(value) > MOST_HISTORY:
        raise TooLarge(
            f"input history has {len(value)} deeds: at most {MOST_HISTORY} are read",
            code="history_too_long",
            values={"count": len(value), "limit": MOST_HISTORY},
        )
    deeds: dict[str, str] = {}
    for deed in value:
        if not isinstance(deed, Mapping) or set(deed) != {"item", "did"} or not isinstance(deed["item"], str):
            raise BadInput(f'input history has {str(deed)[:80]!r}: a deed is {{"item": id, "did": ...}}', code="history_shape")
        if deed["did"] not in DONE:
            raise BadInput(f"input history says {str(deed['did'])[:40]!r}: choices are {', '.join(DONE)}", code="history_shape")
        deeds.pop(deed["item"], None)
        deeds[deed["item"]] = deed["did"]
    return [{"item": item, "did": did} for item, did in deeds.items() if item in known]


def visit_of(value: Json) -> str:
    """Return the name of a visit, "" for none; raise BadInput for another thing."""
    if not isinstance(value, str) or len(value) > 32 or not (value == "" or (value.isascii() and value.isalnum())):
        raise BadInput(f"input visit is {str(value)[:80]!r}: it must be up to 32 letters and digits", code="history_shape")
    return value


def ids_of(value: Json, name: str, known: Container[str]) -> list[str]:
    """Return a list of different known ids; raise BadInput for another thing."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(id_, str) for id_ in value) or len(set(value)) != len(value):
        raise BadInput(f"{name} is {str(value)[:80]!r}: it must be a list of different ids", code="ranking_shape")
    for id_ in value:
        if id_ not in known:
            raise BadInput(f"unknown item {id_[:80]!r} in {name}: the catalogue has none of this id", code="item_unknown")
    return list(value)


def list_of(output: Json, known: Container[str]) -> dict[str, Json]:
    """Return `items`, `liked` and `dismissed`, the latter two among the items and in their order, with `impression_of`. Raises BadInput."""
    if not isinstance(output, Mapping) or "items" not in output or not set(output) <= ANSWER:
        raise BadInput(
            f'output is {str(output)[:120]!r}: it must be {{"items": [ids], "liked": [...], "dismissed": [...]}}',
            code="ranking_shape",
        )
    items = ids_of(output["items"], "items", known)
    liked, dismissed = (set(ids_of(output.get(key, []), key, known)) for key in ("liked", "dismissed"))
    if liked & dismissed or not liked | dismissed <= set(items):
        raise BadInput("what is liked and what is dismissed must be items of the list, and no item both", code="ranking_shape")
    said = {"liked": [item for item in items if item in liked], "dismissed": [item for item in items if item in dismissed]}
    return {"items": items, **said, **impression_of(items, output, known)}


def impression_of(items: Sequence[str], output: Mapping[str, Json], known: Container[str]) -> dict[str, Json]:
    """Return how a list came about: `shown` (its order), `ranks` and `policy` [epsilon, pool]; {} where nobody knows."""
    if "ranks" not in output:
        return {}
    shown = ids_of(output.get("shown", list(items)), "shown", known)
    if set(shown) != set(items):
        raise BadInput("shown and items must name the same items", code="ranking_shape")
    ranks, policy = output["ranks"], output.get("policy")
    if (
        not isinstance(ranks, (list, tuple))
        or not all(_whole(rank) for rank in ranks)
        or len({*ranks}) != len(shown)
        or len(ranks) != len(shown)
    ):
        raise BadInput(
            f"ranks is {str(ranks)[:80]!r}: it must be a different whole number of each item shown", code="ranking_shape"
        )
    if (
        not isinstance(policy, (list, tuple))
        or len(policy) != 2
        or not _share(policy[0])
        or not _whole(policy[1])
        or max(ranks, default=-1) >= policy[1]
    ):
        raise BadInput(
            f"policy is {str(policy)[:80]!r}: it must be [epsilon in 0..1, pool above every rank]", code="ranking_shape"
        )
    return {"shown": shown, "ranks": list(ranks), "policy": [float(policy[0]), policy[1]]}


def _whole(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_RANK


def _share(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def cell(value: Any, name: str) -> Any:
    """Return a cell of a data file that holds a list: itself, or the JSON of one; None for an empty cell. Raises BadInput."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{name} is {value[:80]!r}: it must be a list, or JSON of one: {error}") from error
    if not isinstance(value, list):
        raise BadInput(f"{name} is {str(value)[:80]!r}: it must be a list")
    return value
