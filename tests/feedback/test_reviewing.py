"""Reviewers' use cases: worth decides the order, nobody is offered an open item, judging is blind, verdicts can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from feedback.desk import Desk
from feedback.errors import BadInput, Conflict, Forbidden, NotFound
from feedback.experiments import Experiments
from feedback.leases import MAX_HELD, Leases
from feedback.records import (
    Asked,
    Block,
    Correction,
    Experiment,
    Json,
    Prediction,
    Review,
    Variant,
    Visitor,
    input_hash,
    new_id,
    now,
)
from feedback.review_context import agreement_between_people, answers_to
from feedback.review_progress import pace
from feedback.review_value import Ranking, waiting
from feedback.reviewing import Reviewing
from feedback.store import Store

V1, V2, V3 = ({"label": label} for label in ("v1", "v2", "v3"))
Give = Callable[..., str]


@pytest.fixture
def reviewing(desk: Desk) -> Reviewing:
    """The reviewers' use cases of the desk."""
    return desk.reviewing


@pytest.fixture
def give(desk: Desk) -> Give:
    """Let a contributor say what the answer to a text should be (the model says v1); returns the correction's id."""

    def given(who: str, text: str, output: Json = V2, comment: str = "") -> str:
        visitor = Visitor(f"u_{who}")
        return desk.correct(visitor, desk.predict(visitor, text).id, output, comment)[0].id

    return given


def undecide(store: Store, *corrections: str) -> None:
    """Let a policy be unable to decide these, whatever it said before."""
    store.add(*[Review(new_id("r"), id_, "undecided", None, "policy:test") for id_ in corrections])


# -- the queue by value


def test_undecided_comes_first_and_says_why(reviewing: Reviewing, give: Give) -> None:
    """What two people disagree on comes before what nobody contradicted, and a correction before a confirmation."""
    confirmed, corrected = give("ann", "one", V1), give("ann", "two", V2)
    mine, theirs = give("ann", "three", V2), give("bob", "three", V3)
    queue = reviewing.queue()
    assert [item.id for item in queue[2:]] == [corrected, confirmed]
    assert {item.id for item in queue[:2]} == {mine, theirs}
    assert {"undecided", "disagreement"} <= set(queue[0].reasons)
    assert "correction" in queue[2].reasons
    assert "correction" not in queue[3].reasons


def test_an_unsure_answer_is_worth_more(store: Store, reviewing: Reviewing, give: Give) -> None:
    """Of two that are alike otherwise the one whose answer had the lower confidence comes first, though it came later."""
    sure = give("ann", "one")
    store.add(
        Prediction("p_low", "u_ann", "", 0, "champion", 1, "two", input_hash("two"), V1, 0.3, 1.0),
        Correction("c_low", "p_low", "u_ann", V2, False),
    )
    assert [item.id for item in reviewing.queue()] == ["c_low", sure]
    assert ["unsure" in item.reasons for item in reviewing.queue()] == [True, False]


def test_a_version_on_trial_is_worth_more(reviewing: Reviewing, experiments: Experiments, give: Give) -> None:
    """Answers of a running experiment's challenger come before the champion's; its end ends that."""
    champion = give("ann", "one")
    experiments.declare(Experiment("trial", 1, "running", (Variant("champion", 1, 0.5), Variant("new", 2, 0.5))))
    texts = [f"text {n}" for n in range(40)]
    ids = [give(f"user{n}", text, V3) for n, text in enumerate(texts)]
    first = reviewing.queue(1)[0]
    assert (first.version, "offered" in first.reasons) == (2, True)
    versions = [item.version for item in reviewing.queue()]
    assert versions == sorted(versions, reverse=True)
    assert {champion, *ids} == {item.id for item in reviewing.queue()}
    experiments.act("trial", "stop", "sue", "enough")
    assert not any("offered" in item.reasons for item in reviewing.queue())


def test_a_rare_label_is_worth_more(desk: Desk, reviewing: Reviewing, give: Give) -> None:
    """After twelve accepted v2, a correction to v3 comes before an older one to v2, and is called rare."""
    for number in range(12):
        desk.review("sue", give("ann", f"accepted {number}", V2), "accept")
    common, rare = give("ann", "common", V2), give("ann", "rare", V3)
    assert [item.id for item in reviewing.queue()] == [rare, common]
    assert "rare" in reviewing.queue()[0].reasons


