"""What a round's examples weigh: from the log to the snapshot's weights."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from feedback.caps import CapRule
from feedback.desk import Desk
from feedback.records import Visitor, input_hash
from feedback.store import Store
from feedback.training_set import accepted, freeze_accepted, part_of, read_snapshot, weighing_of
from feedback.weighing import label_pair, weigh


def agree(desk: Desk, text: str, one: Visitor, two: Visitor, label: str = "v2") -> None:
    """Let two visitors say the same of a text: the desk's policy believes them."""
    for visitor in (one, two):
        desk.correct(visitor, desk.predict(visitor, text).id, {"label": label})


def texts(count: int, about: str) -> list[str]:
    """Return texts of the learned part that share no five letters in a row to speak of."""
    made = (f"{about} {chr(97 + n % 26) * 6}{chr(97 + n // 26 % 26) * 6} {about[::-1]}" for n in range(10_000))
    fresh = dict.fromkeys(made)
    return [text for text in fresh if part_of(input_hash(text)) == "train"][:count]


def test_one_who_floods_is_capped_in_the_snapshot(desk: Desk, store: Store, tmp_path: Path) -> None:
    """A pair with 60 agreed texts beside 40 pairs with one each: nobody is above 5 % of the snapshot's weight."""
    flood = (Visitor("u_flood"), Visitor("u_second"))
    for text in texts(60, "flood"):
        agree(desk, text, *flood)
    for number, text in enumerate(texts(40, "honest")):
        agree(desk, text, Visitor(f"u_{number}a"), Visitor(f"u_{number}b"))
    snapshot = freeze_accepted(store, tmp_path, CapRule(cohort=1, label_pair=1))
    weights: dict[str, float] = defaultdict(float)
    for example in snapshot.train:
        weights[example.contributor] += example.weight
    assert len(snapshot.train) == 100
    assert max(weights.values()) <= 0.05 * sum(weights.values()) * 1.001
    assert [weight for name, weight in weights.items() if name[2].isdigit()] == [1.0] * 40
    assert read_snapshot(tmp_path / snapshot.id).weighing == snapshot.weighing == weighing_of(tmp_path / snapshot.id)
    assert snapshot.weighing["before"] == 100
    assert snapshot.weighing["weight"] == pytest.approx(sum(weights.values()), abs=0.001)
    assert snapshot.weighing["scaled"] >= 1
    assert not snapshot.weighing["few_contributors"]


def test_networks_and_channels_are_cohorts_and_no_channel_is_none(desk: Desk, store: Store) -> None:
    """Ninety people of one network weigh a tenth beside thirty networks; those who came by no channel are no cohort."""
    for number, text in enumerate(texts(90, "farm")):
        agree(desk, text, Visitor(f"u_f{number}a", network="farm"), Visitor(f"u_f{number}b", network="farm"))
    for number, text in enumerate(texts(45, "home")):
        network = f"home{number % 30}"
        agree(desk, text, Visitor(f"u_h{number}a", network=network), Visitor(f"u_h{number}b", network=network))
    found = weigh(store, accepted(store), CapRule(label_pair=1))
    farm = sum(e.weight for e in found.examples if e.contributor.startswith("u_f"))
    assert farm == pytest.approx(45 / 9, rel=1e-3)  # a tenth of 45 / .9
    assert sum(e.weight for e in found.examples) == pytest.approx(50, rel=1e-3)


def test_few_contributors_are_owned_up_to_and_the_round_goes_on(desk: Desk, store: Store, tmp_path: Path) -> None:
    """Two people alone: the manifest says that the cap cannot be met, and the weights stay."""
    for text in texts(6, "pair"):
        agree(desk, text, Visitor("u_ann"), Visitor("u_bob"))
    told = freeze_accepted(store, tmp_path, CapRule()).weighing
    assert (told["few_contributors"], told["met"], told["needed"]) == (True, False, 20)
    assert told["weight"] == told["before"] == 6


def test_a_reviewers_acceptance_is_exempt(desk: Desk, store: Store) -> None:
    """Sixty accepted by a reviewer, all of one person: each keeps its weight."""
    ann = Visitor("u_ann")
    for text in texts(60, "staff"):
        made = desk.correct(ann, desk.predict(ann, text).id, {"label": "v2"})[0]
        desk.review("sue", made.id, "accept")
    found = weigh(store, accepted(store), CapRule())
    assert [example.weight for example in found.examples] == [1.0] * 60
    assert found.contributors == 0
    assert found.capped.met


def test_near_duplicates_count_once_and_repeats_of_a_reviewed_text_not_at_all(desk: Desk, store: Store, tmp_path: Path) -> None:
    """Texts that differ in digits alone share one weight; beside a reviewed one they have none and leave the snapshot."""
    ann, bob = Visitor("u_ann"), Visitor("u_bob")
    alike = [text for text in (f"call me at {n}" for n in range(200)) if part_of(input_hash(text)) == "train"][:5]
    for text in alike:
        agree(desk, text, ann, bob)
    found = weigh(store, accepted(store), CapRule(1, 1, 1))
    assert [example.weight for example in found.examples] == pytest.approx([0.2] * 5)
    assert found.alike == 4
    made = desk.correct(ann, desk.predict(ann, alike[0] + "!!").id, {"label": "v2"})[0]
    desk.review("sue", made.id, "accept")
    frozen = freeze_accepted(store, tmp_path, CapRule(1, 1, 1))
    if part_of(input_hash(alike[0] + "!!")) == "train":
        assert [example.correction_id for example in frozen.train] == [made.id]


def spans(*triples: tuple[int, int, str]) -> dict[str, object]:
    """Return an output of spans."""
    return {"spans": [{"start": a, "end": b, "label": label} for a, b, label in triples]}


def test_label_pairs_name_the_commonest_change() -> None:
    """Labels by their names; spans by what most of them changed into; no change, and outputs of other kinds, have none."""
    assert label_pair({"label": "a"}, {"label": "b"}) == "a -> b"
    assert label_pair({"label": "a"}, {"label": "a"}) == ""
    assert label_pair(spans(), spans((0, 2, "D"))) == "nothing -> D"
    assert label_pair(spans((0, 2, "D")), spans()) == "D -> nothing"
    assert label_pair(spans((0, 2, "D")), spans((0, 2, "S"))) == "D -> S"
    assert label_pair(spans((0, 2, "D")), spans((0, 4, "D"))) == "D -> D"
    assert label_pair(spans((9, 12, "S")), spans((0, 2, "D"), (4, 6, "D"))) == "nothing -> D"
    assert label_pair(spans((0, 2, "D")), spans((0, 2, "D"))) == ""
    assert label_pair(["a", "b"], ["b", "a"]) == ""
