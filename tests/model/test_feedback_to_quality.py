"""The feedback-to-quality benchmark's own pieces: visitors, the rounds on a tiny network, the walk over arms, the figures."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import feedback_to_quality as quality
from benchmarks.crowd_simulation import CONTRIBUTORS
from benchmarks.feedback_to_quality import Preset, figures, recovery, run, tidy
from benchmarks.quality_data import Settings, deal
from benchmarks.quality_rounds import f1 as f1_of
from benchmarks.quality_rounds import piece_of, play
from benchmarks.quality_visitors import PRECISION, RECALL, careless, invention, plan, roles, says
from benchmarks.sleeper_visitors import Lie, Text, plain
from feedback.errors import BadInput
from feedback.records import Answer, Json
from tests.model.conftest import FRUITS, TOOLS

LIE = Lie("Disease", ("Disease",))
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def made_texts(count: int) -> list[Text]:
    """Return texts of ten words with two spans on average, of which a model misses 30 % and adds a wrong one to 20 % of the texts."""
    chance = np.random.default_rng(4)
    found = []
    for number in range(count):
        words = [f"{word}{number}" for word in WORDS]
        places = {
            place: {
                "start": len(" ".join(words[:place])) + (place > 0),
                "end": len(" ".join(words[: place + 1])),
                "label": "Disease",
            }
            for place in range(10)
        }
        truth = [places[place] for place in sorted(chance.permutation(10)[: chance.binomial(4, 0.5)])]
        shown = [span for span in truth if chance.random() > 0.3]
        free = [span for span in places.values() if span not in truth]
        if chance.random() < 0.2:
            shown.append(free[0])
        found.append(Text(" ".join(words), {"spans": truth}, Answer(plain({"spans": shown}), 0.8)))
    return found


@pytest.mark.parametrize(("malice", "bad"), [(0.0, 0), (0.2, 8), (0.4, 16)])
def test_the_crowd_is_as_described(malice: float, bad: int) -> None:
    """The malicious are trolls, colluders and sleepers in equal parts; of the honest a quarter are careless, a tenth lazy."""
    who = Counter(roles(malice))
    thirds = [who[kind] for kind in ("troll", "colluder", "sleeper")]
    assert sum(thirds) == bad
    assert max(thirds) - min(thirds) <= 1
    honest = CONTRIBUTORS - bad
    assert (who["careless"], who["lazy"]) == (round(honest / 4), round(honest / 10))
    assert who.total() == CONTRIBUTORS


def test_nobody_meets_a_text_twice() -> None:
    """Two visitors a text, no trap twice for anybody over all rounds, eight traps for each in the first round."""
    rounds = plan(1, 3, 200)
    met = [pair for pairs in rounds for pair in pairs]
    assert max(Counter(met).values()) == 1
    assert set(Counter(pair.name for pair in met if pair.name.startswith("item")).values()) == {2}
    assert len({pair.name for pair in met if pair.name.startswith("item")}) == 600
    traps = Counter(pair.contributor for pair in rounds[0] if pair.name.startswith("trap"))
    assert len(traps) == CONTRIBUTORS
    assert min(traps.values()) >= 8


def test_the_careless_miss_more_than_they_invent() -> None:
    """Of 6,000 texts: half of the errors are mended and 68 % of the changes are right, within .02 (../shared/model.md; the
    binomial error of either share is below .006). A span marked too short is one wrong change."""
    texts = made_texts(6000)
    invent, chance = invention(texts), np.random.default_rng(2)
    mended = wrong = errors = 0
    for text in texts:
        truth, shown = text.truth["spans"], text.shown.output["spans"]
        said = careless(text, invent, LIE, chance)["spans"]
        errors += sum(span not in shown for span in truth) + sum(span not in truth for span in shown)
        mended += sum(span in said for span in truth if span not in shown)
        mended += sum(span not in said for span in shown if span not in truth)
        wrong += sum(span not in truth and span not in shown for span in said) + sum(
            span not in said for span in truth if span in shown
        )
    assert mended / errors == pytest.approx(RECALL, abs=0.02)
    assert mended / (mended + wrong) == pytest.approx(PRECISION, abs=0.02)


def test_the_roles_say_what_they_are_for() -> None:
    """The lazy confirm; colluders lie on traps too, as the sleepers do elsewhere; trolls mark one word or two."""
    text = next(text for text in made_texts(50) if text.truth["spans"] and text.shown.output != text.truth)
    chance = np.random.default_rng(0)

    def said(role: str, trap: bool) -> Json:
        return says(role, text, trap, LIE, 0.1, chance)

    assert said("lazy", False) == text.shown.output
    assert said("sleeper", True) == text.truth
    assert said("sleeper", False) == said("colluder", False) == said("colluder", True) != text.truth
    assert all(1 <= len(said("troll", False)["spans"]) <= 2 for _ in range(20))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A corpus of fruits (Disease) and tools (nothing), in the form of ncbi_disease: 900 + 60 + 60 sentences."""
    chance, made = random.Random(3), set[str]()
    while len(made) < 1020:
        made.add(" ".join(chance.choice((*FRUITS, *TOOLS, "takes", "and", "then", "cuts", "buys")) for _ in range(6)) + " .")
    folder, rest = tmp_path / "corpus", sorted(made)
    folder.mkdir()
    chance.shuffle(rest)
    for name, begin, end in (("train", 0, 900), ("devel", 900, 960), ("test", 960, 1020)):
        lines = ["\n".join(f"{w}\t{'B-Disease' if w in FRUITS else 'O'}" for w in text.split()) for text in rest[begin:end]]
        (folder / f"{name}.tsv").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    return folder


