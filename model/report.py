"""A table of scores per label, for the console. It computes nothing that a task does not."""

from __future__ import annotations

from collections.abc import Sequence

from feedback.records import Json
from model.task import Task
from model.tasks.text import f1_of


def label_report(task: Task, truth: Sequence[Json], answers: Sequence[Json]) -> str:
    """Return precision, recall, F1 and support of every label, and the task's scores below."""
    totals = {label: [0, 0, 0] for label in task.labels}
    for right, answer in zip(truth, answers, strict=True):
        for label, counts in task.counts(right, answer).items():
            totals[label] = [a + b for a, b in zip(totals[label], counts, strict=True)]
    width = max(8, *(len(label) for label in totals))
    lines = [f"{'label':{width}}  precision  recall      f1  support"]
    for label, (tp, fp, fn) in totals.items():
        precision, recall = tp / (tp + fp) if tp + fp else 0.0, tp / (tp + fn) if tp + fn else 0.0
        lines.append(f"{label:{width}}  {precision:9.4f}  {recall:6.4f}  {f1_of(tp, fp, fn):6.4f}  {tp + fn:7d}")
    scores = task.score(truth, answers)
    lines.append("  ".join(f"{name} {value:.4f}" for name, value in scores.items() if name != "main"))
    return "\n".join(lines)
