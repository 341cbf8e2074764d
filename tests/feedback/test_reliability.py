"""Trust by traps, against scipy's beta law and the rule's own numbers."""

from __future__ import annotations

import pytest
import scipy.stats

from feedback.errors import BadInput
from feedback.reliability import TrustRule, numbers, reliability


def test_eight_right_make_trust() -> None:
    """Beta(9, 1) has its 10 % quantile at .1^(1/9) = .774 (closed form of x^9); seven traps are too few, whatever their result."""
    found = reliability([True] * 8)
    assert found.trusted
    assert found.lower == pytest.approx(0.1 ** (1 / 9))
    assert not reliability([True] * 7).trusted


@pytest.mark.parametrize(("right", "wrong"), [(8, 0), (7, 1), (6, 2), (0, 8), (0, 0)])
def test_the_bound_is_the_beta_quantile(right: int, wrong: int) -> None:
    """While nothing has faded, the bound is scipy.stats.beta(1 + right, 1 + wrong).ppf(.1), and trust is that above .6."""
    found = reliability([True] * right + [False] * wrong)
    assert found.lower == pytest.approx(scipy.stats.beta(1 + right, 1 + wrong).ppf(0.1))
    assert found.trusted == (right + wrong >= 8 and found.lower > 0.6)


def test_the_past_fades() -> None:
    """With the half-life of 10, the trap 10 places behind the newest eight counts a half; a turned contributor loses trust.

    However long the good past, six failures end it: Beta(1 + 2 + 1 / (2^.1 - 1), 7) has its 10 % quantile below .6 (scipy).
    """
    assert reliability([False] + [True] * 17).wrong == pytest.approx(0.5)
    loyal = [True] * 500
    assert reliability(loyal).trusted
    assert reliability(loyal + [False] * 6).lower == pytest.approx(scipy.stats.beta(3 + 1 / (2**0.1 - 1), 7).ppf(0.1))
    assert not reliability(loyal + [False] * 6).trusted
    assert reliability(loyal + [False] * 6, TrustRule(half_life=1e9)).trusted


def test_a_failure_never_helps() -> None:
    """Turning any result from wrong to right raises the bound (Beta is stochastically ordered in its counts)."""
    results = [True, False, True, True, False, True, True, True, True, False]
    for place, result in enumerate(results):
        better = [*results[:place], True, *results[place + 1 :]]
        assert reliability(better).lower >= reliability(results).lower
        assert (reliability(better).lower > reliability(results).lower) == (not result)


def test_numbers_say_what_is_missing() -> None:
    """The page is told the verdict, the counts and the rule: three more traps are needed after five."""
    said = numbers(reliability([True] * 5))
    assert (said["verdict"], said["missing"], said["right"]) == ("too_few", 3, 5.0)
    assert numbers(reliability([False] * 9))["verdict"] == "not_trusted"
    assert numbers(reliability([True] * 9))["verdict"] == "trusted"


@pytest.mark.parametrize("wrong", [{"needed": 0}, {"half_life": 0.0}, {"level": 1.0}, {"bound": 0.0}])
def test_impossible_rules_are_refused(wrong: dict[str, float]) -> None:
    """A rule that could trust everybody or nobody is an error with words."""
    with pytest.raises(BadInput, match="trust rule"):
        TrustRule(**wrong)  # type: ignore[arg-type]
