"""How a network learns from features: five methods behind one verb, fit. It reads no data and judges nothing.

full    every layer, embeddings included unless they are frozen
top     the three top layers, on states of the frozen rest that are computed once
lora    low-rank changes of the linear layers, then part of them; prompt: vectors before every text (both: adapters.py)
head    the output layer alone: a logistic regression on what flows into it, computed once
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from feedback.errors import AmendError, BadDemo
from model.adapters import ADAPTERS, RATES, adapted, prompt_tokens
from model.base import Model
from model.batches import model_inputs, padded, shuffled_batches
from model.head import fit_head
from model.layers import TOP_LAYERS, cached_states, check_layered, upper_logits

METHODS = ("full", "top", "lora", "prompt", "head")
Feature = dict[str, Any]
Report = Callable[[int, int, "float | None"], None]
"""Told (steps done, steps in all, mean loss of late); what it raises ends the training."""


class FitSettings(NamedTuple):
    """How to learn. `device`: auto, cpu or cuda; `threads` 0: all cores; `freeze_embeddings` holds for `full`.

    `augment`: made-up examples, as a share of the real ones (augment.py; the recipe adds them, fit does not).
    """

    method: str = "full"
    epochs: float = 3.0
    batch_size: int = 16
    learning_rate: float = 3e-4
    seed: int = 1
    device: str = "auto"
    threads: int = 0
    freeze_embeddings: bool = True
    lora_rank: int = 8
    lora_alpha: float = 16.0
    prompt_length: int = 20
    augment: float = 0.0


class Fitted(NamedTuple):
    """What a training took. `tokens` counts real tokens seen, over all epochs; `loss` is the last mean loss."""

    seconds: float
    steps: int
    tokens: int
    device: str
    dtype: str
    loss: float | None


class TrainingFailed(AmendError):
    """The training came to nothing: the loss is not a number, for instance."""

    title = "Training failed"


def device_of(name: str) -> torch.device:
    """Return the device of a setting; raise BadDemo where CUDA is asked for and missing."""
    if name not in ("auto", "cpu", "cuda"):
        raise BadDemo(f"device = {name!r}: choices are auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise BadDemo(
            "device = 'cuda', but torch sees no CUDA device here: use 'auto' or 'cpu', or install a CUDA build of torch"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def fast_bf16(device: torch.device) -> bool:
    """Tell whether the device multiplies bfloat16 matrices in hardware; elsewhere bf16 is slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("amx_tile"))


