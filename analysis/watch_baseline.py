"""What is usual on a day of the feed: volume by topic with its season and spread, sentiment shares with theirs. It judges nothing.

Volume of topic k in bin t is expected to be level_k * season(t) * own_k(t) * exposure(t). The season is the hour of the week, from
all topics together, drawn towards the hour of a workday or a weekend; `own_k` is how a topic's hours differ from that, drawn
towards 1. Both are gamma-Poisson estimates with a prior worth some items (PRIOR, OWN_PRIOR).

Spread: the variance of a window's count, beyond Poisson's, over its squared mean. It is measured over windows of one bin, of six
hours and of a day, and split into a fast part, new in every bin, and a slow part that stays as long as a window does: so a busy
day is told from a burst. The error of the estimates themselves is part of the slow spread.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray

PRIOR = 10.0  # items that the coarser season is worth in a cell of the finer one
OWN_PRIOR = 20.0  # items that 'as all topics' is worth in an hour of a topic of its own
_SLOW = (6, 24)  # hours of the windows over which the slow spread is measured
_LEAST = 1e-6


class Usual(NamedTuple):
    """What is expected of a day. k topics, c cells (topic and sentiment), t bins of the day."""

    expected: Array  # (t, k) items
    fast: Array  # (k,) spread that is new in every bin
    slow: Array  # (k,) spread that lasts, with the error of the level
    share: Array  # (c,) of the topic's items, in (0, 1)
    icc: Array  # (c,) in (0, 1), with the error of the share
    counted: Array  # (k,) items of the baseline


class Past(NamedTuple):
    """The bins of the baseline: `counts` (t, c) as the version of the day would have answered, `hour` 0..167 of the week.

    `exposure` (t,) is the share of the feed that was alive; `calm` (t, k) is 0 where a warning stood, 1 elsewhere. `doubt` (c,)
    is the variance that carrying counts over from another version adds to each cell's total.
    """

    counts: Array
    hour: Array
    exposure: Array
    calm: Array
    doubt: Array


def usual(past: Past, topic_of: Array, hour: Array, exposure: Array, bins_per_hour: int) -> Usual:
    """Return what is usual for the bins of a day, whose hours of the week and exposures are given. `topic_of`: (c,) -> topic."""
    topics = past.calm.shape[1]
    totals = _by_topic(past.counts, topic_of, topics)
    season = _season(totals.sum(axis=1), past.hour, past.exposure)
    kind_then, kind_now = _kind(past.hour), _kind(hour)
    weight = past.calm * (season[past.hour] * past.exposure)[:, None]  # (t, k)
    items = (past.calm * totals).sum(axis=0)
    level = (items + 0.5) / np.maximum(weight.sum(axis=0), _LEAST)
    seen_in, due_in = _into(past.calm * totals, kind_then, 48), _into(weight, kind_then, 48) * level
    own = (seen_in + OWN_PRIOR) / (due_in + OWN_PRIOR)  # (48, k)
    level = (items + 0.5) / np.maximum((weight * own[kind_then]).sum(axis=0), _LEAST)
    due = weight * own[kind_then] * level
    in_hour = np.bincount(past.hour, totals.sum(axis=1), 168)
    unsure = (1 / (due_in + OWN_PRIOR)).mean(axis=0) + (1 / (in_hour + PRIOR)).mean()
    fast, slow, windows = _spreads(past.calm * totals, due, bins_per_hour)
    doubt = _by_topic(past.doubt[None], topic_of, topics)[0]
    error = 1 / (items + 0.5) + slow / windows + fast / len(due) + doubt / (items + 0.5) ** 2
    share, icc = _shares(past, topic_of, totals, bins_per_hour)
    expected = level * season[hour][:, None] * own[kind_now] * exposure[:, None]
    return Usual(expected, fast + unsure, slow + error, share, icc, items)


def _by_topic(cells: Array, topic_of: Array, topics: int) -> Array:
    made = np.zeros((len(cells), topics))
    np.add.at(made.T, topic_of, cells.T)
    return made


def _into(values: Array, place: Array, places: int) -> Array:
    """Sum rows (t, k) by their place: (places, k)."""
    made = np.zeros((places, values.shape[1]))
    np.add.at(made, place, values)
    return made


def _kind(hour: Array) -> Array:
    """Return the hour of a workday (0..23) or of a weekend (24..47) for hours of the week, which begins on a Monday."""
    return np.asarray(hour % 24 + 24 * (hour >= 120))


def _season(total: Array, hour: Array, exposure: Array) -> Array:
    """Return (168,): how many times the average each hour of the week brings."""
    rate = (total.sum() + 0.5) / max(exposure.sum(), _LEAST)
    kinds = _kind(np.arange(168))
    seen, due = np.bincount(_kind(hour), total, 48), np.bincount(_kind(hour), exposure, 48) * rate
    coarse = ((seen + PRIOR) / (due + PRIOR))[kinds]
    seen, due = np.bincount(hour, total, 168), np.bincount(hour, exposure, 168) * rate * coarse
    return np.asarray(coarse * (seen + PRIOR) / (due + PRIOR))


def _windows(values: Array, size: int) -> Array:
    """Sum (t, k) over windows of `size` bins that do not overlap; what is left over at the front is dropped."""
    whole = len(values) // size * size
    return np.asarray(values[len(values) - whole :].reshape(-1, size, values.shape[1]).sum(axis=1))


def _excess(seen: Array, due: Array, inflate: float) -> Array:
    """Return (k,): the spread of window sums by moments, sum((S - m)^2 - m) / sum(m^2)."""
    odd = (seen - due) ** 2 - due
    return np.asarray(np.maximum(0.0, inflate * odd.sum(axis=0) / np.maximum((due**2).sum(axis=0), _LEAST)))


def _spreads(seen: Array, due: Array, bins_per_hour: int) -> tuple[Array, Array, float]:
    """Return the fast and the slow spread (k,) and the number of days they were measured on."""
    days = max(len(seen) / (24 * bins_per_hour), 1.0)
    inflate = days / max(days - 7.0, 3.5)  # the season was fitted to the same weeks: each took a share of the variance with it
    one = _excess(seen, due, inflate)
    slow = {h: _excess(_windows(seen, h * bins_per_hour), _windows(due, h * bins_per_hour), inflate) for h in _SLOW}
    fast = np.maximum(one - slow[24], 0.0)
    lasting = np.max([spread - fast / (hours * bins_per_hour) for hours, spread in slow.items()], axis=0)
    return fast, np.maximum(lasting, _LEAST), days


def _shares(past: Past, topic_of: Array, totals: Array, bins_per_hour: int) -> tuple[Array, Array]:
    """Return each cell's share of its topic and the correlation of two items of a window, by moments over 6 and 24 hours, with its error."""
    calm = past.calm[:, topic_of]
    hits, of = past.counts * calm, totals[:, topic_of] * calm
    cells = np.bincount(topic_of)[topic_of]
    items = of.sum(axis=0)
    share = (hits.sum(axis=0) + 0.5) / (items + 0.5 * cells)
    share = np.clip(share, 1e-4, 1 - 1e-4)
    varies = share * (1 - share)
    icc = 0.0  # of all cells together: of one alone there is too little to measure it
    for hours in _SLOW:
        x, n = _windows(hits, hours * bins_per_hour), _windows(of, hours * bins_per_hour)
        odd = (x - n * share) ** 2 - n * varies
        icc = max(icc, float(odd.sum() / max(((n * (n - 1)).sum(axis=0) * varies).sum(), _LEAST)))
    days = max(len(hits) / (24 * bins_per_hour), 1.0)
    error = 1 / (items + 1) + icc / days + past.doubt / np.maximum(items, 1) ** 2 / varies
    return share, np.clip(icc + error, 1e-5, 0.9)
