"""Reports made by hand, one a state of the page: what the log would have to hold for them is of no interest to their tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from analysis.history import Design, Step
from analysis.metrics import LeftOut
from analysis.notes import Note
from analysis.parts import (
    ArmRow,
    Comparison,
    Covariate,
    Forecast,
    GuardrailRow,
    Point,
    SampleRatio,
    SecondaryRow,
    SegmentRow,
    Shipping,
)  # fmt: skip
from analysis.prove import Proof, Rate
from analysis.replay import Challenged, Outcome, Paired, Replay
from analysis.report import Report
from analysis.side_by_side import Position, SideBySide, Strength
from feedback.errors import NotFound
from feedback.outcomes import METRICS
from feedback.records import Experiment, Guardrail
from tests.analysis.log_fixture import START, TWO_ARMS, experiment

FIRST = date(2026, 11, 1)
HYPOTHESIS = "Version 2 finds abbreviations that version 1 misses, so fewer of its answers are corrected."


def arm(name: str, version: int, users: int, rate: float | None, **other: Any) -> ArmRow:
    """Return one variant's row."""
    if not users:
        other = {"response_rate": None, "predictions_per_user": None, "latency_ms": None, **other}
    base: dict[str, Any] = {
        "share": 0.5, "predictions": 5 * users, "corrections": round(5 * users * (rate or 0)), "low": None, "high": None,
        "response_rate": 0.41, "predictions_per_user": 5.0, "latency_ms": 43.0,
    }  # fmt: skip
    return ArmRow(name=name, version=version, users=users, rate=rate, **{**base, **other})


def days(challenger: str = "v2", count: int = 12, effect: float = -0.09) -> tuple[Point, ...]:
    """Return a timeline that narrows about `effect`, the first two days without a number."""
    made = []
    for index in range(count):
        half, value = 0.5 / (index + 1), effect * (0.4 + 0.6 * index / count)
        numbers = (None, None, None) if index < 2 else (value, value - half, value + half)
        made.append(Point(FIRST + timedelta(days=index), 80 * (index + 1), challenger, *numbers))
    return tuple(made)


def paired(items: int, users: int, value: float, half: float) -> Paired:
    """Return a replay's estimate with its interval."""
    return Paired(items, users, value, half / 3, value - half, value + half, 0.01, None)


def withheld(items: int, users: int) -> Paired:
    """Return an estimate that is none."""
    return Paired(items, users, None, None, None, None, None, Note("experiments.replay.too_few", {"users": users, "needed": 20}))


def a_replay(anchoring: Paired | None = None) -> Replay:
    """Return a replay that v2 leads, with some people who saw each variant."""
    by_shown = {"champion": paired(70, 31, 0.06, 0.07), "v2": paired(54, 26, 0.19, 0.09)}
    right = Outcome(paired(124, 52, 0.11, 0.08), by_shown, anchoring or paired(124, 52, 0.13, 0.1))
    edits = Outcome(paired(124, 52, -0.4, 0.25), by_shown, paired(124, 52, -0.2, 0.3))
    return Replay(
        52, 124, "champion", {"champion": 0.61, "v2": 0.72}, {"champion": 1.3, "v2": 0.9}, (Challenged("v2", right, edits),)
    )


