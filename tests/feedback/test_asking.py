"""Second opinions: who is asked about what, how often a trap, and that nobody can tell."""

from __future__ import annotations

import random

import pytest

from feedback.asking import Asking
from feedback.demo import AcceptanceSettings
from feedback.desk import Desk
from feedback.errors import Conflict
from feedback.experiments import Experiments
from feedback.records import Block, Experiment, Trap, Variant, Visitor, input_hash
from feedback.store import Store
from tests.conftest import WordsModel


def asking(store: Store, experiments: Experiments, seed: int = 1, **settings: object) -> Asking:
    """Return an Asking whose chance is known."""
    made = AcceptanceSettings(**{"traps": 0.0, **settings})
    return Asking(store, WordsModel(), experiments, made, chance=random.Random(seed))


def trap(store: Store, text: str) -> None:
    """Store a trap."""
    store.add(Trap(input_hash(text), text, {"label": "v2"}, "gold", "owner"))


def corrected(desk: Desk, who: str, text: str, label: str = "v2") -> str:
    """Let somebody correct an answer; return the correction's id."""
    shown = desk.predict(Visitor(who), text)
    correction, _ = desk.correct(Visitor(who), shown.id, {"label": label})
    return correction.id


def test_a_corrected_text_is_shown_to_others_as_a_prediction_of_their_own(
    store: Store, experiments: Experiments, desk: Desk, ann: Visitor, bob: Visitor
) -> None:
    """Bob is asked about Ann's text, once; his answer agrees and the item is believed; it counts in no A/B metric."""
    experiments.declare(Experiment("e", 1, "declared", (Variant("champion", 1, 0.5), Variant("b", 2, 0.5))))
    corrected(desk, "u_ann", "one", "v3")
    asker = asking(store, experiments)
    made = asker.next(bob)
    assert made is not None
    assert (made.input, made.forced, made.experiment, made.contributor) == ("one", True, "", "u_bob")
    _, status = desk.correct(bob, made.id, {"label": "v3"})
    assert status == "accepted"
    assert store.rows("SELECT * FROM exposures WHERE contributor = 'u_bob'") == []
    assert [row["kind"] for row in store.rows("SELECT kind FROM asked")] == ["opinion"]
    assert asker.next(ann) is None  # her own text
    assert asker.next(bob) is None


def test_what_people_differ_on_comes_first_and_settled_items_never(store: Store, experiments: Experiments, desk: Desk) -> None:
    """Disagreement outranks age; an item that was accepted, or withdrawn, is asked about no more."""
    corrected(desk, "u_1", "old and lonely")
    for who, label in (("u_1", "v2"), ("u_2", "v3")):
        corrected(desk, who, "disputed", label)
    for who in ("u_1", "u_2"):
        corrected(desk, who, "settled")
    desk.withdraw(Visitor("u_3"), corrected(desk, "u_3", "taken back"))
    asker = asking(store, experiments)
    texts = [made.input if (made := asker.next(Visitor("u_9"))) else None for _ in range(3)]
    assert texts == ["disputed", "old and lonely", None]


def test_the_version_on_trial_comes_before_the_champion(store: Store, experiments: Experiments, desk: Desk) -> None:
    """An answer of the challenger is worth more: it is what is being decided about."""
    corrected(desk, "u_1", "by the champion")
    experiments.declare(Experiment("e", 1, "declared", (Variant("champion", 1, 0.0), Variant("b", 2, 1.0))))
    corrected(desk, "u_2", "by the challenger", "v3")
    made = asking(store, experiments).next(Visitor("u_9"))
    assert made is not None
    assert made.input == "by the challenger"


def test_blocked_people_and_policies_ask_nothing_of_others(store: Store, experiments: Experiments, desk: Desk) -> None:
    """What a blocked contributor said is not worth anybody's time."""
    corrected(desk, "u_troll", "rubbish")
    corrected(desk, "policy:clean", "suspected")
    store.add(Block("u_troll", True, "owner"))
    assert asking(store, experiments).next(Visitor("u_9")) is None
    store.add(Block("u_troll", False, "owner"))
    assert asking(store, experiments).next(Visitor("u_9")) is not None


def test_traps_come_at_their_rate_after_the_first_eight(store: Store, experiments: Experiments, desk: Desk) -> None:
    """Every other one until eight were met, then a fifth: of 200 more between 20 and 60 (binomial, four standard errors)."""
    for index in range(260):
        trap(store, f"trap {index}")
        corrected(desk, f"u_{index}", f"text {index}")
    asker = asking(store, experiments, traps=0.2)
    for _ in range(220):
        asker.next(Visitor("u_new"))
    kinds = [row["kind"] for row in store.rows("SELECT kind FROM asked WHERE contributor = 'u_new' ORDER BY created, rowid")]
    eighth = [i for i, kind in enumerate(kinds) if kind == "trap"][7]
    assert eighth < 40
    assert 20 <= kinds[eighth + 1 : eighth + 181].count("trap") <= 60


def test_where_one_kind_runs_out_the_other_stands_in(store: Store, experiments: Experiments) -> None:
    """Nothing but a trap is left: it is shown, once."""
    trap(store, "known")
    asker = asking(store, experiments)
    made = asker.next(Visitor("u_1"))
    assert made is not None
    assert made.input == "known"
    assert asker.next(Visitor("u_1")) is None


def test_retired_traps_are_not_shown(store: Store, experiments: Experiments) -> None:
    """The newest row of an input counts."""
    trap(store, "known")
    store.add(Trap(input_hash("known"), "known", {"label": "v2"}, "gold", "owner", active=False))
    assert asking(store, experiments).next(Visitor("u_1")) is None


def test_a_demo_can_ask_nobody(store: Store, experiments: Experiments) -> None:
    """The setting is the server's, not the page's."""
    with pytest.raises(Conflict, match="asks for no second opinions"):
        asking(store, experiments, second_opinions=False).next(Visitor("u_1"))
