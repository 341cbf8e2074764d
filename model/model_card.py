"""The model card for people, in Markdown with Hugging Face metadata: what a version is, where it comes from, what it is worth.

It names no contributor and quotes no text: what the gate lists of both stays in the home.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from huggingface_hub import ModelCardData

from feedback.records import Json
from model.batches import OVERLAP, WINDOW, specials
from model.card import Card
from model.licence import Licence, named
from model.network_task import network_task
from model.own_model import OwnModelTask
from model.scripts import scripts
from model.task import task_type
from model.tasks.text import UNKNOWN_SHARE

MODEL_CARD = "MODEL_CARD.md"
_SCORES = {
    "f1": "entities, right only where start, end and label all are",
    "precision": "of the entities that were marked",
    "recall": "of the entities that are there",
    "accuracy": "texts with the right label",
    "macro_f1": "F1 of each label, averaged evenly",
}
_PARTS = {
    "validation": "a part of it chooses the interpolation and the rest is what gates judge by, so it flatters",
    "test": "sealed: it chose nothing, gated nothing, and is the figure to quote",
}


class Origin(NamedTuple):
    """What a card alone does not say. `line`: the version, then those it descends from, the newest first.

    `manifests`: of the snapshots that are still there, by id. `onnx`: how the ONNX file was verified, "" without one.
    """

    line: tuple[Card, ...]
    manifests: Mapping[str, Mapping[str, Json]]
    licence: Licence
    onnx: str = ""


def model_card(card: Card, origin: Origin, tokenizer: Any) -> str:
    """Return the whole card: metadata, then sections of sentences."""
    sections = {
        "How to load it": _loading(card, origin.onnx),
        "What it learned from": _data(card, origin),
        "How it was trained": _method(card),
        "What the gate said": _gate(card),
        "Scores": _scores(card),
        "Lineage": _lineage(origin),
        "Limits": _limits(card, tokenizer, origin.licence),
        "Licence": [origin.licence.words(origin.licence.model or named(card.source or card.base))],
    }
    head = f"# {card.task}: version {card.number}\n\n{_what(card)}"
    body = [f"## {title}\n\n" + "\n\n".join(part for part in parts if part) for title, parts in sections.items()]
    return f"---\n{_metadata(card, origin)}\n---\n\n" + "\n\n".join([head, *body]) + "\n"


def _metadata(card: Card, origin: Origin) -> str:
    kind = card.task.replace("_", "-")
    return ModelCardData(
        license=origin.licence.name,
        language=list(origin.licence.languages) or None,
        library_name="onnx" if origin.onnx else "transformers",
        pipeline_tag=kind,
        base_model=origin.licence.model or None,
        tags=["amend", kind, *(["onnx"] if origin.onnx else [])],
    ).to_yaml()


_EACH = {
    "token_classification": "marks spans of",
    "multioutput_text_classification": "gives a text one label a head (what stands before the slash), out of",
}


def _what(card: Card) -> str:
    origin = {
        "seed": "It was trained on the demo's seed data.",
        "retrain": f"It was retrained from {f'version {card.parent}' if card.parent else 'the base'} on seed data and accepted corrections.",
    }
    labels = ", ".join(f"`{label}`" for label in card.labels)
    each = _EACH.get(card.task, "gives a text one of")
    own = f"This model answers the task `{card.task}` of Amend" + (
        f" out of {len(card.labels)} entries. " if card.labels else ". "
    )
    return (
        own if _own(card) else f"This model {each} {len(card.labels)} labels: {labels}. "
    ) + f"{origin.get(card.kind, f'It was made elsewhere and added from `{named(card.source)}`.')} Made on {card.created} (UTC)."


def _own(card: Card) -> bool:
    return issubclass(task_type(card.task), OwnModelTask)


def _loading(card: Card, onnx: str) -> list[str]:
    task = card.bound_task()
    if isinstance(task, OwnModelTask):
        code = (
            'from pathlib import Path\n\nfrom model.answering import open_version\n\nversion = open_version(Path("DIRECTORY"))\n'
            "(answer,) = version.answer([AN_INPUT], [{}])"
        )
        return [f"```python\n{code}\n```", "It runs inside Amend: the task's own code loads it."]
    auto = network_task(task, "loading").auto_class().__name__
    plain = (
        f"from transformers import {auto}, AutoTokenizer\n\n"
        f'model = {auto}.from_pretrained("DIRECTORY")\ntokenizer = AutoTokenizer.from_pretrained("DIRECTORY")\n'
        'logits = model(**tokenizer("a text", return_tensors="pt")).logits'
    )
    run = (
        "import onnxruntime\nfrom transformers import AutoTokenizer\n\n"
        'tokenizer = AutoTokenizer.from_pretrained("DIRECTORY")\nsession = onnxruntime.InferenceSession("DIRECTORY/model.onnx")\n'
        'given = tokenizer(["a text", "another, longer text"], padding=True, return_tensors="np")\n'
        'names = ("input_ids", "attention_mask")\n(logits,) = session.run(["logits"], {name: given[name] for name in names})'
    )
    own = json.dumps({raw: label or "(ignored)" for raw, label in card.rename.items()}, ensure_ascii=False)
    return [
        f"```python\n{run if onnx else plain}\n```",
        f"Verified after export: {onnx}" if onnx else "",
        f"`config.json` names the outputs (`id2label`). This checkpoint's own names mean: {own}." if card.rename else "",
        "The tokenizer puts a learned prompt before every text: the weights are of no use with another one."
        if card.method == "prompt"
        else "",
        "Outputs are O, and B- and I- of each label, read at the first token of each word (a word is what the tokenizer's "
        "pre-tokenizer cuts); start, end and label of a span follow from the best sequence in which I- only goes on with its own label."
        if card.task == "token_classification"
        else "",
        f"Libraries at the time: {', '.join(f'{name} {number}' for name, number in card.libraries.items())}.",
    ]


def _data(card: Card, origin: Origin) -> list[str]:
    training = card.training
    if not training:
        return ["Nothing is known here of what it learned from: it was not trained by this program."]
    total, made_up = int(training["examples"]), training.get("augmented")
    seed = training.get("from_seed", total if card.kind == "seed" else None)  # cards of earlier releases do not tell
    parted = (
        f": {seed} of the seed data, {total - seed} accepted corrections." if seed is not None else ", seed data and corrections."
    )
    lines = [
        f"It learned from {total} examples{parted}",
        f"{made_up} examples were made up from these besides (augmentation)." if made_up else "",
    ]
    if card.snapshot:
        lines += [
            f"Snapshot of accepted corrections: `{card.snapshot}`, sha256 `{card.snapshot_sha256}`.",
            _snapshot(card, origin),
        ]
    judged = {check["name"]: check["items"] for check in (card.gate or {}).get("checks", [])}
    if "feedback" in judged:
        lines.append(
            f"Gate slice: {judged['feedback']} accepted corrections, held back by a hash of their text, only judged and taught no "
            f"version; so did {judged.get('old_domain', 0)} seed items of the validation part."
        )
    return lines


def _snapshot(card: Card, origin: Origin) -> str:
    """Say how many corrections of how many contributors a version was given; nobody is named."""
    manifest = origin.manifests.get(card.snapshot or "")
    if manifest is None:
        return "The snapshot itself is no longer here, so how many corrections it held is not known."
    erased = int(manifest.get("erased", 0))
    rows = int(manifest["rows"]) + erased
    words = f"It held {rows} accepted corrections" + (f" ({erased} of them erased since)" if erased else "")
    words += f" by {manifest['contributors']} contributors{' that are left' if erased else ''}, none of whom is named here"
    words += f": {manifest['train']} to learn from and {manifest['gate']} to judge by"
    left = int(card.training.get("left_out", 0))
    return words + (
        f"; {left} were left out, since the seed's held-out parts have their texts or a label is gone." if left else "."
    )


def _method(card: Card) -> list[str]:
    if not card.training:
        return [f"Method: {card.method}."]
    took = card.training
    settings = ", ".join(
        f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}" for name, value in _plain(card)
    )
    mixed = (
        f"Weights: (1 - a) version {card.parent} + a trained, with a = {card.interpolation:g} (weight interpolation, "
        "arXiv:2109.01903), chosen on items that neither training nor gate used; where these are too few it is 0.5."
        if card.interpolation is not None
        else ""
    )
    return [
        f"Method: {card.method}. Base: `{named(card.base)}`. {settings}.",
        f"It took {took.get('seconds', 0):g} s, {took.get('steps', 0)} steps and {took.get('tokens', 0)} tokens on "
        f"{took.get('device', '?')} in {took.get('dtype', '?')}.",
        mixed,
        "A search found these settings (python -m model.search)." if _found(card) else "",
        "The low-rank adapters are merged into the weights." if card.method == "lora" else "",
    ]


def _plain(card: Card) -> list[tuple[str, Json]]:
    """Return the settings that are one number or word and say more than the method's name does."""
    return [(k, v) for k, v in card.settings.items() if k != "method" and isinstance(v, (int, float, str))]


