"""What happens to a training: killed anywhere, a disk that takes no more. The app goes on, nothing half-written stays."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from feedback.demo import load_demo
from feedback.disk import refused
from feedback.errors import StorageFull
from feedback.home import write_atomically
from feedback.records import Example, TrainingRun, Visitor, input_hash
from feedback.training_set import accepted, freeze
from model.answering import open_version
from model.card import read_card
from model.job import Job
from model.making import run_job
from model.process import RunDirectory
from model.progress import Progress
from tests.conftest import ROOT
from tests.model.conftest import FRUITS, TOOLS
from tests.model.struck import PLACES, command, small_files, strike_each
from tests.model.test_recipe import again
from tests.model.test_retrain import Shop, shop, trained  # noqa: F401  # fixtures
from tests.model.test_training import _feedback as feedback_in

QUIET = Progress(None)
ANN = Visitor("u_ann")
FULL = (("weights", "100000"), ("tokenizer", "100000"), ("card", "500"), ("loading", "0-weights"))
"""Where the disk takes no more, and from which size of a file on; the last one takes all again before anything is saved."""


class Strike(NamedTuple):
    """What was left of a training to which something happened: its directory, exit status and last words."""

    run: RunDirectory
    status: int
    said: str

    def files(self) -> set[str]:
        """Return the names in the run's directory, but for what the test itself wrote."""
        return {path.name for path in self.run.path.iterdir()} - {"job.json", "status.txt", "said.txt"}


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path, tokenizer: Any) -> dict[tuple[str, str], Strike]:
    """One retraining after another, each struck elsewhere."""
    directory = tmp_path_factory.mktemp("struck")
    rows = [
        f'{{"text": "sentence {i} about one {word}", "label": "{label}"}}'
        for label, words in (("fruit", FRUITS), ("tool", TOOLS))
        for i in range(8)
        for word in words
    ]
    (directory / "data.jsonl").write_text("\n".join(rows))
    (directory / "demo.toml").write_text(
        f'name = "d"\ntask = "text_classification"\ntitle = "T"\nlabels = ["fruit", "tool"]\nbase = "{tiny_base}"\n[data]\n'
        'train = "data.jsonl"\n[training]\nepochs = 1\nretrain_epochs = 1\nlearning_rate = 0.01\ndevice = "cpu"\nthreads = 1\n'
    )
    demo = load_demo(directory / "demo.toml")
    run_job(Job(str(demo.path), str(directory / "v1")), demo, QUIET)
    snapshot = feedback_in(directory / "snapshots", demo)
    strikes = [*((place, "kill") for place in PLACES), *FULL]
    for place, what in strikes:
        run = RunDirectory(directory / "runs" / f"{place}-{what}")
        run.path.mkdir(parents=True)
        job = again(demo, directory, "v2", snapshot, out=str(run.candidate), progress=str(run.progress_file))
        (run.path / "job.json").write_text(job.to_json())
    strike_each(strikes, directory / "runs")
    found = {}
    for place, what in strikes:
        path = directory / "runs" / f"{place}-{what}"
        said = (path / "said.txt").read_text() if (path / "said.txt").exists() else ""
        found[place, what] = Strike(RunDirectory(path), int((path / "status.txt").read_text()), said)
    return found


# -- killed


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_it_leaves_a_whole_version_or_none(struck: dict[tuple[str, str], Strike], place: str) -> None:
    """kill -9 at this place: nothing stands where a version would, or (after the rename) a whole one; what is dropped is gone."""
    strike = struck[place, "kill"]
    assert strike.status == -9, strike.said
    assert strike.run.candidate.exists() == (place == "renamed")
    if place == "renamed":
        assert open_version(strike.run.candidate).answer(["one apple"], [{}])
        assert read_card(strike.run.candidate).gate is not None
    else:
        stage = {"weights": "saving", "tokenizer": "saving", "card": "saving", "rename": "saving"}.get(place, place)
        assert strike.run.progress().stage == stage
    strike.run.drop_candidate()
    assert strike.files() == {"progress.json"}


def test_killed_while_it_saves_the_run_has_failed_in_words_and_the_next_one_ends(shop: Shop, monkeypatch: Any) -> None:  # noqa: F811
    """The app's view: failed, killed by whom, nothing left; visitors are answered; what is started next comes to its end."""
    shop.accept(3)
    retrainer = shop.retrainer()
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "launch", launching("tokenizer", "kill"))
        run = retrainer.start("button", "sue")
        retrainer.wait(120)
    (row,) = retrainer.rounds.all()
    assert (row["state"], row["version"]) == ("failed", None)
    assert row["detail"] == "the training process ended with status -9 (killed: by a person, or by the system for want of memory)"
    assert not list((shop.home.runs / run.id).glob("*candidate*"))
    assert shop.desk.predict(Visitor("u_x"), "hello").version == 1
    retrainer.start("button", "sue")
    retrainer.wait(180)
    assert retrainer.rounds.all()[0]["version"] == 2


def test_what_a_killed_app_left_is_taken_up_at_the_next_start(shop: Shop) -> None:  # noqa: F811
    """App and training were killed while it saved: the start says interrupted, removes both half and whole, and begins anew."""
    shop.accept(3)
    snapshot = freeze(accepted(shop.store), shop.home.snapshots)
    shop.store.add(TrainingRun("t_cut", "started", snapshot.id, 3, None, "button", "sue"))
    for name in ("candidate", ".candidate.77.partial"):
        shutil.copytree(shop.versions.path(1), shop.home.runs / "t_cut" / name)
    (shop.home.snapshots / ".s_half.partial").mkdir()
    retrainer = shop.retrainer()
    retrainer.begin()
    retrainer.wait(180)
    newest, cut = retrainer.rounds.all()
    assert (cut["id"], cut["state"]) == ("t_cut", "interrupted")
    assert "started anew" in cut["detail"]
    assert (newest["author"], newest["version"]) == ("sue", 2)
    assert list((shop.home.runs / "t_cut").iterdir()) == []
    assert not list(shop.home.snapshots.glob(".*"))
    assert shop.versions.numbers() == [1, 2]


