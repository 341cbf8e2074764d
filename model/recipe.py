"""The recipes: from a base on seed data, or from a parent on seed data and accepted feedback. It judges and saves nothing.

A retraining starts from the parent's weights, learns the seed's training part again together with the accepted items,
and is then pulled back towards the parent: (1-a) parent + a trained, a chosen on items that neither training nor gate uses.
Now and then one starts from the base instead, on the same items and with the seed's epochs and rate: what parent after parent
has worn in is gone then. It is not pulled back: weights half-way between two trainings that went apart at the base belong to neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from feedback.demo import Demo
from feedback.errors import BadInput
from feedback.records import Example
from model.adapters import with_prompt
from model.answering import Answerer
from model.augment import augmented
from model.base import CHARACTERS, Model, base_directory, begin, resume
from model.card import Card
from model.job import Job
from model.methods import FitSettings, Fitted, fit
from model.network_task import NetworkTask
from model.parts import Parts
from model.progress import Progress
from model.scratch import base_of

STEPS = (0.25, 0.5, 0.75, 1.0)
"""What `a` may be (weight interpolation after fine-tuning, arXiv:2109.01903)."""
HALFWAY = 0.5
"""`a` where there is too little to choose on: half-way back kept most of the gain and shed most of the harm."""
CHOOSING_LEAST = 20


class Trained(NamedTuple):
    """A trained model, what it took, and `interpolation`: the `a` that was chosen, None where nothing was.

    `augmented`: made-up examples that it learned from besides.
    """

    model: Model
    took: Fitted
    examples: int
    interpolation: float | None
    augmented: int = 0


def settings_of(demo: Demo, job: Job) -> FitSettings:
    """Return how to learn: the demo's settings; a retraining has its own seed, and from a parent its own epochs and a lower rate."""
    training, anew = demo.training, job.kind == "retrain"
    again = anew and not job.from_base
    return FitSettings(
        method=job.method or training.method,
        epochs=training.retrain_epochs if again else training.epochs,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate * (training.retrain_rate if again else 1.0),
        seed=training.seed + (job.number if anew else 0),
        device=training.device,
        threads=training.threads,
        lora_rank=training.lora_rank,
        lora_alpha=training.lora_alpha,
        prompt_length=training.prompt_length,
        augment=training.augment,
        freeze_embeddings=demo.base != CHARACTERS if training.freeze_embeddings is None else training.freeze_embeddings,
    )


def check_learned(parts: Parts) -> None:
    """Raise BadInput where a retraining would learn nothing that the seed does not say."""
    if not any(e.correction_id for e in parts.train):
        judging, choosing = len(parts.feedback), sum(bool(e.correction_id) for e in parts.choosing)
        raise BadInput(
            f"no accepted item is left to learn from: {parts.left_out} are left out (their texts are the seed's validation or test "
            f"data, or the demo has their labels no more), {judging} judge and {choosing} choose. Accept more corrections first"
        )


def renamed(task: NetworkTask, parent: Card) -> dict[str, str]:
    """Return what a parent's labels are called now: as its card says, and "" (learned no more) for those that the demo lost since."""
    gone = {label for label in parent.labels if label not in task.labels}
    kept = {raw: "" if ours in gone or ours[2:] in gone else ours for raw, ours in parent.rename.items()}  # ours: B-x, or x
    return {**kept, **dict.fromkeys(gone, "")}


def train_seed(demo: Demo, task: NetworkTask, parts: Parts, settings: FitSettings, progress: Progress) -> Trained:
    """Train from the demo's base, or from its checkpoint where it names one."""
    progress.stage("loading", f"{demo.model or demo.base}")
    source = base_directory(demo.model, demo.path.parent) if demo.model else base_of(demo, report=progress.step)
    model = resume(task, source, demo.rename, settings.seed) if demo.model else begin(task, source, settings.seed)
    model = _prompted(model, settings)
    took, more = _learn(task, model, parts, settings, progress)
    return Trained(model, took, len(parts.train), None, more)


def retrain(
    task: NetworkTask, parent: str, rename: Mapping[str, str], parts: Parts, settings: FitSettings, progress: Progress
) -> Trained:
    """Train from the parent's weights, then choose how far to go from them."""
    progress.stage("loading", parent)
    model = _prompted(resume(task, parent, rename, settings.seed), settings)
    start = {name: value.detach().cpu().clone() for name, value in model.network.state_dict().items()}
    took, more = _learn(task, model, parts, settings, progress)
    chosen = _choose(task, model, start, parts.choosing, progress)
    return Trained(model, took, len(parts.train), chosen, more)


def _prompted(model: Model, settings: FitSettings) -> Model:
    """Return the model with room for the prompt that is to be learned, where one is."""
    return with_prompt(model, settings.prompt_length, settings.seed) if settings.method == "prompt" else model


def _learn(task: NetworkTask, model: Model, parts: Parts, settings: FitSettings, progress: Progress) -> tuple[Fitted, int]:
    """Train on the training part and what is made up from it; return what it took, and how many were made up."""
    judged = parts.held_out | {e.input_hash for e in (*parts.choosing, *parts.old, *parts.feedback)}
    more = augmented(parts.train, settings.augment, settings.seed, judged)
    features = task.encode(model.tokenizer, [*parts.train, *more])
    progress.stage("training", f"{len(parts.train) + len(more)} examples, method {settings.method}")
    with progress.track.learning(model, features, settings.epochs):
        took = fit(model, features, settings, progress.step, lambda words: progress.stage("training", words))
    progress.track.learned(took.steps, took.tokens, took.loss)
    return took, len(more)


def _choose(
    task: NetworkTask, model: Model, start: Mapping[str, torch.Tensor], choosing: Sequence[Example], progress: Progress
) -> float:
    """Leave the network at the best (1-a) start + a trained and return a; of equals the one nearest to the start."""
    end = {name: value.detach().cpu().clone() for name, value in model.network.state_dict().items()}
    progress.stage("choosing", f"{len(choosing)} items", len(STEPS))
    best, best_score = HALFWAY, -1.0
    if len(choosing) >= CHOOSING_LEAST:
        answerer = Answerer(task, model)
        for number, a in enumerate(STEPS, 1):
            model.network.load_state_dict(interpolated(start, end, a))
            answers = answerer.answer([e.input for e in choosing], [{}] * len(choosing))
            score = task.score([e.output for e in choosing], [answer.output for answer in answers])["main"]
            if score > best_score + 1e-12:
                best, best_score = a, score
            progress.track.chosen(a, score)
            progress.step(number, len(STEPS), None)
    model.network.load_state_dict(interpolated(start, end, best))
    return best


def interpolated(start: Mapping[str, Any], end: Mapping[str, Any], a: float) -> dict[str, torch.Tensor]:
    """Return (1-a) start + a end for every tensor of numbers with fractions; others are the end's."""
    return {name: torch.lerp(start[name], value, a) if value.is_floating_point() else value for name, value in end.items()}
