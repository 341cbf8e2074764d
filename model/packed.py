"""A lean forward pass of BERT over texts packed without padding, on the network's own weights. It knows no tasks and no loops.

Every linear layer sees (tokens, hidden), the texts of a batch one after another; query, key and value are one product; the last
layer asks only for the places whose logits are wanted (keys and values of all). It computes what transformers' BERT computes
with dropout 0, as tests show for logits and gradients, of texts of different lengths. Attention never mixes texts: how it keeps
them apart (packed_attention.py) hangs on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from model.packed_attention import Attention, padded_attention, varlen_attention
from model.packing import Pack

KNOWN = ("BertForTokenClassification", "BertForSequenceClassification")


def why_plain(network: Any) -> str:
    """Return why the lean forward does not know this network, in words; empty where it does."""
    name = type(network).__name__
    if name not in KNOWN:
        return f"{name} is not built like BERT"
    config = network.config
    if config.is_decoder or config.add_cross_attention:
        return f"{name} is a decoder here"
    linear = [part for layer in network.bert.encoder.layer for part in _query_key_value(layer)]
    if any(type(part) is not nn.Linear or part.bias is None for part in linear):
        return f"{name} has adapters or layers of another kind inside"
    return ""


class Packed:
    """The lean pass over a network. Between `Packed(network)` and `release()` its query, key and value weights are views of joint ones.

    `attend`: how texts are kept apart; by default variable-length attention on CUDA in half precision, padding elsewhere.
    """

    def __init__(self, network: Any, attend: Attention | None = None) -> None:
        self._network, self._base = network, network.bert
        self._layers = list(network.bert.encoder.layer)
        self._joint = [_joined(layer) for layer in self._layers]
        self._heads = int(network.config.num_attention_heads)
        self._words: tuple[torch.Tensor, torch.Tensor, nn.Parameter] | None = None
        self.attend = attend or (varlen_attention if network.device.type == "cuda" else padded_attention)

    def learning(self, lowest: int = 0, embeddings: bool = False, words: Sequence[int] = ()) -> list[nn.Parameter]:
        """Return the parameters that learn: the layers from `lowest` on, what is above them, and the embeddings if asked for.

        All others stop asking for gradients, so that no step below is computed backwards in vain. `words`: the ids that occur at
        all; then their vectors alone learn, in a small table of their own: the same steps without a gradient of the whole
        vocabulary, but words that do not occur are not decayed either.
        """
        network, encoder = self._network, self._base.encoder
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        for weight, bias in self._joint:
            weight.requires_grad_(False), bias.requires_grad_(False)
        above = [p for layer in self._layers[lowest:] for p in layer.parameters()]
        inside = {id(p) for p in (*self._base.embeddings.parameters(), *encoder.parameters())}
        above += [p for p in network.parameters() if id(p) not in inside]
        above += [p for p in self._base.embeddings.parameters() if embeddings]
        parts = {id(p) for layer in self._layers for part in _query_key_value(layer) for p in part.parameters()}
        if embeddings and words:
            table = self._base.embeddings.word_embeddings.weight
            known = torch.tensor(sorted(set(words)), device=table.device)
            place = torch.zeros(len(table), dtype=torch.long, device=table.device)
            place[known] = torch.arange(len(known), device=table.device)
            self._words = (known, place, nn.Parameter(table.detach()[known]))
            above.append(self._words[2])
            parts.add(id(table))
        found = [p for p in above if id(p) not in parts] + [p for pair in self._joint[lowest:] for p in pair]
        return [p.requires_grad_(True) for p in found]

    def embedded(self, pack: Pack) -> torch.Tensor:
        """Return what flows into the first layer: (tokens, hidden)."""
        parts = self._base.embeddings
        if self._words is None:
            hidden = parts.word_embeddings(pack.ids)
        else:
            _, place, table = self._words
            hidden = functional.embedding(place[pack.ids], table)
        hidden = hidden + parts.token_type_embeddings.weight[0] + parts.position_embeddings(pack.positions)
        return parts.LayerNorm(hidden)  # type: ignore[no-any-return]

    def through(self, hidden: torch.Tensor, pack: Pack, first: int, end: int) -> torch.Tensor:
        """Return the states after the layers first..end-1: (tokens, hidden); after the very last (places, hidden)."""
        for number in range(first, end):
            hidden = self._layer(number, hidden, pack)
        return hidden

    def logits(self, pack: Pack, hidden: torch.Tensor | None = None, first: int = 0) -> torch.Tensor:
        """Return the logits of the wanted places: (places, labels). `hidden`: states that flow into layer `first`."""
        hidden = self.embedded(pack) if hidden is None else hidden
        states = self.through(hidden, pack, first, len(self._layers))
        pooler = self._base.pooler
        if pooler is not None:
            states = pooler.activation(pooler.dense(states))
        return self._network.classifier(states)  # type: ignore[no-any-return]

    @property
    def layers(self) -> int:
        """How many layers the encoder has."""
        return len(self._layers)

    def joint(self) -> tuple[list[tuple[str, nn.Parameter]], set[int]]:
        """Return the joint query, key and value weights by name, and the ids of the parameters that are views of them."""
        pairs = [(f"joint.{i}.{kind}", part) for i, pair in enumerate(self._joint) for kind, part in zip("wb", pair, strict=True)]
        return pairs, {id(p) for layer in self._layers for part in _query_key_value(layer) for p in part.parameters()}

    def rejoin(self) -> None:
        """Make query, key and value views of the joint weights again, after those were pointed elsewhere."""
        for layer, (weight, bias) in zip(self._layers, self._joint, strict=True):
            _view(_query_key_value(layer), weight, bias)

    def release(self) -> None:
        """Give the network weights of its own again, with what was learned."""
        if self._words is not None:
            known, _, table = self._words
            with torch.no_grad():
                self._base.embeddings.word_embeddings.weight[known] = table
            self._words = None
        for layer in self._layers:
            for part in _query_key_value(layer):
                part.weight = nn.Parameter(part.weight.detach().clone())
                part.bias = nn.Parameter(part.bias.detach().clone())
        for parameter in self._network.parameters():
            parameter.requires_grad_(True)

    def _layer(self, number: int, hidden: torch.Tensor, pack: Pack) -> torch.Tensor:
        layer, (weight, bias) = self._layers[number], self._joint[number]
        if number + 1 < len(self._layers):
            mixed = self.attend(None, functional.linear(hidden, weight, bias), pack, self._heads)
        else:
            width = hidden.shape[1]
            both = functional.linear(hidden, weight[width:], bias[width:])
            hidden = hidden.index_select(0, pack.wanted)  # (places, hidden)
            mixed = self.attend(functional.linear(hidden, weight[:width], bias[:width]), both, pack, self._heads)
        hidden = layer.attention.output.LayerNorm(layer.attention.output.dense(mixed) + hidden)
        grown = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(hidden))
        return layer.output.LayerNorm(layer.output.dense(grown) + hidden)  # type: ignore[no-any-return]


def _query_key_value(layer: Any) -> Sequence[Any]:
    part = layer.attention.self
    return part.query, part.key, part.value


def _joined(layer: Any) -> tuple[nn.Parameter, nn.Parameter]:
    """Put query, key and value into one weight (3 * hidden, hidden) and one bias; the three become views of them."""
    parts = _query_key_value(layer)
    weight = nn.Parameter(torch.cat([part.weight.detach() for part in parts]))
    bias = nn.Parameter(torch.cat([part.bias.detach() for part in parts]))
    _view(parts, weight, bias)
    return weight, bias


def _view(parts: Sequence[Any], weight: torch.Tensor, bias: torch.Tensor) -> None:
    for part, w, b in zip(parts, weight.detach().chunk(3), bias.detach().chunk(3), strict=True):
        part.weight.data, part.bias.data = w, b
