"""Retraining as the app does it: when it is due, what a kill leaves, who waits, what is offered."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import psutil
import pytest

from feedback.acceptance import Agreement, apply_policy
from feedback.caps import CapRule
from feedback.demo import Demo, load_demo
from feedback.desk import Desk
from feedback.erasing import Eraser
from feedback.errors import BadInput, Conflict
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.records import Erasure, TrainingRun, Visitor, input_hash
from feedback.store import Store
from feedback.training_set import Snapshot, accepted, freeze, part_of
from feedback.words import Words
from model.card import Card, read_card
from model.job import Job
from model.offering import Offering
from model.process import RunDirectory
from model.retrain import Retrainer
from model.rounds import Rounds
from model.serve import Predictor
from model.shown import Shown
from model.starter import ensure_versions
from model.versions import Versions
from tests.conftest import ROOT
from tests.feedback.test_erasing import bytes_with
from tests.serving import small_demo


class Shop(NamedTuple):
    """The opened rooms of one small demo, and how to open its retrainer with other settings."""

    demo: Demo
    home: Home
    store: Store
    versions: Versions
    experiments: Experiments
    desk: Desk
    retrainer: Callable[..., Retrainer]

    def accept(self, count: int, start: int = 0) -> None:
        """Let a visitor correct `count` texts and a reviewer accept them."""
        ann = Visitor("u_ann")
        for number in range(start, start + count):
            shown = self.desk.predict(ann, f"Please pay back order {number} to my card")
            made, _ = self.desk.correct(ann, shown.id, {"label": "refund"})
            self.desk.review("sue", made.id, "accept")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a trained starter, made once."""
    directory = tmp_path_factory.mktemp("trained")
    demo = load_demo(small_demo(directory))
    home = Home(directory / "home")
    ensure_versions(demo, home, Versions(home.directory))
    return directory


@pytest.fixture
def shop(trained: Path, tmp_path: Path) -> Iterator[Shop]:
    """A fresh copy of the trained home, opened."""
    shutil.copytree(trained, tmp_path / "shop")
    demo, home = load_demo(tmp_path / "shop" / "small.toml"), Home(tmp_path / "shop" / "home")
    opened: list[Retrainer] = []
    with Store(home.directory) as store:
        versions, experiments = Versions(home.directory), Experiments(store)
        experiments.begin(1, "test")
        predictor = Predictor(versions)

        def retrainer(**settings: dict[str, Any]) -> Retrainer:
            raw = demo.model_dump()
            for table, values in settings.items():
                raw[table] = {**raw[table], **values}
            rounds = Rounds(Demo.model_validate(raw), home, store, experiments, versions)
            opened.append(Retrainer(rounds, Offering(rounds, store)))
            return opened[-1]

        yield Shop(demo, home, store, versions, experiments, Desk(store, predictor, experiments, Agreement(2)), retrainer)
        for one in opened:
            one.close()
        predictor.close()


def candidate(shop: Shop, verdict: str, champion: int = 1) -> int:
    """Register a copy of version 1 with this verdict of the gate against `champion`."""
    copy = shop.home.runs / "copy"
    shutil.copytree(shop.versions.path(1), copy)
    card: Card = read_card(copy)
    replace(card, gate={"verdict": verdict, "checks": []}, champion_version=champion).write(copy)
    return shop.versions.adopt(copy)


def test_it_is_due_by_count_and_by_schedule(shop: Shop) -> None:
    """`after_accepted` new acceptances are due; a schedule waits for `at_least`; both off is never."""
    counting = shop.retrainer(retraining={"after_accepted": 4})
    scheduled = shop.retrainer(retraining={"every_hours": 1e-6, "at_least": 3})
    shop.accept(2)
    assert (counting.due(), scheduled.due()) == (None, None)
    shop.accept(2, start=2)
    assert (counting.due(), scheduled.due()) == ("count", "schedule")
    assert shop.retrainer(retraining={"after_accepted": 0, "every_hours": 0.0}).due() is None


def test_without_feedback_it_is_refused_in_words(shop: Shop) -> None:
    """Nothing accepted: words, no run, no snapshot."""
    with pytest.raises(BadInput, match="no accepted correction"):
        shop.retrainer().start("button", "sue")
    assert shop.store.rows("SELECT * FROM training_runs") == []


