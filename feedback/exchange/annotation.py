"""What every form is read into and written from: one annotation by one annotator. It knows no form and no log."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from feedback.errors import AmendError, BadInput
from feedback.records import Json

MOST_ERRORS = 20
"""So many errors of a file are told; the rest is counted."""
COLUMNS = ("text", "label", "spans", "annotator", "id", "gold", "status", "time", "comment", "question", "answer", "rating")
"""Our names for what a row may hold; `Reading.columns` says what a file calls them."""
_TRUE, _FALSE = ("true", "1", "yes"), ("", "false", "0", "no", "none")

Widget = Literal["spans", "choice"]


class Annotation(NamedTuple):
    """What one annotator said of one input. `place` is where it stands, for messages ("line 7"); `output` is the task's."""

    place: str
    input: Json
    output: Json
    annotator: str = ""  # "" where the file names none
    id: str = ""  # the file's own; twice in one file is an error
    gold: bool = False  # an item of known truth: it becomes a trap
    status: str = ""  # where the annotation stood in the log that it came from
    time: datetime | None = None  # naive UTC; puts an annotator's opinions in order
    comment: str = ""


@dataclass(frozen=True)
class Reading:
    """How a file is to be read. `widget` is the task's: its answers are spans in a text, or one label a text."""

    widget: Widget
    columns: Mapping[str, str] = field(default_factory=dict)  # our name -> the file's
    annotators: tuple[str, ...] = ()  # columns that hold one annotator's answers each
    gold: bool = False  # every row is of known truth
    least_rating: float | None = None  # question-answer logs: rows rated lower are left out
    rename: Mapping[str, str] = field(default_factory=dict)  # a file's label -> ours; "" drops it

    def column(self, name: str) -> str:
        """Return what the file calls this column."""
        return self.columns.get(name, name)


class Read(NamedTuple):
    """What a file held: its annotations, and how many of what were left out ("relations" -> 3)."""

    annotations: list[Annotation]
    ignored: dict[str, int]


class BadFile(BadInput):
    """A file with errors: `lines` are the first of them, each with its place, `count` is how many there are.

    `found` are the annotations that broke no rule of the form: for a preview; nothing of the file is stored.
    """

    def __init__(self, detail: str, lines: tuple[str, ...], count: int, found: tuple[Annotation, ...]) -> None:
        super().__init__(detail)
        self.lines = lines
        self.count = count
        self.found = found


