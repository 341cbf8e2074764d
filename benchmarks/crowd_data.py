"""The two real sources of the acceptance benchmark, read: crowds with expert truth, and first-pass marks with their audit."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from feedback.consensus import LabelAnswer

SETS = ("CF_amt", "SP", "d_sentiment")


class Labelled(NamedTuple):
    """A real crowd: its answers, the labels, and the expert's truth of each item that has one."""

    answers: list[LabelAnswer]
    labels: tuple[str, ...]
    truth: dict[str, str]


class Marks(NamedTuple):
    """First-pass marks of one annotator against the audit. A mark is a place in the corpus that is called an error.

    `kept`: the audit calls the place an error too; `same`: and gives the same kind of error and the same correct span and type.
    """

    annotator: str
    marks: int
    kept: int
    same: int
    audited: int  # marks after the audit

    @property
    def precision(self) -> float:
        """Return the share of the marks that the audit kept as errors."""
        return self.kept / self.marks

    @property
    def recall(self) -> float:
        """Return the share of the audit's marks that were there before it."""
        return self.kept / self.audited


def crowd(folder: Path) -> Labelled:
    """Return one set of ../shared/data/crowd_labels."""
    with (folder / "label.csv").open(newline="") as file:
        answers = [LabelAnswer(row["item"], row["worker"], row["label"]) for row in csv.DictReader(file)]
    with (folder / "truth.csv").open(newline="") as file:
        truth = {row["item"]: row["truth"] for row in csv.DictReader(file)}
    return Labelled(answers, tuple(sorted({a.label for a in answers} | set(truth.values()))), truth)


def at_most(answers: list[LabelAnswer], raters: int | None, seed: int) -> list[LabelAnswer]:
    """Return `raters` answers of each item, drawn at random; all of them for None."""
    if raters is None:
        return answers
    order = np.random.default_rng(seed).permutation(len(answers))
    taken: Counter[str] = Counter()
    kept = []
    for index in order:
        answer = answers[index]
        if taken[answer.item] < raters:
            taken[answer.item] += 1
            kept.append(answer)
    return kept


def audited_marks(folder: Path) -> list[Marks]:
    """Return the marks of each first-pass annotator of ../shared/data/conll_corrections, all their files together."""
    names = {row["file_name"].strip(): (row["labelled_by"] or "").strip() for row in _rows(folder / "annotator_rubric.csv")}
    sums: dict[str, Counter[str]] = {}
    for path in sorted((folder / "human_labels").glob("*.csv")):
        first, audit = _marks(path), _marks(folder / "human_labels_audited" / path.name)
        places, places_after = _places(first), _places(audit)
        total = sums.setdefault(names.get(path.name) or "not named", Counter())
        total["marks"] += sum(first.values())
        total["audited"] += sum(audit.values())
        total["kept"] += sum((places & places_after).values())
        total["same"] += sum((first & audit).values())
    return [Marks(who, n["marks"], n["kept"], n["same"], n["audited"]) for who, n in sorted(sums.items())]


def _rows(path: Path) -> list[dict[str, str]]:
    text = path.read_bytes().decode("utf-8", errors="replace")  # some files are Latin-1; only places are compared
    delimiter = "\t" if path.name == "annotator_rubric.csv" else ","
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def _marks(path: Path) -> Counter[tuple[str, ...]]:
    """Return the marks of a file: (fold, document, place, error, correct span, correct type) -> how often."""
    found: Counter[tuple[str, ...]] = Counter()
    for row in _rows(path):
        if row["error_type"].strip() in ("", "None"):
            continue
        place = f"{row.get('model_span') or ''}|{row.get('corpus_span') or ''}"
        columns = ("error_type", "correct_span", "correct_ent_type")
        found[row["fold"], row["doc_offset"], place, *((row.get(name) or "").strip() for name in columns)] += 1
    return found


def _places(marks: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for mark, n in marks.items():
        found[mark[:3]] += n
    return found
