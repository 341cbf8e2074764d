"""The life of an experiment: declared before the first exposure, started, ramped, changed, decided; by use case, route, command."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from feedback.autopilot import AUTHOR, Autopilot
from feedback.desk import Desk
from feedback.errors import BadInput, Conflict, NotFound
from feedback.experiment_commands import main
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.outcomes import METRICS
from feedback.records import Experiment, Guardrail, Variant, Visitor
from feedback.store import Store
from tests.feedback.test_web import Site, demo_of


class Won(NamedTuple):
    """What may be shipped, as the analysis says it."""

    challenger: str
    reason: str


TWO = (Variant("champion", 1, 0.5), Variant("b", 2, 0.5))


def one(name: str = "e", **settings: Any) -> Experiment:
    """Return an experiment of versions 1 and 2."""
    return Experiment(name, 1, "declared", settings.pop("variants", TWO), **settings)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with default settings."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        yield Site(home, store, demo_of(tmp_path))


def test_declared_is_not_yet_running(experiments: Experiments, desk: Desk, store: Store, ann: Visitor) -> None:
    """A declared experiment assigns nobody; once started it does, under the number of its start."""
    experiments.declare(one(), start=False)
    assert desk.predict(ann, "x").experiment == ""
    started = experiments.act("e", "start", "owner")
    assert (started.number, started.state) == (2, "running")
    assert desk.predict(ann, "y").experiment == "e"
    assert [row["experiment_number"] for row in store.rows("SELECT experiment_number FROM exposures")] == [2]


def test_the_metric_s_definition_is_stored_at_the_declaration(experiments: Experiments) -> None:
    """What the metric counts is in the log before the first exposure."""
    declared = experiments.declare(one(primary_metric="edit_distance"), start=False)
    assert declared.definition == METRICS["edit_distance"].definition
    assert experiments.get("e").definition == declared.definition


def test_everything_declared_survives_the_log(experiments: Experiments, store: Store) -> None:
    """Guardrails, segments, covariate, coverage and mode come back from the log as they were declared."""
    experiments.declare(
        one(
            guardrails=(Guardrail("latency", 0.1),), segments=("language",), covariate="predictions_before", coverage=0.25,
            hypothesis="why", mode="side_by_side", rule="always_valid", alpha=0.01, n_max=300,
        )
    )  # fmt: skip
    stored = Experiments(store).get("e")
    assert (stored.guardrails, stored.segments) == ((Guardrail("latency", 0.1),), ("language",))
    assert (stored.covariate, stored.coverage, stored.mode) == ("predictions_before", 0.25, "side_by_side")
    assert (stored.rule, stored.alpha, stored.n_max, stored.hypothesis) == ("always_valid", 0.01, 300, "why")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"variants": (Variant("a", 1, 0.5), Variant("b", 2, 0.6))}, "sum to 1, not 1.1"),
        ({"variants": (Variant("a", 1, 1.0),)}, "at least two variants"),
        ({"variants": (Variant("a", 1, 0.5), Variant("a", 2, 0.5))}, "different names"),
        ({"variants": (Variant("a", 1, float("nan")), Variant("b", 2, 0.5))}, "must be a number"),
        ({"primary_metric": ""}, "no primary metric is named: available are correction_rate"),
        ({"primary_metric": "clicks"}, "unknown metric 'clicks': available are correction_rate"),
        ({"primary_metric": "response_rate"}, "neither way is better"),
        ({"guardrails": (Guardrail("latency", 0.0),)}, "must be above 0"),
        ({"guardrails": (Guardrail("latency", float("nan")),)}, "must be above 0"),
        ({"guardrails": (Guardrail("predictions_per_user", 1),)}, "neither way is better"),
        ({"guardrails": (Guardrail("correction_rate", 1),)}, "primary metric already"),
        ({"guardrails": (Guardrail("latency", 0.1), Guardrail("latency", 0.2))}, "each metric once"),
        ({"segments": ("country",)}, "available are channel, language, device"),
        ({"covariate": "age"}, "available are correction_rate_before, predictions_before"),
        ({"coverage": 1.5}, "must lie in 0..1"),
        ({"n_max": 1}, "at least 2"),
        ({"alpha": 0.5}, "below 0.5"),
        ({"name": "a b"}, "1 to 60 of letters"),
    ],
)
def test_a_declaration_that_breaks_a_rule_is_refused_in_words(
    experiments: Experiments, store: Store, wrong: dict[str, Any], words: str
) -> None:
    """Value, rule and choices are named, and nothing is stored."""
    with pytest.raises(BadInput, match=words):
        experiments.declare(replace(one(), **wrong))
    assert store.rows("SELECT * FROM experiments") == []


def test_the_ramp_moves_nobody(experiments: Experiments, desk: Desk) -> None:
    """At coverage .2 about a fifth takes part (400 visitors, four binomial standard errors); at 1 each of them has the same variant."""
    experiments.declare(one(coverage=0.2))
    visitors = [Visitor(f"u_{n}") for n in range(400)]
    first = {v.contributor: made.variant for v in visitors if (made := desk.predict(v, "x")).experiment}
    assert 48 <= len(first) <= 112
    assert len(set(first.values())) == 2
    experiments.change("e", {"coverage": 1.0}, "owner", "all is well")
    after = {v.contributor: experiments.assign(v) for v in visitors}
    assert all(assignment.experiment == "e" for assignment in after.values())
    assert {name: after[name].variant.name for name in first} == first
    experiments.change("e", {"coverage": 0.0}, "owner")
    assert {name: experiments.assign(Visitor(name)).variant.name for name in first} == first
    assert Counter(experiments.assign(Visitor(f"n_{n}")).experiment for n in range(50)) == {"": 50}


def test_every_change_is_a_number_with_author_and_reason(experiments: Experiments) -> None:
    """Declare, change, start, ramp, pause, resume, stop: seven numbers, each says who and why."""
    experiments.declare(one(author="ann", reason="idea"), start=False)
    experiments.change("e", {"hypothesis": "better", "n_max": 500}, "bob", "clearer")
    experiments.act("e", "start", "ann", "go")
    experiments.change("e", {"coverage": 0.5}, "bob", "slowly")
    for action in ("pause", "resume", "stop"):
        experiments.act("e", action, "ann", action)
    told = [(e.number, e.state, e.author, e.reason) for e in experiments.numbers("e")]
    assert told == [
        (1, "declared", "ann", "idea"), (2, "declared", "bob", "clearer"), (3, "running", "ann", "go"),
        (4, "running", "bob", "slowly"), (5, "paused", "ann", "pause"), (6, "running", "ann", "resume"), (7, "stopped", "ann", "stop"),
    ]  # fmt: skip
    assert experiments.get("e").hypothesis == "better"


@pytest.mark.parametrize(
    "part", ["hypothesis", "primary_metric", "n_max", "alpha", "rule", "guardrails", "segments", "covariate"]
)
def test_the_design_is_fixed_once_it_runs(experiments: Experiments, part: str) -> None:
    """A rule that may be chosen after a look promises nothing."""
    experiments.declare(one())
    with pytest.raises(Conflict, match="declared before the first exposure"):
        experiments.change("e", {part: getattr(one(), part)}, "owner")


def test_a_changed_model_is_a_new_number_with_another_version(
    experiments: Experiments, desk: Desk, store: Store, ann: Visitor
) -> None:
    """The same user is exposed anew under the new number: the report can tell the two models apart."""
    experiments.declare(one(variants=(Variant("champion", 1, 0.0), Variant("b", 2, 1.0))))
    desk.predict(ann, "x")
    experiments.change("e", {"versions": {"b": 3}}, "owner", "a better one")
    assert desk.predict(ann, "y").version == 3
    rows = store.rows("SELECT experiment_number AS n, version FROM exposures ORDER BY n")
    assert [(row["n"], row["version"]) for row in rows] == [(1, 2), (2, 3)]


def test_moves_that_make_no_sense_are_refused(experiments: Experiments) -> None:
    """No resume of what waits, no start of what runs on another's place, nothing after the end."""
    experiments.declare(one(), start=False)
    with pytest.raises(Conflict, match="is declared: it cannot resume"):
        experiments.act("e", "resume", "owner")
    experiments.declare(one("other"))
    with pytest.raises(Conflict, match="'other' is running: stop or decide it first"):
        experiments.act("e", "start", "owner")
    experiments.act("other", "stop", "owner", "enough")
    with pytest.raises(Conflict, match="stopped for good"):
        experiments.act("other", "start", "owner")
    with pytest.raises(Conflict, match="only one that has run"):
        experiments.decide("e", "b", "owner", "because")
    with pytest.raises(BadInput, match="available are hypothesis"):
        experiments.change("e", {"salt": "x"}, "owner")


