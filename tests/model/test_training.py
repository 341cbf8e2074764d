"""Training end to end on tiny networks: methods, recipes, whole directories or none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, RobertaConfig, RobertaForTokenClassification

from feedback.demo import Demo
from feedback.errors import BadDemo, BadInput
from feedback.records import Example, input_hash
from feedback.training_set import Snapshot, freeze, read_snapshot
from model.answering import Answerer, answer_all, open_network
from model.base import Model, begin, resume
from model.batches import logits_of, model_inputs, tokenize
from model.card import read_card
from model.data import network_seed
from model.job import Job
from model.layers import cached_states, upper_logits
from model.making import run_job
from model.methods import FitSettings, TrainingFailed, autocast, device_of, fit, weighted_loss
from model.parts import parts_of, second_place
from model.progress import Progress
from model.recipe import interpolated

QUIET = Progress(None)


def _seed_job(demo: Demo, out: Path, **more: Any) -> Job:
    return Job(demo=str(demo.path), out=str(out), method=more.pop("method", "full"), **more)


def _feedback(directory: Path, demo: Demo, count: int = 60) -> Path:
    """A snapshot of new sentences that are right."""
    examples = []
    for i in range(count):
        word, label = [("quince", "fruit"), ("mallet", "tool")][i % 2]
        text = f"message {i} about the {word}"
        start = text.index(word)
        output = (
            {"label": label}
            if demo.task == "text_classification"
            else {"spans": [{"start": start, "end": start + 6, "label": label}]}
        )
        examples.append(Example(text, output, 0.9, f"c{i}", f"u{i % 3}", input_hash(text)))
    directory.mkdir()
    return directory / freeze(examples, directory).id


@pytest.mark.parametrize("method", ["full", "top", "head"])
def test_each_method_learns_texts(text_demo: Demo, tmp_path: Path, method: str) -> None:
    """Every method lowers the loss of its labels below that of guessing, and writes a plain directory with a card."""
    longer = text_demo.training.model_copy(update={"epochs": 25, "learning_rate": 3e-3, "batch_size": 8})
    demo = text_demo.model_copy(update={"training": longer})
    card = run_job(_seed_job(demo, tmp_path / "v", method=method), demo, QUIET)
    assert card.training["loss"] < 0.9 * np.log(2)
    assert card.verdict == "first"
    assert read_card(tmp_path / "v") == card
    assert sorted(p.name for p in tmp_path.glob("*v*")) == ["v"]


@pytest.mark.parametrize("method", ["full", "top", "head"])
def test_each_method_learns_spans(span_demo: Demo, tmp_path: Path, method: str) -> None:
    """Every method lowers the loss of the tags below that of always saying the commonest."""
    card = run_job(_seed_job(span_demo, tmp_path / "v", method=method), span_demo, QUIET)
    assert card.training["loss"] < 0.8
    assert set(card.scores) == {"validation", "test"}


def test_a_version_loads_in_plain_transformers(text_demo: Demo, tmp_path: Path) -> None:
    """AutoModel and AutoTokenizer give the same logits as serving does, mean pooling included."""
    run_job(_seed_job(text_demo, tmp_path / "v"), text_demo, QUIET)
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "v").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "v")
    texts = ["buy one apple", "a saw and a hammer, please"]
    plain = [network(**tokenizer(text, return_tensors="pt")).logits[0].detach().numpy() for text in texts]
    _, ours = open_network(tmp_path / "v", dtype=torch.float32).logits(texts)
    np.testing.assert_allclose(ours, plain, atol=1e-5)
    assert network.config.id2label == {0: "fruit", 1: "tool"}


def test_a_new_text_model_begins_with_the_mean(text_demo: Demo, tiny_base: Path) -> None:
    """What reaches the classifier of a new text model points where the mean of the base's states does."""
    task, _ = network_seed(text_demo)
    model = begin(task, str(tiny_base), 1)
    inputs = model_inputs([[101, 5, 6, 7, 102], [101, 9, 102]], 0, torch.device("cpu"))
    with torch.no_grad():
        network = model.network.eval()
        pooled = network.bert(**inputs).pooler_output
        below = network.bert(**inputs, output_hidden_states=True).hidden_states[-2]
        there = inputs["attention_mask"][..., None]
        mean = torch.nn.functional.layer_norm((below * there).sum(1) / there.sum(1), (32,))
    assert torch.nn.functional.cosine_similarity(pooled, mean).min() > 0.995


