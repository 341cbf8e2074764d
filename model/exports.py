"""Versions to and from the world outside: foreign checkpoints in, plain directories with a MODEL_CARD.md out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from feedback.demo import Demo
from feedback.errors import BadInput
from model.base import base_directory, load_config, load_model, quiet
from model.card import CARD, Card
from model.data import task_of

FORMATS = ("transformers",)


def add_foreign(demo: Demo, source: Path | str, out: Path) -> Path:
    """Write a version directory at `out` from a save_pretrained directory or hub name; the card is numbered 1 and ungated.

    Loading it once shows that its architecture fits the task and that no weight is missing. Raises BadDemo or BadInput.
    """
    task = task_of(demo)
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


def export_version(directory: Path, card: Card, out: Path) -> Path:
    """Copy a version to `out` with a MODEL_CARD.md in place of card.json; it appears whole. Raises BadInput."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} exists already and is not an empty directory: name a new one")
    out.parent.mkdir(parents=True, exist_ok=True)
    staged = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(directory, staged, ignore=shutil.ignore_patterns(CARD))
    (staged / "MODEL_CARD.md").write_text(model_card(card), encoding="utf-8")
    if out.exists():
        out.rmdir()
    os.rename(staged, out)
    return out


def model_card(card: Card) -> str:
    """Return the model card for people: what it is, what it learned from, its scores and its limits."""
    auto = card.bound_task().auto_class().__name__
    scores = "\n".join(
        f"| {part} | {name} | {value:.4f} |"
        for part, found in card.scores.items()
        for name, value in found.items()
        if name != "main"
    )
    origin = {
        "seed": "trained on the demo's seed data",
        "retrain": f"retrained from version {card.parent} on accepted corrections",
    }
    lines = [
        f"# {card.task}: version {card.number}",
        f"A {card.task.replace('_', ' ')} model for the labels {', '.join(card.labels)}; {origin.get(card.kind, f'added from {card.source}')}.",
        f"Base: {card.base}. Method: {card.method}. Made: {card.created} UTC. Verdict of the gate: {card.verdict}.",
        f"```python\nfrom transformers import {auto}, AutoTokenizer\nmodel = {auto}.from_pretrained(DIRECTORY)\n"
        "tokenizer = AutoTokenizer.from_pretrained(DIRECTORY)\n```",
    ]
    if card.method == "prompt":
        lines.append(
            "This directory's tokenizer puts a learned prompt before every text: the weights are of no use with another one."
        )
    if scores:
        lines.append(f"| part | score | value |\n|---|---|---|\n{scores}")
        lines.append("`validation` took part in choosing and gating; `test` is sealed and decided nothing.")
    if card.snapshot:
        lines.append(f"Learned from the snapshot {card.snapshot} (sha256 {card.snapshot_sha256}).")
    lines.append("Libraries: " + ", ".join(f"{name} {number}" for name, number in card.libraries.items()) + ".")
    return "\n\n".join(lines) + "\n"
