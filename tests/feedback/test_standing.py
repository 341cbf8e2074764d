"""How answers are accepted, as staff are told: what decides now, on what it rests, and its calibration."""

from __future__ import annotations

import pytest

from feedback.believing import Believing
from feedback.demo import AcceptanceSettings
from feedback.records import Correction, Prediction, Trap, input_hash, new_id
from feedback.standing import Acceptances, acceptance_words
from feedback.store import Store
from feedback.words import Words
from tests.conftest import ROOT

SETTINGS = AcceptanceSettings(policy="reliability")


def teach(store: Store, traps: int, careless: bool = False) -> None:
    """Two people answer traps together, the second one wrong at every third where careless."""
    for index in range(traps):
        text = f"trap {index}"
        store.add(Trap(input_hash(text), text, {"label": "b"}, "gold", "demo"))
        for who in ("ann", "bob"):
            label = "c" if careless and who == "bob" and index % 3 == 0 else "b"
            made = Prediction(new_id("p"), who, "", 0, "champion", 1, text, input_hash(text), {"label": "a"}, 0.5, 1.0)
            store.add(made, Correction(new_id("c"), made.id, who, {"label": label}, False, edits=1.0))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_agreement_is_told_as_it_is(store: Store, language: str) -> None:
    """Without the policy there is no threshold and no calibration, and no word of traps."""
    now = Acceptances(store, AcceptanceSettings(agree=3), None).now()
    assert (now.policy, now.rule, now.threshold, now.calibration) == ("agreement", "agreement", None, [])
    told = acceptance_words(now, Words([ROOT / "feedback" / "words.toml"]).speaker(language))
    assert told["bins"] == []
    assert len(told["lines"]) == 1
    assert "3" in told["lines"][0]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_while_few_traps_are_answered_it_says_that_agreement_decides(store: Store, language: str) -> None:
    """Eight answers are too few (threshold.ThresholdRule.few is 10): said, with what there is."""
    teach(store, 4)
    now = Acceptances(store, SETTINGS, Believing(store, "choice")).now()
    assert (now.policy, now.rule, now.traps_gold, now.trap_answers, now.trusted) == ("reliability", "agreement", 4, 8, 0)
    told = acceptance_words(now, Words([ROOT / "feedback" / "words.toml"]).speaker(language))
    assert len(told["lines"]) == 4
    assert not any("{" in line for line in told["lines"])


def test_the_threshold_rests_on_the_traps_and_the_calibration_counts_them(store: Store) -> None:
    """Every known item that two answered alike stands in one bin; the share right in each is what the traps say."""
    teach(store, 30, careless=True)
    now = Acceptances(store, SETTINGS, Believing(store, "choice")).now()
    assert (now.rule, now.source, now.tested) == ("reliability", "known", 2)
    assert now.threshold is not None
    assert 0.5 <= now.threshold < 1
    assert 0 < now.right <= now.judged
    assert now.lower < now.right / now.judged or now.right == now.judged
    assert sum(line.items for line in now.calibration) >= now.judged
    assert all(line.right is None or 0 <= line.right <= 1 for line in now.calibration)
    told = acceptance_words(now, Words([ROOT / "feedback" / "words.toml"]).speaker("en"))
    assert any("An answer is accepted from a probability of" in line for line in told["lines"])
    assert [line["items"] for line in told["bins"]] == [line.items for line in now.calibration if line.items]
