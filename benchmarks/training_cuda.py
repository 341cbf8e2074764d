"""How fast full fine-tuning is on a GPU: tokens a second, and which share of the GPU's matrix products that is (MFU).

`python -m benchmarks.training_cuda --data ../shared/data/ncbi_disease --json FILE` on a machine with CUDA; elsewhere it says so
and ends with status 2. Beside each other, in one run: transformers' Trainer (bf16, fused AdamW, grouped lengths) and ours,
each with batches of `--batch` texts; ours with batches of `--tokens` tokens, and with those compiled into CUDA graphs. Two networks:
MiniLM-L6 and one of BERT-base's shape with random weights. Steady state: the first steps (compiling, warming up) are not timed.

MFU = tokens/s * FLOPs a token / FLOP/s of a bf16 product of two 8192 x 8192 matrices in the same process. FLOPs a token are
those of the plain network, forward and twice that backward (PaLM, arXiv:2204.02311, appendix B), padding not counted; what ours
leaves out (the last layer where no label is, gradients of frozen embeddings) counts as done, so an MFU compares speeds, not busyness.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import (
    BertConfig,
    BertForTokenClassification,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from benchmarks.common import ROOT, arguments, table, write_json
from benchmarks.training_loops import Listed
from benchmarks.training_round import ncbi
from model.base import DEFAULT_BASE, Model, base_directory, begin
from model.data import network_seed
from model.methods import FitSettings, fit

WARM = 20  # steps that are not timed
GEMM = 8192
Clock = Callable[[int, int], None]
"""Told (steps done, steps in all)."""


class Timed(NamedTuple):
    """A timed stretch of a training: seconds and the steps in it, of all the training's steps."""

    seconds: float
    steps: int
    total: int


def flops_per_token(layers: int, hidden: int, inner: int, lengths: Sequence[int]) -> float:
    """Return the training FLOPs a token of a BERT: 3 times a forward pass, of texts of these lengths (their mean over tokens).

    A layer's forward pass: 2 * (4 hidden^2 + 2 hidden * inner) for the weights, 4 * length * hidden for scores and values.
    """
    attended = sum(n * n for n in lengths) / sum(lengths)  # the length of the text that a token is in, on average
    return 3.0 * layers * (8 * hidden**2 + 4 * hidden * inner + 4 * attended * hidden)


def mfu(tokens_per_second: float, flops: float, peak: float) -> float:
    """Return the share of the measured peak (FLOP/s) that so many tokens a second at `flops` each are."""
    return tokens_per_second * flops / peak


def gemm_rate(device: torch.device, size: int = GEMM, repeats: int = 30) -> float:
    """Return the FLOP/s of bf16 products of two size x size matrices: the median of `repeats`, after warming up."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    found = []
    for number in range(repeats + 5):
        _synchronise(device)
        began = time.perf_counter()
        left @ right
        _synchronise(device)
        if number >= 5:
            found.append(2 * size**3 / (time.perf_counter() - began))
    return statistics.median(found)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


class Stopwatch:
    """Times from the end of step `warm` to the last; waits for the GPU at these two points alone."""

    def __init__(self, device: torch.device, warm: int = WARM) -> None:
        self._device, self._warm = device, warm
        self._began = 0.0
        self.timed: Timed | None = None

    def step(self, done: int, total: int, _: float | None = None) -> None:
        """Take note of a step's end."""
        if done == min(self._warm, total - 1):
            _synchronise(self._device)
            self._began = time.perf_counter()
        if done == total:
            _synchronise(self._device)
            self.timed = Timed(time.perf_counter() - self._began, total - min(self._warm, total - 1), total)


class _Steps(TrainerCallback):  # type: ignore[misc]  # untyped in transformers
    """Tells a stopwatch of Trainer's steps."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Pass the step on."""
        self._watch.step(state.global_step, state.max_steps)


def trained_by_us(model: Model, features: Sequence[dict[str, Any]], settings: FitSettings, watch: Stopwatch) -> None:
    """Train by model.methods.fit."""
    fit(model, features, settings, watch.step)


