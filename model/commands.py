"""`python -m model.versions` and `python -m model.retrain`: ask the running app, or do it here where no app runs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from feedback.client import RunningApp, command_parser, home_of, running_app
from feedback.demo import load_demo
from feedback.errors import AmendError, BadInput
from feedback.experiments import Experiments
from feedback.records import TrainingRun
from feedback.store import Store
from feedback.webhook import Webhook
from model.exports import FORMATS
from model.offering import Offering
from model.retrain import Retrainer
from model.rounds import Rounds
from model.versions import Versions, as_lines

_POLL_SECONDS = 1.0
_PASSED_ON = ("passed", "undecided", "refused")


def versions_main(argv: list[str] | None = None) -> int:
    """Run `python -m model.versions`; return the exit status."""
    parser = command_parser("model.versions", "List, add and export model versions.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help="every version with its scores and the gate's verdict")
    add = verbs.add_parser("add", help="gate and register a save_pretrained directory; it is offered like a retrained version")
    add.add_argument("directory", type=Path)
    export = verbs.add_parser("export", help="a plain directory that transformers (or ONNX Runtime) loads, with a model card")
    export.add_argument("number", type=int)
    export.add_argument("out", type=Path)
    export.add_argument("--format", choices=FORMATS, default=FORMATS[0])
    arguments = parser.parse_args(argv)
    return _told(lambda: _versions(arguments))


def retrain_main(argv: list[str] | None = None) -> int:
    """Run `python -m model.retrain`; return the exit status: 0 where a version came out, whatever the gate said."""
    arguments = command_parser("model.retrain", "Retrain on the feedback that is accepted now.").parse_args(argv)
    return _told(lambda: _round(arguments, "retrainings", {}, lambda retrainer: retrainer.start("command", "command")))


def _told(act: Callable[[], int]) -> int:
    try:
        return act()
    except AmendError as error:
        print(f"{error.title}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; a training that runs in the app goes on (the Models page can cancel it)", file=sys.stderr)
        return 130


def _versions(arguments: argparse.Namespace) -> int:
    versions = Versions(home_of(arguments.demo, arguments.home).directory)
    if arguments.verb == "list":
        print(as_lines(versions))
        return 0
    if arguments.verb == "export":
        beside = arguments.demo.resolve().parent
        print(
            versions.export(arguments.number, arguments.out, arguments.format, beside, lambda said: print(said, file=sys.stderr))
        )
        return 0
    directory = arguments.directory.resolve()
    if not directory.is_dir():
        raise BadInput(f"{directory} is not a directory: add takes what save_pretrained wrote")
    return _round(arguments, "versions", {"path": str(directory)}, lambda retrainer: retrainer.add(directory, "command"))


def _round(arguments: argparse.Namespace, route: str, body: Any, start: Callable[[Retrainer], TrainingRun]) -> int:
    """Start a run in the app or here, show its progress, and say how it ended."""
    app = running_app(home_of(arguments.demo, arguments.home))
    if app:
        with app:
            run = app.post(f"/api/v1/{route}", body)
            return _follow(lambda: _asked(app, run["id"]))
    with _here(arguments) as retrainer:
        started = start(retrainer)

        def look() -> dict[str, Any]:
            progress = retrainer.progress()
            row = next(row for row in retrainer.rounds.all(1000) if row["id"] == started.id)
            return {**row, "progress": progress._asdict() if progress else None}

        return _follow(look)


def _asked(app: RunningApp, run_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = app.get(f"/api/v1/retrainings/{run_id}")
    return answer


@contextmanager
def _here(arguments: argparse.Namespace) -> Iterator[Retrainer]:
    """Open log and versions without an app. A candidate that passes waits for the app to offer it."""
    demo, home = load_demo(arguments.demo), home_of(arguments.demo, arguments.home)
    with Store(home.directory) as store:
        versions = Versions(home.directory)
        if not versions.numbers():
            raise BadInput(f"{home.directory} has no version yet: start the app once (python app.py {arguments.demo})")
        rounds = Rounds(demo, home, store, Experiments(store), versions)
        retrainer = Retrainer(rounds, Offering(rounds, store), Webhook(demo.server.webhook, demo.name))
        try:
            yield retrainer
        finally:
            retrainer.close()


def _follow(look: Callable[[], dict[str, Any]]) -> int:
    with tqdm(total=1, unit="step", leave=False, disable=None) as bar:
        while (run := look())["state"] == "started":
            progress = run.get("progress") or {}
            if progress.get("total"):
                bar.total, bar.n = progress["total"], progress["done"]
                bar.set_description(progress["stage"])
            time.sleep(_POLL_SECONDS)
    print(
        f"{run['id']}: {run['state']}"
        + (f", version {run['version']}" if run["version"] else "")
        + (f"; {run['detail']}" if run["detail"] else "")
    )
    return 0 if run["state"] in _PASSED_ON else 1
