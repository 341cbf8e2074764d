"""How a command on this machine asks the running app: its address and the owner's token, both kept in the home directory."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import httpx

from feedback.errors import AmendError
from feedback.home import Home
from feedback.staff import Staff


class Refused(AmendError):
    """The running app answered with an error; the detail is its own."""

    status = 400


class RunningApp:
    """A running app, asked as the owner. Use as a context manager."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=600)

    def __enter__(self) -> RunningApp:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **params: Any) -> Any:
        """GET a JSON answer; raise Refused with the app's words."""
        return self._asked("GET", path, params=params).json()

    def content(self, path: str, **params: Any) -> bytes:
        """GET a file; raise Refused with the app's words."""
        return self._asked("GET", path, params=params).content

    def post(self, path: str, body: Any) -> Any:
        """POST JSON; raise Refused with the app's words."""
        return self._asked("POST", path, json=body).json()

    def _asked(self, method: str, path: str, **what: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **what)
        except httpx.HTTPError as error:
            raise Refused(
                f"the running app at {self.url} did not answer {method} {path}: {error or type(error).__name__}"
            ) from error
        if response.is_error:
            try:
                detail = str(response.json().get("detail", response.text))
            except ValueError:
                detail = response.text
            raise Refused(f"the running app at {self.url} answered {response.status_code}: {detail}")
        return response


def running_app(home: Home) -> RunningApp | None:
    """Return the app that runs on this home, or None where none answers."""
    try:
        url = str(json.loads(home.running_file.read_text(encoding="utf-8"))["url"])
        answer = httpx.get(f"{url}/healthz", timeout=5).raise_for_status().json()
        if answer["home"] != home.identity:  # another app took the port since ours ended: it must not get our token
            return None
    except (OSError, ValueError, KeyError, TypeError, httpx.HTTPError):
        return None
    return RunningApp(url, Staff(home).owner_token())


def command_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of `python -m MODULE` with what names the log it works on: --demo and --home, for `home_of`."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--demo", type=Path, default=Path("demos/disease.toml"))
    parser.add_argument("--home", type=Path, default=None, help="the demo's home directory (default: var/NAME)")
    return parser


def home_of(demo: Path, home: Path | None) -> Home:
    """Return the home that belongs to a demo's TOML: the one given, or var/NAME."""
    return Home(home or Path("var") / demo.stem)
