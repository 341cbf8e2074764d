"""The form that declares an experiment of two versions. It parses what was typed; the use case behind `declare` checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from analysis.presentation.figures import escape
from feedback.declaring import MODES, RULES
from feedback.errors import AmendError, BadInput
from feedback.outcomes import COVARIATES, GUARDRAILS, SEGMENTS
from feedback.records import CHAMPION, Experiment, Guardrail
from feedback.words import Say, told

Declare = Callable[[Mapping[str, Any], str, bool], Experiment]
"""(declaration as the routes take it, author, whether it shall start at once) -> the experiment."""


class Form:
    """The form, drawn closed into the current context. `fields` are its components by name, `versions` the two version choices."""

    def __init__(self, t: Say, defaults: Mapping[str, Any]) -> None:
        self._t = t
        made: dict[str, Any] = {}

        def label(name: str) -> dict[str, Any]:
            return {"label": t(f"experiments.form.{name}"), "elem_id": f"declare-{name.replace('_', '-')}"}

        def choices(values: Sequence[str], prefix: str) -> list[tuple[str, str]]:
            return [(t(f"experiments.{prefix}.{value}"), value) for value in values]

        with gr.Accordion(t("experiments.form.title"), open=False, elem_id="declare"):
            made["name"] = gr.Textbox(info=t("experiments.form.name.hint"), max_length=60, **label("name"))
            made["hypothesis"] = gr.Textbox(
                info=t("experiments.form.hypothesis.hint"), max_length=2000, lines=2, **label("hypothesis")
            )
            made["mode"] = gr.Radio(choices(MODES, "mode"), value=defaults["mode"], **label("mode"))
            with gr.Row():
                made["control"] = gr.Dropdown([], **label("control"))
                made["challenger"] = gr.Dropdown([], **label("challenger"))
                made["share"] = gr.Slider(1, 99, 50, step=1, **label("share"))
            with gr.Row():
                made["primary_metric"] = gr.Dropdown(
                    choices(GUARDRAILS, "metric"), value=defaults["primary_metric"], **label("primary_metric")
                )
                made["guardrails"] = gr.Textbox(
                    value=guardrails_as_text(defaults["guardrails"]), lines=2, max_length=500,
                    info=t("experiments.form.guardrails.hint", metrics=", ".join(GUARDRAILS)), **label("guardrails"),
                )  # fmt: skip
            with gr.Row():
                made["rule"] = gr.Radio(choices(RULES, "form.rule"), value=defaults["rule"], **label("rule"))
                made["n_max"] = gr.Number(
                    value=defaults["n_max"], precision=0, info=t("experiments.form.n_max.hint"), **label("n_max")
                )
                made["alpha"] = gr.Number(value=defaults["alpha"], info=t("experiments.form.alpha.hint"), **label("alpha"))
            with gr.Row():
                made["segments"] = gr.CheckboxGroup(
                    choices(SEGMENTS, "segment"), value=list(defaults["segments"]), **label("segments")
                )
                made["covariate"] = gr.Dropdown(
                    [(t("experiments.form.covariate.none"), ""), *choices(list(COVARIATES), "covariate")],
                    value=defaults["covariate"], **label("covariate"),
                )  # fmt: skip
                made["coverage"] = gr.Slider(0, 100, round(100 * defaults["coverage"]), step=1, **label("coverage"))
            made["reason"] = gr.Textbox(max_length=1000, **label("reason"))
            made["start"] = gr.Checkbox(True, **label("start"))
            self.button = gr.Button(t("experiments.form.declare"), variant="primary", elem_id="declare-button")
        self.fields = made
        self.versions = [made["control"], made["challenger"]]

    def choices(self, versions: Sequence[int]) -> list[Any]:
        """Return updates of the two version choices, newest first; what was chosen stays where it is still there."""
        found = [(self._t("experiments.version", version=version), version) for version in sorted(versions, reverse=True)]
        return [gr.update(choices=found), gr.update(choices=found)]

    def submit(self, given: Mapping[Any, Any], declare: Declare, author: str) -> str | None:
        """Declare what the fields hold (by component) and return its name; None where it was refused, which is said in words."""
        filled = {name: given[component] for name, component in self.fields.items()}
        try:
            made = declare(declaration(filled, self._t), author, bool(filled["start"]))
        except AmendError as error:  # the edge: a refusal becomes its words
            gr.Warning(escape(told(error, self._t)), title=self._t("experiments.toast.warning"))
            return None
        gr.Info(escape(self._t("experiments.done.declare", name=made.name)), title=self._t("experiments.toast.info"))
        return made.name


def declaration(given: Mapping[str, Any], t: Say) -> dict[str, Any]:
    """Return the form's fields as the routes take a declaration. Raises BadInput, in the page's language, for what cannot be read."""
    for version in ("control", "challenger"):
        if given[version] is None:
            raise BadInput(t("experiments.form.needs_version"))
    for name in ("n_max", "alpha"):
        if given[name] is None:
            raise BadInput(t("experiments.form.needs_number", field=t(f"experiments.form.{name}")))
    if not str(given["name"]).strip():
        raise BadInput(t("experiments.form.needs_name"))
    share = round(float(given["share"]) / 100, 6)
    challenger = f"v{int(given['challenger'])}"
    return {
        "name": str(given["name"]).strip(),
        "variants": [
            {"name": CHAMPION, "version": int(given["control"]), "share": round(1 - share, 6)},
            {"name": challenger, "version": int(given["challenger"]), "share": share},
        ],
        "hypothesis": str(given["hypothesis"]).strip(),
        "mode": given["mode"],
        "primary_metric": given["primary_metric"],
        "guardrails": guardrails_from_text(str(given["guardrails"]), t),
        "rule": given["rule"],
        "n_max": int(given["n_max"]),
        "alpha": float(given["alpha"]),
        "segments": list(given["segments"]),
        "covariate": given["covariate"] or "",
        "coverage": round(float(given["coverage"]) / 100, 6),
        "reason": str(given["reason"]).strip(),
    }


def guardrails_from_text(text: str, t: Say) -> list[dict[str, Any]]:
    """Return one guardrail a line of 'METRIC MARGIN'. Raises BadInput with the line and what it should be."""
    made: list[dict[str, Any]] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        metric, _, margin = line.partition(" ")
        try:
            made.append({"metric": metric, "margin": float(margin)})
        except ValueError as error:
            raise BadInput(t("experiments.form.bad_guardrail", line=line, metrics=", ".join(GUARDRAILS))) from error
    return made


def guardrails_as_text(guardrails: Sequence[Guardrail]) -> str:
    """Return guardrails as they are typed: one a line."""
    return "\n".join(f"{guardrail.metric} {guardrail.margin:g}" for guardrail in guardrails)
