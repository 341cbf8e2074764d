"""The threshold on known items: it follows them, falls back where they are few, and never accepts one unknown word."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from feedback.errors import BadInput
from feedback.threshold import NOTHING, ThresholdRule, calibration, lower_bound, supported, threshold


def test_a_calibrated_posterior_is_believed() -> None:
    """With known items as often right as they claim, the accepted ones are expected to be 95 % right, and hardly more.

    Posteriors are uniform on .5 to 1 with outcomes drawn from them: E[p | p >= t] = (1 + t) / 2 is .95 at t = .9.
    """
    rng = np.random.default_rng(1)
    p = rng.uniform(0.5, 1, 40_000)
    found = threshold(list(p), list(rng.random(40_000) < p), list(p))
    assert found.source == "known"
    assert 0.9 <= found.value <= 0.93
    assert 0.95 <= found.right / found.judged <= (1 + 0.93) / 2 + 0.01


def test_over_confidence_raises_the_threshold() -> None:
    """Items that claim .93 and are right half the time are shut out; those that claim .99 and are right stay in."""
    p = [0.99] * 60 + [0.93] * 60
    right = [True] * 60 + [True, False] * 30
    found = threshold(p, right, p)
    assert (found.value, found.judged, found.right) == (0.95, 60, 60)


def test_known_items_can_forbid_everything() -> None:
    """Where the surest known items are wrong half the time, no posterior suffices."""
    found = threshold([0.999] * 40, [True, False] * 20, [0.999] * 100)
    assert (found.value, found.source) == (NOTHING, "none")


def test_few_known_items_leave_the_default() -> None:
    """Nine right known items conclude nothing: the conservative default holds, and says so."""
    found = threshold([0.9] * 9, [True] * 9, [0.9] * 50)
    assert (found.value, found.source) == (0.98, "default")
    assert math.isnan(found.expected)


@pytest.mark.parametrize(("right", "judged"), [(0, 5), (19, 20), (30, 30), (57, 60)])
def test_the_bound_is_clopper_and_pearsons(right: int, judged: int) -> None:
    """The shown bound is scipy.stats.binomtest's exact one-sided lower bound."""
    theirs = scipy.stats.binomtest(right, judged, alternative="greater").proportion_ci(0.9, method="exact").low
    assert lower_bound(right, judged) == pytest.approx(float(theirs))


def test_calibration_counts_every_item_once() -> None:
    """The bins hold all items, the last one the posterior 1; an empty bin has no share."""
    lines = calibration([0.1, 0.72, 0.74, 0.98, 1.0], [False, True, False, True, True])
    assert [line.items for line in lines] == [1, 0, 2, 0, 0, 0, 2]
    assert lines[2].right == 0.5
    assert lines[2].mean == pytest.approx(0.73)
    assert math.isnan(lines[1].right)


def test_support_needs_two_or_one_proven() -> None:
    """One unknown contributor is never enough, also when named twice; two are, and one whom traps prove."""
    assert not supported(["a"], [])
    assert not supported(["a", "a"], ["b"])
    assert supported(["a", "b"], [])
    assert supported(["a"], {"a"})
    assert not supported([], {"a"})


def test_what_is_no_probability_is_refused() -> None:
    """Ragged or impossible input is an error with words, as is a rule without sense."""
    with pytest.raises(BadInput, match="as many of each"):
        threshold([0.5], [True, False])
    with pytest.raises(BadInput, match="posteriors lie in 0"):
        calibration([1.5], [True])
    with pytest.raises(BadInput, match="target"):
        ThresholdRule(target=1.0)