def test_a_decision_needs_a_reason_and_a_known_variant_and_may_promote(experiments: Experiments, store: Store) -> None:
    """Decided with promotion: winner, author and reason in the log, the version serves, in one transaction."""
    experiments.declare(one())
    with pytest.raises(BadInput, match="needs a reason"):
        experiments.decide("e", "b", "ann", " ")
    with pytest.raises(BadInput, match="there are champion, b"):
        experiments.decide("e", "c", "ann", "because")
    ended = experiments.decide("e", "b", "ann", "fewer corrections", promote=True)
    assert (ended.state, ended.winner, ended.author, ended.reason) == ("decided", "b", "ann", "fewer corrections")
    assert experiments.champion == 2
    assert experiments.current is None
    assert store.rows("SELECT kind, author FROM champion") == [{"kind": "promote", "author": "ann"}]
    assert experiments.roll_back("ann").version == 1


def test_a_decision_without_promotion_leaves_the_champion(experiments: Experiments) -> None:
    """Deciding says which variant is kept; what serves moves only when asked to."""
    experiments.declare(one())
    experiments.act("e", "stop", "ann", "enough")
    assert experiments.decide("e", "champion", "ann", "no difference").winner == "champion"
    assert experiments.champion == 1


def test_serving_settings_cannot_be_promoted(experiments: Experiments) -> None:
    """A variant that differs by a threshold is no version: promoting it would lose the threshold silently."""
    experiments.declare(one(variants=(Variant("champion", 1, 0.5), Variant("b", 1, 0.5, {"threshold": 0.4}))))
    with pytest.raises(BadInput, match="decide it without promoting"):
        experiments.decide("e", "b", "ann", "better", promote=True)


