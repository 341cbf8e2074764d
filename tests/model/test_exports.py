"""What leaves the home: plain directories and ONNX files that answer as the version does, and a model card that names nobody."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

from feedback.demo import Demo
from feedback.errors import BadInput, NotFound
from model import exports, onnx_export
from model.answering import open_network
from model.base import DEFAULT_BASE, Model, base_directory, load_model
from model.card import Card, read_card
from model.commands import versions_main
from model.job import Job
from model.licence import licence_of, named
from model.making import run_job
from model.network_task import network_task
from model.onnx_export import ONNX_FILE, TOLERANCE, ExportDiffers, OnnxNetwork, verified
from model.progress import Progress
from model.scripts import scripts
from model.versions import Versions
from tests.model.test_training import _feedback

QUIET = Progress(None)
TEXTS = ["a", "buy one apple", "number 3: the saw cuts a plum, and the drill meets a lemon"]
VISITOR, WORDS, REVIEWER = "u_contributor7", "my secret ailment is known to nobody", "person:Alice"


def _trained(demo: Demo, home: Path, *methods: str) -> Versions:
    """A home with a version of each method."""
    versions = Versions(home)
    for number, method in enumerate(methods, 1):
        job = Job(demo=str(demo.path), out=str(home / "made"), method=method, number=number)
        quick = demo.model_copy(update={"training": demo.training.model_copy(update={"epochs": 1})})
        run_job(job, quick, QUIET)
        versions.adopt(home / "made")
    return versions


@pytest.fixture
def texts_home(text_demo: Demo, tmp_path: Path) -> Versions:
    """A home with one text version: an averaging layer on top."""
    return _trained(text_demo, tmp_path / "home", "full")


def _front(directory: Path) -> tuple[dict[str, Any], str]:
    """The model card's metadata, read by a YAML library, and its text."""
    whole = (directory / "MODEL_CARD.md").read_text(encoding="utf-8")
    _, front, body = whole.split("---\n", 2)
    return yaml.safe_load(front), body


