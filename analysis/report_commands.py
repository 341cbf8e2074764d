"""`python -m analysis.report`: writes an experiment's report as files. Asks the running app, or opens the log where none runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import quote

from analysis.presentation.contents import sentences
from analysis.presentation.written import files
from analysis.reader import Reader
from analysis.routes import WORDS
from feedback.client import RunningApp, command_parser, home_of, running_app
from feedback.errors import AmendError, Conflict, NotFound
from feedback.experiments import Experiments
from feedback.home import Home, write_atomically
from feedback.store import Store
from feedback.words import LANGUAGES, Words


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        home = home_of(arguments.demo, arguments.home)
        app = running_app(home)
        if app:
            with app:
                verdict, made = _asked(app, arguments.name, arguments.language)
        else:
            verdict, made = _read(home, arguments.name, arguments.language)
            print("no app runs on this home: the log was read, and no replay on corrections was made", file=sys.stderr)
        _write(made, arguments.out, force=arguments.force)
        print(verdict)
        for name in made:
            print(arguments.out / name)
    except (AmendError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("analysis.report", "Write an experiment's report as HTML and Markdown, and print its verdict.")
    parser.add_argument("name", nargs="?", default=None, help="the experiment (default: the newest)")
    parser.add_argument("--out", type=Path, default=Path(), help="where the files go (default: here)")
    parser.add_argument("--language", choices=LANGUAGES, default="en")
    parser.add_argument("--force", action="store_true", help="write over files that are there")
    return parser


def _asked(app: RunningApp, name: str | None, language: str) -> tuple[str, dict[str, str]]:
    """Return the verdict in words and the files, made by the running app."""
    if name is None:
        name = _newest([str(experiment["name"]) for experiment in app.get("/api/v1/experiments")])
    path = f"/api/v1/experiments/{quote(name, safe='')}/report"
    verdict = app.get(path, language=language)["words"]["verdict"]
    return f"{name}: {verdict}", dict(app.get(f"{path}/files", language=language))


def _read(home: Home, name: str | None, language: str) -> tuple[str, dict[str, str]]:
    """Return the same from the log itself, which no app holds; without models there is no replay."""
    if not (home.directory / "log.duckdb").exists():  # opening a store would make one
        raise NotFound(f"there is no log in {home.directory}: start the app once, or name its --home")
    say = Words([WORDS]).speaker(language)
    with Store(home.directory) as store:
        experiments = Experiments(store)
        name = name or _newest([experiment.name for experiment in experiments.all()])
        reader = Reader(store.frame, experiments.get)
        report = reader.report(name)
        made = files(report, reader.design(name), say, language)
    return f"{name}: {sentences(report, say)['verdict']}", made


def _newest(names: list[str]) -> str:
    if not names:
        raise NotFound("no experiment has been declared yet: there is nothing to report")
    return names[-1]


def _write(made: dict[str, str], out: Path, *, force: bool) -> None:
    """Write all files or none of them."""
    there = [name for name in made if (out / name).exists()]
    if there and not force:
        raise Conflict(f"{out / there[0]} is there already: choose another --out, or write over it with --force")
    out.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        write_atomically(out / name, text)
