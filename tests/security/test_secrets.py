"""Nothing here reads a pickle or runs a text; no secret and no visitor's text gets into a log line; secrets' files are the owner's alone."""

from __future__ import annotations

import ast
import json
import logging
import os
import pickle
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from feedback.errors import BadDemo
from model.base import DEFAULT_BASE, base_directory, load_model
from model.tasks.text_classification import TextClassification
from tests.conftest import ROOT
from tests.serving import Served

ROOMS = ("feedback", "model", "analysis", "benchmarks", "docs", "deploy")
SOURCES = sorted({ROOT / "app.py", *(path for room in ROOMS for path in ROOT.glob(f"{room}/**/*.py"))})
MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle", "tarfile", "imp"}
"""They run what they read, or (tarfile) write where an archive says."""
NAMES = {"eval", "exec", "compile", "__import__", "input"}
ATTRIBUTES = {
    ("torch", "load"), ("torch", "save"), ("yaml", "load"), ("yaml", "unsafe_load"), ("os", "system"), ("os", "popen"), ("pd", "read_pickle"),
    ("np", "load"), ("np", "save"), ("tempfile", "mktemp"), ("ssl", "_create_unverified_context"),
}  # fmt: skip
METHODS = {"to_pickle", "extractall", "unpack_archive", "set_trace"}


def offences(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, what) of everything that reads a pickle, runs a text, a shell or an archive's paths."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from ((line, name) for name in modules if name.split(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in NAMES:
            yield line, called.id
        if isinstance(called, ast.Attribute):
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            if (owner, called.attr) in ATTRIBUTES or called.attr in METHODS:
                yield line, f"{owner}.{called.attr}"
            if called.attr == "from_pretrained" and not is_safe(called, node):
                yield line, "from_pretrained without SAFE"
        for keyword in node.keywords:
            on = isinstance(keyword.value, ast.Constant) and keyword.value.value
            if keyword.arg in ("shell", "allow_pickle", "trust_remote_code") and on:
                yield line, f"{keyword.arg}={on!r}"
            if keyword.arg == "verify" and isinstance(keyword.value, ast.Constant) and not on:
                yield line, "verify=False"


def is_safe(called: ast.Attribute, node: ast.Call) -> bool:
    """Return whether a checkpoint's part is read as text or safetensors, and never as code."""
    if any(isinstance(k.value, ast.Name) and k.value.id == "SAFE" for k in node.keywords if k.arg is None):
        return True
    given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
    no_weights = isinstance(called.value, ast.Name) and called.value.id in ("AutoConfig", "AutoTokenizer")
    return no_weights and given.get("trust_remote_code") is False


