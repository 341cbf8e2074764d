"""The feed over time, as the Monitor page shows it: items and sentiments by topic, with intervals. It judges nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from scipy import stats

from analysis.lookout import Sight
from analysis.side_by_side import wilson
from analysis.users import Frames
from analysis.watch_items import Heads

LEVEL = 0.95
PERIODS: dict[str, tuple[timedelta, timedelta]] = {
    "day": (timedelta(hours=24), timedelta(hours=1)),
    "week": (timedelta(days=7), timedelta(hours=6)),
    "month": (timedelta(days=28), timedelta(days=1)),
}
"""What can be looked at: how far back, and in steps of what."""


class Share(NamedTuple):
    """How many of a step's items have a sentiment, with Wilson's interval of the share (0..1)."""

    hits: int
    share: float
    low: float
    high: float


class Step(NamedTuple):
    """What came in [begin, begin + step): items with the exact Poisson interval of their expected number.

    `usual` is what the watch expected of these bins, None where it was not watching; `versions` answered, the lowest first.
    """

    begin: datetime
    items: int
    low: float
    high: float
    shares: dict[str, Share]
    usual: float | None
    versions: tuple[int, ...]


class Text(NamedTuple):
    """One item behind a step. `text` is None where it was removed for its age."""

    prediction_id: str
    published: datetime
    source: str
    link: str
    text: str | None
    output: Any
    confidence: float
    version: int


def poisson_interval(count: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Garwood's exact interval of a Poisson mean (Biometrika 1936): chi-squared quantiles with 2n and 2n + 2 degrees."""
    rest = (1 - level) / 2
    low = 0.0 if count == 0 else float(stats.chi2.ppf(rest, 2 * count)) / 2
    return low, float(stats.chi2.ppf(1 - rest, 2 * count + 2)) / 2


def steps(
    frame: Frames,
    heads: Heads,
    at: datetime,
    period: str,
    topic: str = "",
    sentiments: Sequence[str] = (),
    sight: Sight | None = None,
) -> list[Step]:
    """Return the steps of a period that ends with the step of `at`, the oldest first; of one topic, or of all together."""
    back, step = PERIODS[period]
    end = _floor(at, step) + step
    begin = end - back
    kind, mood = heads.columns
    rows = frame(
        f"""SELECT floor(epoch(f.published - ?) / ?)::INTEGER AS step, {mood} AS sentiment, p.version, count(*) AS items
            FROM feed_items f JOIN predictions p ON p.id = f.prediction_id
            WHERE f.published >= ? AND f.published < ? AND (? = '' OR {kind} = ?) GROUP BY ALL""",
        [begin, step.total_seconds(), begin, end, topic, topic],
    )
    made = []
    for number in range(math.ceil(back / step)):
        mine = rows[rows["step"] == number]
        items = int(mine["items"].sum())
        shares = {s: _share(int(mine.loc[mine["sentiment"] == s, "items"].sum()), items) for s in sentiments} if items else {}
        usual = _usual(sight, begin + number * step, step, topic) if sight else None
        versions = tuple(sorted(int(version) for version in mine["version"].unique()))
        made.append(Step(begin + number * step, items, *poisson_interval(items), shares, usual, versions))
    return made


def texts(
    frame: Frames, heads: Heads, begin: datetime, end: datetime, topic: str = "", sentiment: str = "", limit: int = 50
) -> list[Text]:
    """Return the items behind a step, the newest first."""
    kind, mood = heads.columns
    rows = frame(
        f"""SELECT p.id, f.published, f.source, f.link, p.input::VARCHAR AS input, p.output::VARCHAR AS output, p.confidence, p.version
            FROM feed_items f JOIN predictions p ON p.id = f.prediction_id
            WHERE f.published >= ? AND f.published < ? AND (? = '' OR {kind} = ?) AND (? = '' OR {mood} = ?)
            ORDER BY f.published DESC, p.id LIMIT ?""",
        [begin, end, topic, topic, sentiment, sentiment, limit],
    )
    return [
        Text(
            str(row["id"]), row["published"].to_pydatetime(), str(row["source"]), str(row["link"]), json.loads(row["input"]),
            json.loads(row["output"]), float(row["confidence"]), int(row["version"]),
        )
        for row in rows.to_dict("records")
    ]  # fmt: skip


def _share(hits: int, of: int) -> Share:
    low, high = wilson(hits, of, LEVEL)
    return Share(hits, hits / of, low, high)


def _floor(at: datetime, step: timedelta) -> datetime:
    day = datetime(at.year, at.month, at.day)
    return day + (at - day) // step * step


def _usual(sight: Sight, begin: datetime, step: timedelta, topic: str) -> float | None:
    """Return the items that the watch expected in a step, where it watched all of it."""
    feed, looked = sight.brought.feed, sight.looked
    minutes = timedelta(minutes=feed.minutes)
    first, last = (begin - feed.start) // minutes, (begin + step - feed.start) // minutes
    if first < 0 or last > len(looked.usual):
        return None
    part = looked.usual[first:last]
    if topic and topic not in looked.topics:
        return None
    total = part.sum(axis=1) if not topic else part[:, looked.topics.index(topic)]
    value = float(total.sum())
    return None if math.isnan(value) else value
