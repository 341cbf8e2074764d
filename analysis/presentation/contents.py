"""What the page says of a report, in which order, as blocks: the verdict first, what explains it last. Text alone, no markup."""

from __future__ import annotations

from analysis.notes import Verdict
from analysis.parts import ArmRow
from analysis.presentation.blocks import Bar, Block, Fold, Heading, Headline, Line, Plot, Table, Tone
from analysis.presentation.formats import MISSING, change, changes, ends, level, milliseconds, number, percent, short, shorts
from analysis.presentation.phrases import (
    cannot_decide_yet,
    covariate_in_words,
    difference_in_words,
    explanation,
    forecast_in_words,
    guardrail_in_words,
    headline,
    left_out_in_words,
    metric_in_words,
    note_in_words,
    rule_in_words,
    sample_ratio_in_words,
    shipping_in_words,
)
from analysis.presentation.replay_words import replay_blocks
from analysis.presentation.replay_words import sentences_of as replay_sentences
from analysis.presentation.vote_words import sentences_of as vote_sentences
from analysis.presentation.vote_words import vote_blocks
from analysis.prove import Proof
from analysis.report import Report
from feedback.words import Say

_TONES: dict[Verdict, Tone] = {"B better": "good", "B worse": "bad", "blocked: sample ratio": "warning"}


def contents(report: Report, t: Say) -> list[Block]:
    """Return the whole report. Below 50 users an arm the replay on corrections leads, and the A/B test comes after it."""
    made = _top(report, t)
    if report.side_by_side is not None:
        return [*made, *vote_blocks(report.side_by_side, report.arms[0].name, t), *_rule(report, t)]
    test = [*_differences(report, t), *_rule(report, t), *_over_time(report, t), *_guardrails(report, t)]
    arms = [*_arms(report, t), *_part("sample_ratio", [sample_ratio_in_words(report, t)], t)]
    replay = replay_blocks(report.replay, t)
    forecast = _part("forecast", forecast_in_words(report, t), t)
    if report.leads == "replay":
        made += [*replay, *forecast, *test, *arms]
    else:
        made += [*test, *arms, *replay, *forecast]
    if report.covariate is not None:
        made += _part("covariate", [covariate_in_words(report.covariate, t)], t)
    return [*made, *_secondary(report, t), *_segments(report, t), *_part("left_out", [left_out_in_words(report, t)], t)]


def sentences(report: Report, t: Say) -> dict[str, str | list[str]]:
    """Return what the page says as plain text by part, for programs."""
    votes = report.side_by_side
    return {
        "verdict": headline(report, t),
        "explanation": explanation(report, t),
        "shipping": shipping_in_words(report, t),
        "rule": rule_in_words(report, t),
        "differences": [difference_in_words(report, comparison, t) for comparison in report.comparisons],
        "guardrails": [guardrail_in_words(row, t) for row in report.guardrails],
        "forecast": forecast_in_words(report, t),
        "replay": replay_sentences(report.replay, t) if votes is None else [],
        "votes": vote_sentences(votes, report.arms[0].name, t) if votes else [],
        "sample_ratio": sample_ratio_in_words(report, t),
        "left_out": left_out_in_words(report, t),
        "notes": [note_in_words(note, t) for note in report.notes],
    }


def proof_blocks(proof: Proof, t: Say) -> list[Block]:
    """Return what 'prove it' showed: one sentence of what was done, and the false-alarm rates side by side."""
    rows = tuple(
        (
            t(f"experiments.prove.{rate.analysis.replace(' ', '_')}"),
            percent(rate.rate),
            f"{percent(rate.low)} – {percent(rate.high)}",
        )
        for rate in proof.rates
    )
    done = t("experiments.prove.done", users=proof.users, shuffles=proof.shuffles, looks=len(proof.looks), judged=proof.judged)
    promise = t("experiments.prove.promise", percent=f"{100 * proof.alpha:g}")
    head = tuple(t(f"experiments.prove.column.{name}") for name in ("analysis", "rate", "interval"))
    return [Heading(t("experiments.prove.title")), Line(done), Table(head, rows), Line(promise, "quiet")]


def _top(report: Report, t: Say) -> list[Block]:
    state = t(f"experiments.state.{report.state}")
    made: list[Block] = [
        Line(t("experiments.subtitle", name=report.experiment, number=report.number, state=state), "quiet"),
        Headline(headline(report, t), _TONES.get(report.verdict, "plain"), report.verdict),
        Line(explanation(report, t)),
    ]
    if report.leads == "replay" and report.side_by_side is None:
        made.append(Line(cannot_decide_yet(report, t)))
    first, *rest = shipping_in_words(report, t)
    made += [Heading(t("experiments.shipping")), Line(first, "strong"), *(Line(text) for text in rest)]
    if report.hypothesis:
        made.append(Line(t("experiments.hypothesis", text=report.hypothesis)))
    return made + _part("notes", [note_in_words(note, t) for note in report.notes], t)


