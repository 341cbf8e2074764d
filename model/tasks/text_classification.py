"""Giving a whole text one label (intent, topic, sentiment). It looks at no part of the text in particular."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import AutoModelForSequenceClassification

from feedback.errors import BadDemo, BadInput
from feedback.records import Answer, Example, Json
from model.batches import specials, tokenize, window_ids
from model.task import Counts, Encoded, Task, register
from model.tasks.text import check_text, f1_of, mean_of, notes_on, softmax


@register
class TextClassification(Task):
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

    def check_output(self, input_: Json, output: Json) -> Json:
        """Return `{"label": ...}` alone; raise BadInput where the label is none of the demo's."""
        if not isinstance(output, Mapping) or "label" not in output or not set(output) <= {"label", "confidence"}:
            raise BadInput(f'output is {str(output)[:120]!r}: it must be {{"label": ...}}', code="label_shape")
        if output["label"] not in self.labels:
            raise BadInput(f"unknown label {output['label']!r}: labels are {', '.join(self.labels)}", code="label_unknown")
        return {"label": output["label"]}

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
        chosen = self.check_settings(settings)
        answers = []
        for encoded, row in zip(encodings, logits, strict=True):
            probabilities = softmax(row, chosen.temperature)
            best = int(probabilities.argmax())
            confidence = float(probabilities[best])
            unsure = confidence < chosen.threshold and self.fallback_label in self.labels
            label = self.fallback_label if unsure else self.labels[best]
            answers.append(Answer({"label": label}, confidence, notes_on(encoded)))
        return answers

    def score(self, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, float]:
        """Return accuracy, and the macro F1 over the labels that occur in truth or answers (as scikit-learn does)."""
        totals = {label: [0, 0, 0] for label in self.labels}
        for one, answer in zip(truth, answers, strict=True):
            for label, counts in self.counts(one, answer).items():
                known = totals.setdefault(label, [0, 0, 0])  # an older version may answer what the demo has no more: it is wrong
                totals[label] = [a + b for a, b in zip(known, counts, strict=True)]
        right = sum(total[0] for total in totals.values())
        accuracy = right / len(truth) if truth else 0.0
        macro = mean_of([f1_of(*total) for total in totals.values() if any(total)])
        return {"main": accuracy, "accuracy": accuracy, "macro_f1": macro}

    def counts(self, truth: Json, answer: Json) -> dict[str, Counts]:
        """Return one tp, or one fp for the label said and one fn for the right one."""
        if truth["label"] == answer["label"]:
            return {truth["label"]: Counts(1, 0, 0)}
        return {answer["label"]: Counts(0, 1, 0), truth["label"]: Counts(0, 0, 1)}
