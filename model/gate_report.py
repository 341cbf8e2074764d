"""What the gate says, as records and as words. It computes no statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from feedback.records import Json
from feedback.words import Say, Words

GateVerdict = Literal["passed", "refused", "undecided"]
CheckVerdict = Literal["pass", "fail", "undecided", "shown"]
Names = Callable[[str], str]
"""A label as it is written in the data -> as it is shown."""

_ENGLISH = Words([Path(__file__).with_name("words.toml")]).speaker("en")


@dataclass(frozen=True)
class Check:
    """One rule of the gate, applied.

    `value`: the measured difference candidate - champion (or share), in units of the score (0..1). `lower`: its
    one-sided 95 % lower bound, or the p-value where `words` say so; None where there is none. `margin`: what value or
    bound must reach. `items`: how many items it rests on. `shown`: reported, never decides. `words`: the sentence in English, for
    cards and programs; `key` and `values` are what it is made of, for any language of the catalogue (check_words).
    """

    name: str
    value: float | None
    lower: float | None
    margin: float | None
    verdict: CheckVerdict
    items: int
    words: str
    key: str = ""
    values: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Worsened:
    """An item that the champion answers better than the candidate."""

    input: Json
    truth: Json
    before: Json
    after: Json


@dataclass(frozen=True)
class Power:
    """How often the checks of old domain and feedback pass a candidate that is truly equal, half a point better or
    half a point worse, at this set's size (shares 0..1), by simulation with the standard errors measured here.
    """

    equal: float
    better: float
    worse: float


@dataclass(frozen=True)
class GateResult:
    """The verdict with everything behind it.

    `resolution`: the loss that the old-domain set can see (0..1), see Paired.resolution. `worse`: up to 50 items.
    `scores`: main score by slice and side. `contributors`: the same for each contributor's items of the feedback slice.
    """

    verdict: GateVerdict
    checks: tuple[Check, ...]
    worse: tuple[Worsened, ...] = ()
    power: Power | None = None
    resolution: float | None = None
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    contributors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values, with a sentence on its power."""
        return {**asdict(self), "power_words": power_words(self)}


def check(
    name: str,
    value: float | None,
    lower: float | None,
    margin: float | None,
    verdict: CheckVerdict,
    items: int,
    key: str,
    /,
    **values: Json,
) -> Check:
    """Return a check whose sentence is `models.check.KEY` of the catalogue, filled with `values` (see check_words)."""
    full = f"models.check.{key}"
    return Check(name, value, lower, margin, verdict, items, _said(_ENGLISH, full, values, str), full, values)


def check_words(told: Mapping[str, Json], say: Say, names: Names = str) -> str:
    """Return a card's check as `verdict: sentence` in the language of `say`; the English sentence where an old card has no key.

    A value `{"key": k}` is the catalogue's own text of k, `{"label": l}` a label of the demo; others fill the sentence as they are.
    """
    verdict = say(f"models.check_verdict.{told['verdict']}")
    words = _said(say, told["key"], told["values"], names) if told.get("key") else str(told["words"])
    return say("models.check_line", verdict=verdict, words=words)


def gate_words(gate: Mapping[str, Json], say: Say, names: Names = str) -> list[str]:
    """Return a card's gate in a language: a line a check, then how often it passes candidates of known worth."""
    lines = [check_words(told, say, names) for told in gate.get("checks", [])]
    power, resolution = gate.get("power"), gate.get("resolution")
    return [*lines, say("models.power", resolution=100 * resolution, **power)] if power and resolution is not None else lines


def _said(say: Say, key: str, values: Mapping[str, Json], names: Names) -> str:
    return say(key, **{name: _one(say, value, names) for name, value in values.items()})


def _one(say: Say, value: Json, names: Names) -> object:
    if not isinstance(value, Mapping):
        return value
    return names(value["label"]) if "label" in value else say(value["key"])


def verdict_of(checks: Sequence[Check]) -> GateVerdict:
    """Return refused where any check fails, else undecided where any is, else passed."""
    verdicts = {check.verdict for check in checks}
    return "refused" if "fail" in verdicts else "undecided" if "undecided" in verdicts else "passed"


def power_words(result: GateResult) -> str:
    """Return how much this set can see, and how often its old-domain check passes candidates of known worth."""
    if result.power is None or result.resolution is None:
        return ""
    return _ENGLISH("models.power", resolution=100 * result.resolution, **asdict(result.power))