def test_no_source_reads_a_pickle_or_runs_a_text() -> None:
    """Not one of our files imports, calls or asks for what runs its input."""
    assert len(SOURCES) > 150, "the search looks at hardly any file"
    found = {str(path.relative_to(ROOT)): list(offences(ast.parse(path.read_text(encoding="utf-8")))) for path in SOURCES}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from joblib import load", "eval('1')", "torch.load(x)", "np.load(x)", "yaml.load(x)", "run(x, shell=True)",
        "read(x, allow_pickle=True)", "AutoModel.from_pretrained(x)", "AutoConfig.from_pretrained(x, trust_remote_code=True)",
        "archive.extractall()", "httpx.get(x, verify=False)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    """Each of these would be found."""
    assert list(offences(ast.parse(text)))


class Evil:
    """A pickle that makes a directory when it is read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Return what unpickling runs."""
        return os.mkdir, (str(self.directory),)


def checkpoint(directory: Path) -> Path:
    """Write a tiny classifier as save_pretrained does."""
    tokenizer = AutoTokenizer.from_pretrained(base_directory(DEFAULT_BASE))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        id2label={0: "a", 1: "b"},
    )
    BertForSequenceClassification(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.mark.parametrize("kind", ["a pickle that runs", "torch's own pickle"])
def test_a_pickled_checkpoint_is_refused_in_words_and_not_read(tmp_path: Path, kind: str) -> None:
    """With pytorch_model.bin alone nothing is loaded: neither a hostile one nor an honest one."""
    directory = checkpoint(tmp_path / "model")
    assert load_model(TextClassification(("a", "b"), 100), str(directory)).network is not None
    (directory / "model.safetensors").unlink()
    weights = directory / "pytorch_model.bin"
    if kind == "torch's own pickle":
        torch.save({"classifier.weight": torch.zeros(2, 8)}, weights)
    else:
        weights.write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(BadDemo, match=r"pytorch_model\.bin is pickled.*safetensors"):
        load_model(TextClassification(("a", "b"), 100), str(directory))
    assert not (tmp_path / "ran").exists()


def test_a_checkpoints_own_code_is_not_run(tmp_path: Path) -> None:
    """A config that names classes of its own in a file beside it is refused, without a question at the terminal."""
    directory = checkpoint(tmp_path / "model")
    (directory / "evil.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\nclass C: ...\n")
    config = json.loads((directory / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.C"}}
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadDemo, match="cannot be loaded"):
        load_model(TextClassification(("a", "b"), 100), str(directory))
    assert not (tmp_path / "ran").exists()


def test_versions_on_disk_hold_safetensors_and_text(running: Served) -> None:
    """What the app itself trained is weights as safetensors, and JSON and text beside them."""
    files = [path for path in (running.house.home.directory / "versions").rglob("*") if path.is_file()]
    assert any(path.suffix == ".safetensors" for path in files)
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".csv", ".txt", ".md", ".model", ".jinja"}
    for path in files:
        assert not path.read_bytes()[:2].startswith((b"\x80\x02", b"\x80\x04", b"PK")), path


# -- log lines

TEXT, COMMENT, BROKEN = "my secret asthma 7731", "please call 555-7732", "half a json 7733"
WRONG = ("wrong-password-7734", "wrong-token-7735", "forged-cookie-7736", "typed-into-the-name-7737", "query-secret-7738")


def a_little_life(running: Served, password: str) -> list[str]:
    """Do what visitors, a guesser and staff do; return every secret that was on its way."""
    with running.visitor() as visitor, running.visitor() as guesser, running.visitor() as owner, running.staff() as robot:
        made = visitor.post("/api/v1/predictions?lang=en&x=query-secret-7738", json={"input": TEXT}).json()
        visitor.post("/api/v1/corrections", json={"prediction_id": made["id"], "output": {"label": "praise"}, "comment": COMMENT})
        visitor.post("/api/v1/predictions", content='{"input": "' + BROKEN, headers={"content-type": "application/json"})
        visitor.post("/api/v1/corrections", json={"prediction_id": TEXT, "output": {"label": TEXT}})
        call = {"data": {"input": TEXT}, "component_id": component_of(visitor), "session_hash": "x", "fn_name": "predict"}
        assert visitor.post("/gradio_api/component_server", json=call).json()["text"] == TEXT
        event = visitor.post("/gradio_api/call/predict", json={"data": [TEXT]}).json()["event_id"]
        assert TEXT not in visitor.get(f"/gradio_api/call/predict/{event}").text
        guesser.post("/studio/login", data={"name": "owner", "password": WRONG[0]})
        guesser.post("/studio/login", data={"name": WRONG[3], "password": "x"})
        guesser.get("/api/v1/reviews/queue", headers={"authorization": f"Bearer {WRONG[1]}"})
        guesser.get("/studio/config", headers={"cookie": f"amend_small_studio={WRONG[2]}"})
        assert owner.post("/studio/login", data={"name": "owner", "password": password}).status_code in (200, 303)
        cookies = [
            str(cookie.value)
            for client in (visitor, owner)
            for cookie in client.cookies.jar
            if cookie.name.startswith("amend_small")
        ]
        queue = robot.get("/api/v1/reviews/queue").json()
        assert any(item["input"] == TEXT for item in queue)
        robot.post("/api/v1/reviews", json={"correction_id": queue[0]["id"], "verdict": "reject", "reason": COMMENT})
        rows = f'{{"text": "{TEXT}", "label": "no such label 7739"}}'
        robot.post("/api/v1/exchange/imports", json={"name": "f.jsonl", "form": "jsonl", "content": rows})
        owner.post("/studio/logout")
        visitor.request("DELETE", "/api/v1/me", json={"confirm": "erase"})
    assert len(cookies) >= 3
    return [TEXT, COMMENT, BROKEN, *WRONG, "no such label 7739", password, running.token, *cookies]


def component_of(client: httpx.Client) -> int:
    """Return the number of the page's one component of ours."""
    (found,) = [one["id"] for one in client.get("/config").json()["components"] if one["props"].get("elem_id") == "try"]
    return int(found)


def test_no_secret_and_no_text_gets_into_a_line(
    running: Served, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Everything that any library logs at DEBUG, and all that is printed: no password, token, cookie, and no word of a visitor."""
    password = "a very long password 7740"
    running.house.staff.set_password("owner", password)
    with caplog.at_level(logging.DEBUG):
        secrets = a_little_life(running, password)
    of_the_app = [
        record for record in caplog.records if record.name.split(".")[0] not in ("httpx", "httpcore")
    ]  # the test's own client
    assert len(of_the_app) > 15, "hardly anything was logged: this would prove nothing"
    lines = [f"{record.name} {record.getMessage()} {record.exc_info} {vars(record)}" for record in of_the_app]
    printed = "".join(capfd.readouterr())
    for secret in secrets:
        assert [line[:300] for line in lines if secret in line] == []
        assert secret not in printed


def test_files_of_secrets_are_the_owners_alone(running: Served) -> None:
    """Directory 700, files 600, whichever of them a life has made."""
    secrets = running.house.home.secrets
    running.house.staff.sessions.end(running.house.staff.sessions.begin("owner"))
    running.house.staff.sessions.end_all("owner")
    running.house.staff.owner_token()
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in secrets.rglob("*")}
    assert {"identity.key", "session.key", "passwords.json", "tokens.json", "owner.token", "ended-logins.json"} <= set(modes)
    assert set(modes.values()) == {0o600}
