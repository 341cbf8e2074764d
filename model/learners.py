"""From a network and its method to what learns and the loss of a batch: the lean pass where it knows the network, else the plain one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate
from typing import Any

import torch
from torch.nn import functional

from model.batches import length_batches, model_inputs, padded
from model.descent import Learner
from model.layers import TOP_LAYERS, cached_states, check_layered, upper_logits
from model.packed import Packed, why_plain
from model.packed_attention import padded_attention, varlen_attention
from model.packing import Feature, Pack, filled, head_slices, heads_of, pack, places, shape_of

Amp = Callable[[], AbstractContextManager[Any]]
CACHING = 32  # texts at once while states are computed that will not change


def lean(
    network: Any,
    features: Sequence[Feature],
    top: bool,
    freeze_embeddings: bool,
    half: bool,
    amp: Amp,
    budget: int = 0,
) -> Learner:
    """Return the learner on the lean pass. `top`: the top layers alone, on states of the rest; `half`: bf16 is computed with.

    `budget` > 0: every pack is filled up to the shape of so many tokens, and the step is compiled into graphs (CUDA only).
    """
    if top:
        check_layered(network)
    attend = varlen_attention if network.device.type == "cuda" and half else padded_attention
    packed = Packed(network, attend)
    level, device = mean_weight(features), network.device
    logits: Callable[..., torch.Tensor] = packed.logits
    shape = shape_of([len(feature["input_ids"]) for feature in features], budget) if budget else None
    if shape is not None:
        logits = torch.compile(packed.logits, mode="reduce-overhead", dynamic=False)

    def packs(batch: Sequence[int], counted: int) -> Pack:
        made = pack([features[i] for i in batch], level, counted, attend is padded_attention)
        return (made if shape is None else filled(made, shape)).to(device)

    if not top:
        words = {token for feature in features for token in feature["input_ids"]} | {0}  # 0: what packs are filled up with
        parameters = packed.learning(embeddings=not freeze_embeddings, words=list(words))

        def loss(batch: Sequence[int], counted: int) -> torch.Tensor:
            given = packs(batch, counted)
            if shape is not None:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # its last results may be overwritten now
            return packed_loss(logits(given), given)

        return Learner(parameters, loss, [places(f) for f in features], "lean", packed.release)
    lowest = packed.layers - TOP_LAYERS
    parameters = packed.learning(lowest)
    starts = [0, *accumulate(len(feature["input_ids"]) for feature in features)]
    states = _states(packed, features, starts, lowest, packs, amp)

    def upper_loss(batch: Sequence[int], counted: int) -> torch.Tensor:
        given = packs(batch, counted)
        # Each part to fp32 before it is joined: autocast on CPUs knows no fp16 in cat.
        hidden = torch.cat([states[starts[i] : starts[i + 1]].float() for i in batch])
        return packed_loss(packed.logits(given, hidden, lowest), given)

    return Learner(parameters, upper_loss, [places(f) for f in features], "lean", packed.release)


def _states(
    packed: Packed,
    features: Sequence[Feature],
    starts: Sequence[int],
    lowest: int,
    packs: Callable[[Sequence[int], int], Pack],
    amp: Amp,
) -> torch.Tensor:
    """Return all texts' states below layer `lowest`, one after another: (tokens, hidden) in half precision (see cached_states)."""
    states: torch.Tensor | None = None
    for batch in length_batches([len(feature["input_ids"]) for feature in features], CACHING):
        with torch.no_grad(), amp():
            given = packs(batch, 1)
            out = packed.through(packed.embedded(given), given, 0, lowest).half()
        if states is None:
            states = torch.empty((starts[-1], out.shape[1]), dtype=out.dtype, device=out.device)
        for i, part in zip(batch, torch.split(out, [starts[i + 1] - starts[i] for i in batch]), strict=True):
            states[starts[i] : starts[i + 1]] = part
    assert states is not None
    return states


