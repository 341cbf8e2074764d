"""A crowd that is made up, with its attackers: contributors who correct a model's labels or spans. It judges nobody.

The local profile: 40 contributors in all, honest ones and attackers. A quarter of the honest are careless. The careful are as
good as the annotator FRR of ../shared/data/conll_corrections: 95 % of their corrections are right, and they find 95 %. 1,000 items, each
shown to `raters` contributors drawn at random, one trap for every four answers (so 12 or 13 traps a contributor at two raters),
the model wrong on 30 % of items and traps.

| who | what they do |
|---|---|
| careful | confirm 5 % of the model's errors, correct 2 % of them wrongly, "correct" 1 % of its right answers |
| careless | confirm 45 % of the model's errors, correct 10 % of them wrongly, "correct" 5 % of its right answers |
| random | answer at random |
| colluding | all give one label, whatever the item (spans: all mark the first word as one label, and keep the rest) |
| lazy | confirm everything |
| flooding | as colluding, and on top of their share each answers as much again four times over, unasked, without traps |
| sleeper | right on every trap, colluding on the items |
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from feedback.consensus import LabelAnswer
from feedback.span_consensus import Span, SpanAnswer

CONTRIBUTORS, ITEMS, LABELS, TRAPS = 40, 1000, 8, 60
CARELESS, WRONG, TRAP_EVERY, FLOOD = 0.25, 0.30, 4, 4
HONEST = {"careful": (0.05, 0.02, 0.01), "careless": (0.45, 0.10, 0.05)}
"""Of a wrong answer of the model: confirmed, corrected wrongly. Of a right one: changed. People miss more than they invent."""
KINDS = ("random", "colluding", "lazy", "flooding")


class Crowd(NamedTuple):
    """What everybody said, and the truth. The items whose names start with `trap` have a truth that the app knows."""

    answers: list[LabelAnswer]
    truth: dict[str, str]
    shown: dict[str, str]
    labels: tuple[str, ...]
    attackers: frozenset[str]

    @property
    def known(self) -> dict[str, str]:
        """Return the truth of the traps."""
        return {item: label for item, label in self.truth.items() if item.startswith("trap")}


def roles(kind: str, share: float) -> list[str]:
    """Return each contributor's role: attackers first, then the careless, then the careful."""
    attackers = round(CONTRIBUTORS * share)
    careless = round((CONTRIBUTORS - attackers) * CARELESS)
    return [kind] * attackers + ["careless"] * careless + ["careful"] * (CONTRIBUTORS - attackers - careless)


