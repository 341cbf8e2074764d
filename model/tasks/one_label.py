"""What the tasks that give an input one label share: reading, checking, answering, scoring. No task of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from feedback.errors import BadInput
from feedback.records import Answer, Json
from model.task import Counts, Task
from model.tasks.text import f1_of, mean_of, softmax


class OneLabel(Task):
    """Outputs are `{"label": ...}`. Below the threshold the answer is `fallback_label`, where the demo names one."""

    one_answer = True

    @classmethod
    def read(cls, row: Mapping[str, Any], text_column: str, label_column: str) -> tuple[Json, Json]:
        """Return the text and its label; raise BadInput where the label is no text."""
        if not isinstance(row[label_column], str):
            raise BadInput(f"{label_column} = {row[label_column]!r}: must be a text")
        return row[text_column], {"label": row[label_column]}

    @classmethod
    def labels_in(cls, output: Json) -> tuple[str, ...]:
        """Return the one label."""
        return (output["label"],)

    @classmethod
    def renamed(cls, output: Json, rename: Mapping[str, str]) -> Json | None:
        """Return the output in our labels, None where its label is dropped."""
        label = rename.get(output["label"], output["label"])
        return {"label": label} if label else None

    def words_of(self, input_: Json, output: Json) -> str:
        """Return the label."""
        return str(output["label"])

    def check_output(self, input_: Json, output: Json) -> Json:
        """Return `{"label": ...}` alone; raise BadInput where the label is none of the demo's."""
        if not isinstance(output, Mapping) or "label" not in output or not set(output) <= {"label", "confidence"}:
            raise BadInput(f'output is {str(output)[:120]!r}: it must be {{"label": ...}}', code="label_shape")
        if output["label"] not in self.labels:
            raise BadInput(f"unknown label {output['label']!r}: labels are {', '.join(self.labels)}", code="label_unknown")
        return {"label": output["label"]}

    def answered(self, logits: np.ndarray, settings: Mapping[str, float], notes: tuple[str, ...] = ()) -> Answer:
        """Return the most probable label with its probability, or the fallback label below the threshold. logits: (labels,)."""
        chosen = self.check_settings(settings)
        probabilities = softmax(logits, chosen.temperature)
        best = int(probabilities.argmax())
        confidence = float(probabilities[best])
        unsure = confidence < chosen.threshold and self.fallback_label in self.labels
        return Answer({"label": self.fallback_label if unsure else self.labels[best]}, confidence, notes)

    def score(self, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, float]:
        """Return accuracy, and the macro F1 over the labels that occur in truth or answers (as scikit-learn does)."""
        totals = self.totals(truth, answers)
        right = sum(total[0] for total in totals.values())
        accuracy = right / len(truth) if truth else 0.0
        macro = mean_of([f1_of(*total) for total in totals.values() if any(total)])
        return {"main": accuracy, "accuracy": accuracy, "macro_f1": macro}

    def counts(self, truth: Json, answer: Json) -> dict[str, Counts]:
        """Return one tp, or one fp for the label said and one fn for the right one."""
        if truth["label"] == answer["label"]:
            return {truth["label"]: Counts(1, 0, 0)}
        return {answer["label"]: Counts(0, 1, 0), truth["label"]: Counts(0, 0, 1)}
