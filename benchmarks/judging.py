"""The policies that the acceptance benchmark compares, applied to a made-up crowd: what they accept, and how often that is right."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from benchmarks.crowd_simulation import Crowd, SpanCrowd
from feedback import consensus, span_consensus
from feedback.consensus import LabelAnswer
from feedback.dawid_skene import PLAIN, Priors
from feedback.reliability import reliability
from feedback.span_model import SpanPriors
from feedback.threshold import Threshold, supported, threshold

TOLERANCE = 1e-4  # of the posteriors: none of the figures sees less


class Score(NamedTuple):
    """Corrections alone, confirmations never. `wanted`: open items that the model had wrong; `mended`: those put right."""

    accepted: int
    right: int
    mended: int
    wanted: int

    @property
    def precision(self) -> float:
        """Return the share right; NaN where nothing is accepted."""
        return self.right / self.accepted if self.accepted else float("nan")

    @property
    def recall(self) -> float:
        """Return how much of what the model had wrong is put right."""
        return self.mended / self.wanted


class Judged(NamedTuple):
    """What ours accepts (item -> answer), from which threshold, and whom the traps prove."""

    accepted: dict[str, Hashable]
    threshold: Threshold
    trusted: set[str]


def score(accepted: Iterable[tuple[str, Hashable]], crowd: Crowd | SpanCrowd, reviewed: Iterable[str] = ()) -> Score:
    """Return the score of accepted (item, answer) pairs; traps, confirmations and reviewed items do not count."""
    skip = {*crowd.known, *reviewed}
    kept = [(item, answer) for item, answer in accepted if item not in skip and answer != crowd.shown[item]]
    wanted = {item for item, truth in crowd.truth.items() if item not in skip and truth != crowd.shown[item]}
    right = [item for item, answer in kept if answer == crowd.truth[item]]
    return Score(len(kept), len(right), len(set(right)), len(wanted))


def simple(answers: Mapping[str, list[tuple[str, Hashable]]], agree: int) -> list[tuple[str, Hashable]]:
    """Return what stands with `agree` contributors saying the same, and more of them than of all others (1: every answer)."""
    found: list[tuple[str, Hashable]] = []
    for item, said in answers.items():
        if agree == 1:
            found += [(item, answer) for _, answer in said]
            continue
        answer, most = Counter(answer for _, answer in said).most_common(1)[0]
        if most >= agree and most > len(said) - most:
            found.append((item, answer))
    return found


def spoken(crowd: Crowd | SpanCrowd) -> dict[str, list[tuple[str, Hashable]]]:
    """Return item -> (contributor, answer) of everybody; spans as a frozenset."""
    found: dict[str, list[tuple[str, Hashable]]] = defaultdict(list)
    for a in crowd.answers:
        found[a.item].append((a.contributor, a.label if isinstance(a, LabelAnswer) else frozenset(a.spans)))
    return found


def trusted_by_traps(said: Mapping[str, list[tuple[str, Hashable]]], known: Mapping[str, Hashable]) -> set[str]:
    """Return the contributors whom their answers to known items prove; reviewed items come last, as the newest."""
    results: dict[str, list[bool]] = defaultdict(list)
    for item in sorted(known, key=lambda name: (not name.startswith("trap"), name)):
        for contributor, answer in said.get(item, []):
            results[contributor].append(answer == known[item])
    return {contributor for contributor, right in results.items() if reliability(right).trusted}


def plain(crowd: Crowd) -> list[tuple[str, Hashable]]:
    """Return what plain Dawid-Skene accepts above .9: no priors, the traps known, the model's answer not heard."""
    bare = [a._replace(shown="") for a in crowd.answers]
    found = consensus.batch(bare, crowd.labels, crowd.known, replace(PLAIN, tolerance=TOLERANCE), start="votes")
    return [(leading.item, leading.label) for leading in found.leading() if leading.probability > 0.9]


def ours(crowd: Crowd | SpanCrowd, reviewed: Mapping[str, Hashable] | None = None) -> Judged:
    """Return what ours accepts: posterior at the threshold that the known items set, and enough people behind it."""
    known = {**crowd.known, **(reviewed or {})}
    trusted = trusted_by_traps(spoken(crowd), known)
    find: Callable[..., tuple[list[tuple[float, bool]], list[tuple[float, str, Hashable]]]] = (
        _labels if isinstance(crowd, Crowd) else _spans
    )
    checked, open_ = find(crowd, known, trusted)
    found = threshold([p for p, _ in checked], [ok for _, ok in checked], [p for p, _, _ in open_])
    return Judged({item: answer for p, item, answer in open_ if p >= found.value}, found, trusted)


def _labels(
    crowd: Crowd, known: Mapping[str, str], trusted: set[str]
) -> tuple[list[tuple[float, bool]], list[tuple[float, str, Hashable]]]:
    found = consensus.batch(crowd.answers, crowd.labels, known, Priors(tolerance=TOLERANCE))
    held = [h for h in found.held_out() if h.leading.corrects and supported(h.leading.said_by, trusted)]
    open_ = [x for x in found.leading() if x.item not in known and x.corrects and supported(x.said_by, trusted)]
    return [(h.leading.probability, h.right) for h in held], [(x.probability, x.item, x.label) for x in open_]


def _spans(
    crowd: SpanCrowd, known: Mapping[str, frozenset[span_consensus.Span]], trusted: set[str]
) -> tuple[list[tuple[float, bool]], list[tuple[float, str, Hashable]]]:
    found = span_consensus.batch(crowd.answers, known, SpanPriors(tolerance=TOLERANCE))
    held = [h for h in found.held_out() if h.leading.corrects and h.leading.supported(trusted)]
    open_ = [x for x in found.leading() if x.item not in known and x.corrects and x.supported(trusted)]
    return [(h.leading.probability, h.right) for h in held], [(x.probability, x.item, frozenset(x.spans)) for x in open_]


def with_reviewers(crowd: Crowd | SpanCrowd, rounds: int, seed: int, share: float = 0.1) -> tuple[Judged, dict[str, Hashable]]:
    """Return what ours accepts after reviewers looked, `rounds` times, at `share` of what stood accepted, and what they found.

    A reviewed item is known from then on: a trap passed or failed for everybody who answered it. All is judged anew.
    """
    rng = np.random.default_rng(seed)
    reviewed: dict[str, Hashable] = {}
    judged = ours(crowd)
    for _ in range(rounds):
        new = sorted(judged.accepted)
        looked = rng.permutation(len(new))[: math.ceil(len(new) * share)]
        reviewed |= {new[i]: crowd.truth[new[i]] for i in looked}
        judged = ours(crowd, reviewed)
    return judged, reviewed
