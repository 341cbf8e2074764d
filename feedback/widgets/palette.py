"""The colours of labels: twelve pairs that are legible in light and in dark. Numbers only; drawing is the style sheet's work."""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """One label's background and ink as #rrggbb, for a light and a dark page."""

    light: str
    light_ink: str
    dark: str
    dark_ink: str


PALETTE: tuple[Colour, ...] = (
    Colour("#dbe4ff", "#23397f", "#2b3a6b", "#dde6ff"),  # blue
    Colour("#ffe3cf", "#7a3206", "#6b3a1a", "#ffe4d2"),  # orange
    Colour("#d3f1dc", "#14532b", "#1f5034", "#d6f5e0"),  # green
    Colour("#fbd9e6", "#7f1543", "#6b2547", "#ffdfeb"),  # rose
    Colour("#fdf0b8", "#5c4306", "#574610", "#fdf2c4"),  # yellow
    Colour("#cdeff2", "#0d4b53", "#174c54", "#d2f4f7"),  # cyan
    Colour("#e9dcfd", "#4e2288", "#4a3076", "#efe4ff"),  # violet
    Colour("#ffd9d6", "#84190f", "#6e2a24", "#ffe0dd"),  # red
    Colour("#e2f0bf", "#3b4d08", "#424f17", "#eaf6cb"),  # lime
    Colour("#f0dccb", "#5d3717", "#56402d", "#f6e6d8"),  # brown
    Colour("#f3d6f8", "#6a1a78", "#5c2a66", "#f9e2fc"),  # magenta
    Colour("#dfe3e8", "#333d4a", "#3f4853", "#e6ebf1"),  # slate
)
"""In the order in which labels take them. A thirteenth label starts over: the label's name is always written beside the colour."""


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two #rrggbb colours, 1..21 (WCAG 2.2, definition of "contrast ratio")."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Return the relative luminance in 0..1 (WCAG 2.2, definition of "relative luminance")."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
