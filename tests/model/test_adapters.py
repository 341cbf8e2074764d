"""Methods `lora` and `prompt`: what they learn, and that nothing of them is left outside the version's plain files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, RobertaConfig, RobertaForTokenClassification

from feedback.demo import Demo, TrainingSettings
from feedback.errors import BadDemo
from model.adapters import NoLibrary, adapted, linear_layers, prompt_tokens, with_prompt
from model.answering import Answerer, open_network
from model.base import begin, load_model, resume
from model.batches import model_inputs, specials, tokenize
from model.card import read_card
from model.data import network_seed
from model.job import Job
from model.making import run_job
from model.methods import FitSettings, fit
from model.progress import Progress
from model.recipe import settings_of
from tests.model.test_training import _feedback

peft = pytest.importorskip("peft", reason="the extra 'adapters' is not installed")
QUIET = Progress(None)
CPU = torch.device("cpu")


def _job(demo: Demo, out: Path, **more: Any) -> Job:
    return Job(demo=str(demo.path), out=str(out), **more)


def _longer(demo: Demo, **more: Any) -> Demo:
    raw = {"epochs": 12, "learning_rate": 3e-3, "batch_size": 8, "prompt_length": 5, **more}
    return demo.model_copy(update={"training": demo.training.model_copy(update=raw)})


@pytest.mark.parametrize(("method", "below"), [("lora", 0.8), ("prompt", 1.0)])
def test_each_adapter_learns_spans(span_demo: Demo, tmp_path: Path, method: str, below: float) -> None:
    """The loss falls (a fresh head's is ln 5 = 1.6), and the card tells method, rank and prompt length."""
    card = run_job(_job(_longer(span_demo), tmp_path / "v", method=method), _longer(span_demo), QUIET)
    assert card.training["loss"] < below
    assert (card.method, card.settings["lora_rank"], card.settings["prompt_length"]) == (method, 8, 5)


@pytest.mark.parametrize("method", ["lora", "prompt"])
def test_a_version_loads_in_plain_transformers(span_demo: Demo, tmp_path: Path, method: str) -> None:
    """Auto classes alone give serving's logits behind what the tokenizer puts first, and no file or weight is peft's."""
    demo = _longer(span_demo, epochs=1)
    run_job(_job(demo, tmp_path / "v", method=method), demo, QUIET)
    network = AutoModelForTokenClassification.from_pretrained(tmp_path / "v").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "v")
    text = "number 3: the saw cuts a plum"
    given = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        plain = network(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits[0].numpy()
    _, (ours,) = open_network(tmp_path / "v", dtype=torch.float32).logits([text])
    before = 6 if method == "prompt" else 1  # five prompt tokens, then [CLS]
    np.testing.assert_allclose(ours, plain[before:-1], atol=1e-5)
    assert not any("adapter" in file.name for file in (tmp_path / "v").iterdir())
    assert not any("lora" in name or "delta" in name for name in network.state_dict())


def test_merged_lora_answers_as_the_adapter_did(span_demo: Demo, tiny_base: Path) -> None:
    """Merging changes the logits by rounding alone, leaves the names of the weights, and does change the attention weights."""
    task, _ = network_seed(span_demo)
    network = begin(task, str(tiny_base), 1).network.eval()
    names, inputs = list(network.state_dict()), model_inputs([[101, 5, 6, 7, 102]], 0, CPU)
    query = network.base_model.encoder.layer[0].attention.self.query.weight.clone()
    with adapted(network, "lora", 4, 8.0, []) as learning, torch.no_grad():
        for parameter in learning:
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        beside = network(**inputs).logits
    with torch.no_grad():
        torch.testing.assert_close(network(**inputs).logits, beside, atol=1e-5, rtol=1e-5)
    assert list(network.state_dict()) == names
    assert not torch.equal(network.base_model.encoder.layer[0].attention.self.query.weight, query)


def test_lora_leaves_the_rest_alone(span_demo: Demo, tiny_base: Path) -> None:
    """Only the encoder's linear layers and the output layer differ after a training."""
    task, seed = network_seed(span_demo)
    model = begin(task, str(tiny_base), 1)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    fit(model, task.encode(model.tokenizer, seed.train), FitSettings("lora", epochs=1, device="cpu"))
    changed = {name for name, value in model.network.state_dict().items() if not torch.equal(value, before[name])}
    allowed = {f"{name}.weight" for name in linear_layers(model.network)} | {"classifier.weight", "classifier.bias"}
    assert changed == allowed
    assert (
        len(linear_layers(model.network)) == 4 * 6
    )  # query, key, value, output and two of the feed-forward part, in each of four layers
    assert all(parameter.requires_grad for parameter in model.network.parameters())


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
def test_the_prompt_is_prompt_tuning(span_demo: Demo, tiny_base: Path) -> None:
    """Tokens before the text compute what peft's own prompt tuning computes with the same vectors."""
    task, _ = network_seed(span_demo)
    model = begin(task, str(tiny_base), 1)
    with_theirs = peft.get_peft_model(model.network, peft.PromptTuningConfig(task_type="TOKEN_CLS", num_virtual_tokens=3)).eval()
    inputs = model_inputs([[101, 1996, 2547, 102]], 0, CPU)
    with torch.no_grad():
        theirs = with_theirs(**inputs).logits
        vectors = with_theirs.get_prompt_embedding_to_save("default")  # (3, hidden)
        prompted = with_prompt(model, 3, 1)
        tokens = prompt_tokens(prompted.tokenizer)
        prompted.network.get_input_embeddings().weight[tokens] = vectors
        ours = prompted.network(**model_inputs([[*tokens, 101, 1996, 2547, 102]], 0, CPU)).logits
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_only_prompt_and_output_layer_learn(span_demo: Demo, tiny_base: Path) -> None:
    """Every word keeps its vector, and every layer its weights; a second call adds no second prompt."""
    task, seed = network_seed(span_demo)
    model = with_prompt(begin(task, str(tiny_base), 1), 4, 1)
    assert with_prompt(model, 9, 1) is model
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    fit(model, task.encode(model.tokenizer, seed.train), FitSettings("prompt", epochs=1, device="cpu"))
    after = model.network.state_dict()
    words = "bert.embeddings.word_embeddings.weight"
    assert {name for name in after if not torch.equal(after[name], before[name])} == {
        words,
        "classifier.weight",
        "classifier.bias",
    }
    differ = (after[words] != before[words]).any(dim=1).nonzero()[:, 0].tolist()
    assert differ == prompt_tokens(model.tokenizer)
    assert len(differ) == 4


def test_a_prompt_moves_no_offset_and_cuts_no_text(span_demo: Demo, tiny_base: Path, tmp_path: Path, tokenizer: Any) -> None:
    """Words and offsets are what they were, saved and loaded too; a long text's windows keep room for the prompt."""
    task, _ = network_seed(span_demo)
    model = with_prompt(begin(task, str(tiny_base), 1), 5, 1)
    model.network.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    loaded = load_model(task, str(tmp_path))
    text = "Naïve 😀 e\u0301tude\nof asthma, " * 60
    (old,), (new,) = tokenize(tokenizer, [text]), tokenize(loaded.tokenizer, [text])
    assert (new.ids, new.offsets, new.words) == (old.ids, old.offsets, old.words)
    assert specials(loaded.tokenizer).before == [*prompt_tokens(model.tokenizer), 101]
    assert max(end - start for start, end, _, _ in new.windows) == 256 - 5 - 2
    assert loaded.tokenizer.model_max_length == tokenizer.model_max_length
    answers = Answerer(task, loaded).answer([text, "a saw"], [{}, {}])
    assert all(task.check_output(given, answer.output) for given, answer in zip([text, "a saw"], answers, strict=True))


@pytest.mark.parametrize(("method", "then"), [("lora", "lora"), ("prompt", "prompt"), ("full", "prompt"), ("prompt", "top")])
def test_retraining_interpolates_and_is_gated(text_demo: Demo, tmp_path: Path, method: str, then: str) -> None:
    """Whatever made the champion, the candidate chooses its `a`, meets the gate, and is a plain directory that answers."""
    demo = _longer(text_demo, retrain_epochs=1, epochs=2)
    run_job(_job(demo, tmp_path / "v1", method=method), demo, QUIET)
    snapshot = _feedback(tmp_path / "snapshots", demo)
    job = _job(
        demo, tmp_path / "v2", method=then, kind="retrain", number=2, parent=str(tmp_path / "v1"), parent_version=1,
        champion=str(tmp_path / "v1"), champion_version=1, snapshot=str(snapshot),
    )  # fmt: skip
    card = run_job(job, demo, QUIET)
    assert card.interpolation in (0.25, 0.5, 0.75, 1.0)
    assert card.gate is not None
    assert {check["name"] for check in card.gate["checks"]} >= {"old_domain", "feedback", "calibration"}
    assert read_card(tmp_path / "v2").method == then
    resumed = resume(open_network(tmp_path / "v2").task, str(tmp_path / "v2"), {}, 1)
    assert len(prompt_tokens(resumed.tokenizer)) == (5 if "prompt" in (method, then) else 0)


def test_other_architectures_take_adapters(span_demo: Demo, tmp_path: Path, tokenizer: Any) -> None:
    """A RoBERTa-type network, whose head lies outside the encoder, learns by both."""
    torch.manual_seed(1)
    task, seed = network_seed(span_demo)
    labels = dict(enumerate(task.config_labels()))
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=80, id2label=labels, label2id={v: k for k, v in labels.items()}, pad_token_id=0,
    )  # fmt: skip
    RobertaForTokenClassification(config).save_pretrained(tmp_path / "foreign")
    tokenizer.save_pretrained(tmp_path / "foreign")
    for method in ("lora", "prompt"):
        model = resume(task, str(tmp_path / "foreign"), {}, 1)
        model = with_prompt(model, 5, 1) if method == "prompt" else model
        old = model.network.classifier.weight.detach().clone()
        fit(model, task.encode(model.tokenizer, seed.train), FitSettings(method, epochs=1, device="cpu"))
        assert not torch.equal(model.network.classifier.weight, old)
        assert Answerer(task, model).answer(["a saw and a plum " * 30], [{}])


def test_what_cannot_be_adapted_is_said(span_demo: Demo, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No peft, no linear layer, no prompt, a rank of 0: each in words that name what to do."""
    task, seed = network_seed(span_demo)
    model = begin(task, str(tiny_base), 1)
    features = task.encode(model.tokenizer, seed.train[:4])
    with pytest.raises(BadDemo, match="with_prompt first"):
        fit(model, features, FitSettings("prompt", device="cpu"))
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        TrainingSettings(lora_rank=0)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(NoLibrary, match="pip install peft"):
        fit(model, features, FitSettings("lora", device="cpu"))
    bare = torch.nn.Embedding(2, 2)
    bare.base_model = bare
    with pytest.raises(BadDemo, match="no linear layers in Embedding"):
        linear_layers(bare)


def test_settings_reach_the_training(text_demo: Demo) -> None:
    """What the TOML says of rank, alpha, prompt and augmentation is what `fit` and the card get."""
    demo = _longer(text_demo, lora_rank=2, lora_alpha=4.0, augment=0.5)
    settings = settings_of(demo, _job(demo, Path("x"), method="lora"))
    assert (settings.lora_rank, settings.lora_alpha, settings.prompt_length, settings.augment) == (2, 4.0, 5, 0.5)
