"""Span consensus: exclusions against brute force, and that missing is not denying."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from benchmarks import crowd_simulation, judging
from feedback.errors import BadInput
from feedback.span_consensus import Span, SpanAnswer, _judged, batch
from feedback.span_model import SpanPriors, best_set, exclusive


def brute_force(spans: list[Span], odds: list[float]) -> tuple[list[float], set[int], float]:
    """Return marginals, the likeliest set and its probability by listing every set of spans without overlaps."""
    sets = {}
    for size in range(len(spans) + 1):
        for chosen in itertools.combinations(range(len(spans)), size):
            if all(spans[i][1] <= spans[j][0] or spans[j][1] <= spans[i][0] for i, j in itertools.combinations(chosen, 2)):
                sets[chosen] = math.exp(sum(odds[i] for i in chosen))
    whole = sum(sets.values())
    best = max(sets, key=lambda chosen: sets[chosen])
    marginals = [sum(w for chosen, w in sets.items() if i in chosen) / whole for i in range(len(spans))]
    return marginals, set(best), sets[best] / whole


@pytest.mark.parametrize("seed", range(12))
def test_exclusions_are_exact(seed: int) -> None:
    """The dynamic programmes give what enumeration gives: marginals, likeliest set, and its probability, nested spans too."""
    rng = np.random.default_rng(seed)
    spans: list[Span] = []
    for _ in range(8):
        start = int(rng.integers(20))
        spans.append((start, start + int(rng.integers(1, 9)), "AB"[rng.integers(2)]))
    spans.sort(key=lambda span: (span[1], span[0], span[2]))
    odds = rng.normal(0, 2, len(spans)).tolist()
    marginals, best, probability = brute_force(spans, odds)
    assert exclusive(spans, odds) == pytest.approx(marginals)
    chosen, found = best_set(spans, odds)
    assert set(chosen) == best
    assert found == pytest.approx(probability)


def careful_crowd(texts: int = 40, people: int = 3) -> tuple[list[SpanAnswer], dict[str, frozenset[Span]]]:
    """Return people who find half of the real spans and invent next to none, on texts of known truth; the model shows nothing."""
    rng = np.random.default_rng(4)
    truth = {f"t{i:02d}": frozenset({(0, 5, "A"), (10, 15, "B")}) for i in range(texts)}
    answers = [
        SpanAnswer(item, f"c{j}", tuple(sorted(span for span in spans if rng.random() < 0.5)))
        for item, spans in truth.items()
        for j in range(people)
    ]
    return answers, truth


def test_rates_are_learned_from_known_texts() -> None:
    """On 40 known texts with two real spans each, of which half are found (binomial, 3 standard errors = .17): find is near .5."""
    answers, truth = careful_crowd()
    rates = batch(answers, truth).rates("c0")
    assert rates["find"] == pytest.approx(0.5, abs=0.17)
    assert rates["invent"] < 0.03


def test_missing_is_not_denying() -> None:
    """Of people who miss half, one mark against two silences still stands: a majority vote over marks would drop it."""
    answers, truth = careful_crowd()
    open_ = [SpanAnswer("x", "c0", ((3, 8, "A"),)), SpanAnswer("x", "c1", ()), SpanAnswer("x", "c2", ())]
    (leading,) = [found for found in batch([*answers, *open_], truth).leading() if found.item == "x"]
    assert leading.spans == ((3, 8, "A"),)
    assert leading.probabilities[0] > 0.8


def test_a_confirmed_empty_answer_is_weak_evidence() -> None:
    """The more people confirm that there is nothing, the surer it is; one who misses half leaves much doubt."""
    answers, truth = careful_crowd()
    doubt = []
    for people in (1, 2, 3):
        open_ = [SpanAnswer("x", f"c{j}", ()) for j in range(people)]
        (leading,) = [found for found in batch([*answers, *open_], truth).leading() if found.item == "x"]
        assert leading.spans == ()
        doubt.append(1 - leading.probability)
    assert doubt[0] > 0.4
    assert doubt[0] > doubt[1] > doubt[2]
    assert doubt[2] < 0.5 * doubt[0]


def test_competing_spans_exclude_each_other() -> None:
    """Two boundaries of the same name cannot both stand; the one that two people marked wins, and the probabilities sum to at most 1."""
    answers = [
        SpanAnswer("x", "a", ((0, 12, "A"),)),
        SpanAnswer("x", "b", ((0, 12, "A"),)),
        SpanAnswer("x", "c", ((0, 7, "A"),)),
    ]
    found = batch(answers)
    (leading,) = found.leading()
    assert leading.spans == ((0, 12, "A"),)
    assert found.fit.real.sum() <= 1 + 1e-9
    assert leading.changes[0].said_by == ("a", "b")
    assert leading.supported([])


def test_agreeing_inventors_gain_nothing_by_number() -> None:
    """Eight contributors who marked the first word in every trap, where nothing is, do not make it real together."""
    truth = {f"t{i:02d}": frozenset({(20, 25, "B")}) for i in range(12)}
    answers = [SpanAnswer(item, f"a{j}", ((0, 5, "A"),)) for item in truth for j in range(8)]
    answers += [SpanAnswer(item, f"h{j}", ((20, 25, "B"),)) for item in truth for j in range(3)]
    answers += [SpanAnswer("x", f"a{j}", ((0, 5, "A"),)) for j in range(8)] + [SpanAnswer("x", "h0", ((20, 25, "B"),))]
    (leading,) = [found for found in batch(answers, truth).leading() if found.item == "x"]
    assert leading.spans == ((20, 25, "B"),)


def test_held_out_and_order() -> None:
    """Known texts held out are right as often as careful people are; the order of the answers changes nothing."""
    people = crowd_simulation.spans("random", 0.0, 2, 3, items=120)
    found = batch(people.answers, people.known)
    held = found.held_out(2)
    assert np.mean([h.right for h in held]) > 0.8
    assert all(len({c for change in h.leading.changes for c in change.said_by}) <= 2 for h in held)
    again = batch(people.answers[::-1], people.known)
    assert again.leading() == found.leading()
    one = found.rates("c20")
    assert set(one) == {"find", "invent", "keep_real", "keep_false"}


def test_known_texts_are_their_truth() -> None:
    """A known text's leading answer is its truth with posterior 1, whatever was said."""
    (leading,) = batch([SpanAnswer("x", "a", ((0, 5, "A"),))], {"x": [(7, 9, "B")]}).leading()
    assert (leading.spans, leading.probability) == (((7, 9, "B"),), 1.0)


