"""Side by side: strengths from votes, uncertain by users, judged under the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from analysis import bradley_terry
from analysis.sequential import Rule
from analysis.side_by_side import Ballot, side_by_side, wilson
from feedback.errors import BadInput
from feedback.records import Choice

ALWAYS = Rule("always_valid", 200, 0.05)


def _two(left_wins: int, right_wins: int, ties: int = 0) -> list[Ballot]:
    """One vote a user, A left and B right."""
    choices: list[Choice] = [*["left"] * left_wins, *["right"] * right_wins, *["both", "neither"] * (ties // 2)]  # type: ignore[list-item]
    return [Ballot(f"u{i}", "A", "B", choice) for i, choice in enumerate(choices)]


def _simulated(rng: np.random.Generator, logs: list[float], users: int, votes: int, spread: float) -> list[Ballot]:
    """Votes from known strengths, any two variants equally often; each user's taste shifts every strength by N(0, spread)."""
    names = [f"v{i}" for i in range(len(logs))]
    ballots: list[Ballot] = []
    for user in range(users):
        taste = np.array(logs) + rng.normal(0, spread, len(logs))
        for _ in range(votes):
            i, j = rng.permutation(len(logs))[:2]
            left = rng.random() < 1 / (1 + math.exp(taste[j] - taste[i]))
            ballots.append(Ballot(f"u{user}", names[i], names[j], "left" if left else "right"))
    return ballots


@pytest.mark.parametrize(("a", "b", "ties"), [(40, 60, 0), (35, 45, 20), (10, 80, 10)])
def test_two_variants_equal_the_closed_form(a: int, b: int, ties: int) -> None:
    """For two variants the maximum likelihood is ln(p/(1-p)), p the share of wins with a tie as half a win."""
    made = side_by_side(_two(a, b, ties), ["A", "B"], ALWAYS, seed=1)
    p = (b + ties / 2) / (a + b + ties)
    (strength,) = made.strengths
    assert strength.log_strength == pytest.approx(math.log(p / (1 - p)), abs=1e-8)
    assert strength.win_probability == pytest.approx(p, abs=1e-8)
    assert (made.users, made.votes, made.ties, made.regularised) == (100, 100, ties, False)


def test_bootstrap_equals_the_delta_method_where_users_vote_once() -> None:
    """One vote a user, no ties: SE of ln(p/(1-p)) is 1/sqrt(n p (1-p)); 1,000 resamples know it to about 2.2 % (4 of these)."""
    (strength,) = side_by_side(_two(160, 240), ["A", "B"], ALWAYS, seed=2).strengths
    assert strength.se == pytest.approx(1 / math.sqrt(400 * 0.4 * 0.6), rel=4 * 0.0224)


def test_known_strengths_are_recovered() -> None:
    """Four variants, 300 users with ten votes each: every log-strength within 3 standard errors of the truth it was drawn from."""
    truth = [0.0, 0.6, -0.4, 1.2]
    made = side_by_side(_simulated(np.random.default_rng(3), truth, 300, 10, 0.0), ["v0", "v1", "v2", "v3"], ALWAYS, seed=3)
    for strength, true in zip(made.strengths, truth[1:], strict=True):
        assert strength.log_strength is not None
        assert strength.se is not None
        assert abs(strength.log_strength - true) < 3 * strength.se
        assert 0.02 < strength.se < 0.15
    assert (made.verdict, made.about) == ("B better", "v3")
    assert [s.verdict for s in made.strengths] == ["B better", "B worse", "B better"]


def test_likelihood_is_at_its_maximum() -> None:
    """The gradient of Bradley and Terry's log-likelihood, W_i - sum_j N_ij s_i/(s_i + s_j), is 0 at the fit."""
    wins = np.random.default_rng(4).integers(1, 30, (5, 5)).astype(float) * (1 - np.eye(5))
    s = np.exp(bradley_terry.log_strengths(wins))
    expected = ((wins + wins.T) * s[:, None] / (s[:, None] + s[None, :]) * (1 - np.eye(5))).sum(axis=1)
    assert expected == pytest.approx(wins.sum(axis=1), abs=1e-6)