def test_traps_and_the_blocked_are_not_offered(store: Store, reviewing: Reviewing, give: Give) -> None:
    """A trap's truth is known, and a blocked contributor is never accepted: neither waits, and neither is counted."""
    trapped, blocked, kept = give("ann", "trap"), give("bob", "spam"), give("carl", "honest")
    (row,) = store.rows("SELECT prediction_id FROM corrections WHERE id = ?", [trapped])
    store.add(Asked(row["prediction_id"], "u_ann", "trap", input_hash("trap")), Block("u_bob", True, "sue"))
    assert [item.id for item in reviewing.queue()] == [kept]
    assert reviewing.progress("sue").waiting == 1
    with pytest.raises(Conflict, match="blocked"):
        reviewing.judge("sue", blocked, "accept")
    reviewing.judge("sue", blocked, "reject")


def test_the_ranking_is_kept_but_never_offers_what_is_closed(store: Store, reviewing: Reviewing, give: Give) -> None:
    """In the seconds that a long ranking is kept, what was judged meanwhile is gone from it; then it is made anew."""
    clock = [0.0]
    ids = {give(f"user{number}", f"text {number}") for number in range(505)}
    ranking = Ranking(store, seconds=20, clock=lambda: clock[0])
    first = ranking.best(3)
    assert len(first) == 500
    reviewing.judge("sue", first[0].id, "accept")
    better = give("late", "late text", V3)
    assert [item.id for item in ranking.best(3)] == [item.id for item in first[1:]]
    clock[0] = 21
    assert better in {item.id for item in ranking.best(3)}
    assert {item.id for item in waiting(store, 1000)} == (ids | {better}) - {first[0].id}


# -- leases


def test_an_open_item_is_not_offered_twice(reviewing: Reviewing, give: Give) -> None:
    """Two pages get different items; what one lets go of, or judges, is the other's to have or gone."""
    ids = {give("ann", text) for text in ("one", "two", "three")}
    (first,), (second,) = reviewing.offer("page a", 1), reviewing.offer("page b", 1)
    assert first.id != second.id
    assert {item.id for item in reviewing.offer("page b", 5)} == ids - {first.id}
    assert reviewing.offer("page c", 5) == []
    assert reviewing.progress("sue", page="page c").elsewhere == 3
    with pytest.raises(Conflict, match="another reviewer's page"):
        reviewing.judge("sue", first.id, "accept", page="page b")
    reviewing.leases.release("page b")
    reviewing.judge("sue", first.id, "accept", page="page a")
    assert {item.id for item in reviewing.offer("page c", 5)} == ids - {first.id}
    with pytest.raises(BadInput, match="name of its own"):
        reviewing.offer("", 1)


def test_leases_end_and_are_renewed() -> None:
    """A page that does not renew loses its item after the time; a renewal by another tells which are gone."""
    clock = [0.0]
    leases = Leases(seconds=100, clock=lambda: clock[0])
    assert leases.take("a", ["x", "y"], 2) == ["x", "y"]
    clock[0] = 90
    assert leases.renew("a", ["x"]) == []
    clock[0] = 150
    assert leases.take("b", ["x", "y"], 2) == ["y"]
    assert leases.renew("a", ["x", "y"]) == ["y"]
    leases.release("a", ["y"])
    assert leases.elsewhere("a") == {"y"}


def test_a_page_does_not_hoard() -> None:
    """One page holds at most MAX_HELD items, however often it asks."""
    leases = Leases()
    everything = [str(number) for number in range(100)]
    assert len(leases.take("a", everything, 15)) == 15
    assert len(leases.take("a", everything, 100)) == MAX_HELD
    assert leases.take("b", everything, 1) == [everything[MAX_HELD]]


# -- verdicts


def test_a_page_judges_only_what_waits(reviewing: Reviewing, give: Give) -> None:
    """From a page a second verdict is a conflict; a program's newer verdict counts."""
    id_ = give("ann", "one")
    reviewing.judge("sue", id_, "accept", page="a")
    with pytest.raises(Conflict, match="judged this correction meanwhile"):
        reviewing.judge("tom", id_, "reject", page="b")
    reviewing.judge("tom", id_, "reject")
    assert reviewing.status(id_) == "rejected"