def test_a_killed_training_leaves_no_half_version(shop: Shop) -> None:
    """kill -9 of the training process: the run failed, nothing was registered, the champion serves on, and it can start again."""
    shop.accept(3)
    retrainer = shop.retrainer()
    run = retrainer.start("button", "sue")
    with pytest.raises(Conflict, match="is running"):
        retrainer.start("button", "sue")
    process = trainer_of(run.id)
    while process.is_running() and not (shop.home.runs / run.id / "progress.json").exists():
        time.sleep(0.05)
    process.kill()
    retrainer.wait(60)
    assert retrainer.rounds.all()[0]["state"] == "failed"
    assert "status -9" in retrainer.rounds.all()[0]["detail"]
    assert shop.versions.numbers() == [1]
    assert shop.versions.problems() == []
    assert not list((shop.home.runs / run.id).glob("*candidate*"))
    assert shop.desk.predict(Visitor("u_x"), "hello").version == 1


def test_what_the_apps_end_cut_short_is_started_anew(shop: Shop) -> None:
    """The app closes during a training: at the next start the run is marked interrupted and a new one comes to its end."""
    shop.accept(3)
    first = shop.retrainer()
    run = first.start("button", "sue")
    first.close()
    assert shop.store.rows("SELECT state FROM current_training_runs")[0]["state"] == "started"
    second = shop.retrainer()
    second.begin()
    second.wait(180)
    states = {row["id"]: row["state"] for row in second.rounds.all()}
    assert states.pop(run.id) == "interrupted"
    assert next(iter(states.values())) in ("passed", "undecided", "refused")
    assert shop.versions.numbers() == [1, 2]


def test_a_passed_candidate_waits_while_an_experiment_runs_and_the_newest_one_is_next(shop: Shop) -> None:
    """Two candidates pass while an experiment runs: the newer one waits, and is offered when the experiment ends."""
    retrainer = shop.retrainer(experiment={"offer": "automatic"})
    retrainer.begin()
    tried = candidate(shop, "passed")
    retrainer.offering.offer(tried, None, "sue")
    older, newer = candidate(shop, "passed"), candidate(shop, "passed")
    refused = candidate(shop, "refused")
    assert refused > newer > older
    waiting = retrainer.offering.waiting()
    assert waiting is not None
    assert waiting.number == newer
    current = shop.experiments.current
    assert current is not None
    shop.experiments.act(current.name, "stop", "sue")
    offered = shop.experiments.current
    assert offered is not None
    assert [variant.version for variant in offered.variants] == [1, newer]
    assert retrainer.offering.waiting() is None


def test_what_passed_while_no_app_ran_is_offered_at_the_start_and_its_lineage_told(shop: Shop) -> None:
    """A version registered without its uses (a kill in between) gets them from its snapshot; a waiting one is offered."""
    shop.accept(3)
    snapshot = freeze(accepted(shop.store), shop.home.snapshots)
    number = candidate(shop, "passed")
    card = shop.versions.card(number)
    replace(card, kind="retrain", snapshot=snapshot.id).write(shop.versions.path(number))
    retrainer = shop.retrainer(experiment={"offer": "automatic"})
    retrainer.begin()
    assert shop.store.rows(f"SELECT count(*) AS n FROM uses WHERE version = {number}")[0]["n"] == 3
    current = shop.experiments.current
    assert current is not None
    assert current.variants[1].version == number


def test_nothing_left_to_learn_does_not_keep_the_app_from_starting(shop: Shop) -> None:
    """A run was cut short and everything was withdrawn since: the start goes on, the run is marked."""
    shop.store.add(TrainingRun("t_cut", "started", "s_1", 3, None, "count", "policy:count"))
    retrainer = shop.retrainer()
    retrainer.begin()
    assert [row["state"] for row in retrainer.rounds.all()] == ["interrupted"]


def test_a_verdict_against_an_older_champion_is_renewed_before_the_offer(shop: Shop) -> None:
    """The champion changed while a candidate waited: it is gated again, and its card names the champion of today."""
    retrainer = shop.retrainer(experiment={"offer": "automatic"})
    shop.accept(3)
    tried = candidate(shop, "passed")
    retrainer.offering.offer(tried, None, "sue")
    waiting = candidate(shop, "passed")
    retrainer.begin()
    shop.experiments.promote(tried, "sue")
    retrainer.wait(120)
    card = shop.versions.card(waiting)
    assert card.champion_version == tried
    assert len(card.gate_words()) > 3
    assert retrainer.rounds.all()[0]["trigger"] == "gate"


def test_what_did_not_pass_needs_a_reason(shop: Shop) -> None:
    """A refused version is offered and promoted only with a reason, which is kept."""
    retrainer = shop.retrainer()
    number = candidate(shop, "refused")
    with pytest.raises(Conflict, match="'refused': it is offered only with a reason"):
        retrainer.offering.offer(number, None, "sue")
    with pytest.raises(Conflict, match="promoted only with a reason"):
        retrainer.offering.promote(number, "sue", "  ")
    assert retrainer.offering.offer(number, 0.2, "sue", "to see it fail").reason == "to see it fail"