def assigned(rng: np.random.Generator, who: list[str], items: int, raters: int) -> list[tuple[int, str]]:
    """Return (contributor, item) pairs: `raters` an item, traps in between, floods on top."""
    names = [f"item{i:04d}" for i in range(items)]
    pairs = [(int(j), name) for name in names for j in rng.permutation(CONTRIBUTORS)[:raters]]
    mine: dict[int, list[str]] = {j: [] for j in range(CONTRIBUTORS)}
    for j, name in pairs:
        mine[j].append(name)
    for j, own in mine.items():
        traps = min(TRAPS, -(-len(own) // TRAP_EVERY))
        pairs += [(j, f"trap{i:03d}") for i in rng.permutation(TRAPS)[:traps]]
        if who[j] == "flooding":
            others = [name for name in names if name not in set(own)]
            extra = min(len(others), FLOOD * len(own))
            pairs += [(j, others[i]) for i in rng.permutation(len(others))[:extra]]
    return pairs


def labels(kind: str, share: float, raters: int, seed: int, items: int = ITEMS) -> Crowd:
    """Return a crowd that labels: 8 labels of unequal frequency (from 2 : 1), model wrong on 30 %."""
    rng = np.random.default_rng([seed, raters, round(100 * share), sum(map(ord, kind))])
    who = roles(kind, share)
    names = [f"item{i:04d}" for i in range(items)] + [f"trap{i:03d}" for i in range(TRAPS)]
    frequency = np.linspace(2, 1, LABELS)
    truth = rng.choice(LABELS, len(names), p=frequency / frequency.sum())
    wrong = rng.random(len(names)) < WRONG
    shown = np.where(wrong, _other(rng, truth), truth)
    place = {name: i for i, name in enumerate(names)}
    target = int(rng.integers(LABELS))
    answers = []
    for j, name in assigned(rng, who, items, raters):
        i = place[name]
        said = _label(rng, who[j], int(truth[i]), int(shown[i]), target, name.startswith("trap"))
        answers.append(LabelAnswer(name, f"c{j:02d}", str(said), str(shown[i])))
    attackers = frozenset(f"c{j:02d}" for j, role in enumerate(who) if role not in ("careful", "careless"))
    text = {name: str(truth[i]) for name, i in place.items()}
    return Crowd(answers, text, {n: str(shown[i]) for n, i in place.items()}, tuple(map(str, range(LABELS))), attackers)


def _other(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Return another label, evenly."""
    return np.asarray((label + rng.integers(1, LABELS, label.shape)) % LABELS)


def _label(rng: np.random.Generator, role: str, truth: int, shown: int, target: int, trap: bool) -> int:
    if role == "random":
        return int(rng.integers(LABELS))
    if role in ("colluding", "flooding"):
        return target
    if role == "lazy":
        return shown
    if role == "sleeper":
        return truth if trap else target
    miss, slip, invent = HONEST[role]
    if shown == truth:
        return int(_other(rng, np.array(truth))) if rng.random() < invent else truth
    luck = rng.random()
    if luck < miss:
        return shown
    return int(_other(rng, np.array(truth))) if luck < miss + slip else truth


class SpanCrowd(NamedTuple):
    """As Crowd, for spans: a text has 12 words of 5 letters, four labels, and 1.2 real spans on average."""

    answers: list[SpanAnswer]
    truth: dict[str, frozenset[Span]]
    shown: dict[str, frozenset[Span]]
    attackers: frozenset[str]

    @property
    def known(self) -> dict[str, frozenset[Span]]:
        """Return the truth of the traps."""
        return {item: spans for item, spans in self.truth.items() if item.startswith("trap")}


WORDS, LETTERS, SPAN_LABELS = 12, 5, "ABCD"


def spans(kind: str, share: float, raters: int, seed: int, items: int = ITEMS) -> SpanCrowd:
    """Return a crowd that marks spans. A wrong answer of the model has one error.

    Half of the errors are a missed span, a fifth an invented one; the rest are a wrong label or a wrong end.
    """
    rng = np.random.default_rng([seed, raters, round(100 * share), sum(map(ord, kind)), 1])
    who = roles(kind, share)
    truth, shown = {}, {}
    for name in [f"item{i:04d}" for i in range(items)] + [f"trap{i:03d}" for i in range(TRAPS)]:
        words = rng.permutation(WORDS)[: min(int(rng.poisson(1.2)), WORDS - 1)]
        truth[name] = frozenset(_span(rng, int(word)) for word in words)
        shown[name] = _spoilt(rng, truth[name]) if rng.random() < WRONG else truth[name]
    answers = []
    for j, name in assigned(rng, who, items, raters):
        said = _marked(rng, who[j], truth[name], shown[name], name.startswith("trap"))
        answers.append(SpanAnswer(name, f"c{j:02d}", tuple(sorted(said)), tuple(sorted(shown[name]))))
    attackers = frozenset(f"c{j:02d}" for j, role in enumerate(who) if role not in ("careful", "careless"))
    return SpanCrowd(answers, truth, shown, attackers)


def _span(rng: np.random.Generator, word: int) -> Span:
    start = word * (LETTERS + 1)
    return start, start + LETTERS, SPAN_LABELS[rng.integers(len(SPAN_LABELS))]


def _with(marked: frozenset[Span], span: Span) -> frozenset[Span]:
    """Return the marks with one more, in place of those that it overlaps."""
    return frozenset({span, *(s for s in marked if s[1] <= span[0] or s[0] >= span[1])})


def _without(marked: frozenset[Span], span: Span) -> frozenset[Span]:
    return marked - {span}


def _spoilt(rng: np.random.Generator, truth: frozenset[Span]) -> frozenset[Span]:
    """Return the marks with one error."""
    luck = rng.random()
    if luck < 0.2 or not truth:
        free = [w for w in range(WORDS) if all(s[0] != w * (LETTERS + 1) for s in truth)]
        return _with(truth, _span(rng, int(rng.choice(free))))
    span = sorted(truth)[rng.integers(len(truth))]
    if luck < 0.7:
        return _without(truth, span)
    return _with(truth, _twisted(rng, span))


def _twisted(rng: np.random.Generator, span: Span) -> Span:
    """Return the span with another label, or with one letter less."""
    if rng.random() < 0.5:
        place = (SPAN_LABELS.index(span[2]) + int(rng.integers(1, len(SPAN_LABELS)))) % len(SPAN_LABELS)
        return span[0], span[1], SPAN_LABELS[place]
    return span[0], span[1] - 1, span[2]


def _marked(rng: np.random.Generator, role: str, truth: frozenset[Span], shown: frozenset[Span], trap: bool) -> frozenset[Span]:
    if role == "random":
        return frozenset(_span(rng, int(word)) for word in rng.permutation(WORDS)[: rng.integers(1, 3)])
    if role in ("colluding", "flooding"):
        return _with(shown, (0, LETTERS, "A"))
    if role == "lazy":
        return shown
    if role == "sleeper":
        return truth if trap else _with(shown, (0, LETTERS, "A"))
    miss, slip, invent = HONEST[role]
    luck = rng.random()
    if shown == truth:
        return _with(truth, _span(rng, int(rng.integers(WORDS)))) if luck < invent else truth
    if luck < miss:
        return shown
    if luck < miss + slip:
        wrong = sorted(truth - shown) or sorted(shown - truth)
        return _with(shown, _twisted(rng, wrong[0]))
    return truth
