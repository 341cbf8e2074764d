"""The widget for a ranked list: what the browser sends, rebuilt. The drawing is in ranking.js."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from feedback.errors import BadInput
from feedback.records import Json
from feedback.widgets.kind import Kind

MOST = 100
"""Items of a list."""
_LISTS = ("items", "liked", "dismissed")


def read(value: Json, labels: Sequence[str]) -> Json:
    """Return items, liked and dismissed, and how the list came about where that came along; raise BadInput for another shape.

    Whether the ids are the catalogue's, and the numbers possible, is the task's check.
    """
    if not isinstance(value, dict):
        raise BadInput(f'the list is {str(value)[:80]!r}: it must be {{"items": [ids], ...}}', code="ranking_shape")
    found: dict[str, Json] = {name: _texts(value.get(name, [] if name != "items" else None), name) for name in _LISTS}
    if "ranks" in value:
        found["shown"] = _texts(value.get("shown", found["items"]), "shown")
        found |= {name: _numbers(value.get(name), name) for name in ("ranks", "policy")}
    return found


def _texts(value: Json, name: str) -> list[str]:
    if not isinstance(value, list) or len(value) > MOST or not all(isinstance(item, str) for item in value):
        raise BadInput(f"{name} is {str(value)[:80]!r}: it must be a list of up to {MOST} ids", code="ranking_shape")
    return value


def _numbers(value: Json, name: str) -> list[float]:
    if (
        not isinstance(value, list)
        or len(value) > MOST
        or not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in value)
    ):
        raise BadInput(f"{name} is {str(value)[:80]!r}: it must be a list of numbers", code="ranking_shape")
    return value


def from_cell(value: Any) -> Json:
    """Return a cell as the output; raise BadInput where it is no object with items."""
    if not isinstance(value, dict) or "items" not in value:
        raise BadInput(f'output is {str(value)[:80]!r}: it must be an object with "items", "liked" and "dismissed"')
    return value


RANKING = Kind("ranking", "ranking.js", read, from_cell=from_cell)