def test_a_bootstrap_over_votes_would_be_too_narrow() -> None:
    """Forty votes a user of strong taste: over users the SE is the spread between logs drawn anew; over votes less than half of it.

    Source: the simulation itself, 100 logs of 80 users; the SD of 100 draws is known to 7 % (SE 1/sqrt(2 x 99)), so 25 % is > 3 SE.
    """
    rng = np.random.default_rng(5)
    estimates, by_users, by_votes = [], [], []
    for round_ in range(100):
        ballots = _simulated(rng, [0.0, 0.3], 80, 40, 1.0)
        (strength,) = side_by_side(ballots, ["v0", "v1"], ALWAYS, resamples=200, seed=round_).strengths
        as_users = [ballot._replace(contributor=str(i)) for i, ballot in enumerate(ballots)]
        (naive,) = side_by_side(as_users, ["v0", "v1"], ALWAYS, resamples=100, seed=round_).strengths if round_ < 5 else (None,)
        estimates.append(strength.log_strength or 0.0)
        by_users.append(strength.se or 0.0)
        if naive is not None:
            by_votes.append(naive.se or 0.0)
    spread = float(np.std(estimates, ddof=1))
    assert np.mean(by_users) == pytest.approx(spread, rel=0.25)
    assert np.mean(by_votes) < spread / 2


def test_look_follows_the_rule() -> None:
    """z = log-strength / SE after as many users as voted: the rule's own p and interval for that z (analysis.sequential)."""
    rule = Rule("horizon", 400, 0.05)
    made = side_by_side(_two(80, 120), ["A", "B"], rule, seed=6)
    (strength,) = made.strengths
    assert strength.log_strength is not None
    assert strength.se is not None
    assert strength.p == pytest.approx(rule.p(strength.log_strength / strength.se, 200))
    assert strength.high == pytest.approx(strength.log_strength + rule.critical(200) * strength.se)
    assert made.verdict == "no verdict yet"
    assert side_by_side(_two(101, 99), ["A", "B"], Rule("horizon", 200, 0.05), seed=6).verdict == "no meaningful difference"
    worse = side_by_side(_two(150, 50), ["A", "B"], rule, seed=6)
    assert (worse.verdict, worse.about) == ("B worse", "B")


def test_horizon_rule_ends_with_its_users() -> None:
    """Votes of users who first voted after n_max others have count nowhere."""
    early, rule = _two(40, 60), Rule("horizon", 100, 0.05)
    late = [Ballot(f"late{i}", "A", "B", "right") for i in range(50)]
    assert side_by_side(early + late, ["A", "B"], rule, seed=7) == side_by_side(early, ["A", "B"], rule, seed=7)


def test_one_that_never_loses_stays_finite_and_is_no_sure_thing() -> None:
    """60 wins of 60: half a win each way is added, ln(60.5/.5); the SE is the model's 1/sqrt(60 p(1-p)), where the bootstrap says 0.

    Adding half a win to each side is Haldane's and Anscombe's correction of an empty cell (Annals of Human Genetics 1956).
    """
    made = side_by_side(_two(0, 60), ["A", "B"], ALWAYS, seed=8)
    (strength,) = made.strengths
    p = 60.5 / 61
    assert made.regularised
    assert strength.log_strength == pytest.approx(math.log(60.5 / 0.5), abs=1e-8)
    assert strength.se == pytest.approx(1 / math.sqrt(60 * p * (1 - p)), rel=1e-6)
    (nearly,) = side_by_side(_two(1, 59), ["A", "B"], ALWAYS, seed=8).strengths
    assert nearly.se is not None
    assert nearly.se >= 1 / math.sqrt(60 * (1 / 60) * (59 / 60)) - 1e-9


