"""'Prove it': the shuffles judge as the report does, the rule keeps its level, and the controls that must fail do fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from analysis import prove as module
from analysis import stats
from analysis.notes import MIN_USERS
from analysis.prove import Proof, clopper_pearson, prove
from analysis.sequential import Rule
from feedback.errors import BadInput


def _log(users: int, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Clustered users: geometric predictions of mean 5, rate .3 with ICC .2 (a + b = 1/ICC - 1 = 4): shared analysis.md."""
    rng = np.random.default_rng(seed)
    n = rng.geometric(0.2, users)
    return rng.binomial(n, rng.beta(0.3 * 4, 0.7 * 4, users)), n


def _rates(proof: Proof) -> dict[str, float]:
    return {rate.analysis: rate.rate for rate in proof.rates}


def _slow_way(y: np.ndarray, n: np.ndarray, shares: list[float], rule: Rule, ends: tuple[int, ...], seed: int) -> bool:
    """One shuffle, judged look by look with the report's own functions: stats.jackknife or ratio, difference, Rule.look, holm."""
    arms = np.searchsorted(np.cumsum(shares)[:-1], np.random.default_rng(seed).random(len(y)), side="right")
    for end in ends:
        inside = [arms[:end] == arm for arm in range(len(shares))]
        if min(mask.sum() for mask in inside) < MIN_USERS:
            continue
        estimates = []
        for mask in inside:
            rows = y[:end][mask].tolist(), n[:end][mask].tolist()
            estimates.append(stats.jackknife(*rows) if mask.sum() < stats.SMALL_ARM else stats.ratio(stats.sums_of(*rows)))
        p = []
        for challenger in estimates[1:]:
            small = min(estimates[0].users, challenger.users) < stats.SMALL_ARM
            p.append(rule.look(stats.difference(estimates[0], challenger, welch=small), end).p)
        if min(stats.holm(p)) <= rule.alpha:
            return True
    return False


@pytest.mark.parametrize(("users", "shares"), [(150, [0.5, 0.5]), (500, [0.5, 0.5]), (700, [0.4, 0.3, 0.3])])
@pytest.mark.parametrize("name", ["horizon", "always_valid"])
def test_a_shuffle_is_judged_as_the_report_judges(users: int, shares: list[float], name: str) -> None:
    """The same draws, judged one by one with the report's own functions, raise an alarm in the very same shuffles.

    alpha .45 so that there are many alarms; between 100 and 200 users an arm both variances occur.
    """
    y, n = _log(users)
    rule = Rule(name, users, 0.45)  # type: ignore[arg-type]
    fast, slow = [], []
    for seed in range(200):
        proof = prove(y, n, shares=shares, rule=rule, shuffles=1, looks=6, seed=seed, binary=True)
        fast.append(bool(proof.rates[0].alarms))
        slow.append(_slow_way(y, n, shares, rule, proof.looks, seed))
    assert fast == slow
    assert 5 < sum(fast) < 150


@pytest.mark.parametrize("name", ["horizon", "always_valid"])
def test_the_rule_keeps_its_level_and_the_controls_fail(name: str) -> None:
    """Rule <= alpha + 3 SE; peeking and per event many times alpha (about .35 and .8 in shared analysis.md's table)."""
    y, n = _log(2000)
    proof = prove(y, n, shares=[0.5, 0.5], rule=Rule(name, 2000, 0.05), shuffles=2000, seed=1, binary=True)  # type: ignore[arg-type]
    rates = _rates(proof)
    assert proof.rates[0].analysis == "rule"
    assert rates["rule"] <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)
    assert rates["peeking"] > 0.2
    assert rates["per event"] > 0.6
    assert (proof.users, proof.shuffles, proof.judged, proof.challengers) == (2000, 2000, 2000, 1)
    assert (proof.looks[0], proof.looks[-1], len(proof.looks)) == (100, 2000, 40)


def test_three_challengers_share_the_level() -> None:
    """With three challengers at uneven shares the whole family's false alarms stay <= alpha + 3 SE, and an idle arm is ignored."""
    y, n = _log(1200)
    rule = Rule("horizon", 1200, 0.05)
    proof = prove(y, n, shares=[0.4, 0.3, 0.2, 0.1, 0.0], rule=rule, shuffles=1500, seed=2, binary=True)
    assert proof.challengers == 3
    assert proof.looks[0] == 500  # 50 users expected in the arm with a tenth of them
    assert _rates(proof)["rule"] <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1500)
    # The family is not idle either: three arms at alpha/3 give about as many alarms as two at alpha.
    assert _rates(proof)["rule"] > 0.01


def test_users_alike_make_the_event_the_right_unit() -> None:
    """Without clustering (one event a user) the per-event z is the per-user z, and errs only by peeking: no straw man."""
    rng = np.random.default_rng(7)
    y, n = rng.binomial(1, 0.3, 1000), np.ones(1000)
    rates = _rates(prove(y, n, shares=[1, 1], rule=Rule("horizon", 1000, 0.05), seed=3, binary=True))
    assert rates["per event"] == pytest.approx(rates["peeking"], abs=0.03)


