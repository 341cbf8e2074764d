"""An experiment's design as blocks: what was declared, when and by whom, and every number of it with its author and reason."""

from __future__ import annotations

from analysis.history import Design, Step
from analysis.presentation.blocks import Block, Heading, Line, Table
from analysis.presentation.formats import MISSING, size
from analysis.presentation.phrases import metric_in_words, rule_in_words
from analysis.report import Report
from feedback.outcomes import METRICS
from feedback.records import Experiment
from feedback.words import Say


def design_blocks(report: Report, design: Design, t: Say) -> list[Block]:
    """Return the design for the written report."""
    experiment = design.experiment
    none = t("experiments.design.none")
    guardrails = [_guardrail(guardrail.metric, guardrail.margin, t) for guardrail in experiment.guardrails]
    segments = [t(f"experiments.segment.{segment}") for segment in experiment.segments]
    made: list[Block] = [
        Heading(t("experiments.design")),
        *_declared(design, t),
        Line(t("experiments.design.hypothesis", text=experiment.hypothesis or none)),
        Line(t("experiments.design.mode", mode=t(f"experiments.mode.{experiment.mode}"))),
        Line(t("experiments.design.metric", metric=metric_in_words(report.metric, t))),
        Line(t("experiments.design.definition", definition=_definition(experiment, t) or none)),
        Line(t("experiments.design.guardrails", guardrails=_listed(guardrails, t) or none)),
        Line(t("experiments.design.rule", rule=rule_in_words(report, t))),
        Line(
            t(
                "experiments.design.covariate",
                covariate=t(f"experiments.covariate.{experiment.covariate}") if experiment.covariate else none,
            )
        ),
        Line(t("experiments.design.segments", segments=_listed(segments, t) or none)),
        Line(t("experiments.design.coverage", percent=f"{100 * experiment.coverage:g}")),
        _variants(experiment, t),
    ]
    return [*made, Heading(t("experiments.design.numbers")), _steps(design.steps, t)] if design.steps else made


def _definition(experiment: Experiment, t: Say) -> str:
    """Return the stored definition in the page's language; as it was stored, where it is not today's any more."""
    metric = METRICS.get(experiment.primary_metric)
    if metric is None or experiment.definition != metric.definition:
        return experiment.definition
    return t(f"experiments.design.formula.{metric.better}", y=metric.y, n=metric.n)


def _declared(design: Design, t: Say) -> list[Block]:
    if not design.steps:
        return []
    first = design.steps[0]
    said = t("experiments.design.declared", when=_when(first), author=first.author or MISSING)
    return [Line(said + t("experiments.join") + t("experiments.ship.reason", reason=first.reason) if first.reason else said)]


def _guardrail(metric: str, margin: float, t: Say) -> str:
    known = METRICS.get(metric)
    limit = size(margin, known.unit, t) if known else f"{margin:g}"
    return t("experiments.design.guardrail", metric=metric_in_words(metric, t) if known else metric, margin=limit)


def _variants(experiment: Experiment, t: Say) -> Table:
    head = tuple(t(f"experiments.column.{name}") for name in ("variant", "version", "share", "settings"))
    rows = tuple(
        (
            v.name,
            str(v.version),
            f"{100 * v.share:g} %",
            ", ".join(f"{key} {v.settings[key]:g}" for key in v.settings) or MISSING,
        )
        for v in experiment.variants
    )
    return Table(head, rows, texts=True)


def _steps(steps: tuple[Step, ...], t: Say) -> Table:
    columns = ("number", "when", "state", "shares", "coverage", "author", "reason")
    rows = tuple(
        (
            str(step.number),
            _when(step),
            t(f"experiments.state.{step.state}") + (f": {step.winner}" if step.winner else ""),
            ", ".join(f"{v.name} v{v.version} {100 * v.share:g} %" for v in step.variants),
            f"{100 * step.coverage:g} %",
            step.author or MISSING,
            step.reason or MISSING,
        )
        for step in steps
    )
    return Table(tuple(t(f"experiments.column.{name}") for name in columns), rows, texts=True)


def _when(step: Step) -> str:
    return f"{step.created:%Y-%m-%d %H:%M} UTC"


def _listed(items: list[str], t: Say) -> str:
    return t("experiments.design.join").join(items)
