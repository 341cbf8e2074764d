"""Visitors of a made-up crowd who correct a real model on real texts: who says what, and how it gets into a real log.

The roles are those of crowd_simulation.py: three quarters of the honest are careful, one careless. A sleeper is right on every trap.
On all other texts every sleeper says the same wrong thing: one label, or no span at all but for the text's first free word.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from benchmarks.crowd_simulation import HONEST, assigned, roles
from feedback.believing import Believing
from feedback.records import Answer, Asked, Correction, Example, Json, Prediction, Record, Review, input_hash, new_id, now
from feedback.store import Store
from feedback.training_set import accepted

RATERS = 2
REVIEW_SHARE, REVIEW_ROUNDS = 0.1, 3
_WORD = re.compile(r"[^\W\d_]{3,}")


class Arm(NamedTuple):
    """One round's setting: the share of sleepers, whether visitors meet traps, and whether reviewers look."""

    share: float
    traps: bool = True
    reviewers: bool = False


class Text(NamedTuple):
    """A text with its right output and what the model answered."""

    text: str
    truth: Json
    shown: Answer


class Lie(NamedTuple):
    """What the sleepers agreed on: a label (spans: the label of the word that they invent)."""

    label: str
    labels: tuple[str, ...]


def plain(output: Json) -> Json:
    """Return an output without what a model adds to it (its confidence), as contributors send it."""
    if "spans" not in output:
        return {"label": output["label"]}
    spans = [{key: span[key] for key in ("start", "end", "label")} for span in output["spans"]]
    return {"spans": sorted(spans, key=lambda span: (span["start"], span["end"]))}


def said(role: str, item: Text, trap: bool, lie: Lie, random: np.random.Generator) -> Json:
    """Return what a contributor of this role says of a text (roles and rates: crowd_simulation.HONEST)."""
    truth, shown = plain(item.truth), plain(item.shown.output)
    if role == "sleeper":
        return truth if trap else wrong(item.text, truth, lie)
    miss, slip, invent = HONEST[role]
    luck = random.random()
    if shown == truth:
        return slipped(item.text, truth, truth, lie, random) if luck < invent else truth
    if luck < miss:
        return shown
    return slipped(item.text, truth, shown, lie, random) if luck < miss + slip else truth


def wrong(text: str, truth: Json, lie: Lie) -> Json:
    """Return the sleepers' answer, the same for all of them; right only where the lie happens to be true."""
    if "label" in truth:
        return {"label": lie.label}
    free = free_words(text, truth)
    return {"spans": [{"start": free[0][0], "end": free[0][1], "label": lie.label}] if free else []}


def slipped(text: str, truth: Json, shown: Json, lie: Lie, random: np.random.Generator) -> Json:
    """Return an honest mistake: another label; a span cut short that the model had missed, or else a word too many."""
    if "label" in truth:
        others = [label for label in lie.labels if label != truth["label"]]
        return {"label": others[int(random.integers(len(others)))]}
    missed = [span for span in truth["spans"] if span not in shown["spans"] and span["end"] - span["start"] > 1]
    if missed:
        kept = [span for span in truth["spans"] if span != missed[0]]
        return plain({"spans": [*kept, {**missed[0], "end": missed[0]["end"] - 1}]})
    free = free_words(text, truth)
    if not free:
        return truth
    start, end = free[int(random.integers(len(free)))]
    return plain({"spans": [*truth["spans"], {"start": start, "end": end, "label": lie.label}]})


def free_words(text: str, truth: Json) -> list[tuple[int, int]]:
    """Return the words of three letters and more that no true span touches."""
    words = [match.span() for match in _WORD.finditer(text)]
    return [(a, b) for a, b in words if all(b <= span["start"] or a >= span["end"] for span in truth["spans"])]


