"""The console's report: its token tables are scikit-learn's, its entity scores seqeval's, and it says which is which."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from seqeval.metrics import classification_report as seqeval_report
from seqeval.scheme import IOB2
from sklearn.metrics import classification_report

from feedback.demo import Demo
from model.answering import open_version
from model.data import load_seed
from model.readers import _TEXT_READERS, _TOKEN_READERS, read_rows
from model.report import TOKEN_FILES, Row, entity_rows, file_words, part_report, rows_of, table, tags_of
from model.task import Task
from model.tasks.text_classification import TextClassification
from model.tasks.token_classification import TokenClassification
from model.train import main

LABELS = ("Drug", "Rare", "X", "Y")


@pytest.fixture
def task() -> Task:
    """Four labels, of which Rare never comes up in truth."""
    return TokenClassification(LABELS)


def _read(directory: Path, sentences: list[list[str]], name: str = "some.conll") -> list[tuple[str, Any]]:
    """Write sentences of tags over made-up tokens to a CoNLL file, read it back: (text, output) of each."""
    blocks = ["\n".join(f"w{n}/{i}\t{tag}" for i, tag in enumerate(tags)) for n, tags in enumerate(sentences)]
    (directory / name).write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return [(row.text, row.output) for row in read_rows(directory / name, "token_classification")]


def _random_tags(rng: random.Random, labels: tuple[str, ...]) -> list[str]:
    """IOB2 tags of 12 tokens, with neighbours of the same label (B-X B-X) and of two (B-X I-X B-Y)."""
    tags: list[str] = []
    while len(tags) < 12:
        label = rng.choice(["", *labels])
        tags += [f"B-{label}", *[f"I-{label}"] * rng.randrange(3)] if label else ["O"]
    return tags[:12]


def test_what_the_reader_made_of_a_file_is_cut_and_tagged_as_it_was(tmp_path: Path) -> None:
    """Several labels in one file, neighbours of one label apart, come back tag for tag; a switch I-Y within X begins a Y."""
    rng = random.Random(1)
    sentences = [["B-X", "B-X", "I-X", "O"], ["B-X", "I-Y", "I-Y"], *[_random_tags(rng, LABELS) for _ in range(30)]]
    read = _read(tmp_path, sentences)
    tags = tags_of([text for text, _ in read], [output for _, output in read], file_words)
    assert tags[:7] == ["B-X", "B-X", "I-X", "O", "B-X", "B-Y", "I-Y"]
    assert tags[7:] == [tag for sentence in sentences[2:] for tag in sentence]


@pytest.mark.parametrize("without", [None, "O"])
def test_token_tables_are_scikit_learns(without: str | None, tmp_path: Path) -> None:
    """Every row and average equals scikit-learn's classification_report of the same tags, with O and without it."""
    rng = random.Random(2)
    truth = [_random_tags(rng, ("Drug", "X", "Y")) for _ in range(20)]
    said = [[tag if rng.random() < 0.7 else rng.choice(["O", "B-X", "B-Rare"]) for tag in tags] for tags in truth]
    sides = [
        tags_of([t for t, _ in read], [o for _, o in read], file_words) for read in (_read(tmp_path, s) for s in (truth, said))
    ]
    labels = sorted({*sides[0], *sides[1]} - {without})
    theirs = classification_report(*sides, labels=labels, output_dict=True, zero_division=0)
    rows = {row.name: row for row in rows_of(sides[0], sides[1], without)}
    assert rows["B-Rare"].support == 0
    assert ("O" in rows) == (without is None)
    for name, row in rows.items():
        if name == "micro average" and without is None:  # scikit-learn calls it accuracy where no label is left out
            assert row[1:] == pytest.approx([theirs["accuracy"]] * 3 + [len(sides[0])])
            continue
        found = theirs[name.replace("average", "avg")]
        assert row[1:] == pytest.approx([found[key] for key in ("precision", "recall", "f1-score", "support")])


