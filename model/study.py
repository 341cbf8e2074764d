"""The study of a search: what is tried, in which order, what is pruned, and what a kill cut short. Optuna keeps it in one file."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from feedback.demo import Demo
from feedback.errors import AmendError, BadInput
from model.descent import TrainingFailed
from model.methods import METHODS
from model.trials import Items, OutOfTime, Trials

STARTUP = 4
"""Trials at random, the defaults among them, before the sampler (TPE) learns from what it saw: of Optuna's 10 a small budget has not many."""
PRUNED_AFTER = 3
"""Whole trials before one may be pruned: where it lies below their median at the same share of its steps, from the half on."""
RESERVED = 0.4
"""Share of the minutes kept for the last comparison while no trial has told how long one takes."""


class _Pruned(AmendError):
    """The trial does worse than half of those before it."""


def ranges_of(demo: Demo, method: str) -> dict[str, tuple[Any, ...]]:
    """Return what is searched: key of [training] -> ("log", low, high), ("whole", low, high) or ("one of", choices). Raises BadInput."""
    if method not in METHODS or method == "head":
        able = ", ".join(name for name in METHODS if name != "head")
        why = "its one number is fixed, so there is nothing to search" if method == "head" else "there is no such method"
        raise BadInput(f"method {method!r}: {why}; methods with settings are {able}")
    now_ = demo.training
    ranges: dict[str, tuple[Any, ...]] = {
        "learning_rate": ("log", now_.learning_rate / 4, now_.learning_rate * 4),
        "epochs": ("whole", 1, 2 * now_.epochs),
        "batch_size": ("one of", sorted({8, 16, 32, now_.batch_size})),
    }
    if method == "lora":
        ranges["lora_rank"] = ("one of", sorted({4, 8, 16, 32, now_.lora_rank}))
        ranges["lora_alpha"] = ("log", now_.lora_alpha / 4, now_.lora_alpha * 4)
    if method == "prompt":
        ranges["prompt_length"] = ("whole", min(5, now_.prompt_length), max(50, now_.prompt_length))
    return ranges


def defaults_of(demo: Demo, ranges: Mapping[str, Any]) -> dict[str, int | float]:
    """Return the demo's own values of what is searched."""
    return {name: getattr(demo.training, name) for name in ranges}


def open_study(optuna: Any, out: Path, demo: Demo, method: str, items: Items) -> Any:
    """Open or make the study; note killed trials as failed and put their settings in the queue again, once each."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out / "study.log")))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=PRUNED_AFTER, n_warmup_steps=1)
    study = optuna.create_study(
        storage=storage, study_name="search", direction="maximize", pruner=pruner, load_if_exists=True
    )  # fmt: skip
    study.sampler = optuna.samplers.TPESampler(seed=demo.training.seed + len(study.trials), n_startup_trials=STARTUP)
    about = _about(demo, method, items)
    if study.user_attrs.get("about", about) != about:
        raise BadInput(f"{out}: holds a study of other data, another method or other defaults: name another --out")
    if not study.trials:
        study.set_user_attr("about", about)
        study.enqueue_trial(defaults_of(demo, ranges_of(demo, method)))
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        _again(study, trial)
    return study


def _about(demo: Demo, method: str, items: Items) -> str:
    """Return a hash of what makes two searches one: data, method, base, and the settings that are not searched."""
    texts = sorted(f"{e.input_hash}{json.dumps(e.output, sort_keys=True)}" for e in (*items.learning, *items.judging))
    told = [method, demo.model or demo.base, demo.training.model_dump(exclude={"device", "threads", "method"}), texts]
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _again(study: Any, trial: Any) -> None:
    """Put the settings of a trial that was cut short in the queue, unless they were there for a second time already."""
    if trial.params and not trial.user_attrs.get("again"):
        study.enqueue_trial(trial.params, user_attrs={"again": True})


def counted(study: Any) -> int:
    """Return how many trials came to an end of their own: whole, pruned, or broken down (not: cut short)."""
    return sum(t.state.name in ("COMPLETE", "PRUNED") or "broke" in t.user_attrs for t in study.trials)


def reserve(study: Any, seeds: int, budget: float) -> float:
    """Return the seconds to keep for the last comparison: `seeds` trainings of the defaults and of the best so far."""
    whole = [t for t in study.trials if t.state.name == "COMPLETE"]
    if not whole:
        return RESERVED * budget
    return min(seeds * (_seconds(whole[0]) + _seconds(study.best_trial)), budget / 2)


def _seconds(trial: Any) -> float:
    return float(trial.duration.total_seconds())


def one_trial(optuna: Any, study: Any, runner: Trials, ranges: Mapping[str, tuple[Any, ...]], deadline: float) -> bool:
    """Do one trial and tell the study; return whether time was left for it."""
    trial = study.ask()
    values = _suggested(trial, ranges)

    def tell(rung: int, score: float) -> None:
        trial.report(score, rung)
        if trial.should_prune():
            raise _Pruned("below the median")

    states = optuna.trial.TrialState
    said = ", ".join(f"{name} {value:g}" for name, value in values.items())
    try:
        score = runner.score(f"trial-{trial.number:04d}", values, deadline, tell)
        study.tell(trial, score)
        print(f"trial {trial.number}: {said}: {100 * score:.2f}", flush=True)
    except _Pruned:
        study.tell(trial, state=states.PRUNED)
        print(f"trial {trial.number}: {said}: pruned", flush=True)
    except TrainingFailed as error:
        trial.set_user_attr("broke", str(error))
        study.tell(trial, state=states.FAIL)
        print(f"trial {trial.number}: {said}: {error}", flush=True)
    except OutOfTime:
        study.tell(trial, state=states.FAIL)
        _again(study, study.trials[trial.number])
        print(f"trial {trial.number}: {said}: cut short", flush=True)
        return False
    return True


def _suggested(trial: Any, ranges: Mapping[str, tuple[Any, ...]]) -> dict[str, int | float]:
    values: dict[str, int | float] = {}
    for name, (kind, *limits) in ranges.items():
        if kind == "log":
            values[name] = trial.suggest_float(name, *limits, log=True)
        elif kind == "whole":
            values[name] = trial.suggest_int(name, *limits)
        else:
            values[name] = trial.suggest_categorical(name, limits[0])
    return values


def library() -> Any:
    """Return Optuna, quiet; raise BadInput where it is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise BadInput("a search needs the library optuna: pip install 'amend[search]', or pip install optuna")
    optuna = importlib.import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
