"""Marking spans in a text (named entities and the like): spans in code points over words labelled B-, I-, O.

A word is what the tokenizer's pre-tokenizer makes one; its label is read at its first subtoken. The text itself is
never changed or cut: offsets always refer to the text as it came in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from transformers import AutoModelForTokenClassification

from feedback.errors import BadDemo, BadInput
from feedback.records import Answer, Example, Json
from model.batches import specials, tokenize, words_of
from model.network_task import Encoded, NetworkTask
from model.task import Counts, Setting, register
from model.tasks.bio import decode_bio, label_words
from model.tasks.text import check_text, f1_of, mean_of, notes_on, softmax

_KEYS = frozenset({"start", "end", "label"})


@register
class TokenClassification(NetworkTask):
    """Texts in, `{"spans": [{"start", "end", "label"}]}` out: sorted, not overlapping, end exclusive."""

    name = "token_classification"
    widget = "spans"
    sample_labels = ("Disease", "Gene")
    samples = (
        (
            "Familial breast cancer is linked to BRCA1.",
            {"spans": [{"start": 0, "end": 22, "label": "Disease"}, {"start": 36, "end": 41, "label": "Gene"}]},
        ),
        ("😀 naïve e\u0301tude of\nasthma", {"spans": [{"start": 18, "end": 24, "label": "Disease"}]}),
        ("No abnormality was detected.", {"spans": []}),
    )

    @classmethod
    def keys(cls, text_column: str, label_column: str, *, table: bool) -> tuple[str, ...]:
        """Return the columns: spans lie under `spans` in JSONL, and in a table under the label column as JSON."""
        return (text_column, label_column if table else "spans")

    @classmethod
    def read(cls, row: Mapping[str, Any], text_column: str, label_column: str) -> tuple[Json, Json]:
        """Return the text and its spans; raise BadInput where they are no list of objects with a label."""
        spans = row["spans"] if "spans" in row else row[label_column]
        if isinstance(spans, str):
            try:
                spans = json.loads(spans)
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{_short(spans)} is not JSON: the label column must hold a list of spans: {error}") from error
        if not isinstance(spans, list) or not all(isinstance(s, dict) and isinstance(s.get("label"), str) for s in spans):
            raise BadInput(f"spans = {_short(spans)}: must be a list of objects with start, end and label")
        return row[text_column], {"spans": spans}

    @classmethod
    def labels_in(cls, output: Json) -> set[str]:
        """Return the labels of its spans."""
        return {span["label"] for span in output["spans"]}

    @classmethod
    def renamed(cls, output: Json, rename: Mapping[str, str]) -> Json | None:
        """Return the output in our labels; a span whose label is dropped goes."""
        spans = [{**span, "label": rename.get(span["label"], span["label"])} for span in output["spans"]]
        return {"spans": [span for span in spans if span["label"]]}

    def words_of(self, input_: Json, output: Json) -> str:
        """Return the spans as `label: words`."""
        return "; ".join(f"{span['label']}: {input_[span['start'] : span['end']]}" for span in output["spans"]) or "–"

    def check_input(self, value: Json) -> Json:
        """Return the text exactly as it came; see check_text."""
        return check_text(value, self.max_chars)

    def check_output(self, input_: Json, output: Json) -> Json:
        """Return the spans sorted, with start, end and label alone. Raises BadInput with the span that breaks a rule."""
        if not isinstance(output, Mapping) or set(output) != {"spans"} or not isinstance(output["spans"], (list, tuple)):
            raise BadInput(
                f'output is {_short(output)}: it must be {{"spans": [{{"start", "end", "label"}}, ...]}}', code="spans_shape"
            )
        spans = sorted(
            (self._check_span(input_, span) for span in output["spans"]), key=lambda span: (span["start"], span["end"])
        )
        for left, right in pairwise(spans):
            if right["start"] < left["end"]:
                raise BadInput(
                    f"spans {_short(left)} and {_short(right)} overlap: a character belongs to at most one span",
                    code="spans_overlap",
                )
        return {"spans": spans}

    def _check_span(self, text: str, span: Json) -> dict[str, Any]:
        if not isinstance(span, Mapping) or not set(span) >= _KEYS or not set(span) <= _KEYS | {"confidence"}:
            raise BadInput(f"span {_short(span)}: it needs start, end and label, and may have a confidence", code="spans_shape")
        start, end, label = span["start"], span["end"], span["label"]
        for name, value in (("start", start), ("end", end)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise BadInput(f"span {_short(span)}: {name} must be a whole number of characters", code="spans_shape")
        if not 0 <= start < end <= len(text):
            raise BadInput(
                f"span {_short(span)}: it must hold at least one character within 0..{len(text)}, end exclusive",
                code="spans_range",
            )
        if label not in self.labels:
            raise BadInput(
                f"span {_short(span)}: unknown label {label!r}; labels are {', '.join(self.labels)}", code="label_unknown"
            )
        return {"start": start, "end": end, "label": label}

    def auto_class(self) -> type[Any]:
        """Return AutoModelForTokenClassification."""
        chosen: type[Any] = AutoModelForTokenClassification
        return chosen

    def config_labels(self) -> list[str]:
        """Return O, then B- and I- of each label."""
        return ["O", *(prefix + label for label in self.labels for prefix in ("B-", "I-"))]

    @classmethod
    def labels_of_config(cls, id2label: Mapping[int, str]) -> list[str]:
        """Return the labels without O and prefixes, in the order of their first output."""
        names = (split_tag(id2label[i])[1] for i in sorted(id2label))
        return list(dict.fromkeys(name for name in names if name))

    def sources(self, id2label: Mapping[int, str], rename: Mapping[str, str]) -> list[list[int]]:
        """Return the outputs behind O, B-, I- of each label; without B- in the checkpoint its I- stands for both.

        `rename` may name a whole tag ("B-PER", "LABEL_1" -> "B-Person") or a label ("PER" -> "Person"; "" -> O).
        """
        found: dict[str, list[int]] = {label: [] for label in self.config_labels()}
        for index, raw in sorted(id2label.items()):
            prefix, label = split_tag(rename.get(raw, raw))
            label = rename.get(label, label)
            if not label:
                found["O"].append(index)
            elif label not in self.labels:
                raise BadDemo(
                    f"the checkpoint's label {raw!r} is not among the demo's ({', '.join(self.labels)}): "
                    f'say what it means under [rename] in the TOML, e.g. "{label}" = "{next(iter(self.labels), "Label")}", or "" to ignore it'
                )
            else:
                found[(prefix or "I-") + label].append(index)
        if not found["O"]:
            raise BadDemo(f"the checkpoint has no output for 'O' (no entity): its labels are {', '.join(id2label.values())}")
        for label in self.labels:
            found["B-" + label] = found["B-" + label] or found["I-" + label]
        return [found[label] for label in self.config_labels()]

    def encode(self, tokenizer: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
        """Return one feature dict a window; the first token of each word carries its tag, all others -100."""
        around = specials(tokenizer)
        index = {label: i for i, label in enumerate(self.config_labels())}
        features: list[dict[str, Any]] = []
        for example, encoded in zip(examples, tokenize(tokenizer, [e.input for e in examples]), strict=True):
            words = words_of(example.input, encoded)
            labels = [-100] * len(encoded.ids)
            tags = label_words([(word.start, word.end) for word in words], example.output["spans"])
            for word, tag in zip(words, tags, strict=True):
                labels[word.token] = index[tag]
            for start, end, own_start, own_end in encoded.windows:
                own = [labels[i] if own_start <= i < own_end else -100 for i in range(start, end)]
                features.append(
                    {
                        "input_ids": around.before + encoded.ids[start:end] + around.after,
                        "labels": [-100] * len(around.before) + own + [-100] * len(around.after),
                        "weight": example.weight,
                    }
                )
        return features

    def decode(
        self,
        inputs: Sequence[Json],
        encodings: Sequence[Encoded],
        logits: Sequence[np.ndarray],
        settings: Mapping[str, float],
    ) -> list[Answer]:
        """Return spans with a confidence each (mean probability of its label over its words, 4 digits).

        The whole answer's confidence is the least sure word's probability of what was said about it (O or its label).
        A span below the threshold is left out; the confidence then still speaks of what the model saw.
        """
        chosen = self.check_settings(settings)
        return [
            self._decode_one(text, encoded, rows, chosen) for text, encoded, rows in zip(inputs, encodings, logits, strict=True)
        ]

    def _decode_one(self, text: str, encoded: Encoded, logits: np.ndarray, chosen: Setting) -> Answer:
        words = words_of(text, encoded)
        if not words:
            return Answer({"spans": []}, 0.0, notes_on(encoded))
        probabilities = softmax(logits[[word.token for word in words]], chosen.temperature)  # (words, config labels)
        runs = decode_bio(probabilities)
        sure = probabilities[:, 0].copy()
        spans: list[dict[str, Any]] = []
        for first, last, kind in runs:
            of_label = probabilities[first : last + 1, 1 + 2 * kind : 3 + 2 * kind].sum(axis=1)
            sure[first : last + 1] = of_label
            confidence = float(of_label.mean())
            if confidence >= chosen.threshold:
                spans.append(
                    {
                        "start": words[first].start,
                        "end": words[last].end,
                        "label": self.labels[kind],
                        "confidence": round(confidence, 4),
                    }
                )
        return Answer({"spans": spans}, min(1.0, float(sure.min())), notes_on(encoded))

    def score(self, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, float]:
        """Return strict micro precision, recall and F1 of spans (start, end and label must all match), and macro F1."""
        totals = self.totals(truth, answers)
        tp, fp, fn = (sum(total[i] for total in totals.values()) for i in range(3))
        f1 = f1_of(tp, fp, fn)
        macro = mean_of([f1_of(*total) for total in totals.values() if total[0] + total[2]])
        precision, recall = tp / (tp + fp) if tp + fp else 0.0, tp / (tp + fn) if tp + fn else 0.0
        return {"main": f1, "f1": f1, "precision": precision, "recall": recall, "macro_f1": macro}

    def counts(self, truth: Json, answer: Json) -> dict[str, Counts]:
        """Return (tp, fp, fn) of spans for each label that occurs in either."""
        right, said = _triples(truth), _triples(answer)
        labels = sorted({label for _, _, label in right | said})
        parts = (right & said, said - right, right - said)
        return {label: Counts(*(sum(span[2] == label for span in part) for part in parts)) for label in labels}


def split_tag(tag: str) -> tuple[str, str]:
    """Return prefix and label of a tag: ("B-", "PER"), ("", "PER") without prefix, ("", "") for O and nothing."""
    if tag in ("", "O"):
        return "", ""
    return (tag[:2], tag[2:]) if tag[:2] in ("B-", "I-") and tag[2:] else ("", tag)


def _triples(output: Json) -> set[tuple[int, int, str]]:
    return {(span["start"], span["end"], span["label"]) for span in output["spans"]}


def _short(value: object) -> str:
    shown = repr(dict(value)) if isinstance(value, Mapping) else repr(value)
    return shown if len(shown) <= 120 else shown[:117] + "..."