def speak(
    store: Store, texts: Mapping[str, Text], pairs: Sequence[tuple[int, str]], who: Sequence[str], lie: Lie, seed: int
) -> None:
    """Store what everybody was shown and said, in a random order: `pairs` are (contributor, name of a text).

    Each contributor comes in an hour of their own, by no network or channel: no cohort's cap tells the sleepers apart.

    The first to meet a text wrote it themselves, later ones were asked for a second opinion; names that begin with `trap` are traps.
    """
    random = np.random.default_rng([seed, 77])
    met: set[str] = set()
    rows: list[Record] = []
    began = now() - timedelta(days=7)
    for turn, place in enumerate(random.permutation(len(pairs))):
        number, name = pairs[int(place)]
        item, trap = texts[name], name.startswith("trap")
        contributor, asked = f"c{number:02d}", trap or name in met
        moment = began + timedelta(hours=number, seconds=turn)
        made = Prediction(
            new_id("p"), contributor, "", 0, "champion", 1, item.text, input_hash(item.text), item.shown.output,
            item.shown.confidence, 20.0, forced=asked, created=moment,
        )  # fmt: skip
        output = said(who[number], item, trap, lie, random)
        same = output == plain(item.shown.output)
        rows += [made, Correction(new_id("c"), made.id, contributor, output, same, created=moment)]
        if asked:
            rows.append(Asked(made.id, contributor, "trap" if trap else "opinion", made.input_hash))
        met.add(name)
    store.add(*rows)


def believed(store: Store, texts: Mapping[str, Text], arm: Arm, lie: Lie, seed: int) -> tuple[list[Example], dict[str, Any]]:
    """Let everybody speak and the policy `reliability` judge; return what stands accepted, and the arm with how many are trusted
    by their traps and were looked at by reviewers.

    Without traps in the log and among the texts shown, two who agree are believed: the policy then is `agreement`.
    """
    who = roles("sleeper", arm.share)
    items = sum(not name.startswith("trap") for name in texts)
    pairs = assigned(np.random.default_rng([seed, round(100 * arm.share)]), who, items, RATERS)
    if not arm.traps:
        pairs = [(number, name) for number, name in pairs if not name.startswith("trap")]
    speak(store, texts, pairs, who, lie, seed)
    truth = {input_hash(text.text): plain(text.truth) for text in texts.values()}
    policy = Believing(store, "choice" if all("label" in output for output in truth.values()) else "spans")
    policy.settle()
    looked = 0
    for number in range(REVIEW_ROUNDS if arm.reviewers else 0):
        looked += review(store, truth, REVIEW_SHARE, seed + number)
        policy.settle()
    return accepted(store), {**arm._asdict(), "trusted": len(policy.standing().trusted), "reviewed": looked}


class Accepted(NamedTuple):
    """What the policy accepts now: texts, those of them corrected, and how many of each are right. Reviewed texts count."""

    texts: int
    right: int
    corrections: int
    corrections_right: int

    @property
    def precision(self) -> float | None:
        """Return the share of the accepted corrections that are right; None where there is none."""
        return self.corrections_right / self.corrections if self.corrections else None

    @property
    def wrong_share(self) -> float | None:
        """Return the share of all accepted texts, confirmations included, that are wrong; None where there is none."""
        return 1 - self.right / self.texts if self.texts else None


def review(store: Store, truth: Mapping[str, Json], share: float, seed: int) -> int:
    """Let a reviewer look at `share` of the corrections that stand accepted by policy, and settle each; return how many.

    `truth` is by input hash. What is right is accepted, what is wrong gets the right output (the verdict `amend`).
    """
    rows = store.rows(
        """SELECT id, input_hash, proposed::VARCHAR AS output FROM current_corrections
           WHERE status = 'accepted' AND starts_with(reviewer, 'policy:') AND NOT confirmation
           QUALIFY row_number() OVER (PARTITION BY input_hash ORDER BY contributor) = 1 ORDER BY input_hash"""
    )
    looked = np.random.default_rng([seed, 10]).permutation(len(rows))[: math.ceil(len(rows) * share)]
    made: list[Record] = []
    for row in (rows[int(i)] for i in looked):
        right = truth[row["input_hash"]]
        same = json.loads(row["output"]) == right
        made.append(Review(new_id("r"), row["id"], "accept" if same else "amend", None if same else right, "reviewer"))
    if made:
        store.add(*made)
    return len(made)


def score(examples: Sequence[Example], truth: Mapping[str, Json], shown: Mapping[str, Json]) -> Accepted:
    """Return how right the accepted examples are; `truth` and `shown` (what the model answered) are by input hash."""
    right = [example.output == truth[example.input_hash] for example in examples]
    corrects = [example.output != shown[example.input_hash] for example in examples]
    return Accepted(len(examples), sum(right), sum(corrects), sum(r and c for r, c in zip(right, corrects, strict=True)))
