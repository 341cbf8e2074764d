"""The visitors of feedback_to_quality.py: six kinds of people who correct a real model's spans over several rounds. They judge nothing.

40 visitors, the same in every round. Of the honest a quarter are careless and a tenth lazy; the malicious are, a third each,
trolls, colluders and sleepers, and the last two tell the same lie (sleeper_visitors.wrong).

| who | what they do |
|---|---|
| good | crowd_simulation.HONEST["careful"]: confirm 5 % of the model's errors, mend 2 % wrongly, spoil 1 % of its right answers |
| careless | mend half of the model's errors; of their changes 68 % are right: they miss far more than they invent (../shared/model.md) |
| lazy | confirm everything |
| troll | mark one or two words, whatever the text |
| colluder | tell the lie on every text, traps included |
| sleeper | right on every trap, tell the lie elsewhere |

Each text meets two visitors: one wrote it, the other is asked for a second opinion. Nobody meets a trap twice. As in asking.py
a visitor's first eight traps come at once, in the first round; later every fourth answer is to a trap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from benchmarks.crowd_simulation import CARELESS, CONTRIBUTORS, TRAP_EVERY, TRAPS
from benchmarks.local_profile import address
from benchmarks.sleeper_visitors import RATERS, Lie, Text, free_words, plain, said, wrong
from feedback.asking import ENOUGH_TRAPS
from feedback.records import Asked, Correction, Json, Prediction, Record, input_hash, new_id
from feedback.store import Store

LAZY = 0.10  # of the honest
RECALL, PRECISION = 0.50, 0.68  # of careless changes: first-pass marks of 47 people on CoNLL text
CUT = 0.5 * RECALL * (1 - PRECISION) / PRECISION  # of the missing spans that is marked too short: half of what is changed wrongly
START = datetime(2026, 1, 5, tzinfo=UTC).replace(tzinfo=None)  # as the log stores times
WEEK = timedelta(days=7)  # a round


class Met(NamedTuple):
    """Who meets which text: a contributor's number and the text's name (`trap...` or `item...`)."""

    contributor: int
    name: str


def roles(malice: float) -> list[str]:
    """Return each visitor's role; the malicious first. `malice`: their share, 0..1."""
    bad = round(CONTRIBUTORS * malice)
    honest = CONTRIBUTORS - bad
    careless, lazy = round(honest * CARELESS), round(honest * LAZY)
    kinds = [("troll", "colluder", "sleeper")[number % 3] for number in range(bad)]
    return [*kinds, *["careless"] * careless, *["lazy"] * lazy, *["good"] * (honest - careless - lazy)]


def plan(seed: int, rounds: int, items: int) -> list[list[Met]]:
    """Return who meets what, by round. `items` texts a round; the names run on: item0000 is met in the first round only."""
    random = np.random.default_rng([seed, 5])
    traps = [random.permutation(TRAPS) for _ in range(CONTRIBUTORS)]
    met = [0] * CONTRIBUTORS  # traps so far
    planned = []
    for number in range(rounds):
        names = [f"item{place:04d}" for place in range(number * items, (number + 1) * items)]
        pairs = [Met(int(who), name) for name in names for who in random.permutation(CONTRIBUTORS)[:RATERS]]
        for who in range(CONTRIBUTORS):
            own = sum(pair.contributor == who for pair in pairs)
            wanted = max(math.ceil(own / TRAP_EVERY), ENOUGH_TRAPS if number == 0 else 0)
            pairs += [Met(who, f"trap{place:03d}") for place in traps[who][met[who] : met[who] + wanted]]
            met[who] += wanted
        planned.append(pairs)
    return planned


def invention(texts: Sequence[Text]) -> float:
    """Return how often, a text, the careless mark a word that is no span, so that PRECISION of their changes are right.

    They mend RECALL of the errors: spans that are missing (m a text) and spans that are wrong and in no missing one's place
    (f a text). So RECALL (m + f) changes a text are right, and (1 - PRECISION) / PRECISION times as many must be wrong;
    CUT m of these are missing spans marked too short.
    """
    missing = excess = 0
    for text in texts:
        gone, wrong_ = errors(plain(text.truth)["spans"], plain(text.shown.output)["spans"])
        missing, excess = missing + len(gone), excess + len(wrong_)
    wanted = RECALL * (1 - PRECISION) / PRECISION * (missing + excess)
    return min(1.0, (wanted - CUT * missing) / max(1, len(texts)))


