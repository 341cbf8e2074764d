"""Made-up feeds whose truth is known: seasons, overdispersion, busy days, planted bursts. It judges nothing."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np

from analysis.watch import Cell, Feed

TOPICS = ("earnings", "analyst", "merger", "macro", "energy", "product", "legal", "markets", "other")
SENTIMENTS = ("negative", "neutral", "positive")
CELLS = tuple(Cell(topic, sentiment) for topic in TOPICS for sentiment in SENTIMENTS)
MONDAY = datetime(2026, 1, 5)


class World(NamedTuple):
    """What a feed is like. `volume`: items an hour, all topics; `season`: how strongly day and week swing (0: not at all).

    `rough`: variance of the factor of each hour and topic; `busy`: variance of the factor of each day, all topics; `moody`:
    correlation of sentiments of one topic and day.
    """

    volume: float
    season: float
    rough: float
    busy: float
    moody: float


class Burst(NamedTuple):
    """What is planted: from `hour` for `lasting` hours `times` the volume of a topic, or `odds` times the odds of its negative items."""

    topic: int
    hour: int
    lasting: int
    times: float = 1.0
    odds: float = 1.0


def made(world: World, days: int, rng: np.random.Generator, burst: Burst | None = None) -> Feed:
    """Return a feed of hourly counts, answered by version 1."""
    hours = days * 24
    clock = np.arange(hours)
    part = rng.dirichlet(np.full(len(TOPICS), 3.0))
    shift = rng.normal(0, 2, len(TOPICS))  # hours by which a topic's day is early or late
    own = 1 + 0.5 * world.season * np.cos((clock[:, None] % 24 - 15 - shift) / 24 * 2 * np.pi)
    rate = world.volume * part * clock_rate(world.season, days)[:, None] * own / own.mean(axis=0)
    rate *= _gamma(rng, world.busy, (days, 1)).repeat(24, axis=0) * _gamma(rng, world.rough, rate.shape)
    mood = rng.dirichlet((2.0, 5.0, 2.0), len(TOPICS))  # (k, s)
    share = np.stack([_moods(rng, mood[k], world.moody, days) for k in range(len(TOPICS))], axis=1).repeat(24, axis=0)
    if burst:
        on = slice(burst.hour, burst.hour + burst.lasting)
        rate[on, burst.topic] *= burst.times
        negative = share[on, burst.topic, 0]
        raised = burst.odds * negative / (1 - negative + burst.odds * negative)
        share[on, burst.topic, 1:] *= ((1 - raised) / np.maximum(1 - negative, 1e-9))[:, None]
        share[on, burst.topic, 0] = raised
    volume = rng.poisson(rate)
    share = share / share.sum(axis=2, keepdims=True)
    cells = rng.multinomial(volume, share)  # (t, k, s)
    seen = cells.reshape(hours, 1, -1)
    return Feed(MONDAY, 60, CELLS, (1,), seen, np.zeros((0, 4), dtype=int), np.ones(hours))


def clock_rate(season: float, days: int) -> np.ndarray:
    """Return (hours,): how a day (most at 15 h) and a week (less at its end) swing; 1 is the average hour of a workday."""
    clock = np.arange(days * 24)
    daily = 1 + season * 0.8 * np.cos((clock % 24 - 15) / 24 * 2 * np.pi)
    return np.asarray(daily * np.where(clock % 168 >= 120, 1 - 0.7 * season, 1.0))


def _gamma(rng: np.random.Generator, variance: float, shape: tuple[int, ...]) -> np.ndarray:
    return rng.gamma(1 / variance, variance, shape) if variance else np.ones(shape)


def _moods(rng: np.random.Generator, mean: np.ndarray, icc: float, days: int) -> np.ndarray:
    return rng.dirichlet(mean * (1 / icc - 1), days) if icc else np.tile(mean, (days, 1))
