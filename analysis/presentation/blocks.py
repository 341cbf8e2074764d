"""What a written page is made of: headline, headings, lines, tables, intervals, plots, folds. Plain text alone, no markup.

contents.py fills them from a report; figures.py makes HTML of them, written.py Markdown. So the page and the files say the same.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from analysis.parts import Point

Tone = Literal["good", "bad", "warning", "plain"]


class Headline(NamedTuple):
    """The verdict in words; `verdict` is the report's own word for it, for programs."""

    text: str
    tone: Tone
    verdict: str


class Heading(NamedTuple):
    """The title of what follows."""

    text: str


class Line(NamedTuple):
    """A paragraph. `strong` says what matters most in its part, `quiet` what only explains."""

    text: str
    weight: Literal["strong", "plain", "quiet"] = "plain"


class Table(NamedTuple):
    """Rows of text under a head; the first cell of each row names the row. `texts`: cells are words rather than numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: bool = False


class Bar(NamedTuple):
    """An interval about the line of no difference; the words beside it say the same in numbers."""

    low: float
    value: float
    high: float


class Plot(NamedTuple):
    """One challenger's effect over time, in the metric's unit. `words` say what the drawing shows."""

    challenger: str
    unit: str
    points: tuple[Point, ...]
    words: str


class Fold(NamedTuple):
    """A part that is closed at first."""

    title: str
    blocks: tuple[Block, ...]


Block = Headline | Heading | Line | Table | Bar | Plot | Fold
