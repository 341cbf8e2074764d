"""How a version fares as it serves: confidence, corrections and calibration in blocks of predictions, and how long feedback waits.

A block is so many predictions of one version, in order; the newest whole block is compared with those before it, once. So a measure
that is watched for a year is tested once a block and not at every look: with a level of .001 an unchanged stream alarms once in a
thousand blocks (tests/analysis/test_quality.py simulates it), and a small change that is no matter never does (the least sizes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact, mannwhitneyu, norm, ttest_ind

from feedback.of_visitors import OF_VISITORS

Frames = Callable[..., pd.DataFrame]
"""The store's read-only frame(sql, parameters)."""

BLOCK = 200
"""Predictions in a block."""
BEFORE = 5
"""Blocks before the newest that it is compared with; two are needed."""
FEWEST_BEFORE = 2
LEVEL = 0.001
LEAST_CONFIDENCE = 0.05
"""Falls of the mean confidence below this are no matter."""
LEAST_RATE = 0.05
LEAST_GAP = 0.1
FEWEST_JUDGED = 30
"""Answers whose truth is known without which the calibration of a block is not judged."""
VERDICTS = 50
"""Verdicts in a block of those."""
LEAST_WAIT = 2.0
"""Times as long as before that feedback must wait to be worth an alarm, in the median."""

_SAID = """
    SELECT prediction_id, bool_or(NOT confirmation) AS corrected, bool_or(status = 'accepted') AS judged,
        bool_or(status = 'accepted' AND confirmation) AS "right"
    FROM current_corrections WHERE status <> 'withdrawn' GROUP BY prediction_id
"""
_BLOCKS = f"""
WITH mine AS (
    SELECT id, confidence, created, (row_number() OVER (ORDER BY created, id) - 1) // ? AS block
    FROM predictions WHERE version = ? AND {OF_VISITORS}),
said AS ({_SAID})
SELECT mine.block, mine.created, mine.confidence, coalesce(said.corrected, false) AS corrected,
    coalesce(said.judged, false) AS judged, coalesce(said."right", false) AS "right"
FROM mine LEFT JOIN said ON said.prediction_id = mine.id
WHERE mine.block >= (SELECT max(block) FROM mine) - ? ORDER BY mine.created, mine.id
"""
_VERSIONS = f"""
SELECT p.version, count(*) AS predictions, avg(p.confidence) AS confidence, count(c.prediction_id) AS said,
    count(*) FILTER (WHERE c.corrected) AS corrected, count(*) FILTER (WHERE c.judged) AS judged,
    count(*) FILTER (WHERE c."right") AS "right", avg(p.confidence) FILTER (WHERE c.judged) AS confidence_judged
FROM (SELECT id, version, confidence FROM predictions WHERE {OF_VISITORS}) p LEFT JOIN ({_SAID}) c ON c.prediction_id = p.id
GROUP BY p.version ORDER BY p.version DESC
"""
_WAITS = """
SELECT date_diff('second', c.created, r.first) / 3600.0 AS hours FROM corrections c
JOIN (SELECT correction_id, min(created) AS first FROM reviews GROUP BY correction_id) r ON r.correction_id = c.id
WHERE NOT starts_with(c.contributor, 'import:') AND NOT starts_with(c.contributor, 'policy:') ORDER BY r.first
"""
_WAITING = """
SELECT count(*) AS n, coalesce(max(date_diff('second', created, ?)) / 3600.0, 0) AS oldest
FROM current_corrections WHERE status = 'pending' AND NOT starts_with(contributor, 'import:')
"""


class Block(NamedTuple):
    """One block: `confidence` the mean, `corrected` the share of answers that were corrected; of the `judged` ones, whose truth is
    accepted, the share that is right and the mean confidence (None where none is). `whole`: it has BLOCK predictions."""

    begin: datetime
    end: datetime
    predictions: int
    confidence: float
    corrected: float
    judged: int
    right: float | None
    confidence_judged: float | None
    whole: bool


class Finding(NamedTuple):
    """What is worse than before: the measure, how it was and how it is, on how many, and the p-value of the test."""

    measure: str
    before: float
    now: float
    items: int
    p: float


class VersionQuality(NamedTuple):
    """One version, all its visitors' predictions together; rates are shares of them, `right` is of the `judged` ones."""

    version: int
    predictions: int
    confidence: float
    said: int
    corrected: float
    judged: int
    right: float | None
    gap: float | None  # mean confidence minus share right, of the judged: above 0 it is over-sure


class Waits(NamedTuple):
    """Hours from a correction to its first verdict (median and nine in ten of the last VERDICTS), and what waits now."""

    median: float | None
    nine_in_ten: float | None
    verdicts: int
    pending: int
    oldest: float


