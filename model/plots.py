"""What the Models page plots: losses of runs, and scores along the champion's line. Tables and words; it draws nothing."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from feedback.experiments import Experiments
from feedback.words import Say
from model.curves import read_curves
from model.lineage import line
from model.retrain import Retrainer
from model.versions import Card, Versions

LOSS = ("step", "loss", "run")
SCORE = ("version", "score", "part")
_PARTS = ("validation", "test")


class Plots(NamedTuple):
    """Two tables, their columns as LOSS and SCORE; `order`: the versions as they stand on the axis; `words`: what stands below.

    A table with fewer than two points of any line is empty: a line needs two.
    """

    losses: pd.DataFrame
    scores: pd.DataFrame
    order: list[str]
    words: str


class Plotted:
    """The page's plots, in its language."""

    def __init__(self, t: Say, retrainer: Retrainer, experiments: Experiments, versions: Versions) -> None:
        self._t = t
        self._retrainer = retrainer
        self._experiments = experiments
        self._versions = versions

    def plots(self, number: int | None) -> Plots:
        """Return the curves of a version's training and of the running one, and the scores along the champion's line."""
        losses, words = self._losses(number)
        scores, order = self._scores()
        if scores.empty:
            words.append(self._t("models.curve.one_version"))
        return Plots(losses, scores, order, "\n".join(words))

    def _losses(self, number: int | None) -> tuple[pd.DataFrame, list[str]]:
        t, lines, words = self._t, [], []
        if number is not None:
            table = read_curves(self._versions.path(number))[["step", "loss"]]
            if len(table) > 1:
                lines.append(table.assign(run=t("models.curve.version", version=number)))
            elif len(table) == 1:
                words.append(t("models.curve.one_point", version=number, loss=float(table["loss"].iloc[0])))
            else:
                words.append(t("models.curve.none", version=number))
        now = self._retrainer.progress()
        if now is not None:
            table = read_curves(self._retrainer.rounds.directory(now.run).tracking)[["step", "loss"]]
            if len(table) > 1:
                lines.append(table.assign(run=t("models.curve.running")))
        if not lines:
            return pd.DataFrame({"step": [], "loss": [], "run": pd.Series(dtype="str")}), words
        return pd.concat(lines, ignore_index=True), words

    def _scores(self) -> tuple[pd.DataFrame, list[str]]:
        shown = champion_line(self._experiments.champion, {card.number: card for card in self._versions.cards()})
        rows = [
            (str(card.number), card.scores[part]["main"], self._t(f"models.curve.{part}"))
            for part in _PARTS
            for card in shown
            if "main" in card.scores.get(part, {})
        ]
        table = pd.DataFrame(rows, columns=list(SCORE)).astype({"version": "str", "score": "float64", "part": "str"})
        order = list(dict.fromkeys(table["version"]))
        return (table if len(order) > 1 else table.iloc[:0]), order


def champion_line(champion: int, cards: dict[int, Card]) -> list[Card]:
    """Return the champion's card and those it descends from, oldest first; those that are gone from the disk end the line."""
    return [cards[number] for number in reversed(line(champion, cards)) if number in cards]