def trained_by_trainer(model: Model, features: Sequence[dict[str, Any]], settings: FitSettings, watch: Stopwatch) -> None:
    """Train by transformers.Trainer at its best: tokenised ahead, grouped lengths, bf16, fused AdamW."""
    rows = [{key: f[key] for key in ("input_ids", "labels")} for f in features]
    with tempfile.TemporaryDirectory(prefix="amend-trainer-") as folder:
        told = TrainingArguments(
            output_dir=folder,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            train_sampling_strategy="group_by_length",
            optim="adamw_torch_fused",
            bf16=settings.device == "cuda",
            use_cpu=settings.device != "cuda",
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        collator = DataCollatorForTokenClassification(model.tokenizer)
        trainer = Trainer(
            model=model.network, args=told, train_dataset=Listed(rows), data_collator=collator, callbacks=[_Steps(watch)]
        )
        trainer.train()


def bert_base(tokenizer: Any, labels: int) -> Any:
    """Return a network of BERT-base's shape (12 layers, 768, 3072) with random weights."""
    torch.manual_seed(0)
    return BertForTokenClassification(BertConfig(vocab_size=len(tokenizer), num_labels=labels))


def measured(
    make: Callable[[], Model], features: Sequence[dict[str, Any]], peak: float, settings: FitSettings, budget: int
) -> dict[str, dict[str, float]]:
    """Return tokens/s and MFU of each loop on one network, made anew for each."""
    device = torch.device(settings.device)
    ways: dict[str, tuple[Callable[..., None], FitSettings]] = {
        "trainer": (trained_by_trainer, settings),
        "ours": (trained_by_us, settings),
        "ours_tokens": (trained_by_us, settings._replace(token_budget=budget)),
        "ours_graphs": (trained_by_us, settings._replace(token_budget=budget, graphs=True)),
    }
    lengths = [len(feature["input_ids"]) for feature in features]
    found = {}
    for name, (way, chosen) in ways.items():
        model, watch = make(), Stopwatch(device)
        config = model.network.config
        flops = flops_per_token(config.num_hidden_layers, config.hidden_size, config.intermediate_size, lengths)
        way(model, features, chosen, watch)
        assert watch.timed is not None
        seconds, steps, total = watch.timed
        rate = chosen.epochs * sum(lengths) * steps / total / seconds
        found[name] = {"tokens_s": round(rate), "mfu": round(mfu(rate, flops, peak), 4), "steps": float(total)}
        print(f"{config.hidden_size}: {name}: {rate:.0f} tokens/s, MFU {mfu(rate, flops, peak):.1%}, {total} steps", flush=True)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; print the table, write the JSON. Returns 2 where there is no CUDA or no data."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "ncbi_disease")
    parser.add_argument("--batch", type=int, default=32, help="texts a batch")
    parser.add_argument("--tokens", type=int, default=16384, help="tokens a batch, where batches are made by tokens")
    parser.add_argument("--epochs", type=float, default=10.0)
    options = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print(
            "no CUDA device here (torch sees none): this benchmark measures GPUs; for CPUs: benchmarks/training.py",
            file=sys.stderr,
        )
        return 2
    if not options.data.is_dir():
        print(f"{options.data} is not a folder: this benchmark needs ncbi_disease", file=sys.stderr)
        return 2
    task, known = network_seed(ncbi(options.data))
    base = base_directory(DEFAULT_BASE)
    tokenizer = begin(task, base, 1).tokenizer
    features = task.encode(tokenizer, known.train)
    device = torch.device("cuda")
    peak = gemm_rate(device)
    settings = FitSettings(epochs=options.epochs, batch_size=options.batch, device="cuda")
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "gemm_tflops": round(peak / 1e12, 1),
        "batch": options.batch,
        "token_budget": options.tokens,
    }
    networks: dict[str, Callable[[], Model]] = {
        "minilm": lambda: begin(task, base, 1),
        "bert_base": lambda: Model(bert_base(tokenizer, len(task.config_labels())), tokenizer),
    }
    for name, make in networks.items():
        figures[name] = measured(make, features, peak, settings, options.tokens)
        write_json(options.json, figures)
    rows = [[n, way, *figures[n][way].values()] for n in networks for way in figures[n]]
    print(table(["network", "loop", "tokens/s", "MFU", "steps"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
