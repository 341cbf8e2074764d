"""Versions that differ in their head alone share the weights below it on disk: two files in place of one, the larger a hard link.

Plain transformers reads such a directory as it reads every checkpoint that lies in several files (model.safetensors.index.json).
"""

from __future__ import annotations

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from model.frozen import Frozen

BELOW, HEAD, INDEX = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"


def save_sharing(frozen: Frozen, directory: Path, others: Path) -> bool:
    """Write a frozen network, with the head that it has now, into a directory; return whether its lower part is shared.

    others: the folder of the versions, where one with the same lower part is looked for. Raises OSError.
    """
    network = frozen.model.network
    network.config.architectures = [type(network).__name__]
    network.config.dtype = "float32"
    network.config.save_pretrained(directory)
    frozen.model.tokenizer.save_pretrained(directory)
    own = {id(value) for value in frozen.layer.parameters()}
    own_names = {name for name, value in network.named_parameters() if id(value) in own}
    named = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    head = {name: value for name, value in named.items() if name in own_names}
    below = {name: value for name, value in named.items() if name not in own_names}
    digest = _digest(below)
    found = _with(others, digest)
    shared = found is not None and _linked(found / BELOW, directory / BELOW)
    if not shared:
        save_file(below, directory / BELOW, metadata={"format": "pt"})
    save_file(head, directory / HEAD, metadata={"format": "pt"})
    size = sum(value.numel() * value.element_size() for value in named.values())
    index = {
        "metadata": {"total_size": size, "below": digest},
        "weight_map": {**dict.fromkeys(below, BELOW), **dict.fromkeys(head, HEAD)},
    }
    (directory / INDEX).write_text(json.dumps(index, indent=1, sort_keys=True), encoding="utf-8")
    return shared


def _digest(weights: dict[str, torch.Tensor]) -> str:
    """Return a sha256 over names, shapes and values."""
    summed = sha256()
    for name, value in sorted(weights.items()):
        summed.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        summed.update(value.numpy().data)
    return summed.hexdigest()


def _with(others: Path, digest: str) -> Path | None:
    """Return a version whose lower part has this digest, the newest; None where there is none."""
    for file in sorted(others.glob(f"v*/{INDEX}"), reverse=True):
        try:
            told: Any = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # removed meanwhile, or not ours
            continue
        if told.get("metadata", {}).get("below") == digest and (file.parent / BELOW).is_file():
            return file.parent
    return None


def _linked(source: Path, target: Path) -> bool:
    try:
        link_or_copy(str(source), str(target))
    except FileNotFoundError:  # removed meanwhile
        return False
    return True


def link_or_copy(source: str, target: str) -> object:
    """Make target a hard link of source, or a copy where the file system has no links."""
    try:
        os.link(source, target)
        return target
    except OSError:
        return shutil.copy2(source, target)
