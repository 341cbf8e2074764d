"""Paired replay on accepted corrections: clustered by user, always-valid, and honest about what the showing did."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from analysis import stats
from analysis.replay import FEWEST, N_STAR, Paired, Scored, replayed
from analysis.sequential import asymp_critical, tuning
from feedback.errors import BadInput

NAMES = ["A", "B"]


def _rows(
    rng: np.random.Generator, users: int, items: int, *, lead: float = 0.0, anchor: float = 0.0, spread: float = 0.1
) -> list[Scored]:
    """Rows from a known truth: B is right with .6 + lead, A with .6, shifted by user; the variant shown gains `anchor` more."""
    rows: list[Scored] = []
    for user in range(users):
        shown = rng.choice(NAMES)
        taste = rng.normal(0, spread)
        for _ in range(1 + rng.poisson(items - 1)):
            p = [0.6 + anchor * (shown == "A"), 0.6 + lead + taste + anchor * (shown == "B")]
            right = (rng.random(2) < p).astype(float)
            rows.append(Scored(f"u{user}", str(shown), tuple(right.tolist()), tuple((2 * (1 - right)).tolist())))
    return rows


def _known(paired: Paired) -> tuple[float, float, float, float, float]:
    assert paired.reason is None
    found = paired[2:7]
    assert None not in found
    return found  # type: ignore[return-value]


def test_difference_is_the_ratio_over_users() -> None:
    """By hand: y_i the summed differences, n_i the items; stats.jackknife for the SE, AsympCS (N* = 100) through Student's t."""
    rows = _rows(np.random.default_rng(1), 40, 3, lead=0.1)
    y: dict[str, float] = {}
    n: dict[str, float] = {}
    for row in rows:
        y[row.contributor] = y.get(row.contributor, 0.0) + row.right[1] - row.right[0]
        n[row.contributor] = n.get(row.contributor, 0.0) + 1
    expected = stats.jackknife(list(y.values()), list(n.values()))
    made = replayed(rows, NAMES, 0.05)
    overall = made.challengers[0].right.overall
    difference, se, low, high, _ = _known(overall)
    assert (overall.users, overall.items) == (40, len(rows))
    assert (difference, se) == pytest.approx((expected.value, math.sqrt(expected.variance)))
    normal = asymp_critical(40, 0.05, tuning(0.05, N_STAR))
    half = scipy.stats.t.isf(scipy.stats.norm.sf(normal), 39) * se
    assert (low, high) == pytest.approx((difference - half, difference + half))
    assert made.right["B"] - made.right["A"] == pytest.approx(difference)
    # Every wrong answer costs two edits in these rows, so the edits say the same with the other sign.
    assert made.challengers[0].edits.overall.difference == pytest.approx(-2 * difference)


def test_repeating_each_users_items_makes_nobody_surer() -> None:
    """A user whose items are all told five times over is still one user: the SE does not move (per item it would fall by sqrt 5)."""
    rows = _rows(np.random.default_rng(2), 50, 3)
    once, often = (replayed(given, NAMES, 0.05).challengers[0].right.overall for given in (rows, rows * 5))
    assert often.se == pytest.approx(once.se)
    assert often.items == 5 * once.items


def test_standard_errors_are_the_spread_between_logs() -> None:
    """Over 400 simulated logs the mean stated variances are the variances between logs, of the difference and of the anchoring.

    Source: the simulation itself; the relative SE of a variance of 400 draws is sqrt(2/399) = 7 %, tolerance 3 of these.
    """
    rng = np.random.default_rng(3)
    found = [replayed(_rows(rng, 80, 3, lead=0.05, anchor=0.1), NAMES, 0.05).challengers[0].right for _ in range(400)]
    for name in ("overall", "anchoring"):
        paired = [_known(getattr(outcome, name)) for outcome in found]
        between = np.var([p[0] for p in paired], ddof=1)
        assert np.mean([p[1] ** 2 for p in paired]) == pytest.approx(between, rel=3 * math.sqrt(2 / 399))


