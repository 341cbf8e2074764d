"""`python -m feedback.store`: export, import, backup, backups, restore, check. Asks the running app, or opens the log where none runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from feedback.backups import back_up, listed
from feedback.client import RunningApp, command_parser, home_of, running_app
from feedback.errors import AmendError, BadInput, Conflict
from feedback.home import Home
from feedback.restoring import restore
from feedback.store import Store
from feedback.transfer import FORMS, check_log, export_table, import_rows, read_rows

_CHUNK_BYTES = 100_000  # stays under the smallest sensible limits.max_body_bytes


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        home = home_of(arguments.demo, arguments.home)
        if arguments.verb == "backups":
            return _list(home)
        if arguments.verb == "restore":
            return _restore(home, arguments.backup)
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
    parser = command_parser("feedback.store", "The log's raw tables in and out.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    export = verbs.add_parser("export", help="write a table or view to a file")
    export.add_argument("table")
    export.add_argument("out", type=Path)
    export.add_argument("--format", choices=FORMS, default=None, help="default: by the file's ending")
    import_ = verbs.add_parser("import", help="add exported rows; rows that are there already are counted, not stored twice")
    import_.add_argument("table")
    import_.add_argument("file", type=Path)
    import_.add_argument("--format", choices=FORMS, default=None, help="default: by the file's ending")
    verbs.add_parser("backup", help="a verified copy of the log into the home's backups, while the app runs or not")
    verbs.add_parser("backups", help="the backups of this home: time, size, rows, and when each was read through")
    put_back = verbs.add_parser("restore", help="put a backup in the log's place, while the app is stopped")
    put_back.add_argument("backup", type=Path)
    verbs.add_parser("check", help="look for rows that do not hang together")
    return parser


def _form(arguments: argparse.Namespace, path: Path) -> str:
    form = arguments.format or path.suffix.removeprefix(".")
    if form not in FORMS:
        raise BadInput(f"{path}: the ending {path.suffix!r} names no form; available are {', '.join(FORMS)} (--format)")
    return str(form)


def _ask(app: RunningApp, arguments: argparse.Namespace) -> int:
    if arguments.verb == "export":
        form = _form(arguments, arguments.out)
        return _write(arguments.out, app.content(f"/api/v1/exports/{arguments.table}", format=form))
    if arguments.verb == "import":
        rows = read_rows(arguments.file.read_bytes(), _form(arguments, arguments.file), str(arguments.file))
        stored = known = 0
        for chunk in _chunks(rows):
            said: dict[str, Any] = app.post(f"/api/v1/imports/{arguments.table}", {"rows": chunk})
            stored, known = stored + said["stored"], known + said["known"]
        print(f"{stored} rows stored, {known} were there already")
        return 0
    if arguments.verb == "backup":
        print(app.post("/api/v1/backups", {})["path"])
        return 0
    return _report(app.get("/api/v1/checks"))


def _chunks(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Cut rows into pieces that fit a request's body, moments as ISO text."""
    chunk: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        plain = {key: value.isoformat() if hasattr(value, "isoformat") else value for key, value in row.items()}
        size += len(json.dumps(plain))
        chunk.append(plain)
        if size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _do(store: Store, home: Home, arguments: argparse.Namespace) -> int:
    if arguments.verb == "export":
        return _write(arguments.out, export_table(store, arguments.table, _form(arguments, arguments.out)))
    if arguments.verb == "import":
        rows = read_rows(arguments.file.read_bytes(), _form(arguments, arguments.file), str(arguments.file))
        done = import_rows(store, arguments.table, rows)
        print(f"{done.stored} rows stored, {done.known} were there already")
        return 0
    if arguments.verb == "backup":
        print(back_up(store, home.backups, demo=arguments.demo if arguments.demo.is_file() else None))
        return 0
    return _report(check_log(store))


def _list(home: Home) -> int:
    for backup in listed(home.backups):
        told = f"verified {backup.verified:%Y-%m-%d %H:%M} UTC" if backup.verified else "never verified"
        rows = f"{sum(backup.rows.values()):,} rows" if backup.rows else "rows unknown"
        print(f"{backup.file}  made {backup.made:%Y-%m-%d %H:%M:%S} UTC  {backup.size:,} bytes  {rows}  {told}  {backup.kind}")
    for aside in sorted(home.backups.glob("log-aside-*.duckdb")):
        print(f"{aside}  put aside by a restore  {aside.stat().st_size:,} bytes")
    return 0


def _restore(home: Home, backup: Path) -> int:
    done = restore(home, backup)
    print(f"{backup} is the log of {home.directory} now: {sum(done.found.rows.values()):,} rows")
    if done.aside:
        print(f"the log of before is kept as {done.aside}")
    for name in done.missing:
        print(f"versions/{name} belongs to this backup and is not here: bring it into {home.directory / 'versions'} first")
    with Store(home.directory) as store:  # brings an older one up to date
        return max(_report(check_log(store)), bool(done.missing))


def _write(path: Path, content: bytes) -> int:
    if path.exists():
        raise Conflict(f"{path} exists already: an export never overwrites; choose another name")
    path.write_bytes(content)
    print(f"{path}: {len(content)} bytes")
    return 0


def _report(problems: list[str]) -> int:
    for problem in problems:
        print(problem)
    if not problems:
        print("the log hangs together")
    return 1 if problems else 0
