"""The report over the real store and the real experiments: what the app does, end to end."""

from __future__ import annotations

from pathlib import Path

from analysis.report import report
from feedback.experiments import Experiments
from feedback.records import Correction, Experiment, Prediction, Promotion, Variant, Visitor, new_id
from feedback.store import Store


def _visit(store: Store, experiments: Experiments, who: str) -> str:
    """One contributor asks twice and corrects v2's answers; return the variant shown."""
    for _ in range(2):
        given = experiments.assign(Visitor(who))
        if given.exposure:
            store.add(given.exposure)
            experiments.met(given.exposure)
        shown = Prediction(
            new_id("p"),
            who,
            given.experiment,
            given.number,
            given.variant.name,
            given.variant.version,
            "in",
            "h",
            "out",
            0.5,
            20.0,
        )
        store.add(shown)
        if given.variant.name == "v2":
            store.add(Correction(new_id("c"), shown.id, who, "right", False))
    return given.variant.name


def test_a_life_of_an_experiment_reports_what_was_stored(tmp_path: Path) -> None:
    """Assign, pause, resume and stop over the store: users stay one, paused answers do not count, the stop keeps the data."""
    with Store(tmp_path) as store:
        store.add(Promotion(new_id("m"), 1, None, "first", "test"))
        experiments = Experiments(store)
        variants = (Variant("champion", 1, 0.5), Variant("v2", 2, 0.5))
        experiments.declare(Experiment("x", 1, "running", variants))
        people = [f"u_{index}" for index in range(12)]
        shown = [_visit(store, experiments, who) for who in people]
        experiments.act("x", "pause", "ann")
        assert _visit(store, experiments, "u_0") == "champion"
        experiments.act("x", "resume", "ann")
        assert [_visit(store, experiments, who) for who in people[:4]] == shown[:4]
        made = report(store.frame, experiments.act("x", "stop", "ann", "enough"))
    assert [arm.users for arm in made.arms] == [shown.count("champion"), shown.count("v2")]
    assert sum(arm.predictions for arm in made.arms) == 2 * 12 + 2 * 4
    assert made.arms[1].rate == 1.0
    assert made.arms[0].rate == 0.0
    assert (made.number, made.state, made.left_out) == (4, "stopped", (0, 0, 0, 12))
