"""Quality as it serves: each measure fires on a change that was planted and keeps quiet on none, at its stated rate."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.quality import (
    BEFORE,
    BLOCK,
    LEVEL,
    VERDICTS,
    block_of,
    by_version,
    findings,
    read_blocks,
    waits,
    waits_longer,
)
from feedback.records import Correction, Prediction, Record, Review
from feedback.store import Store

START = datetime(2026, 1, 1)


def made(
    random: np.random.Generator, blocks: int, *, confidence: float = 0.8, corrected: float = 0.15, right: float = 0.8
) -> list[pd.DataFrame]:
    """Return blocks of answers whose confidence, corrections and truth follow these; a third of the truths is known."""
    found = []
    for number in range(blocks):
        sure = np.clip(random.normal(confidence, 0.15, BLOCK), 0, 1)
        judged = random.random(BLOCK) < 1 / 3
        found.append(
            pd.DataFrame(
                {
                    "created": [START + timedelta(minutes=number * BLOCK + i) for i in range(BLOCK)],
                    "confidence": sure,
                    "corrected": random.random(BLOCK) < corrected,
                    "judged": judged,
                    "right": judged & (random.random(BLOCK) < right),
                }
            )
        )
    return found


@pytest.mark.parametrize(
    ("measure", "changed"),
    [("confidence_fell", {"confidence": 0.65}), ("corrections_rose", {"corrected": 0.4}), ("overconfident", {"right": 0.35})],
)
def test_a_planted_change_is_found_and_nothing_else(measure: str, changed: dict[str, float]) -> None:
    """The one measure that was changed is found, with how it was and how it is; better than before is no finding."""
    random = np.random.default_rng(3)
    before = made(random, BEFORE)
    found = findings([*before, *made(random, 1, **changed)])
    assert [one.measure for one in found] == [measure]
    assert found[0].p < LEVEL
    assert found[0].items > 0
    better = {name: 1 - value if name == "corrected" else 1.0 for name, value in changed.items()} | (
        {"corrected": 0.01} if "corrected" in changed else {}
    )
    assert findings([*before, *made(random, 1, **better)]) == []


def test_an_unchanged_stream_keeps_quiet() -> None:
    """Over 1,500 blocks of nothing new there are at most as many findings of each measure as the level allows: the upper 99.9 % point
    of a binomial with 1,500 trials of .001 is 7 (scipy.stats.binom.ppf(.999, 1500, .001) = 6); the least sizes only lower it."""
    random = np.random.default_rng(11)
    stream = made(random, 1500 + BEFORE)
    counted: dict[str, int] = {}
    for end in range(BEFORE, len(stream)):
        for one in findings(stream[end - BEFORE : end + 1]):
            counted[one.measure] = counted.get(one.measure, 0) + 1
    assert all(count <= 6 for count in counted.values()), counted


def test_too_few_blocks_say_nothing() -> None:
    """Two whole blocks before the newest are needed; a block that is not whole does not count."""
    random = np.random.default_rng(4)
    few = [*made(random, 1), *made(random, 1, confidence=0.3)]
    assert findings(few) == []
    cut = made(random, 1, confidence=0.3)[0].iloc[:-1]
    assert findings([*made(random, 4), cut]) == []
    assert not block_of(cut).whole


def _prediction(number: int, confidence: float, contributor: str = "u_ann", version: int = 1, forced: bool = False) -> Prediction:
    return Prediction(
        id=f"p_{number}", contributor=contributor, experiment="", experiment_number=0, variant="champion", version=version, input=f"text {number}",
        input_hash=f"{number:032x}", output={"label": "a"}, confidence=confidence, latency_ms=1.0, forced=forced, channel="", network="",
        created=START + timedelta(minutes=number),
    )  # fmt: skip


def test_the_log_is_read_as_it_is(tmp_path: Path) -> None:
    """Blocks and versions out of a log; asked-about texts and a feed's count nowhere; what was withdrawn or not judged is no truth."""
    with Store(tmp_path) as store:
        rows: list[Record] = [_prediction(i, 0.5 + i / 100) for i in range(10)]
        rows += [_prediction(20, 0.1, forced=True), _prediction(21, 0.1, "feed:news"), _prediction(22, 0.9, version=2)]
        for number, confirmation in ((0, True), (1, False), (2, False)):
            rows.append(
                Correction(
                    f"c_{number}", f"p_{number}", "u_ann", {"label": "b"}, confirmation, "", created=START + timedelta(hours=1)
                )
            )
        rows += [
            Review(
                f"r_{number}", f"c_{number}", "accept", None, "owner", "", created=START + timedelta(hours=1 + 3 * (number + 1))
            )
            for number in (0, 1)
        ]
        store.add(*rows)
        blocks = [block_of(part, 4) for part in read_blocks(store.frame, 1, 4)]
        assert [(block.predictions, block.whole) for block in blocks] == [(4, True), (4, True), (2, False)]
        assert blocks[0].corrected == 0.5
        assert (blocks[0].judged, blocks[0].right) == (2, 0.5)
        assert blocks[0].confidence == pytest.approx(0.515)
        two, one = by_version(store.frame)
        assert (two.version, two.predictions, two.right) == (2, 1, None)
        assert (one.version, one.predictions, one.judged, one.right) == (1, 10, 2, 0.5)
        assert one.gap == pytest.approx(0.505 - 0.5)
        seen = waits(store.frame, START + timedelta(hours=11))
        assert (seen.median, seen.verdicts, seen.pending, seen.oldest) == (4.5, 2, 1, 10.0)


def test_feedback_that_waits_longer_is_found(tmp_path: Path) -> None:
    """Six blocks of verdicts: alike they say nothing; the newest four times as late they do."""

    def log(directory: Path, late: float) -> Store:
        store = Store(directory)
        random = np.random.default_rng(5)
        rows: list[Record] = []
        for number in range(6 * VERDICTS):
            hours = float(random.exponential(5.0)) * (late if number >= 5 * VERDICTS else 1.0)
            first = START + timedelta(hours=100 + number)
            rows.append(
                Correction(
                    f"c_{number}", f"p_{number}", "u_ann", {"label": "b"}, False, "", created=first - timedelta(hours=hours)
                )
            )
            rows.append(Review(f"r_{number}", f"c_{number}", "accept", None, "owner", "", created=first))
        store.add(*rows)
        return store

    with log(tmp_path / "same", 1.0) as same:
        assert waits_longer(same.frame) is None
    with log(tmp_path / "late", 4.0) as late:
        found = waits_longer(late.frame)
        assert found is not None
        assert found.now > 2 * found.before