def test_impossible_spans_are_refused() -> None:
    """Empty, reversed and self-overlapping answers, and strangers, are errors with words."""
    for spans in (((3, 3, "A"),), ((-1, 3, "A"),), ((0, 5, "A"), (4, 9, "B"))):
        with pytest.raises(BadInput):
            batch([SpanAnswer("x", "a", spans)])
    with pytest.raises(BadInput, match="gave no answer"):
        batch([SpanAnswer("x", "a", ())]).rates("b")


def test_attackers_do_not_get_through() -> None:
    """With 40 % flooding attackers, ours is right on at least 90 % of what it accepts, two-agree on less than a tenth."""
    people = crowd_simulation.spans("flooding", 0.4, 2, 78)
    mine = judging.score(judging.ours(people).accepted.items(), people)
    assert mine.precision >= 0.9
    assert mine.recall >= 0.35
    assert judging.score(judging.simple(judging.spoken(people), 2), people).precision < 0.1


def test_priors_are_means() -> None:
    """A contributor of whom nothing is known has the prior's rates."""
    found = batch([SpanAnswer("x", "a", ())], priors=SpanPriors(hidden=1e-6))
    assert found.rates("a")["keep_real"] == pytest.approx(0.95)
    assert found.rates("a")["find"] == pytest.approx(0.5, abs=1e-3)


def test_all_texts_at_once_are_judged_like_each_alone() -> None:
    """Judging a log in one go gives what judging each text from its own answers gives, overlaps and hidden spans included."""
    people = crowd_simulation.spans("random", 0.2, 2, 5, items=80)
    rng = np.random.default_rng(5)
    shifted = [
        answer._replace(spans=tuple((start, end + 3, label) for start, end, label in answer.spans))
        if rng.random() < 0.3
        else answer
        for answer in people.answers
    ]
    kept = [answer for answer in shifted if all(one[1] <= two[0] for one, two in itertools.pairwise(sorted(answer.spans)))]
    found = batch(kept, people.known)
    assert found.marks.clusters  # there are overlaps
    alone = {item: [a for a in found.answers if a.item == item] for item in found.items if item not in found.known}
    for leading in found.leading():
        if leading.item in alone:
            one = _judged(alone[leading.item], found.people, found.fit.rates, found.priors)
            assert (leading.spans, leading.changes) == (one.spans, one.changes)
            assert leading.probability == pytest.approx(one.probability, rel=1e-9)
            assert leading.probabilities == pytest.approx(one.probabilities, rel=1e-9)
