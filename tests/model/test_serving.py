"""Versions on disk and the predictor in front of them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForSequenceClassification

from feedback.demo import Demo
from feedback.errors import BadInput, Busy, Conflict, NotFound
from model.answering import open_version
from model.card import Card, read_card
from model.commands import versions_main
from model.job import Job
from model.making import run_job
from model.progress import Progress
from model.serve import KEPT, Predictor
from model.versions import Versions, as_lines


@pytest.fixture
def versions(text_demo: Demo, tmp_path: Path) -> Versions:
    """A home with two versions of different seeds."""
    versions = Versions(tmp_path / "home")
    for seed in (1, 2):
        demo = text_demo.model_copy(update={"training": text_demo.training.model_copy(update={"seed": seed, "epochs": 1})})
        run_job(Job(str(demo.path), str(tmp_path / "made"), number=9), demo, Progress(None))
        versions.adopt(tmp_path / "made")
    return versions


def test_versions_are_numbered_and_moved_whole(versions: Versions, tmp_path: Path) -> None:
    """adopt moves a directory under the next number and rewrites its card; nothing is left behind."""
    assert versions.numbers() == [1, 2]
    assert [card.number for card in versions.cards()] == [1, 2]
    assert versions.path(2).name == "v0002"
    assert versions.next_number() == 3
    assert not (tmp_path / "made").exists()
    with pytest.raises(Conflict, match="version 2 exists"):
        versions.adopt(_copy(versions, tmp_path), number=2)
    with pytest.raises(NotFound, match="no model version 7; there are: 1, 2"):
        versions.path(7)


def _copy(versions: Versions, tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    target.mkdir()
    for file in versions.path(1).iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_the_disk_is_the_truth(versions: Versions) -> None:
    """A directory without a card, a wrong number and a half-copied one are no versions, and are said."""
    (versions.directory / "v0003").mkdir()
    (versions.directory / "v0004").mkdir()
    read_card(versions.path(1)).write(versions.directory / "v0004")
    (versions.directory / ".v0005.partial").mkdir()
    assert versions.numbers() == [1, 2]
    assert len(versions.problems()) == 2
    assert versions.next_number() == 5
    assert as_lines(versions).count("ignored") == 2
    assert Versions(versions.directory.parent).numbers() == [1, 2]
    assert not (versions.directory / ".v0005.partial").exists()


def test_a_card_survives_the_file(tmp_path: Path) -> None:
    """A card written and read is equal; one of a later release with more keys is read; a broken one is refused."""
    card = Card(3, "text_classification", ("a", "b"), scores={"test": {"main": 0.5}}, gate={"verdict": "passed", "checks": []})
    card.write(tmp_path)
    assert read_card(tmp_path) == card
    assert Card.from_dict({**card.to_dict(), "colour": "red"}) == card
    several: tuple[Any, ...] = ({"number": 1}, [], {**card.to_dict(), "number": True}, {**card.to_dict(), "labels": "ab"})
    for broken in several:
        with pytest.raises(BadInput, match="card"):
            Card.from_dict(broken)


def test_an_export_is_a_plain_directory(versions: Versions, tmp_path: Path) -> None:
    """An exported version loads in plain transformers, carries a model card and no card.json; a full target is refused."""
    out = versions.export(1, tmp_path / "out")
    assert AutoModelForSequenceClassification.from_pretrained(out).config.num_labels == 2
    assert "from_pretrained" in (out / "MODEL_CARD.md").read_text()
    assert not (out / "card.json").exists()
    with pytest.raises(BadInput, match="exists already"):
        versions.export(2, out)
    with pytest.raises(BadInput, match="unknown format 'tflite'"):
        versions.export(2, tmp_path / "other", "tflite")


def test_a_new_gate_result_replaces_the_old(versions: Versions, tmp_path: Path) -> None:
    """regated takes the verdict of a candidate directory over and leaves weights and number alone."""
    copy = _copy(versions, tmp_path)
    card = Card(1, "text_classification", ("fruit", "tool"), gate={"verdict": "passed", "checks": []}, champion_version=2)
    card.write(copy)
    assert versions.regated(1, copy).verdict == versions.card(1).verdict == "passed"
    assert versions.card(1).champion_version == 2
    assert versions.card(1).training == versions.cards()[0].training != {}
    assert not copy.exists()


def test_the_command_lists_and_exports(
    versions: Versions, text_demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`list` prints a line a version, `export` writes one; a wrong number is one line on stderr and status 1."""
    place = ["--demo", str(text_demo.path), "--home", str(versions.directory.parent)]
    assert versions_main([*place, "list"]) == 0
    assert capsys.readouterr().out.count('"number"') == 2
    assert versions_main([*place, "export", "1", str(tmp_path / "out")]) == 0
    assert versions_main([*place, "export", "8", str(tmp_path / "out2")]) == 1
    assert "no model version 8" in capsys.readouterr().err


