"""The lean pass computes what transformers' BERT computes: logits and gradients, texts of different lengths in one batch."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    RobertaConfig,
    RobertaForTokenClassification,
)

from model import packed_attention
from model.batches import model_inputs
from model.learners import cross_entropies, packed_loss, weighted_loss
from model.packed import Packed, why_plain
from model.packed_attention import Attention, block_attention, padded_attention
from model.packing import Feature, filled, pack, shape_of

SIZES: dict[str, Any] = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64, "num_labels": 3,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.3, "pad_token_id": 0,
}  # fmt: skip
UNEQUAL, EQUAL = (5, 9, 3, 9, 1), (6, 6, 6)
WAYS: list[Any] = [pytest.param(padded_attention, id="padded"), pytest.param(block_attention, id="block")]
HEADS = (3, 2)
TWO_HEADS: Any = partial(BertForSequenceClassification)  # the same network, over features that carry a label a head
KINDS: list[Any] = [
    pytest.param(BertForTokenClassification, id="tokens"),
    pytest.param(BertForSequenceClassification, id="texts"),
    pytest.param(TWO_HEADS, id="heads"),
]


def _made(kind: Any, lengths: tuple[int, ...], seed: int = 3) -> tuple[Any, list[Feature]]:
    """A random network, loud enough that attention is far from even, and random features; of heads one now and then is not told."""
    torch.manual_seed(seed)
    network = kind(BertConfig(**{**SIZES, "num_labels": sum(HEADS)} if kind is TWO_HEADS else SIZES))
    features: list[Feature] = []
    for length in lengths:
        ids = torch.randint(1, 99, (length,)).tolist()
        labels = [(-100, 0, 1, 2)[int(n)] for n in torch.randint(0, 4, (length,))]
        whole = int(torch.randint(0, 3, ()))
        features.append(
            {
                "input_ids": ids,
                "labels": labels if kind is BertForTokenClassification else whole,
                "weight": float(torch.rand(())) + 0.1,
            }
        )
        if kind is TWO_HEADS:
            known = length % 4 != 1  # the texts of 5, 9 and 1 tokens tell their first head alone
            features[-1] |= {"labels": (whole, HEADS[0] + length % 2 if not known else -100), "heads": HEADS}
    return network, features


def _plain(network: Any, features: list[Feature]) -> torch.Tensor:
    """Transformers' logits of the labelled places, in order."""
    logits = network(**model_inputs([f["input_ids"] for f in features], 0, torch.device("cpu"))).logits
    if logits.ndim == 2:
        return logits  # type: ignore[no-any-return]
    return torch.cat([logits[i, j][None] for i, f in enumerate(features) for j, label in enumerate(f["labels"]) if label != -100])


def _gradients(network: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attend", WAYS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [UNEQUAL, EQUAL])
def test_logits_and_gradients_equal_the_plain_networks(kind: Any, attend: Attention, lengths: tuple[int, ...]) -> None:
    """Logits of the wanted places, the loss with weights, and every parameter's gradient are those of the plain pass."""
    network, features = _made(kind, lengths)
    expected = _plain(network, features).detach()
    logits = network(**model_inputs([f["input_ids"] for f in features], 0, torch.device("cpu"))).logits
    plain_loss = weighted_loss(logits, features, 0.7)
    wanted = _gradients(network, plain_loss)
    network.zero_grad()
    packed = Packed(network, attend)
    packed.learning(embeddings=True)
    given = pack(features, 0.7)
    logits = packed.logits(given)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    loss = packed_loss(logits, given)
    torch.testing.assert_close(loss, plain_loss)
    found = _gradients(network, loss)
    for number, (weight, bias) in enumerate(packed._joint):
        for part, w, b in zip(("query", "key", "value"), weight.grad.chunk(3), bias.grad.chunk(3), strict=True):  # type: ignore[union-attr]
            place = f"bert.encoder.layer.{number}.attention.self.{part}"
            found |= {f"{place}.weight": w, f"{place}.bias": b}
    assert set(found) == set(wanted)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=2e-5 * float(gradient.abs().max()) + 1e-6, rtol=0, msg=name)


def test_the_loss_of_heads_is_the_sum_of_their_cross_entropies() -> None:
    """By its definition (minus the log of the softmax over the head's own columns), over the heads whose label is known."""
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    found = cross_entropies(logits, torch.tensor([[2, 3], [0, -100], [-100, 4]]), HEADS)
    topic, mood = logits[:, :3].log_softmax(dim=1), logits[:, 3:].log_softmax(dim=1)
    torch.testing.assert_close(found, torch.stack([-topic[0, 2] - mood[0, 0], -topic[1, 0], -mood[2, 1]]))


@pytest.mark.parametrize("attend", WAYS)
def test_texts_of_a_pack_do_not_see_each_other(attend: Attention) -> None:
    """Exchanging one text for another of its length changes no other text's logits by a bit."""
    network, features = _made(BertForTokenClassification, UNEQUAL)
    labels = [{**f, "labels": [0] * len(f["input_ids"])} for f in features]
    other = [*labels[:1], {**labels[1], "input_ids": [98] * 9}, *labels[2:]]
    packed = Packed(network, attend)
    with torch.no_grad():
        before, after = packed.logits(pack(labels)), packed.logits(pack(other))
    untouched = [i for i in range(sum(UNEQUAL)) if not 5 <= i < 14]
    torch.testing.assert_close(after[untouched], before[untouched], atol=1e-6, rtol=0)
    assert (after[5:14] - before[5:14]).abs().max() > 0.1


