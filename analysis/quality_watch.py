"""The quality of what serves, asked now and then: the probes behind the studio's conditions, and the figures behind its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from analysis.quality import (
    Block,
    Finding,
    Frames,
    VersionQuality,
    Waits,
    block_of,
    by_version,
    findings,
    read_blocks,
    waits,
    waits_longer,
)
from feedback.conditions import Found
from feedback.metrics import Kept
from feedback.records import now

MEASURES = ("confidence_fell", "corrections_rose", "overconfident", "feedback_waits")
DRIFTS = ("input_drift", "unknown_words")
_SECONDS = 60.0
"""Findings are computed anew this often at most, however often they are asked for."""


class Drift(Protocol):
    """What is looked at of a block's drift (model/drift.py)."""

    @property
    def texts(self) -> int:
        """How many texts the block has."""

    @property
    def far(self) -> float:
        """The share that is far from the training set."""

    @property
    def unknown(self) -> float:
        """The share that holds mostly unknown words."""

    @property
    def usual_unknown(self) -> float:
        """The same share in the validation part."""

    @property
    def drifted(self) -> bool:
        """Whether texts are far from the training set too often."""

    @property
    def unread(self) -> bool:
        """Whether texts hold unknown words too often."""


class Seen(NamedTuple):
    """All figures of one look. `drift` is None where inputs are no texts, or nothing can be said yet."""

    versions: list[VersionQuality]
    blocks: list[Block]
    findings: list[Finding]
    waits: Waits
    drift: Drift | None


class QualityWatch:
    """Looks at the champion. Safe to use from many threads. `drift` measures the newest block of inputs, or is None."""

    def __init__(self, frame: Frames, champion: Callable[[], int], drift: Callable[[], Drift | None] | None = None) -> None:
        self._frame = frame
        self._champion = champion
        self._drift = drift
        self._found = Kept(self._find, _SECONDS)
        self._drifted = Kept(drift, _SECONDS) if drift else None

    def look(self) -> Seen:
        """Return all figures as they stand."""
        read = read_blocks(self._frame, self._champion())
        return Seen(
            by_version(self._frame), [block_of(rows) for rows in read], self._find(), waits(self._frame, now()),
            self._drift() if self._drift else None,
        )  # fmt: skip

    def _find(self) -> list[Finding]:
        late = waits_longer(self._frame)
        return findings(read_blocks(self._frame, self._champion())) + ([late] if late else [])

    def probes(self) -> Mapping[str, Callable[[], Found]]:
        """Return a probe for each measure, for conditions.py."""
        made: dict[str, Callable[[], Found]] = {name: self._probe(name) for name in MEASURES}
        if self._drifted:
            made |= {name: self._drift_probe(name) for name in DRIFTS}
        return made

    def _probe(self, measure: str) -> Callable[[], Found]:
        def probe() -> Found:
            found = next((one for one in self._found() if one.measure == measure), None)
            if found is None:
                return None
            return {"before": found.before, "now": found.now, "count": found.items, "version": self._champion()}

        return probe

    def _drift_probe(self, name: str) -> Callable[[], Found]:
        def probe() -> Found:
            assert self._drifted is not None
            seen = self._drifted()
            if seen is None or not (seen.drifted if name == "input_drift" else seen.unread):
                return None
            share, usual = (seen.far, 0.05) if name == "input_drift" else (seen.unknown, seen.usual_unknown)
            return {"share": share, "usual": usual, "count": seen.texts}

        return probe
