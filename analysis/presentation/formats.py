"""Numbers as they are shown in one language: levels, differences, intervals. Formats alone, no sentence and no markup."""

from __future__ import annotations

import math

from feedback.words import Say

MISSING = "–"
_PERCENT = "\N{NO-BREAK SPACE}%"


def level(value: float | None, unit: str, t: Say) -> str:
    """Return a metric's value: a share as per cent, log milliseconds as milliseconds."""
    if value is None:
        return MISSING
    if unit == "share":
        return percent(value)
    return milliseconds(math.exp(value), t) if unit == "log ms" else number(value, 2)


def ends(low: float | None, high: float | None, unit: str, t: Say) -> str:
    """Return an interval of levels."""
    if low is None or high is None:
        return MISSING
    return f"{100 * low:.1f} – {percent(high)}" if unit == "share" else f"{level(low, unit, t)} – {level(high, unit, t)}"


def change(value: float, unit: str, t: Say) -> str:
    """Return a signed difference: of shares in points, of log milliseconds in per cent."""
    said = short(value, unit)
    return t("experiments.points", value=said) if unit == "share" else said


def changes(low: float | None, high: float | None, unit: str, t: Say) -> str:
    """Return an interval of differences for a table's cell."""
    if low is None or high is None:
        return MISSING
    return t("experiments.between", low=change(low, unit, t), high=change(high, unit, t))


def short(value: float | None, unit: str) -> str:
    """Return a signed difference for a narrow cell, whose column names the unit: points of shares, else as `change`."""
    if value is None:
        return MISSING
    if unit == "share":
        return f"{100 * value:+.1f}"
    return relative(math.expm1(min(value, 700.0))) if unit == "log ms" else f"{value:+.2f}"


def shorts(low: float | None, high: float | None, unit: str, t: Say) -> str:
    """Return an interval of differences for a narrow cell."""
    if low is None or high is None:
        return MISSING
    return t("experiments.between", low=short(low, unit), high=short(high, unit))


def size(value: float, unit: str, t: Say) -> str:
    """Return how large a difference is, whichever way."""
    return change(abs(value), unit, t).lstrip("+")


def relative(value: float) -> str:
    """Return a signed relative difference."""
    return f"{100 * value:+.0f}{_PERCENT}" if value < 10 else f"> +1000{_PERCENT}"


def percent(value: float | None) -> str:
    """Return a share of 0..1 as per cent."""
    return MISSING if value is None else f"{100 * value:.1f}{_PERCENT}"


def number(value: float | None, digits: int) -> str:
    """Return a number with so many digits."""
    return MISSING if value is None else f"{value:.{digits}f}"


def milliseconds(value: float | None, t: Say) -> str:
    """Return a time."""
    return MISSING if value is None else t("experiments.ms", value=f"{value:.0f}" if value >= 10 else f"{value:.1f}")


def between(low: float, high: float, unit: str, t: Say) -> str:
    """Return an interval of differences as part of a sentence."""
    return t("experiments.difference.interval", low=change(low, unit, t), high=change(high, unit, t))
