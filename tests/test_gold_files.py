"""The starter demos' gold items: valid, many of each kind, and none that the training set or another gold item nearly says."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from feedback.demo import Demo, load_demo
from feedback.duplicates import duplicate_groups
from feedback.records import Example, text_of
from model.data import load_gold, load_seed, task_of
from model.task import task_types
from tests.conftest import ROOT

DEMOS = ROOT / "demos"
DISEASE, SUPPORT, FINANCE = DEMOS / "disease.toml", DEMOS / "support.toml", DEMOS / "finance.toml"
HELPDESK = DEMOS / "helpdesk.toml"
ALL = pytest.mark.parametrize("path", [DISEASE, SUPPORT, FINANCE, HELPDESK], ids=["disease", "support", "finance", "helpdesk"])


def with_gold(path: Path) -> Demo:
    """Return the demo with its gold file named, whether or not its TOML names it."""
    demo = load_demo(path)
    settings = demo.acceptance.model_copy(update={"gold": f"{path.stem}.gold.jsonl"})
    return demo.model_copy(update={"acceptance": settings})


def gold_of(path: Path) -> list[Example]:
    """Return the demo's gold items, checked by its task."""
    demo = with_gold(path)
    return load_gold(demo, task_of(demo))


@ALL
def test_every_row_is_accepted_and_as_it_is_stored(path: Path) -> None:
    """The task takes each row, changes nothing in it, and a visitor could have written it: within the demo's own length."""
    items, demo = gold_of(path), load_demo(path)
    lines = (DEMOS / f"{path.stem}.gold.jsonl").read_text(encoding="utf-8").splitlines()
    read = task_types()[demo.task].read
    written = [read(json.loads(line), demo.data.text_column, demo.data.label_column) for line in lines]
    assert [(item.input, item.output) for item in items] == written
    assert max(len(text_of(item.input)) for item in items) <= demo.limits.max_chars
    assert all(item.input == " ".join(item.input.split()) for item in items if isinstance(item.input, str))


@ALL
def test_no_gold_item_is_nearly_in_the_starter_set_or_twice(path: Path) -> None:
    """What the model was trained, validated or tested on is no trap, and nobody meets one trap twice in other words."""
    _, seed = load_seed(load_demo(path))
    known = [text_of(example.input) for part in (seed.train, seed.validation, seed.test) for example in part]
    items = [text_of(item.input) for item in gold_of(path)]
    groups = duplicate_groups([*known, *items])
    assert groups[len(known) :] == list(range(len(known), len(known) + len(items)))
    assert not set(items) & set(load_demo(path).examples)


def test_every_intent_has_gold_items() -> None:
    """Each label at least four times, and the label of everything else not so often that it is a good guess."""
    counts = Counter(item.output["label"] for item in gold_of(SUPPORT))
    assert set(counts) == set(load_demo(SUPPORT).labels)
    assert min(counts.values()) >= 4
    assert max(counts.values()) <= sum(counts.values()) / 8


def test_every_topic_and_sentiment_has_gold_items() -> None:
    """Both heads are told of each item; each topic at least three times, each sentiment eight, and none of them is a good guess."""
    items = gold_of(FINANCE)
    for head, least, most in (("topic", 3, 1 / 7), ("sentiment", 8, 1 / 2)):
        counts = Counter(f"{head}/{item.output['labels'][head]}" for item in items)
        assert set(counts) == {label for label in load_demo(FINANCE).labels if label.startswith(f"{head}/")}
        assert min(counts.values()) >= least
        assert max(counts.values()) <= most * len(items)


def test_headlines_of_the_finance_demo_hold_no_link_and_no_handle() -> None:
    """Tickers are one to five letters; a headline names each at most once, and no text holds a link or somebody's handle."""
    _, seed = load_seed(load_demo(FINANCE))
    texts = [e.input for e in (*seed.train, *seed.validation, *seed.test, *gold_of(FINANCE))]
    assert not [text for text in texts if re.search(r"https?:|www\.|(?<!\w)@\w", text)]
    for text in texts:
        tickers = re.findall(r"\$([A-Z]+)\b", text)
        assert all(len(ticker) <= 5 for ticker in tickers), text
        assert len(set(tickers)) == len(tickers), text


def test_spans_are_whole_words_of_every_kind() -> None:
    """Each label at least fifteen times, texts without a span among them; a span never cuts a word or takes a bordering sign."""
    items = gold_of(DISEASE)
    counts = Counter(span["label"] for item in items for span in item.output["spans"])
    assert set(counts) == set(load_demo(DISEASE).labels)
    assert min(counts.values()) >= 15
    assert sum(not item.output["spans"] for item in items) >= 10
    for item in items:
        for span in item.output["spans"]:
            words = item.input[span["start"] : span["end"]]
            around = item.input[: span["start"]][-1:] + item.input[span["end"] :][:1]
            assert re.fullmatch(r"\w.*\w", words), words
            assert not re.search(r"\w", around), f"{words!r} in {item.input!r}"


def test_no_word_is_marked_as_two_things() -> None:
    """A name that is marked in several gold items has one label in all of them, and it is the starter set's."""
    _, seed = load_seed(load_demo(DISEASE))
    labels: dict[str, set[str]] = {}
    for example in (*seed.train, *seed.validation, *seed.test, *gold_of(DISEASE)):
        for span in example.output["spans"]:
            labels.setdefault(example.input[span["start"] : span["end"]].casefold(), set()).add(span["label"])
    marked = {item.input[s["start"] : s["end"]].casefold() for item in gold_of(DISEASE) for s in item.output["spans"]}
    assert {word: sorted(labels[word]) for word in sorted(marked) if len(labels[word]) > 1} == {}