def plain(
    network: Any,
    features: Sequence[Feature],
    top: bool,
    freeze_embeddings: bool,
    pad: int,
    amp: Amp,
    adapters: list[torch.nn.Parameter] | None = None,
) -> Learner:
    """Return the learner on transformers' own forward pass. `adapters`: what alone learns, where there are some."""
    rows, level = [feature["input_ids"] for feature in features], mean_weight(features)
    counts = [places(feature) for feature in features]

    def learner(parameters: list[torch.nn.Parameter], forward: Callable[[Sequence[int]], torch.Tensor]) -> Learner:
        def loss(batch: Sequence[int], counted: int) -> torch.Tensor:
            return weighted_loss(forward(batch).float(), [features[i] for i in batch], level, counted)

        return Learner(parameters, loss, counts, "plain")

    def whole(batch: Sequence[int]) -> torch.Tensor:
        return network(**model_inputs([rows[i] for i in batch], pad, network.device)).logits  # type: ignore[no-any-return]

    if adapters is not None:
        return learner(adapters, whole)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    if top:
        check_layered(network)
        parameters = upper_parameters(network)
        states = cached_states(network, rows, pad, amp)
        return learner(parameters, lambda batch: upper_logits(network, [states[i] for i in batch]))
    if freeze_embeddings:
        embeddings = getattr(network.base_model, "embeddings", None) or network.get_input_embeddings()
        embeddings.requires_grad_(False)
    return learner([p for p in network.parameters() if p.requires_grad], whole)


def chosen(network: Any) -> str:
    """Return "lean" where the lean pass knows the network, else "plain"."""
    return "plain" if why_plain(network) else "lean"


def upper_parameters(network: Any) -> list[torch.nn.Parameter]:
    """Freeze all but the top layers and the head; return what is left to learn."""
    frozen = [*network.base_model.embeddings.parameters(), *network.base_model.encoder.layer[:-TOP_LAYERS].parameters()]
    for parameter in frozen:
        parameter.requires_grad_(False)
    return [p for p in network.parameters() if p.requires_grad]


def mean_weight(features: Sequence[Feature]) -> float:
    """Return the mean weight of the examples, at least 1e-8."""
    return max(1e-8, sum(float(feature["weight"]) for feature in features) / len(features))


def packed_loss(logits: torch.Tensor, given: Pack) -> torch.Tensor:
    """Return the loss of a pack from the logits of its wanted places, (places, labels). The same number as weighted_loss."""
    losses = cross_entropies(logits.float(), given.labels, given.heads)
    return (losses * given.weights).sum()


def cross_entropies(logits: torch.Tensor, labels: torch.Tensor, heads: Sequence[int]) -> torch.Tensor:
    """Return the cross-entropy at each place: (places,). With heads it is the sum over those whose label is known.

    logits: (places, columns); labels, as numbers of columns: (places,), or (places, heads) with -100 where nothing is known.
    """
    if not heads:
        return functional.cross_entropy(logits, labels, reduction="none")
    parts = []
    for number, columns in enumerate(head_slices(heads)):
        given = labels[:, number]
        own = torch.where(given < 0, given, given - columns.start)
        parts.append(functional.cross_entropy(logits[:, columns], own, reduction="none"))
    return torch.stack(parts).sum(dim=0)


def weighted_loss(
    logits: torch.Tensor, features: Sequence[Feature], level: float = 1.0, counted: int | None = None
) -> torch.Tensor:
    """Return the cross-entropy over labelled places, each times its example's weight, by place and by `level`.

    logits: (batch, tokens, labels) with labels -100 where a place does not count, or (batch, labels); of several heads the losses
    are summed. level: the mean weight in the whole training set. By the batch's own weights, examples that should weigh little would
    teach at full rate wherever they fall into one batch. counted: the labelled places to divide by, where these features are only
    a part of their batch.
    """
    device = logits.device
    weights = torch.tensor([float(feature["weight"]) for feature in features], device=device)
    if logits.ndim == 2:
        losses = cross_entropies(logits, torch.tensor([f["labels"] for f in features], device=device), heads_of(features))
        return (losses * weights).sum() / ((counted or len(features)) * level)
    labels = padded([feature["labels"] for feature in features], -100).to(device)
    losses = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=-100)  # (batch, tokens)
    weighed = (losses * weights[:, None] * (labels != -100)).sum()
    return weighed / ((counted or max(1, sum(places(f) for f in features))) * level)
