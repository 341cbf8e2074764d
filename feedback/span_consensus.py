"""Which spans of a text several contributors together mark, and how surely: names around span_model.py. It accepts nothing.

Spans are (start, end, label) in character offsets (Unicode code points, end exclusive) on immutable text; nothing is retokenised.
The answer to a text is a whole set of spans. Its posterior is that of the likeliest set without overlaps, times the chance
that no real span was missed by everybody.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from feedback.consensus import groups, usual_size
from feedback.errors import BadInput
from feedback.span_model import (
    FIND,
    Marks,
    Rates,
    SpanFit,
    SpanPriors,
    best_set,
    counts,
    exclusive,
    fit,
    log_odds,
    rates_of,
    unseen,
)
from feedback.threshold import supported

Span = tuple[int, int, str]


class SpanAnswer(NamedTuple):
    """One contributor's spans for a text, and those that the model showed them (empty: it marked nothing)."""

    item: str
    contributor: str
    spans: tuple[Span, ...]
    shown: tuple[Span, ...] = ()


class Change(NamedTuple):
    """A span that the likeliest answer adds to what was shown, or takes away; `said_by`: the contributors who did so too."""

    span: Span
    added: bool
    said_by: tuple[str, ...]


class SpanLeading(NamedTuple):
    """The likeliest answer to a text. `probabilities` belong to `spans`; `probability` is of the whole answer being right."""

    item: str
    spans: tuple[Span, ...]
    probabilities: tuple[float, ...]
    probability: float
    changes: tuple[Change, ...]

    @property
    def corrects(self) -> bool:
        """Return whether it differs from what was shown."""
        return bool(self.changes)

    def supported(self, trusted: Collection[str]) -> bool:
        """Return whether every change is backed by two contributors or one trusted one."""
        return all(supported(change.said_by, trusted) for change in self.changes)


class SpanHeldOut(NamedTuple):
    """A known text as some of its contributors see it while its truth is kept from them."""

    leading: SpanLeading
    right: bool


@dataclass(frozen=True)
class SpanConsensus:
    """A settled state. answers are sorted by item and contributor; people are in the order of the rates' first axis."""

    items: tuple[str, ...]
    people: tuple[str, ...]
    answers: tuple[SpanAnswer, ...]
    known: Mapping[str, frozenset[Span]]
    marks: Marks
    fit: SpanFit
    priors: SpanPriors

    def rates(self, contributor: str) -> dict[str, float]:
        """Return a contributor's four rates by name, each 0..1."""
        if contributor not in self.people:
            raise BadInput(f"{contributor!r} gave no answer: {len(self.people)} contributors did")
        row = self.fit.rates.of[self.people.index(contributor)]
        return dict(zip(("find", "invent", "keep_real", "keep_false"), row.tolist(), strict=True))

    def leading(self) -> list[SpanLeading]:
        """Return the likeliest answer to every text, in the order of `items`; a known text's is its truth, with posterior 1."""
        of_item = _by_item(self.answers)
        odds = log_odds(self.marks, self.fit.rates, self.priors)  # of all candidates at once: a long log has mostly lone answers
        missed = self.fit.rates.hidden * unseen(self.marks, self.fit.rates)
        ends = np.searchsorted(self.marks.text_of, np.arange(len(self.items) + 1)).tolist()
        clusters: dict[int, list[tuple[int, ...]]] = {}
        for cluster in self.marks.clusters:
            clusters.setdefault(int(self.marks.text_of[cluster[0]]), []).append(cluster)
        found = []
        for text, item in enumerate(self.items):
            if item in self.known:
                spans = tuple(sorted(self.known[item]))
                ones = tuple(1.0 for _ in spans)
                found.append(SpanLeading(item, spans, ones, 1.0, _changes(spans, of_item[item])))
            else:
                here, end = ends[text], ends[text + 1]
                local = [tuple(index - here for index in cluster) for cluster in clusters.get(text, ())]
                own = self.marks.spans[here:end]
                found.append(_likeliest(of_item[item], own, odds[here:end].tolist(), local, float(missed[text])))
        return found

    def held_out(self, size: int | None = None) -> list[SpanHeldOut]:
        """Return every known text as groups of `size` of its contributors see it, each without what it taught them.

        size as in consensus.Consensus.held_out: None takes the median number of contributors of the open texts.
        """
        size = size or usual_size(Counter(a.item for a in self.answers if a.item not in self.known).values())
        hits, trials = counts(self.marks, self.fit.real, self.fit.rates, self.priors)
        place = {name: index for index, name in enumerate(self.people)}
        found = []
        for item, answers in _by_item([a for a in self.answers if a.item in self.known]).items():
            own = _marks(answers, {item: self.known[item]})
            people = sorted({a.contributor for a in answers})
            rows = [place[name] for name in people]
            mine = counts(own, own.real.astype(float), self.fit.rates._replace(of=self.fit.rates.of[rows]), self.priors)
            of = self.fit.rates.of.copy()
            of[rows] = rates_of(np.maximum(hits[rows] - mine[0], 0), np.maximum(trials[rows] - mine[1], 0), self.priors)
            for group in groups(item, range(len(answers)), [a.contributor for a in answers], size):
                leading = _judged([answers[i] for i in group], self.people, self.fit.rates._replace(of=of), self.priors)
                found.append(SpanHeldOut(leading, set(leading.spans) == set(self.known[item])))
        return found


