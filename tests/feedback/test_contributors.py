"""Contributors for administrators: counts, histories, blocks and what follows from them, the routes, and the local profile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from benchmarks import local_profile
from feedback import contributor_routes, identity, problems, routes
from feedback.acceptance import Agreement
from feedback.alarms import Alarms
from feedback.believing import Believing
from feedback.blocking import Blocking, judge_anew
from feedback.contributors import Contributors
from feedback.demo import AcceptanceSettings, Demo
from feedback.desk import Desk
from feedback.errors import BadInput, Conflict, NotFound
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.identity import NetworkHash
from feedback.records import Asked, Correction, Prediction, Record, Review, Trap, Use, Visitor, Withdrawal, now
from feedback.staff import Staff
from feedback.standing import Acceptances
from feedback.store import Store
from feedback.training_set import accepted, freeze
from tests.conftest import WordsModel

ANN, BOB, CAROL = Visitor("u_ann", network="n1"), Visitor("u_bob"), Visitor("u_carol", channel="clinic")


def say(desk: Desk, who: Visitor, text: str, label: str = "v2") -> Correction:
    """Let a visitor ask and answer; version 1 says v1, so v1 confirms."""
    return desk.correct(who, desk.predict(who, text).id, {"label": label})[0]


def trap(store: Store, who: str, number: int, right: bool, active: bool = True) -> None:
    """Let a contributor answer a trap whose truth is v2."""
    text, id_ = f"trap {number}", f"{who}-{number}"
    store.add(
        Trap(f"h{number}", text, {"label": "v2"}, "gold", "owner", active),
        Prediction(f"p{id_}", who, "", 0, "champion", 1, text, f"h{number}", {"label": "v1"}, 0.5, 1.0, forced=True),
        Asked(f"p{id_}", who, "trap", f"h{number}"),
        Correction(f"c{id_}", f"p{id_}", who, {"label": "v2" if right else "v3"}, False),
    )


@pytest.fixture
def blocking(store: Store) -> Blocking:
    """Blocks over the fresh log, with the agreement of two."""
    return Blocking(store, partial(judge_anew, store, Agreement(2)))


def test_the_list_counts_and_sorts(desk: Desk, store: Store) -> None:
    """Each contributor's corrections by status, first and last seen, channel and network; every sort leads with its most."""
    say(desk, ANN, "one")
    say(desk, BOB, "one")
    say(desk, BOB, "two", "v1")
    rejected = say(desk, CAROL, "three")
    desk.review("rev", rejected.id, "reject", reason="no")
    desk.withdraw(BOB, say(desk, BOB, "four").id)
    store.add(Prediction("pp", "policy:clean", "", 0, "champion", 1, "x", "h", {}, 0.5, 1.0, forced=True))
    contributors = Contributors(store)
    found, total = contributors.everybody()
    assert ([item.contributor for item in found], total) == (["u_bob", "u_carol", "u_ann"], 3)
    bob, carol, ann = found
    assert (bob.predictions, bob.corrections, bob.confirmations, bob.accepted, bob.pending, bob.withdrawn) == (3, 3, 1, 1, 1, 1)
    assert (carol.rejected, carol.channel, ann.network, ann.accepted) == (1, "clinic", "n1", 1)
    assert bob.first_seen < carol.first_seen < bob.last_seen
    leaders = {sort: contributors.everybody(sort)[0][0].contributor for sort in ("first_seen", "corrections", "rejected")}
    assert leaders == {"first_seen": "u_carol", "corrections": "u_bob", "rejected": "u_carol"}
    assert [item.contributor for item in contributors.everybody(part="_B")[0]] == ["u_bob"]
    assert [item.contributor for item in contributors.everybody(limit=1, offset=1)[0]] == ["u_carol"]
    with pytest.raises(BadInput, match="last_seen"):
        contributors.everybody("name")