def tiny(base: Path, rounds: int = 2) -> Preset:
    """Return a preset over a tiny network: all arms, 100 texts a round."""
    return Preset(Settings(rounds, 100, "head", epochs=1, base=str(base)), (0.2,), tuple(quality.ARMS), 1)


def test_all_arms_play_and_the_figures_are_there(data: Path, tmp_path: Path, tiny_base: Path) -> None:
    """Two rounds of every arm with the real pieces; every figure that the issue names is there, and nothing is played twice."""
    played: list[Path] = []

    def counted(*given: Any) -> dict[str, Any]:
        played.append(given[-1])
        return play(*given)

    preset = tiny(tiny_base)
    rows = run(data, tmp_path / "state", preset, counted)
    assert len(rows) == 1 + 2 * len(quality.ARMS)
    assert len(set(played)) == len(played) <= 2 * len(quality.ARMS)
    found = figures(rows, preset.malice, 2)
    assert {"recovery_20", "harmful_promotions", "f1_product_20", "f1_start", "f1_oracle"} <= found.keys()
    first = {row["arm"]: row for row in rows if row["round"] == 1}
    assert first["product"]["candidate"] == first["no gate"]["candidate"]
    assert first["product"]["promoted"] == (first["product"]["verdict"] == "passed")
    assert first["oracle"]["precision"] == 1.0
    assert first["corrections"]["precision"] < first["product"]["precision"] <= 1.0
    assert first["corrections"]["interpolation"] is None
    assert run(data, tmp_path / "state", preset, _nothing) == rows  # all is kept, though weights and logs were tidied away


def _nothing(*given: Any) -> dict[str, Any]:
    raise AssertionError(f"{given[-1]} was played again")


