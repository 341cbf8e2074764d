"""Giving a whole text one label of each of several heads (its topic and its sentiment). It looks at no part of the text in particular.

One encoder and one output layer: a label is written "head/label", the columns of a head lie side by side, and each head has a softmax
of its own. The heads and their order are the labels'. The name is scikit-learn's for it (sklearn.multioutput).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from transformers import AutoModelForSequenceClassification

from feedback.errors import BadDemo, BadInput
from feedback.records import Answer, Example, Json
from model.batches import specials, tokenize, window_ids
from model.catalogue import EMPTY, Catalogue
from model.network_task import Encoded, NetworkTask
from model.packing import head_slices
from model.task import Counts, register
from model.tasks.text import check_text, f1_of, mean_of, notes_on, softmax

_SHAPE = 'it must be {"labels": {head: label, ...}} with at least one head'


@register
class MultioutputTextClassification(NetworkTask):
    """Texts in, `{"labels": {"topic": "earnings", "sentiment": "negative"}}` out; an answer as shown has `confidences` a head besides.

    A person may speak of some heads alone: of the others nothing is learned from them, and nothing is scored.
    """

    name = "multioutput_text_classification"
    widget = "choices"
    frozen_head = True
    sample_labels = (
        "topic/earnings",
        "topic/deal",
        "topic/other",
        "sentiment/negative",
        "sentiment/neutral",
        "sentiment/positive",
    )
    samples = (
        ("Orvane's profit halves as costs climb.", {"labels": {"topic": "earnings", "sentiment": "negative"}}),
        ("Talks on a merger with Kestrel Rail go on 😀\nthis week", {"labels": {"topic": "deal", "sentiment": "neutral"}}),
        ("What a naïve idea!", {"labels": {"topic": "other", "sentiment": "neutral"}}),
    )

    def __init__(
        self, labels: Sequence[str], max_chars: int = 2000, fallback_label: str = "", catalogue: Catalogue = EMPTY
    ) -> None:
        super().__init__(labels, max_chars, fallback_label, catalogue)
        self.heads: dict[str, list[str]] = {}
        for label in self.labels:
            head, slash, own = label.partition("/")
            if not (head and slash and own):
                raise BadDemo(f'label {label!r}: must be written "head/label", e.g. "topic/earnings"')
            self.heads.setdefault(head, []).append(own)

    @classmethod
    def keys(cls, text_column: str, label_column: str, *, table: bool) -> tuple[str, ...]:
        """Return the text's column: how the labels are written is seen in each row (`read`)."""
        return (text_column,)

    @classmethod
    def read(cls, row: Mapping[str, Any], text_column: str, label_column: str) -> tuple[Json, Json]:
        """Return text and labels: of `labels`, an object (in a table its JSON), or of a column a head (`label_column = "topic,sentiment"`).

        An empty cell says nothing of its head.
        """
        given = row.get("labels")
        if given is None:
            heads = [head.strip() for head in label_column.split(",")]
            if not set(heads) & set(row):
                raise BadInput(
                    f"there is neither 'labels' (an object: head to label) nor a column {' or '.join(map(repr, heads))}: "
                    'name the heads\' columns, label_column = "topic,sentiment"; there are ' + ", ".join(map(str, row))
                )
            given = {head: row[head] for head in heads if head in row}
        if isinstance(given, str):
            try:
                given = json.loads(given)
            except (ValueError, RecursionError) as error:
                raise BadInput(f"labels = {given[:80]!r} is not JSON: {error}") from error
        given = {head: label for head, label in given.items() if not _empty(label)} if isinstance(given, Mapping) else given
        if not isinstance(given, Mapping) or not all(isinstance(label, str) for label in given.values()):
            raise BadInput(f"labels = {str(given)[:80]!r}: must be an object of heads with a label each, as a text")
        if not given:
            raise BadInput("the row tells no label: it needs that of at least one head")
        return row[text_column], {"labels": dict(given)}

    @classmethod
    def labels_in(cls, output: Json) -> Iterable[str]:
        """Return "head/label" of each head."""
        return [f"{head}/{label}" for head, label in output["labels"].items()]

    @classmethod
    def renamed(cls, output: Json, rename: Mapping[str, str]) -> Json | None:
        """Return the output in our labels; a head whose label is renamed to "" is not told."""
        names = [rename.get(label, label) for label in cls.labels_in(output)]
        labels = {head: label for head, _, label in (name.partition("/") for name in names if name)}
        return {"labels": labels} if labels else None

    def words_of(self, input_: Json, output: Json) -> str:
        """Return `topic: earnings; sentiment: negative`."""
        return "; ".join(f"{head}: {label}" for head, label in output["labels"].items())

    def check_input(self, value: Json) -> Json:
        """Return the text exactly as it came; see check_text."""
        return check_text(value, self.max_chars)

    def check_output(self, input_: Json, output: Json) -> Json:
        """Return `{"labels": {...}}` alone, heads in the task's order; raise BadInput for a head or label that is none of the demo's."""
        labels = output.get("labels") if isinstance(output, Mapping) else None
        if not isinstance(labels, Mapping) or not labels or not set(output) <= {"labels", "confidences", "confidence"}:
            raise BadInput(f"output is {str(output)[:120]!r}: {_SHAPE}", code="labels_shape")
        for head, label in labels.items():
            if head not in self.heads:
                raise BadInput(f"unknown head {head!r}: heads are {', '.join(self.heads)}", code="head_unknown")
            if label not in self.heads[head]:
                raise BadInput(
                    f"unknown label {label!r} of {head}: labels are {', '.join(self.heads[head])}", code="label_unknown"
                )
        return {"labels": {head: labels[head] for head in self.heads if head in labels}}

    def auto_class(self) -> type[Any]:
        """Return AutoModelForSequenceClassification."""
        chosen: type[Any] = AutoModelForSequenceClassification
        return chosen

    def config_labels(self) -> list[str]:
        """Return the labels, head after head."""
        return [f"{head}/{label}" for head, labels in self.heads.items() for label in labels]

    @classmethod
    def labels_of_config(cls, id2label: Mapping[int, str]) -> list[str]:
        """Return the labels in the order of the outputs."""
        return [id2label[i] for i in sorted(id2label)]

    def sources(self, id2label: Mapping[int, str], rename: Mapping[str, str]) -> list[list[int]]:
        """Return the outputs behind each label; a label renamed to "" is never answered."""
        found: dict[str, list[int]] = {label: [] for label in self.config_labels()}
        for index, raw in sorted(id2label.items()):
            label = rename.get(raw, raw)
            if label and label not in found:
                raise BadDemo(
                    f"the checkpoint's label {raw!r} is not among the demo's ({', '.join(self.labels)}): "
                    f'say what it means under [rename] in the TOML, e.g. "{raw}" = "{next(iter(self.labels), "head/label")}", or "" to ignore it'
                )
            if label:
                found[label].append(index)
        return list(found.values())

    def encode(self, tokenizer: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
        """Return one feature dict a window; the windows of a long text share its weight. labels: a tuple, one a head (packing.Feature)."""
        around = specials(tokenizer)
        index = {label: i for i, label in enumerate(self.config_labels())}
        sizes = self._sizes()
        return [
            {
                "input_ids": ids,
                "labels": tuple(
                    index[f"{head}/{told[head]}"] if head in told else -100
                    for told in [example.output["labels"]]
                    for head in self.heads
                ),
                "heads": sizes,
                "weight": example.weight / len(encoded.windows),
            }
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
        """Return each head's most probable label with its probability (4 digits); the answer's confidence is the least sure head's.

        Below the threshold a head answers `fallback_label`, where that is a label of its own.
        """
        chosen = self.check_settings(settings)
        answers = []
        for encoded, row in zip(encodings, logits, strict=True):
            labels: dict[str, str] = {}
            sure: dict[str, float] = {}
            for (head, names), columns in zip(self.heads.items(), head_slices(self._sizes()), strict=True):
                probabilities = softmax(row[columns], chosen.temperature)
                best = int(probabilities.argmax())
                sure[head] = float(probabilities[best])
                whose, _, fallback = self.fallback_label.partition("/")
                unsure = sure[head] < chosen.threshold and whose == head and fallback in names
                labels[head] = fallback if unsure else names[best]
            output = {"labels": labels, "confidences": {head: round(value, 4) for head, value in sure.items()}}
            answers.append(Answer(output, min(sure.values()), notes_on(encoded)))
        return answers

    def score(self, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, float]:
        """Return the mean over heads of their accuracy, and each head's accuracy and macro F1 over the items that tell its label.

        Macro F1 is over the labels that occur in truth or answers (as scikit-learn has it). A head that no item tells is left out.
        """
        found: dict[str, float] = {}
        for head in self.heads:
            pairs = [
                (one["labels"][head], answer["labels"].get(head))
                for one, answer in zip(truth, answers, strict=True)
                if head in one["labels"]
            ]
            if not pairs:
                continue
            names = {name for pair in pairs for name in pair if name is not None}
            f1 = [
                f1_of(
                    sum(right == said == name for right, said in pairs),
                    sum(said == name != right for right, said in pairs),
                    sum(right == name != said for right, said in pairs),
                )
                for name in names
            ]
            found[f"{head}_accuracy"] = sum(right == said for right, said in pairs) / len(pairs)
            found[f"{head}_macro_f1"] = mean_of(f1)
        mean = mean_of([value for name, value in found.items() if name.endswith("_accuracy")])
        return {"main": mean, "mean_accuracy": mean, **found}

    def counts(self, truth: Json, answer: Json) -> dict[str, Counts]:
        """Return for each head that the truth tells one tp, or one fp for the label said (if any) and one fn for the right one."""
        found: dict[str, Counts] = {}
        for head, right in truth["labels"].items():
            said = answer["labels"].get(head)
            if said == right:
                found[f"{head}/{right}"] = Counts(1, 0, 0)
                continue
            found[f"{head}/{right}"] = Counts(0, 0, 1)
            if said is not None:
                found[f"{head}/{said}"] = Counts(0, 1, 0)
        return found

    def told(self, output: Json, like: Json) -> Json:
        """Return the heads of an output of which `like` speaks too."""
        return {"labels": {head: label for head, label in output["labels"].items() if head in like["labels"]}}

    def _sizes(self) -> tuple[int, ...]:
        return tuple(len(labels) for labels in self.heads.values())


def _empty(cell: Any) -> bool:
    """Whether a cell says nothing: nothing in it, or the not-a-number that tables have in its place."""
    return cell is None or cell == "" or cell != cell
