"""Several heads on one encoder: what each answers, what a text teaches that tells some of them alone, and the whole way to a version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from feedback.demo import Demo
from feedback.errors import BadDemo, BadInput
from feedback.records import Example, input_hash
from model import head, methods
from model.answering import Answerer
from model.base import DEFAULT_BASE, base_directory, begin
from model.batches import tokenize
from model.clean import judged
from model.data import load_seed
from model.head import fit_output
from model.methods import FitSettings, fit
from model.network_task import NetworkTask
from model.tasks.multioutput_text_classification import MultioutputTextClassification
from tests.model.conftest import FRUITS, TOOLS

NAME = "multioutput_text_classification"
LABELS = ("kind/fruit", "kind/tool", "mood/good", "mood/bad")
GOOD, BAD = ("good", "fine", "lovely", "great"), ("bad", "broken", "nasty", "awful")
MakeDemo = Callable[..., Demo]


def rows() -> list[dict[str, Any]]:
    """Fruits and tools, good and bad: 96 sentences, each with both labels."""
    return [
        {"text": f"sentence {i} about a {mood} {thing}", "labels": {"kind": kind, "mood": feeling}}
        for kind, things in (("fruit", FRUITS), ("tool", TOOLS))
        for feeling, moods in (("good", GOOD), ("bad", BAD))
        for i, (thing, mood) in enumerate((thing, mood) for thing in things for mood in moods)
    ]


@pytest.fixture
def demo(make_demo: MakeDemo) -> Demo:
    """A demo of two heads."""
    return make_demo(NAME, rows(), labels=LABELS)


def task_of(labels: tuple[str, ...] = LABELS, fallback: str = "") -> MultioutputTextClassification:
    """Return the task over these labels."""
    return MultioutputTextClassification(labels, fallback_label=fallback)


def seed(demo: Demo) -> tuple[NetworkTask, Any]:
    """Return task and seed data."""
    task, data = load_seed(demo)
    assert isinstance(task, NetworkTask)
    return task, data


# -- outputs


def test_heads_come_from_the_labels_in_their_order() -> None:
    """The labels of a head are brought together for the network; a label without a head is refused by name."""
    task = task_of(("b/x", "a/one", "b/y", "a/two/three"))
    assert task.config_labels() == ["b/x", "b/y", "a/one", "a/two/three"]
    assert task.heads == {"b": ["x", "y"], "a": ["one", "two/three"]}
    for bad in ("plain", "/x", "a/"):
        with pytest.raises(BadDemo, match=repr(bad)):
            task_of(("a/one", bad))


def test_a_person_may_speak_of_one_head_alone() -> None:
    """What is left out stays left out; an answer's confidences go; no head at all, and a foreign head or label, are refused."""
    task = task_of()
    assert task.check_output("x", {"labels": {"mood": "bad"}}) == {"labels": {"mood": "bad"}}
    shown = {"labels": {"mood": "bad", "kind": "tool"}, "confidences": {"mood": 0.5, "kind": 0.9}}
    assert json.dumps(task.check_output("x", shown)) == '{"labels": {"kind": "tool", "mood": "bad"}}'
    foreign: tuple[Any, ...] = (
        {"labels": {}},
        {"labels": {"colour": "red"}},
        {"labels": {"mood": "fruit"}},
        {"labels": {"mood": ["bad"]}},
        {"labels": []},
    )
    for bad in foreign:
        with pytest.raises(BadInput):
            task.check_output("x", bad)


