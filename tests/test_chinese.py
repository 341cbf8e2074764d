"""A demo in Chinese on a base made of its own characters: read right, told apart from other languages, and the whole loop."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from feedback.demo import Demo, load_demo
from feedback.duplicates import duplicate_groups
from feedback.errors import BadDemo, BadInput
from feedback.records import Example
from model import scratch
from model.base import base_directory, begin
from model.batches import tokenize
from model.characters import character_tokenizer
from model.data import load_gold, load_seed
from model.job import Job
from model.licence import licence_of
from model.network_task import network_type
from model.recipe import settings_of
from model.scratch import STANDARD, base_of, build
from model.tasks.text import UNKNOWN_NOTE, notes_on
from tests.conftest import ROOT
from tests.serving import Served, served
from tests.test_loop import ended, rows, said

ZH = ROOT / "demos" / "sentiment_zh.toml"
SMALL = STANDARD._replace(hidden=64, heads=1, inner=64, layers=1, epochs=1)
HELD_SURE = "这家店的味道非常好，服务也热情，下次还会再来。"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bases are remembered beside the tests' files, in this process and in those it starts."""
    monkeypatch.setenv("AMEND_CACHE", str(tmp_path_factory.getbasetemp() / "bases"))
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def demo() -> Demo:
    """The Chinese starter demo."""
    return load_demo(ZH)


@pytest.fixture(scope="module")
def texts(demo: Demo) -> list[str]:
    """What its training part says."""
    return [example.input for example in load_seed(demo)[1].train]


# -- the tokenizer


def test_every_character_is_a_token_at_its_place(texts: list[str]) -> None:
    """Chinese, digits and signs one by one, other letters as words; offsets are code points of the text as it was given."""
    tokenizer = character_tokenizer([*texts, "wifi"], 256)
    text = "WiFi很快👍，花了128元！"
    (encoded,) = tokenize(tokenizer, [text])
    assert [text[a:b] for a, b in encoded.offsets] == ["WiFi", "很", "快", "👍", "，", "花", "了", "1", "2", "8", "元", "！"]
    assert encoded.unknown not in (encoded.ids[0], encoded.ids[1])
    assert tokenizer.decode(encoded.ids[:3]) == "wifi 很 快"


def test_offsets_are_right_whatever_is_written(texts: list[str]) -> None:
    """Full-width and joined signs, accents and other scripts in any mixture: each token's place holds what the token says."""
    tokenizer = character_tokenizer(texts, 256)
    draw = random.Random(5)
    pieces = [
        "很好",
        "ＡＢＣ",
        "①",
        "ﬁ",
        "é",
        "e\u0301",
        "❤️",
        "👨‍👩‍👧",
        " ",
        "\n",
        "的",
        "。",
        "15",
        "שלום",
        "ガ",
        "½",
        "\u200b",
        "İ",
    ]
    for _ in range(200):
        text = "".join(draw.choice(pieces) for _ in range(12))
        (encoded,) = tokenize(tokenizer, [text])
        last = 0
        for id_, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
            assert 0 <= start < end <= len(text)
            assert start >= last or text[start:end] in "①½ﬁ"  # one sign may be several letters
            last = start
            token = tokenizer.convert_ids_to_tokens(id_)
            if re.fullmatch(r"[\u4e00-\u9fff。]", token):
                assert text[start:end].strip("\u200b\ufe0f") == token


def test_chinese_is_read_and_other_languages_are_told_apart(demo: Demo, texts: list[str]) -> None:
    """The note on an unread script comes with English, French, Korean; not with simplified Chinese that training never saw."""
    tokenizer = character_tokenizer(texts, 256)
    _, seed = load_seed(demo)
    held = [e.input for e in (*seed.validation, *seed.test, *load_gold(demo, load_seed(demo)[0]))]
    noted = [text for text, encoded in zip(held, tokenize(tokenizer, held), strict=True) if notes_on(encoded)]
    assert len(noted) <= 0.02 * len(held), noted  # short ones with a new sign, and some in traditional characters
    foreign = [
        "The food was great and the staff were friendly.",
        "Great app, love it",
        "Ce restaurant est excellent",
        "맛있어요",
        "wow",
    ]
    assert all(notes_on(encoded) == (UNKNOWN_NOTE,) for encoded in tokenize(tokenizer, foreign))
    mixed = ["这家店的wifi不错", "app打不开，退款！"]
    assert not any(notes_on(encoded) for encoded in tokenize(tokenizer, mixed))


# -- the base