def test_the_life_by_routes(site: Site) -> None:
    """Declared waiting, changed, started, ramped, decided; the numbers are listed; staff alone."""
    staff = site.client(site.staff.make_token("analyst"))
    body = {"name": "e", "hypothesis": "h", "variants": [{"name": "champion", "version": 1, "share": 0.5},
            {"name": "b", "version": 2, "share": 0.5}], "guardrails": [{"metric": "latency", "margin": 0.1}], "start": False}  # fmt: skip
    assert site.client().post("/api/v1/experiments", json=body).status_code == 401
    made = staff.post("/api/v1/experiments", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["state"] == "declared"
    assert made.json()["rule"] == "horizon"  # the demo's default

    def act(**what: Any) -> Any:
        return staff.post("/api/v1/experiments/e", json=what).json()

    assert act(action="change", changes={"n_max": 900, "segments": ["language"]})["n_max"] == 900
    assert act(action="start")["state"] == "running"
    assert act(action="change", changes={"coverage": 0.3}, reason="slowly")["coverage"] == 0.3
    assert "declared before" in act(action="change", changes={"n_max": 5})["detail"]
    assert act(action="decide", winner="b", reason="better", promote=True)["winner"] == "b"
    assert [n["state"] for n in staff.get("/api/v1/experiments/e/numbers").json()] == [
        "declared", "declared", "running", "running", "decided",
    ]  # fmt: skip
    assert site.experiments.champion == 2


@pytest.mark.parametrize(
    "changes",
    [{"guardrails": 5}, {"guardrails": [3]}, {"guardrails": [{"metric": ["x"], "margin": {}}]}, {"segments": "x"}, {"segments": [[1]]},
     {"hypothesis": 5}, {"primary_metric": ["x"]}, {"covariate": {}}, {"rule": 1}, {"mode": None}, {"n_max": "x"}, {"n_max": True},
     {"alpha": []}, {"shares": 3}, {"shares": {"b": "x"}}, {"versions": {"b": 1.5}}, {"versions": {"b": None}}, {"coverage": "x"},
     {"coverage": 1e999}],
)  # fmt: skip
def test_changes_of_any_type_are_refused_in_words(site: Site, changes: Any) -> None:
    """Programs may send anything: a problem document, never a 500, and the experiment stays."""
    site.experiments.declare(one(), start=False)
    staff = site.client(site.staff.make_token("robot"))
    answer = staff.post(
        "/api/v1/experiments/e",
        content=json.dumps({"action": "change", "changes": changes}),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422, answer.text
    assert site.experiments.get("e").number == 1


def test_the_command_without_an_app(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Declare from a TOML, ramp, decide, list and history on a log that no app holds; versions must be on disk."""
    home, demo, file = tmp_path / "home", tmp_path / "t.toml", tmp_path / "e.toml"
    demo.write_text('name = "t"\ntask = "x"\ntitle = "T"\n[data]\ntrain = "x"\n[experiment]\nn_max = 700\n')
    rows = "".join(f'[[variants]]\nname = "{n}"\nversion = {v}\nshare = 0.5\n' for n, v in (("champion", 1), ("b", 2)))
    file.write_text(f'name = "e"\nhypothesis = "h"\n{rows}')
    (home / "versions" / "v0001").mkdir(parents=True)
    (home / "versions" / "v0001" / "card.json").write_text("{}")
    common = ["--demo", str(demo), "--home", str(home)]
    with Store(home) as store:
        Experiments(store).begin(1, "test")
    assert main([*common, "declare", str(file)]) == 1
    assert "no version 2; there are: 1" in capsys.readouterr().err
    (home / "versions" / "v0002").mkdir()
    (home / "versions" / "v0002" / "card.json").write_text("{}")
    assert main([*common, "declare", str(file), "--wait"]) == 0
    assert json.loads(capsys.readouterr().out)["n_max"] == 700
    assert main([*common, "start", "e", "--reason", "go"]) == 0
    assert main([*common, "ramp", "e", "0.4", "--reason", "slowly"]) == 0
    assert main([*common, "reweigh", "e", "champion=.8", "b=.2"]) == 0
    assert main([*common, "change", "e", "n_max=5"]) == 1
    assert "declared before the first exposure" in capsys.readouterr().err
    assert main([*common, "decide", "e", "b", "--promote", "--reason", "better"]) == 0
    capsys.readouterr()
    assert main([*common, "history", "e"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" number ")[1][:11] for line in lines] == [
        "1: declared", "2: running;", "3: running;", "4: running;", "5: decided,",
    ]  # fmt: skip
    assert "coverage 0.4 (owner: slowly)" in lines[2]
    with Store(home) as store:
        assert Experiments(store).champion == 2


def test_nothing_is_promoted_unless_something_won(experiments: Experiments, ann: Visitor) -> None:
    """The autopilot leaves a running experiment alone until its callable names a winner; then it decides and promotes."""
    experiments.declare(one())
    answers: list[Won | None] = [None, Won("b", "primary better, guardrails hold")]
    pilot = Autopilot(experiments, lambda name: answers.pop(0))
    assert pilot.look() == ""
    assert experiments.champion == 1
    assert pilot.look() == "b"
    assert experiments.champion == 2
    assert (experiments.get("e").author, experiments.get("e").winner) == (AUTHOR, "b")
    assert pilot.look() == ""


def test_a_paused_experiment_is_never_decided_by_itself(experiments: Experiments) -> None:
    """The kill switch outranks the autopilot."""
    experiments.declare(one())
    experiments.act("e", "pause", "ann")
    assert Autopilot(experiments, lambda name: Won("b", "won")).look() == ""
    assert experiments.champion == 1


def test_an_unknown_experiment_has_no_numbers(experiments: Experiments) -> None:
    """NotFound names the choices."""
    with pytest.raises(NotFound, match="none yet"):
        experiments.numbers("x")
