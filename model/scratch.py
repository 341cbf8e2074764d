"""A small BERT over single characters, made from texts alone: `base = "characters"`, or `python -m model.scratch --texts FILE... --out DIR`.

For languages that no base at hand can read. Vocabulary, random weights and a short masked-language-model training come from the texts
that are given and from nothing else, so nothing is downloaded; it knows no label. What it is worth: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import BertConfig, BertForMaskedLM

from feedback.demo import Demo
from feedback.errors import AmendError, BadDemo, BadInput
from feedback.records import text_of
from model.base import CHARACTERS, base_directory, quiet
from model.batches import WINDOW, model_inputs, shuffled_batches, specials, tokenize, window_ids
from model.characters import SPECIALS, character_tokenizer
from model.data import load_seed

LEAST_TEXTS = 50
"""Fewer texts hold too few characters to be worth a model."""
_RELEASE = 1  # of what build makes of equal texts and settings: counts in the name of a remembered base
_IGNORED = -100  # cross_entropy's label for a place that has no loss

Report = Callable[[int, int, "float | None"], None]


class Scratch(NamedTuple):
    """The network's size, and how it is trained. 12 tokens in 100 are masked, 1.5 replaced and 1.5 left (Devlin et al. 2019, 3.1).

    `unknown`: tokens in 100 that are shown as [UNK], which no text of its own would teach: each knows all of its characters.
    """

    hidden: int = 256
    layers: int = 2
    heads: int = 4
    inner: int = 512
    epochs: int = 0
    batch: int = 32
    rate: float = 1e-3
    unknown: float = 0.02
    seed: int = 1


STANDARD = Scratch()
"""What `base = "characters"` is built with; docs/benchmarks.md has what was tried beside it."""


def build(texts: Sequence[str], out: Path, settings: Scratch = STANDARD, report: Report = lambda *_: None) -> None:
    """Make a base from texts in the new directory `out`: config.json, model.safetensors, tokenizer.json. `epochs` 0: random weights.

    The same texts and settings on the same machine give the same weights. Raises BadInput for fewer than 50 different texts.
    """
    texts = sorted({text for text in texts if text.strip()})
    if len(texts) < LEAST_TEXTS:
        raise BadInput(f"{len(texts)} different texts: a model of characters needs at least {LEAST_TEXTS} to begin with")
    quiet()
    tokenizer = character_tokenizer(texts, WINDOW)
    torch.manual_seed(settings.seed)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=settings.hidden, num_hidden_layers=settings.layers, type_vocab_size=1,
        num_attention_heads=settings.heads, intermediate_size=settings.inner, max_position_embeddings=WINDOW,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    network = BertForMaskedLM(config)
    around = specials(tokenizer)
    rows = [ids for encoded in tokenize(tokenizer, texts) for ids in window_ids(encoded, around)]
    _train(network, rows, tokenizer, settings, report)
    network.eval().save_pretrained(out)
    tokenizer.save_pretrained(out)


def _train(network: BertForMaskedLM, rows: list[list[int]], tokenizer: object, settings: Scratch, report: Report) -> None:
    """Guess hidden characters: AdamW, a rate that rises over the first tenth of the steps and falls to 0."""
    random = np.random.default_rng(settings.seed)
    lengths = [len(row) for row in rows]
    total = settings.epochs * -(-len(rows) // settings.batch)
    if not total:
        return
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(10 * (step + 1), (total - step) * 10 / 9) / total)
    network.train()
    done = 0
    for _ in range(settings.epochs):
        for batch in shuffled_batches(lengths, settings.batch, random):
            shown, wanted = zip(*(_hidden(rows[i], len(tokenizer), settings.unknown, random) for i in batch), strict=True)  # type: ignore[arg-type]
            given = model_inputs(list(shown), 0, network.device)
            places = torch.tensor([row + [_IGNORED] * (given["input_ids"].shape[1] - len(row)) for row in wanted])
            loss = cross_entropy(network(**given).logits.flatten(0, 1), places.flatten(), ignore_index=_IGNORED)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            done += 1
            report(done, total, loss.item())


def _hidden(row: list[int], size: int, unknown: float, random: np.random.Generator) -> tuple[list[int], list[int]]:
    """Return a row with some tokens hidden, and what was there (-100 elsewhere); at least one token is asked for."""
    shown, wanted = list(row), [_IGNORED] * len(row)
    draws = random.random(len(row))
    inside = range(1, len(row) - 1)  # not [CLS] and [SEP]
    asked = [i for i in inside if draws[i] < 0.15] or [int(random.integers(1, max(2, len(row) - 1)))]
    for i in inside:
        if draws[i] > 1 - unknown:
            shown[i] = SPECIALS.index("[UNK]")
    for i in asked:
        wanted[i] = row[i]
        how = random.random()
        shown[i] = SPECIALS.index("[MASK]") if how < 0.8 else int(random.integers(len(SPECIALS), size)) if how < 0.9 else row[i]
    return shown, wanted


def base_of(demo: Demo, settings: Scratch = STANDARD, report: Report = lambda *_: None) -> str:
    """Return the directory (or hub name) of a demo's base; `characters` is built of the seed's training part where it is not there yet.

    What is built is remembered in the user's cache by the texts it came from: feedback is never among them, so that there is nothing
    to erase. Raises BadDemo where the demo has no data, too few texts, or the cache cannot be written.
    """
    if demo.base != CHARACTERS:
        return base_directory(demo.base, demo.path.parent)
    _, seed = load_seed(demo)
    texts = sorted({text_of(example.input) for example in seed.train})
    digest = sha256(json.dumps([_RELEASE, settings._asdict(), texts], ensure_ascii=False).encode()).hexdigest()[:16]
    place = cache_directory() / f"characters-{digest}"
    if not (place / "config.json").is_file():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            staged = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        except OSError as error:
            raise BadDemo(
                f"base {CHARACTERS!r}: {place.parent} cannot be written ({error.strerror}); name another directory in AMEND_CACHE"
            ) from error
        try:
            build(texts, staged, settings, report)
            _put(staged, place)
        except BadInput as error:
            raise BadDemo(f"{demo.path}: base {CHARACTERS!r}: {error.detail}") from error
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return str(place)


def _put(staged: Path, place: Path) -> None:
    """Move a finished base to its place; another process's, made meanwhile of the same texts, is as good."""
    try:
        os.rename(staged, place)
    except OSError:
        if not (place / "config.json").is_file():
            raise