def test_a_checkpoint_is_added_through_the_gate(shop: Shop, tmp_path: Path) -> None:
    """A plain save_pretrained directory is gated, registered as `added`, and can be offered; a wrong one is told why."""
    plain = tmp_path / "plain"
    shutil.copytree(shop.versions.path(1), plain)
    (plain / "card.json").unlink()
    retrainer = shop.retrainer()
    retrainer.add(plain, "sue")
    retrainer.wait(180)
    (run,) = retrainer.rounds.all()
    assert run["version"] == 2, run
    card = shop.versions.card(2)
    assert (card.kind, card.champion_version) == ("added", 1)
    (plain / "config.json").write_text(json.dumps({"model_type": "nonsense"}), encoding="utf-8")
    retrainer.add(plain, "sue")
    retrainer.wait(120)
    assert retrainer.rounds.all()[0]["state"] == "failed"
    assert "config.json" in retrainer.rounds.all()[0]["detail"] or "nonsense" in retrainer.rounds.all()[0]["detail"]
    assert shop.versions.numbers() == [1, 2]


def test_the_command_does_the_round_itself_where_no_app_runs(shop: Shop) -> None:
    """`python -m model.retrain` opens the log, trains, gates and registers; with the log held it says by whom."""
    shop.accept(3)

    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "model.retrain", "--demo", str(shop.demo.path), "--home", str(shop.home.directory)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "in use by process" in run().stderr
    shop.store.close()
    done = run()
    assert done.returncode == 0, done.stderr
    assert "version 2" in done.stdout
    with Store(shop.home.directory) as store:
        (row,) = store.rows("SELECT state, version, author FROM current_training_runs")
    assert (row["version"], row["author"]) == (2, "command")
    assert row["state"] in ("passed", "undecided", "refused")


# -- beside an erasure


class Watched:
    """The lock of erasures, which tells who holds it; the thread `eraser` waits at a barrier just before it takes it."""

    def __init__(self) -> None:
        self.owner: threading.Thread | None = None
        self.at_the_door = threading.Barrier(2, timeout=60)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if threading.current_thread().name == "eraser":
            self.at_the_door.wait()
        self._lock.acquire()
        self.owner = threading.current_thread()

    def __exit__(self, *_: object) -> None:
        self.owner = None
        self._lock.release()


def eraser_of(shop: Shop, retrainer: Retrainer, lock: threading.Lock) -> Eraser:
    """Return an eraser that cancels what trains on what it erases, as the opened house wires it."""

    def interrupt(snapshots: frozenset[str]) -> None:
        for run in retrainer.rounds.all(1):
            if run["state"] == "started" and run["snapshot"] in snapshots:
                retrainer.cancel(run["id"], "policy:erasure")

    def reconsider(hash_: str, input_: str) -> None:
        apply_policy(shop.store, Agreement(2), hash_, input_)

    return Eraser(shop.home, shop.store, shop.versions, reconsider, interrupt, lock)


def test_a_freeze_beside_an_erasure_keeps_nothing_of_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The feedback was read, then somebody erases theirs, then the snapshot is written: it is erased all the same.

    A retrainer that does not hold the lock lets the erasure end first, and the snapshot with the erased texts stays.
    """
    shop.accept(5)
    lock = Watched()
    retrainer = shop.retrainer()
    retrainer.rounds.erasing = cast(threading.Lock, lock)
    eraser = eraser_of(shop, retrainer, cast(threading.Lock, lock))
    erasing = threading.Thread(target=eraser.erase, args=("u_ann",), name="eraser")

    def slowly(store: Store, directory: Path, rule: CapRule) -> Snapshot:
        read = accepted(store)
        lock.at_the_door.wait()
        if lock.owner is not threading.current_thread():
            erasing.join()
        return freeze(read, directory)

    monkeypatch.setattr("model.rounds.freeze_accepted", slowly)
    erasing.start()
    run = retrainer.start("button", "sue")
    erasing.join(60)
    retrainer.wait(60)
    assert bytes_with(shop.home.directory / "snapshots", ("u_ann", "Please pay back")) == []
    assert (run.examples, retrainer.rounds.all()[0]["state"]) == (5 - judged(5), "cancelled")
    assert shop.versions.numbers() == [1]


def judged(count: int) -> int:
    """Return how many of the first texts of Shop.accept only judge."""
    return sum(part_of(input_hash(f"Please pay back order {number} to my card")) == "gate" for number in range(count))


def test_what_is_cancelled_in_its_last_moment_is_not_registered(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends well after it was told to stop: an erasure counts on nothing coming out of it."""
    shop.accept(3)
    script = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('ready', flush=True); signal.pause()"
    )

    def launch(directory: RunDirectory, job: Job) -> subprocess.Popen[bytes]:
        shutil.copytree(shop.versions.path(1), directory.candidate)
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.stdout.close()
        return process

    monkeypatch.setattr(RunDirectory, "launch", launch)
    retrainer = shop.retrainer()
    run = retrainer.start("button", "sue")
    retrainer.cancel(run.id, "policy:erasure")
    retrainer.wait(60)
    (row,) = retrainer.rounds.all()
    assert (row["state"], row["detail"]) == ("cancelled", "cancelled by policy:erasure")
    assert shop.versions.numbers() == [1]


