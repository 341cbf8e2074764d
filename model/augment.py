"""Made-up training examples whose labels stay right: mentions replaced, words noised. It learns and judges nothing.

Spans: a mention becomes another mention of its label from the training data, and words in and around it may get a typo
or another case. Labels: words are dropped, swapped with a neighbour, or get a typo, each rarely.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from feedback.records import Example, Json, input_hash

REPLACED = 0.5
"""Share of an example's mentions that become others; at least one does."""
TYPO = 0.03
CASE = 0.1
DROPPED = 0.1
SWAPPED = 0.05
"""Rates a word, but CASE: a text. EDA (arXiv:1901.11196) found a tenth of the words, or fewer, safe for labels."""
_TRIES = 3
_WORD = re.compile(r"[^\W\d_]{4,}")


class Edit(NamedTuple):
    """Code points [start, end) of a text become `text`."""

    start: int
    end: int
    text: str


def augmented(examples: Sequence[Example], share: float, seed: int, avoid: frozenset[str] = frozenset()) -> list[Example]:
    """Return about `share` times as many made-up examples, each from a random real one, with the least weight of its sources.

    None has the text of a real example or an input hash of `avoid`; what does is tried again and then left out. Inputs
    that are no text, and outputs that are neither spans nor labels of the whole text, give nothing. The same seed gives the same examples.
    """
    chance = random.Random(seed)
    mentions = _mentions(examples)
    seen = {e.input_hash or input_hash(e.input) for e in examples} | avoid
    made: list[Example] = []
    for _ in range(round(share * len(examples))):
        source = chance.choice(examples)
        if not isinstance(source.input, str) or not set(source.output) & {"spans", "label", "labels"}:
            continue
        for _ in range(_TRIES):
            one = _spans(source, mentions, chance) if "spans" in source.output else _label(source, chance)
            if one.input_hash not in seen:
                seen.add(one.input_hash)
                made.append(one)
                break
    return made


def _mentions(examples: Iterable[Example]) -> dict[str, list[tuple[str, float]]]:
    """Return the different mentions of each label with the weight of the example that says so (the highest)."""
    found: dict[str, dict[str, float]] = {}
    for example in examples:
        for span in example.output.get("spans", ()):
            mention, known = example.input[span["start"] : span["end"]], found.setdefault(span["label"], {})
            known[mention] = max(example.weight, known.get(mention, 0.0))
    return {label: list(known.items()) for label, known in found.items()}


def _made(source: Example, text: str, output: Json, weight: float) -> Example:
    return replace(source, input=text, output=output, weight=weight, input_hash=input_hash(text))


def _spans(source: Example, mentions: Mapping[str, Sequence[tuple[str, float]]], chance: random.Random) -> Example:
    text, spans, weight = source.input, source.output["spans"], source.weight
    chosen = [span for span in spans if chance.random() < REPLACED] or ([chance.choice(spans)] if spans else [])
    edits = []
    for span in chosen:
        mention, sure = chance.choice(mentions[span["label"]])
        if text[span["start"]].isupper() and mention[0].islower() and _begins_sentence(text, span["start"]):
            mention = mention[0].upper() + mention[1:]
        edits.append(Edit(span["start"], span["end"], mention))
        weight = min(weight, sure)
    text, spans = edited(text, spans, edits)
    text, spans = edited(text, spans, _typos(text, chance))
    return _made(source, _cased(text, chance), {"spans": spans}, weight)


def _label(source: Example, chance: random.Random) -> Example:
    words = source.input.split(" ")
    kept = [word for word in words if chance.random() >= DROPPED]
    words = kept if 2 * len(kept) >= len(words) and any(word.strip() for word in kept) else words
    for i in range(len(words) - 1):
        if chance.random() < SWAPPED:
            words[i], words[i + 1] = words[i + 1], words[i]
    text = " ".join(words)
    text, _ = edited(text, [], _typos(text, chance))
    return _made(source, _cased(text, chance), source.output, source.weight)


def _typos(text: str, chance: random.Random) -> list[Edit]:
    """Return one slip in a few words of four letters or more: two letters swapped, one dropped, or one doubled."""
    edits = []
    for match in _WORD.finditer(text):
        if chance.random() >= TYPO:
            continue
        at = chance.randrange(match.start() + 1, match.end() - 1)  # the first letter stays, as in most slips
        pair = text[at : at + 2]
        edits.append(chance.choice([Edit(at, at + 2, pair[::-1]), Edit(at, at + 1, ""), Edit(at, at + 1, 2 * pair[0])]))
    return edits


def _cased(text: str, chance: random.Random) -> str:
    """Return the text in lower or upper case, rarely; letter by letter, so that no offset moves."""
    if chance.random() >= CASE:
        return text
    upper = chance.random() < 0.25
    cased = [letter.upper() if upper else letter.lower() for letter in text]
    return "".join(new if len(new) == 1 else old for new, old in zip(cased, text, strict=True))


def _begins_sentence(text: str, start: int) -> bool:
    before = text[:start].rstrip()
    return not before or before[-1] in ".!?"


def edited(text: str, spans: Sequence[Mapping[str, Any]], edits: Iterable[Edit]) -> tuple[str, list[dict[str, Any]]]:
    """Return the text with the edits made, and the spans moved along. Edits and spans: not overlapping among themselves.

    An edit lies within one span, or outside of all; one that crosses a span's border is left out.
    """
    parts: list[str] = []
    done = 0
    shifts: list[tuple[int, int]] = []  # (end of the edit, by how much what lies behind it moves)
    for edit in sorted(edits):
        crosses = any(
            edit.start < span["end"]
            and edit.end > span["start"]
            and not (span["start"] <= edit.start and edit.end <= span["end"])
            for span in spans
        )
        if crosses:
            continue
        parts += [text[done : edit.start], edit.text]
        done = edit.end
        shifts.append((edit.end, len(edit.text) - (edit.end - edit.start)))
    parts.append(text[done:])

    def moved(place: int) -> int:
        return place + sum(by for end, by in shifts if end <= place)

    return "".join(parts), [{**span, "start": moved(span["start"]), "end": moved(span["end"])} for span in spans]
