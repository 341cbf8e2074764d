"""Early warnings from a feed: a sequential change detector over volume by topic and sentiment share by topic. It reads no log.

Each stream (a topic's volume, a sentiment's share of a topic) has an e-detector of Shiryaev-Roberts type (Shin, Ramdas, Rinaldo,
arXiv:2203.03532): the sum, over the moments at which a change may have begun, of the evidence since then that there is more
than usual, averaged over several sizes of change. A stream warns when its sum reaches (bins in `days`) / (its part of the
whole) / `slack`. With slack 1, and what is usual known, the first false warning of all streams together comes after `days` or later on
average, however often somebody looks: the sum minus the number of bins is a supermartingale. That proof is loose (jumps over the
threshold, windows that are left out, items below the null), so the promise is kept with slack 3 too, and bursts are found sooner: both
are measured by benchmarks/watch.py, with what is usual estimated (watch_baseline.py), its error in the null's spread.

Only more is news. Less, and silence, is not; late items are none either, they only count in baselines of later days. A version of
the model is compared with what it would have said of the past itself: `carry` (watch_versions.py); where that is not known,
watching begins anew with the version's own answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.watch_baseline import Past, Usual, usual
from analysis.watch_feed import Array, Carried, Carry, Cell, Feed, Looked, Rule, latest
from analysis.watch_streams import State, Streams
from feedback.records import Finding

__all__ = ["Array", "Carried", "Carry", "Cell", "Feed", "Looked", "Rule", "look"]


def look(feed: Feed, rule: Rule, carry: Carry, begin: int = 0, earlier: Sequence[Finding] = ()) -> Looked:
    """Return what was found from bin `begin` on; it is the first of a day, and the last day may be unfinished.

    `earlier` are warnings that were raised before: their time is no baseline, and what they told of is no news while it settles.
    """
    topics = tuple(dict.fromkeys(cell.topic for cell in feed.cells))
    topic_of = np.array([topics.index(cell.topic) for cell in feed.cells], dtype=int)
    streams = Streams(feed, topics, topic_of, rule)
    bins, count = len(feed.seen), streams.count
    state = State(
        np.full((bins, len(topics)), np.nan), np.full((bins, len(feed.cells)), np.nan), np.ones((bins, len(topics))),
        np.full(count, begin), np.ones(count), np.zeros(count, dtype=int),
    )  # fmt: skip
    for finding in earlier:
        streams.settle(finding, begin, state)
    for first in range(begin, bins, feed.per_day):
        days = range(first, min(first + feed.per_day, bins))
        found = _usual(feed, rule, carry, state.calm, topic_of, days)
        if found is None:
            state.begun[:] = days.stop
            continue
        mixed, spread = found
        state.expected[days.start : days.stop], state.shares[days.start : days.stop] = mixed
        state.watched += len(days)
        for bin_ in days:
            streams.judge(bin_, state, spread)
    return Looked(state.findings, state.watched, state.expected, topics)


def _usual(
    feed: Feed, rule: Rule, carry: Carry, calm: Array, topic_of: Array, days: range
) -> tuple[tuple[Array, Array], Usual] | None:
    """Return expected items (bins, k) and shares (bins, c) of a day's bins, and the spreads by the version that answered most of it.

    Each bin is compared with what the versions that answered it would have said of the past, by their parts of the bin.
    """
    start = max(0, days.start - (rule.memory + rule.lag) * feed.per_day)
    end = days.start - rule.lag * feed.per_day
    if end - start < rule.learn * feed.per_day:
        return None
    hours = (_hour(feed, np.arange(start, end)), _hour(feed, np.arange(days.start, days.stop)))
    counted = feed.seen[start:end].astype(float)  # (t, v, c)
    known = feed.late[(feed.late[:, 0] >= start) & (feed.late[:, 0] < end) & (feed.late[:, 3] < days.start)]
    np.add.at(counted, (known[:, 0] - start, known[:, 1], known[:, 2]), 1)
    answered = feed.seen[days.start : days.stop].sum(axis=2).astype(float)  # (t, v)
    answered[answered.sum(axis=1) == 0, latest(feed, days.stop)] = 1
    parts = answered / answered.sum(axis=1, keepdims=True)
    made: dict[int, Usual] = {}
    for place in np.flatnonzero(parts.sum(axis=0)):
        carried = _as_if(counted, feed.versions, int(place), carry)
        if carried is None:
            return None
        counts, doubt, there = carried
        exposure = feed.exposure[start:end] * there
        if there.sum() < rule.learn * feed.per_day or exposure.sum() < rule.learn * feed.per_day / 2 or counts.sum() < 1:
            return None
        past = Past(counts, hours[0], exposure, calm[start:end], doubt)
        bins_per_hour = max(1, feed.per_day // 24)
        made[int(place)] = usual(past, topic_of, hours[1], feed.exposure[days.start : days.stop], bins_per_hour)
    expected = sum(parts[:, place, None] * found.expected for place, found in made.items())
    shares = sum(parts[:, place, None] * found.share for place, found in made.items())
    most = max(made, key=lambda place: float(parts[:, place].sum()))
    return (np.asarray(expected), np.asarray(shares)), made[most]


def _as_if(counted: Array, versions: Sequence[int], place: int, carry: Carry) -> tuple[Array, Array, Array] | None:
    """Return counts (t, c) as if one version had answered all, the variance that this adds (c,), and which bins (t,) it is known for."""
    counts, doubt, there = counted[:, place].copy(), np.zeros(counted.shape[2]), np.ones(len(counted))
    for other, version in enumerate(versions):
        if other == place or not counted[:, other].any():
            continue
        carried = carry(version, versions[place])
        if carried is None:
            there[counted[:, other].any(axis=1)] = 0.0
            continue
        counts += counted[:, other] @ carried.to
        total = counted[:, other].sum(axis=0)
        doubt += (total**2 / np.maximum(carried.of, 1)) @ (carried.to * (1 - carried.to))
    counts[there == 0] = 0
    return (counts, doubt, there) if there.any() else None


def _hour(feed: Feed, bins: Array) -> Array:
    """Return the hour of the week (0: Monday 0:00 UTC) of bins."""
    first = feed.start.weekday() * 24 * 60 + feed.start.hour * 60 + feed.start.minute
    return np.asarray((first + bins * feed.minutes) // 60 % 168)
