"""What docs/deploy.md hands out works: nginx's configuration in front of a real page, the Dockerfile's steps, the unit, the Space."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from feedback.demo import Demo
from feedback.identity import NetworkHash
from feedback.peers import Peers
from feedback.stopping import GRACE_SECONDS
from tests.browser.served_site import Site
from tests.conftest import ROOT
from tests.coroutines import finished

DEPLOY = ROOT / "deploy"
DOCUMENT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
PREFIX = "/tools/amend"


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for localhost; return certificate and key."""
    made, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", str(made), "-keyout", str(key)],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@contextmanager
def fronted(site: Site, directory: Path) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Run nginx with the documented file, changed in its addresses alone, before a site; yield its address and trust."""
    nginx = shutil.which("nginx")
    if nginx is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed (apt-get install nginx-light openssl)")
    made, key = certificate(directory)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    served = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for old, new in (
        ("server 127.0.0.1:7860;", f"server {site.url.removeprefix('http://')};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/demo.example.pem", str(made)),
        ("/etc/ssl/demo.example.key", str(key)),
    ):
        assert served.count(old) == 1, old
        served = served.replace(old, new)
    paths = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = directory / "nginx.conf"
    config.write_text(
        f"daemon off; pid {directory}/pid; error_log {directory}/error.log; worker_processes 1;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{served}\n}}\n",
        encoding="utf-8",
    )
    process = subprocess.Popen([nginx, "-p", str(directory), "-c", str(config)], stderr=subprocess.PIPE)
    trust = ssl.create_default_context(cafile=str(made))
    url = f"https://localhost:{port}"
    try:
        deadline = time.monotonic() + 20
        while not _listens(port):
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield url, trust
    finally:
        process.terminate()
        process.wait(20)
        if process.stderr:
            process.stderr.close()


def _listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page to put behind nginx, built inside a running loop: outside of one Gradio leaves a loop unclosed for each event."""
    directory = tmp_path_factory.mktemp("behind")

    async def built() -> Site:
        return Site("choice", directory)

    made = finished(built())
    yield made
    made.close()