def test_entity_table_is_seqevals(task: Task, tmp_path: Path) -> None:
    """Per label, micro, macro and weighted equal seqeval's strict IOB2 report on 30 random corpora of several labels."""
    rng = random.Random(3)
    for _ in range(30):
        sides = [[_random_tags(rng, ("Drug", "X", "Y")) for _ in range(8)] for _ in range(2)]
        theirs = seqeval_report(*sides, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
        truth, answers = ([output for _, output in _read(tmp_path, side)] for side in sides)
        rows = {row.name: row for row in entity_rows(task, truth, answers)}
        assert rows.pop("Rare") == Row("Rare", 0.0, 0.0, 0.0, 0)
        assert len(rows) == 6
        for name, row in rows.items():
            found = theirs[name.replace("average", "avg")]
            assert row[1:] == pytest.approx([found[key] for key in ("precision", "recall", "f1-score", "support")])
        assert rows["macro average"].f1 == pytest.approx(task.score(truth, answers)["macro_f1"])


def test_a_rare_label_that_is_only_answered_costs_precision(task: Task) -> None:
    """Rare is not in the truth: its row says 0 of support, micro counts the mistake, macro goes over what truly occurs."""
    truth = [{"spans": [{"start": 0, "end": 2, "label": "X"}]}]
    answers = [{"spans": [{"start": 0, "end": 2, "label": "X"}, {"start": 3, "end": 5, "label": "Rare"}]}]
    rows = {row.name: row for row in entity_rows(task, truth, answers)}
    assert rows["Rare"] == Row("Rare", 0.0, 0.0, 0.0, 0)
    assert rows["micro average"] == Row("micro average", 0.5, 1.0, 2 / 3, 1)
    assert rows["macro average"].f1 == 1.0


def test_nothing_to_find_and_nothing_found(task: Task) -> None:
    """A part without a single entity gives tables of words and zeros, not a division by zero."""
    demo = Demo.model_validate({"path": "x.toml", "name": "x", "task": task.name, "title": "T", "data": {"train": "a.conll"}})
    assert rows_of(["O"], ["O"], without="O") == []
    assert "none occurs" in table([])
    assert {row.f1 for row in entity_rows(task, [{"spans": []}], [{"spans": []}])} == {0.0}
    example = type("E", (), {"input": "a b", "output": {"spans": []}})()
    text = part_report(demo, task, "test", [example], [{"spans": []}], file_words)
    assert "100.0% of these are O" in text
    assert "in no average: B-Drug, I-Drug, B-Rare" in text


def test_endings_of_token_files_are_the_readers() -> None:
    """What counts as a file of tokens is exactly what the reader of tokens opens."""
    assert {ending for ending in _TOKEN_READERS if ending not in _TEXT_READERS} == set(TOKEN_FILES)


def test_texts_get_scikit_learns_table(make_demo: Callable[..., Demo]) -> None:
    """Per label, micro, macro, weighted and accuracy of a text task equal scikit-learn's; an absent label is named."""
    task = TextClassification(("fruit", "stone", "tool"))
    demo = make_demo("text_classification", [{"text": "a", "label": "fruit"}])
    right = ["fruit", "fruit", "tool", "tool", "tool"]
    said = ["fruit", "tool", "tool", "tool", "fruit"]
    theirs = classification_report(right, said, output_dict=True)
    for row in rows_of(right, said):
        if row.name != "micro average":
            found = theirs[row.name.replace("average", "avg")]
            assert row[1:] == pytest.approx([found[key] for key in ("precision", "recall", "f1-score", "support")])
    examples = [type("E", (), {"input": "a", "output": {"label": label}})() for label in right]
    text = part_report(demo, task, "validation", examples, [{"label": label} for label in said], file_words)
    assert "accuracy 0.6000" in text
    assert "in no average: stone" in text


@pytest.mark.parametrize("own", [False, True])
def test_the_command_prints_three_tables_for_a_file(
    own: bool, tmp_path: Path, tiny_base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CoNLL file of several labels, one of them in train alone: both parts are reported, with where they come from.

    With files of their own (by a TOML) the report names them; the strict figures are the ones on the card.
    """
    rng = random.Random(4)
    sentences = [_random_tags(rng, ("Drug", "X", "Y")) for _ in range(120)]
    _read(tmp_path, [[*tags, *rng.choice([[], ["B-Rare"]])] for tags in sentences], "train.conll")
    _read(tmp_path, [["O", *_random_tags(rng, ("X", "Y")), "O", "B-X", "B-X", "I-Y"] for _ in range(20)], "held.iob")
    toml = f'name = "t"\ntask = "token_classification"\ntitle = "T"\nbase = "{tiny_base}"\n[data]\ntrain = "train.conll"\n'
    toml += 'validation = "held.iob"\ntest = "held.iob"\n' if own else ""
    (tmp_path / "t.toml").write_text(toml)
    source = (
        ["--demo", str(tmp_path / "t.toml")]
        if own
        else ["--data", str(tmp_path / "train.conll"), "--task", "token_classification"]
    )
    out = tmp_path / "v"
    assert main([*source, "--base", str(tiny_base), "--out", str(out), "--epochs", "1", "--device", "cpu", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^-- (\d)\.", printed, re.MULTILINE) == (["1", "2", "3"] if own else ["1", "2", "3"] * 2)
    assert ("texts of held.iob, the test file" if own else "set apart by a hash of each text (there is no test file)") in printed
    answerer = open_version(out)
    demo = Demo.model_validate({"path": tmp_path / "t.toml", "name": "t", "task": "token_classification", "title": "T",
                                "data": {"train": "train.conll", **({"test": "held.iob"} if own else {})}})  # fmt: skip
    task, seed = load_seed(demo)
    answers = [answer.output for answer in answerer.answer([e.input for e in seed.test], [{}] * len(seed.test))]
    assert part_report(demo, task, "test", seed.test, answers, answerer.words) in printed
    score = task.score([e.output for e in seed.test], answers)
    assert f"f1 {score['f1']:.4f}  precision {score['precision']:.4f}" in printed
    assert answerer.task.labels == LABELS
