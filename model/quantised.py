"""A version served by ONNX Runtime in int8: exported, fused, quantised, and let through only where its score did not drift.

Weights are int8, activations are quantised as they come (dynamic quantisation). The drift is what the main score loses against
torch in fp32 on items whose answers are known; more than MOST_DRIFT and the version is served by torch instead, which says so.
The libraries are an extra: `pip install 'amend[onnx]'`.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from feedback.errors import AmendError, BadInput
from feedback.home import write_atomically
from feedback.records import Example
from model.answering import Answerer, open_checkpoint
from model.base import Model, load_config, load_model, load_tokenizer
from model.batches import length_batches, model_inputs
from model.card import Card, read_card
from model.engine import Rows
from model.network_task import NetworkTask, network_task
from model.onnx_export import ONNX_FILE, calm, libraries, write_onnx

MOST_DRIFT = 0.5
"""Points of the main score (0..100) that int8 may lose."""
LEAST_ITEMS = 20
"""Items below which a drift cannot be told from luck: int8 is refused then."""
_FACTS = "engine.json"
_LOG = logging.getLogger(__name__)
Items = Callable[[], Sequence[Example]]


class Drifted(AmendError):
    """The int8 form of a version answers worse than is let through."""

    title = "Engine refused"


class OnnxEngine:
    """An ONNX Runtime session over padded batches. One thread a call: the predictor's workers run side by side."""

    def __init__(self, session: Any, pad: int, drift: float, items: int) -> None:
        self._session = session
        self._pad = pad
        self.name = f"ONNX Runtime int8 (drift {drift:+.2f} points on {items} items)"

    def logits(self, rows: Rows, size: int) -> list[np.ndarray]:
        """Return each row's logits, see Engine."""
        found: list[np.ndarray] = [np.empty(0)] * len(rows)
        for batch in length_batches([len(row) for row in rows], size):
            given = model_inputs([rows[i] for i in batch], self._pad, torch.device("cpu"))
            (logits,) = self._session.run(["logits"], {name: value.numpy() for name, value in given.items()})
            for i, out in zip(batch, logits, strict=True):
                found[i] = out[: len(rows[i])] if out.ndim == 2 else out
        return found


class Quantised:
    """Opens versions in int8, and by torch where int8 drifts. Keeps what it made under `cache`, a folder a version.

    `items`: asked for once, when a drift has to be measured. Raises BadInput where the libraries are missing.
    """

    def __init__(self, cache: Path, items: Items, opened: Callable[[Path], Answerer]) -> None:
        self._runtime = libraries()
        self._cache = cache
        self._items = items
        self._open = opened
        for left in cache.glob(".*.partial"):
            shutil.rmtree(left, ignore_errors=True)

    def __call__(self, directory: Path) -> Answerer:
        """Return the version in int8; by torch, with the reason in its engine's name and in the log, where int8 is refused."""
        card = read_card(directory)
        task = network_task(card.bound_task(), "engine onnx_int8")
        try:
            made, facts = self._made(task, card, directory)
        except (Drifted, BadInput) as error:
            _LOG.warning("version %s is served by torch: %s", card.number, error)
            plain = self._open(directory)
            plain.engine.name += f" (int8 refused: {error})"
            return plain
        return self._opened(task, card, directory, made, facts)

    def _opened(self, task: NetworkTask, card: Card, directory: Path, made: Path, facts: dict[str, Any]) -> Answerer:
        config = load_config(str(directory))
        tokenizer = load_tokenizer(str(directory), config)
        engine = OnnxEngine(
            _session(self._runtime, made / ONNX_FILE), int(tokenizer.pad_token_id or 0), facts["drift"], facts["items"]
        )
        return Answerer(task, Model(_Shell(config), tokenizer), card.rename, engine)

    def _made(self, task: NetworkTask, card: Card, directory: Path) -> tuple[Path, dict[str, Any]]:
        """Return the folder with the int8 file and what was measured of it, made now where it is not there yet."""
        made, key = self._cache / f"v{card.number:04d}-int8", _weights_digest(directory)
        facts = _read(made / _FACTS)
        if facts.get("weights") != key:
            facts = self._make(task, card, directory, made) | {"weights": key}
            write_atomically(made / _FACTS, json.dumps(facts, indent=1))
        if facts["items"] < LEAST_ITEMS:
            raise Drifted(f"only {facts['items']} items of known answers to measure its drift on; {LEAST_ITEMS} are needed")
        if not facts["drift"] <= MOST_DRIFT:
            raise Drifted(
                f"the main score falls by {facts['drift']:.2f} points on {facts['items']} items; allowed is {MOST_DRIFT:g}"
            )
        return made, facts

    def _make(self, task: NetworkTask, card: Card, directory: Path, made: Path) -> dict[str, Any]:
        staged = made.with_name(f".{made.name}.{os.getpid()}.partial")
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        try:
            quantise(task, directory, staged)
            exact = open_checkpoint(task, directory, card.rename, "cpu", torch.float32)
            rough = self._opened(task, card, directory, staged, {"drift": 0.0, "items": 0})
            items = list(self._items())
            drift = drift_of(task, items, exact, rough) if items else 0.0
            shutil.rmtree(made, ignore_errors=True)
            staged.rename(made)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        return {"drift": round(drift, 4), "items": len(items)}


def quantise(task: NetworkTask, directory: Path, out: Path) -> Path:
    """Write the int8 form of a version's network into `out`; return the file. Raises BadInput where torch cannot export it."""
    optimizer = importlib.import_module("onnxruntime.transformers.optimizer")
    quantization = importlib.import_module("onnxruntime.quantization")
    network = load_model(task, str(directory)).network
    exact, file = out / "exact.onnx", out / ONNX_FILE
    with calm():
        write_onnx(network, exact)
        config = network.config
        fused = optimizer.optimize_model(
            str(exact), model_type="bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size, opt_level=1
        )
        fused.save_model_to_file(str(exact))
        quantization.quantize_dynamic(exact, file, weight_type=quantization.QuantType.QInt8, per_channel=True)
    exact.unlink()
    return file


def drift_of(task: NetworkTask, items: Sequence[Example], exact: Answerer, rough: Answerer) -> float:
    """Return the points (0..100) of the main score that `rough` loses against `exact` on the items; negative: it gains."""
    truth, inputs = [item.output for item in items], [item.input for item in items]
    scores = [
        task.score(truth, [answer.output for answer in one.answer(inputs, [{}] * len(inputs))])["main"] for one in (exact, rough)
    ]
    return 100 * (scores[0] - scores[1])


class _Shell(torch.nn.Module):
    """Stands where an Answerer keeps its network: the config alone, no weights."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config


def _session(runtime: Any, file: Path) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _weights_digest(directory: Path) -> str:
    summed = sha256()
    for file in sorted(directory.glob("*.safetensors")):
        with file.open("rb") as opened:
            while block := opened.read(2**20):
                summed.update(block)
    return summed.hexdigest()


def _read(file: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not made yet, or cut short by a kill: made anew
        return {}
    return told
