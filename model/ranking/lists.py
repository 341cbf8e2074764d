"""What a person did to a list: liked, dismissed, moved. It knows no model."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from feedback.records import Json


def wanted(output: Mapping[str, Json]) -> set[str]:
    """Return what a person wants of a list: what they liked, and what they moved up without dismissing it."""
    return {*output["liked"], *(item for item in raised(output) if item not in output["dismissed"])}


def raised(output: Mapping[str, Json]) -> list[str]:
    """Return the items that the person moved up, in their order; none where nobody knows how the list was shown."""
    shown = list(output.get("shown", ()))
    if not shown:
        return []
    return [item for item in moved(shown, output["items"]) if output["items"].index(item) < shown.index(item)]


def moved(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return the fewest items whose moving makes `after` out of `before`, in the order of `after`. Both have the same items.

    The others keep their order: they are a longest increasing run of their old places (patience sorting).
    """
    place = {item: i for i, item in enumerate(before)}
    old = [place[item] for item in after]
    tops: list[int] = []  # the least old place with which a run of each length ends, as an index of `after`
    previous: list[int] = []
    for i, value in enumerate(old):
        length = bisect_left([old[top] for top in tops], value)
        previous.append(tops[length - 1] if length else -1)
        tops[length : length + 1] = [i]
    stays: set[int] = set()
    at = tops[-1] if tops else -1
    while at >= 0:
        stays.add(at)
        at = previous[at]
    return [item for i, item in enumerate(after) if i not in stays]


def judged(truth: Mapping[str, Json], ranking: Sequence[str], length: int) -> tuple[list[str], list[str]]:
    """Return what of a ranking can be judged by what a person said of a list, and the part of it that counts as standing first.

    Where it is known what was shown it is those items, in the ranking's order and what it does not have last, and half of them,
    or as many as are wanted, stand first if the ranking has them; else it is the first `length` of the ranking.
    """
    if "shown" not in truth:
        return list(ranking[:length]), list(ranking[:length])
    place = {item: i for i, item in enumerate(ranking)}
    found = sorted((item for item in truth["shown"]), key=lambda item: place.get(item, len(ranking)))
    return found, [item for item in found[: max((len(found) + 1) // 2, len(wanted(truth)))] if item in place]


def edits_between(shown: Mapping[str, Json], output: Mapping[str, Json]) -> float:
    """Return how many items are liked, dismissed or moved otherwise in one of two outputs than in the other."""
    said = sum(len(set(shown.get(key, ())) ^ set(output.get(key, ()))) for key in ("liked", "dismissed"))
    same = set(shown["items"]) == set(output["items"])
    stays = [item for item in output["items"] if item not in output.get("dismissed", ())]
    before = [item for item in shown["items"] if item in stays]
    return float(said + (len(moved(before, stays)) if same else len(set(output["items"]) ^ set(shown["items"]))))
