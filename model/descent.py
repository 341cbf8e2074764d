"""Gradient descent over batches of features: the loop, its schedule, and what it does when memory runs out. It knows no method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch

from feedback.errors import AmendError

Report = Callable[[int, int, "float | None"], None]
"""Told (steps done, steps in all, mean loss of late); what it raises ends the training."""
Say = Callable[[str], None]
"""Told, in words, what people should know: that memory ran out, for instance."""

HOLD = 0.8
"""The rate stays at its top for this share of the steps. Falling from the start on (as transformers' Trainer lets it) cost 6 points
of F1 against a rate that never falls, at sixty steps (docs/benchmarks.md, 'Training speed')."""


class TrainingFailed(AmendError):
    """The training came to nothing: the loss is not a number, for instance."""

    title = "Training failed"


class Learner(NamedTuple):
    """What a descent moves. `path`: "lean" (packed.py) or "plain" (transformers' own forward pass).

    loss: (numbers of features, labelled places of the whole batch they belong to) -> their share of the batch's loss, so that
    the parts of a batch add up to exactly its loss. places: labelled places by feature. done: called once, at the end.
    """

    parameters: list[torch.nn.Parameter]
    loss: Callable[[Sequence[int], int], torch.Tensor]
    places: Sequence[int]
    path: str
    done: Callable[[], None] = lambda: None


class Descended(NamedTuple):
    """What a descent took. `micro_batch`: texts computed at once, where memory asked for fewer than a batch; else None."""

    steps: int
    tokens: int
    loss: float
    micro_batch: int | None


def descend(
    learner: Learner,
    lengths: Sequence[int],
    epoch: Callable[[], Sequence[Sequence[int]]],
    total: int,
    rate: float,
    amp: Callable[[], AbstractContextManager[Any]],
    report: Report,
    say: Say,
) -> Descended:
    """Take `total` steps over the batches of as many epochs as that takes. `lengths`: tokens by feature; `rate`: at the top.

    Raises TrainingFailed where the loss stops being a number, or memory does not suffice for one text.
    """
    device = learner.parameters[0].device
    optimizer = torch.optim.AdamW(_decayed(learner.parameters), lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _slope(step, total))
    recent = torch.zeros((), device=device)
    shown: float | None = None
    micro: int | None = None
    step = tokens = 0
    for batch in _endless(epoch):
        loss, micro = _gradients(learner, batch, micro, amp, optimizer, say)
        torch.nn.utils.clip_grad_norm_(learner.parameters, 1.0, foreach=True)
        optimizer.step()
        schedule.step()
        step += 1
        tokens += sum(lengths[i] for i in batch)
        recent = 0.9 * recent + 0.1 * loss
        if step % 10 == 0 or step == total:  # reading the loss stops a GPU: not at every step
            shown = _read(recent, step, total, rate)
        report(step, total, shown)
        if step == total:
            break
    return Descended(step, tokens, float(shown or 0.0), micro)


def _endless(epoch: Callable[[], Sequence[Sequence[int]]]) -> Iterator[Sequence[int]]:
    while True:
        yield from epoch()


def _gradients(
    learner: Learner,
    batch: Sequence[int],
    micro: int | None,
    amp: Callable[[], AbstractContextManager[Any]],
    optimizer: torch.optim.Optimizer,
    say: Say,
) -> tuple[torch.Tensor, int | None]:
    """Leave the batch's gradients in the parameters; return its loss and the texts at once that memory allowed (None: all)."""
    places = sum(learner.places[i] for i in batch)
    while True:
        optimizer.zero_grad(set_to_none=True)
        size = micro or len(batch)
        loss = _summed(learner, [batch[i : i + size] for i in range(0, len(batch), size)], places, amp)
        if loss is not None:
            return loss, micro
        optimizer.zero_grad(set_to_none=True)  # here, and not where the error was caught: its trace held on to the memory
        size = min(size, len(batch))
        if size == 1:
            raise TrainingFailed("the device's memory does not suffice for a single text: use 'top' or 'head', or another device")
        micro = size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        say(f"memory ran out at {size} texts at once: going on with {micro} at once; a step still learns from a whole batch")


def _summed(
    learner: Learner, parts: Sequence[Sequence[int]], places: int, amp: Callable[[], AbstractContextManager[Any]]
) -> torch.Tensor | None:
    """Add up the parts' gradients and return their loss; None where memory ran out on the way."""
    whole: torch.Tensor | None = None
    try:
        for part in parts:
            with amp():
                loss = learner.loss(part, places)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            whole = loss.detach() if whole is None else whole + loss.detach()
    except torch.OutOfMemoryError:
        return None
    return whole


def _read(recent: torch.Tensor, step: int, total: int, rate: float) -> float:
    """Return the running mean of the loss, freed of its start at 0; raise TrainingFailed where it is not a number."""
    value = float(recent) / (1 - 0.9**step)
    if not math.isfinite(value):
        raise TrainingFailed(
            f"the loss became {value} by step {step} of {total}: try a learning rate below {rate:g}, or look for broken examples"
        )
    return value


def _decayed(learning: Sequence[torch.nn.Parameter]) -> list[dict[str, Any]]:
    """Weight decay of 0.01 for matrices, none for biases and norms, as BERT was trained."""
    matrices, vectors = [p for p in learning if p.ndim > 1], [p for p in learning if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]


def _slope(step: int, total: int) -> float:
    """Return the learning rate's factor: up in a straight line over 6 % of the steps, held until HOLD of them, then down to 0."""
    warm = max(1, round(0.06 * total))
    held = max(warm, round(HOLD * total))
    if step < warm:
        return (step + 1) / warm
    return 1.0 if step < held else max(0.0, (total - step) / max(1, total - held))
