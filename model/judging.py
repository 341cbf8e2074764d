"""A candidate's answers beside the champion's, on the gate's items and on the seed's held-out parts. The rules are in gate.py."""

from __future__ import annotations

import time
from collections.abc import Sequence

from feedback.records import Answer, Example
from model.data import SeedData
from model.gate import NOTHING, Slice, run_gate
from model.gate_report import GateResult
from model.parts import Parts
from model.progress import Progress
from model.refit import HeadAnswerer
from model.task import Answering, Task


def gate_version(
    task: Task,
    parts: Parts,
    champion: Answering,
    candidate: Answering,
    progress: Progress,
    head: Answering | None = None,
    anchor: Answering | None = None,
) -> GateResult:
    """Answer the gate's items with both sides and judge. Latency (ms an item, in batches) and size (MB) are shown.

    `head`: a head on the frozen base that learned the same, which a candidate must beat; `anchor`: the best champion
    before; None: there is none. Where a side
    answers from remembered features its latency would say nothing, and none is shown.
    """
    items = [*parts.old, *parts.feedback, *parts.gold]
    sizes = f"{len(parts.old)} items of the old domain, {len(parts.feedback)} of feedback, {len(parts.gold)} of known truth"
    progress.stage("gate", sizes, 2 * len(items))
    before, slow = _timed(champion, items, progress, 0)
    after, fast = _timed(candidate, items, progress, len(items))
    cut, end = len(parts.old), len(parts.old) + len(parts.feedback)
    shown = {"size_mb": (champion.megabytes(), candidate.megabytes())}
    if not isinstance(champion, HeadAnswerer) and not isinstance(candidate, HeadAnswerer):
        shown = {"latency_ms": (slow, fast), **shown}
    rival = NOTHING
    if head is not None:
        progress.check()
        rival = Slice(items[:end], head.answer([e.input for e in items[:end]], [{}] * end), after[:end])
    past = NOTHING
    if anchor is not None:
        progress.check()
        past = Slice(parts.old, anchor.answer([e.input for e in parts.old], [{}] * cut), after[:cut])
    return run_gate(
        task,
        Slice(parts.old, before[:cut], after[:cut]),
        Slice(parts.feedback, before[cut:end], after[cut:end]),
        shown if items else None,
        gold=Slice(parts.gold, before[end:], after[end:]),
        head=rival,
        anchor=past,
    )


def _timed(
    answerer: Answering, items: Sequence[Example], progress: Progress, done: int, chunk: int = 128
) -> tuple[list[Answer], float]:
    """Return the answers and the milliseconds that one took."""
    answers: list[Answer] = []
    began = time.perf_counter()
    for start in range(0, len(items), chunk):
        part = items[start : start + chunk]
        answers += answerer.answer([e.input for e in part], [{}] * len(part))
        progress.step(done + len(answers), 2 * len(items), None)
    return answers, 1000 * (time.perf_counter() - began) / max(1, len(items))


def seed_scores(task: Task, answerer: Answering, seed: SeedData, progress: Progress) -> dict[str, dict[str, float]]:
    """Return the scores on the seed's validation and (sealed) test part, each with its number of items."""
    scores: dict[str, dict[str, float]] = {}
    for name, examples in (("validation", seed.validation), ("test", seed.test)):
        if examples:
            progress.check()
            answers = answerer.answer([e.input for e in examples], [{}] * len(examples))
            truth = [e.output for e in examples]
            outputs = [answer.output for answer in answers]
            scores[name] = {**task.score(truth, outputs), "items": float(len(examples))}
    return scores