def test_fewer_than_fifty_voting_users_get_no_verdict() -> None:
    """49 users, however clear: collecting, the strength in sight, no interval and no p."""
    made = side_by_side(_two(1, 48), ["A", "B"], ALWAYS, seed=9)
    (strength,) = made.strengths
    assert (made.verdict, strength.low, strength.high, strength.p) == ("collecting", None, None, None)
    assert strength.log_strength == pytest.approx(math.log(48))
    assert side_by_side(_two(1, 49), ["A", "B"], ALWAYS, seed=9).verdict == "B better"


def test_nobody_voted_and_nothing_varies() -> None:
    """No votes: no number anywhere. Ties only: strength 0, and no p-value, since nothing varies."""
    nobody = side_by_side([], ["A", "B", "C"], ALWAYS, seed=0)
    assert (nobody.users, nobody.verdict, nobody.position.left) == (0, "collecting", None)
    assert {s.log_strength for s in nobody.strengths} == {None}
    ties = side_by_side(_two(0, 0, 60), ["A", "B"], ALWAYS, seed=0)
    assert (ties.strengths[0].log_strength, ties.strengths[0].p, ties.verdict) == (0.0, None, "no verdict yet")


def test_a_variant_that_was_never_compared_with_the_control_has_no_number() -> None:
    """C met only D: neither can be set beside the control A. B keeps its number, adjusted for three challengers."""
    apart = [Ballot(f"w{i}", "C", "D", "left" if i % 2 else "right") for i in range(10)]
    made = side_by_side(_two(80, 120) + apart, ["A", "B", "C", "D"], ALWAYS, seed=1)
    assert [s.log_strength is None for s in made.strengths] == [False, True, True]
    assert [s.votes for s in made.strengths] == [200, 10, 10]
    b = made.strengths[0]
    assert b.log_strength is not None
    assert b.se is not None
    assert b.p == pytest.approx(min(1.0, 3 * ALWAYS.p(b.log_strength / b.se, 210)))


def test_position_bias_is_shown() -> None:
    """Left chosen in 70 of 100 decided votes: .7 with Wilson's interval, which excludes .5; ties do not count."""
    made = side_by_side(_two(70, 30, 20), ["A", "B"], ALWAYS, seed=1)
    assert (made.position.decided, made.position.left) == (100, 0.7)
    assert made.position.low is not None
    assert made.position.low > 0.5


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (7, 10), (70, 100)])
def test_wilson_is_scipys(hits: int, trials: int) -> None:
    """scipy.stats.binomtest(...).proportion_ci(method="wilson")."""
    expected = scipy.stats.binomtest(hits, trials).proportion_ci(0.95, "wilson")
    assert wilson(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(
    ("variants", "ballot", "words"),
    [
        (["A"], ("u", "A", "B", "left"), "2 to 6 different names"),
        (["A", "A"], ("u", "A", "B", "left"), "2 to 6 different names"),
        (["A", "B"], ("u", "A", "A", "left"), "two different ones"),
        (["A", "B"], ("u", "A", "C", "left"), "two different ones"),
        (["A", "B"], ("u", "A", "B", "up"), "available are left, right, both, neither"),
    ],
)
def test_bad_input_is_told_in_words(variants: list[str], ballot: tuple[str, str, str, Choice], words: str) -> None:
    """Every rule of the arguments has its sentence."""
    with pytest.raises(BadInput, match=words):
        side_by_side([Ballot(*ballot)], variants, ALWAYS, seed=0)


def test_no_finite_maximum_is_an_error_and_not_a_number() -> None:
    """log_strengths refuses a table in which one side never lost (Ford 1957), also where a chain of wins leads only one way."""
    chain = np.array([[0, 2, 2], [3, 0, 4], [0, 0, 0]], dtype=float)  # the third never won
    assert bradley_terry.unbounded(chain)
    assert not bradley_terry.unbounded(chain + np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0]]))
    ring = np.roll(np.eye(6), 1, axis=1)  # each of six beats the next: the longest chain there is
    assert not bradley_terry.unbounded(ring)
    assert bradley_terry.log_strengths(ring) == pytest.approx([0.0] * 6)
    with pytest.raises(BadInput, match="never lost"):
        bradley_terry.log_strengths(chain)
