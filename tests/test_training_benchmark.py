"""The training benchmark's pieces: every loop learns, the article's pads as it should, and the arithmetic is right."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.training import Run, difference, f1, figures_of, tokens_of
from benchmarks.training_loops import Loop, PaddedSentences, SeededOrder, Work, article, ours, trainer
from feedback.records import Example
from model.base import begin
from model.batches import shuffled_batches
from model.network_task import network_type
from tests.model.conftest import tiny_base, tokenizer

__all__ = ["tiny_base", "tokenizer"]  # fixtures

TASK = network_type("token_classification")(("fruit",))


def _examples(count: int = 48) -> list[Example]:
    texts = [
        f"we {verb} {'one plum' if i % 2 else 'the saw'} {i}" for i, verb in enumerate(["buy", "sell", "keep"] * (count // 3))
    ]
    spans = [[{"start": t.index("plum"), "end": t.index("plum") + 4, "label": "fruit"}] if "plum" in t else [] for t in texts]
    return [Example(text, {"spans": found}) for text, found in zip(texts, spans, strict=True)]


@pytest.mark.parametrize(
    ("name", "loop"), [("article", article), ("trainer", trainer), *((m, ours(m)) for m in ("full", "top", "head"))]
)
def test_every_loop_changes_the_network_and_leaves_it_for_answering(tiny_base: Path, name: str, loop: Loop) -> None:
    """After each loop the output layer is another one, all weights are numbers and dropout is off."""
    work = Work(TASK, _examples(), epochs=1, learning_rate=1e-3)
    model = begin(TASK, str(tiny_base), 1)
    before = model.network.classifier.weight.detach().clone()
    with warnings.catch_warnings():
        if name == "trainer":
            warnings.simplefilter("ignore")  # what Trainer warns of is not ours
        loop(model, work)
    assert not torch.equal(before, model.network.classifier.weight)
    assert all(bool(torch.isfinite(p).all()) for p in model.network.parameters())
    assert not model.network.training


def test_the_articles_sentences_are_padded_to_128_and_hold_the_same_tokens_and_labels(tiny_base: Path) -> None:
    """What is not padding is what our encoder gives; what is padding is masked and has no loss."""
    work = Work(TASK, _examples())
    model = begin(TASK, str(tiny_base), 1)
    (feature,) = TASK.encode(model.tokenizer, [work.examples[1]])
    given = PaddedSentences(model, work)[1]
    count = len(feature["input_ids"])
    assert {len(row) for row in given.values()} == {128}
    assert given["input_ids"][:count].tolist() == feature["input_ids"]
    assert given["labels"][:count].tolist() == feature["labels"]
    assert int(given["attention_mask"].sum()) == count
    assert set(given["labels"][count:].tolist()) == {-100}


def test_the_first_epoch_has_our_order() -> None:
    """The article's first permutation is the one that our batches are sorted from: each pool of ours holds the same sentences."""
    order = list(SeededOrder(600, 3))
    ours_ = shuffled_batches([1] * 600, 16, np.random.default_rng(3))
    assert sorted(order) == list(range(600))
    first_pool = {i for batch in ours_ for i in batch if i in set(order[:512])}
    assert first_pool == set(order[:512])
    assert all(set(batch) <= set(order[:512]) or set(batch) <= set(order[512:]) for batch in ours_)


def _run(cpu: float, rows: list[tuple[int, int, int]]) -> Run:
    counts = np.array(rows)
    return Run(cpu, cpu, float(f1(counts.sum(axis=0))), counts)


def test_ratios_are_paired_by_seed_and_rates_are_medians() -> None:
    """By hand: 10/2, 20/5 and 30/3 have the median 5; 100 tokens in a median of 3 s are 33.3 a second."""
    rows = [(1, 0, 0)] * 4
    found = figures_of({"article": [_run(c, rows) for c in (10, 20, 30)], "full": [_run(c, rows) for c in (2, 5, 3)]}, tokens=100)
    assert found["speedup_full"] == 5.0
    assert found["rate_full"] == 33.3
    assert found["f1_ours"] == found["f1_article"] == 1.0


def test_a_difference_has_an_interval_around_it_and_none_where_both_say_the_same() -> None:
    """F1 by hand: 2/(2+1) = .667 of one hit and one miss in two; equal answers differ by exactly 0 in every draw."""
    weak = [_run(1, [(1, 0, 0), (0, 0, 1)] * 50) for _ in range(3)]
    good = [_run(1, [(1, 0, 0), (1, 0, 0)] * 50) for _ in range(3)]
    assert weak[0].f1 == pytest.approx(2 / 3)
    assert difference(weak, weak, draws=50) == (0.0, 0.0, 0.0)
    point, low, high = difference(good, weak, draws=200)
    assert low < point < high
    assert point == pytest.approx(1 / 3)
    assert low > 0


def test_tokens_count_epochs_and_no_padding(tiny_base: Path) -> None:
    """Twice the epochs are twice the tokens; a set's tokens are what its features hold."""
    work: Any = Work(TASK, _examples(), epochs=2)
    model = begin(TASK, str(tiny_base), 1)
    once = sum(len(f["input_ids"]) for f in TASK.encode(model.tokenizer, work.examples))
    assert tokens_of(work, str(tiny_base)) == 2 * once