def cache_directory() -> Path:
    """Return where built bases are remembered: AMEND_CACHE, or `amend` in the user's cache (XDG_CACHE_HOME, ~/.cache)."""
    own = os.environ.get("AMEND_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amend"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    standard = STANDARD
    parser = argparse.ArgumentParser(
        prog="python -m model.scratch", description="Make a small character-level base from texts alone."
    )
    parser.add_argument(
        "--texts", type=Path, nargs="+", required=True, help="UTF-8 files, a text a line; of .jsonl the key `text`"
    )
    parser.add_argument("--out", type=Path, required=True, help="the directory to make; name it as `base` in a demo's TOML")
    parser.add_argument(
        "--epochs", type=int, default=standard.epochs, help="of masked-language-model training; 0: random weights"
    )
    parser.add_argument("--layers", type=int, default=standard.layers)
    parser.add_argument("--hidden", type=int, default=standard.hidden, help="width, a multiple of 64")
    parser.add_argument("--seed", type=int, default=standard.seed)
    options = parser.parse_args(argv)
    try:
        if options.out.exists():
            raise BadInput(f"{options.out}: exists already")
        if options.hidden < 64 or options.hidden % 64:
            raise BadInput(f"--hidden {options.hidden}: must be a multiple of 64, the width of a head")
        if options.layers < 1 or options.epochs < 0:
            raise BadInput(
                f"--layers {options.layers}, --epochs {options.epochs}: at least one layer, and no fewer than 0 epochs"
            )
        settings = standard._replace(
            epochs=options.epochs, layers=options.layers, hidden=options.hidden, heads=options.hidden // 64,
            inner=4 * options.hidden, seed=options.seed,
        )  # fmt: skip
        texts = [text for file in options.texts for text in _read(file)]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        build(texts, options.out, settings, _said)
    except AmendError as error:
        print(f"model.scratch: {error.detail}", file=sys.stderr)
        return 1
    print(f"\n{options.out}: {len(set(texts))} texts, {sum(f.stat().st_size for f in options.out.iterdir()) / 1e6:.1f} MB")
    return 0


def _read(file: Path) -> list[str]:
    """Return a file's texts: a line each, or the key `text` of JSON lines."""
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [json.loads(line)["text"] for line in lines] if file.suffix == ".jsonl" else lines
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file}: cannot be read as texts: {error}") from error


def _said(done: int, total: int, loss: float | None) -> None:
    print(f"\r{done} / {total} steps, loss {loss:.3f}" if loss is not None else "", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
