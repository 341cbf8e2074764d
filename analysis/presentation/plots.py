"""An effect with its interval over time, and one interval, as SVG: our own few lines, no script, no library, the text's own colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from analysis.parts import Point
from analysis.presentation.blocks import Bar, Plot

WIDTH, HEIGHT = 340, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 30
_ROOM = 4.0
"""How far the axis reaches, in lengths of the newest interval: the first days' intervals are so wide that the rest would be a line."""


class Known(NamedTuple):
    """A day with numbers. `x` is the day's ordinal."""

    x: int
    low: float
    value: float
    high: float


def effect(plot: Plot, label: str) -> str:
    """Return the drawing of an effect over time; `label` is its escaped name for those who cannot see it.

    A band for the interval, a line for the estimate, a dashed line of no difference; gaps where a day has no numbers. The
    drawing is WIDTH wide so that its letters keep their size on a phone of 360 pixels. Needs at least one day with numbers.
    """
    runs = _runs(plot.points)
    days = [known for run in runs for known in run]
    reach = _reach(days)
    first, last = min(k.x for k in days), max(k.x for k in days)

    def across(x: float) -> float:
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        return middle if first == last else _LEFT + (x - first) / (last - first) * (WIDTH - _RIGHT - _LEFT)

    def down(value: float) -> float:
        kept = max(-reach, min(reach, value))
        return _TOP + (reach - kept) / (2 * reach) * (HEIGHT - _BOTTOM - _TOP)

    parts = [_grid(value, down(value), plot.unit) for value in (reach, reach / 2, 0.0, -reach / 2, -reach)]
    for run in runs:
        parts += _run(run, across, down)
    by_day = {point.day.toordinal(): point.day for point in plot.points}
    ends = [(first, "start" if first != last else "middle"), (last, "end")][: 1 if first == last else 2]
    parts += [_text(across(x), HEIGHT - 10, by_day[x].isoformat(), anchor) for x, anchor in ends]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="effect" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def standalone(drawing: str) -> str:
    """Return a drawing as a file of its own, which shows dark on light and light on dark."""
    style = "<style>svg{color:#1a1d23}@media(prefers-color-scheme:dark){svg{color:#eceef2}}</style>"
    start, rest = drawing.split(">", 1)
    return f'{start} xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" height="{2 * HEIGHT}">{style}{rest}\n'


def interval(bar: Bar) -> str:
    """Return an interval about the line of no difference, which stays in the middle. The words beside it say the same."""
    reach = 1.1 * max(abs(bar.low), abs(bar.high), 1e-9)
    x0, x1, x = (150 + 150 * end / reach for end in (bar.low, bar.high, bar.value))
    return (
        '<svg viewBox="0 0 300 28" class="interval" aria-hidden="true">'
        '<line x1="150" y1="2" x2="150" y2="26" stroke="currentColor" stroke-opacity=".5" stroke-dasharray="3 3"/>'
        f'<line x1="{x0:.1f}" y1="14" x2="{x1:.1f}" y2="14" stroke="currentColor" stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{x:.1f}" cy="14" r="5" fill="currentColor"/></svg>'
    )


def _runs(points: Sequence[Point]) -> list[list[Known]]:
    """Return the days with numbers, cut where a day has none; an interval without an end counts as none."""

    def known(point: Point) -> Known | None:
        if point.difference is None or point.low is None or point.high is None:
            return None
        return Known(point.day.toordinal(), point.low, point.difference, point.high)

    found = [known(point) for point in sorted(points, key=lambda point: point.day)]
    return [[k for k in run if k] for there, run in groupby(found, key=lambda k: k is not None) if there]


def _reach(days: Sequence[Known]) -> float:
    """Return where the axis ends, a round number: the largest end, but no more than _ROOM newest intervals away from 0."""
    largest = max(max(abs(k.low), abs(k.high)) for k in days)
    newest = days[-1]
    enough = max(abs(k.value) for k in days) + _ROOM * (newest.high - newest.low)
    wanted = max(min(largest, enough), 1e-6)
    power = 10.0 ** math.floor(math.log10(wanted))
    return float(next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10) if step * power >= wanted * (1 - 1e-9)))


def _run(run: Sequence[Known], across: Callable[[float], float], down: Callable[[float], float]) -> list[str]:
    if len(run) == 1:
        x, (_, low, value, high) = across(run[0].x), run[0]
        whisker = f'<line x1="{x:.1f}" y1="{down(low):.1f}" x2="{x:.1f}" y2="{down(high):.1f}" '
        return [f'{whisker}stroke="currentColor" stroke-width="6" stroke-opacity=".25"/>', _dot(x, down(value))]
    upper = [f"{across(k.x):.1f},{down(k.high):.1f}" for k in run]
    lower = [f"{across(k.x):.1f},{down(k.low):.1f}" for k in reversed(run)]
    line = [f"{across(k.x):.1f},{down(k.value):.1f}" for k in run]
    return [
        f'<polygon points="{" ".join(upper + lower)}" fill="currentColor" fill-opacity=".16"/>',
        f'<polyline points="{" ".join(line)}" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"/>',
        _dot(across(run[-1].x), down(run[-1].value)),
    ]


def _grid(value: float, y: float, unit: str) -> str:
    style = 'stroke-opacity=".6" stroke-dasharray="4 3"' if value == 0 else 'stroke-opacity=".15"'
    line = f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="currentColor" {style}/>'
    return line + _text(_LEFT - 6, y + 4, _tick(value, unit), "end")


def _tick(value: float, unit: str) -> str:
    """Return an axis label: points for shares, per cent for log milliseconds, else the number itself."""
    if value == 0:
        return "0"
    if unit == "share":
        return f"{100 * value:+.3g}"
    return f"{100 * math.expm1(min(value, 700.0)):+.0f} %" if unit == "log ms" else f"{value:+.3g}"


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="currentColor"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" font-family="system-ui,sans-serif"'
        f' fill="currentColor">{words}</text>'
    )
