"""Three loops that train the same network on the same sentences: the article's, transformers' Trainer, ours. They time nothing.

Each starts from texts (tokenising is part of the work) and leaves a trained network of the task's output labels, which the
same decoder reads. What they share: base, labelled places (the first token of each word), learning rate, epochs, batches of 16
and the order of the data, as far as a loop lets itself be told.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments

from feedback.records import Example
from model.base import Model
from model.methods import FitSettings, fit
from model.network_task import NetworkTask

ARTICLE_LENGTH = 128


class Work(NamedTuple):
    """What every loop has to do."""

    task: NetworkTask
    examples: Sequence[Example]
    epochs: int = 3
    batch_size: int = 16
    learning_rate: float = 3e-4
    seed: int = 1


Loop = Callable[[Model, Work], None]


class PaddedSentences(Dataset[dict[str, torch.Tensor]]):
    """Sentences as the article feeds them: each tokenised when it is asked for, cut or padded to `length` tokens."""

    def __init__(self, model: Model, work: Work, length: int = ARTICLE_LENGTH) -> None:
        self._tokenizer, self._work, self._length = model.tokenizer, work, length

    def __len__(self) -> int:
        return len(self._work.examples)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        (feature, *_) = self._work.task.encode(self._tokenizer, [self._work.examples[index]])
        ids, labels = feature["input_ids"][: self._length], feature["labels"][: self._length]
        missing = self._length - len(ids)
        return {
            "input_ids": torch.tensor(ids + [int(self._tokenizer.pad_token_id or 0)] * missing),
            "attention_mask": torch.tensor([1] * len(ids) + [0] * missing),
            "labels": torch.tensor(labels + [-100] * missing),
        }


class SeededOrder(torch.utils.data.Sampler[int]):
    """A new permutation every epoch, drawn as `batches.shuffled_batches` draws its first: numpy, from the work's seed."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._random = count, np.random.default_rng(seed)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        yield from self._random.permutation(self._count).tolist()


def article(model: Model, work: Work) -> None:
    """Train as the article does: padded to 128, plain AdamW, no schedule, no clipping, fp32, torch's defaults for the rest."""
    torch.manual_seed(work.seed)
    order = SeededOrder(len(work.examples), work.seed)
    loader = DataLoader(PaddedSentences(model, work), batch_size=work.batch_size, sampler=order)
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=work.learning_rate)
    model.network.train()
    for _ in range(work.epochs):
        for batch in loader:
            optimizer.zero_grad()
            loss = model.network(**batch).loss
            loss.backward()
            optimizer.step()
            loss.item()  # the article adds the losses up
    model.network.eval()


def trainer(model: Model, work: Work, bf16: bool = False) -> None:
    """Train by transformers.Trainer at its best: tokenised once, batches of similar length, padded to their longest."""
    features = [{key: f[key] for key in ("input_ids", "labels")} for f in work.task.encode(model.tokenizer, work.examples)]
    with tempfile.TemporaryDirectory(prefix="amend-trainer-") as folder:
        settings = TrainingArguments(
            output_dir=folder,
            num_train_epochs=work.epochs,
            per_device_train_batch_size=work.batch_size,
            learning_rate=work.learning_rate,
            weight_decay=0.01,
            train_sampling_strategy="group_by_length",
            optim="adamw_torch_fused",
            bf16=bf16,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=False,
            seed=work.seed,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        collator = DataCollatorForTokenClassification(model.tokenizer)
        Trainer(model=model.network, args=settings, train_dataset=Listed(features), data_collator=collator).train()
    model.network.eval()


class Listed(Dataset[dict[str, Any]]):
    """Features that are there already."""

    def __init__(self, features: Sequence[dict[str, Any]]) -> None:
        self._features = features

    def __len__(self) -> int:
        return len(self._features)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._features[index]


def ours(method: str) -> Loop:
    """Return our loop by a method of `model.methods.fit`, with the threads that torch has."""

    def loop(model: Model, work: Work) -> None:
        settings = FitSettings(
            method=method,
            epochs=work.epochs,
            batch_size=work.batch_size,
            learning_rate=work.learning_rate,
            seed=work.seed,
            threads=torch.get_num_threads(),
        )
        fit(model, work.task.encode(model.tokenizer, work.examples), settings)

    return loop