def _part(key: str, lines: list[str], t: Say) -> list[Block]:
    """Return a titled part of plain lines; nothing where there is none."""
    return [Heading(t(f"experiments.{key}")), *(Line(text) for text in lines)] if lines else []


def _differences(report: Report, t: Say) -> list[Block]:
    made: list[Block] = (
        [Heading(t("experiments.differences", metric=metric_in_words(report.metric, t)))] if report.comparisons else []
    )
    for c in report.comparisons:
        if c.difference is not None and c.low is not None and c.high is not None:
            made.append(Bar(c.low, c.difference, c.high))
        made.append(Line(difference_in_words(report, c, t), "strong" if c.difference is not None else "plain"))
        if len(report.comparisons) > 1 and c.difference is not None and c.verdict != "blocked: sample ratio":
            made.append(Line(t(f"experiments.each.{c.verdict.removeprefix('B ').replace(' ', '_')}", challenger=c.challenger)))
    return made


def _rule(report: Report, t: Say) -> list[Block]:
    return [Heading(t("experiments.rule")), Line(rule_in_words(report, t))]


def _over_time(report: Report, t: Say) -> list[Block]:
    made: list[Block] = []
    for c in report.comparisons:
        points = tuple(p for p in report.timeline if p.challenger == c.challenger)
        known = [p for p in points if p.difference is not None]
        if not known:
            continue
        last = known[-1]
        words = t(
            "experiments.over_time.words",
            challenger=c.challenger, control=c.control, metric=metric_in_words(report.metric, t),
            first=known[0].day.isoformat(), last=last.day.isoformat(), days=len(known),
            difference=change(last.difference or 0.0, report.unit, t), interval=changes(last.low, last.high, report.unit, t),
        )  # fmt: skip
        made += [Line(t("experiments.over_time.of", challenger=c.challenger, control=c.control), "quiet")]
        made += [Plot(c.challenger, report.unit, points, words)]
    if not made:
        return []
    axis = t(f"experiments.axis.{report.unit.replace(' ', '_')}")
    return [Heading(t("experiments.over_time")), *made, Line(t("experiments.over_time.reading", axis=axis), "quiet")]


def _guardrails(report: Report, t: Say) -> list[Block]:
    lines = [guardrail_in_words(row, t) for row in report.guardrails]
    return _part("guardrails", lines or [t("experiments.guardrails.none")], t)


def _arms(report: Report, t: Say) -> list[Block]:
    rows: list[tuple[str, list[str]]] = [
        ("users", [str(arm.users) for arm in report.arms]),
        ("share", [percent(arm.share) for arm in report.arms]),
        ("predictions", [str(arm.predictions) for arm in report.arms]),
        ("corrections", [str(arm.corrections) for arm in report.arms]),
        ("rate", [level(arm.rate, report.unit, t) for arm in report.arms]),
        ("interval", [ends(arm.low, arm.high, report.unit, t) for arm in report.arms]),
        ("response_rate", [percent(arm.response_rate) for arm in report.arms]),
        ("predictions_per_user", [number(arm.predictions_per_user, 2) for arm in report.arms]),
        ("latency", [milliseconds(arm.latency_ms, t) for arm in report.arms]),
    ]
    table = Table(("", *_arm_names(report.arms, t)), tuple((t(f"experiments.row.{key}"), *cells) for key, cells in rows))
    title = t("experiments.arms", metric=metric_in_words(report.metric, t))
    return [Heading(title), table, Line(t("experiments.arms.reading"), "quiet")]


def _arm_names(arms: tuple[ArmRow, ...], t: Say) -> list[str]:
    return [t("experiments.arm", name=arm.name, version=arm.version) for arm in arms]


def _secondary(report: Report, t: Say) -> list[Block]:
    if not report.secondary:
        return []
    rows = tuple(
        (
            t("experiments.secondary.row", metric=metric_in_words(row.metric, t), challenger=row.challenger),
            MISSING if row.difference is None else change(row.difference, row.unit, t),
            changes(row.low, row.high, row.unit, t),
            MISSING if row.p is None else f"{row.p:.2g}",
        )
        for row in report.secondary
    )
    head = ("", *_columns(t, "difference", "interval", "p"))
    return [Fold(t("experiments.secondary"), (Line(t("experiments.secondary.reading"), "quiet"), Table(head, rows)))]


def _segments(report: Report, t: Say) -> list[Block]:
    if not report.segments:
        return []
    rows = tuple(
        (
            t(
                "experiments.segments.row",
                segment=t(f"experiments.segment.{row.segment}"),
                value=row.value or t("experiments.segments.unknown"),
                challenger=row.challenger,
            ),
            f"{row.control_users} / {row.challenger_users}",
            short(row.difference, report.unit),
            shorts(row.low, row.high, report.unit, t),
        )
        for row in report.segments
    )
    head = ("", *_columns(t, "users_each", "points" if report.unit == "share" else "difference", "interval"))
    return [Fold(t("experiments.segments"), (Line(t("experiments.segments.reading"), "quiet"), Table(head, rows)))]


def _columns(t: Say, *names: str) -> list[str]:
    return [t(f"experiments.column.{name}") for name in names]
