"""`python -m feedback.privacy`: a contributor's data, their erasure, the erasures so far. Asks the running app where one runs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from feedback.acceptance import Agreement, apply_policy
from feedback.client import RunningApp, command_parser, home_of, running_app
from feedback.demo import load_demo
from feedback.erasing import Eraser, NoCards, count_of
from feedback.errors import AmendError, BadInput, Conflict, NotFound
from feedback.home import Home
from feedback.own_data import as_json, as_zip, own_data
from feedback.store import Store

AUTHOR = "command"


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        home = home_of(arguments.demo, arguments.home)
        if arguments.verb == "erase" and arguments.confirm != arguments.contributor:
            raise BadInput("an erasure cannot be undone: repeat the contributor's id with --confirm ID")
        app = running_app(home)
        if app:
            with app:
                return _ask(app, arguments)
        with Store(home.directory) as store:
            return _do(store, home, arguments)
    except (AmendError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("feedback.privacy", __doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    data = verbs.add_parser("data", help="write everything of one contributor to a .json or .zip file")
    data.add_argument("contributor")
    data.add_argument("out", type=Path)
    erase = verbs.add_parser("erase", help="erase a contributor from log, snapshots and backups, for good")
    erase.add_argument("contributor")
    erase.add_argument("--confirm", default="", metavar="ID", help="the same id again")
    verbs.add_parser("list", help="the erasures so far, one JSON object a line")
    return parser


def _ask(app: RunningApp, arguments: argparse.Namespace) -> int:
    if arguments.verb == "data":
        form = _form(arguments.out)
        return _write(arguments.out, app.content(f"/api/v1/data/{quote(arguments.contributor)}", format=form))
    if arguments.verb == "erase":
        return _tell(app.post("/api/v1/erasures", {"contributor": arguments.contributor, "confirm": arguments.confirm}))
    return _list(app.get("/api/v1/erasures"))


def _do(store: Store, home: Home, arguments: argparse.Namespace) -> int:
    if arguments.verb == "data":
        form = _form(arguments.out)
        if not any(count_of(store, arguments.contributor).values()):
            raise NotFound(f"nothing in the log is of contributor {arguments.contributor[:60]!r}")
        data = own_data(store, arguments.contributor, staff=True)
        return _write(arguments.out, as_zip(data) if form == "zip" else as_json(data))
    policy = Agreement(load_demo(arguments.demo).acceptance.agree)
    eraser = Eraser(home, store, NoCards(), lambda hash_, input_: apply_policy(store, policy, hash_, input_))
    if arguments.verb == "erase":
        done = eraser.erase(arguments.contributor, AUTHOR)._asdict()
        print("the cards of the versions are looked after at the app's next start", file=sys.stderr)
        return _tell(done)
    return _list([{**row, "created": row["created"].isoformat()} for row in eraser.all()])


def _form(out: Path) -> str:
    if out.suffix not in (".json", ".zip"):
        raise BadInput(f"{out}: the ending {out.suffix!r} names no form; available are .json, .zip")
    return out.suffix.removeprefix(".")


def _write(out: Path, content: bytes) -> int:
    if out.exists():
        raise Conflict(f"{out} exists already: choose another name")
    out.write_bytes(content)
    print(f"{out}: {len(content)} bytes")
    return 0


def _tell(done: dict[str, Any]) -> int:
    print(json.dumps(done))
    return 1 if done["left"] else 0


def _list(rows: list[dict[str, Any]]) -> int:
    for row in rows:
        print(json.dumps(row))
    return 0
