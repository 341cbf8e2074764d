"""The desk: whoever saw an answer may correct it, once; what is said is kept; policy and people judge it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from feedback.acceptance import Agreement, Opinion, apply_policy, judge_last
from feedback.demo import LimitSettings
from feedback.desk import Desk
from feedback.errors import BadInput, Conflict, NotFound, TooLarge, TooMany
from feedback.experiments import Experiments
from feedback.limits import Limits
from feedback.records import Visitor
from feedback.store import Store
from tests.conftest import WordsModel

RIGHT, OTHER = {"label": "v2"}, {"label": "v3"}


def test_a_confirmation_is_a_correction_equal_to_what_was_shown(desk: Desk, ann: Visitor) -> None:
    """Sending the shown output back is a confirmation; anything else is not."""
    one, two = desk.predict(ann, "one"), desk.predict(ann, "two")
    assert desk.correct(ann, one.id, one.output)[0].confirmation
    assert not desk.correct(ann, two.id, RIGHT)[0].confirmation


def test_only_the_contributor_and_staff_may_correct(desk: Desk, ann: Visitor, bob: Visitor) -> None:
    """Another visitor gets NotFound, as for a prediction that is not there; staff may."""
    shown = desk.predict(ann, "one")
    for id_ in (shown.id, "p_nowhere"):
        with pytest.raises(NotFound, match="was shown to you"):
            desk.correct(bob, id_, RIGHT)
    correction, status = desk.correct(Visitor("u_staff", staff="sue"), shown.id, RIGHT)
    assert (correction.contributor, status) == ("u_staff", "pending")


def test_one_correction_a_prediction(desk: Desk, ann: Visitor) -> None:
    """A second correction of the same prediction is a conflict, whatever the page allowed."""
    shown = desk.predict(ann, "one")
    desk.correct(ann, shown.id, RIGHT)
    with pytest.raises(Conflict, match="already"):
        desk.correct(ann, shown.id, OTHER)


def test_a_retry_with_its_key_is_the_same_call(desk: Desk, store: Store, ann: Visitor) -> None:
    """The same Idempotency-Key and body give the first call's row; another body is a conflict; one row is stored."""
    shown = desk.predict(ann, "one", key="k1")
    assert desk.predict(ann, "one", key="k1").id == shown.id
    with pytest.raises(Conflict, match="different request"):
        desk.predict(ann, "other", key="k1")
    first = desk.correct(ann, shown.id, RIGHT, "why", key="k2")
    assert desk.correct(ann, shown.id, RIGHT, "why", key="k2") == first
    with pytest.raises(Conflict, match="different request"):
        desk.correct(ann, shown.id, OTHER, "why", key="k2")
    counts = store.rows("SELECT (SELECT count(*) FROM predictions) AS p, (SELECT count(*) FROM corrections) AS c")[0]
    assert counts == {"p": 1, "c": 1}


def test_many_retries_at_once_store_one_row(desk: Desk, store: Store, ann: Visitor) -> None:
    """Sixteen simultaneous sends of one correction with one key all succeed and leave one row."""
    shown = desk.predict(ann, "one")
    with ThreadPoolExecutor(16) as pool:
        ids = {made[0].id for made in pool.map(lambda _: desk.correct(ann, shown.id, RIGHT, key="k"), range(16))}
    assert len(ids) == 1
    assert store.rows("SELECT count(*) AS n FROM corrections")[0]["n"] == 1


def test_bad_values_are_named(desk: Desk, ann: Visitor) -> None:
    """Input, output and comment that break a rule are refused with value and rule; nothing is stored."""
    with pytest.raises(BadInput, match="at least one letter"):
        desk.predict(ann, "   ")
    shown = desk.predict(ann, "one")
    with pytest.raises(BadInput, match="must be one of v1, v2, v3"):
        desk.correct(ann, shown.id, {"label": "v9"})
    with pytest.raises(BadInput, match="output is missing"):
        desk.correct(ann, shown.id, None)
    with pytest.raises(TooLarge, match="at most 1000"):
        desk.correct(ann, shown.id, RIGHT, "x" * 1001)
    assert desk.given(ann) == []


def test_one_unknown_contributor_never_accepts_alone(desk: Desk, ann: Visitor, bob: Visitor) -> None:
    """One voice stays pending however often it speaks; a second, different contributor who agrees accepts both."""
    for _ in range(3):
        assert desk.correct(ann, desk.predict(ann, "one").id, RIGHT)[1] == "pending"
    assert desk.correct(bob, desk.predict(bob, "one").id, RIGHT)[1] == "accepted"
    # Her newest opinion counts once; the reason is stored.
    statuses = [(item.status, item.reason) for item in desk.given(ann)]
    assert statuses[0][0] == "accepted"
    assert "2 contributors say the same" in statuses[0][1]