def test_a_round_cut_short_is_played_anew(data: Path, tmp_path: Path, tiny_base: Path) -> None:
    """What a killed round left behind is dropped; rounds that are whole are not played again; the result is the same."""
    preset = tiny(tiny_base)._replace(arms=("no gate",))
    calls = 0

    def killed(*given: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 2:
            left = given[-1].with_name(f".{given[-1].name}.partial")
            left.mkdir(parents=True)
            (left / "half").touch()
            raise quality.OutOfTime
        return play(*given)

    with pytest.raises(quality.OutOfTime):
        run(data, tmp_path / "cut", preset, killed)
    cut, whole = (run(data, tmp_path / name, preset, play) for name in ("cut", "whole"))
    assert not list((tmp_path / "cut").rglob("half"))
    assert [row["f1"] for row in cut] == [row["f1"] for row in whole]


def test_a_tidied_folder_is_refused_in_words(data: Path, tmp_path: Path, tiny_base: Path) -> None:
    """More rounds than were played, after the weights went: said, not a crash in the midst."""
    preset = tiny(tiny_base, rounds=1)._replace(arms=())
    run(data, tmp_path / "state", preset, play)
    tidy(tmp_path / "state" / "seed-1" / "start")
    with pytest.raises(BadInput, match="tidied away"):
        run(data, tmp_path / "state", preset._replace(arms=("base",)), play)


def test_too_few_sentences_are_refused(data: Path, tmp_path: Path, tiny_base: Path) -> None:
    """900 sentences: 90 of seed leave 810, which 60 traps and 8 rounds of 100 exceed."""
    settings = tiny(tiny_base, rounds=8).settings
    with pytest.raises(BadInput, match="860 to be met"):
        deal(data, tmp_path / "seed", 1, settings)


def test_a_state_folder_belongs_to_its_settings(tmp_path: Path) -> None:
    """The same settings go on, others are refused."""
    settings = Settings(3, 100, "top")
    quality.claim(tmp_path, settings)
    quality.claim(tmp_path, settings)
    with pytest.raises(BadInput, match="other settings"):
        quality.claim(tmp_path, settings._replace(items=50))
    assert piece_of(tmp_path) is None


def counts(right: int, wrong: int) -> np.ndarray:
    """Return sentences with one span each, found or missed."""
    return np.array([(1, 0, 0)] * right + [(0, 0, 1)] * wrong)


def test_recovery_is_the_share_of_the_way_to_the_oracle() -> None:
    """By hand: 50, 70 and 80 of 100 found give F1 100/150, 140/170 and 160/180. The interval holds the point."""
    point, low, high = recovery([counts(50, 50)], [counts(70, 30)], [counts(80, 20)])
    assert point == pytest.approx((140 / 170 - 100 / 150) / (160 / 180 - 100 / 150))
    assert low < point < high
    same, _, _ = recovery([counts(50, 50)], [counts(80, 20)], [counts(80, 20)])
    assert same == 1.0


def test_figures_count_promotions_not_candidates() -> None:
    """A harmful candidate that was kept back is no harmful promotion; the least gain is of the worst round."""

    def row(arm: str, malice: float | None, number: int, right: int, **more: Any) -> dict[str, Any]:
        f1 = f1_of(counts(right, 100 - right))
        told = {
            "promoted": True,
            "harmful": False,
            "worse": 3,
            "precision": 0.9,
            "old": 0.5,
            "f1": f1,
            "counts": counts(right, 100 - right).tolist(),
        }
        return {"arm": arm, "malice": malice, "seed": 1, "round": number, "piece": f"{arm}{number}", "seconds": 1.0} | told | more

    rows = [
        row("start", None, 0, 50), row("oracle", 0.2, 1, 70), row("oracle", 0.2, 2, 80),
        row("product", 0.2, 1, 49), row("product", 0.2, 2, 49, promoted=False, harmful=True, old=0.4),
        row("no gate", 0.2, 1, 49), row("no gate", 0.2, 2, 40, harmful=True),
    ]  # fmt: skip
    found = figures(rows, (0.2,), 2)
    assert (found["harmful_promotions"], found["harmful_promotions_no_gate"], found["harmful_candidates"]) == (0, 1, 1)
    assert (found["promotions"], found["promotions_20"], found["promotions_oracle"]) == (1, 1, 2)
    assert found["least_gain_20"] == pytest.approx(f1_of(counts(49, 51)) - found["f1_start"])
    assert found["recovery_20"] < 0
    assert found["forgetting_20"] == pytest.approx(0.1)
    assert (found["sentences_made_worse"], found["seconds"]) == (0.03, 7.0)
