"""`python -m model.clean`: search the training set for wrong labels, ask the reviewers about them, show what is there twice.

The running app does it where one runs; otherwise it is done here.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import torch
from tqdm import tqdm

from feedback.client import RunningApp, command_parser, home_of, running_app
from feedback.demo import Demo, load_demo
from feedback.errors import AmendError, BadInput
from feedback.records import Json
from feedback.store import Store
from model.clean import Seen
from model.cleaner import clean, search_as_asked
from model.suspects import Examples, search

LIMIT = 50
MOST = 10_000
_POLL_SECONDS = 1.0
_SHOWN_GROUPS = 20


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit status: 0 where the search came to its end, whatever it found."""
    parser = command_parser("model.clean", __doc__)
    parser.add_argument(
        "--limit", type=int, default=LIMIT, help=f"suspects to lay before the reviewers at most (default {LIMIT})"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the suspects, store nothing")
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")
    parser.add_argument("--search", action="store_true", help=argparse.SUPPRESS)  # the app's own process: JSON in, JSON out
    arguments = parser.parse_args(argv)
    try:
        if arguments.search:
            print(search_as_asked(sys.stdin.read()))
            return 0
        if not 1 <= arguments.limit <= MOST:
            raise BadInput(f"--limit {arguments.limit}: it must lie in 1..{MOST}")
        result = _result(arguments)
        print(json.dumps(result, ensure_ascii=False, indent=1) if arguments.json else as_lines(result))
        return 0
    except (AmendError, OSError) as error:
        print(f"model.clean: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("model.clean: stopped; a cleaning that runs in the app goes on", file=sys.stderr)
        return 130


def _result(arguments: argparse.Namespace) -> dict[str, Any]:
    home = home_of(arguments.demo, arguments.home)
    app = running_app(home)
    if app:
        with app:
            return _asked(app, arguments)
    demo = load_demo(arguments.demo)
    with Store(home.directory) as store:
        return clean(demo, store, arguments.limit, arguments.dry_run, _watched)


def _asked(app: RunningApp, arguments: argparse.Namespace) -> dict[str, Any]:
    state = app.post("/api/v1/cleaning", {"limit": arguments.limit, "dry_run": arguments.dry_run})
    while state["state"] == "running":
        time.sleep(_POLL_SECONDS)
        state = app.get("/api/v1/cleaning")
    if state["state"] != "done":
        raise BadInput(f"the cleaning {state['state']}: {state['error']}")
    result: dict[str, Any] = state["result"]
    return result


def _watched(demo: Demo, parts: Examples) -> dict[str, list[Seen | None]]:
    if demo.training.threads:
        torch.set_num_threads(demo.training.threads)
    with tqdm(total=1, unit="example", leave=False, disable=None) as bar:

        def report(done: int, total: int) -> None:
            bar.total, bar.n = total, done
            bar.refresh()

        return search(demo, parts, report)


def as_lines(result: dict[str, Any]) -> str:
    """Return a result in words: the suspects, least probable label first, then what is there more than once."""
    rare = f" ({result['not_judged']} are too rare to be judged)" if result["not_judged"] else ""
    lines = [
        f"{result['judged']} examples judged by models that had not seen them{rare}; {result['contradicted']} labels are contradicted.",
        f"{result['suggested']} wait for the reviewers; {result['suggested_before']} had been suggested before.",
    ]
    for one in result["suspects"]:
        text = _short(one["input"]) if one["input"] else f"accepted correction {one['correction_id']}"
        where = one["part"] + ("" if one["trained_on"] else ", not trained on: correct it in its file")
        said = f"{_said(one['input'], one['output'])} -> {_said(one['input'], one['proposal'])}"
        lines.append(f"  {one['confidence']:.3f}  [{where}]  {text}\n         {said}")
    overlap = result["overlap"]
    lines.append(
        f"Texts that are there more than once: {overlap['exact']} letter for letter, {overlap['normalised']} up to case and white space, "
        f"{overlap['near']} nearly; {overlap['contradictions']} of them are answered differently."
    )
    lines.append(
        f"Between what teaches and what judges: {overlap['leaks_left_out']} kept apart, {overlap['leaks_learned']} nearly the same and "
        "learned from all the same."
    )
    for group in overlap["groups"][:_SHOWN_GROUPS]:
        notes = ", ".join(
            filter(None, [group["sameness"], group["leak"], "answered differently" if group["contradicts"] else ""])
        )
        copies = " | ".join(f"{m['part']}: {_short(m['input']) if m['input'] else m['correction_id']}" for m in group["members"])
        lines.append(f"  ({notes})  {copies}")
    if len(overlap["groups"]) > _SHOWN_GROUPS:
        lines.append(f"  ... {len(overlap['groups']) - _SHOWN_GROUPS} more with --json")
    return "\n".join(lines)


def _short(text: Json) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 90 else line[:87] + "..."


def _said(text: Json, output: Json) -> str:
    if "spans" not in output:
        return str(output["label"]) if "label" in output else json.dumps(output, ensure_ascii=False, sort_keys=True)
    marked = [
        f"{span['label']} {text[span['start'] : span['end']] if text else (span['start'], span['end'])!r}"
        for span in output["spans"]
    ]
    return "; ".join(marked) or "nothing"
