"""One contract for every task type: what the pages, the trainer and the gate may rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from feedback.demo import Demo
from feedback.errors import BadInput, TooLarge
from feedback.records import Example, input_hash
from model.base import DEFAULT_BASE, base_directory
from model.batches import tokenize
from model.network_task import NetworkTask
from model.own_model import CONFIG, OwnModelTask, Work, answers_to
from model.parts import Parts
from model.progress import Progress
from model.task import Task, UnknownTask, task_type, task_types

NETWORKS = sorted(name for name, kind in task_types().items() if issubclass(kind, NetworkTask))


def bound(name: str) -> Task:
    """Return a task type over its samples' labels and catalogue."""
    kind = task_types()[name]
    return kind(kind.sample_labels, catalogue=kind.sample_catalogue)


@pytest.fixture(params=sorted(task_types()))
def task(request: pytest.FixtureRequest) -> Task:
    """Each task type over its sample labels."""
    return bound(request.param)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> NetworkTask:
    """Each task type that a transformers network answers."""
    found = bound(request.param)
    assert isinstance(found, NetworkTask)
    return found


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """The packaged base's tokenizer."""
    return AutoTokenizer.from_pretrained(base_directory(DEFAULT_BASE))


def test_samples_are_canonical(task: Task) -> None:
    """A sample passes the checks unchanged, and checking twice changes nothing."""
    for input_, output in task.samples:
        assert task.check_input(input_) == input_
        assert task.check_output(input_, output) == output
        assert task.check_output(input_, task.check_output(input_, output)) == output


@pytest.mark.parametrize("value", [7, None, ["a"], {"nonsense": "a"}, True, "half \ud83d", "nul \0"])
def test_bad_inputs_are_refused(task: Task, value: Any) -> None:
    """What no model could answer is refused in words."""
    with pytest.raises(BadInput, match="input"):
        task.check_input(value)


@pytest.mark.parametrize("value", ["", "  \n", {"text": "a"}])
def test_no_text_is_refused(network: NetworkTask, value: Any) -> None:
    """A network reads texts, and there must be one."""
    task = network
    with pytest.raises(BadInput, match="input"):
        task.check_input(value)


def test_the_limit_counts_characters(network: NetworkTask) -> None:
    """max_chars characters are answered, one more is too large; an emoji is one."""
    task = network
    assert task.check_input("😀" * task.max_chars) == "😀" * task.max_chars
    with pytest.raises(TooLarge, match="2001"):
        task.check_input("😀" * (task.max_chars + 1))


@pytest.mark.parametrize(
    "output", [None, 3, "x", [], {}, {"label": "nonsense"}, {"label": True}, {"spans": 1}, {"spans": [{}]}, {"spans": [1]}]
)
def test_bad_outputs_are_refused(task: Task, output: Any) -> None:
    """What is no answer of the task is refused in words."""
    with pytest.raises(BadInput):
        task.check_output(task.samples[0][0], output)


def test_perfect_answers_score_one(task: Task) -> None:
    """The truth itself scores 1, and counts no false positives or negatives."""
    truth = [output for _, output in task.samples]
    assert task.score(truth, truth)["main"] == 1.0
    assert all(c.fp == c.fn == 0 for output in truth for c in task.counts(output, output).values())


def test_own_labels_round_trip_through_a_config(network: NetworkTask) -> None:
    """The labels that a config of ours implies are ours, each at its own output."""
    outputs = dict(enumerate(network.config_labels()))
    assert network.labels_of_config(outputs) == list(network.labels)
    assert network.sources(outputs, {}) == [[i] for i in outputs]


def test_learned_labels_decode_to_the_samples(network: NetworkTask, tokenizer: Any) -> None:
    """A network that outputs what encode asks for is decoded to the very outputs: nothing shifts on the way."""
    for input_, output in network.samples:
        (feature,) = network.encode(tokenizer, [Example(input_, output, weight=0.5)])
        (encoded,) = tokenize(tokenizer, [input_])
        width = len(network.config_labels())
        labels = feature["labels"]
        wanted = np.asarray(labels[1:-1] if isinstance(labels, list) else labels)
        logits = 9.0 * np.eye(width)[np.maximum(wanted, 0)]
        if isinstance(labels, tuple):  # one a head
            logits = logits.sum(axis=0)
        (answer,) = network.decode([input_], [encoded], [logits], {})
        assert network.check_output(input_, answer.output) == output
        assert 0.9 < answer.confidence <= 1
        assert feature["weight"] == 0.5


def test_settings_are_checked(task: Task) -> None:
    """Unknown settings and impossible values are refused with the rule."""
    assert task.check_settings({"temperature": 2, "threshold": 0.5}) == (2.0, 0.5)
    for bad in ({"temperature": 0}, {"threshold": 1.5}, {"temprature": 1}, {"threshold": float("nan")}, {"threshold": True}):
        with pytest.raises(BadInput, match="setting"):
            task.check_settings(bad)


def test_unknown_tasks_are_named_with_the_choices() -> None:
    """A wrong task name is answered with the names there are."""
    with pytest.raises(UnknownTask, match=r"'ner'.*text_classification, token_classification"):
        task_type("ner")


@pytest.mark.parametrize("name", sorted(name for name, kind in task_types().items() if issubclass(kind, OwnModelTask)))
def test_a_model_of_ones_own_learns_is_kept_and_answers(name: str, tmp_path: Path) -> None:
    """What it learned is read back from its files alone, answers by the task's rules, and comes out the same from the same seed."""
    task = bound(name)
    assert isinstance(task, OwnModelTask)
    examples = [
        Example(input_, task.check_output(input_, output), input_hash=input_hash(input_)) for input_, output in task.samples
    ]
    demo = Demo.model_validate(
        {"path": tmp_path / "x.toml", "name": "x", "task": name, "title": "X", "data": {"train": "x.jsonl"}}
    )
    said = []
    for number in (1, 2):
        directory = tmp_path / f"v{number}"
        directory.mkdir()
        learned = task.learn(Work(demo, Parts(examples, [], [], []), directory, Progress(None), seed=7))
        assert learned.examples == len(examples)
        assert (directory / CONFIG).is_file()
        opened = bound(name)
        assert isinstance(opened, OwnModelTask)
        version = opened.open(directory)
        answers = answers_to(version, examples)
        assert len(answers) == len(examples)
        for example, answer in zip(examples, answers, strict=True):
            assert task.check_output(example.input, answer.output) is not None
            assert 0 <= answer.confidence <= 1
        assert version.name
        assert version.megabytes() > 0
        said.append([(answer.output, round(answer.confidence, 6)) for answer in answers])
    assert said[0] == said[1]
    with pytest.raises(BadInput):
        task.open(tmp_path / "v3")
