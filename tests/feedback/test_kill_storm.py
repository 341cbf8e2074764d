"""The kill -9 storm in small (benchmarks/kill_storm.py has it in full): real routes, real kills, forced checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kill_storm import storm
from tests.coroutines import finished


@pytest.mark.slow
def test_a_storm_of_kills_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Eight kills under 32 clients: what was acknowledged is there once and of its client, retries keep their ids, all hangs together."""
    verdict, seen = finished(storm(tmp_path / "home", rounds=8, seed=3, answers=30))
    assert verdict.clean, verdict
    assert verdict.acknowledged > 100
    assert seen["retried"] > 0
    assert seen["resent"] > 0
    assert seen["reopen_s_max"] < 5
    assert verdict.unjudged == 0
