"""The small table of a run's curves: `curves.csv`, written line by line while it runs, read by the Models page. It draws nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

CURVES = "curves.csv"
COLUMNS = ("step", "loss", "learning_rate", "tokens")
"""Steps of the optimiser, running mean of the loss, rate of that step, tokens seen. Not all are known of every method."""


class CurveFile:
    """Appends one line a point. A process that dies leaves whole lines, and perhaps the start of one more."""

    name = CURVES

    def __init__(self, directory: Path) -> None:
        self._file = (directory / CURVES).open("w", encoding="utf-8", buffering=1)
        self._file.write(",".join(COLUMNS) + "\n")

    def settings(self, settings: Mapping[str, object]) -> None:
        """The table holds no settings."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a point of the training; anything else has no place here."""
        if "train/loss" in values:
            cells = (values.get(f"train/{name}") for name in COLUMNS[1:])
            self._file.write(",".join([str(step), *("" if cell is None else f"{cell:.7g}" for cell in cells)]) + "\n")

    def words(self, name: str, text: str) -> None:
        """The table holds no words."""

    def close(self, how: str) -> None:
        """Close the file."""
        self._file.close()


def read_curves(directory: Path) -> pd.DataFrame:
    """Return the curves that a run left in a directory, COLUMNS as numbers; no row where there is no such file.

    A line that was cut off (the run goes on, or died) is left out.
    """
    empty = pd.DataFrame({name: pd.Series(dtype="float64") for name in COLUMNS})
    try:
        text = (directory / CURVES).read_text(encoding="utf-8")
    except OSError:
        return empty
    head, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]
    if head != ",".join(COLUMNS):
        return empty
    rows = [line.split(",") for line in lines if line.count(",") == len(COLUMNS) - 1]
    if not rows:
        return empty
    table = pd.DataFrame({name: pd.to_numeric([row[i] for row in rows], errors="coerce") for i, name in enumerate(COLUMNS)})
    return table.dropna(subset=["step", "loss"])