def _gate(card: Card) -> list[str]:
    if card.gate is None:
        return [
            "No gate judged it: " + ("it was there before any champion." if card.verdict == "first" else "it was only added.")
        ]
    against = (
        f"against version {card.champion_version}, the champion then" if card.champion_version else "against the champion then"
    )
    end = "" if card.verdict == "passed" else " Only a named person with a reason can have offered it all the same."
    return [f"Verdict **{card.verdict}**, {against}.{end}", "\n".join(f"- {line}" for line in card.gate_words())]


def _scores(card: Card) -> list[str]:
    lines = []
    for part, found in card.scores.items():
        items = f" ({found['items']:g} items)" if "items" in found else ""
        rows = [
            f"| {name} | {value:.4f} | {_SCORES.get(name, '')} |"
            for name, value in found.items()
            if name not in ("main", "items")
        ]
        lines.append(
            f"`{part}`{items}: {_PARTS.get(part, '')}.\n\n| score | value | of what |\n|---|---|---|\n" + "\n".join(rows)
        )
    return lines or ["None: there were no held-out items to score it on."]


def _lineage(origin: Origin) -> list[str]:
    lines = []
    for one in origin.line:
        manifest = origin.manifests.get(one.snapshot or "")
        corrections = f", {manifest['rows']} accepted corrections" if manifest else ""
        lines.append(f"- version {one.number}: {one.kind}, {one.method}{corrections}; gate: {one.verdict}")
    last = origin.line[-1]
    if last.parent is not None:
        lines.append(f"- version {last.parent}: no longer here")
    card = origin.line[0]
    passed = (
        f"It did not start from version {card.passed_over}, the champion then: that one had learned from feedback that was erased since."
        if card.passed_over
        else ""
    )
    erased = [
        f"Version {one.number} learned from feedback that was erased since ({len(one.erased)} erasures). Its weights did not unlearn it."
        for one in origin.line
        if one.erased
    ]
    return ["\n".join(lines), passed, "\n".join(erased)]


