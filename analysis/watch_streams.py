"""The sums of evidence of all streams, bin after bin: what reaches its threshold, and how it settles. See watch.py for the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from analysis.watch_baseline import Usual
from analysis.watch_evidence import count_ratio, share_ratio
from analysis.watch_feed import Array, Cell, Feed, Rule, latest
from feedback.records import Finding

WINDOWS = (1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72)
"""Hours back from now at which a change may have begun. Fewer starting points than bins only lower the sum: the promise holds."""
SIZES = (1.5, 2.0, 3.0, 5.0)
"""Times the usual volume that are looked for."""
ODDS = (1.5, 2.5, 5.0)
"""Times the usual odds of a sentiment that are looked for."""


AGAIN = 1.5
"""Times what a warning told of that is news while it settles: a burst that grows a little is still the same."""


@dataclass
class State:
    """What is carried from day to day. Streams: topics, then the cells whose topic has several sentiments."""

    expected: Array  # (bins, k)
    shares: Array  # (bins, c) expected share of a cell in its topic
    calm: Array  # (bins, k)
    begun: Array  # (streams,) first bin in which a change may have begun
    held: Array  # (streams,) times the usual that are no news while a warning settles
    held_until: Array  # (streams,)
    findings: list[Finding] = field(default_factory=list)
    watched: int = 0


class Streams:
    """The sums of evidence of all streams. It holds the feed's running totals; what changes is in a State."""

    def __init__(self, feed: Feed, topics: Sequence[str], topic_of: Array, rule: Rule) -> None:
        self._feed, self._rule, self._topics, self._topic_of = feed, rule, topics, topic_of
        cells = feed.seen.sum(axis=1).astype(float)  # (t, c)
        volume = np.zeros((len(cells), len(topics)))
        np.add.at(volume.T, topic_of, cells.T)
        self._cells, self._volume = cells, volume
        self._shared = np.flatnonzero(np.bincount(topic_of, minlength=len(topics))[topic_of] > 1)  # cells with others beside them
        self.count = len(topics) + len(self._shared)
        parts = np.array([1 / len(topics)] * len(topics) + [1 / max(1, len(self._shared))] * len(self._shared))
        promised = rule.days * feed.per_day / rule.slack
        self.threshold = promised / (parts / parts.sum())
        self._lengths = [hours * max(1, feed.per_day // 24) for hours in WINDOWS]

    def judge(self, bin_: int, state: State, found: Usual) -> None:
        """Add up the evidence at the end of a bin; note what reached its threshold, and let it settle."""
        lengths = np.array([length for length in self._lengths if length <= bin_ + 1], dtype=int)
        held = np.where(state.held_until > bin_, state.held, 1.0)
        parts = (self._volumes(bin_, lengths, state, found, held), self._shares(bin_, lengths, state, found, held))
        evidence, numbers = (np.concatenate(both, axis=1) for both in zip(*parts, strict=True))
        begun = (bin_ + 1 - lengths)[:, None] >= state.begun[None]  # a change cannot have begun before the stream did
        evidence = np.where(begun, evidence, 0.0)  # (l, streams)
        total = evidence.sum(axis=0)
        for stream in np.flatnonzero(total >= self.threshold):
            window = int(np.argmax(evidence[:, stream]))
            finding = self._finding(int(stream), bin_, int(lengths[window]), numbers[window, stream], float(total[stream]))
            state.findings.append(finding)
            self.settle(finding, bin_ + 1, state)

    def _volumes(self, bin_: int, lengths: Array, state: State, found: Usual, held: Array) -> tuple[Array, Array]:
        """Return the evidence of each window and topic (l, k), and what it is of: seen, items, expected (l, k, 3)."""
        seen, due = _back(self._volume, bin_, lengths), _back(state.expected, bin_, lengths)
        null = np.maximum(due * self._rule.tolerated * held[: len(self._topics)], 1e-9)
        spread = found.slow + found.fast / lengths[:, None]
        ratios = np.stack([count_ratio(seen, null, size, spread) for size in SIZES])
        return _mean(ratios), np.stack([seen, seen, due], axis=2)

    def _shares(self, bin_: int, lengths: Array, state: State, found: Usual, held: Array) -> tuple[Array, Array]:
        """Return the same of each cell that has others beside it in its topic."""
        topics = self._topic_of[self._shared]
        hits, of = _back(self._cells[:, self._shared], bin_, lengths), _back(self._volume[:, topics], bin_, lengths)
        back = slice(max(0, bin_ + 1 - self._lengths[-1]), bin_ + 1)  # all before it is in no window
        usual_hits = _back(
            state.shares[back][:, self._shared] * self._volume[back][:, topics], back.stop - back.start - 1, lengths
        )
        share = np.clip(np.divide(usual_hits, of, out=np.full_like(of, 0.5), where=of > 0), 1e-4, 1 - 1e-4)
        odds = self._rule.tolerated_odds * held[len(self._topics) :]
        null = odds * share / (1 - share + odds * share)
        icc = np.broadcast_to(found.icc[self._shared], of.shape)
        ratios = np.stack([share_ratio(hits, of, null, size, icc) for size in ODDS])
        return _mean(ratios), np.stack([hits, of, usual_hits], axis=2)

    def _finding(self, stream: int, bin_: int, length: int, numbers: Array, evidence: float) -> Finding:
        k, feed = len(self._topics), self._feed
        cell = feed.cells[self._shared[stream - k]] if stream >= k else Cell(self._topics[stream], "")
        version = feed.versions[latest(feed, bin_ + 1)]
        return Finding(
            "volume" if stream < k else "share", cell.topic, cell.sentiment, feed.time(bin_ + 1 - length), feed.time(bin_ + 1),
            int(numbers[0]), int(numbers[1]), float(numbers[2]), evidence, float(self.threshold[stream]), version,
        )  # fmt: skip

    def settle(self, finding: Finding, until: int, state: State) -> None:
        """Begin its stream anew after a warning that was raised by the beginning of bin `until`; later ones are found again."""
        minutes = timedelta(minutes=self._feed.minutes)
        first, end = ((moment - self._feed.start) // minutes for moment in (finding.since, finding.raised))
        stream = self._stream_of(finding)
        if stream is None or end > until:
            return
        seen, items, due = finding.seen, finding.items, finding.expected
        if finding.kind == "volume":
            state.held[stream] = AGAIN * max(seen / max(due, 0.5), 1.0)
        else:
            state.held[stream] = AGAIN * max((seen + 0.5) / (items - seen + 0.5) * (items - due + 0.5) / (due + 0.5), 1.0)
        state.begun[stream] = max(end, int(state.begun[stream]))
        state.held_until[stream] = end + self._rule.settle * self._feed.per_day
        state.calm[max(first, 0) : max(end + self._feed.per_day, 0), self._topics.index(finding.topic)] = 0.0

    def _stream_of(self, finding: Finding) -> int | None:
        """Return the place of a finding's stream; None where its topic or sentiment is watched no more."""
        if finding.kind == "volume":
            return self._topics.index(finding.topic) if finding.topic in self._topics else None
        cell = Cell(finding.topic, finding.sentiment)
        found = [place for place, at in enumerate(self._shared) if self._feed.cells[at] == cell]
        return len(self._topics) + found[0] if found else None


def _back(values: Array, bin_: int, lengths: Array) -> Array:
    """Return (l, columns): sums over the last bins up to and with this one; what is not known counts as nothing."""
    recent = np.nan_to_num(values[bin_ + 1 - int(lengths.max()) : bin_ + 1])
    return np.asarray(np.cumsum(recent[::-1], axis=0)[lengths - 1])


def _mean(ratios: Array) -> Array:
    """Return the mean of likelihood ratios given as logarithms, over the first axis."""
    return np.asarray(np.exp(np.clip(ratios, None, 500.0)).mean(axis=0))
