"""How much anybody may weigh in one round of training: caps that scale weights down and never stop a round.

Three kinds of group are capped at a share of the round's weight: a contributor (5 %), a cohort (10 %: a network prefix, a
channel, or contributors first seen in the same hour) and a label pair (shown -> proposed; 25 %). Each kind in turn is scaled
to its shares of the whole, and the whole to what that leaves: iterative proportional scaling (Deming and Stephan, Annals of
Mathematical Statistics 1940), downwards only. What a reviewer accepted is exempt: it keeps its weight and fills no cap.
Texts that are alike count once: duplicates.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from feedback.errors import BadInput

KEPT = 0.01
"""The share of the capped weight that a round keeps at least; caps that would leave less are loosened, and it is said."""

FEW = 2.0
"""Where there are too few groups of a kind for its cap, each may have this many times an equal share: scaling everybody down to
the one who said least would throw most of a small demo's feedback away (docs/decisions.md has the figures)."""

_ROUNDING = 1e-9  # of sums: where any whole would do, which one is taken is not left to the last digit


@dataclass(frozen=True, slots=True)
class CapRule:
    """Largest shares of a round's weight (0..1], for one contributor, one cohort and one label pair."""

    contributor: float = 0.05
    cohort: float = 0.10
    label_pair: float = 0.25

    def __post_init__(self) -> None:
        if not all(0 < share <= 1 for share in (self.contributor, self.cohort, self.label_pair)):
            raise BadInput(f"caps {self} are shares: each lies above 0 and is at most 1")

    @property
    def fewest(self) -> int:
        """Return how many contributors it takes for their cap to be met: 20 for 5 %."""
        return _fewest(self.contributor)


class Weighed(NamedTuple):
    """One accepted example of a round. `cohorts` are names such as `network:5f..`, `channel:news`, `hour:2026-01-01T10`;
    `label_pair` is `shown -> proposed`. What is empty belongs to no such group.
    """

    weight: float  # >= 0
    contributor: str
    cohorts: tuple[str, ...] = ()
    label_pair: str = ""
    reviewed: bool = False


class Over(NamedTuple):
    """A group that is above its cap because the cap cannot be met: its share of the round, and the cap (both 0..1)."""

    kind: str  # "contributor", "cohort", "label_pair"
    name: str
    share: float
    cap: float


class Capped(NamedTuple):
    """What the caps left. `weights` stand in the order of the examples; none is above what came in, none falls to 0.

    `met`: every cap holds. Otherwise `over` lists the groups above their cap; `loosened` says by what factor (>= 1) the caps of
    each kind had to be loosened, and `few_contributors` that there are fewer of them than their cap needs.
    """

    weights: tuple[float, ...]
    met: bool
    over: tuple[Over, ...]
    loosened: dict[str, float]
    few_contributors: bool
    scaled: tuple[str, ...]  # groups (kind:name) that were above their cap before


class _Kind(NamedTuple):
    kind: str
    names: list[str]
    members: sparse.csr_array  # (groups, examples) of 0 and 1
    cap: float


def capped(examples: Sequence[Weighed], rule: CapRule | None = None) -> Capped:
    """Return weights such that no group is above its share of the round, wherever that can be.

    The whole, of which shares are taken, is all weight that is left, the reviewed included. Where there are too few groups for a
    cap (ten contributors cannot each be below 5 %) it is FEW equal shares. A cap that still cannot be met is loosened by the
    smallest factor that leaves the round at least KEPT of its weight: first each kind by itself, then, should they only clash
    together, all of them. Networks, channels and hours are three kinds of cohort. BadInput for weights below 0 or not finite.
    """
    rule = rule or CapRule()
    start = np.array([example.weight for example in examples], dtype=float)
    if not bool(np.all(np.isfinite(start) & (start >= 0))):
        raise BadInput(f"a weight of {start[~(np.isfinite(start) & (start >= 0))][0]}: weights are finite and at least 0")
    free = np.array([not example.reviewed for example in examples], dtype=bool) & (start > 0)
    if not free.any():
        return Capped(tuple(start.tolist()), True, (), {}, False, ())
    kinds = _kinds(examples, free, rule)
    caps = [_reachable(kind, start) for kind in kinds]
    # The tightest first: a cap that all but everybody shares, scaled early, would drag down those whom the tighter ones spare.
    order = sorted(range(len(kinds)), key=lambda k: caps[k])
    kinds, caps = [kinds[k] for k in order], [caps[k] for k in order]
    caps = [cap * _loosening([kind], [cap], start, free) for kind, cap in zip(kinds, caps, strict=True)]
    together = _loosening(kinds, caps, start, free)
    caps = [cap * together for cap in caps]
    weights = _largest(kinds, caps, start, free)
    over = tuple(
        Over(kind.kind, kind.names[i], float(share), kind.cap)
        for kind in kinds
        for i, share in enumerate(kind.members @ weights / weights.sum())
        if share > kind.cap * (1 + 1e-6)
    )
    before = [kind.members @ start > kind.cap * start.sum() * (1 + 1e-6) for kind in kinds]
    scaled = tuple(f"{kind.kind}:{kind.names[i]}" for kind, was in zip(kinds, before, strict=True) for i in np.flatnonzero(was))
    loosened: dict[str, float] = {}
    for kind, cap in zip(kinds, caps, strict=True):
        if cap > kind.cap * (1 + 1e-6):
            loosened[kind.kind] = max(loosened.get(kind.kind, 1.0), cap / kind.cap)
    people = len({example.contributor for example, is_free in zip(examples, free, strict=True) if is_free})
    return Capped(tuple(weights.tolist()), not over, over, loosened, people < rule.fewest, scaled)


