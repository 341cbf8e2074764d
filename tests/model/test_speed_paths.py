"""Which path a training takes, that both end in the same weights, and what happens when memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import RobertaConfig, RobertaForTokenClassification

import model.methods
from benchmarks import training_cuda
from feedback.demo import Demo
from model.base import Model, begin, output_layer
from model.batches import budget_batches
from model.card import read_card
from model.data import network_seed
from model.descent import Descended, Learner, TrainingFailed, descend
from model.job import Job
from model.learners import lean, plain
from model.making import run_job
from model.methods import FitSettings, Fitted, autocast, fit
from model.progress import Progress
from tests.model.test_heads import LABELS, NAME
from tests.model.test_heads import rows as two_headed

SETTINGS = FitSettings(epochs=1, learning_rate=1e-3, device="cpu", threads=1)


def _fitted(demo: Demo, settings: FitSettings, network: Any = None, say: Callable[[str], None] = print) -> tuple[Fitted, Any]:
    """Train on the demo's first 40 sentences; return what it took and the network."""
    task, seed = network_seed(demo)
    model = begin(task, demo.base, 1)
    model = model if network is None else Model(network, model.tokenizer)
    return fit(model, task.encode(model.tokenizer, seed.train[:40]), settings, say=say), model.network


def _weights(network: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for _, p in sorted(network.named_parameters())])


@pytest.fixture
def heads_demo(make_demo: Callable[..., Demo]) -> Demo:
    """Two heads; every fifth text tells the first alone."""
    told = [{**row, "labels": {"kind": row["labels"]["kind"]}} if i % 5 == 0 else row for i, row in enumerate(two_headed())]
    return make_demo(NAME, told, labels=LABELS)


@pytest.mark.parametrize("method", ["full", "top"])
@pytest.mark.parametrize("which", ["span_demo", "text_demo", "heads_demo"])
def test_both_paths_end_in_the_same_weights(
    which: str, method: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same steps from the same weights, once lean and once plain, end within rounding of each other, far from the start."""
    demo, settings = request.getfixturevalue(which), SETTINGS._replace(method=method)
    task, _ = network_seed(demo)
    start = _weights(begin(task, demo.base, 1).network)
    took, network = _fitted(demo, settings)
    assert took.path == "lean"
    monkeypatch.setattr(model.methods, "chosen", lambda _: "plain")
    again, other = _fitted(demo, settings)
    assert (again.path, again.steps, again.tokens) == ("plain", took.steps, took.tokens)
    assert (_weights(network) - start).abs().max() > 1e-3
    # Adam divides by the gradient's size: where a gradient is rounding noise a step may differ by the whole rate (keys' biases)
    noise = [name for name, _ in network.named_parameters() if name.endswith("key.bias")]
    for (name, ours), (_, theirs) in zip(network.named_parameters(), other.named_parameters(), strict=True):
        if name not in noise:
            apart = (ours.detach() - theirs.detach()).abs()
            assert float(apart.mean()) < 2e-5, name
            assert float(apart.max()) < 2e-3, name


def test_frozen_embeddings_stay_and_open_ones_learn(span_demo: Demo) -> None:
    """`full` leaves words, positions and their norm as they are; with freeze_embeddings off they move."""
    task, _ = network_seed(span_demo)
    start = _weights(begin(task, span_demo.base, 1).network.bert.embeddings)
    assert torch.equal(_weights(_fitted(span_demo, SETTINGS)[1].bert.embeddings), start)
    embeddings = _fitted(span_demo, SETTINGS._replace(freeze_embeddings=False))[1].bert.embeddings
    assert (_weights(embeddings) - start).abs().max() > 1e-4
    before = begin(task, span_demo.base, 1).network.bert.embeddings.word_embeddings.weight.detach()
    moved = (embeddings.word_embeddings.weight.detach() - before).abs()
    learned = int((moved.max(dim=1).values > 0).sum())
    assert 10 < learned < 200  # the words of forty sentences, not the whole vocabulary


def test_a_network_of_another_shape_takes_the_plain_path(span_demo: Demo, tokenizer: Any) -> None:
    """A RoBERTa learns with `full` by its own forward pass, and the record says so; the head's record says plain too."""
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=60, num_labels=5, pad_token_id=0,
    )  # fmt: skip
    network = RobertaForTokenClassification(config)
    before = output_layer(network).weight.detach().clone()
    took, _ = _fitted(span_demo, SETTINGS, network)
    assert took.path == "plain"
    assert not torch.equal(output_layer(network).weight, before)