def test_only_the_horizons_users_count() -> None:
    """Under the horizon rule users after n_max change nothing: the report leaves them out as well."""
    y, n = _log(900)
    rule = Rule("horizon", 400, 0.05)
    cut = prove(y[:400], n[:400], shares=[1, 1], rule=rule, shuffles=200, seed=4, binary=True)
    assert prove(y, n, shares=[1, 1], rule=rule, shuffles=200, seed=4, binary=True) == cut
    assert cut.looks[-1] == 400


def test_too_few_users_are_told_how_many_are_needed() -> None:
    """99 users of two equal arms are one short of 2 x 50; at 9 to 1 the small arm needs 500 in all."""
    y, n = _log(600)
    with pytest.raises(BadInput, match=r"99 users are there; to shuffle them takes 100") as told:
        prove(y[:99], n[:99], shares=[0.5, 0.5], rule=Rule("always_valid", 100, 0.05), seed=0, binary=True)
    assert told.value.values == {"users": 99, "needed": 100, "each": 50}
    with pytest.raises(BadInput, match=r"499 users are there; to shuffle them takes 500"):
        prove(y[:499], n[:499], shares=[0.9, 0.1], rule=Rule("always_valid", 100, 0.05), seed=0, binary=True)
    fewest = prove(y[:100], n[:100], shares=[0.5, 0.5], rule=Rule("always_valid", 100, 0.05), seed=0, binary=True)
    assert fewest.looks == (100,)
    # P(50 of 100 by a fair coin) = .0796 (binomial law): seldom may a verdict be given at all.
    assert fewest.judged / 1000 == pytest.approx(0.0796, abs=3 * math.sqrt(0.0796 * 0.92 / 1000))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"y": [1.0] * 150 + [7.0] * 50}, "between 0 and that denominator"),
        ({"n": [1.0] * 199}, "one y and one n a user"),
        ({"y": [math.nan] * 200}, "finite"),
        ({"shares": [1.0, 0.0]}, "a challenger's above 0"),
        ({"shares": [0.0, 1.0, 1.0]}, "the control's"),
        ({"shuffles": 0}, "at least 1"),
        ({"looks": 0}, "at least 1"),
    ],
)
def test_bad_input_is_told_in_words(change: dict[str, object], words: str) -> None:
    """Every rule of the arguments has its sentence."""
    given = {"y": [1.0] * 200, "n": [2.0] * 200, "shares": [1.0, 1.0], "shuffles": 200, "looks": 3} | change
    with pytest.raises(BadInput, match=words):
        prove(rule=Rule("horizon", 200, 0.05), seed=0, binary=True, **given)  # type: ignore[arg-type]


def test_an_outcome_that_is_no_count_has_no_per_event_control() -> None:
    """Edits or log milliseconds are no events: the control is left out; users who never varied raise no alarm."""
    rng = np.random.default_rng(1)
    proof = prove(
        rng.normal(5, 2, 300), np.ones(300), shares=[1, 1], rule=Rule("horizon", 300, 0.05), shuffles=300, seed=0, binary=False
    )
    assert [rate.analysis for rate in proof.rates] == ["rule", "peeking"]
    still = prove(np.ones(300), np.ones(300), shares=[1, 1], rule=Rule("horizon", 300, 0.05), shuffles=300, seed=0, binary=True)
    assert [rate.alarms for rate in still.rates] == [0, 0, 0]
    silent = prove(np.zeros(300), np.zeros(300), shares=[1, 1], rule=Rule("horizon", 300, 0.05), shuffles=9, seed=0, binary=True)
    assert [rate.alarms for rate in silent.rates] == [0, 0, 0]


def test_budget_and_memory_bound_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users x shuffles stays within the budget, with 200 shuffles at least; batches of any size add up to all shuffles."""
    y, n = _log(400)
    rule = Rule("horizon", 400, 0.05)
    monkeypatch.setattr(module, "BUDGET", 400 * 350)
    assert prove(y, n, shares=[1, 1], rule=rule, shuffles=1000, seed=0, binary=True).shuffles == 350
    monkeypatch.setattr(module, "BUDGET", 1)
    assert prove(y, n, shares=[1, 1], rule=rule, shuffles=1000, seed=0, binary=True).shuffles == 200
    assert prove(y, n, shares=[1, 1], rule=rule, shuffles=30, seed=0, binary=True).shuffles == 30
    monkeypatch.setattr(module, "MEMORY", 1)
    small = prove(y, n, shares=[1, 1], rule=rule, shuffles=200, seed=0, binary=True)
    assert small.judged == small.shuffles == 200


def test_the_same_seed_gives_the_same_proof() -> None:
    """A proof can be repeated; another seed draws other arms."""
    y, n = _log(300)
    first, second, other = (
        prove(y, n, shares=[1, 1], rule=Rule("horizon", 300, 0.05), shuffles=300, seed=seed, binary=True) for seed in (1, 1, 2)
    )
    assert first == second
    assert first.rates != other.rates


@pytest.mark.parametrize(("hits", "trials"), [(0, 200), (1, 200), (87, 2000), (200, 200)])
def test_clopper_pearson_is_scipys(hits: int, trials: int) -> None:
    """scipy.stats.binomtest(...).proportion_ci(method="exact")."""
    expected = scipy.stats.binomtest(hits, trials).proportion_ci(0.95, "exact")
    assert clopper_pearson(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)