def test_anchoring_is_found_where_it_is() -> None:
    """The variant shown is right .15 more often: B - A is lead + .15 among B's items, lead - .15 among A's, so anchoring is .3.

    Within 3 standard errors of what was simulated; without anchoring the effect is within 3 of 0.
    """
    outcome = replayed(_rows(np.random.default_rng(4), 600, 4, lead=0.05, anchor=0.15), NAMES, 0.05).challengers[0].right
    for paired, true in ((outcome.by_shown["B"], 0.2), (outcome.by_shown["A"], -0.1), (outcome.anchoring, 0.3)):
        difference, se, *_ = _known(paired)
        assert abs(difference - true) < 3 * se < 0.15
    assert outcome.anchoring.low is not None
    assert outcome.anchoring.low > 0
    none = replayed(_rows(np.random.default_rng(5), 600, 4, lead=0.05), NAMES, 0.05).challengers[0].right.anchoring
    difference, se, low, high, p = _known(none)
    assert abs(difference) < 3 * se
    assert low < 0 < high
    assert p > 0.05


def test_anchoring_of_groups_without_a_common_user_is_that_of_two_samples() -> None:
    """Disjoint users: the joint jackknife's variance is the sum of the two groups' own, up to (k-1)/k of either (60 users: 3 %)."""
    outcome = replayed(_rows(np.random.default_rng(6), 120, 3), NAMES, 0.05).challengers[0].right
    (_, of_b, *_), (_, of_a, *_), (_, joint, *_) = map(_known, (outcome.by_shown["B"], outcome.by_shown["A"], outcome.anchoring))
    assert joint**2 == pytest.approx(of_a**2 + of_b**2, rel=0.03)


def test_anchoring_leaves_each_user_out_of_both_groups_at_once() -> None:
    """SE^2 = (k-1)/k sum (D_-i - mean D_-i)^2 with D_-i from the rows without user i (Efron and Stein, 1981).

    The interval is AsympCS after the 40 users of either group, its tail carried to Student's t of the smaller group's users - 1.
    """
    rng = np.random.default_rng(12)
    rows = [row._replace(shown_variant=str(rng.choice(NAMES))) for row in _rows(rng, 40, 3)]
    without = []
    for user in {row.contributor for row in rows}:
        rest = replayed([row for row in rows if row.contributor != user], NAMES, 0.05)
        without.append(_known(rest.challengers[0].right.anchoring)[0])
    outcome = replayed(rows, NAMES, 0.05).challengers[0].right
    difference, se, low, *_ = _known(outcome.anchoring)
    assert se**2 == pytest.approx(39 / 40 * np.var(without) * 40)
    smaller = min(outcome.by_shown[name].users for name in NAMES)
    assert smaller < outcome.anchoring.users == 40
    normal = asymp_critical(40, 0.05, tuning(0.05, N_STAR))
    assert low == pytest.approx(difference - scipy.stats.t.isf(scipy.stats.norm.sf(normal), smaller - 1) * se)


def test_users_in_both_groups_lend_the_anchoring_their_covariance() -> None:
    """Each user saw both variants, and their taste shifts both estimates alike: it cancels, and the SE is below two samples'."""
    rng = np.random.default_rng(7)
    rows = [
        Scored(f"u{user}", shown, (0.5, min(1.0, max(0.0, taste + rng.normal(0, 0.02)))), (0.0, 0.0))
        for user, taste in enumerate(rng.uniform(0.1, 0.9, 60))
        for shown in NAMES
    ]
    outcome = replayed(rows, NAMES, 0.05).challengers[0].right
    (_, of_b, *_), (_, of_a, *_), (_, joint, *_) = map(_known, (outcome.by_shown["B"], outcome.by_shown["A"], outcome.anchoring))
    assert joint < 0.2 * math.hypot(of_a, of_b)
    assert outcome.anchoring.users == 60


