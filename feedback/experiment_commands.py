"""`python -m feedback.experiments`: the life of experiments from a shell. Asks the running app, or opens the log where none runs."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feedback.client import command_parser, home_of, running_app
from feedback.demo import load_demo
from feedback.errors import AmendError, BadInput, NotFound
from feedback.experiment_routes import ActionIn, DeclarationIn, as_json, declare, perform
from feedback.experiments import ACTIONS, Experiments
from feedback.home import Home
from feedback.records import Variant
from feedback.staff import OWNER
from feedback.store import Store


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        home = home_of(arguments.demo, arguments.home)
        method, path, body = _request(arguments)
        app = running_app(home)
        if app:
            with app:
                said = app.get(path) if method == "GET" else app.post(path, body)
        else:
            with Store(home.directory) as store:
                said = _Offline(store, home, arguments.demo).ask(method, path, body)
        for item in said if isinstance(said, list) else [said]:
            print(_line(item) if arguments.verb in ("list", "history") else json.dumps(item, indent=2, ensure_ascii=False))
    except (AmendError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("feedback.experiments", "Declare, start, ramp and end experiments.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="all experiments, oldest first")
    _named(verbs, "history", "every number of one: who changed what, and why")
    declare = verbs.add_parser("declare", help="declare an experiment from a TOML file, and start it")
    declare.add_argument("file", type=Path, help="name, [[variants]], and what shall differ from the demo's [experiment]")
    declare.add_argument("--wait", action="store_true", help="declare it only; 'start' starts it")
    for action in ACTIONS:
        _named(verbs, action, "pause: everybody gets the control" if action == "pause" else f"{action} an experiment")
    ramp = _named(verbs, "ramp", "let a part of the traffic in; nobody who is in changes variant")
    ramp.add_argument("coverage", type=float, help="0..1 of the traffic")
    reweigh = _named(verbs, "reweigh", "change the shares, e.g. champion=.8 v2=.2; the count begins anew")
    reweigh.add_argument("shares", nargs="+", type=_pair, metavar="VARIANT=SHARE")
    change = _named(verbs, "change", 'change parts, e.g. n_max=4000 or versions={"v2":3}; the design only before the start')
    change.add_argument("changes", nargs="+", type=_pair, metavar="PART=JSON")
    decide = _named(verbs, "decide", "end it with the variant that is kept")
    decide.add_argument("winner")
    decide.add_argument("--promote", action="store_true", help="its version becomes the champion")
    return parser


def _named(verbs: Any, verb: str, help_: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = verbs.add_parser(verb, help=help_)
    made.add_argument("name")
    if verb != "history":
        made.add_argument("--reason", default="", help="kept in the log")
    return made


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: NAME=VALUE is needed")
    try:
        return name, json.loads(value if not value.startswith(".") else f"0{value}")
    except ValueError:
        return name, value  # a bare word: correction_rate, horizon


def _request(arguments: argparse.Namespace) -> tuple[str, str, Any]:
    verb = arguments.verb
    if verb == "list":
        return "GET", "/api/v1/experiments", None
    if verb == "declare":
        return "POST", "/api/v1/experiments", {**_read(arguments.file), "start": not arguments.wait}
    path = f"/api/v1/experiments/{arguments.name}"
    if verb == "history":
        return "GET", f"{path}/numbers", None
    body: dict[str, Any] = {"action": verb, "reason": arguments.reason}
    if verb == "ramp":
        body |= {"action": "change", "changes": {"coverage": arguments.coverage}}
    elif verb == "reweigh":
        body["shares"] = dict(arguments.shares)
    elif verb == "change":
        body["changes"] = dict(arguments.changes)
    elif verb == "decide":
        body |= {"winner": arguments.winner, "promote": arguments.promote}
    return "POST", path, body


def _read(file: Path) -> dict[str, Any]:
    try:
        read = tomllib.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{file}: not a TOML file: {error}") from error
    missing = [name for name in ("name", "variants") if name not in read]
    if missing:
        raise BadInput(f"{file}: {missing[0]} is missing; a declaration has a name and [[variants]] with name, version and share")
    return read


class _Offline:
    """The same use cases on a log that no app holds. Versions are looked up on disk; the app tries them when it starts."""

    def __init__(self, store: Store, home: Home, demo: Path) -> None:
        self._experiments = Experiments(store)
        self._versions = home.directory / "versions"
        self._demo = demo
        self._experiments.before_serving(self._there)

    def ask(self, method: str, path: str, body: Any) -> Any:
        name = path.removeprefix("/api/v1/experiments").strip("/")
        if method == "GET":
            found = self._experiments.numbers(name.removesuffix("/numbers")) if name else self._experiments.all()
            return [as_json(experiment).model_dump(mode="json") for experiment in found]
        try:
            if name:
                what = ActionIn.model_validate(body).model_dump()
                return as_json(perform(self._experiments, name, what, OWNER)).model_dump(mode="json")
            given = DeclarationIn.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            raise BadInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        defaults = load_demo(self._demo).experiment.declared()
        values = given.model_dump(exclude={"start"}, exclude_none=True)
        return as_json(declare(self._experiments, defaults, values, OWNER, given.start)).model_dump(mode="json")

    def _there(self, variant: Variant) -> None:
        known = sorted(int(card.parent.name[1:]) for card in self._versions.glob("v[0-9]*/card.json"))
        if variant.version not in known:
            raise NotFound(f"no version {variant.version}; there are: {', '.join(map(str, known)) or 'none'}")


def _line(item: Mapping[str, Any]) -> str:
    arms = ", ".join(f"{v['name']}=v{v['version']} {v['share']:g}" for v in item["variants"])
    end = f", kept {item['winner']}" if item["winner"] else ""
    why = f" ({item['author']}: {item['reason']})" if item["reason"] else f" ({item['author']})"
    return f"{item['created']} {item['name']} number {item['number']}: {item['state']}{end}; {arms}; coverage {item['coverage']:g}{why}"
