"""Splitting a BERT-shaped network into a frozen lower part and top layers that learn. It knows no losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from feedback.errors import BadDemo
from model.batches import length_batches, model_inputs

TOP_LAYERS = 3


def check_layered(network: Any) -> None:
    """Raise BadDemo in words where a network is not built like BERT (embeddings, encoder.layer, one classifier)."""
    base = network.base_model
    shaped = hasattr(base, "embeddings") and hasattr(getattr(base, "encoder", None), "layer") and hasattr(network, "classifier")
    if not shaped:
        raise BadDemo(
            f"method 'top' knows networks built like BERT, not {type(network).__name__}: use 'full' or 'head' with this base"
        )
    if len(base.encoder.layer) <= TOP_LAYERS:
        raise BadDemo(
            f"method 'top' trains the {TOP_LAYERS} top layers; this network has {len(base.encoder.layer)} in all: use 'full'"
        )


def cached_states(
    network: Any, rows: Sequence[Sequence[int]], pad: int, amp: Callable[[], AbstractContextManager[Any]], size: int = 32
) -> list[torch.Tensor]:
    """Return each row's states below the top layers: (tokens, hidden) in half precision, on the network's device.

    Half precision keeps 11 bits of the mantissa, more than bf16, at half the memory of fp32.
    """
    base, whole = network.base_model, network.base_model.encoder.layer
    states: list[torch.Tensor] = [torch.empty(0)] * len(rows)
    base.encoder.layer = whole[:-TOP_LAYERS]
    base.eval()
    try:
        for batch in length_batches([len(row) for row in rows], size):
            with torch.no_grad(), amp():
                out = base(**model_inputs([rows[i] for i in batch], pad, network.device)).last_hidden_state
            for i, state in zip(batch, out.half(), strict=True):
                states[i] = state[: len(rows[i])].clone()
    finally:
        base.encoder.layer = whole
    return states


def upper_logits(network: Any, states: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the logits of a batch from its cached states: (batch, tokens, labels) or (batch, labels)."""
    base, whole = network.base_model, network.base_model.encoder.layer
    # Each to fp32 first: autocast on CPUs knows no fp16 where tensors are joined.
    hidden = torch.nn.utils.rnn.pad_sequence([state.float() for state in states], batch_first=True)  # (batch, tokens, hidden)
    lengths = torch.tensor([len(state) for state in states], device=hidden.device)
    there = torch.arange(hidden.shape[1], device=hidden.device)[None, :] < lengths[:, None]
    mask = torch.zeros(there.shape, device=hidden.device).masked_fill(~there, torch.finfo(torch.float32).min)[:, None, None, :]
    for layer in whole[-TOP_LAYERS:]:
        hidden = layer(hidden, mask)
    pooler = getattr(base, "pooler", None)
    logits: torch.Tensor = network.classifier(pooler(hidden) if pooler is not None else hidden)
    return logits
