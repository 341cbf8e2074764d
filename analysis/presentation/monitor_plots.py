"""Items and shares over time with their intervals, as SVG: no script, no library, the text's own colour. It computes no statistic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from analysis.presentation.figures import escape

WIDTH, HEIGHT = 340, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 10, 12, 26
_COLOURS = ("#dc2626", "#64748b", "#15803d", "#2563eb", "#b45309", "#7c3aed")
"""Of sentiments in their order; each line also has a dash of its own and its name beside it."""
_DASHES = ("", "5 3", "1 3", "8 3 1 3", "3 3", "10 4")


class Line(NamedTuple):
    """One line: a value with its interval at each time, None where there is none; `name` is shown where there are several."""

    name: str
    points: Sequence[tuple[float, float, float] | None]  # (low, value, high)


class Marks(NamedTuple):
    """What is marked on a drawing: warnings at these times, and another version from these times on, with its number."""

    warnings: Sequence[datetime]
    versions: Sequence[tuple[datetime, int]]


def drawn(
    times: Sequence[datetime],
    lines: Sequence[Line],
    label: str,
    marks: Marks,
    *,
    usual: Sequence[float | None] = (),
    share: bool = False,
) -> str:
    """Return the drawing; `label` is its name for those who cannot see it. `usual` is drawn dashed; a share's axis ends at 1."""
    ends = [point[2] for line in lines for point in line.points if point] + [value for value in usual if value is not None]
    top = 1.0 if share else _round(max(ends, default=1.0))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(times), 1)
    parts = [_grid(value, _y(value, top), share) for value in (0.0, top / 2, top)]
    for number, line in enumerate(lines):
        parts += _line(line, number, step, top, len(lines))
    dashed = [(number, value) for number, value in enumerate(usual) if value is not None]
    if len(dashed) > 1:
        path = " ".join(f"{_x(number, step):.1f},{_y(value, top):.1f}" for number, value in dashed)
        parts.append(
            f'<polyline class="usual" points="{path}" fill="none" stroke="currentColor" stroke-opacity=".7" stroke-dasharray="2 3"/>'
        )
    parts += _marks(times, marks, step)
    parts += [
        _text(_LEFT, HEIGHT - 6, f"{times[0]:%m-%d %H:%M}", "start"),
        _text(WIDTH - _RIGHT, HEIGHT - 6, f"{times[-1]:%m-%d %H:%M}", "end"),
    ]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="feed" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def legend(names: Sequence[str]) -> str:
    """Return which line is which, in words beside a piece of each line."""
    made = []
    for number, name in enumerate(names):
        stroke = f'stroke="{_COLOURS[number % 6]}" stroke-width="2.5" stroke-dasharray="{_DASHES[number % 6]}"'
        key = f'<svg viewBox="0 0 26 10" class="key" aria-hidden="true"><line x1="0" y1="5" x2="26" y2="5" {stroke}/></svg>'
        made.append(f"<span>{key}{escape(name)}</span>")
    return f'<p class="legend">{"".join(made)}</p>'


def _line(line: Line, number: int, step: float, top: float, lines: int) -> list[str]:
    """Return bars for the intervals, side by side where there are several lines, and the line with its points."""
    many = lines > 1
    colour, dash = (_COLOURS[number % 6], f'stroke-dasharray="{_DASHES[number % 6]}"') if many else ("currentColor", "")
    aside = (number - (lines - 1) / 2) * step * 0.25 if many else 0.0
    placed = [(_x(place, step) + aside, point) for place, point in enumerate(line.points)]
    parts = [
        f'<line x1="{x:.1f}" y1="{_y(point[0], top):.1f}" x2="{x:.1f}" y2="{_y(point[2], top):.1f}" stroke="{colour}"'
        f' stroke-width="{max(1.5, step * 0.5 / lines):.1f}" stroke-opacity=".25"/>'
        for x, point in placed
        if point
    ]
    for there, run in groupby(placed, key=lambda one: one[1] is not None):
        known = [(x, _y(point[1], top)) for x, point in run if point] if there else []
        if known:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in known)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6" {dash}/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.8" fill="{colour}"/>' for x, y in known]
    return parts


def _marks(times: Sequence[datetime], marks: Marks, step: float) -> list[str]:
    parts = []
    for moment in marks.warnings:
        place = _place(times, moment)
        if place is not None:
            parts.append(f'<path class="warned" d="M{_x(place, step):.1f} {_TOP - 9} l5 9 h-10 z" fill="#b45309"/>')
    for moment, version in marks.versions:
        place = _place(times, moment)
        if place is not None:
            x = _x(place, step) - step / 2
            ends = f'x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{HEIGHT - _BOTTOM}"'
            parts.append(f'<line class="version" {ends} stroke="#2563eb" stroke-dasharray="3 2"/>')
            parts.append(_text(x + 3, _TOP + 10, f"v{version}", "start"))
    return parts


def _place(times: Sequence[datetime], moment: datetime) -> int | None:
    before = [number for number, time in enumerate(times) if time <= moment]
    return before[-1] if before and (len(times) < 2 or moment < times[-1] + (times[1] - times[0])) else None


def _x(number: int, step: float) -> float:
    return _LEFT + (number + 0.5) * step


def _y(value: float, top: float) -> float:
    return _TOP + (1 - min(value, top) / top) * (HEIGHT - _TOP - _BOTTOM)


def _round(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return float(next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * (1 - 1e-9)))


def _grid(value: float, y: float, share: bool) -> str:
    words = f"{100 * value:.0f} %" if share else f"{value:g}"
    line = f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" stroke="currentColor" stroke-opacity=".15"/>'
    return line + _text(_LEFT - 5, y + 4, words, "end")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11" font-family="system-ui,sans-serif"'
        f' fill="currentColor">{escape(words)}</text>'
    )