class Problems:
    """The errors of one file, in order. Nothing of a file with errors is stored."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._first: list[str] = []
        self.count = 0
        self.found: list[Annotation] = []  # what broke no rule

    def add(self, place: str, error: AmendError | str) -> None:
        """Note an error at a place of the file."""
        self.count += 1
        if len(self._first) < MOST_ERRORS:
            detail = error if isinstance(error, str) else error.detail
            self._first.append(f"{place}: {detail}" if place else detail)

    def lines(self) -> tuple[str, ...]:
        """Return the first errors, each with its place."""
        return tuple(self._first)

    def refuse(self) -> None:
        """Raise BadFile with the first errors, where there are any."""
        if self.count:
            rest = self.count - len(self._first)
            more = [f"and {rest} more"] if rest else []
            said = "\n".join([*self._first, *more])
            detail = f"{self._file}: {self.count} error{'s' * (self.count > 1)}, nothing of the file was stored\n{said}"
            raise BadFile(detail, self.lines(), self.count, tuple(self.found))


def one_by_one(
    rows: Sequence[tuple[str, Any]], make: Callable[[str, Any], list[Annotation]], file: str
) -> tuple[list[Annotation], Problems]:
    """Return make(place, row) of every row, and the errors of those that broke a rule."""
    problems = Problems(file)
    found = problems.found
    for place, row in rows:
        try:
            found += make(place, row)
        except BadInput as error:
            problems.add(place, error)
    return found, problems


def row_annotations(place: str, row: Mapping[str, Any], how: Reading) -> list[Annotation]:
    """Return the annotations in one row of a table or one JSON object. Raises BadInput naming the column.

    Long tables have one annotation a row and an `annotator` column; wide ones have a column an annotator
    (`how.annotators`), empty where that annotator did not answer.
    """
    text = _needed(row, how, "text")
    common: dict[str, Any] = {
        "id": str(_cell(row, how, "id")),
        "gold": how.gold or truth(_cell(row, how, "gold"), how.column("gold")),
        "status": str(_cell(row, how, "status")),
        "time": moment(_cell(row, how, "time")),
        "comment": str(_cell(row, how, "comment")),
    }
    if how.annotators:
        missing = [name for name in how.annotators if name not in row]
        if missing:
            raise BadInput(f"no column {missing[0]!r} for an annotator; columns are {', '.join(map(str, row))}")
        said = [(name, row[name]) for name in how.annotators if row[name] not in ("", None)]
    else:
        value = _needed(row, how, "spans" if how.widget == "spans" else "label")
        said = [(str(_cell(row, how, "annotator")), value)]
    made = []
    for annotator, value in said:
        output = renamed(output_of(value, how.widget), how.rename)
        if output is not None:
            made.append(Annotation(place, text, output, annotator, **common))
    return made


def output_of(value: Any, widget: Widget) -> Json:
    """Return a cell as the task's output: a label, or spans as a list or its JSON text. The task checks the rest."""
    if widget == "choice":
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise BadInput(f"label is {str(value)[:80]!r}: it must be a text")
        return {"label": str(value)}
    if isinstance(value, str):
        value = parsed(value, "spans")
    if not isinstance(value, list) or not all(isinstance(span, dict) for span in value):
        raise BadInput(f"spans is {str(value)[:80]!r}: it must be a list of objects with start, end and label")
    return {"spans": value}


def renamed(output: Json, rename: Mapping[str, str]) -> Json | None:
    """Return an output in the demo's labels; a span renamed to "" goes, and for a label so renamed the result is None."""
    if not rename:
        return output
    if "label" in output:
        label = rename.get(output["label"], output["label"])
        return {"label": label} if label else None
    spans = [{**s, "label": rename.get(s["label"], s["label"]) if isinstance(s.get("label"), str) else s.get("label")}
             for s in output["spans"]]  # fmt: skip
    return {"spans": [span for span in spans if span["label"] != ""]}


def parsed(text: str, what: str) -> Any:
    """Return JSON as a value. NaN, Infinity and nesting beyond reason are errors of their own."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise BadInput(f"{what} is JSON nested too deeply to be data") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise BadInput(f"{what} is not JSON: {line}character {error.colno}: {error.msg}") from error
    except ValueError as error:  # NaN, a number of thousands of digits
        raise BadInput(f"{what} is not JSON: {error}") from error


def truth(value: Any, what: str) -> bool:
    """Return a yes or no as files write it."""
    said = str("" if value is None else value).strip().lower()
    if said not in _TRUE + _FALSE:
        raise BadInput(f"{what} is {str(value)[:40]!r}: it must be one of {', '.join(_TRUE + _FALSE[1:])}, or empty")
    return said in _TRUE


def moment(value: Any) -> datetime | None:
    """Return a time (ISO 8601, or seconds since 1970) in naive UTC; None for an empty cell."""
    if value in ("", None):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = None
    except OverflowError:  # a whole number that no float can hold
        number = math.inf
    try:
        when = datetime.fromisoformat(str(value)) if number is None else datetime.fromtimestamp(number, UTC)
        return (when.astimezone(UTC) if when.tzinfo else when).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        raise BadInput(f"time is {str(value)[:40]!r}: it must be ISO 8601, or seconds since 1970") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _cell(row: Mapping[str, Any], how: Reading, name: str) -> Any:
    value = row.get(how.column(name), "")
    return "" if value is None else value


def _needed(row: Mapping[str, Any], how: Reading, name: str) -> Any:
    column = how.column(name)
    if column not in row:
        raise BadInput(f"no {column!r} (say what it is called: {name}=COLUMN); there are {', '.join(map(str, row)) or 'none'}")
    return row[column]
