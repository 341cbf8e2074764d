"""Caps on a round's weight, and texts that count once."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback.caps import CapRule, Weighed, capped
from feedback.duplicates import count_once, duplicate_groups
from feedback.errors import BadInput

EXAMPLES = st.lists(
    st.builds(
        Weighed,
        weight=st.floats(0.01, 1),
        contributor=st.sampled_from([f"c{i}" for i in range(40)]),
        cohorts=st.tuples(
            st.sampled_from([f"network:{i}" for i in range(30)]), st.sampled_from(["hour:1", "hour:2", "channel:x"])
        ),
        label_pair=st.sampled_from(["", "a -> b", "b -> a", "a -> c", "c -> a", "b -> c"]),
        reviewed=st.booleans(),
    ),
    max_size=80,
)


def shares(examples: list[Weighed], weights: tuple[float, ...]) -> dict[tuple[str, str], float]:
    """Return (kind, name) -> share of the whole, over the examples that are not reviewed."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for example, weight in zip(examples, weights, strict=True):
        if not example.reviewed:
            sums["contributor", example.contributor] += weight
            for cohort in example.cohorts:
                sums["cohort", cohort] += weight
            if example.label_pair:
                sums["label_pair", example.label_pair] += weight
    return {key: total / sum(weights) for key, total in sums.items()}


@settings(deadline=None, max_examples=60)
@given(EXAMPLES)
def test_caps_hold_or_are_owned_up_to(examples: list[Weighed]) -> None:
    """Weights only go down, none to 0; the reviewed keep theirs; a group is above its cap only if `over` says so, with its share."""
    found = capped(examples)
    for example, weight in zip(examples, found.weights, strict=True):
        assert 0 < weight <= example.weight * (1 + 1e-9)
        assert not example.reviewed or weight == example.weight
    limits = {"contributor": 0.05, "cohort": 0.10, "label_pair": 0.25}
    over = {(o.kind, o.name): o.share for o in found.over}
    assert found.met == (not over)
    for (kind, name), share in shares(examples, found.weights).items():
        if (kind, name) in over:
            assert over[kind, name] == pytest.approx(share)
            assert share <= limits[kind] * found.loosened.get(kind, 1.0) * (1 + 1e-3)
        else:
            assert share <= limits[kind] * (1 + 1e-5)


@settings(deadline=None, max_examples=25)
@given(EXAMPLES, st.floats(0.1, 10))
def test_caps_know_no_unit(examples: list[Weighed], factor: float) -> None:
    """Shares are what is capped: weights in another unit give the same weights in that unit."""
    one = capped(examples).weights
    other = capped([e._replace(weight=e.weight * factor) for e in examples]).weights
    assert list(other) == pytest.approx([w * factor for w in one], rel=1e-3)


def test_a_flood_is_capped_where_it_can_be() -> None:
    """One contributor with 900 examples beside 30 with 20: x = .05 (600 + x) gives the flood 31.6 of its weight (by hand)."""
    examples = [Weighed(1.0, "flood")] * 900 + [Weighed(1.0, f"c{i}") for i in range(30) for _ in range(20)]
    found = capped(examples)
    assert found.met
    assert not found.few_contributors
    assert sum(found.weights[:900]) == pytest.approx(0.05 * 600 / 0.95, rel=1e-4)
    assert set(found.weights[900:]) == {1.0}
    assert found.scaled == ("contributor:flood",)


def test_few_contributors_cannot_be_capped_and_it_is_said() -> None:
    """Ten equal contributors have 10 % each: no weights make that 5 %. The round goes on as it is, and says why."""
    examples = [Weighed(1.0, f"c{i % 10}") for i in range(100)]
    found = capped(examples)
    assert found.few_contributors
    assert not found.met
    assert len(found.over) == 10
    assert found.weights == (1.0,) * 100
    assert capped([Weighed(1.0, "only")]).weights == (1.0,)