def batch(
    answers: Sequence[SpanAnswer], known: Mapping[str, Collection[Span]] | None = None, priors: SpanPriors | None = None
) -> SpanConsensus:
    """Return the consensus of all answers. known: item -> its true spans. The order of the answers is of no matter.

    Of a contributor who answered a text twice the last answer counts. BadInput for a span that does not start at 0 or later and
    end after its start, and for an answer whose own spans overlap.
    """
    priors = priors or SpanPriors()
    newest = {(a.item, a.contributor): a for a in answers}
    kept = tuple(newest[key] for key in sorted(newest))
    for answer in kept:
        _check(answer)
    items = tuple(sorted({a.item for a in kept}))
    truths = {item: frozenset((known or {})[item]) for item in items if item in (known or {})}
    marks = _marks(kept, truths)
    return SpanConsensus(items, tuple(sorted({a.contributor for a in kept})), kept, truths, marks, fit(marks, priors), priors)


def _check(answer: SpanAnswer) -> None:
    for start, end, label in answer.spans:
        if not 0 <= start < end:
            raise BadInput(
                f"span ({start}, {end}, {label!r}) of {answer.item!r}: a span starts at 0 or later and ends after its start"
            )
    ordered = sorted(answer.spans)
    for one, two in pairwise(ordered):
        if two[0] < one[1]:
            raise BadInput(f"spans {one} and {two} of {answer.item!r} overlap: an answer's spans exclude each other")


def _by_item(answers: Sequence[SpanAnswer]) -> dict[str, list[SpanAnswer]]:
    found: dict[str, list[SpanAnswer]] = {}
    for answer in answers:
        found.setdefault(answer.item, []).append(answer)
    return found


