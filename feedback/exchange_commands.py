"""`python -m feedback.exchange`: import, export, channels. Asks the running app; export and channels also open a log that no app holds."""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from feedback.client import RunningApp, command_parser, home_of, running_app
from feedback.errors import AmendError, Conflict
from feedback.exchange import datasets_library
from feedback.exchange.annotation import Reading, Widget
from feedback.exchange.forms import FORMS, form_of, read_file, write_file
from feedback.exchange.jsonl import object_of
from feedback.exchange.outgoing import SETS, annotations_of, channel_counts
from feedback.store import Store
from feedback.widgets import WIDGETS

_PART_BYTES = 60_000  # in base64 it stays under the smallest sensible limits.max_body_bytes
_LIBRARY = "datasets"


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        home = home_of(arguments.demo, arguments.home)
        app = running_app(home)
        if app:
            with app:
                return _ask(app, arguments)
        if arguments.verb == "import":
            raise Conflict(
                f"no app runs on {home.directory}: an import goes through the checks of the demo's task and model, so start the app "
                f"first (python app.py {arguments.demo}) and import then"
            )
        with Store(home.directory) as store:
            if arguments.verb == "channels":
                return _table([counts._asdict() for counts in channel_counts(store)])
            found = annotations_of(store, arguments.which, arguments.channel)
            return _write(arguments, lambda form: write_file(found, form))
    except (AmendError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("feedback.exchange", "Annotated data in and out.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    forms = (*FORMS, _LIBRARY)
    into = verbs.add_parser("import", help="each annotator becomes a contributor; the same file again stores only what is new")
    into.add_argument("file", type=Path, help=f"a file, or a directory of the datasets library (--form {_LIBRARY})")
    into.add_argument("--form", choices=forms, default=None, help="default: by the file's ending")
    into.add_argument(
        "--source", default="", help="where it comes from (default: the file's name): its annotators are told apart by it"
    )
    into.add_argument("--channel", default="import")
    into.add_argument("--column", type=_column, action="append", default=[], metavar="OURS=THEIRS", help="e.g. text=sentence")
    into.add_argument("--annotators", default="", metavar="A,B,C", help="columns that hold one annotator's answers each")
    into.add_argument("--gold", action="store_true", help="every row is of known truth: they become traps")
    into.add_argument("--accepted", action="store_true", help="rows whose status is accepted are accepted on your word")
    into.add_argument("--least-rating", type=float, default=None, help="question-answer logs: leave lower-rated rows out")
    out = verbs.add_parser("export", help="what people said, as a file that others read")
    out.add_argument("out", type=Path)
    out.add_argument("--form", choices=forms, default=None, help="default: by the file's ending")
    out.add_argument("--which", choices=SETS, default="accepted")
    out.add_argument("--channel", default=None, help="of this partner's channel alone")
    verbs.add_parser("channels", help="visitors, predictions, corrections, accepted and rejected by channel")
    return parser


def _column(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals or not theirs:
        raise argparse.ArgumentTypeError(f"{text!r}: OURS=THEIRS is needed, e.g. text=sentence")
    return ours, theirs


def _ask(app: RunningApp, arguments: argparse.Namespace) -> int:
    if arguments.verb == "channels":
        return _table(app.get("/api/v1/channels"))
    if arguments.verb == "export":
        wanted = {"which": arguments.which} | ({} if arguments.channel is None else {"channel": arguments.channel})
        return _write(arguments, lambda form: app.content(f"/api/v1/exchange/exports/{form}", **wanted))
    library = arguments.form == _LIBRARY
    raw = datasets_library.to_jsonl(arguments.file) if library else arguments.file.read_bytes()
    digest = sha256(raw).hexdigest()
    for offset in range(0, len(raw), _PART_BYTES):
        part = base64.b64encode(raw[offset : offset + _PART_BYTES]).decode()
        app.post("/api/v1/exchange/uploads", {"sha256": digest, "offset": offset, "data": part})
    body: dict[str, Any] = {
        "name": arguments.file.name,
        "form": "jsonl" if library else form_of(arguments.file, arguments.form),
        "sha256": digest,
        "source": arguments.source,
        "channel": arguments.channel,
        "columns": dict(arguments.column),
        "annotators": [name for name in arguments.annotators.split(",") if name],
        "gold": arguments.gold,
        "accepted": arguments.accepted,
        "least_rating": arguments.least_rating,
    }
    done = app.post("/api/v1/exchange/imports", body)
    print(
        f"{done['stored']} annotations of {done['annotators']} annotators stored, {done['known']} were there already, "
        f"{done['repeated']} repeated; {done['traps']} traps made, {done['known_traps']} were there already; "
        f"{done['accepted']} accepted on your word"
    )
    for what, count in done["ignored"].items():
        print(f"left out: {what}: {count}")
    return 0


def _write(arguments: argparse.Namespace, content: Callable[[str], bytes]) -> int:
    out: Path = arguments.out
    if out.exists():
        raise Conflict(f"{out} exists already: an export never overwrites; choose another name")
    if arguments.form == _LIBRARY:
        raw = content("jsonl")
        annotations = read_file(raw, out.name, "jsonl", Reading(_kind(raw))).annotations if raw else []
        datasets_library.write(annotations, out)
        print(f"{out}: {len(annotations)} rows")
        return 0
    raw = content(form_of(out, arguments.form))
    out.write_bytes(raw)
    print(f"{out}: {len(raw)} bytes")
    return 0


def _kind(raw: bytes) -> Widget:
    """Return the kind of answers that an export of ours holds: all of one demo are of one kind."""
    first = object_of(raw.decode().split("\n", 1)[0])
    return next((kind.name for kind in WIDGETS.values() if kind.column in first), "choice")


def _table(rows: list[dict[str, Any]]) -> int:
    names = ("channel", "visitors", "predictions", "corrections", "accepted", "rejected")
    print("\t".join(names))
    for row in rows:
        print("\t".join(str(row[name]) if row[name] != "" else "(none)" for name in names))
    return 0