def test_without_borders_texts_would_mix() -> None:
    """The control: one text's attention over the whole pack, as flash attention without borders does it, gives other logits."""

    def mixing(queries: torch.Tensor | None, joint: torch.Tensor, given: Any, heads: int) -> torch.Tensor:
        tokens = torch.tensor([0, len(given.ids)], dtype=torch.int32)
        return block_attention(queries, joint, given._replace(bounds=tokens), heads)

    network, features = _made(BertForTokenClassification, UNEQUAL)
    expected = _plain(network, features)
    with torch.no_grad():
        assert (Packed(network, mixing).logits(pack(features)) - expected).abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_filling_a_pack_up_changes_nothing(kind: Any) -> None:
    """Packs of two sizes filled up to one shape have that shape, and the loss and gradients that they had."""
    network, features = _made(kind, UNEQUAL)
    shape = shape_of([len(f["input_ids"]) for f in features], 40)
    packed = Packed(network, block_attention)
    learning = packed.learning()
    for part in (features, features[:2]):
        given = pack(part, grids=False)
        more = filled(given, shape)
        sizes = [len(more.ids), len(more.positions), len(more.bounds) - 1, len(more.wanted), int(more.bounds[-1])]
        assert sizes == [shape.tokens, shape.tokens, shape.texts, shape.places, shape.tokens]
        both = []
        for one in (given, more):
            network.zero_grad(set_to_none=True)
            loss = packed_loss(packed.logits(one), one)
            both.append((loss.detach(), torch.autograd.grad(loss, learning)))
        torch.testing.assert_close(both[0], both[1], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="do not fit"):
        filled(pack(features, grids=False), shape._replace(tokens=27))


def test_parts_of_a_batch_add_up() -> None:
    """Losses of a batch's parts, each divided by the whole batch's places, add up to the batch's loss; on both paths."""
    network, features = _made(BertForTokenClassification, UNEQUAL)
    counted = sum(label != -100 for f in features for label in f["labels"])
    packed = Packed(network)
    whole = packed_loss(packed.logits(given := pack(features, 0.5)), given)
    parts = [pack(part, 0.5, counted) for part in (features[:2], features[2:])]
    torch.testing.assert_close(sum(packed_loss(packed.logits(part), part) for part in parts), whole)

    def logits(rows: list[Feature]) -> torch.Tensor:
        out: torch.Tensor = network(**model_inputs([f["input_ids"] for f in rows], 0, torch.device("cpu"))).logits
        return out

    plain = [weighted_loss(logits(part), part, 0.5, counted) for part in (features[:2], features[2:])]
    torch.testing.assert_close(sum(plain), whole)


def test_a_batch_without_labelled_places_teaches_nothing() -> None:
    """Its loss is 0 and its gradients are 0, not an error and not a missing number."""
    network, features = _made(BertForTokenClassification, UNEQUAL)
    given = pack([{**f, "labels": [-100] * len(f["input_ids"])} for f in features])
    packed = Packed(network)
    learning = packed.learning()
    loss = packed_loss(packed.logits(given), given)
    assert float(loss.detach()) == 0.0
    assert all(not g.any() for g in torch.autograd.grad(loss, learning, allow_unused=True) if g is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_the_words_that_occur_learn_as_the_whole_table_would(kind: Any) -> None:
    """The small table's gradients are the big one's rows, and after release the big one has what was learned and no other change."""
    network, features = _made(kind, UNEQUAL)
    given = pack(features)
    whole = Packed(network)
    whole.learning(embeddings=True)
    packed_loss(whole.logits(given), given).backward()  # type: ignore[no-untyped-call]
    big = network.bert.embeddings.word_embeddings.weight
    expected, start = big.grad.clone(), big.detach().clone()
    whole.release()
    packed = Packed(network)
    words = {token for f in features for token in f["input_ids"]}
    learning = packed.learning(embeddings=True, words=list(words))
    assert all(p is not big for p in learning)
    loss = packed_loss(packed.logits(given), given)
    loss.backward()  # type: ignore[no-untyped-call]
    (small,) = [p for p in learning if p.shape == (len(words), 32)]
    known = sorted(words)
    assert small.grad is not None
    torch.testing.assert_close(small.grad, expected[known], atol=1e-5, rtol=1e-4)
    torch.optim.SGD([small], lr=1.0).step()
    packed.release()
    torch.testing.assert_close(start - big.detach(), expected, atol=1e-5, rtol=1e-4)


def test_release_gives_the_network_what_was_learned() -> None:
    """Steps on the joint weights are the network's own after release, and no two weights share memory any more."""
    network, features = _made(BertForTokenClassification, UNEQUAL)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    packed = Packed(network)
    learning = packed.learning()
    given = pack(features)
    packed_loss(packed.logits(given), given).backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD(learning, lr=0.5).step()
    expected = packed.logits(given).detach()
    packed.release()
    network.eval()
    torch.testing.assert_close(_plain(network, features).detach(), expected, atol=1e-5, rtol=1e-5)
    after = network.state_dict()
    value = "bert.encoder.layer.0.attention.self.value.weight"
    assert not torch.equal(after[value], before[value])
    assert torch.equal(after["bert.embeddings.word_embeddings.weight"], before["bert.embeddings.word_embeddings.weight"])
    assert len({p.untyped_storage().data_ptr() for p in network.parameters()}) == len(list(network.parameters()))
    assert all(p.requires_grad for p in network.parameters())


def test_half_precision_stays_near() -> None:
    """Under bf16 autocast forward and backward run and stay within bf16's 8 bits of the plain loss."""
    network, features = _made(BertForTokenClassification, UNEQUAL)
    packed = Packed(network)
    learning, given = packed.learning(), pack(features)
    exact = packed_loss(packed.logits(given), given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = packed_loss(packed.logits(given), given)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, exact, rtol=0.1, atol=0.1)
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in learning)