def _marks(answers: Sequence[SpanAnswer], known: Mapping[str, frozenset[Span]]) -> Marks:
    """Return the answers as judgements on candidates, texts and people in sorted order."""
    of_item = _by_item(answers)
    people = {name: index for index, name in enumerate(sorted({a.contributor for a in answers}))}
    spans: list[Span] = []
    rows: list[tuple[int, int, bool, bool]] = []
    of_candidate: list[tuple[int, bool, bool, int]] = []
    clusters: list[tuple[int, ...]] = []
    for text, item in enumerate(sorted(of_item)):
        said = of_item[item]
        shown = {span for a in said for span in a.shown}
        here = sorted(
            {span for a in said for span in a.spans} | shown | known.get(item, frozenset()), key=lambda s: (s[1], s[0], s[2])
        )
        for index, span in enumerate(here, start=len(spans)):
            real = int(span in known[item]) if item in known else -1
            of_candidate.append((text, span in shown, span not in shown and any(_overlap(span, s) for s in shown), real))
            rows += [
                (index, people[a.contributor], span in a.spans, span in a.shown)
                for a in said
                if span in a.spans or not any(_overlap(span, s) for s in a.spans)  # else it had to go, and nothing was said of it
            ]
        clusters += _clusters(here, len(spans)) if item not in known else []
        spans += here
    columns = np.array(rows, dtype=int).reshape(-1, 4).T
    text_of, was_shown, beside, real_of = np.array(of_candidate, dtype=int).reshape(-1, 4).T
    texts = {item: text for text, item in enumerate(sorted(of_item))}
    return Marks(
        columns[0],
        columns[1],
        columns[2].astype(bool),
        columns[3].astype(bool),
        text_of,
        was_shown.astype(bool),
        beside.astype(bool),
        real_of,
        np.array([texts[a.item] for a in answers], dtype=int),
        np.array([people[a.contributor] for a in answers], dtype=int),
        np.array([item in known for item in sorted(of_item)], dtype=bool),
        tuple(clusters),
        tuple(spans),
        len(people),
    )


def _overlap(one: Span, two: Span) -> bool:
    return one[0] < two[1] and two[0] < one[1]


def _clusters(spans: Sequence[Span], first: int) -> list[tuple[int, ...]]:
    """Return the groups of two and more spans (sorted by end, numbered from `first`) that hang together by overlaps."""
    by_start = sorted(range(len(spans)), key=lambda i: spans[i][0])
    groups_: list[list[int]] = []
    reach = -1
    for i in by_start:
        if spans[i][0] < reach:
            groups_[-1].append(i)
        else:
            groups_.append([i])
        reach = max(reach, spans[i][1])
    return [tuple(first + i for i in sorted(group)) for group in groups_ if len(group) > 1]


def _judged(answers: Sequence[SpanAnswer], people: Sequence[str], rates: Rates, priors: SpanPriors) -> SpanLeading:
    """Return the likeliest answer to one text, given its answers and everybody's rates."""
    place = {name: index for index, name in enumerate(people)}
    marks = _marks(answers, {})
    rows = [place[name] for name in sorted({a.contributor for a in answers})]
    odds = log_odds(marks, rates._replace(of=rates.of[rows]), priors).tolist() if marks.spans else []
    missed = rates.hidden * float(np.prod(1 - rates.of[rows, FIND]))
    return _likeliest(answers, marks.spans, odds, marks.clusters, missed)


def _likeliest(
    answers: Sequence[SpanAnswer],
    candidates: Sequence[Span],
    odds: Sequence[float],
    clusters: Sequence[tuple[int, ...]],
    missed: float,
) -> SpanLeading:
    """Return the likeliest set of a text's candidates (sorted by end); `clusters` index them, `missed`: real ones nobody marked."""
    chosen, probability = best_set(candidates, odds)
    spans = tuple(sorted(candidates[i] for i in chosen))
    each = {candidates[i]: 1 / (1 + math.exp(-min(max(odds[i], -500), 500))) for i in chosen}
    for cluster in clusters:
        marginals = exclusive([candidates[i] for i in cluster], [odds[i] for i in cluster])
        each.update({candidates[i]: p for i, p in zip(cluster, marginals, strict=True) if i in chosen})
    return SpanLeading(
        answers[0].item, spans, tuple(each[s] for s in spans), probability * math.exp(-missed), _changes(spans, answers)
    )


def _changes(spans: Collection[Span], answers: Sequence[SpanAnswer]) -> tuple[Change, ...]:
    """Return what the spans add to all that was shown, and what they take from it."""
    shown = {span for a in answers for span in a.shown}
    added = [Change(s, True, tuple(a.contributor for a in answers if s in a.spans)) for s in sorted(set(spans) - shown)]
    gone = [
        Change(s, False, tuple(a.contributor for a in answers if s in a.shown and s not in a.spans))
        for s in sorted(shown - set(spans))
    ]
    return (*added, *gone)
