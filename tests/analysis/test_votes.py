"""A side-by-side experiment's votes from the store to the report."""

from __future__ import annotations

from analysis.reader import Reader
from analysis.report import report
from analysis.votes import compared
from feedback.experiments import Experiments
from feedback.records import Choice, Experiment, Pair, Prediction, Variant, Vote, new_id
from feedback.store import Store

ARMS = (Variant("champion", 1, 0.5), Variant("b", 2, 0.5))


def vote(store: Store, who: str, choice: Choice | None, *, swapped: bool = False, number: int = 1, experiment: str = "x") -> None:
    """Show a pair, champion left unless swapped, and store a vote where there is one."""
    sides = [Prediction(new_id("p"), who, "", 0, v.name, v.version, "in", "h", "out", 0.5, 20.0, forced=True) for v in ARMS]
    left, right = reversed(sides) if swapped else sides
    pair = Pair(new_id("d"), who, experiment, number, left.id, right.id)
    store.add(left, right, pair)
    if choice:
        store.add(Vote(pair.id, who, choice))


def declared(store: Store, **settings: object) -> Experiment:
    """Return a running side-by-side experiment over the store."""
    experiments = Experiments(store)
    experiments.begin(1, "test")
    return experiments.declare(Experiment("x", 1, "declared", ARMS, mode="side_by_side", **settings))  # type: ignore[arg-type]


def test_votes_count_for_the_variant_wherever_it_stood(store: Store) -> None:
    """'right' is b where the champion stood left, and the champion where it stood right; pairs without a vote count nowhere."""
    experiment = declared(store)
    vote(store, "u1", "right")
    vote(store, "u1", "left", swapped=True)
    vote(store, "u2", "both")
    vote(store, "u3", None)
    vote(store, "u4", "left", experiment="other")
    said = compared(store.frame, experiment)
    assert (said.users, said.votes, said.ties) == (2, 3, 1)
    assert said.strengths[0].win_probability is not None
    assert said.strengths[0].win_probability > 0.5


def test_sixty_people_who_prefer_b_decide_the_report(store: Store) -> None:
    """An always-valid rule: b better, named; no arm table's verdict, no sample ratio, no replay."""
    experiment = declared(store, rule="always_valid", n_max=100)
    for index in range(60):
        vote(store, f"u{index}", "left" if index % 2 else "right", swapped=bool(index % 2))
    for index in range(60, 66):
        vote(store, f"u{index}", "right" if index % 2 else "left", swapped=bool(index % 2))
    made = report(store.frame, experiment)
    assert (made.verdict, made.about) == ("B better", "b")
    assert (made.users, made.comparisons, made.sample_ratio.p, made.leads) == (66, (), None, "test")
    assert made.side_by_side is not None
    assert made.to_json()["side_by_side"]["strengths"][0]["challenger"] == "b"


def test_a_winner_by_votes_may_be_shipped(store: Store) -> None:
    """What automatic promotion would log: the share of the votes, the p-value, the voters."""
    experiment = declared(store, rule="always_valid", n_max=100)
    for index in range(66):
        vote(store, f"u{index}", "left" if index >= 60 else "right")
    won = Reader(store.frame, lambda name: experiment).shippable("x")
    assert won is not None
    assert won.challenger == "b"
    assert won.reason.startswith("preferred in 91% of the votes against champion")
    assert won.reason.endswith("66 voters")


def test_few_voters_are_no_verdict(store: Store) -> None:
    """49 people who all prefer b: collecting."""
    experiment = declared(store, rule="always_valid")
    for index in range(49):
        vote(store, f"u{index}", "right")
    made = report(store.frame, experiment)
    assert (made.verdict, made.users) == ("collecting", 49)


def test_under_the_horizon_rule_the_first_n_max_voters_count(store: Store) -> None:
    """Whoever votes after the planned end changes nothing."""
    experiment = declared(store, n_max=60)
    for index in range(60):
        vote(store, f"u{index}", "right")
    before = compared(store.frame, experiment)
    for index in range(60, 100):
        vote(store, f"u{index}", "left")
    assert compared(store.frame, experiment) == before