def learned_from_erased(shop: Shop, number: int, parent: int | None) -> None:
    """Say of a version that it is a retrained one that had learned from what an erasure removed."""
    card = replace(shop.versions.card(number), kind="retrain", parent=parent)
    card.write(shop.versions.path(number))
    shop.store.add(Erasure("e_1", "contributor", 3, (number,)))
    shop.versions.forget("e_1", "u_gone", frozenset(), (number,))


def test_after_an_erasure_it_starts_from_an_ancestor_that_had_not_learned_it(shop: Shop) -> None:
    """The gate still compares with the champion; run, card and Models page say why it started elsewhere."""
    shop.accept(3)
    champion = candidate(shop, "passed")
    retrainer = shop.retrainer()
    retrainer.offering.promote(champion, "sue")
    learned_from_erased(shop, champion, 1)
    run = retrainer.start("button", "sue")
    assert run.detail == "from version 1: version 2 learned from what was erased since"
    retrainer.wait(180)
    (ended,) = retrainer.rounds.all()
    assert (ended["version"], ended["detail"]) == (3, run.detail)
    card = shop.versions.card(3)
    assert (card.parent, card.passed_over, card.champion_version, card.erased) == (1, 2, 2, ())
    say = Words([ROOT / "model" / "words.toml"]).speaker("en")
    shown = Shown(say, retrainer, shop.experiments, shop.versions)
    assert "It started from version 1, not from version 2" in shown.gate(3)
    assert "Version 2 learned from feedback that was erased since" in shown.gate(2)


def test_what_carries_something_erased_waits_for_nobody(shop: Shop) -> None:
    """Neither a candidate that learned it, nor one that started from such a version; an older clean one is next."""
    retrainer = shop.retrainer()
    clean, learned, child = (candidate(shop, "passed") for _ in range(3))
    replace(shop.versions.card(child), parent=learned).write(shop.versions.path(child))
    assert retrainer.offering.waiting() == shop.versions.card(child)
    learned_from_erased(shop, learned, 1)
    waiting = retrainer.offering.waiting()
    assert waiting is not None
    assert waiting.number == clean


def trainer_of(run_id: str) -> psutil.Process:
    """Return the training process of a run; just after its birth it has no command line yet."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for process in psutil.Process().children():
            if any(run_id in word for word in process.cmdline()):
                return process
        time.sleep(0.02)
    raise AssertionError(f"no process of {run_id}")


def test_every_fifth_retraining_starts_from_the_base(shop: Shop) -> None:
    """After four candidates of their champions' weights the next is from the base; rounds of the fast lane do not count."""
    rounds, counts = shop.retrainer().rounds, []
    for number in range(12):
        copy = shop.home.runs / "copy"
        shutil.copytree(shop.versions.path(1), copy)
        due = rounds.from_base_is_due()
        counts.append(due)
        lane = number == 2
        card = replace(read_card(copy), kind="retrain", parent=None if due or lane else 1, trigger="lane" if lane else "count")
        card.write(copy)
        shop.versions.adopt(copy)
    assert [i for i, due in enumerate(counts) if due] == [5, 10]
    assert not shop.retrainer(retraining={"from_base_every": 0}).rounds.from_base_is_due()


def test_the_gate_looks_back_at_the_best_champion(shop: Shop) -> None:
    """A champion with a lower validation score than one before it: the job names the better one; the best champion names none."""
    rounds = shop.retrainer().rounds
    replace(shop.versions.card(1), scores={"validation": {"main": 0.5}}).write(shop.versions.path(1))
    for score in (0.9, 0.7):
        copy = shop.home.runs / "copy"
        shutil.copytree(shop.versions.path(1), copy)
        replace(read_card(copy), scores={"validation": {"main": score}}).write(copy)
        shop.experiments.promote(shop.versions.adopt(copy), "sue")
    run = TrainingRun("t_any", "started", "", 0, None, "count", "policy:count")
    assert rounds.job(run, "added", 3, "").anchor == str(shop.versions.path(2))
    assert rounds.job(replace(run, id="t_other"), "added", 2, "").anchor is None
