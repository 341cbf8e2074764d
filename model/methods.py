"""How a network learns from features: five methods behind one verb, fit. It reads no data and judges nothing.

full    every layer, embeddings included unless they are frozen
top     the three top layers, on states of the frozen rest that are computed once
lora    low-rank changes of the linear layers, then part of them; prompt: vectors before every text (both: adapters.py)
head    the output layer alone: a logistic regression on what flows into it, computed once
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch

from feedback.errors import BadDemo
from model.adapters import ADAPTERS, RATES, adapted, prompt_tokens
from model.base import Model
from model.batches import budget_batches, shuffled_batches
from model.descent import Descended, Learner, Report, Say, TrainingFailed, descend
from model.head import fit_head
from model.learners import chosen, lean, plain, weighted_loss

__all__ = ["METHODS", "FitSettings", "Fitted", "TrainingFailed", "autocast", "device_of", "fast_bf16", "fit", "weighted_loss"]

METHODS = ("full", "top", "lora", "prompt", "head")
Feature = dict[str, Any]


class FitSettings(NamedTuple):
    """How to learn. `device`: auto, cpu or cuda; `threads` 0: all cores; `freeze_embeddings` holds for `full`.

    `augment`: made-up examples, as a share of the real ones (augment.py; the recipe adds them, fit does not).
    `token_budget` > 0: batches of at most so many tokens instead of `batch_size` texts, for GPUs, which short batches leave idle;
    `graphs`: with it, each step is compiled into a CUDA graph of one shape (method `full`).
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
    token_budget: int = 0
    graphs: bool = False


class Fitted(NamedTuple):
    """What a training took. `tokens` counts real tokens seen, over all epochs; `loss` is the last mean loss.

    `path`: "lean" where the network was trained by packed.py, "plain" where by transformers' own forward pass. `micro_batch`:
    texts computed at once, where memory ran out at a whole batch.
    """

    seconds: float
    steps: int
    tokens: int
    device: str
    dtype: str
    loss: float | None
    path: str = "plain"
    micro_batch: int | None = None


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


def fit(
    model: Model,
    features: Sequence[Feature],
    settings: FitSettings,
    report: Report = lambda *_: None,
    say: Say = lambda _: None,
) -> Fitted:
    """Train the model in place and return what it took. The same seed on the same machine gives the same weights.

    `say` is told in words when memory ran out. Raises BadDemo for an unknown method or device, TrainingFailed where the loss
    stops being a number or memory does not suffice for one text.
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
    dtype = "bfloat16" if fast_bf16(device) else "float32"
    if settings.method == "head":
        done = fit_head(network, features, int(model.tokenizer.pad_token_id or 0), autocast(device), report)
        took, path = Descended(done.passes, done.tokens, done.loss, None), "plain"
    else:
        took, path = _descended(model, features, settings, report, say)
    network.eval()
    seconds = time.perf_counter() - began
    return Fitted(seconds, took.steps, took.tokens, device.type, dtype, took.loss, path, took.micro_batch)


def _descended(
    model: Model, features: Sequence[Feature], settings: FitSettings, report: Report, say: Say
) -> tuple[Descended, str]:
    """Train by gradient descent; return what it took and on which path."""
    network, pad, device = model.network, int(model.tokenizer.pad_token_id or 0), model.network.device
    lengths = [len(feature["input_ids"]) for feature in features]
    random = np.random.default_rng(settings.seed)

    def epoch() -> list[list[int]]:
        if settings.token_budget:
            return budget_batches(lengths, settings.token_budget, random)
        return shuffled_batches(lengths, settings.batch_size, random)

    total = max(1, round(_per_epoch(lengths, settings) * settings.epochs))
    rate = settings.learning_rate * RATES.get(settings.method, 1.0)
    amp, top, half = autocast(device), settings.method == "top", fast_bf16(device)
    network.train()

    def run(learner: Learner) -> tuple[Descended, str]:
        try:
            took = descend(learner, lengths, epoch, total, rate, amp, report, say)
        finally:
            learner.done()
        return took, learner.path

    if settings.method in ADAPTERS:
        prompt = prompt_tokens(model.tokenizer)
        if settings.method == "prompt" and not prompt:
            raise BadDemo("method 'prompt' learns a prompt, and this model has none: make it with adapters.with_prompt first")
        with adapted(network, settings.method, settings.lora_rank, settings.lora_alpha, prompt) as learning:
            return run(plain(network, features, False, False, pad, amp, learning))
    if chosen(network) == "lean":
        budget = settings.token_budget if settings.graphs and half and device.type == "cuda" and not top else 0
        return run(lean(network, features, top, settings.freeze_embeddings, half, amp, budget))
    return run(plain(network, features, top, settings.freeze_embeddings, pad, amp))


def _per_epoch(lengths: Sequence[int], settings: FitSettings) -> int:
    """Return the batches of an epoch; of the first one where they are made by tokens."""
    if settings.token_budget:
        return len(budget_batches(lengths, settings.token_budget, np.random.default_rng(settings.seed)))
    return -(-len(lengths) // settings.batch_size)


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