def test_interval_may_be_watched() -> None:
    """No true difference, looked at after every sixth user from 20 to 120: in at most .05 + 3 SE of 200 logs 0 is ever left out.

    A Student's t interval, which does not allow for watching, leaves it out far more often: the control that must fail.
    """
    rng = np.random.default_rng(8)
    ever = naive = 0
    for _ in range(200):
        rows = _rows(rng, 120, 2, spread=0.15)
        first = {row.contributor: i for i, row in reversed(list(enumerate(rows)))}
        starts = sorted(first.values())
        looks = [
            _known(replayed(rows[:end], NAMES, 0.05).challengers[0].right.overall) for end in [*starts[FEWEST::6], len(rows)]
        ]
        ever += any(low > 0 or high < 0 for _, _, low, high, _ in looks)
        naive += any(abs(difference) > 2.05 * se for difference, se, *_ in looks)  # t of 28 df, between 20 and 120 users
    assert ever / 200 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)
    assert naive / 200 > 0.1


def test_several_challengers_share_the_level() -> None:
    """Three variants: each challenger's interval is at alpha/2, so wider than alone; an unrelated shown name counts overall only."""
    two = [row._replace(shown_variant="before") for row in _rows(np.random.default_rng(9), 50, 3)]
    three = [row._replace(right=(*row.right, row.right[0]), loss=(*row.loss, row.loss[0])) for row in two]
    alone = replayed(two, NAMES, 0.05).challengers[0].right
    family = replayed(three, [*NAMES, "C"], 0.05)
    assert [c.challenger for c in family.challengers] == ["B", "C"]
    shared = family.challengers[0].right
    assert shared.overall.difference == alone.overall.difference
    assert shared.overall.low is not None
    assert alone.overall.low is not None
    assert shared.overall.low < alone.overall.low
    assert list(shared.by_shown) == ["A", "B", "C"]
    assert {paired.items for paired in shared.by_shown.values()} == {0}


def test_fewer_than_twenty_users_get_no_number() -> None:
    """19 users: withheld, with how many there are and are needed; likewise a shown variant of few users, and the anchoring."""
    rows = _rows(np.random.default_rng(10), 19, 5)
    overall = replayed(rows, NAMES, 0.05).challengers[0].right.overall
    assert overall[2:7] == (None,) * 5
    assert overall.reason == ("experiments.replay.too_few", {"users": 19, "needed": 20})
    outcome = replayed(_rows(np.random.default_rng(10), 30, 5), NAMES, 0.05).challengers[0].right
    assert outcome.overall.reason is None
    assert outcome.anchoring.difference is None
    assert outcome.anchoring.reason is not None
    empty = replayed([], NAMES, 0.05)
    assert (empty.users, empty.items, dict(empty.right)) == (0, 0, {})
    assert empty.challengers[0].edits.overall.reason == ("experiments.replay.too_few", {"users": 0, "needed": 20})


def test_variants_that_answer_alike_have_no_interval() -> None:
    """No item tells them apart: no standard error, so a reason instead of an interval of width 0."""
    rows = [row._replace(right=(1.0, 1.0), loss=(0.1, 0.4)) for row in _rows(np.random.default_rng(11), 30, 3)]
    outcome = replayed(rows, NAMES, 0.05).challengers[0]
    for paired in (outcome.right.overall, outcome.edits.overall):
        assert paired.difference is None
        assert paired.reason == ("experiments.replay.no_variation", {"users": 30})


@pytest.mark.parametrize(
    ("variants", "row", "words"),
    [
        (["A"], Scored("u", "A", (1.0,), (0.0,)), "two or more different ones"),
        (["A", "A"], Scored("u", "A", (1.0, 1.0), (0.0, 0.0)), "two or more different ones"),
        (NAMES, Scored("u", "A", (1.0,), (0.0, 0.0)), "one of each is needed"),
        (NAMES, Scored("u", "A", (1.0, 1.5), (0.0, 0.0)), r"must be in 0\.\.1"),
        (NAMES, Scored("u", "A", (1.0, math.nan), (0.0, 0.0)), r"must be in 0\.\.1"),
        (NAMES, Scored("u", "A", (1.0, 1.0), (0.0, -1.0)), "0 or more"),
    ],
)
def test_bad_input_is_told_in_words(variants: list[str], row: Scored, words: str) -> None:
    """Every rule of the arguments has its sentence."""
    with pytest.raises(BadInput, match=words):
        replayed([row], variants, 0.05)