def fit(model: Model, features: Sequence[Feature], settings: FitSettings, report: Report = lambda *_: None) -> Fitted:
    """Train the model in place and return what it took. The same seed on the same machine gives the same weights.

    Raises BadDemo for an unknown method or device, TrainingFailed where the loss stops being a number.
    """
    if settings.method not in METHODS:
        raise BadDemo(f"unknown method {settings.method!r}: available are {', '.join(METHODS)}")
    if not features:
        raise BadDemo("there is nothing to learn from: no example is left")
    device = device_of(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    began = time.perf_counter()
    network = model.network.to(device)
    _still(network)
    amp = autocast(device)
    if settings.method == "head":
        done = fit_head(network, features, int(model.tokenizer.pad_token_id or 0), amp, report)
        steps, tokens, loss = done.passes, done.tokens, done.loss
    elif settings.method in ADAPTERS:
        prompt = prompt_tokens(model.tokenizer)
        if settings.method == "prompt" and not prompt:
            raise BadDemo("method 'prompt' learns a prompt, and this model has none: make it with adapters.with_prompt first")
        with adapted(network, settings.method, settings.lora_rank, settings.lora_alpha, prompt) as learning:
            steps, tokens, loss = _descend(model, features, settings, amp, report, learning)
    else:
        steps, tokens, loss = _descend(model, features, settings, amp, report)
    network.eval()
    return Fitted(time.perf_counter() - began, steps, tokens, device.type, "bfloat16" if fast_bf16(device) else "float32", loss)


def autocast(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Return a maker of the context that computes in bf16 where that is fast, of one that does nothing elsewhere."""
    if fast_bf16(device):
        return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext


def _still(network: Any) -> None:
    """Set every dropout to 0: three epochs do not overfit, and on a CPU the masks cost more than they give."""
    for part in network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    if network.device.type == "cpu":
        network.set_attn_implementation("eager")  # short sentences: faster than sdpa in training on CPUs


def _descend(
    model: Model,
    features: Sequence[Feature],
    settings: FitSettings,
    amp: Callable[[], AbstractContextManager[Any]],
    report: Report,
    adapters: list[torch.nn.Parameter] | None = None,
) -> tuple[int, int, float]:
    """Gradient descent over length-bucketed batches; return (steps, tokens, last mean loss). `adapters`: what alone learns."""
    network, pad = model.network, int(model.tokenizer.pad_token_id or 0)
    learning, forward = _prepared(network, features, settings, pad, amp, adapters)
    lengths = [len(feature["input_ids"]) for feature in features]
    level = max(1e-8, sum(float(feature["weight"]) for feature in features) / len(features))
    per_epoch = -(-len(features) // settings.batch_size)
    total = max(1, round(per_epoch * settings.epochs))
    rate = settings.learning_rate * RATES.get(settings.method, 1.0)
    optimizer = torch.optim.AdamW(_decayed(learning), lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _slope(step, total))
    random = np.random.default_rng(settings.seed)
    step = tokens = 0
    recent = torch.zeros((), device=network.device)
    shown: float | None = None
    network.train()
    while step < total:
        for batch in shuffled_batches(lengths, settings.batch_size, random):
            if step >= total:
                break
            with amp():
                logits = forward(batch)
            loss = weighted_loss(logits.float(), [features[i] for i in batch], level)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            tokens += sum(lengths[i] for i in batch)
            recent = 0.9 * recent + 0.1 * loss.detach()
            if step % 10 == 0 or step == total:  # reading the loss stops a GPU: not at every step
                shown = _read(recent, step, total, settings)
            report(step, total, shown)
    return step, tokens, float(shown or 0.0)


def _read(recent: torch.Tensor, step: int, total: int, settings: FitSettings) -> float:
    """Return the running mean of the loss, freed of its start at 0; raise TrainingFailed where it is not a number."""
    value = float(recent) / (1 - 0.9**step)
    if not math.isfinite(value):
        raise TrainingFailed(
            f"the loss became {value} by step {step} of {total}: try a learning rate below {settings.learning_rate:g}, or look for broken examples"
        )
    return value


def _prepared(
    network: Any,
    features: Sequence[Feature],
    settings: FitSettings,
    pad: int,
    amp: Callable[[], AbstractContextManager[Any]],
    adapters: list[torch.nn.Parameter] | None,
) -> tuple[list[torch.nn.Parameter], Callable[[list[int]], torch.Tensor]]:
    """Return the parameters that learn and a function from feature numbers to logits."""
    rows = [feature["input_ids"] for feature in features]
    if adapters is not None:
        return adapters, lambda batch: network(**model_inputs([rows[i] for i in batch], pad, network.device)).logits
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    if settings.method == "top":
        check_layered(network)
        learning = upper_parameters(network)
        states = cached_states(network, rows, pad, amp)
        return learning, lambda batch: upper_logits(network, [states[i] for i in batch])
    if settings.freeze_embeddings:
        network.get_input_embeddings().weight.requires_grad_(False)
    learning = [p for p in network.parameters() if p.requires_grad]
    return learning, lambda batch: network(**model_inputs([rows[i] for i in batch], pad, network.device)).logits


def upper_parameters(network: Any) -> list[torch.nn.Parameter]:
    """Freeze all but the top layers and the head; return what is left to learn."""
    frozen = [*network.base_model.embeddings.parameters(), *network.base_model.encoder.layer[:-TOP_LAYERS].parameters()]
    for parameter in frozen:
        parameter.requires_grad_(False)
    return [p for p in network.parameters() if p.requires_grad]


def _decayed(learning: Sequence[torch.nn.Parameter]) -> list[dict[str, Any]]:
    """Weight decay of 0.01 for matrices, none for biases and norms, as BERT was trained."""
    matrices, vectors = [p for p in learning if p.ndim > 1], [p for p in learning if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]


def _slope(step: int, total: int) -> float:
    """Return the learning rate's factor: up in a straight line over 6 % of the steps, then down to 0."""
    warm = max(1, round(0.06 * total))
    return (step + 1) / warm if step < warm else max(0.0, (total - step) / max(1, total - warm))


def weighted_loss(logits: torch.Tensor, features: Sequence[Feature], level: float = 1.0) -> torch.Tensor:
    """Return the cross-entropy over labelled places, each times its example's weight, by place and by `level`.

    logits: (batch, tokens, labels) with labels -100 where a place does not count, or (batch, labels). level: the mean weight in
    the whole training set. By the batch's own weights, examples that should weigh little would teach at full rate wherever
    they fall into one batch.
    """
    device = logits.device
    weights = torch.tensor([float(feature["weight"]) for feature in features], device=device)
    if logits.ndim == 2:
        losses = functional.cross_entropy(logits, torch.tensor([f["labels"] for f in features], device=device), reduction="none")
        return (losses * weights).mean() / level
    labels = padded([feature["labels"] for feature in features], -100).to(device)
    losses = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=-100)  # (batch, tokens)
    counted = labels != -100
    return (losses * weights[:, None] * counted).sum() / (counted.sum().clamp_min(1) * level)
