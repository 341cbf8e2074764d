"""What a round's examples weigh: from the log to the snapshot's weights."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from feedback.believing import Believing
from feedback.caps import CapRule
from feedback.desk import Desk
from feedback.records import Review, Visitor, input_hash, new_id
from feedback.schema import MIGRATIONS
from feedback.store import Store
from feedback.training_set import accepted, freeze_accepted, part_of, read_snapshot, weighing_of
from feedback.weighing import label_pair, weigh
from tests.feedback.test_believing import say, teach


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


def accepted_by_policy(store: Store, text: str, truth: str = "v2") -> float:
    """Let two people whom twelve traps prove correct a text; return the probability with which the policy accepted it."""
    policy = Believing(store, "choice")
    teach(store, {"good1": 0.9, "good2": 1.0, "bad": 0.1}, traps=20)
    for who in ("good1", "good2"):
        say(store, who, text, truth)
    made = [review for review in policy.settle() if review.verdict == "accept"]
    (likely,) = {review.probability for review in made}
    assert likely is not None
    return likely


def test_what_a_policy_accepted_weighs_its_probability_of_being_right(desk: Desk, store: Store, tmp_path: Path) -> None:
    """From the verdict to the snapshot's column: accepted at p it weighs p of what a reviewer accepted; the reason says p too."""
    by_policy, by_person = texts(2, "posterior")
    likely = accepted_by_policy(store, by_policy)
    assert 0.9 < likely < 1
    made = desk.correct(Visitor("u_ann"), desk.predict(Visitor("u_ann"), by_person).id, {"label": "v3"})[0]
    desk.review("sue", made.id, "accept")
    snapshot = freeze_accepted(store, tmp_path, CapRule(1, 1, 1))
    weights = {example.input: example.weight for example in snapshot.train}
    assert weights == {by_policy: pytest.approx(likely), by_person: 1.0}
    column = pd.read_parquet(tmp_path / snapshot.id / "examples.parquet").set_index("input")["weight"]
    assert column[json.dumps(by_policy)] == pytest.approx(likely * column[json.dumps(by_person)])
    (reason,) = {r["reason"] for r in store.rows("SELECT reason FROM current_corrections WHERE starts_with(reviewer, 'policy:')")}
    assert f"({likely:.1%} likely" in reason


def test_a_reviewer_who_confirms_the_policy_makes_it_weigh_1(desk: Desk, store: Store) -> None:
    """A person's word outranks the policy's, its probability included; reopened, the policy's weight is back."""
    (text,) = texts(1, "confirmed")
    likely = accepted_by_policy(store, text)
    (example,) = accepted(store)
    assert example.weight == likely
    desk.review("sue", example.correction_id, "accept")
    assert [e.weight for e in accepted(store)] == [1.0]
    store.add(Review(new_id("r"), example.correction_id, "reopen", None, "sue"))
    assert [e.weight for e in accepted(store)] == [likely]


def test_agreement_knows_no_probability_and_weighs_1(desk: Desk, store: Store) -> None:
    """Counting heads makes no number: what agreement accepted says none, and weighs what a reviewer's does before the caps."""
    (text,) = texts(1, "heads")
    agree(desk, text, Visitor("u_ann"), Visitor("u_bob"))
    assert {row["probability"] for row in store.rows("SELECT probability FROM reviews")} == {None}
    assert [e.weight for e in accepted(store)] == [1.0]


def test_a_log_of_before_the_probabilities_opens_and_its_acceptances_weigh_1(tmp_path: Path) -> None:
    """Migration 5 on a log of version 4 with a policy's acceptance in it."""
    with duckdb.connect(str(tmp_path / "log.duckdb")) as con:
        con.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, name VARCHAR, applied TIMESTAMP)")
        for migration in MIGRATIONS[:4]:
            migration.apply(con)
            con.execute("INSERT INTO migrations VALUES (?, ?, now()::TIMESTAMP)", [migration.number, migration.name])
        con.execute("""INSERT INTO predictions VALUES ('p', 'ann', '', 0, 'v', 1, '"in"', 'h', '{"label": "a"}', .5, 20.0, false, '', '',
            TIMESTAMP '2026-05-02 00:00:00')""")
        con.execute(
            """INSERT INTO corrections VALUES ('c', 'p', 'ann', '{"label": "b"}', false, '', TIMESTAMP '2026-05-02 01:00:00', 1)"""
        )
        con.execute("""INSERT INTO reviews VALUES ('r', 'c', 'accept', NULL, 'policy:reliability', '97.0% likely',
            TIMESTAMP '2026-05-02 02:00:00')""")
    with Store(tmp_path) as store:
        (row,) = store.rows("SELECT status, probability FROM current_corrections")
        assert row == {"status": "accepted", "probability": None}
        assert [(e.output, e.weight) for e in accepted(store)] == [({"label": "b"}, 1.0)]
        store.add(Review("r2", "c", "accept", None, "policy:reliability", probability=0.97))
        assert [e.weight for e in accepted(store)] == [0.97]
    assert (tmp_path / "log.before-migration-5.duckdb").exists()
