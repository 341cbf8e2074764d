"""How answers are accepted now, as routes and pages show it: the policy, its threshold, its calibration on traps. It judges nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from feedback.believing import Believing
from feedback.demo import AcceptanceSettings
from feedback.records import Json
from feedback.store import Store
from feedback.threshold import NOTHING
from feedback.words import Say


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Known items whose posterior lies in [start, end): how many, their mean posterior and the share right (None where empty)."""

    start: float
    end: float
    items: int
    mean: float | None
    right: float | None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What decides whether an answer is accepted. `threshold` is None where agreement decides, or where nothing can reach it.

    rule: what holds now (reliability falls back to agreement while too few traps were answered). source: what the threshold rests
    on: known (items of known truth), default (too few of them), none (they forbid every threshold). `judged` known items lay at or
    above it, `right` of them were right, `lower` is the one-sided 90 % bound of that share.
    """

    policy: str
    rule: str
    agree: int
    precision: float
    traps_gold: int
    traps_unanimous: int
    trap_answers: int
    tested: int
    trusted: int
    threshold: float | None
    source: str
    judged: int
    right: int
    lower: float
    calibration: list[CalibrationBin]


class Acceptances:
    """Tells how answers are accepted; `believing` is None where the demo's policy is agreement."""

    def __init__(self, store: Store, settings: AcceptanceSettings, believing: Believing | None) -> None:
        self._store = store
        self._settings = settings
        self._believing = believing

    def now(self) -> Acceptance:
        """Return what holds now. With the policy reliability it reads the whole log: about a second for 10,000 answers."""
        rows = self._store.rows("SELECT source, count(*) AS n FROM current_traps WHERE active GROUP BY source")
        traps = {str(row["source"]): int(row["n"]) for row in rows}
        settings = self._settings
        basis = (settings.agree, settings.precision, traps.get("gold", 0), traps.get("unanimous", 0))
        if self._believing is None:
            return Acceptance("agreement", "agreement", *basis, 0, 0, 0, None, "", 0, 0, 0.0, [])
        standing = self._believing.standing()
        found = standing.threshold
        reached = standing.rule == "reliability" and found.value != NOTHING
        bins = [CalibrationBin(b.start, b.end, b.items, _number(b.mean), _number(b.right)) for b in standing.calibration]
        return Acceptance(
            "reliability", standing.rule, *basis, standing.trap_answers, len(standing.contributors), len(standing.trusted),
            found.value if reached else None, found.source, found.judged, found.right, found.lower, bins,
        )  # fmt: skip


def acceptance_words(now: Acceptance, say: Say) -> dict[str, Json]:
    """Return it as the Contributors page shows it: sentences, and the calibration's lines with shares in per cent."""
    lines = [say(f"acceptance.{now.policy}", agree=now.agree, target=round(100 * now.precision))]
    if now.policy == "reliability":
        lines.append(say("acceptance.traps", gold=now.traps_gold, unanimous=now.traps_unanimous, answers=now.trap_answers))
        lines.append(say("acceptance.people", tested=now.tested, trusted=now.trusted))
        if now.rule == "agreement":
            lines.append(say("acceptance.too_few", agree=now.agree))
        elif now.threshold is None:
            lines.append(say("acceptance.nothing"))
        else:
            source = "known" if now.source == "known" else "default"
            lines.append(say(f"acceptance.threshold_{source}", threshold=round(100 * now.threshold, 1)))
            if now.judged:
                lines.append(say("acceptance.judged", judged=now.judged, right=now.right, lower=round(100 * now.lower)))
    bins = [
        {"from": round(100 * b.start), "to": round(100 * b.end), "items": b.items,
         "mean": _percent(b.mean), "right": _percent(b.right)}
        for b in now.calibration
        if b.items
    ]  # fmt: skip
    return {"lines": lines, "bins": bins}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