def test_a_base_is_a_directory_that_transformers_reads(texts: list[str], tmp_path: Path) -> None:
    """Built twice of the same texts it is the same, in any order of them; it is small, and Auto classes take it."""
    build(texts, tmp_path / "one", SMALL)
    build(texts[::-1] * 2, tmp_path / "two", SMALL)
    names = {file.name for file in (tmp_path / "one").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    network = AutoModel.from_pretrained(tmp_path / "one")
    out = network(**tokenizer([HELD_SURE, "好"], return_tensors="pt", padding=True)).last_hidden_state
    assert out.shape == (2, len(HELD_SURE) + 2, 64)
    task = network_type("text_classification")(["正面", "负面"])
    assert begin(task, str(tmp_path / "one"), 1).network.config.num_hidden_layers == 2  # one more, which averages


def test_masked_characters_are_learned(texts: list[str], tmp_path: Path) -> None:
    """Some epochs of masked-language-model training guess hidden characters better than the first steps did."""
    losses: list[float] = []
    build(texts[:300], tmp_path / "base", SMALL._replace(epochs=6), lambda _, __, loss: losses.append(loss or 0.0))
    assert sum(losses[-8:]) / 8 < sum(losses[:4]) / 4 - 0.5  # nats; it begins at about the vocabulary's logarithm


def test_what_is_hidden_is_what_is_asked_for() -> None:
    """Of 4,000 tokens about 15 in 100 are asked for, most of them masked; [CLS] and [SEP] never; what is not asked for stays."""
    row = [2, *range(10, 50), 3]
    draw = np.random.default_rng(3)
    asked = masked = 0
    for _ in range(100):
        shown, wanted = scratch._hidden(row, 1000, 0.0, draw)
        assert (shown[0], shown[-1], wanted[0], wanted[-1]) == (2, 3, -100, -100)
        assert all((w == -100 and s == r) or w == r for s, w, r in zip(shown, wanted, row, strict=True))
        asked += sum(w != -100 for w in wanted)
        masked += sum(s == 4 for s in shown)
    assert 520 <= asked <= 680  # binomial(4000, .15): mean 600, three standard deviations are 68
    assert 0.72 * asked <= masked <= 0.88 * asked


def test_too_few_texts_are_refused_in_words(tmp_path: Path) -> None:
    """A base of ten sentences would know nothing: said at the front door too, with the demo's name."""
    with pytest.raises(BadInput, match="at least 50"):
        build([f"第{n}句" for n in range(10)], tmp_path / "base")
    (tmp_path / "few.jsonl").write_text(
        "".join(json.dumps({"text": f"第{n}句话很好", "label": "ab"[n % 2]}) + "\n" for n in range(20)), encoding="utf-8"
    )
    (tmp_path / "few.toml").write_text(
        'name = "few"\ntask = "text_classification"\ntitle = "F"\nbase = "characters"\n[data]\ntrain = "few.jsonl"\n',
        encoding="utf-8",
    )
    with pytest.raises(BadDemo, match=r"few\.toml.*at least 50"):
        base_of(load_demo(tmp_path / "few.toml"))


def test_a_base_is_remembered_by_its_texts(demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for again it is not built again; other bases are found as before; a cache that cannot be written is told."""
    monkeypatch.setenv("AMEND_CACHE", str(tmp_path / "cache"))
    place = Path(base_of(demo, SMALL))
    stamp = (place / "model.safetensors").stat().st_mtime_ns
    assert base_of(demo, SMALL) == str(place)
    assert (place / "model.safetensors").stat().st_mtime_ns == stamp
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [place.name]
    assert base_of(demo.model_copy(update={"base": "org/name"})) == "org/name"
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("AMEND_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(BadDemo, match="AMEND_CACHE"):
        base_of(demo, SMALL)


def test_a_task_that_asks_for_a_base_as_it_is_cannot_have_it() -> None:
    """Answering and ranking look things up with a frozen base: random weights are refused in words, not taken for a hub's name."""
    with pytest.raises(BadDemo, match="knows nothing before it is trained"):
        base_directory("characters")


def test_its_embeddings_learn(demo: Demo) -> None:
    """Random embeddings know nothing and are not frozen; those of another base are, unless the TOML says otherwise."""
    job = Job(demo=str(ZH), out="x")
    assert settings_of(demo, job).freeze_embeddings is False
    assert settings_of(demo.model_copy(update={"base": "all-MiniLM-L6-v2"}), job).freeze_embeddings is True
    told = demo.training.model_copy(update={"freeze_embeddings": True})
    assert settings_of(demo.model_copy(update={"training": told}), job).freeze_embeddings is True


def test_its_licence_is_the_owners() -> None:
    """A base that was made here is not looked for on a hub, and a model card says that it is nobody else's."""
    licence = licence_of("characters")
    assert (licence.name, licence.model) == ("other", "")
    assert "nobody else's" in licence.words("characters")


def test_the_command_makes_a_base(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m model.scratch --texts FILE --out DIR`, from lines or JSON lines; it writes over nothing."""
    out = tmp_path / "base"
    words = [
        "--texts",
        str(ROOT / "demos" / "sentiment_zh.jsonl"),
        "--out",
        str(out),
        "--epochs",
        "0",
        "--hidden",
        "64",
        "--layers",
        "1",
    ]
    assert scratch.main(words) == 0
    assert AutoModel.from_pretrained(out).config.hidden_size == 64
    assert scratch.main(words) == 1
    assert "exists already" in capsys.readouterr().err
    assert scratch.main([*words[:3], str(tmp_path / "x"), "--hidden", "65"]) == 1
    assert "multiple of 64" in capsys.readouterr().err


# -- the data


def test_the_starter_set_is_balanced_and_varied(demo: Demo) -> None:
    """At least 900 sentences, a third of each label, short and long, with traditional characters, figures and emoji; none twice."""
    task, seed = load_seed(demo)
    every: list[Example] = [*seed.train, *seed.validation, *seed.test]
    assert len(every) >= 900
    assert seed.duplicates == 0
    counts = Counter(example.output["label"] for example in every)
    assert max(counts.values()) - min(counts.values()) <= 0.02 * len(every)
    assert set(counts) == set(task.labels)
    lengths = [len(example.input) for example in every]
    assert min(lengths) <= 3
    assert max(lengths) >= 50
    together = "".join(example.input for example in every)
    assert all(char in together for char in "這會賣😡👍")
    assert sum(char.isdigit() or char in "一二三四五六七八九十百千" for char in together) > 500


def test_gold_items_are_no_texts_of_the_starter_set(demo: Demo) -> None:
    """Forty of them, every label at least twelve times, none nearly in the starter set, twice, or an example of the page."""
    task, seed = load_seed(demo)
    known = [example.input for example in (*seed.train, *seed.validation, *seed.test)]
    items = load_gold(demo, task)
    counts = Counter(item.output["label"] for item in items)
    assert len(items) == 40
    assert set(counts) == set(task.labels)
    assert min(counts.values()) >= 12
    texts = [item.input for item in items]
    groups = duplicate_groups([*known, *texts])
    assert groups[len(known) :] == list(range(len(known), len(known) + len(texts)))
    assert not set(texts) & set(demo.examples)
    assert not set(known) & set(demo.examples)


# -- the whole loop


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo with 300 of its sentences and few epochs, served."""
    directory = tmp_path_factory.mktemp("chinese")
    lines = ZH.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()[:300]
    (directory / "sentiment_zh.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (directory / "sentiment_zh.gold.jsonl").write_bytes(ZH.with_suffix("").with_suffix(".gold.jsonl").read_bytes())
    text = re.sub(r"(?m)^epochs = .*$", "epochs = 2\nretrain_epochs = 1\nthreads = 1", ZH.read_text(encoding="utf-8"))
    text = re.sub(r"(?m)^(after_accepted|lane_after_accepted) = .*$", r"\1 = 0", text)
    (directory / "zh.toml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AMEND_CACHE", str(directory / "bases"))
        with served(directory / "zh.toml", directory / "home") as running:
            yield running


def _accepted(life: Served, wanted: int) -> None:
    """Wait until so many texts are accepted: the policy judges some moments after a correction is stored."""
    deadline = time.monotonic() + 60
    sql = "SELECT count(DISTINCT input::VARCHAR) AS n FROM current_corrections WHERE status = 'accepted'"
    while (found := rows(life, sql)[0]["n"]) < wanted:
        assert time.monotonic() < deadline, f"{found} of {wanted} are accepted"
        time.sleep(0.2)


def test_the_whole_loop_in_chinese(life: Served) -> None:
    """Asked, corrected by two who agree, accepted, retrained, gated: and each gate's line is in Chinese for who reads Chinese."""
    with life.staff() as staff, life.visitor() as ann, life.visitor() as bob:
        for number in range(12):
            text = f"第{number + 1}次来，{'味道很好' if number % 2 else '味道很差'}，{'满意' if number % 2 else '失望'}。"
            for person in (ann, bob):
                shown = said(person.post("/api/v1/predictions", json={"input": text}))
                assert shown["notes"] == []
                told = {"label": "正面" if number % 2 else "负面"}
                said(person.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": told}))
        assert said(ann.post("/api/v1/predictions", json={"input": "It was a lovely evening"}))["notes"] == [UNKNOWN_NOTE]
        _accepted(life, 12)
        run = ended(staff, said(staff.post("/api/v1/retrainings", json={}), 202)["id"])
        assert run["state"] in ("passed", "refused", "undecided"), run
        second = said(staff.get("/api/v1/versions"), 200)[1]
    assert second["base"] == "characters"
    checks = {check["name"]: check for check in second["gate"]["checks"]}
    assert {"old_domain", "feedback", "gold", "class:正面", "calibration"} <= checks.keys()
    assert all(check["key"].startswith("models.check.") for check in checks.values())


def test_the_pages_are_chinese(life: Served) -> None:
    """/zh/ is served in Chinese with the demo's own words, and a browser that asks for Chinese is sent there."""
    with life.visitor() as visitor:
        page: httpx.Response = visitor.get("/zh/", headers={"Accept-Language": "zh-CN"})
        assert page.status_code == 200
        parts = json.dumps(visitor.get("/zh/config").json(), ensure_ascii=False)
    assert life.house.demo.title["zh"] in parts
    assert "看起来正确" in parts
