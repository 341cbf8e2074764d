"""Names and ids that look like paths: none of them reads or writes a file that it should not."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from feedback.errors import AmendError, BadInput
from feedback.staff import Staff
from model.exports import add_foreign
from tests.serving import Served

PATHS = [
    "../../../../etc/passwd", "/etc/passwd", "..", ".", "~/.ssh/id_rsa", "a/../../b", "..\\..\\x", "\0", "x\0.csv", "C:\\x", "%2e%2e%2f",
    "a" * 400,
]  # fmt: skip
IN_AN_ADDRESS = [
    ("GET", "/api/v1/exports/{}"), ("POST", "/api/v1/imports/{}"), ("GET", "/api/v1/exchange/exports/{}"), ("GET", "/api/v1/contributors/{}"),
    ("GET", "/api/v1/data/{}"), ("DELETE", "/api/v1/corrections/{}"), ("GET", "/api/v1/reviews/{}/answers"), ("GET", "/api/v1/reviews/{}/others"),
    ("GET", "/api/v1/experiments/{}/report"), ("GET", "/api/v1/experiments/{}/report/files"), ("GET", "/api/v1/experiments/{}/users"),
    ("GET", "/api/v1/experiments/{}/numbers"), ("POST", "/api/v1/experiments/{}"), ("GET", "/api/v1/retrainings/{}"),
    ("DELETE", "/api/v1/retrainings/{}"), ("POST", "/api/v1/alarms/{}/clear"),
]  # fmt: skip


def files_around(running: Served) -> set[Path]:
    """Return every file under the home and beside it, but for the log's own."""
    with running.visitor() as anybody:
        anybody.get("/healthz").raise_for_status()  # the first request of a day makes the day's salt
    around = running.house.home.directory.parent
    return {path for path in around.rglob("*") if path.is_file() and "log.duckdb" not in path.name}


@pytest.mark.parametrize(("method", "address"), IN_AN_ADDRESS)
def test_an_id_that_is_a_path_is_no_file(running: Served, method: str, address: str) -> None:
    """Staff who write a path for an id, a name or a table hear 4xx; no file's content comes back and none is made."""
    before = files_around(running)
    with running.staff() as staff:
        for path in PATHS:
            if not path.strip("."):  # a client takes these out of an address before it asks
                continue
            url = address.format(quote(path, safe=""))
            answer = staff.request(method, url, json=None if method == "GET" else {"rows": [], "action": "pause", "reason": "r"})
            assert 400 <= answer.status_code < 500 or answer.json() == [], (url, answer.status_code)
            assert "root:" not in answer.text
    assert files_around(running) == before


@pytest.mark.parametrize("path", PATHS)
def test_an_imported_files_name_is_a_word(running: Served, path: str) -> None:
    """Whatever a file is called, its name is stored as text or refused; nothing is written where it points."""
    before = files_around(running)
    row = '{"text": "the lamp is fine", "label": "praise"}'
    with running.staff() as staff:
        for body in (
            {"name": path, "content": row},
            {"name": "f", "source": path, "content": row},
            {"name": "f", "sha256": path},
        ):
            answer = staff.post("/api/v1/exchange/imports", json={"form": "jsonl", **body})
            assert answer.status_code in (201, 404, 409, 413, 422), answer.text
        part = staff.post("/api/v1/exchange/uploads", json={"sha256": path, "offset": 0, "data": "eA=="})
        assert part.status_code == 422
    assert files_around(running) == before


@pytest.mark.parametrize("path", [*PATHS, "<script>", "{{7*7}}"])
def test_an_experiment_is_not_named_by_a_path(running: Served, path: str) -> None:
    """Names of experiments are plain words: everything else is refused when it is declared."""
    arms = [
        {"name": "control", "version": 1, "share": 0.5},
        {"name": "other", "version": 1, "share": 0.5, "settings": {"temperature": 2.0}},
    ]
    with running.staff() as staff:
        answer = staff.post("/api/v1/experiments", json={"name": path, "variants": arms, "reason": "r"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("name", [*PATHS, "", "-x", ".x", "a b", "ä"])
def test_people_and_programs_have_plain_names(running: Served, name: str) -> None:
    """A name with a slash, a blank, a NUL or a dot at its beginning is refused, for passwords and tokens."""
    staff: Staff = running.house.staff
    with pytest.raises(BadInput, match="1 to 64"):
        staff.make_token(name)
    with pytest.raises(BadInput, match="1 to 64"):
        staff.set_password(name, "long enough a password")


@pytest.mark.parametrize("path", ["/etc", "/proc/self", "../..", "/etc/passwd", "/dev/zero", "x\0y"])
def test_a_folder_that_is_no_checkpoint_is_no_version(running: Served, tmp_path: Path, path: str) -> None:
    """A path of the machine that holds no model is refused in words, and nothing of it is copied."""
    with pytest.raises((AmendError, ValueError), match=r"config\.json|cannot be loaded|no such directory|null byte"):
        add_foreign(running.house.demo, path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_strangers_prefix_moves_nothing(running: Served) -> None:
    """X-Forwarded-Prefix is taken in the form of a path alone: never another host, a query or a step upwards."""
    for prefix in (
        "//evil.example",
        "/../..",
        "https://evil.example",
        "/x?y",
        "/x#y",
        "/x\\y",
        "/x/",
        "/" * 3,
        "/a b",
        "/%2e%2e",
    ):
        with httpx.Client(base_url=running.url) as client:
            answer = client.get("/studio/", headers={"x-forwarded-prefix": prefix, "accept": "text/html"})
            assert answer.headers.get("location", "/").startswith("/"), prefix
            assert not answer.headers.get("location", "/").startswith("//"), prefix
            for cookie in answer.headers.get_list("set-cookie"):
                assert "evil" not in cookie