def better(**changes: Any) -> Report:
    """Return a large experiment that v2 has won, with everything on the page; `changes` make the other states."""
    base: dict[str, Any] = {
        "experiment": "x", "number": 3, "state": "running", "mode": "assigned", "hypothesis": HYPOTHESIS,
        "metric": "correction_rate", "unit": "share", "better": "lower", "rule": "horizon", "n_max": 2000, "alpha": 0.05,
        "coverage": 1.0, "winner": "", "reason": "", "author": "ann", "verdict": "B better", "about": "v2",
        "shipping": Shipping(True, "v2", ()), "leads": "test", "users": 960,
        "arms": (arm("champion", 1, 484, 0.31, low=0.28, high=0.34), arm("v2", 2, 476, 0.22, low=0.19, high=0.25)),
        "comparisons": (Comparison("v2", "champion", -0.09, -0.13, -0.05, 0.0004, -0.29, -0.4, -0.17, "B better"),),
        "covariate": Covariate("correction_rate_before", 0.6, 0.18),
        "guardrails": (GuardrailRow("latency", "log ms", "lower", 0.1, "v2", 0.01, 0.05, True),),
        "secondary": (SecondaryRow("edit_distance", "per prediction", "v2", -0.21, -0.4, -0.02, 0.04),
                      SecondaryRow("correcting_users", "share", "v2", None, None, None, None)),
        "segments": (SegmentRow("device", "phone", "v2", 210, 200, -0.1, -0.17, -0.03),
                     SegmentRow("language", "", "v2", 12, 9, None, None, None)),
        "timeline": days(), "forecast": Forecast(78.4, 0.8, 0.052, 13.3, 0.2, 0.062, 1400, 5.6), "replay": a_replay(),
        "side_by_side": None, "sample_ratio": SampleRatio(1.0, 0.79, (484, 476), (0.5, 0.5)),
        "left_out": LeftOut(two_variants=7, carried_over=3, beyond=0, exposed=970), "notes": (),
    }  # fmt: skip
    return Report(**{**base, **changes})


def guarded() -> Report:
    """Return a winner whose latency is too bad."""
    against = (Note("experiments.ship.guardrail_broken", {"challenger": "v2", "guardrail": "latency"}),)
    rows = (
        GuardrailRow("latency", "log ms", "lower", 0.1, "v2", 0.12, 0.19, False, broken=True),
        GuardrailRow("confirmation_rate", "share", "higher", 0.02, "v2", None, None, None),
    )
    return better(shipping=Shipping(False, "v2", against), guardrails=rows)


def blocked() -> Report:
    """Return an experiment whose arms got the wrong users."""
    won = better().comparisons[0]
    return better(
        verdict="blocked: sample ratio",
        about="",
        shipping=_no_winner(),
        comparisons=(replace(won, verdict="blocked: sample ratio"),),
        sample_ratio=SampleRatio(0.00002, 0.00001, (560, 400), (0.5, 0.5)),
    )


def small(**changes: Any) -> Report:
    """Return an experiment with too few users, which the replay leads."""
    rows = (GuardrailRow("latency", "log ms", "lower", 0.1, "v2", None, None, None),)
    base: dict[str, Any] = {
        "number": 1, "verdict": "collecting", "about": "", "shipping": _no_winner(), "leads": "replay", "users": 38,
        "arms": (arm("champion", 1, 20, 0.3), arm("v2", 2, 18, 0.25)), "covariate": None, "guardrails": rows,
        "comparisons": (Comparison("v2", "champion", None, None, None, None, None, None, None, "collecting"),),
        "secondary": (), "segments": (), "timeline": days(count=2),
        "forecast": Forecast(0.9, 0.8, 0.052, None, 0.2, 0.06, 1400, None),
        "sample_ratio": SampleRatio(1.0, 0.75, (20, 18), (0.5, 0.5)), "left_out": LeftOut(0, 0, 0, 38),
        "notes": (Note("experiments.note.too_few", {"fewest": 18, "needed": 50}),),
    }  # fmt: skip
    return better(**{**base, **changes})


def several() -> Report:
    """Return two challengers, of which one has won."""
    first = better().comparisons[0]
    other = Comparison("v3", "champion", 0.01, -0.04, 0.06, 1.0, 0.03, -0.1, 0.2, "no verdict yet")
    arms = (*better().arms, arm("v3", 3, 470, 0.32, low=0.29, high=0.35))
    ratio = SampleRatio(1.0, 0.6, (484, 476, 470), (0.4, 0.3, 0.3))
    return better(arms=arms, comparisons=(first, other), timeline=(*days(), *days("v3", 8, 0.01)), sample_ratio=ratio)


