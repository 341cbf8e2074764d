"""How far people say the same of the same texts: Krippendorff's alpha for labels, F1 between people for marked parts.

Pure arithmetic over outputs; who counts and which opinion stands is the business of reviewing.py.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from feedback.records import Json

Mark = tuple[int, int, str]
"""A marked part of a text: start and end in code points (end exclusive), and its label."""


class LabelAgreement(NamedTuple):
    """How well people agree on one label, or on all of them (`label` is "" then)."""

    label: str  # or a head, where texts have several: it has no row over all
    measure: Literal["alpha", "f1"]
    value: float | None  # alpha -1..1 (1 alike, 0 as by chance), F1 0..1; None where nothing could differ
    texts: int  # judged by at least two people, where somebody said the label
    said: int  # how often it was said there


def agreement(texts: Iterable[Sequence[Json]]) -> list[LabelAgreement]:
    """Return the agreement over all labels, then by label, the one that was said most first.

    texts: the outputs of different people for each text, one a person. Texts that fewer than two judged tell nothing and
    are left out. Outputs that hold `spans` are compared by F1, those of several heads (`labels`) head by head and all others as wholes
    by alpha.
    """
    judged = [outputs for outputs in texts if len(outputs) > 1]
    if not judged:
        return []
    if any("spans" in output for outputs in judged for output in outputs):
        return _by_f1([[marks_of(output) for output in outputs] for outputs in judged])
    if all("labels" in output for outputs in judged for output in outputs):
        return _by_head(judged)
    return _by_alpha([[_said(output) for output in outputs] for outputs in judged])


def _by_head(judged: Sequence[Sequence[Json]]) -> list[LabelAgreement]:
    """Return each head by itself: agreement on it as a whole, then on each of its labels. People may have said nothing of a head."""
    rows: list[LabelAgreement] = []
    for head in sorted({head for outputs in judged for output in outputs for head in output["labels"]}):
        told = [[f"{head}/{output['labels'][head]}" for output in outputs if head in output["labels"]] for outputs in judged]
        twice = [labels for labels in told if len(labels) > 1]
        if twice:
            whole, *each = _by_alpha(twice)
            rows += [whole._replace(label=head), *each]
    return rows


def _said(output: Mapping[str, Json]) -> str:
    """Return an output as one value: its label, or all of it as text."""
    return str(output["label"]) if "label" in output else json.dumps(output, ensure_ascii=False, sort_keys=True)


def marks_of(output: Mapping[str, Json]) -> frozenset[Mark]:
    """Return the marked parts of an output, without what a model adds to them (its confidence)."""
    return frozenset((span["start"], span["end"], span["label"]) for span in output["spans"])


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Return Krippendorff's alpha for nominal values; None where there are no pairs, or only one value occurs.

    units: the values that were given to each unit, one a person. A unit with a single value is left out. A unit of m values
    gives each of its ordered pairs the weight 1/(m-1) (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, C.):
    alpha = 1 - (n-1) * disagreements / sum over c != k of n_c n_k.
    """
    totals: Counter[Hashable] = Counter()
    unlike = 0.0
    for values in units:
        size = len(values)
        if size < 2:
            continue
        counts = Counter(values)
        totals.update(counts)
        unlike += sum(count * (size - count) for count in counts.values()) / (size - 1)
    n = totals.total()
    expected = n * n - sum(count * count for count in totals.values())
    return 1 - (n - 1) * unlike / expected if expected else None


def pairwise_f1(texts: Iterable[Sequence[frozenset[Mark]]]) -> float | None:
    """Return F1 between people over exact marks; None where nobody marked anything.

    F1 of two people is 2 |A and B| / (|A| + |B|), whoever of them is taken for right. It stands where kappa cannot: the parts
    of a text that nobody marked cannot be counted (Hripcsak and Rothschild, JAMIA 2005). Pairs are summed over texts, with
    the weight 1/(m-1) in a text of m people, so that each person's marks count once.
    """
    alike = marked = 0.0
    for people in texts:
        size = len(people)
        if size < 2:
            continue
        said = Counter(mark for marks in people for mark in marks)
        alike += sum(count * (count - 1) for count in said.values()) / (size - 1)
        marked += said.total()
    return alike / marked if marked else None


def _by_alpha(texts: Sequence[Sequence[str]]) -> list[LabelAgreement]:
    """Return alpha over all labels, then of each label against the rest: that is alpha of two values, all in one pass."""
    said: Counter[str] = Counter()
    where: Counter[str] = Counter()
    unlike: dict[str, float] = defaultdict(float)
    for labels in texts:
        counts = Counter(labels)
        said.update(counts)
        where.update(counts.keys())
        for label, count in counts.items():
            unlike[label] += 2 * count * (len(labels) - count) / (len(labels) - 1)
    n = said.total()
    rows = [LabelAgreement("", "alpha", krippendorff_alpha(texts), len(texts), n)]
    for label, count in said.most_common():
        expected = 2 * count * (n - count)
        value = 1 - (n - 1) * unlike[label] / expected if expected else None
        rows.append(LabelAgreement(label, "alpha", value, where[label], count))
    return rows


def _by_f1(texts: Sequence[Sequence[frozenset[Mark]]]) -> list[LabelAgreement]:
    said: Counter[str] = Counter()
    where: Counter[str] = Counter()
    alike: dict[str, float] = defaultdict(float)
    for people in texts:
        counts = Counter(mark for marks in people for mark in marks)
        where.update({label for _, _, label in counts})
        for (_, _, label), count in counts.items():
            said[label] += count
            alike[label] += count * (count - 1) / (len(people) - 1)
    rows = [LabelAgreement("", "f1", pairwise_f1(texts), len(texts), said.total())]
    return rows + [LabelAgreement(label, "f1", alike[label] / count, where[label], count) for label, count in said.most_common()]