def test_a_retried_verdict_is_the_same_call(store: Store, reviewing: Reviewing, give: Give) -> None:
    """The answer got lost: the same key gives the first row, another verdict with it is a conflict, one row is stored."""
    id_ = give("ann", "one")
    first = reviewing.judge("sue", id_, "amend", V3, "so", page="a", key="k")
    assert reviewing.judge("sue", id_, "amend", V3, "so", page="a", key="k") == first
    with pytest.raises(Conflict, match="different request"):
        reviewing.judge("sue", id_, "reject", page="a", key="k")
    assert len(store.rows("SELECT id FROM reviews")) == 1


def test_a_verdict_can_be_taken_back(reviewing: Reviewing, give: Give) -> None:
    """After undo the correction waits again and may be judged anew; undoing twice changes nothing."""
    id_ = give("ann", "one")
    review = reviewing.judge("sue", id_, "reject")
    assert reviewing.undo("sue", [review.id]) == [id_]
    assert reviewing.undo("sue", [review.id]) == []
    assert (reviewing.status(id_), reviewing.recent("sue")) == ("pending", [])
    assert [item.id for item in reviewing.open("a", [id_])] == [id_]
    reviewing.judge("sue", id_, "accept", page="a")
    assert reviewing.status(id_) == "accepted"


def test_only_ones_own_standing_verdict_is_taken_back(reviewing: Reviewing, give: Give) -> None:
    """Another's verdict is forbidden, an unknown one not found, one that somebody has outvoted a conflict: and then none is undone."""
    one, two = give("ann", "one"), give("ann", "two")
    first, fine = reviewing.judge("sue", one, "accept"), reviewing.judge("sue", two, "accept")
    with pytest.raises(Forbidden):
        reviewing.undo("tom", [first.id])
    with pytest.raises(NotFound):
        reviewing.undo("sue", ["r_nowhere"])
    reviewing.judge("tom", one, "reject")
    with pytest.raises(Conflict, match="anew since"):
        reviewing.undo("sue", [fine.id, first.id])
    assert (reviewing.status(one), reviewing.status(two)) == ("rejected", "accepted")


def test_undo_gives_the_policy_its_word_again(store: Store, give: Give) -> None:
    """Whoever decides without people is told the text that is open again."""
    told: list[tuple[str, str]] = []
    reviewing = Reviewing(store, _NoRules(), lambda hash_, text: told.append((hash_, text)))
    review = reviewing.judge("sue", give("ann", "one"), "accept")
    reviewing.undo("sue", [review.id])
    assert told == [(input_hash("one"), '"one"')]


class _NoRules:
    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Everything is fine."""
        return input_, output


# -- what others say


def test_judging_is_blind(reviewing: Reviewing, give: Give) -> None:
    """What others say is refused before one's own verdict and after it was taken back, and shown in between, without names."""
    mine, _ = give("ann", "one", V2), give("bob", "one", V3, "because")
    with pytest.raises(Conflict, match="judged it yourself"):
        reviewing.others("sue", mine)
    review = reviewing.judge("sue", mine, "reject")
    (said,) = reviewing.others("sue", mine).said
    assert (said.person, said.output, said.comment, said.same) == (1, V3, "because", False)
    with pytest.raises(Conflict, match="judged it yourself"):
        reviewing.others("tom", mine)
    reviewing.undo("sue", [review.id])
    with pytest.raises(Conflict, match="judged it yourself"):
        reviewing.others("sue", mine)


def test_the_same_verdict_for_those_who_say_the_same(store: Store, reviewing: Reviewing, give: Give) -> None:
    """It reaches those who say just this of just this text, in rows of their own, and one undo takes them back."""
    first, second = give("ann", "one"), give("bob", "one")
    other, elsewhere = give("carl", "one", V3), give("ann", "ONE")
    undecide(store, first, second, other)
    reviewing.judge("sue", first, "reject", reason="no")
    assert reviewing.others("sue", first).alike == [second]
    (made,) = reviewing.repeat("sue", first)
    assert (made.correction_id, made.verdict, made.reason) == (second, "reject", "no")
    assert [reviewing.status(id_) for id_ in (other, elsewhere)] == ["undecided", "pending"]


