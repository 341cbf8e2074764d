"""A tiny random BERT with the packaged tokenizer, small demos around it, and nothing slow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel

from feedback.demo import Demo
from model.base import DEFAULT_BASE, base_directory

FRUITS = ("apple", "pear", "plum", "cherry", "lemon", "melon")
TOOLS = ("hammer", "saw", "drill", "wrench", "pliers", "chisel")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The packaged base's tokenizer."""
    return AutoTokenizer.from_pretrained(base_directory(DEFAULT_BASE))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A BERT of 4 layers and width 32 with random weights, saved with the packaged tokenizer."""
    directory = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture
def text_demo(tmp_path: Path, tiny_base: Path) -> Demo:
    """Fruit or tool: 90 sentences."""
    rows = [
        {"text": f"sentence {i} {verb} one {word}", "label": label}
        for label, words in (("fruit", FRUITS), ("tool", TOOLS))
        for i, (word, verb) in enumerate(
            (w, v) for w in words for v in ("buy", "sell", "hold", "lose", "want", "like", "find", "show")
        )
    ]
    return demo_of(tmp_path, tiny_base, "text_classification", rows)


@pytest.fixture
def span_demo(tmp_path: Path, tiny_base: Path) -> Demo:
    """Fruits and tools as spans: 96 sentences."""
    rows = []
    for i, (fruit, tool) in enumerate((f, t) for f in FRUITS for t in TOOLS):
        for verb in ("cuts", "hits", "meets"):
            text = f"number {i}: the {tool} {verb} a {fruit}"
            spans = [
                {"start": text.index(tool), "end": text.index(tool) + len(tool), "label": "tool"},
                {"start": text.rindex(fruit), "end": text.rindex(fruit) + len(fruit), "label": "fruit"},
            ]
            rows.append({"text": text, "spans": spans})
    return demo_of(tmp_path, tiny_base, "token_classification", rows)


def demo_of(directory: Path, base: Path, task: str, rows: list[dict[str, Any]], **more: Any) -> Demo:
    """Write a demo's TOML and data into a folder of its own and return the demo."""
    directory = directory / task
    directory.mkdir(exist_ok=True)
    (directory / "data.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    toml = (
        f'name = "{task[:5]}"\ntask = "{task}"\ntitle = "T"\nlabels = ["fruit", "tool"]\nbase = "{base}"\n'
        '[data]\ntrain = "data.jsonl"\n[training]\nepochs = 4\nretrain_epochs = 2\nlearning_rate = 0.01\ndevice = "cpu"\nthreads = 1\n'
    )
    (directory / "demo.toml").write_text(toml, encoding="utf-8")
    return Demo.model_validate(
        {
            "path": directory / "demo.toml",
            "name": task[:5],
            "task": task,
            "title": "T",
            "labels": ("fruit", "tool"),
            "base": str(base),
            "data": {"train": "data.jsonl"},
            "training": {"epochs": 4, "retrain_epochs": 2, "learning_rate": 0.01, "device": "cpu", "threads": 1},
            **more,
        }
    )


@pytest.fixture
def make_demo(tmp_path: Path, tiny_base: Path) -> Callable[..., Demo]:
    """A maker of demos over rows: make_demo(task, rows, labels=..., ...)."""
    return lambda task, rows, **more: demo_of(tmp_path, tiny_base, task, rows, **more)