def test_many_threads_get_the_answers_of_single_calls(versions: Versions) -> None:
    """64 requests of two versions from 16 threads, batched as they come, equal each version's own single answers."""
    predictor = Predictor(versions, queue=128)
    texts = [f"{'buy ' * (i % 9)} one {'apple' if i % 2 else 'saw'}" for i in range(64)]
    single = {number: open_version(versions.path(number)) for number in versions.numbers()}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: predictor.predict(1 + i % 2, texts[i], {"temperature": 1.0 + i % 3}), range(64)))
    for i, answer in enumerate(answers):
        alone = single[1 + i % 2].answer([texts[i]], [{"temperature": 1.0 + i % 3}])[0]
        assert answer.output == alone.output
        assert answer.confidence == pytest.approx(alone.confidence, abs=1e-5)
    predictor.close()


def test_settings_share_a_network(versions: Versions) -> None:
    """Two variants of one version load it once; bad settings and unknown versions are errors of the asker alone."""
    predictor = Predictor(versions)
    cool, hot = (predictor.predict(1, "one apple", {"temperature": t}).confidence for t in (1.0, 100.0))
    assert cool > hot
    assert predictor.loaded() == [1]
    with pytest.raises(BadInput, match="unknown setting"):
        predictor.predict(1, "one apple", {"heat": 1.0})
    with pytest.raises(NotFound, match="no model version 5"):
        predictor.predict(5, "one apple", {})
    assert predictor.predict(1, "one apple", {}).confidence == cool
    predictor.close()


def test_a_full_queue_is_busy(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one place in the queue and the worker held up, the third request is told to come again; the others are answered."""
    predictor = Predictor(versions, queue=1)
    held, begun = threading.Event(), threading.Event()
    answerer = predictor._answerer(1)
    real = answerer.answer

    def slow(*args: object) -> object:
        begun.set()
        held.wait(20)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(answerer, "answer", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(predictor.predict, 1, "one apple", {})
        assert begun.wait(20)
        second = pool.submit(predictor.predict, 1, "one saw", {})
        while predictor._waiting.qsize() < 1:
            pass
        with pytest.raises(Busy, match="1 requests wait"):
            predictor.predict(1, "one drill", {})
        held.set()
        assert first.result().output["label"] in ("fruit", "tool")
        assert second.result().output["label"] in ("fruit", "tool")
    predictor.close()


def test_swapping_versions_fails_no_request(versions: Versions) -> None:
    """While versions are dropped and loaded again, every request is answered."""
    predictor = Predictor(versions)
    predictor.warm(1)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(predictor.predict, 1 + i % 2, "one apple", {}) for i in range(60)]
        for _ in range(10):
            predictor.drop(1)
            predictor.warm(2)
            predictor.drop(2)
        assert all(0 <= request.result().confidence <= 1 for request in asked)
    predictor.close()


def test_only_so_many_versions_stay_in_memory(versions: Versions, tmp_path: Path) -> None:
    """The least recently used version leaves when one more than KEPT is loaded."""
    for _ in range(KEPT - 1):
        versions.adopt(_copy(versions, tmp_path))
    predictor = Predictor(versions)
    for number in versions.numbers():
        predictor.warm(number)
    assert predictor.loaded() == versions.numbers()[-KEPT:]
    predictor.close()


def test_a_closed_predictor_answers_what_waits_then_says_so(versions: Versions) -> None:
    """close answers the queue and ends the thread; later requests are told to come again, closing twice is no harm."""
    predictor = Predictor(versions)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(predictor.predict, 1, "one apple", {}) for _ in range(8)]
        assert all(request.result().confidence > 0 for request in asked)
    predictor.close()
    predictor.close()
    with pytest.raises(Busy):
        predictor.predict(1, "one apple", {})


def test_checks_follow_the_newest_versions_labels(versions: Versions) -> None:
    """check returns canonical input and output, and refuses a label that no version knows."""
    predictor = Predictor(versions)
    assert predictor.check("one apple") == ("one apple", None)
    assert predictor.check("one apple", {"label": "fruit", "confidence": 0.5}) == ("one apple", {"label": "fruit"})
    with pytest.raises(BadInput, match="unknown label"):
        predictor.check("one apple", {"label": "car"})
    predictor.close()
