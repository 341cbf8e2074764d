"""The classification report that the article printed, for the console, with the strict entity scores beside it. It trains nothing.

Of spans three tables: tags a token with O, the same without O, and whole entities. Tokens are cut and tagged (IOB2) as
the readers had them: in a file of tokens a token is what white space parts in the text that the reader joined; elsewhere
it is the model's own word. A token has the tag of the first span that touches it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from feedback.demo import Demo
from feedback.records import Example, Json
from model.network_task import network_task
from model.task import Counts, Task
from model.tasks.bio import label_words
from model.tasks.text import f1_of

Words = Callable[[str], Sequence[tuple[int, int]]]
"""Cuts a text into words: (start, end) in code points, end exclusive."""
TOKEN_FILES = (".tsv", ".conll", ".iob", ".txt")
"""Endings of files that hold a token a line (readers.py)."""
OUTSIDE = "O"
AVERAGES = ("micro", "macro", "weighted")
_PARTS = {
    "validation": "it takes part in choosing and gating, so it flatters",
    "test": "sealed: nothing is ever chosen or judged by it",
}


class Row(NamedTuple):
    """One line of a table. Shares lie in 0..1; `support` counts what is truly there: tokens, entities or texts."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


def part_report(demo: Demo, task: Task, part: str, examples: Sequence[Example], answers: Sequence[Json], words: Words) -> str:
    """Return everything that is to be said of the answers to one part (`validation` or `test`) of a demo's data.

    `words` are the model's, for a file that holds no tokens.
    """
    own, file = getattr(demo.data, part), Path(getattr(demo.data, part) or demo.data.train).name
    whose = f"of {file}, the {part} file" if own else f"of {file}, set apart by a hash of each text (there is no {part} file)"
    truth = [example.output for example in examples]
    lines = [f"== {part}: {len(examples)} texts {whose}; {_PARTS[part]}"]
    if task.widget == "spans":
        tokens = Path(file).suffix.lower() in TOKEN_FILES
        cut, name = (file_words, "a word of the file") if tokens else (words, "a word as this model cuts them")
        lines += _spans_report(task, [example.input for example in examples], truth, answers, cut, name)
    elif task.widget == "choices":
        lines += _heads_report(task, truth, answers)
    elif task.widget != "choice":
        lines.append("  ".join(f"{key} {value:.4f}" for key, value in task.score(truth, answers).items() if key != "main"))
    else:
        right, said = [one["label"] for one in truth], [one["label"] for one in answers]
        lines += [table(rows_of(right, said)), f"accuracy {accuracy_score(right, said):.4f}", *_unseen(task.labels, right, said)]
    return "\n".join(lines)


def _heads_report(task: Task, truth: Sequence[Json], answers: Sequence[Json]) -> list[str]:
    """Return a table a head, over the texts that tell its label."""
    lines: list[str] = []
    for head in dict.fromkeys(label.partition("/")[0] for label in task.labels):
        pairs = [
            (a["labels"][head], b["labels"].get(head, "")) for a, b in zip(truth, answers, strict=True) if head in a["labels"]
        ]
        if not pairs:
            lines.append(f"-- {head}: no text here tells it")
            continue
        right, said = [a for a, _ in pairs], [b for _, b in pairs]
        names = [label.removeprefix(f"{head}/") for label in task.labels if label.startswith(f"{head}/")]
        lines += [
            f"-- {head}",
            table(rows_of(right, said)),
            f"accuracy {accuracy_score(right, said):.4f}",
            *_unseen(names, right, said),
        ]
    return [*lines, f"mean accuracy over the heads {task.score(truth, answers)['main']:.4f}"]


def _spans_report(
    task: Task, texts: Sequence[str], truth: Sequence[Json], answers: Sequence[Json], cut: Words, name: str
) -> list[str]:
    right, said = tags_of(texts, truth, cut), tags_of(texts, answers, cut)
    outside = sum(tag == OUTSIDE for tag in right) / max(1, len(right))
    whole = _rounded(task, texts, truth, answers, cut)
    strict = task.score(truth, answers)
    return [
        f"-- 1. Tokens, with O: the article's figure (its 97.3 %). A token is {name}, tagged as IOB2. {outside:.1%} of these are O, "
        "most of them easy: they lift every average. The micro average is the accuracy.",
        table(rows_of(right, said)),
        "-- 2. Tokens, without O: the same answers, averaged over the tags of entities alone. Half an entity still counts for half.",
        table(rows_of(right, said, without=OUTSIDE)),
        *_unseen([label for label in network_task(task, "a report on tokens").config_labels() if label != OUTSIDE], right, said),
        "-- 3. Entities, strict: right only where start, end and label all are. The gate, the card and published F1 scores mean this;\n"
        "   macro is over the labels that truly occur.",
        table(entity_rows(task, truth, answers)),
        "  ".join(f"{key} {value:.4f}" for key, value in strict.items() if key != "main"),
        f"rounded out to whole tokens, as scripts that read tag files count them: f1 {whole:.4f}",
    ]


