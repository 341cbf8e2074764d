"""What an experiment must be before it may start: the checks of a declaration, and what may change afterwards. No log, no state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from feedback import outcomes
from feedback.errors import BadInput, Conflict
from feedback.records import Experiment, Guardrail, Variant

DESIGN = ("hypothesis", "primary_metric", "rule", "n_max", "alpha", "guardrails", "segments", "covariate", "mode")
"""What is fixed once the experiment starts: a rule that may be chosen after a look promises nothing."""

TRAFFIC = ("shares", "coverage", "versions")
"""What may change while it runs. New shares or versions begin the count anew; coverage moves nobody."""

RULES = ("horizon", "always_valid")
MODES = ("assigned", "side_by_side")


def checked(experiment: Experiment) -> Experiment:
    """Return the experiment with its metric's definition, or raise BadInput with the value, the rule and the choices."""
    check_variants(experiment.variants)
    metric = outcomes.primary(experiment.primary_metric)
    if experiment.rule not in RULES:
        raise BadInput(f"rule {experiment.rule!r}: available are {', '.join(RULES)}")
    if experiment.mode not in MODES:
        raise BadInput(f"mode {experiment.mode!r}: available are {', '.join(MODES)}")
    if isinstance(experiment.n_max, bool) or not isinstance(experiment.n_max, int) or not 2 <= experiment.n_max < 2**31:
        raise BadInput(
            f"n_max {experiment.n_max!r}: a whole number of users, at least 2",
            code="bad_n_max",
            values={"value": experiment.n_max},
        )
    if not _number(experiment.alpha) or not 0 < experiment.alpha < 0.5:
        raise BadInput(
            f"alpha {experiment.alpha!r}: must be above 0 and below 0.5", code="bad_alpha", values={"value": experiment.alpha}
        )
    if not _number(experiment.coverage) or not 0 <= experiment.coverage <= 1:
        raise BadInput(
            f"coverage {experiment.coverage!r}: must lie in 0..1", code="bad_coverage", values={"value": experiment.coverage}
        )
    for guardrail in experiment.guardrails:
        _check_guardrail(guardrail, metric)
    names = [guardrail.metric for guardrail in experiment.guardrails]
    if len(set(names)) != len(names):
        raise BadInput(
            f"guardrails {', '.join(names)}: each metric once", code="guardrail_twice", values={"names": ", ".join(names)}
        )
    unknown = [name for name in experiment.segments if name not in outcomes.SEGMENTS]
    if unknown:
        raise BadInput(f"segment {unknown[0]!r}: available are {', '.join(outcomes.SEGMENTS)}")
    if experiment.covariate and experiment.covariate not in outcomes.COVARIATES:
        raise BadInput(
            f"covariate {experiment.covariate!r}: available are {', '.join(outcomes.COVARIATES)}, or none",
            code="bad_covariate",
            values={"value": experiment.covariate, "known": ", ".join(outcomes.COVARIATES)},
        )
    return replace(experiment, definition=metric.definition)


def check_variants(variants: Sequence[Variant]) -> None:
    """Raise BadInput where there are not two variants with different names, or their shares do not sum to 1."""
    names = [variant.name for variant in variants]
    if len(names) < 2 or len(set(names)) != len(names):
        raise BadInput(
            f"an experiment needs at least two variants with different names, not {', '.join(names) or 'none'}",
            code="two_variants",
        )
    for variant in variants:
        if not variant.name or len(variant.name) > 40:
            raise BadInput(f"variant name {variant.name!r}: 1 to 40 characters")
        if isinstance(variant.version, bool) or not isinstance(variant.version, int) or variant.version < 1:
            raise BadInput(f"version {variant.version!r} of {variant.name!r}: must be the number of a model version, 1 or more")
        if not _number(variant.share):
            raise BadInput(f"share {variant.share!r} of {variant.name!r}: must be a number in 0..1")
    total = sum(variant.share for variant in variants)
    if abs(total - 1) > 1e-6 or any(not 0 <= variant.share <= 1 for variant in variants):
        raise BadInput(
            f"the shares {', '.join(f'{v.share:g}' for v in variants)} must each be 0..1 and sum to 1, not {total:g}",
            code="bad_shares",
            values={"total": f"{total:g}"},
        )


def changed(experiment: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """Return the experiment with the changes, checked. `shares` and `versions` are given by variant.

    Raises Conflict for a part of the design after the start, BadInput for anything that is not known or breaks a rule.
    """
    known = DESIGN + TRAFFIC
    for name in changes:
        if name not in known:
            raise BadInput(f"{name!r} is nothing that an experiment can change: available are {', '.join(known)}")
        if name in DESIGN and experiment.state != "declared":
            raise Conflict(
                f"{name} was declared before the first exposure and stays: stop {experiment.name!r} and declare another experiment",
                code="design_fixed",
                values={"part": name, "name": experiment.name},
            )
    variants = experiment.variants
    for key, field in (("shares", "share"), ("versions", "version")):
        wanted = changes.get(key, {})
        if not isinstance(wanted, Mapping):
            raise BadInput(f"{key} must be given by variant, not as {type(wanted).__name__}")
        unknown = set(wanted) - {v.name for v in variants}
        if unknown:
            raise BadInput(f"no variant {sorted(unknown)[0]!r}: there are {', '.join(v.name for v in variants)}")
        variants = tuple(replace(v, **{field: wanted.get(v.name, getattr(v, field))}) for v in variants)
    plain = {name: value for name, value in changes.items() if name not in ("shares", "versions")}
    return checked(replace(experiment, variants=variants, **plain))


def guardrails_of(values: Sequence[Mapping[str, Any]]) -> tuple[Guardrail, ...]:
    """Return guardrails from JSON or TOML: {metric, margin} each."""
    made = []
    for value in values:
        if set(value) != {"metric", "margin"}:
            raise BadInput(f"guardrail {dict(value)!r}: it is made of metric and margin")
        made.append(Guardrail(str(value["metric"]), value["margin"]))
    return tuple(made)


def _check_guardrail(guardrail: Guardrail, primary: outcomes.Metric) -> None:
    metric = outcomes.metric_of(guardrail.metric)
    if metric.better == "neither":
        raise BadInput(
            f"guardrail {metric.name!r}: neither way is better, so nothing can be guarded; "
            f"available are {', '.join(outcomes.GUARDRAILS)}",
            code="guardrail_neither",
            values={"name": metric.name, "known": ", ".join(outcomes.GUARDRAILS)},
        )
    if metric == primary:
        raise BadInput(
            f"guardrail {metric.name!r}: it is the primary metric already", code="guardrail_primary", values={"name": metric.name}
        )
    if not _number(guardrail.margin) or not guardrail.margin > 0:
        raise BadInput(
            f"margin {guardrail.margin!r} of guardrail {metric.name!r}: must be above 0",
            code="guardrail_margin",
            values={"name": metric.name, "value": guardrail.margin},
        )


def _number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value)