def test_networks_of_another_shape_are_said_to_be() -> None:
    """A RoBERTa, a decoder, a language model and a network with adapters inside are left to the plain pass, with the reason."""
    roberta = RobertaForTokenClassification(RobertaConfig(**SIZES, max_position_embeddings=20))
    decoder = BertForTokenClassification(BertConfig(**SIZES, is_decoder=True))
    changed = BertForTokenClassification(BertConfig(**SIZES))
    assert why_plain(changed) == ""
    inside = changed.bert.encoder.layer[0].attention.self
    inside.query = torch.nn.Sequential(inside.query)
    others = ((roberta, "Roberta"), (decoder, "decoder"), (BertForMaskedLM(decoder.config), "MaskedLM"), (changed, "adapters"))
    for network, words in others:
        assert words in why_plain(network)


def test_the_masks_of_padding_are_none_where_lengths_are_equal() -> None:
    """Equal lengths need no layout; unequal ones name every row once."""
    _, features = _made(BertForSequenceClassification, EQUAL)
    assert pack(features).tokens_grid is None
    _, features = _made(BertForSequenceClassification, UNEQUAL)
    grid = pack(features).tokens_grid
    assert grid is not None
    assert sorted(grid.rows[grid.there.ravel()].tolist()) == list(range(sum(UNEQUAL)))
    assert torch.equal(grid.rows[grid.back], torch.arange(sum(UNEQUAL)))
    assert functional.one_hot(grid.back, grid.there.numel()).sum() == sum(UNEQUAL)


def _text_by_text(query: Any, key: Any, value: Any, q_bounds: Any, k_bounds: Any, longest_q: int, longest_k: int) -> torch.Tensor:
    """What variable-length flash attention means, by its documentation: sdpa of each text alone. (rows, heads, size)."""
    assert q_bounds.dtype == k_bounds.dtype == torch.int32
    assert int(q_bounds.diff().max()) <= longest_q
    assert int(k_bounds.diff().max()) <= longest_k
    out = torch.zeros_like(query)
    for i in range(len(k_bounds) - 1):
        rows, seen = slice(int(q_bounds[i]), int(q_bounds[i + 1])), slice(int(k_bounds[i]), int(k_bounds[i + 1]))
        if rows.stop > rows.start:
            q, k, v = query[rows].transpose(0, 1), key[seen].transpose(0, 1), value[seen].transpose(0, 1)
            out[rows] = functional.scaled_dot_product_attention(q, k, v).transpose(0, 1)
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full", [False, True])
def test_flash_attention_is_given_the_right_borders(kind: Any, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU's call, answered by its meaning instead of its kernel, gives the plain network's logits; filled up, too."""
    monkeypatch.setattr(packed_attention, "varlen_attn", _text_by_text)
    network, features = _made(kind, UNEQUAL)
    given = pack(features, grids=False)
    wanted = len(given.wanted)
    if full:
        given = filled(given, shape_of([len(f["input_ids"]) for f in features], 40))
    found = Packed(network, packed_attention.varlen_attention).logits(given)
    torch.testing.assert_close(found[:wanted], _plain(network, features), atol=1e-5, rtol=1e-5)


def test_one_graph_serves_every_filled_pack() -> None:
    """Traced as for CUDA graphs (whole, without dynamic shapes), the lean pass is compiled once for packs of different texts."""
    network, features = _made(BertForTokenClassification, UNEQUAL)
    shape = shape_of([len(f["input_ids"]) for f in features], 40)
    packed = Packed(network, block_attention)
    packed.learning()
    graphs: list[Any] = []

    def counting(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    traced = torch.compile(packed.logits, backend=counting, fullgraph=True, dynamic=False)
    for part in (features, features[:2], features[3:]):
        given = pack(part, grids=False)
        wanted = len(given.wanted)
        torch.testing.assert_close(traced(filled(given, shape))[:wanted], _plain(network, part), atol=1e-5, rtol=1e-5)
    assert len(graphs) == 1
