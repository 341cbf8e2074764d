"""Demos by TOML alone: a third one from a CSV or a CoNLL file, and one that brings its own fine-tuned checkpoint."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from feedback.demo import load_demo
from feedback.errors import BadDemo, TooLarge
from feedback.home import Home
from feedback.records import Visitor
from feedback.words import Words
from model.house import House, open_house
from tests.serving import ASKED, THINGS

QUICK = '[training]\nmethod = "head"\n'


@contextmanager
def opened(demo: Path, home: Path) -> Iterator[House]:
    """Open a demo's house; train its starter where there is none."""
    house = open_house(load_demo(demo), Home(home), Words([]))
    try:
        yield house
    finally:
        house.close()


def test_a_third_demo_needs_a_toml_and_a_csv(tmp_path: Path) -> None:
    """One TOML and a CSV with its own column names: labels come from the data, it answers, and it can be corrected."""
    with (tmp_path / "tickets.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("message", "team"))
        writer.writerows((sentence.format(thing), label) for label, sentence in ASKED.items() for thing in THINGS)
    demo = tmp_path / "tickets.toml"
    demo.write_text(
        'name = "tickets"\ntask = "text_classification"\ntitle = "Which team?"\n'
        f'[data]\ntrain = "tickets.csv"\ntext_column = "message"\nlabel_column = "team"\n{QUICK}',
        encoding="utf-8",
    )
    with opened(demo, tmp_path / "home") as house:
        assert set(house.predictor.task.labels) == set(ASKED)
        ann = Visitor("u_ann")
        shown = house.desk.predict(ann, "I want my money back for the toaster")
        assert shown.output == {"label": "refund"}
        assert house.desk.correct(ann, shown.id, {"label": "track"})[1] == "pending"
    text = demo.read_text(encoding="utf-8") + "[limits]\nmax_chars = 50\n"
    demo.write_text(text, encoding="utf-8")
    with opened(demo, tmp_path / "home") as house, pytest.raises(TooLarge, match="50"):  # the TOML of today, not of the training
        house.desk.predict(ann, "x" * 51)


def test_a_demo_of_several_heads_needs_a_toml_and_a_csv(tmp_path: Path) -> None:
    """A column a head, some cells empty: both heads are answered, and each can be corrected alone."""
    with (tmp_path / "mail.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("message", "team", "haste"))
        for place, thing in enumerate(THINGS):
            for label, sentence in ASKED.items():
                haste = ("now", "later", "")[place % 3]
                writer.writerow((f"{sentence.format(thing)}{' immediately!' if haste == 'now' else ''}", label, haste))
    demo = tmp_path / "mail.toml"
    demo.write_text(
        'name = "mail"\ntask = "multioutput_text_classification"\ntitle = "Which team, and how soon?"\n'
        f'[data]\ntrain = "mail.csv"\ntext_column = "message"\nlabel_column = "team,haste"\n{QUICK}',
        encoding="utf-8",
    )
    with opened(demo, tmp_path / "home") as house:
        assert set(house.predictor.task.labels) == {*(f"team/{name}" for name in ASKED), "haste/now", "haste/later"}
        ann = Visitor("u_ann")
        shown = house.desk.predict(ann, "I want my money back for the toaster immediately!")
        assert shown.output["labels"] == {"haste": "now", "team": "refund"}
        correction, status = house.desk.correct(ann, shown.id, {"labels": {"haste": "later"}})
        assert (correction.output, correction.edits, status) == ({"labels": {"haste": "later"}}, 1.0, "pending")


def test_a_third_demo_of_spans_needs_a_toml_and_a_conll_file(tmp_path: Path) -> None:
    """One TOML and a CoNLL file with a label of its own: spans come out in code points."""
    lines = []
    for thing in THINGS * 2:
        lines += [f"The\tO\nold\tO\n{thing}\tB-Thing\nis\tO\nhere\tO\n"]
    (tmp_path / "things.tsv").write_text("\n".join(lines), encoding="utf-8")
    demo = tmp_path / "things.toml"
    demo.write_text(
        f'name = "things"\ntask = "token_classification"\ntitle = "Things"\n[data]\ntrain = "things.tsv"\n{QUICK}',
        encoding="utf-8",
    )
    with opened(demo, tmp_path / "home") as house:
        assert house.predictor.task.labels == ("Thing",)
        shown = house.desk.predict(Visitor("u_ann"), "😀 The old lamp is here")
        for span in shown.output["spans"]:
            assert 0 <= span["start"] < span["end"] <= len("😀 The old lamp is here")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain save_pretrained directory of a fine-tuned classifier: no card, nothing of ours."""
    directory = tmp_path_factory.mktemp("checkpoint")
    (directory / "t.csv").write_text(
        "text,label\n" + "".join(f"{s.format(t)},{label}\n" for label, s in ASKED.items() for t in THINGS if "," not in s),
        encoding="utf-8",
    )
    demo = directory / "t.toml"
    demo.write_text(f'name = "t"\ntask = "text_classification"\ntitle = "T"\n[data]\ntrain = "t.csv"\n{QUICK}', encoding="utf-8")
    with opened(demo, directory / "home") as house:
        shutil.copytree(house.versions.path(1), directory / "plain")
    (directory / "plain" / "card.json").unlink()
    return directory / "plain"


def test_an_own_model_is_version_1_and_champion_without_training(checkpoint: Path, tmp_path: Path) -> None:
    """`model = DIR`: labels from its config, renamed by the TOML; two settings of it are two variants; staff can force one."""
    demo = tmp_path / "own.toml"
    demo.write_text(
        f'name = "own"\ntask = "text_classification"\ntitle = "Own"\nmodel = "{checkpoint}"\nfallback_label = "tracking"\n'
        '[rename]\ntrack = "tracking"\n[experiment]\nname = "thresholds"\n'
        '[[experiment.arms]]\nname = "eager"\nshare = 0.5\n'
        '[[experiment.arms]]\nname = "careful"\nshare = 0.5\nsettings = { threshold = 0.999999 }\n',
        encoding="utf-8",
    )
    with opened(demo, tmp_path / "home") as house:
        assert house.versions.card(1).kind == "added"
        assert house.experiments.champion == 1
        assert "tracking" in house.predictor.task.labels
        text = "I want my money back for the toaster"
        eager, careful = (
            house.desk.predict(Visitor("u_s", staff="s", forced_variant=name), text) for name in ("eager", "careful")
        )
        assert (eager.version, careful.version) == (1, 1)
        assert eager.output == {"label": "refund"}
        assert careful.output == {"label": "tracking"}


def test_an_own_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A path that holds no checkpoint is refused by name, and no version is left behind."""
    demo = tmp_path / "own.toml"
    demo.write_text(
        f'name = "own"\ntask = "text_classification"\ntitle = "Own"\nmodel = "{tmp_path}/nothing"\n', encoding="utf-8"
    )
    with pytest.raises(BadDemo, match="nothing"), opened(demo, tmp_path / "home"):
        pass
    assert not list((tmp_path / "home" / "versions").glob("v*"))