def _kinds(examples: Sequence[Weighed], free: np.ndarray, rule: CapRule) -> list[_Kind]:
    """Return the groups of each kind that has any; only examples that are not exempt are members."""
    found = []
    sorts = sorted({name.partition(":")[0] for e in examples for name in e.cohorts})
    wanted: list[tuple[str, float, list[tuple[str, ...]]]] = [
        ("contributor", rule.contributor, [(e.contributor,) for e in examples]),
        *(("cohort", rule.cohort, [_of_sort(e.cohorts, sort) for e in examples]) for sort in sorts),
        ("label_pair", rule.label_pair, [(e.label_pair,) if e.label_pair else () for e in examples]),
    ]
    for kind, cap, groups_of in wanted:
        pairs = [(name, i) for i, names in enumerate(groups_of) if free[i] for name in names]
        if pairs:
            names = sorted({name for name, _ in pairs})
            place = {name: g for g, name in enumerate(names)}
            rows, columns = [place[name] for name, _ in pairs], [i for _, i in pairs]
            shape = (len(names), len(examples))
            found.append(_Kind(kind, names, sparse.csr_array((np.ones(len(pairs)), (rows, columns)), shape=shape), cap))
    return found


def _of_sort(cohorts: Sequence[str], sort: str) -> tuple[str, ...]:
    return tuple({name for name in cohorts if name.partition(":")[0] == sort})


def _fewest(cap: float) -> int:
    """Return how many groups it takes for each to be at or below the cap."""
    return int(np.ceil(1 / cap - 1e-9))


def _reachable(kind: _Kind, start: np.ndarray) -> float:
    """Return the cap of a kind that has enough groups, else FEW equal shares of them (at most 1).

    Weight that the cap does not bind (reviewed, or in no group of this kind) fills the whole as one more group would.
    """
    unbound = bool((start > 0)[kind.members.sum(axis=0) == 0].any())
    groups = len(kind.names) + unbound
    return kind.cap if groups >= _fewest(kind.cap) else max(kind.cap, min(1.0, FEW / groups))


def _loosening(kinds: Sequence[_Kind], caps: Sequence[float], start: np.ndarray, free: np.ndarray) -> float:
    """Return the smallest factor >= 1 on the caps that leaves the round at least KEPT of its free weight, to 1 in 10,000."""
    whole = float(start[~free].sum()) + KEPT * float(start[free].sum())

    def enough(factor: float) -> bool:
        return float(_scaled(kinds, [cap * factor for cap in caps], start, whole).sum()) >= whole * (1 - _ROUNDING)

    low, high = 1.0, max(1.0, 1 / min(caps))
    if enough(low):
        return low
    while high - low > 1e-4 * low:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _largest(kinds: Sequence[_Kind], caps: Sequence[float], start: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return the weights for the largest whole that is left when all groups are scaled to their shares of it.

    With less of a whole the share of it that is left can only grow, so that whole is found by bisection.
    """
    low, high = float(start[~free].sum()) + KEPT * float(start[free].sum()), float(start.sum())
    for _ in range(60):
        middle = (low + high) / 2
        left = float(_scaled(kinds, caps, start, middle).sum())
        low, high = (middle, high) if left >= middle * (1 - _ROUNDING) else (low, middle)
    return _scaled(kinds, caps, start, low)


def _scaled(kinds: Sequence[_Kind], caps: Sequence[float], start: np.ndarray, whole: float) -> np.ndarray:
    """Return the weights with every group at or below its share of `whole`: (examples,).

    The tightest kind is scaled first, commonly contributors, so that a flood does not drag its cohort down; going down never
    breaks what was reached. A cap of the whole binds nobody.
    """
    weights = start
    for kind, cap in zip(kinds, caps, strict=True):
        if cap >= 1:
            continue
        excess = np.minimum(1.0, cap * whole / np.maximum(kind.members @ weights, 1e-300))
        lost = kind.members.multiply((1 - excess)[:, None]).tocsc().max(axis=0).toarray().ravel()
        weights = weights * (1 - lost)
    return weights
