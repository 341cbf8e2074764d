"""Versions to and from the world outside: foreign checkpoints in, plain directories with a MODEL_CARD.md out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from feedback.demo import Demo
from feedback.errors import BadInput
from feedback.records import Json
from model.base import DEFAULT_BASE, base_directory, load_config, load_model, load_tokenizer, quiet
from model.card import CARD, Card
from model.data import task_of
from model.licence import UNKNOWN, Licence, licence_of
from model.model_card import MODEL_CARD, Origin, model_card
from model.network_task import network_task
from model.onnx_export import export_onnx
from model.own_model import OwnModelTask

FORMATS = ("transformers", "onnx")
_FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
    "*.model", "LICEN[CS]E*",
)  # fmt: skip
_OWN_ENDINGS = (".jsonl", ".json", ".safetensors")
"""Endings of the files that a task with its own model may write."""
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def add_foreign(demo: Demo, source: Path | str, out: Path) -> Path:
    """Write a version directory at `out` from a save_pretrained directory or hub name; the card is numbered 1 and ungated.

    Loading it once shows that its architecture fits the task and that no weight is missing. Raises BadDemo or BadInput.
    """
    task = network_task(task_of(demo), "taking a checkpoint over")
    place = base_directory(str(source), demo.path.parent)
    if Path(place).is_dir() and not (Path(place) / "config.json").is_file():
        raise BadInput(f"{place}: has no config.json: give a directory that save_pretrained wrote")
    config = load_config(place)
    task.sources({int(i): label for i, label in config.id2label.items()}, demo.rename)
    model = load_model(task, place)
    staged = _staging(out)
    quiet()
    model.network.save_pretrained(staged)
    model.tokenizer.save_pretrained(staged)
    card = Card(
        number=1,
        task=task.name,
        labels=task.labels,
        base=str(config.model_type),
        method="foreign",
        kind="added",
        fallback_label=task.fallback_label,
        max_chars=task.max_chars,
        rename=dict(demo.rename),
        source=str(source),
    )
    card.write(staged)
    os.rename(staged, out)
    return out


def _staging(out: Path) -> Path:
    if out.exists():
        raise BadInput(f"{out} exists already: name a new directory")
    staged = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    return staged


class Export(NamedTuple):
    """What is to be exported and where: `line` is the version and those it descends from, the newest first.

    `snapshots`: the home's directory of them. `beside`: the demo's folder, from where a base may be named.
    """

    directory: Path
    line: tuple[Card, ...]
    out: Path
    format: str = "transformers"
    snapshots: Path | None = None
    beside: Path | None = None


def export_version(wanted: Export) -> str:
    """Write a version to a directory that appears whole, with a MODEL_CARD.md in place of card.json; return what is to be said.

    Only a checkpoint's own files go along. Raises BadInput for an unknown format, a full `out` or a missing library,
    ExportDiffers where what came out does not answer as the version does.
    """
    if wanted.format not in FORMATS:
        raise BadInput(f"unknown format {wanted.format!r}: available are {', '.join(FORMATS)}")
    out, card = wanted.out, wanted.line[0]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} exists already and is not an empty directory: name a new one")
    out.parent.mkdir(parents=True, exist_ok=True)
    staged = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    try:
        onnx = wanted.format == "onnx"
        own = isinstance(card.bound_task(), OwnModelTask)
        for file in sorted(wanted.directory.iterdir()):
            if _goes_along(file.name, not onnx) or (own and file.suffix in _OWN_ENDINGS):
                shutil.copy2(file, staged)
        said = export_onnx(wanted.directory, card, staged).words() if onnx else ""
        tokenizer = None if own else load_tokenizer(str(staged), load_config(str(staged)))
        if own:  # such a version is opened by this program, which asks its card what it is
            shutil.copy2(wanted.directory / CARD, staged)
        origin = Origin(wanted.line, _manifests(wanted), _licence(card, wanted.beside), said)
        (staged / MODEL_CARD).write_text(model_card(card, origin, tokenizer), encoding="utf-8")
        if out.exists():
            out.rmdir()
        os.rename(staged, out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return said


def _goes_along(name: str, weights: bool) -> bool:
    """Tell whether a file is the checkpoint's: a version directory may hold notes that are for the home alone."""
    return any(fnmatch(name, pattern) for pattern in (*_FILES, *(_WEIGHTS if weights else ())))


def _manifests(wanted: Export) -> dict[str, Mapping[str, Json]]:
    """Return the manifests of the line's snapshots that are still there, by id."""
    found: dict[str, Mapping[str, Json]] = {}
    for card in wanted.line:
        file = wanted.snapshots / card.snapshot / "manifest.json" if wanted.snapshots and card.snapshot else None
        if file and card.snapshot and file.is_file():
            found[card.snapshot] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _licence(card: Card, beside: Path | None) -> Licence:
    """Return the licence of what a version was made from: an added checkpoint's own, where it has one, else its base's."""
    own = licence_of(card.source, beside) if card.kind == "added" and card.source else None
    if own and (own.name != UNKNOWN or card.base != DEFAULT_BASE):
        return own
    return licence_of(card.base, beside)