def test_reliability_is_of_traps_and_of_peoples_rejections(desk: Desk, store: Store) -> None:
    """Eight right traps make trusted (1 - .1 ** (1/9) = .774 is the 10 % quantile of Beta(9, 1)); wrong ones, a trap that is
    none any more, a withdrawn answer and a person's rejection are counted as they should."""
    for number in range(8):
        trap(store, "u_ann", number, True)
        trap(store, "u_bob", number, number > 3)
    trap(store, "u_ann", 90, False, active=False)
    trap(store, "u_ann", 91, False)
    store.add(Withdrawal("cu_ann-91", "u_ann"))
    people = {item.contributor: item for item in Contributors(store).everybody()[0]}
    ann, bob = people["u_ann"], people["u_bob"]
    assert (ann.traps, ann.traps_right, ann.reliability.trusted) == (8, 8, True)
    assert ann.reliability.lower == pytest.approx(0.1 ** (1 / 9), rel=1e-6)
    assert (bob.traps, bob.traps_right, bob.reliability.trusted) == (8, 4, False)
    assert Contributors(store).everybody("reliability")[0][0].contributor == "u_bob"
    desk.review("rev", say(desk, ANN, "a text").id, "reject")
    (again,) = [item for item in Contributors(store).everybody()[0] if item.contributor == "u_ann"]
    assert (again.traps, again.reliability.answered, again.reliability.wrong) == (8, 9, 1)


def test_a_history_has_verdicts_reasons_and_versions(desk: Desk, store: Store, blocking: Blocking) -> None:
    """Everything one contributor said: who judged it how and why, oldest first, what it taught, why it was asked, and blocks."""
    first = say(desk, ANN, "one")
    say(desk, BOB, "one")
    desk.review("rev", first.id, "reject", reason="a guess")
    store.add(Use(first.id, 4, "s", "train"), Use(first.id, 5, "s", "gate"))
    trap(store, "u_ann", 1, False)
    blocking.block("u_ann", "owner", "guesses")
    history = Contributors(store).one("u_ann")
    trapped, said = history.said
    assert (trapped.asked, said.asked) == ("trap", "")
    assert [(one.verdict, one.reviewer) for one in said.verdicts] == [("accept", "policy:agreement"), ("reject", "rev")]
    assert (said.status, said.reviewer, said.reason) == ("rejected", "rev", "a guess")
    assert (said.versions, said.checks, history.versions) == ((4,), (5,), (4,))
    assert [(one.right, one.truth, one.answer) for one in history.traps] == [(False, {"label": "v2"}, {"label": "v3"})]
    assert [(block.blocked, block.author, block.reason) for block in history.blocks] == [(True, "owner", "guesses")]
    assert history.summary.blocked
    with pytest.raises(NotFound):
        Contributors(store).one("u_nobody")


def test_a_block_takes_back_what_a_policy_accepted_and_unblocking_brings_it_back(
    desk: Desk, store: Store, blocking: Blocking, tmp_path: Path
) -> None:
    """The next snapshot leaves out what stood on a blocked contributor's word, keeps what a reviewer accepted by hand and what
    others carry without them; unblocking gives the same set as before. The reasons that they read say nothing of a block."""
    for who in (ANN, BOB):
        say(desk, who, "stands on Ann")
    for who in (ANN, BOB, CAROL):
        say(desk, who, "stands without Ann")
    by_hand = say(desk, ANN, "by hand")
    desk.review("rev", by_hand.id, "accept")

    def texts(name: str) -> set[str]:
        frozen = freeze(accepted(store), tmp_path / name)
        return {str(example.input) for example in (*frozen.train, *frozen.gate)}

    (tmp_path / "1").mkdir()
    everything = texts("1")
    assert everything == {"stands on Ann", "stands without Ann", "by hand"}
    done = blocking.block("u_ann", "owner", "a robot")
    assert (done.before, done.after) == (6, 3)
    assert texts("1") == {"stands without Ann", "by hand"}
    assert "u_ann" not in {example.contributor for example in accepted(store) if example.input != "by hand"}
    given = desk.given(ANN)
    assert [item.status for item in given] == ["accepted", "undecided", "undecided"]
    assert not any("block" in item.reason or "robot" in item.reason for item in given)
    blocking.unblock("u_ann", "owner", "it was Ann after all")
    assert texts("1") == everything
    assert [item.status for item in desk.given(ANN)] == ["accepted"] * 3