def votes(**changes: Any) -> Report:
    """Return a side-by-side experiment that v2 has won."""
    strength = Strength("v2", 412, 0.61, 0.648, 0.14, 0.19, 1.03, 0.002, "B better")
    found = SideBySide(130, 412, 61, False, (strength,), Position(351, 0.55, 0.498, 0.6), "B better", "v2")
    arms = (arm("champion", 1, 0, None), arm("v2", 2, 0, None))
    base: dict[str, Any] = {
        "mode": "side_by_side", "side_by_side": found, "arms": arms, "users": 130, "comparisons": (), "guardrails": (),
        "secondary": (), "segments": (), "timeline": (), "replay": None, "covariate": None,
        "sample_ratio": SampleRatio(None, None, (), ()), "left_out": LeftOut(0, 0, 0, 0),
    }  # fmt: skip
    return better(**{**base, **changes})


def empty_votes() -> Report:
    """Return a side-by-side experiment that nobody voted in."""
    strength = Strength("v2", 0, None, None, None, None, None, None, "collecting")
    found = SideBySide(0, 0, 0, False, (strength,), Position(0, None, None, None), "collecting", "")
    return votes(side_by_side=found, verdict="collecting", about="", shipping=_no_winner(), users=0, leads="replay")


def declared() -> Report:
    """Return an experiment that waits for its start."""
    note = (Note("experiments.note.nobody", {}),)
    arms = (arm("champion", 1, 0, None), arm("v2", 2, 0, None))
    return small(state="declared", arms=arms, users=0, notes=note, replay=None, timeline=(), forecast=forecast_of_nobody())


def decided() -> Report:
    """Return an experiment that has been decided."""
    return better(state="decided", winner="v2", reason="better, and every guardrail holds")


def forecast_of_nobody() -> Forecast:
    """Return what is known where nobody has come."""
    return Forecast(0.0, 0.8, None, None, 0.2, None, None, None)


STATES: Mapping[str, Callable[[], Report]] = {
    "better": better, "guarded": guarded, "blocked": blocked, "small": small, "several": several, "votes": votes,
    "empty-votes": empty_votes, "declared": declared, "decided": decided,
}  # fmt: skip
"""Every state of the page by name."""


def a_design(name: str = "x") -> Design:
    """Return what was declared, started and paused."""
    made = replace(
        experiment(3, hypothesis=HYPOTHESIS, author="ann", n_max=2000),
        name=name,
        definition=METRICS["correction_rate"].definition,
        guardrails=(Guardrail("latency", 0.1),),
        covariate="correction_rate_before",
    )
    states = (("declared", "ann", "an idea"), ("running", "ann", ""), ("paused", "bob", "a slow disk"))
    steps = tuple(
        Step(n, state, TWO_ARMS, 1.0, "", author, reason, START + timedelta(days=n))
        for n, (state, author, reason) in enumerate(states, 1)
    )
    return Design(made, steps)


def a_proof() -> Proof:
    """Return what a log of 960 users shows."""
    looks = tuple(range(120, 960, 21))
    rates = (
        Rate("rule", 0.031, 0.021, 0.044, 31),
        Rate("peeking", 0.33, 0.301, 0.36, 330),
        Rate("per event", 0.79, 0.763, 0.815, 790),
    )
    return Proof(960, looks, 1000, 1000, 1, 0.05, rates)


class MadeReader:
    """A reader of the reports above: by state, each experiment bearing its state's name."""

    def report(self, name: str) -> Report:
        """Return the state's report."""
        if name not in STATES:
            raise NotFound(f"no experiment {name!r}; there are: {', '.join(STATES)}")
        return replace(STATES[name](), experiment=name)

    def design(self, name: str) -> Design:
        """Return the one design."""
        return a_design(name)

    def proof(self, name: str) -> Proof:
        """Return the one proof."""
        return a_proof()

    def users_file(self, name: str, form: str) -> bytes:
        """Return a table of one user."""
        return b"contributor,variant\nu_1,v2\n"

    def experiments(self) -> list[Experiment]:
        """Return an experiment a state, in that state."""
        return [
            replace(experiment(), name=name, state=made.state, mode=made.mode)
            for name, made in ((name, make()) for name, make in STATES.items())
        ]


def _no_winner() -> Shipping:
    return Shipping(False, "", (Note("experiments.ship.no_winner", {}),))