def test_top_layers_on_cached_states_equal_the_whole_network(span_demo: Demo, tiny_base: Path) -> None:
    """Logits from cached states equal those of the full pass, padding or not (half precision: 1e-2)."""
    task, seed = network_seed(span_demo)
    model = begin(task, str(tiny_base), 1)
    network = model.network.eval()
    rows = [feature["input_ids"] for feature in task.encode(model.tokenizer, seed.train[:5])] + [[101, 7, 102]]
    with torch.no_grad():
        whole = network(**model_inputs(rows, 0, torch.device("cpu"))).logits
        split = upper_logits(network, cached_states(network, rows, 0, autocast(torch.device("cpu"))))
    for i, row in enumerate(rows):
        torch.testing.assert_close(split[i, : len(row)], whole[i, : len(row)], atol=1e-2, rtol=0)


def test_the_same_seed_gives_the_same_weights(text_demo: Demo, tiny_base: Path) -> None:
    """Two trainings with one seed end in equal weights; another seed ends elsewhere."""
    task, seed = network_seed(text_demo)

    def weights(number: int) -> torch.Tensor:
        model = begin(task, str(tiny_base), number)
        fit(model, task.encode(model.tokenizer, seed.train), FitSettings(epochs=1, learning_rate=1e-3, seed=number, device="cpu"))
        return torch.cat([p.detach().flatten() for p in model.network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_weights_of_examples_weigh_in_the_loss() -> None:
    """The loss is the mean of the places' losses times their weights, by the mean weight of the whole training set: by hand."""
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    features = [{"labels": 0, "weight": 1.0}, {"labels": 1, "weight": 0.25}]
    expected = (np.log(1 + np.exp(-2)) * 1.0 + np.log(2) * 0.25) / 2
    assert float(weighted_loss(logits, features)) == pytest.approx(expected, rel=1e-6)
    assert float(weighted_loss(logits, features, 0.5)) == pytest.approx(2 * expected, rel=1e-6)
    tokens, rows = (
        logits[:, None].expand(2, 3, 2),
        [{"labels": [0, -100, -100], "weight": 1.0}, {"labels": [1, 1, 1], "weight": 0.25}],
    )
    by_place = (np.log(1 + np.exp(-2)) * 1.0 + 3 * np.log(2) * 0.25) / 4
    assert float(weighted_loss(tokens, rows)) == pytest.approx(by_place, rel=1e-6)


def test_a_loss_that_is_no_number_ends_in_words(text_demo: Demo, tiny_base: Path) -> None:
    """A learning rate far too high is said, with the rate, instead of saving rubbish."""
    task, seed = network_seed(text_demo)
    model = begin(task, str(tiny_base), 1)
    with torch.no_grad():
        model.network.classifier.weight.fill_(float("nan"))
    with pytest.raises(TrainingFailed, match=r"nan by step .* 0\.01"):
        fit(model, task.encode(model.tokenizer, seed.train), FitSettings(learning_rate=0.01, device="cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_cuda_is_refused() -> None:
    """device = cuda is an error in words where torch sees none; auto takes the CPU."""
    with pytest.raises(BadDemo, match="CUDA"):
        device_of("cuda")
    assert device_of("auto").type == "cpu"


def test_interpolation_lies_between() -> None:
    """(1-a) start + a end, and whole numbers are the end's."""
    start = {"w": torch.tensor([0.0, 2.0]), "n": torch.tensor([1])}
    end = {"w": torch.tensor([4.0, 4.0]), "n": torch.tensor([7])}
    mixed = interpolated(start, end, 0.25)
    assert mixed["w"].tolist() == [1.0, 2.5]
    assert mixed["n"].tolist() == [7]


def test_parts_share_no_text(text_demo: Demo, tmp_path: Path) -> None:
    """No text is in two of training, choosing and gate; nothing of the sealed test is in any; corrections replace seed items."""
    task, seed = network_seed(text_demo)
    known = [
        replace(e, output={"label": "tool"}, correction_id="c", weight=0.9) for e in (*seed.train, *seed.test, *seed.validation)
    ]
    gate = [e for e in known if second_place(e.input_hash) > 0.8]
    parts = parts_of(task, seed, Snapshot("s", "", [e for e in known if e not in gate], gate))
    sides = [{e.input_hash for e in side} for side in (parts.train, parts.choosing, parts.old, parts.feedback)]
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert not set().union(*sides) & {e.input_hash for e in seed.test}
    assert all(e.correction_id for e in parts.train)
    assert parts.left_out == len(seed.held_out)
    gold = [
        *seed.train[:2],
        *seed.test[:1],
        Example("a text of the owner's own", {"label": "tool"}, input_hash=input_hash("own")),
    ]
    kept = parts_of(task, seed, Snapshot("s", "", [], []), gold).gold
    assert [e.input for e in kept] == ["a text of the owner's own"]
    assert parts_of(task, seed, None, gold).gold == kept


def test_a_retraining_starts_from_its_parent_and_is_gated(text_demo: Demo, tmp_path: Path) -> None:
    """A retrain job leaves a card with parent, snapshot, chosen a and the gate's checks; a class of its own is judged."""
    run_job(_seed_job(text_demo, tmp_path / "v1"), text_demo, QUIET)
    snapshot = _feedback(tmp_path / "snapshots", text_demo)
    job = _seed_job(
        text_demo, tmp_path / "v2", kind="retrain", number=2, parent=str(tmp_path / "v1"), parent_version=1,
        champion=str(tmp_path / "v1"), champion_version=1, snapshot=str(snapshot),
    )  # fmt: skip
    card = run_job(job, text_demo, QUIET)
    assert card.parent == card.champion_version == 1
    assert card.snapshot == read_snapshot(snapshot).id
    assert card.interpolation in (0.25, 0.5, 0.75, 1.0)
    assert card.gate is not None
    names = [check["name"] for check in card.gate["checks"]]
    assert {"old_domain", "feedback", "class:fruit", "sentences", "worse_share", "calibration", "latency_ms"} <= set(names)
    assert card.verdict in ("passed", "refused", "undecided")
    assert len(card.gate_words()) == len(names) + 1


def test_a_new_label_grows_the_head(text_demo: Demo, tmp_path: Path) -> None:
    """A parent that knows two labels goes on with three: old rows are kept, the new one starts small."""
    run_job(_seed_job(text_demo, tmp_path / "v1"), text_demo, QUIET)
    wider, _ = network_seed(text_demo, labels=("fruit", "other", "tool"))
    old = AutoModelForSequenceClassification.from_pretrained(tmp_path / "v1").classifier.weight
    grown = resume(wider, str(tmp_path / "v1"), {}, 1).network
    assert torch.equal(grown.classifier.weight[[0, 2]], old)
    assert grown.classifier.weight.shape == (3, 32)
    assert grown.config.id2label == {0: "fruit", 1: "other", 2: "tool"}


def test_foreign_architectures_are_served_and_refused_in_words(span_demo: Demo, tmp_path: Path, tokenizer: Any) -> None:
    """A RoBERTa-type checkpoint answers through the Auto classes; `top` says that it knows BERT-shaped networks with 4 layers."""
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=60, id2label={0: "O", 1: "I-FRU", 2: "I-TOO"}, label2id={"O": 0, "I-FRU": 1, "I-TOO": 2}, pad_token_id=0,
    )  # fmt: skip
    RobertaForTokenClassification(config).save_pretrained(tmp_path / "foreign")
    tokenizer.save_pretrained(tmp_path / "foreign")
    demo = span_demo.model_copy(update={"rename": {"FRU": "fruit", "TOO": "tool"}})
    task, seed = network_seed(demo)
    long = "an apple and a saw " * 40  # longer than its 59 positions: windows follow the network's limit
    answers = answer_all(task, tmp_path / "foreign", [seed.train[0].input, long], {}, demo.rename)
    assert all(
        task.check_output(text, a.output) is not None for text, a in zip([seed.train[0].input, long], answers, strict=True)
    )
    card = run_job(_seed_job(demo, tmp_path / "added", kind="added", number=3, candidate=str(tmp_path / "foreign")), demo, QUIET)
    assert (card.kind, card.rename, card.number) == ("added", demo.rename, 3)
    assert open_network(tmp_path / "added").answer([long], [{}])[0] == answers[1]
    with pytest.raises(BadDemo, match="top"):
        fit(
            resume(task, str(tmp_path / "foreign"), demo.rename, 1),
            task.encode(tokenizer, seed.train),
            FitSettings("top", device="cpu"),
        )


def test_what_cannot_be_added_is_refused(span_demo: Demo, text_demo: Demo, tmp_path: Path, tiny_base: Path) -> None:
    """No config.json, an encoder without a head, another task's head, foreign labels: each is said, and nothing is left."""
    (tmp_path / "empty").mkdir()
    run_job(_seed_job(text_demo, tmp_path / "text"), text_demo, QUIET)
    (tmp_path / "text" / "card.json").unlink()
    for candidate, match in (
        (tmp_path / "empty", "config.json"),
        (tiny_base, "LABEL_0"),
        (tmp_path / "text", "no output for 'O'"),
    ):
        with pytest.raises((BadDemo, BadInput), match=match):
            run_job(_seed_job(span_demo, tmp_path / "added", kind="added", candidate=str(candidate)), span_demo, QUIET)
    assert not list(tmp_path.glob("*added*"))


def test_long_texts_are_read_to_the_end(span_demo: Demo, tiny_base: Path) -> None:
    """The logits of a 10,000-character text cover every token, and the middle of one window equals the window alone."""
    task, _ = network_seed(span_demo)
    model = begin(task, str(tiny_base), 1)
    text = "the saw meets an apple. " * 420
    (encoded,) = tokenize(model.tokenizer, [text])
    (logits,) = logits_of(model.network.eval(), model.tokenizer, [encoded])
    assert logits.shape == (len(encoded.ids), 5)
    start, end, own_start, own_end = encoded.windows[3]
    alone = model.network(input_ids=torch.tensor([[101, *encoded.ids[start:end], 102]])).logits[0].detach().numpy()
    np.testing.assert_allclose(logits[own_start:own_end], alone[1 + own_start - start : 1 + own_end - start], atol=1e-5)


def test_batches_answer_like_single_texts(span_demo: Demo, tiny_base: Path) -> None:
    """Padding and order change nothing: a mixed batch gives each text the answer it gets alone."""
    task, seed = network_seed(span_demo)
    answerer = Answerer(task, Model(*begin(task, str(tiny_base), 1)))
    answerer.model.network.eval()
    texts = [e.input for e in seed.train[:20]] + ["saw", "an apple " * 400, "\u200b"]
    together = answerer.answer(texts, [{}] * len(texts))
    alone = [answerer.answer([text], [{}])[0] for text in texts]
    assert [a.output["spans"] == b.output["spans"] or _near(a, b) for a, b in zip(together, alone, strict=True)] == [True] * len(
        texts
    )


def _near(left: Any, right: Any) -> bool:
    drop = [[{**span, "confidence": 0} for span in answer.output["spans"]] for answer in (left, right)]
    return drop[0] == drop[1] and abs(left.confidence - right.confidence) < 1e-4


def _process(job: Job, tmp_path: Path) -> subprocess.Popen[str]:
    (tmp_path / "job.json").write_text(job.to_json())
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "model.train", "--job", str(tmp_path / "job.json"), "--epochs", "2000"]
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_an_ended_training_leaves_no_half_version(text_demo: Demo, tmp_path: Path, sent: signal.Signals) -> None:
    """Ended in mid-training, by request or by force, it leaves no directory at `out`; SIGTERM also says so."""
    job = _seed_job(text_demo, tmp_path / "v", progress=str(tmp_path / "progress.json"))
    process = _process(job, tmp_path)
    deadline = time.monotonic() + 60
    told: dict[str, Any] = {}
    while told.get("stage") != "training" or not told.get("done"):
        assert time.monotonic() < deadline, told
        assert process.poll() is None
        time.sleep(0.05)
        if (tmp_path / "progress.json").is_file():
            told = json.loads((tmp_path / "progress.json").read_text())  # whole at every look
    process.send_signal(sent)
    _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert not (tmp_path / "v").exists()
    if sent == signal.SIGTERM:
        assert json.loads((tmp_path / "progress.json").read_text())["stage"] == "failed"
        assert "SIGTERM" in said.splitlines()[-1]
        assert not list(tmp_path.glob(".v*"))


def test_a_broken_job_is_one_line_and_a_failed_stage(text_demo: Demo, tmp_path: Path) -> None:
    """A job whose data is broken ends with status 1, one line on stderr, and the same words in the progress file."""
    text_demo.resolve("data.jsonl").write_text('{"text": "a"}\n')
    process = _process(_seed_job(text_demo, tmp_path / "v", progress=str(tmp_path / "progress.json")), tmp_path)
    _, said = process.communicate(timeout=60)
    told = json.loads((tmp_path / "progress.json").read_text())
    assert process.returncode == 1
    assert len(said.splitlines()) == 1
    assert "data.jsonl:1" in said
    assert (told["stage"], told["message"] in said) == ("failed", True)