def file_words(text: str) -> list[tuple[int, int]]:
    """Return what white space parts: the tokens of a file of tokens, which its reader joined by single spaces."""
    return [match.span() for match in re.finditer(r"\S+", text)]


def tags_of(texts: Sequence[str], outputs: Sequence[Json], cut: Words) -> list[str]:
    """Return the IOB2 tag of every token of all texts, one after the other."""
    return [tag for text, output in zip(texts, outputs, strict=True) for tag in label_words(cut(text), output["spans"])]


def rows_of(right: Sequence[str], said: Sequence[str], without: str | None = None) -> list[Row]:
    """Return a row a label and the averages, as scikit-learn computes them, over the labels that occur on either side.

    `without` takes one label out of the rows and the averages; where it was said in place of another, that stays a miss.
    """
    labels = sorted({*right, *said} - {without})
    if not labels:
        return []
    found = precision_recall_fscore_support(right, said, labels=labels, zero_division=0)
    rows = [Row(label, float(p), float(r), float(f), int(n)) for label, p, r, f, n in zip(labels, *found, strict=True)]
    support = sum(row.support for row in rows)
    for average in AVERAGES:
        p, r, f, _ = precision_recall_fscore_support(right, said, labels=labels, average=average, zero_division=0)
        rows.append(Row(f"{average} average", float(p), float(r), float(f), support))
    return rows


def entity_rows(task: Task, truth: Sequence[Json], answers: Sequence[Json]) -> list[Row]:
    """Return a row a label of the task and the averages of its strict counts; macro over the labels that truly occur."""
    totals = _totals(task, truth, answers)
    rows = [_row(label, counts) for label, counts in totals.items()]
    seen = [row for row in rows if row.support]
    support = sum(row.support for row in seen)
    micro = _row("micro average", [sum(counts[i] for counts in totals.values()) for i in range(3)])
    even, weights = [1 / len(seen)] * len(seen) if seen else [], [row.support / support for row in seen]
    return [*rows, micro, _mean("macro average", seen, even, support), _mean("weighted average", seen, weights, support)]


def _totals(task: Task, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, list[int]]:
    totals = {label: [0, 0, 0] for label in task.labels}
    for right, answer in zip(truth, answers, strict=True):
        for label, counts in task.counts(right, answer).items():
            totals[label] = [a + b for a, b in zip(totals[label], counts, strict=True)]
    return totals


def _row(name: str, counts: Sequence[int]) -> Row:
    tp, fp, fn = Counts(*counts)
    return Row(name, tp / (tp + fp) if tp + fp else 0.0, tp / (tp + fn) if tp + fn else 0.0, f1_of(tp, fp, fn), tp + fn)


def _mean(name: str, rows: Sequence[Row], weights: Sequence[float], support: int) -> Row:
    columns = ([row.precision for row in rows], [row.recall for row in rows], [row.f1 for row in rows])
    precision, recall, f1 = (sum(w * value for w, value in zip(weights, column, strict=True)) for column in columns)
    return Row(name, precision, recall, f1, support)


def _rounded(task: Task, texts: Sequence[str], truth: Sequence[Json], answers: Sequence[Json], cut: Words) -> float:
    """Return the strict F1 once every span is as long as the tokens that it touches."""
    sides = [[_whole(text, output, cut) for text, output in zip(texts, side, strict=True)] for side in (truth, answers)]
    return task.score(*sides)["main"]


def _whole(text: str, output: Json, cut: Words) -> Json:
    spans: list[dict[str, Json]] = []
    words = cut(text)
    for (start, end), tag in zip(words, label_words(words, output["spans"]), strict=True):
        if tag.startswith("B-"):
            spans.append({"start": start, "end": end, "label": tag[2:]})
        elif tag != OUTSIDE:
            spans[-1]["end"] = end
    return {"spans": spans}


def _unseen(labels: Sequence[str], right: Sequence[str], said: Sequence[str]) -> list[str]:
    """Say which labels are in no row: they occur neither in truth nor in answers, and no average counts them."""
    missing = [label for label in labels if label not in {*right, *said}]
    return [f"neither here nor answered, and in no average: {', '.join(missing)}"] if missing else []


def table(rows: Sequence[Row]) -> str:
    """Return rows as aligned lines under a head; words where there are none."""
    if not rows:
        return "(none occurs, and none was answered)"
    width = max(8, *(len(row.name) for row in rows))
    lines = [f"{'':{width}}  precision  recall      f1  support"]
    lines += [f"{row.name:{width}}  {row.precision:9.4f}  {row.recall:6.4f}  {row.f1:6.4f}  {row.support:7d}" for row in rows]
    return "\n".join(lines)