def test_disagreement_is_undecided_and_a_reviewer_decides(desk: Desk, ann: Visitor, bob: Visitor) -> None:
    """Two who differ are undecided and first in the queue; a person's amendment stands against later votes."""
    mine = desk.correct(ann, desk.predict(ann, "one").id, RIGHT)[0]
    assert desk.correct(bob, desk.predict(bob, "one").id, OTHER)[1] == "undecided"
    assert desk.queue()[0].status == "undecided"
    desk.review("sue", mine.id, "amend", {"label": "v1"}, "the manual says so")
    carl = Visitor("u_carl")
    desk.correct(carl, desk.predict(carl, "one").id, OTHER)
    assert desk.status(mine.id) == "accepted"
    assert desk.given(ann)[0].reason == "the manual says so"


def test_a_withdrawal_takes_the_vote_back(desk: Desk, ann: Visitor, bob: Visitor) -> None:
    """After a withdrawal the other voice stands alone again and is no longer accepted; others cannot withdraw it."""
    mine = desk.correct(ann, desk.predict(ann, "one").id, RIGHT)[0]
    theirs = desk.correct(bob, desk.predict(bob, "one").id, RIGHT)[0]
    with pytest.raises(NotFound):
        desk.withdraw(bob, mine.id)
    desk.withdraw(ann, mine.id)
    desk.withdraw(ann, mine.id)
    assert desk.status(mine.id) == "withdrawn"
    assert desk.status(theirs.id) == "undecided"
    with pytest.raises(Conflict, match="withdrawn"):
        desk.review("sue", mine.id, "accept")


def test_reviews_are_checked(desk: Desk, ann: Visitor) -> None:
    """Unknown verdicts, outputs without amend, amend without output, unknown corrections: each its own words."""
    mine = desk.correct(ann, desk.predict(ann, "one").id, RIGHT)[0]
    with pytest.raises(BadInput, match="available are accept, reject, amend"):
        desk.review("sue", mine.id, "maybe")
    with pytest.raises(BadInput, match="verdict 'amend'"):
        desk.review("sue", mine.id, "accept", RIGHT)
    with pytest.raises(BadInput, match="verdict 'amend'"):
        desk.review("sue", mine.id, "amend")
    with pytest.raises(NotFound):
        desk.review("sue", "c_nowhere", "accept")


def test_rates_are_limited_by_contributor(store: Store, experiments: Experiments, ann: Visitor, bob: Visitor) -> None:
    """Past the limit TooMany says how long to wait; another contributor and staff go on."""
    limits = Limits(LimitSettings(predictions_per_minute=3))
    desk = Desk(store, WordsModel(), experiments, Agreement(2), limits=limits)
    for _ in range(3):
        desk.predict(ann, "one")
    with pytest.raises(TooMany) as refused:
        desk.predict(ann, "one")
    assert 1 <= refused.value.retry_after <= 60
    desk.predict(bob, "one")
    for _ in range(5):
        desk.predict(Visitor("u_ann", staff="sue"), "one")


def opinion(who: str, output: str, verdict: str = "") -> Opinion:
    """Return an opinion of `who`."""
    return Opinion(f"c_{who}_{output}", who, output, verdict)


@pytest.mark.parametrize(
    ("said", "accepted"),
    [
        ([("a", "x")], set()),
        ([("a", "x"), ("a", "x")], set()),
        ([("a", "x"), ("b", "x")], {"c_a_x", "c_b_x"}),
        ([("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")], set()),
        ([("a", "x"), ("b", "x"), ("c", "y")], {"c_a_x", "c_b_x"}),
        ([("a", "y"), ("b", "x"), ("a", "x")], {"c_a_x", "c_b_x"}),
    ],
)
def test_agreement_needs_number_and_majority(said: list[tuple[str, str]], accepted: set[str]) -> None:
    """Accepted is what at least two contributors say and more than say otherwise; a contributor's newest word counts."""
    verdicts = Agreement(2).decide([opinion(*one) for one in said])
    assert {id_ for id_, (verdict, _) in verdicts.items() if verdict == "accept"} == accepted


def test_what_a_kill_left_unjudged_is_judged_at_the_start(
    store: Store, experiments: Experiments, ann: Visitor, bob: Visitor
) -> None:
    """Two agree, and the process ends between storing the second correction and judging it: the next start accepts both."""
    desk = Desk(store, WordsModel(), experiments, Agreement(2), judge=lambda *_: [])
    for who in (ann, bob):
        desk.correct(who, desk.predict(who, "a text").id, {"label": "v2"})
    assert {row["status"] for row in store.rows("SELECT status FROM current_corrections")} == {"pending"}
    assert judge_last(store, partial(apply_policy, store, Agreement(2))) == 1
    assert {row["status"] for row in store.rows("SELECT status FROM current_corrections")} == {"accepted"}
    assert judge_last(store, partial(apply_policy, store, Agreement(2))) == 0