def test_few_contributors_have_two_equal_shares_at_most() -> None:
    """Five contributors, one with 40 of 50 examples: nobody has more than 2/5, so x = .4 (10 + x) leaves 6.67 of them (by hand)."""
    examples = [Weighed(1.0, "busy")] * 40 + [Weighed(1.0, f"c{i % 4}") for i in range(10)]
    found = capped(examples)
    assert sum(found.weights[:40]) == pytest.approx(4 / 0.6, rel=1e-3)
    assert set(found.weights[40:]) == {1.0}
    assert found.loosened["contributor"] == pytest.approx(8)
    assert [over.name for over in found.over] == ["busy", "c0", "c1", "c2", "c3"]


def test_kinds_of_cohorts_are_capped_apart() -> None:
    """One hour holds everybody and cannot be capped; that does not loosen the cap on the twelve networks, one of which floods."""
    examples = [Weighed(1.0, f"a{i}", ("hour:9", "network:flood")) for i in range(200)]
    examples += [Weighed(1.0, f"b{i}", ("hour:9", f"network:{i % 11}")) for i in range(110)]
    found = capped(examples)
    assert sum(found.weights[:200]) == pytest.approx(110 / 9, rel=1e-3)  # a tenth of all that is left, by hand
    assert set(found.weights[200:]) == {1.0}
    assert {(over.kind, over.name) for over in found.over} == {("cohort", "hour:9")}


def test_reviewers_fill_no_cap() -> None:
    """A reviewed example of a capped contributor keeps its weight, and a round of reviewed ones alone is met."""
    examples = [Weighed(1.0, "staff", ("network:1",), "a -> b", reviewed=True)] * 50
    assert capped(examples).weights == (1.0,) * 50
    assert capped(examples).met
    assert capped([]).met


def test_bad_weights_and_rules_are_refused() -> None:
    """Negative and unending weights, and caps that are no shares, are errors with words."""
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="finite"):
            capped([Weighed(weight, "a")])
    with pytest.raises(BadInput, match="shares"):
        CapRule(cohort=0)


def test_near_duplicates_are_found() -> None:
    """Digits, case and punctuation do not make a text new, nor does a word in a long one; another text stays another."""
    long = "The patient was treated for a rare kind of colon cancer that runs in the family and was then sent home"
    texts = [
        "Call me at 12!",
        "call me  at 13",
        long,
        long.replace("sent", "sent back"),
        "Send my card, please",
        "42",
        "43",
        "你好吗",
        "你好吗？",
    ]
    assert duplicate_groups(texts) == [0, 0, 2, 2, 4, 5, 6, 7, 7]


def test_near_duplicates_count_once() -> None:
    """A group weighs what its heaviest member does; beside a reviewed one the others weigh what is left of that."""
    assert count_once([1.0, 1.0, 0.5, 1.0], [0, 0, 0, 3]) == pytest.approx([0.4, 0.4, 0.2, 1.0])
    assert count_once([1.0, 1.0, 0.5], [0, 0, 0], [True, False, False]) == [1.0, 0.0, 0.0]
    assert count_once([0.6, 1.0], [0, 0], [True, False]) == pytest.approx([0.6, 0.4])
    with pytest.raises(BadInput, match="as many of each"):
        count_once([1.0], [0, 0])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5), st.booleans()), max_size=30))
def test_counting_once_only_lowers(rows: list[tuple[float, int, bool]]) -> None:
    """No weight rises, and no group of unreviewed texts weighs more than its heaviest member."""
    weights, groups, reviewed = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    found = count_once(weights, groups, reviewed)
    assert all(0 <= new <= old + 1e-12 for new, old in zip(found, weights, strict=True))
    for group in set(groups):
        if not any(r for r, g in zip(reviewed, groups, strict=True) if g == group):
            heaviest = max(w for w, g in zip(weights, groups, strict=True) if g == group)
            assert sum(w for w, g in zip(found, groups, strict=True) if g == group) <= heaviest + 1e-9