def by_version(frame: Frames) -> list[VersionQuality]:
    """Return every version that answered visitors, the newest first."""
    rows = frame(_VERSIONS).to_dict("records")
    return [
        VersionQuality(
            int(r["version"]), int(r["predictions"]), float(r["confidence"]), int(r["said"]), r["corrected"] / r["predictions"], int(r["judged"]),
            r["right"] / r["judged"] if r["judged"] else None,
            float(r["confidence_judged"]) - r["right"] / r["judged"] if r["judged"] else None,
        )
        for r in rows
    ]  # fmt: skip


def read_blocks(frame: Frames, version: int, size: int = BLOCK, before: int = 30) -> list[pd.DataFrame]:
    """Return the newest blocks of a version, the oldest first, as rows of created, confidence, corrected, judged, right."""
    found = frame(_BLOCKS, [size, version, before])
    return [part for _, part in found.groupby("block", sort=True)]


def block_of(rows: pd.DataFrame, size: int = BLOCK) -> Block:
    """Return a block's figures."""
    judged = rows[rows["judged"]]
    return Block(
        rows["created"].min().to_pydatetime(), rows["created"].max().to_pydatetime(), len(rows), float(rows["confidence"].mean()),
        float(rows["corrected"].mean()), len(judged), float(judged["right"].mean()) if len(judged) else None,
        float(judged["confidence"].mean()) if len(judged) else None, len(rows) >= size,
    )  # fmt: skip


def findings(blocks: Sequence[pd.DataFrame], size: int = BLOCK) -> list[Finding]:
    """Return what is worse in the newest whole block than in the ones before it."""
    whole = [block for block in blocks if len(block) >= size]
    if len(whole) < 1 + FEWEST_BEFORE:
        return []
    now, before = whole[-1], pd.concat(whole[-1 - BEFORE : -1])
    return [found for test in (_confidence, _corrections, _calibration) if (found := test(before, now)) is not None]


def _confidence(before: pd.DataFrame, now: pd.DataFrame) -> Finding | None:
    """Compare the mean confidence by Welch's t-test."""
    was, is_ = float(before["confidence"].mean()), float(now["confidence"].mean())
    if was - is_ < LEAST_CONFIDENCE:
        return None
    p = float(ttest_ind(now["confidence"], before["confidence"], equal_var=False, alternative="less").pvalue)
    return Finding("confidence_fell", was, is_, len(now), p) if p < LEVEL else None


def _corrections(before: pd.DataFrame, now: pd.DataFrame) -> Finding | None:
    """Compare the share corrected by Fisher's exact test."""
    was, is_ = float(before["corrected"].mean()), float(now["corrected"].mean())
    if is_ - was < LEAST_RATE:
        return None
    table = [[int(part["corrected"].sum()), int((~part["corrected"]).sum())] for part in (now, before)]
    p = float(fisher_exact(np.array(table), alternative="greater").pvalue)
    return Finding("corrections_rose", was, is_, len(now), p) if p < LEVEL else None


def _calibration(before: pd.DataFrame, now: pd.DataFrame) -> Finding | None:
    """Compare how far confidence exceeds being right, over answers whose truth is known, by the z-test of two means."""
    gaps = [(part["confidence"] - part["right"].astype(float))[part["judged"]] for part in (before, now)]
    if min(len(gap) for gap in gaps) < FEWEST_JUDGED:
        return None
    was, is_ = (float(gap.mean()) for gap in gaps)
    error = float(np.sqrt(sum(gap.var(ddof=1) / len(gap) for gap in gaps)))
    if is_ - was < LEAST_GAP or error == 0:
        return None
    p = float(norm.sf((is_ - was) / error))
    return Finding("overconfident", was, is_, len(gaps[1]), p) if p < LEVEL else None


def waits(frame: Frames, at: datetime) -> Waits:
    """Return how long feedback waits for its first verdict. `at`: now, naive UTC."""
    hours = frame(_WAITS)["hours"].to_numpy(dtype=float)[-VERDICTS:]
    row = frame(_WAITING, [at]).iloc[0]
    some = len(hours) > 0
    return Waits(
        float(np.median(hours)) if some else None, float(np.quantile(hours, 0.9)) if some else None, len(hours), int(row["n"]), float(row["oldest"]),
    )  # fmt: skip


def waits_longer(frame: Frames) -> Finding | None:
    """Return that the newest whole block of verdicts came later than those before, where they did (Mann-Whitney, one-sided)."""
    hours = frame(_WAITS)["hours"].to_numpy(dtype=float)
    end = len(hours) // VERDICTS * VERDICTS
    now, before = hours[max(0, end - VERDICTS) : end], hours[max(0, end - (1 + BEFORE) * VERDICTS) : max(0, end - VERDICTS)]
    if len(before) < FEWEST_BEFORE * VERDICTS:
        return None
    was, is_ = float(np.median(before)), float(np.median(now))
    if is_ < LEAST_WAIT * was or is_ - was < 1:  # an hour more is the least that anybody feels
        return None
    p = float(mannwhitneyu(now, before, alternative="greater").pvalue)
    return Finding("feedback_waits", was, is_, len(now), p) if p < LEVEL else None
