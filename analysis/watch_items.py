"""Brings the feed's items out of the log into the bins that watch.py judges. It judges nothing, and knows of each answer its cell only.

An item counts in the bin in which it was published. It is news where it came before that bin was judged: a grace after its
end. What came later is late: it counts in the baselines of later days, so a feed's history can be learnt at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.users import Frames
from analysis.watch import Array, Cell, Feed
from feedback.errors import BadDemo

SILENT = 12.0
"""Items that were due in an unbroken silence of a source from which on it counts as dead: e^-12 is one in 160,000."""
FEW = 20
"""Items of a source before which nothing is said of its beginning or silence."""

_SQL = """
SELECT f.published, f.created, f.source, p.version, {topic} AS topic, {sentiment} AS sentiment
FROM feed_items f JOIN predictions p ON p.id = f.prediction_id
WHERE f.published >= ? AND f.published < ? AND f.created <= ? ORDER BY f.published, f.id
"""


class Heads(NamedTuple):
    """Which part of an answer is the topic, and which the sentiment; "" for a task with one label, or without a second head."""

    topic: str
    sentiment: str

    @property
    def columns(self) -> tuple[str, str]:
        """Return both as SQL over p.output; names of heads are checked when they are chosen."""
        if not self.topic:
            return "coalesce(p.output ->> '$.label', '')", "''"
        second = f"coalesce(p.output ->> '$.labels.{_quoted(self.sentiment)}', '')" if self.sentiment else "''"
        return f"coalesce(p.output ->> '$.labels.{_quoted(self.topic)}', '')", second


class Brought(NamedTuple):
    """What came: the feed in bins, and since when each dead source is silent."""

    feed: Feed
    silent: Mapping[str, datetime]


def heads_of(labels: Sequence[str], topic: str = "", sentiment: str = "") -> Heads:
    """Return the heads of a demo: as its [watch] names them, else the first two of labels such as "topic/earnings". Raises BadDemo."""
    found = list(dict.fromkeys(label.partition("/")[0] for label in labels if "/" in label))
    if not all("/" in label for label in labels):
        found = []
    for key, named in (("topic", topic), ("sentiment", sentiment)):
        if named and named not in found:
            raise BadDemo(
                f"watch.{key} = {named!r}: no head of this task; its heads: {', '.join(found) or 'none, it has one label'}"
            )
    if not found:
        return Heads("", "")
    first = topic or found[0]
    rest = [head for head in found if head != first]
    return Heads(first, sentiment or (rest[0] if rest else ""))


def cells_of(labels: Sequence[str], heads: Heads) -> tuple[Cell, ...]:
    """Return every cell that labels can make, topics in their order."""
    if not heads.topic:
        return tuple(Cell(label, "") for label in labels)
    by_head: dict[str, list[str]] = {}
    for label in labels:
        head, _, name = label.partition("/")
        by_head.setdefault(head, []).append(name)
    return tuple(Cell(t, s) for t in by_head.get(heads.topic, ()) for s in by_head.get(heads.sentiment, ()) or ("",))


def brought(
    frame: Frames, heads: Heads, cells: Sequence[Cell], start: datetime, at: datetime, minutes: int, grace: timedelta
) -> Brought:
    """Return the bins from `start` (on the hour) that could be judged at `at`, and what came in them by then."""
    bins = max(0, int((at - grace - start) / timedelta(minutes=minutes)))
    end = start + timedelta(minutes=minutes * bins)
    topic, sentiment = heads.columns
    rows = frame(_SQL.format(topic=topic, sentiment=sentiment), [start, end, at])
    seen_cells = list(
        dict.fromkeys([*cells, *(Cell(str(t), str(s)) for t, s in zip(rows["topic"], rows["sentiment"], strict=True))])
    )
    versions = tuple(int(v) for v in sorted(rows["version"].unique())) or (0,)
    place = {cell: index for index, cell in enumerate(seen_cells)}
    cell = np.array([place[Cell(str(t), str(s))] for t, s in zip(rows["topic"], rows["sentiment"], strict=True)], dtype=int)
    version = np.searchsorted(versions, rows["version"].to_numpy()) if len(rows) else np.zeros(0, dtype=int)
    bin_ = _bin(rows["published"], start, minutes)
    judged = start + pd.to_timedelta((bin_ + 1) * minutes, unit="m") + grace
    late = rows["created"].to_numpy() > judged.to_numpy() if len(rows) else np.zeros(0, dtype=bool)
    seen = np.zeros((bins, len(versions), len(seen_cells)), dtype=np.int64)
    np.add.at(seen, (bin_[~late], version[~late], cell[~late]), 1)
    came = _bin(rows["created"], start, minutes)
    rest = np.stack([bin_, version, cell, came], axis=1)[late] if len(rows) else np.zeros((0, 4), dtype=int)
    exposure, silent = _exposure(rows["source"].to_numpy(), bin_, bins, start, minutes)
    return Brought(Feed(start, minutes, tuple(seen_cells), versions, seen, rest, exposure), silent)


def _bin(moments: pd.Series[pd.Timestamp], start: datetime, minutes: int) -> Array:
    return np.asarray((pd.to_datetime(moments) - start) // pd.Timedelta(minutes=minutes), dtype=np.int64)


def _exposure(source: Array, bin_: Array, bins: int, start: datetime, minutes: int) -> tuple[Array, dict[str, datetime]]:
    """Return the share of the feed (bins,) that was alive, and the sources that are silent now, with their last bin's end.

    Alive is a source from its first item on, but for silences in which SILENT items were due at the usual hours of its week. Sources
    of fewer than FEW items count for nothing here: news that many new publishers bring is news.
    """
    names = sorted(set(source))
    alive, rate, silent = np.zeros((len(names), bins)), np.zeros(len(names)), {}
    hour = ((start.weekday() * 1440 + start.hour * 60 + start.minute + np.arange(bins) * minutes) // 60) % 168
    whole = np.bincount(bin_, minlength=bins).astype(float)
    season = _profile(whole, hour)
    for index, name in enumerate(names):
        count = np.bincount(bin_[source == name], minlength=bins).astype(float)
        first = int(np.flatnonzero(count)[0])
        alive[index, first:] = 1
        if count.sum() < FEW:
            continue
        for _ in range(2):  # the rate while it was alive tells the silences, and they the rate
            rate[index] = count.sum() / max((season * alive[index]).sum(), 1e-9)
            alive[index, first:] = 1
            last = _silences(count[first:], season[first:] * rate[index], alive[index, first:])
        if last is not None:
            silent[str(name)] = start + timedelta(minutes=minutes * int(first + last))
    total = rate.sum()
    return (rate @ alive / total if total > 0 else np.ones(bins)), silent


def _silences(count: Array, due: Array, alive: Array) -> int | None:
    """Set `alive` to 0 in silences that are too long to be chance; return where one begins that lasts until now."""
    edges = np.flatnonzero(count)
    begins, ends = np.concatenate(([0], edges + 1)), np.concatenate((edges, [len(count)]))
    running = np.concatenate(([0.0], np.cumsum(due)))
    lasting = None
    for begin, end in zip(begins, ends, strict=True):
        if end > begin and running[end] - running[begin] >= SILENT:
            alive[begin:end] = 0
            lasting = int(begin) if end == len(count) else None
    return lasting


def _profile(count: Array, hour: Array) -> Array:
    """Return the usual items of each bin relative to the average, by the hour of the week, drawn towards 1."""
    rate = count.sum() / max(len(count), 1)
    seen, bins = np.bincount(hour, count, 168), np.bincount(hour, minlength=168)
    return np.asarray(((seen + 5) / (bins * rate + 5))[hour]) if rate else np.ones(len(count))


def _quoted(head: str) -> str:
    """Return a head's name as a step of a JSON path inside an SQL string."""
    return '"' + head.replace("\\", "\\\\").replace('"', '\\"').replace("'", "''") + '"'