def _limits(card: Card, tokenizer: Any, licence: Licence) -> list[str]:
    if tokenizer is None:
        return [f"- Texts of up to {card.max_chars} characters.", "- Its scores hold for inputs like those it was tested on."]
    fine, partly, lost = scripts(tokenizer)
    languages = f"Languages of its base: {', '.join(licence.languages)}. " if licence.languages else ""
    return [
        f"- Texts of up to {card.max_chars} characters; beyond {WINDOW - sum(map(len, specials(tokenizer)))} tokens a text is read in "
        f"windows that overlap by {OVERLAP}.",
        f"- {languages}Of one sentence each, the tokenizer knew every word in: {', '.join(fine) or 'none'}; some not in: "
        f"{', '.join(partly) or 'none'}; over {UNKNOWN_SHARE:.0%} not in: {', '.join(lost) or 'none'}. To know a script is not to "
        "understand its languages.",
        f"- A text whose best label is below a threshold is answered `{card.fallback_label}` by the demo, where one is set."
        if card.fallback_label
        else "",
        "- Its scores hold for texts like those it was tested on.",
    ]


def _found(card: Card) -> bool:
    """Whether a search found settings that this version was trained with; one whose defaults stayed found none."""
    search = card.settings.get("search")
    return isinstance(search, dict) and bool(search.get("found"))