@pytest.fixture(scope="module")
def front(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of nginx before it, which says of itself what it is not."""
    with fronted(site, tmp_path_factory.mktemp("nginx")) as (url, trust):
        lies = {"X-Forwarded-For": "8.8.8.8", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Host": "evil.example"}
        with httpx.Client(base_url=url, verify=trust, headers=lies, timeout=30) as client:
            yield client


def test_the_page_behind_nginx(front: httpx.Client) -> None:
    """Under the prefix, over https: the page calls itself by that address, its cookie is Secure and of that path."""
    page = front.get(f"{PREFIX}/", headers={"Accept-Language": "en"})
    assert page.status_code == 200
    assert "evil" not in page.text
    root = front.get(f"{PREFIX}/config").json()["root"]
    assert root == f"{str(front.base_url).rstrip('/')}{PREFIX}"
    cookie = page.headers["set-cookie"]
    assert f"Path={PREFIX};" in cookie
    assert "Secure" in cookie
    assert "strict-transport-security" in page.headers
    moved = front.get(PREFIX)
    assert (moved.status_code, moved.headers["location"]) == (301, f"{str(front.base_url).rstrip('/')}{PREFIX}/")


def test_who_asks_behind_nginx(front: httpx.Client, site: Site) -> None:
    """The address that nginx saw is hashed into the row, not the one that the visitor claims; the answer comes back whole."""
    components = front.get(f"{PREFIX}/config").json()["components"]
    (page,) = [one["id"] for one in components if one["props"].get("elem_id") == "try"]
    body = {"session_hash": "s", "component_id": page, "fn_name": "predict", "data": {"input": "Where is it?"}}
    answer = front.post(f"{PREFIX}/gradio_api/component_server/", json=body)
    assert answer.status_code == 200, answer.text
    assert "error" not in answer.json(), answer.text
    (row,) = site.rows("SELECT network FROM predictions")
    network = NetworkHash(site.home)
    assert row["network"] == network.of("127.0.0.1") != network.of("8.8.8.8")


def test_streams_pass_at_once(front: httpx.Client) -> None:
    """A heartbeat's first event arrives while the stream is open: nginx holds nothing back."""
    began = time.monotonic()
    with front.stream("GET", f"{PREFIX}/gradio_api/heartbeat/abcdef", timeout=30) as stream:
        assert b"ALIVE" in next(stream.iter_raw())
    assert time.monotonic() - began < 10


def test_what_nginx_keeps_out(front: httpx.Client, site: Site) -> None:
    """A body over eight times max_body_bytes, the metrics, and what is beside the prefix."""
    limit = 8 * site.demo.limits.max_body_bytes
    assert re.search(rf"client_max_body_size {limit // 2**20}m;", (DEPLOY / "nginx.conf").read_text(encoding="utf-8"))
    assert front.post(f"{PREFIX}/gradio_api/component_server/", content=b"x" * (limit + 1)).status_code == 413
    assert front.get(f"{PREFIX}/metrics").status_code == 404
    assert front.get("/elsewhere").status_code == 404


def test_the_dockerfile_copies_what_the_app_needs() -> None:
    """Every package and module that pyproject.toml names, less the benchmarks, is copied; .dockerignore lets exactly those in."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    needed = {name.split(".")[0] for name in project["packages"]} - {"benchmarks"}
    needed |= {f"{name}.py" for name in project["py-modules"]} | {"demos", "requirements.txt", "pyproject.toml"}
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.M) for name in line.split()}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    assert copied == let_in == needed
    assert all((ROOT / name).exists() for name in copied)
    assert "USER amend" in dockerfile
    assert not re.search(r"https?://(?!127\.0\.0\.1)", dockerfile)  # no index host is chosen for anybody
    entry = json.loads(re.findall(r"^ENTRYPOINT (.+)$", dockerfile, re.M)[0])
    demo = json.loads(re.findall(r"^CMD (.+)$", dockerfile, re.M)[0])
    told = subprocess.run([sys.executable, *entry[1:], *demo, "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "--log-format" in told.stdout
    assert (ROOT / demo[0]).exists()


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """systemd-analyze finds no fault in it, its paths put where they exist here."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    unit = (DEPLOY / "amend.service").read_text(encoding="utf-8")
    bound = re.search(r"TimeoutStopSec=(\d+)", unit)
    assert bound
    assert int(bound[1]) > 2 * GRACE_SECONDS
    file = tmp_path / "amend.service"
    unit = unit.replace("/opt/amend/.venv/bin/python", sys.executable).replace("/opt/amend", str(ROOT))
    file.write_text(unit.replace("User=amend", "User=www-data"), encoding="utf-8")
    done = subprocess.run([analyze, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "amend.service" in line]) == (0, []), done.stderr


def test_the_spaces_front_matter() -> None:
    """It is YAML, of a Docker Space, on the Dockerfile's port, and the TOML below it is one that the demos take."""
    text = (DEPLOY / "space" / "README.md").read_text(encoding="utf-8")
    head = dict(line.split(": ", 1) for line in text.split("---\n")[1].splitlines())
    assert (head["sdk"], head["app_port"]) == ("docker", "7860")
    (appended,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    for file in sorted((ROOT / "demos").glob("*.toml")):
        raw = tomllib.loads(file.read_text(encoding="utf-8") + "\n" + "\n".join(line.strip() for line in appended.splitlines()))
        demo = Demo.model_validate({**raw, "path": file})
        assert demo.server.embed
        assert "10.20.30.40" in Peers(demo.server.trusted_proxies)


def test_the_document_is_true() -> None:
    """Each command and file that docs/deploy.md names is there."""
    for name in re.findall(r"`((?:deploy|tests|docs)/[\w./-]+)`", DOCUMENT):
        assert (ROOT / name).exists(), name
    for module in sorted(set(re.findall(r"python -m ([a-z_.]+)", DOCUMENT))):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists(), module
    for block in re.findall(r"```toml\n(.*?)```", DOCUMENT, re.S):
        raw = {"name": "x", "task": "text_classification", "title": "X", "data": {"train": "x.csv"}, **tomllib.loads(block)}
        Demo.model_validate({**raw, "path": ROOT / "x.toml"})
