"""Input drift on a demo's own data: texts of the same kind keep quiet, another domain and another script alarm, each by its own sign."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

from feedback.demo import load_demo
from feedback.records import Prediction, input_hash, text_of
from feedback.store import Store
from model import drift
from model.data import load_seed
from model.drift import BLOCK, InputDrift, lower

ROOT = Path(__file__).resolve().parents[2]
OTHER = (
    "The {} virus binds to receptors of the {} epithelium.",
    "Quarterly {} revenue rose while {} margins fell.",
    "{} beats {} after extra time.",
)
WORDS = ("renal", "copper", "Lisbon", "hepatic", "zinc", "Ghent", "cardiac", "cotton", "Turin", "gastric", "cocoa", "Basel")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> InputDrift:
    """The drift of the support demo, over a sample of its training part."""
    patch = pytest.MonkeyPatch()
    patch.setattr(drift, "TAUGHT", 250)
    demo = load_demo(ROOT / "demos" / "support.toml")
    store = Store(tmp_path_factory.mktemp("drift"))
    made = InputDrift(demo, store, json.loads)
    assert made.of(["a first look fills what it remembers"]) is not None
    patch.undo()
    return made


def test_texts_of_the_same_kind_keep_quiet(watched: InputDrift) -> None:
    """The sealed test part, which neither training nor the reference knows, is no drift."""
    _, seed = load_seed(load_demo(ROOT / "demos" / "support.toml"))
    found = watched.of([text_of(e.input) for e in seed.test[:BLOCK]])
    assert found is not None
    assert found.far < 0.2
    assert not found.drifted
    assert not found.unread


def test_another_domain_and_another_script_alarm(watched: InputDrift) -> None:
    """English of another kind is far and readable; Chinese, which the base cannot read, is told as that."""
    other = [form.format(one, two) for form in OTHER for one in WORDS for two in WORDS[:3]][:BLOCK]
    found = watched.of(other)
    assert found is not None
    assert found.drifted
    assert not found.unread
    strange = watched.of([f"我的包裹{i}还没有到，请问什么时候能送到？" for i in range(BLOCK)])
    assert strange is not None
    assert strange.unread


def test_it_is_measured_once_a_block(watched: InputDrift, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a whole block nothing is said; then the newest different texts are looked at once, however often it is asked."""
    store = watched._store
    assert watched.now() is None

    def add(begin: int, count: int) -> None:
        store.add(
            *(
                Prediction(
                    id=f"p_{i}", contributor="u_ann", experiment="", experiment_number=0, variant="champion", version=1,
                    input=f"Where is parcel {i}?", input_hash=input_hash(f"Where is parcel {i}?"), output={"label": "a"}, confidence=0.5,
                    latency_ms=1.0, forced=False, channel="", network="",
                )
                for i in range(begin, begin + count)
            )
        )  # fmt: skip

    add(0, BLOCK - 1)
    assert watched.now() is None
    add(BLOCK, 1)
    found = watched.now()
    assert found is not None
    assert found.texts == BLOCK
    monkeypatch.setattr(watched, "of", lambda texts: pytest.fail("measured twice"))
    assert watched.now() is found


def test_the_bound_is_clopper_and_pearson() -> None:
    """30 of 100 at one-sided 99.9 %: scipy.stats.binomtest(30, 100).proportion_ci(.998, 'exact').low = 0.1724."""
    assert lower(30, 100) == pytest.approx(binomtest(30, 100).proportion_ci(0.998, "exact").low)
    assert lower(0, 100) == 0.0
