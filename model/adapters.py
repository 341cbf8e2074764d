"""Adapters: `lora` and `prompt` learn few numbers beside a frozen network and then become part of it. No training loop.

lora    a low-rank matrix beside each linear layer of the encoder (arXiv:2106.09685), added to its weights at the end
prompt  vectors before every text (arXiv:2104.08691), kept as tokens of the vocabulary that the tokenizer puts there
So both leave a network and a tokenizer that plain transformers loads. The library is peft, an extra: `pip install peft`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from feedback.errors import AmendError, BadDemo
from model.base import Model
from model.batches import specials

ADAPTERS = ("lora", "prompt")
RATES = {"lora": 10.0, "prompt": 100.0}
"""How many times the demo's learning rate an adapter gets: it starts from nothing, or from a random word. Chosen, with the
layers, on 450 development sentences of NCBI-disease (one seed; docs/decisions.md has the figures)."""
_PROMPT = "<|prompt{}|>"


class NoLibrary(AmendError):
    """The library `peft` is not installed here."""

    status = 501
    title = "Library absent"


@contextmanager
def adapted(network: Any, method: str, rank: int, alpha: float, tokens: list[int]) -> Iterator[list[torch.nn.Parameter]]:
    """Put adapters into the network, yield the parameters that learn, and merge them into the weights on leaving.

    What is outside the encoder (the output layer and what belongs to it) learns whole. `tokens`: the prompt's, see
    with_prompt. Raises NoLibrary without peft, BadDemo where the network has nothing to adapt.
    """
    peft = _library()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    if method == "lora":
        config = peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=linear_layers(network))
        tuner = peft.LoraModel(network, config, "default")
    else:
        config = peft.TrainableTokensConfig(target_modules=[_embedding_name(network)], token_indices=tokens)
        tuner = peft.TrainableTokensModel(network, config, "default")
    inside = {id(parameter) for parameter in network.base_model.parameters()}
    for parameter in network.parameters():
        if id(parameter) not in inside:
            parameter.requires_grad_(True)
    yield [parameter for parameter in network.parameters() if parameter.requires_grad]
    tuner.merge_and_unload()
    for parameter in network.parameters():
        parameter.requires_grad_(True)


def linear_layers(network: Any) -> list[str]:
    """Return the names of the encoder's linear layers, the pooler's left out; raise BadDemo where there are none."""
    encoder = {id(part) for part in network.base_model.modules()}
    found = [
        name
        for name, part in network.named_modules()
        if isinstance(part, torch.nn.Linear) and id(part) in encoder and "pooler" not in name.split(".")
    ]
    if not found:
        raise BadDemo(f"method 'lora' finds no linear layers in {type(network).__name__}: use 'full' or 'head' with this base")
    return found


def _embedding_name(network: Any) -> str:
    embedding = network.get_input_embeddings()
    return next(str(name) for name, part in network.named_modules() if part is embedding)


def prompt_tokens(tokenizer: Any) -> list[int]:
    """Return the ids of the prompt that the tokenizer puts before every text, in order; none where it puts none."""
    names = tokenizer.convert_ids_to_tokens(specials(tokenizer).before)
    known = [_PROMPT.format(i) for i in range(len(names))]
    return [int(tokenizer.convert_tokens_to_ids(name)) for name in names if name in known]


def with_prompt(model: Model, length: int, seed: int) -> Model:
    """Return the model with `length` new tokens that its tokenizer puts before every text; itself where it has a prompt already.

    Their vectors begin as those of words drawn at random. The network is changed in place; texts lose `length` places.
    """
    tokenizer, network = model.tokenizer, model.network
    if prompt_tokens(tokenizer):
        return model
    _library()
    around = specials(tokenizer)
    before, after = (tokenizer.convert_ids_to_tokens(ids) for ids in around)
    names = [_PROMPT.format(i) for i in range(length)]
    old = network.get_input_embeddings().weight.detach()
    random = torch.Generator().manual_seed(seed)
    drawn = old[torch.randint(len(old), (length,), generator=random)].clone()  # (length, hidden)
    tokenizer.add_tokens(names, special_tokens=True)
    backend = tokenizer.backend_tokenizer
    backend.post_processor = TemplateProcessing(
        single=[*names, *before, "$A", *after],
        special_tokens=[(name, int(tokenizer.convert_tokens_to_ids(name))) for name in dict.fromkeys([*names, *before, *after])],
    )
    # The class of a known architecture would make its usual template anew on loading; the general one takes tokenizer.json as it is.
    kinds = {kind: name for kind, name in tokenizer.special_tokens_map.items() if isinstance(name, str)}
    plain = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        model_input_names=["input_ids", "attention_mask"],
        **kinds,
    )
    rows = max(len(plain), len(old))
    network.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        network.get_input_embeddings().weight[plain.convert_tokens_to_ids(names)] = drawn
    return Model(network, plain)


def _library() -> Any:
    try:
        return importlib.import_module("peft")
    except ModuleNotFoundError as error:
        if error.name != "peft":
            raise
        raise NoLibrary(
            "the methods 'lora' and 'prompt' need the library 'peft', which is not installed here: pip install 'amend[adapters]', or pip install peft"
        ) from None