def test_answers_by_version(desk: Desk, experiments: Experiments, give: Give) -> None:
    """The context is what each version answered to this very text, newest version first."""
    id_ = give("ann", "one")
    experiments.promote(2, "sue")
    desk.predict(Visitor("u_zoe"), "one")
    desk.predict(Visitor("u_zoe"), "another")
    assert [(answer.version, answer.output) for answer in answers_to(desk.reviewing.store, id_)] == [(2, V2), (1, V1)]


# -- the unanimous


def test_the_unanimous_are_accepted_at_once(store: Store, reviewing: Reviewing, give: Give) -> None:
    """Several alike and none rejected: each gets a row of its own with its reason, and one undo takes all back."""
    ids = [give(who, text) for text in ("one", "two") for who in ("ann", "bob")]
    split = [give("ann", "three"), give("bob", "three", V3)]
    single = give("ann", "four")
    undecide(store, *ids, *split)
    groups = reviewing.unanimous(10)
    assert sorted((group.input, group.people, len(group.corrections)) for group in groups) == [("one", 2, 2), ("two", 2, 2)]
    made = reviewing.accept_unanimous("sue", [*ids, *split, single])
    assert (len(made.reviews), made.left_out) == (4, 3)
    assert {reviewing.status(id_) for id_ in ids} == {"accepted"}
    assert {row["reviewer"] for row in store.rows("SELECT * FROM current_reviews WHERE verdict = 'accept'")} == {"sue"}
    (act,) = reviewing.recent("sue")
    assert (act.size, act.verdict) == (4, "accept")
    assert set(reviewing.undo("sue", act.reviews)) == set(ids)


@pytest.mark.parametrize("change", ["reject", "amend", "lease", "withdraw"])
def test_what_changed_meanwhile_is_left_out(store: Store, desk: Desk, give: Give, change: str) -> None:
    """Between list and confirmation somebody rejects, amends, opens or withdraws one of a text: none of it is accepted."""
    ids = [give(who, "one") for who in ("ann", "bob")]
    undecide(store, *ids)
    reviewing = desk.reviewing
    assert len(reviewing.unanimous(10)) == 1
    if change == "lease":
        reviewing.offer("another page", 2)
    elif change == "withdraw":
        desk.withdraw(Visitor("u_ann"), ids[0])
    else:
        reviewing.judge("tom", ids[0], change, V3 if change == "amend" else None)
    assert reviewing.accept_unanimous("sue", ids, "a").reviews == ()
    assert reviewing.unanimous(10, "a") == []


# -- progress and agreement


def test_progress_counts_what_stands(reviewing: Reviewing, give: Give) -> None:
    """Mine and everybody's since the day began, without what was taken back; a zone is understood."""
    ids = [give("ann", text) for text in ("one", "two", "three", "four")]
    made = [reviewing.judge("sue", id_, "accept") for id_ in ids[:2]]
    reviewing.judge("tom", ids[2], "reject")
    reviewing.undo("sue", [made[0].id])
    progress = reviewing.progress("sue", datetime.now(UTC) - timedelta(hours=1))
    assert (progress.mine, progress.all, progress.waiting, progress.rate) == (1, 2, 2, None)
    assert reviewing.progress("sue", now() + timedelta(hours=1)).all == 0


def test_the_pace_leaves_breaks_out() -> None:
    """Five acts 30 seconds apart are 120 an hour; a lunch in between changes nothing; four acts tell nothing."""
    began = datetime(2026, 1, 1, 9)
    acts = [began + timedelta(seconds=30 * n) for n in range(5)]
    assert pace(acts) == pytest.approx(120)
    assert pace([*acts, acts[-1] + timedelta(hours=1)]) == pytest.approx(120)
    assert pace(acts[:4]) is None


def test_agreement_takes_the_newest_standing_word(desk: Desk, give: Give) -> None:
    """Each contributor counts once a text with their newest word; withdrawn words do not count."""
    store = desk.reviewing.store
    give("ann", "one", V3)
    give("ann", "one", V2)
    give("bob", "one", V2)
    other = give("carl", "one", V3)
    assert {row.label: row.said for row in agreement_between_people(store)} == {"": 3, "v2": 2, "v3": 1}
    desk.withdraw(Visitor("u_carl"), other)
    assert {row.label: row.said for row in agreement_between_people(store)} == {"": 2, "v2": 2}
