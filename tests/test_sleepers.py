"""The sleepers benchmark's own pieces: who says what, what the log makes of it, and how the figures are counted. No training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.crowd_simulation import HONEST, TRAPS
from benchmarks.sleeper_visitors import Accepted, Arm, Lie, Text, believed, plain, review, said, score, wrong
from benchmarks.sleepers import harmful, summed
from feedback.records import Answer, Correction, Json, Prediction, Review, Trap, input_hash, new_id
from feedback.store import Store

LABELS = ("down", "flat", "up")
LIE = Lie("up", LABELS)
SPANS = Lie("Disease", ("Disease",))
TEXT = "Children with cystic fibrosis often have asthma too"
TRUTH = {"spans": [{"start": 14, "end": 29, "label": "Disease"}, {"start": 41, "end": 47, "label": "Disease"}]}


def crowd_texts(items: int = 640) -> dict[str, Text]:
    """Return texts and traps of three labels that a model has wrong on 30 %, with `up` on a fifth of them."""
    random = np.random.default_rng(5)
    found = {}
    for name in [f"trap{i:03d}" for i in range(TRAPS)] + [f"item{i:04d}" for i in range(items)]:
        truth = int(random.choice(3, p=(0.3, 0.5, 0.2)))
        shown = (truth + int(random.integers(1, 3))) % 3 if random.random() < 0.3 else truth
        found[name] = Text(f"text {name}", {"label": LABELS[truth]}, Answer({"label": LABELS[shown]}, 0.8))
    return found


def lay(store: Store, texts: dict[str, Text]) -> None:
    """Make the traps of these texts known to the log."""
    store.add(*(Trap(input_hash(t.text), t.text, t.truth, "gold", "owner") for n, t in texts.items() if n.startswith("trap")))


def found_in(store: Store, arm: Arm) -> tuple[Accepted, dict[str, Any]]:
    """Return how right what is accepted is after a small crowd of this arm spoke."""
    texts = crowd_texts()
    if arm.traps:
        lay(store, texts)
    examples, row = believed(store, texts, arm, LIE, 3)
    by_hash = {input_hash(t.text): t for t in texts.values()}
    truth = {hash_: plain(t.truth) for hash_, t in by_hash.items()}
    return score(examples, truth, {hash_: plain(t.shown.output) for hash_, t in by_hash.items()}), row


@pytest.mark.parametrize(
    ("item", "lie"),
    [
        (Text("shares rise", {"label": "flat"}, Answer({"label": "flat"}, 0.9)), LIE),
        (Text(TEXT, TRUTH, Answer(TRUTH, 0.9)), SPANS),
    ],
)
def test_sleepers_are_right_on_traps_and_lie_alike_elsewhere(item: Text, lie: Lie) -> None:
    """The truth on a trap; on the same text as an item a wrong answer, whatever the chance."""
    answers = [said("sleeper", item, False, lie, np.random.default_rng(seed)) for seed in range(5)]
    assert said("sleeper", item, True, lie, np.random.default_rng(0)) == item.truth
    assert all(answer == answers[0] != item.truth for answer in answers)


def test_the_lie_of_spans_drops_and_invents() -> None:
    """Both diseases are gone, and the text's first word that is none is marked; where every word is one, nothing is."""
    assert wrong(TEXT, TRUTH, SPANS) == {"spans": [{"start": 0, "end": 8, "label": "Disease"}]}
    assert wrong("asthma", {"spans": [{"start": 0, "end": 6, "label": "Disease"}]}, SPANS) == {"spans": []}


@pytest.mark.parametrize("role", ["careful", "careless"])
def test_the_honest_err_at_the_crowd_simulations_rates(role: str) -> None:
    """Of 4,000 wrong answers shown, as many are confirmed and mended as HONEST says, to four binomial standard errors."""
    item = Text(TEXT, TRUTH, Answer({"spans": []}, 0.9))
    random = np.random.default_rng(1)
    answers: list[Json] = [said(role, item, False, SPANS, random) for _ in range(4000)]
    miss, slip, _ = HONEST[role]
    for rate, seen in ((miss, {"spans": []}), (1 - miss - slip, TRUTH)):
        share = sum(answer == seen for answer in answers) / 4000
        assert share == pytest.approx(rate, abs=4 * (rate * (1 - rate) / 4000) ** 0.5)


def test_honest_visitors_are_accepted_and_right(store: Store) -> None:
    """Without sleepers nine of ten accepted corrections and more are right (docs/benchmarks/acceptance.json: above .95)."""
    found, row = found_in(store, Arm(0.0))
    assert found.precision is not None
    assert found.precision > 0.9
    assert found.corrections > 60
    assert row["trusted"] > 0


def test_without_traps_what_two_sleepers_agree_on_is_accepted(store: Store) -> None:
    """At 40 % the figures see the poison: among 640 texts some 100 are shown to two sleepers, and 80 % of those lies are wrong."""
    found, row = found_in(store, Arm(0.4, traps=False))
    assert found.wrong_share is not None
    assert 50 < found.texts - found.right < 120
    assert (row["trusted"], row["reviewed"]) == (0, 0)


def test_a_reviewer_settles_what_they_look_at(store: Store) -> None:
    """Of two accepted corrections the right one is accepted by a person, the wrong one amended; confirmations are not looked at."""
    truth = {}
    for number, (proposed, right) in enumerate((("up", "up"), ("up", "down"), ("flat", "flat"))):
        text = f"text {number}"
        truth[input_hash(text)] = {"label": right}
        made = Prediction(new_id("p"), "u1", "", 0, "champion", 1, text, input_hash(text), {"label": "flat"}, 0.5, 20.0)
        mine = Correction(new_id("c"), made.id, "u1", {"label": proposed}, proposed == "flat")
        store.add(made, mine, Review(new_id("r"), mine.id, "accept", None, "policy:reliability"))
    assert review(store, truth, 1.0, 0) == 2
    rows = store.rows("SELECT verdict, output::VARCHAR AS output FROM reviews WHERE reviewer = 'reviewer' ORDER BY verdict")
    assert rows == [{"verdict": "accept", "output": None}, {"verdict": "amend", "output": '{"label": "down"}'}]


def test_harm_is_a_sure_loss_or_a_large_one() -> None:
    """The interval below 0, or more than a point and a half lost."""
    assert harmful(-0.004, -0.001)
    assert harmful(-0.02, 0.01)
    assert not harmful(-0.01, 0.002)
    assert not harmful(0.02, 0.04)


def test_the_figures_count_rounds() -> None:
    """Undecided is neither passed nor refused, and honest rounds stand apart."""
    rows = [
        {"share": 0.0, "verdict": "passed", "harmful": False},
        {"share": 0.2, "verdict": "undecided", "harmful": True},
        {"share": 0.4, "verdict": "passed", "harmful": True},
        {"share": 0.4, "verdict": "refused", "harmful": True},
    ]
    figures = summed(rows)
    assert (figures["sleeper_rounds"], figures["sleeper_harmful"], figures["sleeper_refused"]) == (3, 3, 1)
    assert (figures["sleeper_harmful_passed"], figures["sleeper_undecided"]) == (1, 1)
    assert (figures["honest_rounds"], figures["honest_passed"]) == (1, 1)