# -- plain directories ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_plain_transformers_answers_as_serving_does(span_demo: Demo, tmp_path: Path, method: str) -> None:
    """Auto classes alone load an export, adapters merged, and give the version's logits; the card says how it was made."""
    if method == "lora":
        pytest.importorskip("peft", reason="the extra 'adapters' is not installed")
    out = _trained(span_demo, tmp_path / "home", method).export(1, tmp_path / "out")
    network = AutoModelForTokenClassification.from_pretrained(out).eval()
    tokenizer = AutoTokenizer.from_pretrained(out)
    with torch.no_grad():
        plain = [network(**tokenizer(text, return_tensors="pt")).logits[0, 1:-1].numpy() for text in TEXTS]
    _, ours = open_network(tmp_path / "home" / "versions" / "v0001", dtype=torch.float32).logits(TEXTS)
    for a, b in zip(plain, ours, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert f"Method: {method}." in (out / "MODEL_CARD.md").read_text()


def test_only_the_checkpoint_goes_along(texts_home: Versions, tmp_path: Path) -> None:
    """card.json, notes and curves of a version directory stay at home; a version in two weight files goes along whole."""
    home = texts_home.path(1)
    (home / "curves").mkdir()
    (home / "notes.txt").write_text(WORDS)
    weights = load_file(home / "model.safetensors")
    whole = AutoModelForSequenceClassification.from_pretrained(home)
    whole.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    (home / "model.safetensors").unlink()
    for file in (tmp_path / "parts").glob("model*"):
        shutil.copy(file, home)
    out = texts_home.export(1, tmp_path / "out")
    assert not {"card.json", "notes.txt", "curves"} & {file.name for file in out.iterdir()}
    assert len(list(out.glob("*.safetensors"))) > 1
    loaded = AutoModelForSequenceClassification.from_pretrained(out).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


def test_an_unknown_version_is_not_found(texts_home: Versions, tmp_path: Path) -> None:
    """A number that is not there is said with those that are, and nothing is made."""
    with pytest.raises(NotFound, match="no model version 7; there are: 1"):
        texts_home.export(7, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# -- the model card ------------------------------------------------------------------------------------------------------


def _retrained(demo: Demo, versions: Versions, home: Path) -> None:
    """Version 2: retrained from 1 on 60 corrections of three contributors, gated; its card holds names and a visitor's text."""
    snapshot = _feedback(home / "snapshots", demo)
    parent = str(versions.path(1))
    job = Job(demo=str(demo.path), out=str(home / "made"), method="full", kind="retrain", number=2, parent=parent, parent_version=1,
              champion=parent, champion_version=1, snapshot=str(snapshot), trigger=REVIEWER)  # fmt: skip
    card = run_job(job, demo, QUIET)
    worse = [{"input": WORDS, "truth": {}, "before": {}, "after": {}}]
    gate = {**(card.gate or {}), "worse": worse, "contributors": {VISITOR: {"champion": 0.5}}}
    replace(card, gate=gate, erased=("e_1",), passed_over=5).write(home / "made")
    versions.adopt(home / "made")


def test_the_card_tells_all_but_who_said_what(text_demo: Demo, texts_home: Versions, tmp_path: Path) -> None:
    """Data, gate, sealed score, method, lineage, erasures, limits and licence are there; no contributor, no text, no path."""
    _retrained(text_demo, texts_home, tmp_path / "home")
    out = texts_home.export(2, tmp_path / "out")
    front, body = _front(out)
    card = texts_home.card(2)
    taught = card.training["examples"] - card.training["from_seed"]
    manifest = json.loads(next((tmp_path / "home" / "snapshots").glob("*/manifest.json")).read_text())
    assert manifest["contributors"] == 3
    for claim in (
        f"{card.training['examples']} examples: {card.training['from_seed']} of the seed data, {taught} accepted corrections.",
        f"`{card.snapshot}`, sha256 `{card.snapshot_sha256}`",
        f"60 accepted corrections by 3 contributors, none of whom is named here: {manifest['train']} to learn from and {manifest['gate']}",
        f"Verdict **{card.verdict}**, against version 1",
        *(f"- {line}" for line in card.gate_words()),
        "`validation`", "`test`", "sealed: it chose nothing",
        f"with a = {card.interpolation:g}", "learning_rate = ", "epochs = 2",
        "- version 2: retrain, full, 60 accepted corrections; gate: ", "- version 1: seed, full; gate: first",
        "Version 2 learned from feedback that was erased since (1 erasures)", "did not start from version 5",
        "up to 2000 characters", "Latin (English)",
    ):  # fmt: skip
        assert claim in body
    assert front["pipeline_tag"] == "text-classification"
    said = "".join((out / name).read_text() for name in ("MODEL_CARD.md", "config.json", "tokenizer_config.json"))
    for secret in (VISITOR, WORDS, REVIEWER, "Alice", str(tmp_path), "about the quince", "about the mallet"):
        assert secret not in said
    assert not re.search(r"\bu[012]\b", body)


def test_a_card_of_a_first_version_says_so(texts_home: Versions, tmp_path: Path) -> None:
    """Without gate, snapshot or parent the sections say that there was none; the metadata are what the hub's own library reads."""
    out = texts_home.export(1, tmp_path / "out")
    front, body = _front(out)
    read = ModelCard.load(out / "MODEL_CARD.md").data
    assert (read.library_name, read.pipeline_tag, read.license) == ("transformers", "text-classification", "unknown")
    assert front["tags"] == ["amend", "text-classification"]
    assert "No gate judged it: it was there before any champion." in body
    assert "of the seed data, 0 accepted corrections." in body
    assert "unknown: look it up" in body


def test_a_snapshot_that_is_gone_or_was_erased_from_is_said(text_demo: Demo, texts_home: Versions, tmp_path: Path) -> None:
    """What an erasure took out of a snapshot is counted as what was learned from; where the snapshot is gone, nothing is claimed."""
    _retrained(text_demo, texts_home, tmp_path / "home")
    (manifest,) = (tmp_path / "home" / "snapshots").glob("*/manifest.json")
    told = {**json.loads(manifest.read_text()), "rows": 55, "erased": 5, "contributors": 2}
    manifest.write_text(json.dumps(told))
    _, body = _front(texts_home.export(2, tmp_path / "one"))
    assert "It held 60 accepted corrections (5 of them erased since) by 2 contributors that are left" in body
    shutil.rmtree(manifest.parent)
    _, body = _front(texts_home.export(2, tmp_path / "two"))
    assert "no longer here, so how many corrections it held is not known" in body
    assert "- version 2: retrain, full; gate: " in body


def test_old_and_added_cards_are_told_as_far_as_they_go(texts_home: Versions, tmp_path: Path) -> None:
    """A version that was added from elsewhere, with names of its own and no training, claims nothing that it does not know."""
    version = texts_home.path(1)
    card = Card(1, "text_classification", ("fruit", "tool"), base="bert", method="foreign", kind="added", max_chars=90,
                source=str(tmp_path / "alices-models" / "net"), rename={"LABEL_0": "fruit", "LABEL_1": ""}, fallback_label="tool")  # fmt: skip
    card.write(version)
    _, body = _front(texts_home.export(1, tmp_path / "out"))
    assert "made elsewhere and added from `net`" in body
    assert "alices-models" not in body
    assert 'own names mean: {"LABEL_0": "fruit", "LABEL_1": "(ignored)"}' in body
    assert "Nothing is known here of what it learned from" in body
    assert "answered `tool` by the demo" in body
    replace(read_card(version), kind="retrain", parent=None, training={"examples": 7}, rename={}).write(version)
    _, body = _front(texts_home.export(1, tmp_path / "again"))
    assert "retrained from the base" in body
    assert "7 examples, seed data and corrections." in body


# -- licences ------------------------------------------------------------------------------------------------------------


def test_the_packaged_bases_licence_is_its_own() -> None:
    """What is said of the packaged base is what the model card in its package says."""
    theirs = ModelCard.load(Path(base_directory(DEFAULT_BASE)) / "README.md").data
    ours = licence_of(DEFAULT_BASE)
    assert (theirs.license, theirs.language) == (ours.name, ours.languages[0])


@pytest.mark.parametrize(
    ("files", "name", "languages"),
    [
        ({"README.md": "---\nlicense: mit\nlanguage:\n- de\n- fr\n---\n# A"}, "mit", ("de", "fr")),
        ({"MODEL_CARD.md": "---\nlicense: cc-by-4.0\n---\n# A"}, "cc-by-4.0", ()),
        ({"README.md": "# no metadata", "LICENSE": "  Apache License\n Version 2.0, January 2004\n"}, "apache-2.0", ()),
        ({"README.md": "---\nlicense: [broken\n---\n", "LICENSE.txt": "MIT License\n\nCopyright"}, "mit", ()),
        ({"README.md": "---\n- a list\n---\n", "LICENSE": "All rights reserved."}, "unknown", ()),
        ({}, "unknown", ()),
    ],
)
def test_a_directorys_licence_is_read_from_its_files(
    files: dict[str, str], name: str, languages: tuple[str, ...], tmp_path: Path
) -> None:
    """Metadata of a model card go first, then a licence's text that is recognised; anything else is unknown, with the reason."""
    (tmp_path / "base").mkdir()
    for file, text in files.items():
        (tmp_path / "base" / file).write_text(text)
    found = licence_of("base", tmp_path)
    assert (found.name, found.languages) == (name, languages)
    assert found == licence_of(str(tmp_path / "base"))._replace(source=found.source)
    assert ("unknown: look it up" in found.words("base")) == (name == "unknown")


def test_a_name_that_is_nowhere_is_unknown(tmp_path: Path) -> None:
    """A hub name that is not cached, and what cannot be a name: unknown, and a path is told by its last part only."""
    assert licence_of("nobody/nothing").words("x").startswith("Licence of the base `x`: unknown: look it up")
    assert licence_of("nobody/nothing").model == "nobody/nothing"
    assert "/home" not in licence_of("/home/alice/my base").source
    assert (named("/home/alice/net"), named("../net"), named("a/b")) == ("net", "net", "a/b")


def test_a_cached_hub_models_licence_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hub name whose model card lies in the cache, the card is asked; no network is."""
    (tmp_path / "README.md").write_text("---\nlicense: bsd-3-clause\nlanguage: ja\n---\n")
    monkeypatch.setattr("model.licence.try_to_load_from_cache", lambda repo, file: str(tmp_path / file))
    found = licence_of("some/base")
    assert found[:1] + found[2:] == ("bsd-3-clause", ("ja",), "some/base")


def test_scripts_are_told_apart(tokenizer: Any) -> None:
    """The packaged tokenizer has pieces for English and too few for Chinese."""
    fine, _, lost = scripts(tokenizer)
    assert "Latin (English)" in fine
    assert "Chinese" in lost


# -- ONNX ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("task", ["text", "span"])
def test_an_onnx_export_answers_as_the_version(task: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """ONNX Runtime and a tokenizer alone give the version's logits, for any batch and length; figure and file are on the card."""
    runtime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    demo: Demo = request.getfixturevalue(f"{task}_demo")
    versions = _trained(demo, tmp_path / "home", "full")
    told: list[str] = []
    out = versions.export(1, tmp_path / "out", "onnx", tell=told.append)
    assert {file.name for file in out.iterdir()} == {
        ONNX_FILE,
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "MODEL_CARD.md",
    }
    front, body = _front(out)
    assert (front["library_name"], "onnx" in front["tags"]) == ("onnx", True)
    assert told[0] in body
    figure = re.search(r"differ by at most (\S+) \(allowed: 1e-03\)", body)
    assert figure
    assert float(figure[1]) <= TOLERANCE
    session = runtime.InferenceSession(out / ONNX_FILE)
    assert [place.shape for place in session.get_inputs()] == [["batch", "tokens"]] * 2
    tokenizer = AutoTokenizer.from_pretrained(out)
    _, ours = open_network(versions.path(1), dtype=torch.float32).logits(TEXTS)
    given = tokenizer(TEXTS, padding=True, return_tensors="np")
    (logits,) = session.run(["logits"], {name: given[name] for name in ("input_ids", "attention_mask")})
    for row, own in zip(logits, ours, strict=True):
        np.testing.assert_allclose(row if row.ndim == 1 else row[1 : len(own) + 1], own, atol=1e-4)


@pytest.mark.slow
def test_weights_beside_the_file_when_they_are_large(
    texts_home: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the size that one file can hold, weights lie in a second file, and it is verified just so."""
    runtime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    monkeypatch.setattr(onnx_export, "_SINGLE_FILE_BYTES", 1000)
    out = texts_home.export(1, tmp_path / "out", "onnx")
    assert (out / f"{ONNX_FILE}.data").stat().st_size > (out / ONNX_FILE).stat().st_size
    assert runtime.InferenceSession(out / ONNX_FILE).get_outputs()[0].shape == ["batch", 2]


class _Off(torch.nn.Module):
    """A network whose logits are off by a little, or that forgets the mask."""

    def __init__(self, network: Any, by: float, mask: bool = True) -> None:
        super().__init__()
        self.network, self.by, self.mask, self.config = network, by, mask, network.config

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        """Return the network's logits, changed."""
        seen = attention_mask if self.mask else torch.ones_like(attention_mask)
        return SimpleNamespace(logits=self.network(input_ids=input_ids, attention_mask=seen).logits + self.by)


def test_what_differs_is_refused_with_the_figure(texts_home: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits off by ten times the tolerance, not-numbers, a forgotten mask and other answers are refused; a rounding error is not."""
    task = network_task(texts_home.card(1).bound_task(), "this")
    ours = load_model(task, str(texts_home.path(1)))

    def judged(by: float, mask: bool = True) -> float:
        return verified(task, ours, Model(_Off(ours.network, by, mask), ours.tokenizer), {}).difference

    assert judged(TOLERANCE / 10) == pytest.approx(TOLERANCE / 10, rel=0.1)
    with pytest.raises(ExportDiffers, match=r"differ from torch's by 0\.01, allowed is 0\.001: nothing was written"):
        judged(10 * TOLERANCE)
    with pytest.raises(ExportDiffers, match="by nan"):
        judged(float("nan"))
    with pytest.raises(ExportDiffers, match="differ from torch's"):
        judged(0.0, mask=False)
    said = iter([[{"label": "fruit"}] * 20, [{"label": "tool"}] * 20])
    monkeypatch.setattr(onnx_export, "_answers", lambda _, texts: next(said)[: len(texts)])
    with pytest.raises(ExportDiffers, match=r"with {'label': 'tool'}, torch with {'label': 'fruit'}, though"):
        judged(0.0)


@pytest.mark.slow
def test_a_failed_verification_leaves_nothing(
    texts_home: Versions, text_demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says the figure, ends with status 1, and neither the directory nor a half of it is there."""
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    exact = OnnxNetwork.forward
    monkeypatch.setattr(
        OnnxNetwork,
        "forward",
        lambda self, *a, **given: SimpleNamespace(logits=exact(self, *a, **given).logits + 0.5),
    )
    before = set(tmp_path.iterdir())
    place = ["--demo", str(text_demo.path), "--home", str(tmp_path / "home")]
    assert versions_main([*place, "export", "1", str(tmp_path / "out"), "--format", "onnx"]) == 1
    assert "Export refused: the ONNX file's logits differ from torch's by 0.5" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before


def test_without_the_extra_one_sentence_says_what_to_install(
    texts_home: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No onnxruntime: the library and the pip command are named, and nothing is left behind."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BadInput, match=r"onnxruntime is not installed here: pip install 'amend\[onnx\]'"):
        texts_home.export(1, tmp_path / "out", "onnx")
    assert not list(tmp_path.glob("*out*"))


def test_a_network_that_torch_cannot_export_is_said(
    texts_home: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch's exporter raises becomes words, and nothing is left behind."""
    pytest.importorskip("onnxscript", reason="the extra 'onnx' is not installed")

    def stubborn(*_: Any, **__: Any) -> None:
        raise torch.onnx.OnnxExporterError("cannot trace this\nand much more")

    monkeypatch.setattr(torch.onnx, "export", stubborn)
    with pytest.raises(BadInput, match=r"torch cannot write BertForSequenceClassification as ONNX: cannot trace this$"):
        texts_home.export(1, tmp_path / "out", "onnx")
    assert not list(tmp_path.glob("*out*"))


def test_pinned_extras_are_what_is_tested() -> None:
    """The extra's pins in pyproject.toml are those of requirements-dev.txt."""
    root = Path(exports.__file__).parents[1]
    extra = re.search(r"^onnx = \[(.*?)\]", (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert extra
    assert set(re.findall(r'"([^"]+)"', extra[1])) <= set((root / "requirements-dev.txt").read_text().split())
