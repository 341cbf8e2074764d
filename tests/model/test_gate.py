"""The gate: its statistics against known answers, its rules against candidates of known worth."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from feedback.records import Answer, Example
from model.gate import Slice, class_errors, run_gate
from model.gate_report import Check, CheckVerdict, GateResult, verdict_of
from model.paired import Paired, calibration_error, paired_counts
from model.task import Task, task_type

EMPTY = Slice([], [], [])
KINDS: tuple[CheckVerdict, ...] = ("pass", "fail", "undecided", "shown")


@pytest.fixture
def task() -> Task:
    """Two labels for a whole text."""
    return task_type("text_classification")(("a", "b"))


def _slice(before: Sequence[bool], after: Sequence[bool], sure: float = 0.9, sure_after: float | None = None) -> Slice:
    """Items of label a that the sides answer rightly or not; contributors take turns."""
    examples = [Example(f"text {i}", {"label": "ab"[i % 2]}, contributor=f"u{i % 2}") for i in range(len(before))]
    sides = [
        [
            Answer(e.output if right else {"label": "ba"["ab".index(e.output["label"])]}, confidence)
            for e, right in zip(examples, side, strict=True)
        ]
        for side, confidence in ((before, sure), (after, sure if sure_after is None else sure_after))
    ]
    return Slice(examples, *sides)


def _rights(wrong: int, items: int) -> list[bool]:
    return [False] * wrong + [True] * (items - wrong)


def _check(result: GateResult, name: str) -> Check:
    return next(check for check in result.checks if check.name == name)


def test_a_clearly_better_candidate_passes(task: Task) -> None:
    """Better on both slices, harming nobody: passed, every rule in words."""
    result = run_gate(task, _slice(_rights(60, 400), _rights(50, 400)), _slice(_rights(30, 60), _rights(15, 60)))
    assert result.verdict == "passed", [c.words for c in result.checks if c.verdict not in ("pass", "shown")]
    assert result.scores["feedback"] == {"champion": 0.5, "candidate": 0.75, "items": 60.0}
    assert set(result.contributors) == {"u0", "u1"}
    assert result.worse == ()


def test_known_truth_refuses_what_looks_better_on_poisoned_feedback(task: Task) -> None:
    """Equal on the old domain, much better on a feedback slice that liars wrote, 12 of 60 gold items lost: McNemar's exact
    one-sided p is 2 to the -12 (all 12 that differ are lost), so it is refused; one item lost of 60 (p .5) is not."""
    old, lied = _slice(_rights(40, 400), _rights(40, 400)), _slice(_rights(30, 60), _rights(15, 60))
    refused = run_gate(task, old, lied, gold=_slice(_rights(20, 60), _rights(32, 60)))
    check = _check(refused, "gold")
    assert (check.verdict, refused.verdict) == ("fail", "refused")
    assert check.lower == pytest.approx(2.0**-12)
    assert refused.scores["gold"]["items"] == 60
    spared = run_gate(task, old, lied, gold=_slice(_rights(20, 60), _rights(21, 60)))
    assert _check(spared, "gold").verdict == "pass"
    assert spared.verdict == run_gate(task, old, lied).verdict


def test_a_worse_candidate_is_refused(task: Task) -> None:
    """Three points worse on the old domain: refused, and the items it spoils are listed with both answers."""
    result = run_gate(task, _slice(_rights(40, 400), _rights(52, 400)), _slice(_rights(30, 60), _rights(15, 60)))
    assert result.verdict == "refused"
    assert _check(result, "old_domain").verdict == "fail"
    assert len(result.worse) == 12
    assert result.worse[0].truth == result.worse[0].before != result.worse[0].after


@pytest.mark.parametrize("items", [0, 10])
def test_too_little_feedback_is_undecided(task: Task, items: int) -> None:
    """An empty or tiny feedback slice decides nothing: a person may."""
    feedback = _slice(_rights(items // 2, items), _rights(0, items)) if items else EMPTY
    result = run_gate(task, _slice(_rights(40, 400), _rights(40, 400)), feedback)
    assert result.verdict == "undecided"
    assert _check(result, "feedback").verdict == "undecided"


def test_no_item_at_all_is_undecided(task: Task) -> None:
    """Without any data the gate says so instead of passing or failing."""
    result = run_gate(task, EMPTY, EMPTY)
    assert result.verdict == "undecided"
    assert result.power is None


def test_more_than_five_in_a_hundred_worse_is_refused(task: Task) -> None:
    """Bettering 80 sentences does not pay for spoiling 30 of 400: the ceiling holds by itself."""
    before = [False] * 80 + [True] * 320
    after = [True] * 80 + [False] * 30 + [True] * 290
    result = run_gate(task, _slice(before, after), EMPTY)
    assert _check(result, "worse_share").verdict == "fail"
    assert _check(result, "sentences").verdict == "pass"
    assert result.verdict == "refused"


def test_a_quarter_as_many_worse_as_better_is_borne(task: Task) -> None:
    """From a weak champion: 90 of 302 better and 16 (5.3 %) worse passes the ceiling; the same 16 for 50 better does not."""
    for better, verdict in ((90, "pass"), (50, "fail")):
        before = [False] * better + [True] * (302 - better)
        after = [True] * better + [False] * 16 + [True] * (286 - better)
        assert _check(run_gate(task, _slice(before, after), EMPTY), "worse_share").verdict == verdict


def test_overconfidence_is_refused(task: Task) -> None:
    """Equal answers with confidence 0.99 instead of the 0.9 that is true: refused for calibration alone."""
    result = run_gate(task, _slice(_rights(40, 400), _rights(40, 400), 0.9, 0.99), _slice(_rights(30, 60), _rights(15, 60), 0.9))
    failed = [check.name for check in result.checks if check.verdict == "fail"]
    assert failed == ["calibration"]


def test_a_spoilt_class_is_refused() -> None:
    """Gaining in one class does not hide losing five points in another."""
    task = task_type("text_classification")(("a", "b", "c", "d"))
    labels = ["abcd"[i % 4] for i in range(400)]
    examples = [Example(str(i), {"label": label}) for i, label in enumerate(labels)]
    champion = [Answer({"label": "d" if i % 4 == 2 and i < 80 else label}, 0.95) for i, label in enumerate(labels)]
    candidate = [Answer({"label": "b" if label == "a" and i < 60 else label}, 0.95) for i, label in enumerate(labels)]
    result = run_gate(task, Slice(examples, champion, candidate), EMPTY)
    assert _check(result, "class:a").verdict == "fail"
    assert _check(result, "class:d").verdict == "pass"
    assert _check(result, "old_domain").verdict == "pass"


def test_classes_are_judged_together() -> None:
    """One class may lose 1 standard error; of two each 1.4 (the normal tail of 1 halved: isf(.1587 / 2) = 1.409); of many 2, so
    that one lost item of 77 classes does not refuse and five do: 5 lost, none gained is sqrt(5) = 2.2 standard errors."""
    assert class_errors(1) == pytest.approx(1.0)
    assert class_errors(2) == pytest.approx(1.409, abs=1e-3)
    assert class_errors(77) == 2.0
    labels = [f"c{i}" for i in range(20)]
    task = task_type("text_classification")(labels)
    examples = [Example(str(i), {"label": labels[i % 20]}) for i in range(400)]
    right = [Answer(e.output, 0.9) for e in examples]
    for lost, verdict in ((1, "pass"), (5, "fail")):
        wrong = [i for i in range(400) if i % 20 == 0][:lost]
        candidate = [Answer({"label": "c1"}, 0.9) if i in wrong else one for i, one in enumerate(right)]
        assert _check(run_gate(task, Slice(examples, right, candidate), EMPTY), "class:c0").verdict == verdict


def test_mcnemar_is_exact(task: Task) -> None:
    """One-sided p of (12 better, 4 worse) is the binomial tail P(X >= 12), X ~ Bin(16, 1/2), summed by hand (McNemar 1947, exact form)."""
    part = _slice([False] * 12 + [True] * 88, [True] * 12 + [False] * 4 + [True] * 84)
    pairs = paired_counts(
        task, [e.output for e in part.examples], [a.output for a in part.champion], [a.output for a in part.candidate]
    )
    assert pairs.one_answer
    tails = [sum(comb(16, k) for k in range(least, 17)) / 2**16 for least in (12, 4)]
    assert pairs.p_better(np.random.default_rng(0), 100) == pytest.approx(tails[0])
    assert pairs.p_worse(np.random.default_rng(0), 100) == pytest.approx(tails[1])


def _random_pairs(items: int = 300) -> Paired:
    rng = np.random.default_rng(11)
    champion = np.stack([rng.poisson(1.5, items), rng.poisson(0.3, items), rng.poisson(0.4, items)], axis=1)
    candidate = champion + np.stack(
        [rng.integers(0, 2, items), -np.minimum(champion[:, 1], rng.integers(0, 2, items)), 0 * champion[:, 2]], axis=1
    )
    return Paired(("x",), np.stack([champion, candidate])[:, :, None, :], False)


def test_the_bootstrap_agrees_with_scipys() -> None:
    """Lower bound and standard error of the F1 difference agree with scipy.stats.bootstrap on the same items."""
    pairs = _random_pairs()

    def difference(index: np.ndarray) -> float:
        f1 = [
            2 * s[0] / (2 * s[0] + s[1] + s[2]) for s in (side[index].sum(axis=0) for side in (pairs.champion, pairs.candidate))
        ]
        return float(f1[1] - f1[0])

    theirs = bootstrap(
        (np.arange(300),),
        difference,
        vectorized=False,
        n_resamples=4000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    assert pairs.standard_error() == pytest.approx(theirs.standard_error, rel=0.06)
    lower = pairs.lower_bound(np.random.default_rng(2), 4000)
    assert lower == pytest.approx(theirs.confidence_interval.low, abs=0.1 * float(theirs.standard_error))


def test_resolution_is_the_loss_found_four_times_in_five() -> None:
    """A true loss of the size of the resolution is significant at 5 %, one-sided, in 80 % of normal samples."""
    pairs = _random_pairs()
    measured = np.random.default_rng(0).normal(-pairs.resolution(), pairs.standard_error(), 100_000)
    found = (measured < -norm.ppf(0.95) * pairs.standard_error()).mean()
    assert found == pytest.approx(0.8, abs=0.01)


def test_power_orders_the_candidates(task: Task) -> None:
    """A better candidate passes more often than an equal one, and that more often than a worse one; more items see more."""
    rates = []
    for items in (200, 3200):
        swap = items // 20
        before, after = [False] * swap + [True] * (items - swap), [True] * swap + [False] * swap + [True] * (items - 2 * swap)
        power = run_gate(task, _slice(before, after), EMPTY).power
        assert power is not None
        assert power.better > power.equal > power.worse
        rates.append(power.better - power.worse)
    assert rates[1] > rates[0]


def test_calibration_error_by_hand() -> None:
    """Two bins by hand: |0.5 - 0.9| on half of the items and |1 - 0.6| on the other half (Guo et al. 2017, eq. 3)."""
    assert calibration_error([0.9, 0.9, 0.6, 0.6], [True, False, True, True]) == pytest.approx(0.4)
    assert calibration_error([1.0], [True]) == 0.0


def test_any_failure_refuses_and_any_doubt_is_undecided() -> None:
    """fail beats undecided beats pass; what is only shown never counts."""
    checks = {kind: Check(kind, 0.0, None, None, kind, 1, "") for kind in KINDS}
    assert verdict_of([checks["pass"], checks["shown"]]) == "passed"
    assert verdict_of([checks["pass"], checks["undecided"]]) == "undecided"
    assert verdict_of([checks["undecided"], checks["fail"]]) == "refused"


def test_small_losses_do_not_add_up(task: Task) -> None:
    """No worse than the champion of today on 400 items: passed; 25 lost against the best champion before (6.25 points; one
    standard error of 25 discordant items is sqrt(25)/400 = 1.25 points): refused."""
    old, feedback = _slice(_rights(60, 400), _rights(60, 400)), _slice(_rights(30, 60), _rights(15, 60))
    assert run_gate(task, old, feedback).verdict == "passed"
    result = run_gate(task, old, feedback, anchor=_slice(_rights(35, 400), _rights(60, 400)))
    assert (_check(result, "old_domain").verdict, _check(result, "anchor").verdict, result.verdict) == ("pass", "fail", "refused")
    assert "best champion before" in _check(result, "anchor").words
    assert _check(result, "anchor").value == pytest.approx(-25 / 400)


@pytest.mark.parametrize(("head_wrong", "verdict"), [(40, "passed"), (25, "refused"), (20, "refused")])
def test_a_fine_tuned_candidate_must_beat_the_head(task: Task, head_wrong: int, verdict: str) -> None:
    """A candidate with 25 of 100 wrong against a head on the frozen base with 40 wrong, as many, and fewer."""
    old, feedback = _slice(_rights(60, 400), _rights(50, 400)), _slice(_rights(30, 60), _rights(15, 60))
    result = run_gate(task, old, feedback, head=_slice(_rights(head_wrong, 100), _rights(25, 100)))
    assert result.verdict == verdict
    assert _check(result, "head").value == pytest.approx((head_wrong - 25) / 100)