def test_blocks_are_checked(desk: Desk, store: Store, blocking: Blocking) -> None:
    """A block needs a reason, somebody who was here, and a change; it is told to nobody but the log."""
    say(desk, ANN, "one")
    with pytest.raises(BadInput):
        blocking.block("u_ann", "owner", "  ")
    for nobody in ("u_nobody", "policy:clean"):
        with pytest.raises(NotFound):
            blocking.block(nobody, "owner", "x")
    with pytest.raises(Conflict):
        blocking.unblock("u_ann", "owner", "x")
    blocking.block("u_ann", "owner", "x")
    with pytest.raises(Conflict):
        blocking.block("u_ann", "owner", "y")
    assert desk.correct(ANN, desk.predict(ANN, "two").id, {"label": "v2"})[1] == "pending"


class Site:
    """The routes of this topic and of the desk, over a fresh home."""

    def __init__(self, home: Home, store: Store) -> None:
        self.staff, self.store, self.clock = Staff(home), store, now()
        demo = Demo.model_validate(
            {"path": home.directory / "t.toml", "name": "t", "task": "any", "title": "T", "data": {"train": "x"}}
        )
        experiments = Experiments(store)
        experiments.begin(1, "test")
        self.app = FastAPI()
        problems.install(self.app)
        identity.install(self.app, home=home, staff=self.staff, demo=demo)
        desk = Desk(store, WordsModel(), experiments, Agreement(2))
        self.app.include_router(routes.router(desk, store, home.backups))
        self.alarms = Alarms(store, home.directory / "alarms.json", clock=lambda: self.clock)
        blocking = Blocking(store, partial(judge_anew, store, Agreement(2)))
        acceptances = Acceptances(store, AcceptanceSettings(policy="reliability"), Believing(store, "choice"))
        self.app.include_router(contributor_routes.router(Contributors(store), blocking, self.alarms, acceptances))

    def client(self, token: str = "", peer: str = "127.0.0.1", **headers: str) -> TestClient:
        """Return a client with a cookie jar of its own."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return TestClient(self.app, headers=headers, client=(peer, 5000))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A fresh site."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        yield Site(home, store)


def give(client: TestClient, text: str) -> str:
    """Ask and correct over HTTP; return the correction's id."""
    asked = client.post("/api/v1/predictions", json={"input": text}).json()
    said = client.post("/api/v1/corrections", json={"prediction_id": asked["id"], "output": {"label": "v3"}})
    assert said.status_code == 201, said.text
    return str(said.json()["id"])


def test_routes_for_staff(site: Site) -> None:
    """List, history, block and unblock over HTTP, under the token's name; strangers get 401, odd calls their 4xx."""
    give(site.client(), "one")
    give(site.client(), "one")
    boss = site.client(site.staff.make_token("boss"))
    listed = boss.get("/api/v1/contributors", params={"sort": "corrections"}).json()
    assert listed["total"] == 2
    person = listed["contributors"][0]
    assert (person["accepted"], person["reliability"]["verdict"], person["blocked"]) == (1, "too_few", False)
    name = person["contributor"]
    done = boss.post("/api/v1/blocks", json={"contributor": name, "blocked": True, "reason": "a robot"}).json()
    assert (done["author"], done["accepted_before"], done["accepted_after"]) == ("boss", 2, 0)
    history = boss.get(f"/api/v1/contributors/{name}").json()
    assert [one["verdict"] for one in history["said"][0]["verdicts"]] == ["accept", "undecided"]
    assert history["blocks"][0]["reason"] == "a robot"
    assert [p["contributor"] for p in boss.get("/api/v1/contributors?blocked=true").json()["contributors"]] == [name]
    again = boss.post("/api/v1/blocks", json={"contributor": name, "blocked": True, "reason": "x"})
    statuses = [
        again.status_code,
        boss.get("/api/v1/contributors/import:file/x").status_code,
        boss.get("/api/v1/contributors?sort=name").status_code,
        boss.post("/api/v1/blocks", json={"contributor": name, "blocked": False}).status_code,
        boss.post("/api/v1/alarms/a_1/clear", json={"reason": "x"}).status_code,
    ]
    assert statuses == [409, 404, 422, 422, 404]
    for path in ("contributors", f"contributors/{name}", "alarms"):
        assert site.client().get(f"/api/v1/{path}").status_code == 401
    for path in ("blocks", "alarms/a_1/clear"):
        assert site.client().post(f"/api/v1/{path}", json={}).status_code in (401, 422)
    body = {"contributor": name, "blocked": False, "reason": "x"}
    assert site.client().post("/api/v1/blocks", json=body).status_code == 401


