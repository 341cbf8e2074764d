"""A ranker that has learned: scores every item for a person, says why, and lies in two files. How it learns is in fitting.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse

from feedback.errors import BadInput
from model.ranking.signals import SIGNALS, alike, standard
from model.ranking.visits import Deed, profiles

ARRAYS, SETTINGS = "ranker.safetensors", "ranker.json"
_ARRAYS = ("texts", "warm", "b", "v", "damping", "popular", "examined")
START = {"neighbours": 1.0, "factors": 0.3, "text": 0.45, "popularity": 0.2, "asked": 1.0}
"""What the signals count before anybody has said anything."""
POOLED = 100
"""With more items than this, a question's candidates are this many of each signal's first."""


@dataclass(frozen=True)
class Settings:
    """What was chosen. `weights`: of SIGNALS; `family`: the one signal that ranks, or `blend` for all of them, weighed.

    `sharpness`: the factor on scores whose softmax foretells likes. `content`: slope and intercept, see contentment.py.
    """

    ridge: float = 100.0
    factors: int = 32
    family: str = "blend"
    weights: tuple[float, ...] = tuple(START[name] for name in SIGNALS)
    sharpness: float = 1.0
    content: tuple[float, float] = (1.0, 0.0)


class Because(NamedTuple):
    """What spoke most for an item. kind: liked (of `item`), asked, popular, nothing."""

    kind: str
    item: int | None = None


class Ranked(NamedTuple):
    """A ranking of the items that the history does not name: `order` best first, `scores` of all items (-inf where closed)."""

    order: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Ranker:
    """What was learned of n items.

    `warm`: (w,) items with neighbours, `b`: (w, w), see signals.neighbours; `v`: (f, n), `damping`: (n,), see signals.factors;
    `popular`: (n,), see signals.popularity; `texts`: (n, width), unit vectors; `examined`: (places,), see examination.py.
    """

    ids: tuple[str, ...]
    texts: np.ndarray
    warm: np.ndarray
    b: np.ndarray
    v: np.ndarray
    damping: np.ndarray
    popular: np.ndarray
    examined: np.ndarray
    settings: Settings

    def signals(
        self, histories: Sequence[Sequence[Deed]], asked: np.ndarray | None = None, names: Sequence[str] = SIGNALS
    ) -> np.ndarray:
        """Return (people, n, names), each standardised over the items that the person's history does not name.

        `asked`: (people, width), unit vectors of what they wrote, or zeros where they wrote nothing.
        """
        taste = profiles(histories, len(self.ids))
        open_ = self.open(histories)
        return np.stack([standard(self._raw(name, taste, asked), open_) for name in names], axis=2)

    def _raw(self, name: str, taste: sparse.csr_matrix, asked: np.ndarray | None) -> np.ndarray:
        """Return one signal (people, n). taste: (people, n), see visits.profiles."""
        likes = taste.maximum(0.0)
        found = np.zeros(taste.shape, dtype=np.float32)
        if name == "neighbours":
            found[:, self.warm] = likes[:, self.warm] @ self.b
        elif name == "factors":
            found = np.asarray(likes.multiply(self.damping[None, :]).tocsr() @ self.v.T) @ self.v
        elif name == "text":
            touched = np.unique(taste.nonzero()[1])
            found = np.asarray(taste[:, touched] @ alike(self.texts[touched], self.texts))
        elif name == "popularity":
            found += self.popular
        elif asked is not None:
            found = asked @ self.texts.T
        return found

    def open(self, histories: Sequence[Sequence[Deed]]) -> np.ndarray:
        """Return (people, n): whether the history does not name the item."""
        found = np.ones((len(histories), len(self.ids)), dtype=bool)
        for i, history in enumerate(histories):
            found[i, [deed.item for deed in history]] = False
        return found

    def weights(self) -> np.ndarray:
        """Return (signals,): what each counts for this family."""
        if self.settings.family == "blend":
            return np.asarray(self.settings.weights)
        # What a person wrote counts in every family: no behaviour knows it.
        return np.asarray([float(name in (self.settings.family, "asked")) for name in SIGNALS])

    def rank(self, history: Sequence[Deed], asked: np.ndarray | None = None) -> Ranked:
        """Rank the items for a person; equal scores stand in the catalogue's order. `asked`: (width,)."""
        signals = self.signals([history], None if asked is None else asked[None, :])[0]
        scores = np.where(self.open([history])[0], signals @ self.weights(), -np.inf)
        order = np.argsort(-scores, kind="stable")
        return Ranked(order[np.isfinite(scores[order])], scores)

    def mass(self, ranked: Ranked, items: Sequence[int]) -> float:
        """Return the probability, by the softmax of the scores, that what is liked next is one of the items."""
        if not items:
            return 0.0
        shares = np.exp(self.settings.sharpness * (ranked.scores - ranked.scores.max()))
        return float(min(shares[list(items)].sum() / shares.sum(), 1.0))

    def why(self, item: int, history: Sequence[Deed], asked: np.ndarray | None = None) -> Because:
        """Return what spoke most for an item: of a thing liked, all signals of behaviour and text that come from it together."""
        weight = dict(zip(SIGNALS, self.weights(), strict=True))
        whole = dict(zip(SIGNALS, self.signals([history], None if asked is None else asked[None, :])[0][item], strict=True))
        spoke = {
            Because("popular"): weight["popularity"] * whole["popularity"],
            Because("asked"): weight["asked"] * whole["asked"],
        }
        parts = ("neighbours", "factors", "text")
        for deed in history:
            if deed.did == "dismissed":
                continue
            share = self._share(deed, item, history)
            spoke[Because("liked", deed.item)] = sum(weight[name] * max(whole[name], 0.0) * share[name] for name in parts)
        best = max(spoke, key=lambda because: spoke[because])
        return best if spoke[best] > 0 else Because("nothing")

    def _share(self, deed: Deed, item: int, history: Sequence[Deed]) -> dict[str, float]:
        """Return of each signal of behaviour and text what part of all that speaks for the item comes from one deed, in 0..1."""
        liked = [d.item for d in history if d.did != "dismissed"]
        said = {
            "neighbours": self._speaks(liked, item),
            "factors": self.damping[liked] * (self.v[:, liked].T @ self.v[:, item]),
            "text": alike(self.texts[liked], self.texts[item][None, :])[:, 0],
        }
        at = liked.index(deed.item)
        return {name: float(max(of[at], 0.0) / max(np.maximum(of, 0.0).sum(), 1e-12)) for name, of in said.items()}

    def _speaks(self, liked: Sequence[int], item: int) -> np.ndarray:
        """Return (liked,): how much each speaks for the item by its neighbours."""
        place = {int(warm): i for i, warm in enumerate(self.warm)}
        column = place.get(item)
        return np.asarray([self.b[place[i], column] if column is not None and i in place else 0.0 for i in liked])

    # -- items that came later -----------------------------------------------------------------------------------

    def for_items(self, ids: Sequence[str], texts: np.ndarray) -> Ranker:
        """Return the ranker over another list of items; `texts`: (items, width). One that it does not know has its text alone."""
        if tuple(ids) == self.ids and np.array_equal(texts, self.texts):
            return self
        place = {id_: i for i, id_ in enumerate(self.ids)}
        known = np.asarray([i for i, id_ in enumerate(ids) if id_ in place], dtype=int)
        old = np.asarray([place[ids[i]] for i in known], dtype=int)
        now = dict(zip(old.tolist(), known.tolist(), strict=True))
        stays = np.asarray([i for i, item in enumerate(self.warm.tolist()) if item in now], dtype=int)
        warm = np.asarray([now[int(item)] for item in self.warm[stays]], dtype=int)
        b = self.b[np.ix_(stays, stays)]
        v = np.zeros((len(self.v), len(ids)), dtype=np.float32)
        v[:, known] = self.v[:, old]
        damping = np.ones(len(ids), dtype=np.float32)
        damping[known] = self.damping[old]
        popular = np.full(len(ids), self.popular.mean() if len(self.popular) else 0.0, dtype=np.float32)
        popular[known] = self.popular[old]
        return replace(self, ids=tuple(ids), texts=texts, warm=warm, b=b, v=v, damping=damping, popular=popular)

    # -- files ---------------------------------------------------------------------------------------------------

    def save(self, directory: Path) -> None:
        """Write ARRAYS and SETTINGS."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, directory / ARRAYS)
        told = {"ids": list(self.ids), "signals": list(SIGNALS), "settings": asdict(self.settings)}
        (directory / SETTINGS).write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Ranker:
        """Read what `save` wrote; raise BadInput where a file is missing or broken."""
        try:
            told = json.loads((directory / SETTINGS).read_text(encoding="utf-8"))
            file = load_file(directory / ARRAYS)
            arrays = {name: file[name] for name in _ARRAYS}
            given: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in told["settings"].items()
            }
            settings = Settings(**given)
            ids = tuple(map(str, told["ids"]))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise BadInput(f"{directory}: no ranker can be read from it: {error}") from error
        n, names = len(ids), tuple(told.get("signals", ()))
        if names != SIGNALS or len(arrays["popular"]) != n or len(settings.weights) != len(SIGNALS):
            raise BadInput(f"{directory}: the ranker has other signals or sizes than this program: {', '.join(names)}, {n} items")
        return cls(ids=ids, settings=settings, **arrays)