def launching(place: str, what: str, quiet: bool = False) -> Callable[[RunDirectory, Job], subprocess.Popen[bytes]]:
    """Return what starts a struck training process instead of RunDirectory.launch."""

    def launch(run: RunDirectory, job: Job) -> subprocess.Popen[bytes]:
        (run.path / "job.json").write_text(job.to_json(), encoding="utf-8")
        with (run.path / "output.txt").open("wb") as output:
            line = [*command(place, what), "--job", str(run.path / "job.json")]
            return subprocess.Popen(line, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    return launch


# -- a full disk


@pytest.mark.parametrize(("place", "size"), FULL[:3], ids=[place for place, _ in FULL[:3]])
def test_a_full_disk_ends_the_training_in_words(struck: dict[tuple[str, str], Strike], place: str, size: str) -> None:
    """Full while weights, tokenizer or card are written: the words name the disk and the place, and nothing is left."""
    strike = struck[place, size]
    assert strike.status == 1, strike.said
    assert strike.said.startswith(f"StorageFull: the disk under {strike.run.path} takes no more (File too large)")
    assert "free some space and start again" in strike.said
    assert strike.files() == {"progress.json"}


def test_a_progress_that_cannot_be_written_ends_nothing(struck: dict[tuple[str, str], Strike]) -> None:
    """Full from loading to choosing: the progress stays where it was, and the version is there, whole."""
    strike = struck["loading", "0-weights"]
    assert strike.status == 0, strike.said
    assert read_card(strike.run.candidate).verdict in ("passed", "refused", "undecided")
    assert strike.files() == {"candidate", "progress.json"}
    assert strike.run.progress().stage == "done"


def test_a_progress_whose_place_is_gone_says_so_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One line on stderr for however many writes that fail."""
    progress = Progress(tmp_path / "gone" / "progress.json")
    shutil.rmtree(tmp_path / "gone")
    for stage in ("loading", "training", "done"):
        progress.stage(stage)
    said = capfd.readouterr().err
    assert said.count("\n") == said.count("cannot be written, the training goes on") == 1


def test_a_disk_so_full_that_no_word_fits_is_still_named(shop: Shop, monkeypatch: Any) -> None:  # noqa: F811
    """Neither weights nor progress nor output can be written: the exit status tells, and the app goes on."""
    shop.accept(3)
    retrainer = shop.retrainer()
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "launch", launching("weights", "0"))
        run = retrainer.start("button", "sue")
        retrainer.wait(120)
    (row,) = retrainer.rounds.all()
    assert row["state"] == "failed"
    assert row["detail"].startswith("the disk takes no more: "), row["detail"]
    assert not list((shop.home.runs / run.id).glob(".*"))
    assert shop.versions.numbers() == [1]
    assert shop.desk.predict(Visitor("u_x"), "hello").version == 1


def test_a_snapshot_on_a_full_disk_is_refused_in_words(shop: Shop) -> None:  # noqa: F811
    """Full as the feedback is frozen: nothing began, nothing is left, and with space again it goes."""
    shop.accept(3)
    retrainer = shop.retrainer()
    with small_files(100), pytest.raises(StorageFull, match=r"the disk under .*snapshots takes no more"):
        retrainer.start("button", "sue")
    assert list(shop.home.snapshots.iterdir()) == []
    assert retrainer.rounds.all() == []
    assert retrainer.rounds.freeze("button", "sue").run.examples >= 1


def test_a_manifest_on_a_full_disk_takes_its_snapshot_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Parquet file fits and the manifest does not: no half of a snapshot stays."""

    def full(path: Path, text: str) -> None:
        with small_files(10):
            write_atomically(path, text)

    monkeypatch.setattr("feedback.training_set.write_atomically", full)
    with pytest.raises(StorageFull, match="File too large"):
        freeze([Example("a", {"label": "fruit"}, 1, "c", "u", input_hash("a"))], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system of 16 KiB (where this user may mount one): the snapshot's writer says ENOSPC, and so do we."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        examples = [Example(f"{i} {os.urandom(40).hex()}", {"label": "x"}, 1, f"c{i}", "u", f"{i:032x}") for i in range(500)]
        with pytest.raises(StorageFull, match="No space left on device"):
            freeze(examples, disk / "snapshots")
        assert list((disk / "snapshots").iterdir()) == []
        (disk / "rest").write_bytes(b"x" * 4096)
        with pytest.raises(OSError, match="No space left") as caught:
            write_atomically(disk / "progress.json", "x" * 20_000)
        assert refused(caught.value)
        assert {path.name for path in disk.iterdir()} == {"snapshots", "rest"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(28, "No space left on device"), True),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), True),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (Exception('IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })'), True),
        (OSError(2, "No such file or directory"), False),
        (ValueError("code: 2800"), False),
    ],
    ids=str,
)
def test_which_errors_speak_of_a_full_disk(error: Exception, full: bool) -> None:
    """Python's, Arrow's, and those of the writers of weights and tokenizers; no others."""
    assert (refused(error) is not None) == full