def test_scores_are_scikit_learns_head_by_head() -> None:
    """Accuracy and macro F1 of each head over the items that tell it, as scikit-learn computes them; main is their mean accuracy."""
    kinds = [("fruit", "fruit"), ("fruit", "tool"), ("tool", "tool"), ("tool", "tool")]
    moods = [("good", "bad"), ("bad", "bad"), (None, "good"), ("bad", "bad")]
    truth = [{"labels": {"kind": k, **({"mood": m} if m else {})}} for (k, _), (m, _) in zip(kinds, moods, strict=True)]
    answers = [{"labels": {"kind": k, "mood": m}} for (_, k), (_, m) in zip(kinds, moods, strict=True)]
    found = task_of().score(truth, answers)
    for name, pairs in (("kind", kinds), ("mood", [pair for pair in moods if pair[0]])):
        right, said = zip(*pairs, strict=True)
        assert found[f"{name}_accuracy"] == accuracy_score(right, said)
        assert found[f"{name}_macro_f1"] == pytest.approx(f1_score(right, said, average="macro"))
    assert found["main"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert task_of().edits(answers[0], truth[0]) == 1.0
    assert task_of().edits(answers[2], truth[2]) == 0.0  # of the mood nothing was said


def test_each_head_has_a_softmax_and_a_fallback_of_its_own(tokenizer: Any) -> None:
    """The answer is as sure as its least sure head; below the threshold the head that the fallback names takes it, the other not."""
    task = task_of(fallback="kind/tool")
    encoded = tokenize(tokenizer, ["a text"])
    logits = [np.log(np.array([0.6, 0.4, 0.3, 0.7])) + 5.0]  # a head's columns may be shifted by anything
    (answer,) = task.decode(["a text"], encoded, logits, {})
    assert answer.output == {"labels": {"kind": "fruit", "mood": "bad"}, "confidences": {"kind": 0.6, "mood": 0.7}}
    assert answer.confidence == pytest.approx(0.6)
    (careful,) = task.decode(["a text"], encoded, logits, {"threshold": 0.8})
    assert careful.output["labels"] == {"kind": "tool", "mood": "bad"}


# -- data


def test_labels_are_read_from_objects_and_from_columns(make_demo: MakeDemo, tmp_path: Path) -> None:
    """JSONL with an object, CSV with a column a head (an empty cell tells nothing), and a renamed label: all the same rows."""
    task, data = load_seed(make_demo(NAME, rows(), labels=()))
    assert set(task.labels) == set(LABELS)
    wanted = {e.input: e.output for e in (*data.train, *data.validation, *data.test)}
    lines = ["text,mood,kind", *(f"{r['text']},{r['labels']['mood']},{r['labels']['kind']}" for r in rows()), "only a kind,,tool"]
    (tmp_path / NAME / "data.csv").write_text("\n".join(lines), encoding="utf-8")
    _, data = load_seed(make_demo(NAME, rows(), labels=LABELS, data={"train": "data.csv", "label_column": "kind, mood"}))
    found = {e.input: e.output for e in (*data.train, *data.validation, *data.test)}
    assert found == wanted | {"only a kind": {"labels": {"kind": "tool"}}}
    other = [
        {**r, "labels": {"kind": r["labels"]["kind"], "mood": "nice" if r["labels"]["mood"] == "good" else "bad"}} for r in rows()
    ]
    _, data = load_seed(make_demo(NAME, other, labels=LABELS, rename={"mood/nice": "mood/good"}))
    assert {e.input: e.output for e in (*data.train, *data.validation, *data.test)} == wanted


@pytest.mark.parametrize(
    ("row", "words"),
    [({"text": "a"}, "neither 'labels'"), ({"text": "a", "labels": 3}, "labels = '3'"), ({"text": "a", "labels": "{"}, "not JSON"),
     ({"text": "a", "labels": {"kind": 3}}, "with a label each"), ({"text": "a", "labels": {}}, "at least one head")],
)  # fmt: skip
def test_rows_without_heads_are_refused_with_their_place(make_demo: MakeDemo, row: dict[str, Any], words: str) -> None:
    """The message names the file, the line and the rule."""
    with pytest.raises(BadDemo, match=f"data.jsonl:97.*{words}"):
        load_seed(make_demo(NAME, [*rows(), row], labels=LABELS))


# -- learning


@pytest.mark.parametrize(("method", "path", "least"), [("full", "lean", 0.95), ("full", "plain", 0.95), ("head", "plain", 0.7)])
def test_one_training_teaches_both_heads(
    demo: Demo, method: str, path: str, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the lean pass and on transformers' own: `full` gets the training data right, `head` (on random states) more than chance."""
    monkeypatch.setattr(methods, "chosen", lambda network: path)
    task, data = seed(demo)
    model = begin(task, demo.base, 1)
    settings = FitSettings(method, epochs=15, learning_rate=0.003, device="cpu", threads=1, freeze_embeddings=False)
    took = fit(model, task.encode(model.tokenizer, data.train), settings)
    assert took.path == path
    answers = Answerer(task, model).answer([e.input for e in data.train], [{}] * len(data.train))
    found = task.score([e.output for e in data.train], [a.output for a in answers])
    assert min(found["kind_accuracy"], found["mood_accuracy"]) > least


def test_a_head_that_is_not_told_is_not_taught(demo: Demo) -> None:
    """From texts that tell the kind alone the mood's outputs learn nothing: the rows of the output layer stay as they were."""
    task, data = seed(demo)
    some = [Example(e.input, {"labels": {"kind": e.output["labels"]["kind"]}}) for e in data.train]
    model = begin(task, demo.base, 1)
    before = model.network.classifier.bias.detach().clone()
    fit(model, task.encode(model.tokenizer, some), FitSettings(epochs=2, learning_rate=0.01, device="cpu", threads=1))
    moved = (model.network.classifier.bias.detach() - before).abs()
    assert float(moved[:2].min()) > 1e-4
    assert float(moved[2:].max()) == 0.0


def test_the_output_layer_is_a_logistic_regression_a_head() -> None:
    """Each head's columns are those of scikit-learn's regression on the texts that tell it alone."""
    random = np.random.default_rng(3)
    states = list(random.normal(size=(60, 5)).astype(np.float32))
    kind, mood = random.integers(0, 3, 60), random.integers(3, 5, 60)
    features = [
        {"input_ids": [1], "labels": (int(kind[i]), int(mood[i]) if i % 3 else -100), "heads": (3, 2), "weight": 1.0}
        for i in range(60)
    ]
    found = fit_output(features, states, 5)
    for columns, labels, used in ((slice(0, 3), kind, range(60)), (slice(3, 5), mood - 3, [i for i in range(60) if i % 3])):
        inputs = np.stack([states[i] for i in used])
        level = (inputs - inputs.mean(axis=0)) / (inputs.std() + 1e-8)
        known = LogisticRegression(C=head.STRENGTH, max_iter=300, tol=1e-3).fit(level, labels[list(used)])
        logits = inputs @ found.weight[columns].T + found.bias[columns]
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(shares, known.predict_proba(level), atol=1e-3)


def test_wrong_labels_are_found_in_the_head_that_has_them(demo: Demo) -> None:
    """A planted wrong mood is proposed anew, its kind stays; a text that tells one head gets a proposal for that head alone."""
    task, data = seed(demo)
    examples = [Example(e.input, e.output, input_hash=input_hash(e.input)) for e in data.train]
    wrong = examples[0].output["labels"]
    other = {"good": "bad", "bad": "good"}[wrong["mood"]]
    examples[0] = Example(examples[0].input, {"labels": {**wrong, "mood": other}}, input_hash=examples[0].input_hash)
    examples[1] = Example(
        examples[1].input, {"labels": {"kind": examples[1].output["labels"]["kind"]}}, input_hash=examples[1].input_hash
    )
    seen = judged(task, examples, [True] * len(examples), base_directory(DEFAULT_BASE))  # a random base sees no mood
    assert seen[0] is not None
    assert seen[0].proposal == {"labels": wrong}
    assert seen[0].confidence == min(one.confidence for one in seen if one is not None)
    assert seen[1] is not None
    assert seen[1].proposal == examples[1].output