def test_alarms_over_http(site: Site) -> None:
    """A standing alarm is in the answer with its numbers, beside what is watched; clearing keeps name and reason."""
    rows: list[Record] = []
    for n in range(112):  # a hundred accepted, twenty to fifteen days ago; twelve rejected today
        when = site.clock - (timedelta(days=20 - n // 20) if n < 100 else timedelta(minutes=n))
        rows += [
            Prediction(f"p{n}", f"u{n}", "", 0, "champion", 1, "t", "h", {}, 0.5, 1.0, created=when),
            Correction(f"c{n}", f"p{n}", f"u{n}", {}, False, created=when),
            Review(f"r{n}", f"c{n}", "reject" if n >= 100 else "accept", None, "rev", created=when),
        ]
    site.store.add(*rows)
    boss = site.client(site.staff.make_token("boss"))
    told = boss.get("/api/v1/alarms").json()
    (watched,), (alarm,) = told["watched"], told["alarms"]
    assert (watched["state"], watched["alarm"], alarm["source"]) == ("jumped", alarm["id"], "rev")
    assert alarm["before"]["refused"] == 0
    cleared = boss.post(f"/api/v1/alarms/{alarm['id']}/clear", json={"reason": "talked to them"}).json()
    assert (cleared["author"], cleared["reason"], cleared["normal"]) == ("boss", "talked to them", False)
    assert boss.get("/api/v1/alarms").json()["alarms"][0]["cleared"]


def test_the_local_profile_is_forty_contributors_with_prefixes_of_their_own(site: Site) -> None:
    """Through a trusted proxy's address 40 clients are 40 contributors in 40 networks; from elsewhere the header is not believed."""
    for number in range(local_profile.CONTRIBUTORS):
        give(site.client(**local_profile.headers(number)), f"text {number}")
    seen = "SELECT count(DISTINCT contributor) AS who, count(DISTINCT network) AS nets FROM predictions"
    assert site.store.rows(seen) == [{"who": 40, "nets": 40}]
    for number in range(3):
        give(site.client(peer="203.0.113.9", **local_profile.headers(50 + number)), f"more {number}")
    assert site.store.rows(seen) == [{"who": 43, "nets": 41}]
    everything = json.dumps(site.store.rows("SELECT * FROM predictions"), default=str)
    assert "198.18." not in everything
    assert "203.0.113" not in everything


def test_network_prefixes_are_what_they_should_be(tmp_path: Path) -> None:
    """IPv4 by /24 also where a server on "::" sees it as IPv6, IPv6 by /48, whatever is no address nothing; a new day, a new salt."""
    home = Home(tmp_path)
    network = NetworkHash(home)
    assert network.of("203.0.113.5") == network.of("::ffff:203.0.113.77") != network.of("::ffff:198.51.100.5")
    assert network.of("2001:db8:1:2::1") == network.of("2001:db8:1:3::1") != network.of("2001:db8:2::1")
    assert network.of("unknown") == ""
    salt = home.secrets / "network-salt.json"
    kept = json.loads(salt.read_text(encoding="utf-8"))
    assert NetworkHash(home).of("203.0.113.5") == network.of("203.0.113.5")
    salt.write_text(json.dumps({**kept, "day": "2020-01-01"}), encoding="utf-8")
    assert NetworkHash(home).of("203.0.113.5") != network.of("203.0.113.5")
    assert json.loads(salt.read_text(encoding="utf-8"))["salt"] != kept["salt"]


def test_how_answers_are_accepted_is_a_route_for_staff(site: Site) -> None:
    """Staff read policy, basis and calibration as one JSON object; strangers are refused."""
    assert site.client().get("/api/v1/acceptance").status_code == 401
    told = site.client(site.staff.make_token("robot")).get("/api/v1/acceptance").json()
    assert (told["policy"], told["rule"], told["agree"], told["threshold"]) == ("reliability", "agreement", 2, None)
    assert {"start", "end", "items", "mean", "right"} == set(told["calibration"][0])