def test_the_card_says_which_path(span_demo: Demo, tmp_path: Path) -> None:
    """The version's card keeps the path, and no micro-batch where memory sufficed."""
    run_job(Job(demo=str(span_demo.path), out=str(tmp_path / "v"), method="full"), span_demo, Progress(None))
    training = read_card(tmp_path / "v").training
    assert (training["path"], training["micro_batch"]) == ("lean", None)


class Narrow:
    """A learner whose device holds so many texts at once: more raise what torch raises on a GPU that is full."""

    def __init__(self, learner: Learner, room: int) -> None:
        self.learner, self.room = learner, room
        self.asked: list[int] = []

    def loss(self, batch: Sequence[int], counted: int) -> torch.Tensor:
        """The learner's loss, or the error."""
        self.asked.append(len(batch))
        if len(batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.learner.loss(batch, counted)


def _descended(demo: Demo, room: int, way: str, said: list[str]) -> tuple[Descended, torch.Tensor, list[int]]:
    task, seed = network_seed(demo)
    network, tokenizer = begin(task, demo.base, 1)
    network.eval()
    features = task.encode(tokenizer, seed.train[:40])
    for number, feature in enumerate(features):
        feature["weight"] = 0.3 + number % 3
    amp = autocast(torch.device("cpu"))
    learner = lean(network, features, False, True, False, amp) if way == "lean" else plain(network, features, False, True, 0, amp)
    narrow = Narrow(learner, room)
    batches = [list(range(16)), list(range(16, 32)), list(range(32, 40))]
    lengths = [len(f["input_ids"]) for f in features]
    took = descend(learner._replace(loss=narrow.loss), lengths, lambda: batches, 3, 1e-3, amp, lambda *_: None, said.append)
    learner.done()
    return took, _weights(network), narrow.asked


@pytest.mark.parametrize("way", ["lean", "plain"])
def test_out_of_memory_halves_the_micro_batch_and_learns_the_same(span_demo: Demo, way: str) -> None:
    """With room for 5 texts, 16 become 8, then 4; the steps, their loss and the weights are those of whole batches."""
    said: list[str] = []
    whole, expected, _ = _descended(span_demo, 99, way, said)
    assert not said
    assert whole.micro_batch is None
    took, weights, asked = _descended(span_demo, 5, way, said)
    assert (took.steps, took.tokens, took.micro_batch) == (whole.steps, whole.tokens, 4)
    assert asked[:2] == [16, 8]
    assert asked[2:] == [4] * 10  # nothing larger is tried again
    assert [words.split(":")[0] for words in said] == [f"memory ran out at {n} texts at once" for n in (16, 8)]
    assert "with 4 at once" in said[-1]
    assert took.loss == pytest.approx(whole.loss, rel=1e-4)
    assert float((weights - expected).abs().mean()) < 1e-5


def test_no_room_for_one_text_ends_in_words(span_demo: Demo) -> None:
    """Halved down to one text and still too much, the training fails and says what to use instead."""
    said: list[str] = []
    with pytest.raises(TrainingFailed, match=r"single text.*'head'"):
        _descended(span_demo, 0, "lean", said)
    assert len(said) == 4


def test_memory_that_runs_out_is_on_the_card_and_in_the_progress(
    span_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole training job on a device with room for 3 texts ends in a version whose card names the micro-batch."""
    told: list[str] = []

    def narrow(*given: Any) -> Learner:
        learner = lean(*given)
        return learner._replace(loss=Narrow(learner, 3).loss)

    class Told(Progress):
        def stage(self, name: str, message: str = "", total: int = 0) -> None:
            told.append(message)
            super().stage(name, message, total)

    monkeypatch.setattr(model.methods, "lean", narrow)
    run_job(Job(demo=str(span_demo.path), out=str(tmp_path / "v"), method="full"), span_demo, Told(None))
    assert read_card(tmp_path / "v").training["micro_batch"] == 2
    assert any("going on with 2 at once" in message for message in told)


def test_an_ended_training_gives_the_weights_back(span_demo: Demo) -> None:
    """A cancelled training leaves a whole network: no weight is a view of another, and it answers."""
    task, seed = network_seed(span_demo)
    network, tokenizer = begin(task, span_demo.base, 1)

    def stop(done: int, total: int, loss: float | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Model(network, tokenizer), task.encode(tokenizer, seed.train[:40]), SETTINGS, stop)
    assert len({p.untyped_storage().data_ptr() for p in network.parameters()}) == len(list(network.parameters()))


def test_batches_by_tokens_keep_to_their_budget() -> None:
    """Every text is in one batch; none exceeds the budget but a text that is longer by itself; most are well filled."""
    random = np.random.default_rng(0)
    lengths = [*random.integers(3, 60, size=500).tolist(), 900]
    batches = budget_batches(lengths, 512, random)
    assert sorted(i for batch in batches for i in batch) == list(range(501))
    sums = [sum(lengths[i] for i in batch) for batch in batches]
    assert [total for total in sums if total > 512] == [900]
    assert float(np.median(sums)) > 512 - 60


def test_a_token_budget_trains(span_demo: Demo) -> None:
    """Batches by tokens go through the same loop: as many steps as batches, every token once an epoch."""
    by_texts, _ = _fitted(span_demo, SETTINGS)
    took, _ = _fitted(span_demo, SETTINGS._replace(token_budget=64))
    assert took.tokens == by_texts.tokens
    assert took.steps > by_texts.steps


def test_the_gpu_benchmark_says_that_there_is_no_gpu(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without CUDA it ends with status 2 and words, and measures nothing."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training_cuda.main([]) == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_flops_and_mfu_by_hand() -> None:
    """BERT-base's 12 layers have 84,934,656 weights in matrices: 6 FLOPs each a token, and 12 * layers * hidden * length for
    attention (PaLM, arXiv:2204.02311, appendix B). Lengths count by tokens: of texts of 10 and 30 a token's text has 25."""
    weights = 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert weights == 84_934_656
    assert training_cuda.flops_per_token(12, 768, 3072, [100, 100]) == 6 * weights + 12 * 12 * 768 * 100
    assert training_cuda.flops_per_token(12, 768, 3072, [10, 30]) == 6 * weights + 12 * 12 * 768 * 25
    assert training_cuda.mfu(1e6, 5e8, 1e15) == pytest.approx(0.5)


def test_the_gpu_benchmarks_loops_run(span_demo: Demo) -> None:
    """On the CPU, with tiny sizes, all four loops run, count their steps and give a rate: what can be tried without a GPU."""
    task, seed = network_seed(span_demo)
    tokenizer = begin(task, span_demo.base, 1).tokenizer
    features = task.encode(tokenizer, seed.train[:24])
    settings = FitSettings(epochs=1, batch_size=8, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Trainer warns of is not ours
        found = training_cuda.measured(lambda: begin(task, span_demo.base, 1), features, 1e12, settings, 64)
    assert set(found) == {"trainer", "ours", "ours_tokens", "ours_graphs"}
    assert (found["trainer"]["steps"], found["ours"]["steps"]) == (3, 3)
    assert found["ours_tokens"]["steps"] > 3
    assert all(row["tokens_s"] > 0 and row["mfu"] >= 0 for row in found.values())
    assert training_cuda.gemm_rate(torch.device("cpu"), 64, 3) > 0