def errors(truth: Sequence[Json], shown: Sequence[Json]) -> tuple[list[Json], list[Json]]:
    """Return the spans that are missing, and the shown ones that are wrong and touch no missing one."""
    missing = [span for span in truth if span not in shown]
    return missing, [span for span in shown if span not in truth and not any(_touch(span, other) for other in missing)]


def careless(item: Text, invent: float, lie: Lie, random: np.random.Generator) -> Json:
    """Return what a careless visitor makes of an answer: some errors mended, some spans cut short or invented."""
    truth, shown = plain(item.truth)["spans"], plain(item.shown.output)["spans"]
    missing, excess = errors(truth, shown)
    marked = [span for span in shown if span not in excess or random.random() >= RECALL]
    for span in missing:
        luck = random.random()
        if luck < RECALL:
            new = span
        elif luck < RECALL + CUT and span["end"] - span["start"] > 1:
            new = {**span, "end": span["end"] - 1}
        else:
            continue
        marked = [*(other for other in marked if not _touch(other, new)), new]
    if random.random() < invent:
        free = free_words(item.text, {"spans": [*marked, *truth]})
        if free:
            start, end = free[int(random.integers(len(free)))]
            marked.append({"start": start, "end": end, "label": lie.label})
    return plain({"spans": marked})


def says(role: str, item: Text, trap: bool, lie: Lie, invent: float, random: np.random.Generator) -> Json:
    """Return what a visitor of this role says of a text."""
    if role == "good":
        return said("careful", item, trap, lie, random)
    if role == "careless":
        return careless(item, invent, lie, random)
    if role == "lazy":
        return plain(item.shown.output)
    if role == "troll":
        words = free_words(item.text, {"spans": []})
        chosen = [words[int(place)] for place in random.permutation(len(words))[: int(random.integers(1, 3))]]
        return plain({"spans": [{"start": start, "end": end, "label": lie.label} for start, end in chosen]})
    truth = plain(item.truth)
    return truth if role == "sleeper" and trap else wrong(item.text, truth, lie)


def speak(store: Store, texts: Mapping[str, Text], met: Sequence[Met], malice: float, lie: Lie, number: int, seed: int) -> None:
    """Store what everybody was shown and said in round `number` (from 1).

    Each visitor comes once a round, at an hour of their own and from a network of their own: no cap but the contributor's and the
    label pair's holds them.
    """
    random = np.random.default_rng([seed, number, 78])
    who, invent = roles(malice), invention(list(texts.values()))
    came = random.uniform(0, 160, CONTRIBUTORS)  # hours of the week
    spoken = [0] * CONTRIBUTORS
    timed = []
    for place in random.permutation(len(met)):
        pair = met[int(place)]
        spoken[pair.contributor] += 1
        when = START + number * WEEK + timedelta(hours=came[pair.contributor], seconds=40 * spoken[pair.contributor])
        timed.append((when, pair))
    opened: set[str] = set()
    rows: list[Record] = []
    for when, (contributor, name) in sorted(timed):
        item, trap = texts[name], name.startswith("trap")
        asked, visitor = trap or name in opened, f"c{contributor:02d}"
        made = Prediction(
            new_id("p"), visitor, "", 0, "champion", number, item.text, input_hash(item.text), item.shown.output,
            item.shown.confidence, 20.0, forced=asked, network=address(contributor), created=when,
        )  # fmt: skip
        output = says(who[contributor], item, trap, lie, invent, random)
        mine = Correction(new_id("c"), made.id, visitor, output, output == plain(item.shown.output), created=when)
        rows += [made, mine]
        if asked:
            rows.append(Asked(made.id, visitor, "trap" if trap else "opinion", made.input_hash, created=when))
        opened.add(name)
    store.add(*rows)


def _touch(one: Json, two: Json) -> bool:
    return bool(one["start"] < two["end"] and two["start"] < one["end"])
