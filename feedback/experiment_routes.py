"""The experiments over HTTP, for staff and their programs: declare, start, ramp, change, pause, stop, decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from feedback.declaring import guardrails_of
from feedback.errors import BadInput
from feedback.experiments import Experiments
from feedback.records import Experiment, Variant
from feedback.routes import Body, Moment, StaffOf, json_only

_HOW = ("mode", "primary_metric", "guardrails", "segments", "covariate", "rule", "n_max", "alpha", "coverage")


class VariantIn(Body):
    """One variant: a model version, its share (0..1; all sum to 1) and serving settings."""

    name: str = Field(min_length=1, max_length=40)
    version: int = Field(ge=1)
    share: float
    settings: dict[str, float] = Field(default_factory=dict)


class GuardrailIn(Body):
    """A metric that may not get worse by `margin` or more."""

    metric: str
    margin: float


class DeclarationIn(Body):
    """A new experiment. What is left out comes from the demo's TOML. The first variant is the control."""

    name: str
    variants: list[VariantIn] = Field(max_length=20)
    hypothesis: str = Field("", max_length=2000)
    mode: Literal["assigned", "side_by_side"] | None = None
    primary_metric: str | None = None
    guardrails: list[GuardrailIn] | None = None
    segments: list[str] | None = None
    covariate: str | None = None
    rule: Literal["horizon", "always_valid"] | None = None
    n_max: int | None = None
    alpha: float | None = None
    coverage: float | None = None
    reason: str = Field("", max_length=1000)
    start: bool = True


class ActionIn(Body):
    """What to do with an experiment. `changes` belong to change, `shares` to reweigh, `winner` and `promote` to decide."""

    action: Literal["start", "pause", "resume", "stop", "reweigh", "change", "decide"]
    shares: dict[str, float] = Field(default_factory=dict)
    changes: dict[str, Any] = Field(default_factory=dict)
    winner: str = ""
    promote: bool = False
    reason: str = Field("", max_length=1000)


class ExperimentOut(BaseModel):
    """An experiment in one of its numbers."""

    name: str
    number: int
    state: str
    mode: str
    variants: list[dict[str, Any]]
    coverage: float
    primary_metric: str
    definition: str
    guardrails: list[dict[str, Any]]
    segments: list[str]
    covariate: str
    rule: str
    n_max: int
    alpha: float
    hypothesis: str
    winner: str
    author: str
    reason: str
    created: Moment


def router(experiments: Experiments, defaults: Mapping[str, Any]) -> APIRouter:
    """Return the experiments' routes. `defaults` are the fields of an Experiment that a declaration may leave out."""
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(json_only)], tags=["staff"])

    @api.get("/experiments", summary="All experiments, oldest first")
    def all_experiments(_: StaffOf) -> list[ExperimentOut]:
        return [as_json(experiment) for experiment in experiments.all()]

    @api.get("/experiments/{name}/numbers", summary="Every number of one experiment: who changed what, and why")
    def numbers(name: str, _: StaffOf) -> list[ExperimentOut]:
        return [as_json(experiment) for experiment in experiments.numbers(name)]

    @api.post("/experiments", status_code=201, summary="Declare an experiment, and start it unless told otherwise")
    def post(body: DeclarationIn, author: StaffOf) -> ExperimentOut:
        return as_json(declare(experiments, defaults, body.model_dump(exclude={"start"}, exclude_none=True), author, body.start))

    @api.post("/experiments/{name}", summary="Start, pause, resume, stop, reweigh, change or decide an experiment")
    def act(name: str, body: ActionIn, author: StaffOf) -> ExperimentOut:
        return as_json(perform(experiments, name, body.model_dump(), author))

    return api


def declare(
    experiments: Experiments, defaults: Mapping[str, Any], given: Mapping[str, Any], author: str, start: bool
) -> Experiment:
    """Declare what JSON values say, the demo's defaults standing in for what they leave out."""
    return experiments.declare(declaration(given, defaults, author), start=start)


def declaration(given: Mapping[str, Any], defaults: Mapping[str, Any], author: str) -> Experiment:
    """Return a declaration of JSON values as an Experiment. Raises BadInput for what it cannot be read as."""
    try:
        variants = tuple(Variant(**variant) for variant in given["variants"])
    except (KeyError, TypeError) as error:
        raise BadInput(f"variants: each is made of name, version, share and, where it has any, settings ({error})") from error
    made = Experiment(str(given["name"]), 1, "declared", variants, **{name: defaults[name] for name in _HOW if name in defaults})
    plain = {name: given[name] for name in (*_HOW, "hypothesis", "reason") if name in given}
    return replace(made, author=author, **typed(plain))


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of JSON values as an Experiment holds them. Raises BadInput for a value of another type."""
    made = dict(values)
    for name in ("hypothesis", "primary_metric", "covariate", "rule", "mode"):
        if not isinstance(made.get(name, ""), str):
            raise BadInput(f"{name} {made[name]!r}: must be a text")
    for name, item in (("guardrails", Mapping), ("segments", str)):
        found = made.get(name, [])
        if not isinstance(found, (list, tuple)) or not all(isinstance(part, item) for part in found):
            raise BadInput(f"{name} {found!r}: must be a list of {'texts' if item is str else 'objects with metric and margin'}")
    if "guardrails" in made:
        made["guardrails"] = guardrails_of(made["guardrails"])
    if "segments" in made:
        made["segments"] = tuple(made["segments"])
    return made


def perform(experiments: Experiments, name: str, what: Mapping[str, Any], author: str) -> Experiment:
    """Do what an ActionIn says. Raises BadInput, Conflict or NotFound as the use cases do."""
    action, reason = what["action"], what["reason"]
    if action == "reweigh":
        return experiments.reweigh(name, what["shares"], author, reason)
    if action == "change":
        return experiments.change(name, typed(what["changes"]), author, reason)
    if action == "decide":
        return experiments.decide(name, what["winner"], author, reason, promote=what["promote"])
    return experiments.act(name, action, author, reason)


def as_json(experiment: Experiment) -> ExperimentOut:
    """Return an experiment as the routes and the command show it."""
    values = asdict(experiment)
    return ExperimentOut(**{name: values[name] for name in ExperimentOut.model_fields})
