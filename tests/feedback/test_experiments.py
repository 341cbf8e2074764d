"""Experiments: sticky, switchable, one at a time, and the champion pointer."""

from __future__ import annotations

from collections import Counter

import pytest

from feedback.desk import Desk
from feedback.errors import BadInput, Conflict, NotFound
from feedback.experiments import Experiments
from feedback.records import Experiment, Variant, Visitor
from feedback.store import Store


def two(name: str = "e", a: float = 0.5) -> Experiment:
    """Return an experiment of versions 1 and 2."""
    return Experiment(name, 1, "running", (Variant("champion", 1, a), Variant("b", 2, 1 - a)))


def test_without_an_experiment_everybody_gets_the_champion(experiments: Experiments, ann: Visitor) -> None:
    """No experiment: the champion, no exposure."""
    got = experiments.assign(ann)
    assert (got.variant.name, got.variant.version, got.exposure) == ("champion", 1, None)


def test_shares_are_kept(experiments: Experiments) -> None:
    """Of 2,000 visitors a share of .3 gets between .26 and .34 (four binomial standard errors)."""
    experiments.declare(two(a=0.7))
    counted = Counter(experiments.assign(Visitor(f"u_{n}")).variant.name for n in range(2000))
    assert 0.26 <= counted["b"] / 2000 <= 0.34


def test_the_exposure_is_stored_once_and_before_the_answer(
    experiments: Experiments, desk: Desk, store: Store, ann: Visitor
) -> None:
    """Two predictions of one visitor: one exposure, not later than the first prediction, same variant."""
    experiments.declare(two())
    first, second = desk.predict(ann, "one"), desk.predict(ann, "two")
    exposures = store.rows("SELECT * FROM exposures")
    assert len(exposures) == 1
    assert exposures[0]["variant"] == first.variant == second.variant
    assert exposures[0]["created"] <= first.created


def test_a_visitor_keeps_the_variant_when_shares_change_and_after_a_restart(
    experiments: Experiments, desk: Desk, store: Store
) -> None:
    """Reweighing moves nobody who has met a variant with a share left, nor does opening the log again."""
    experiments.declare(two())
    visitors = [Visitor(f"u_{n}") for n in range(40)]
    before = {v.contributor: desk.predict(v, "x").variant for v in visitors}
    experiments.reweigh("e", {"champion": 0.05, "b": 0.95}, "owner")
    again = Experiments(store)
    assert {v.contributor: again.assign(v).variant.name for v in visitors} == before
    newcomers = Counter(again.assign(Visitor(f"n_{n}")).variant.name for n in range(400))
    assert newcomers["b"] > 340


def test_the_kill_switch_sends_everybody_to_the_control_and_does_not_count(experiments: Experiments, desk: Desk) -> None:
    """Paused: the control's version at the very next request, outside of the experiment; resumed: as before."""
    experiments.declare(two())
    visitors = [Visitor(f"u_{n}") for n in range(20)]
    before = [desk.predict(v, "x").variant for v in visitors]
    assert "b" in before
    experiments.act("e", "pause", "owner", "b looks broken")
    paused = [desk.predict(v, "x") for v in visitors]
    assert {(p.version, p.experiment) for p in paused} == {(1, "")}
    experiments.act("e", "resume", "owner")
    assert [desk.predict(v, "x").variant for v in visitors] == before


def test_staff_force_a_variant_and_it_does_not_count(experiments: Experiments, desk: Desk, store: Store) -> None:
    """A forced variant is marked, is in no experiment, and leaves no exposure; an unknown one names the choices."""
    experiments.declare(two())
    made = desk.predict(Visitor("u_s", staff="sue", forced_variant="b"), "x")
    assert (made.version, made.forced, made.experiment) == (2, True, "")
    assert store.rows("SELECT * FROM exposures") == []
    with pytest.raises(BadInput, match="available are champion, b"):
        desk.predict(Visitor("u_s", staff="sue", forced_variant="c"), "x")


def test_one_experiment_at_a_time_and_names_once(experiments: Experiments) -> None:
    """A second experiment is refused while one runs; a name is never used again."""
    experiments.declare(two())
    with pytest.raises(Conflict, match="stop or decide it first"):
        experiments.declare(two("f"))
    experiments.act("e", "stop", "owner")
    with pytest.raises(Conflict, match="names are used once"):
        experiments.declare(two())
    with pytest.raises(NotFound, match="there are: e"):
        experiments.get("nope")


@pytest.mark.parametrize("shares", [(0.5, 0.6), (1.2, -0.2)])
def test_shares_that_do_not_add_up_are_refused(experiments: Experiments, shares: tuple[float, float]) -> None:
    """Shares must each be 0..1 and sum to 1; the message shows them."""
    with pytest.raises(BadInput, match="sum to 1"):
        experiments.declare(Experiment("e", 1, "running", (Variant("a", 1, shares[0]), Variant("b", 2, shares[1]))))


def test_promotion_decides_the_experiment_and_rollback_is_one_step(experiments: Experiments, store: Store) -> None:
    """Promote 2, promote 3, roll back -> 2, roll back -> 1, then there is nothing before."""
    experiments.declare(two())
    experiments.promote(2, "owner", "fewer corrections")
    assert experiments.champion == 2
    assert experiments.current is None
    assert experiments.get("e").state == "decided"
    experiments.promote(3, "owner")
    assert experiments.roll_back("owner").version == 2
    assert experiments.roll_back("owner").version == 1
    with pytest.raises(Conflict, match="no earlier champion"):
        experiments.roll_back("owner")
    assert Experiments(store).champion == 1


def test_offering_the_running_challenger_again_changes_nothing(experiments: Experiments) -> None:
    """Offers are idempotent; the champion itself cannot be offered; another one must wait."""
    first = experiments.offer(2, share=0.5, author="owner")
    assert experiments.offer(2, share=0.5, author="owner") == first
    with pytest.raises(Conflict, match="is the champion"):
        experiments.offer(1, share=0.5, author="owner")
    with pytest.raises(Conflict, match="stop or decide it first"):
        experiments.offer(3, share=0.5, author="owner")
