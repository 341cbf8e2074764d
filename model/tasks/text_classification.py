"""Giving a whole text one label (intent, topic, sentiment). It looks at no part of the text in particular."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import AutoModelForSequenceClassification

from feedback.errors import BadDemo
from feedback.records import Answer, Example, Json
from model.batches import specials, tokenize, window_ids
from model.network_task import Encoded, NetworkTask
from model.task import register
from model.tasks.one_label import OneLabel
from model.tasks.text import check_text, notes_on


@register
class TextClassification(OneLabel, NetworkTask):
    """Texts in, `{"label": ...}` out. Below the threshold the answer is `fallback_label`, where the demo names one."""

    name = "text_classification"
    widget = "choice"
    frozen_head = True
    sample_labels = ("refund", "delivery", "other")
    samples = (
        ("I want my money back, please.", {"label": "refund"}),
        ("Where is my parcel? 😀 It has been\nnine days.", {"label": "delivery"}),
        ("Do you sell naïve paintings?", {"label": "other"}),
    )

    def check_input(self, value: Json) -> Json:
        """Return the text exactly as it came; see check_text."""
        return check_text(value, self.max_chars)

    def auto_class(self) -> type[Any]:
        """Return AutoModelForSequenceClassification."""
        chosen: type[Any] = AutoModelForSequenceClassification
        return chosen

    def config_labels(self) -> list[str]:
        """Return the labels as they are."""
        return list(self.labels)

    @classmethod
    def labels_of_config(cls, id2label: Mapping[int, str]) -> list[str]:
        """Return the labels in the order of the outputs."""
        return [id2label[i] for i in sorted(id2label)]

    def sources(self, id2label: Mapping[int, str], rename: Mapping[str, str]) -> list[list[int]]:
        """Return the outputs behind each label; a label renamed to "" is never answered."""
        found: dict[str, list[int]] = {label: [] for label in self.labels}
        for index, raw in sorted(id2label.items()):
            label = rename.get(raw, raw)
            if label and label not in found:
                raise BadDemo(
                    f"the checkpoint's label {raw!r} is not among the demo's ({', '.join(self.labels)}): "
                    f'say what it means under [rename] in the TOML, e.g. "{raw}" = "{next(iter(self.labels), "label")}", or "" to ignore it'
                )
            if label:
                found[label].append(index)
        return [found[label] for label in self.labels]

    def encode(self, tokenizer: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
        """Return one feature dict a window; the windows of a long text share its weight."""
        around = specials(tokenizer)
        index = {label: i for i, label in enumerate(self.labels)}
        return [
            {"input_ids": ids, "labels": index[example.output["label"]], "weight": example.weight / len(encoded.windows)}
            for example, encoded in zip(examples, tokenize(tokenizer, [e.input for e in examples]), strict=True)
            for ids in window_ids(encoded, around)
        ]

    def decode(
        self,
        inputs: Sequence[Json],
        encodings: Sequence[Encoded],
        logits: Sequence[np.ndarray],
        settings: Mapping[str, float],
    ) -> list[Answer]:
        """Return the most probable label with its probability, or the fallback label below the threshold."""
        return [self.answered(row, settings, notes_on(encoded)) for encoded, row in zip(encodings, logits, strict=True)]
