"""What every form is read into and written from: one annotation by one annotator. It knows no form and no log."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from feedback.errors import AmendError, BadInput
from feedback.records import Json
from feedback.widgets import widget_named
from feedback.words import Say, told

MOST_ERRORS = 20
"""So many errors of a file are told; the rest is counted."""
COLUMNS = (
    "text",
    "label",
    "spans",
    "labels",
    "output",
    "annotator",
    "id",
    "gold",
    "status",
    "time",
    "comment",
    "question",
    "answer",
    "rating",
)
"""Our names for what a row may hold; `Reading.columns` says what a file calls them."""
_TRUE, _FALSE = ("true", "1", "yes"), ("", "false", "0", "no", "none")

Widget = str
"""The name of a widget: how a task's answers are shown and corrected."""
_OWN_COLUMNS = ("label", "spans", "labels")


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
    """How a file is to be read. `widget` is the task's."""

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


class ErrorLine(str):
    """An error of a file with its place, in English; said_line says it in another language, where the catalogue has it."""

    place: str
    error: AmendError | None

    def __new__(cls, place: str, error: AmendError | str) -> Self:
        """Make the English line of an error at a place."""
        detail = error if isinstance(error, str) else error.detail
        line = super().__new__(cls, f"{place}: {detail}" if place else detail)
        line.place, line.error = place, None if isinstance(error, str) else error
        return line


def said_line(line: str, say: Say) -> str:
    """Return an error's line in the language of `say`, where it is about the file.

    What a task says of a value stays as it is: it names the value, the rule and the choices, which the words for visitors leave out.
    """
    if not isinstance(line, ErrorLine) or line.error is None or not line.error.code.startswith("file_"):
        return line
    number = re.fullmatch(r"line (\d+)", line.place)
    place = say("imported.line", number=number[1]) if number else line.place
    return f"{place}: {told(line.error, say)}" if place else told(line.error, say)


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
            self._first.append(ErrorLine(place, error))

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
            raise BadInput(
                f"no column {missing[0]!r} for an annotator; columns are {', '.join(map(str, row))}",
                code="file_no_annotator",
                values={"column": missing[0], "known": ", ".join(map(str, row))},
            )
        said = [(name, row[name]) for name in how.annotators if row[name] not in ("", None)]
    else:
        value = _needed(row, how, widget_named(how.widget).column)
        said = [(str(_cell(row, how, "annotator")), value)]
    made = []
    for annotator, value in said:
        output = renamed(output_of(value, how.widget), how.rename, how.widget)
        if output is not None:
            made.append(Annotation(place, text, output, annotator, **common))
    return made


def output_of(value: Any, widget: Widget) -> Json:
    """Return a cell as the task's output. The task checks the rest."""
    kind = widget_named(widget)
    if isinstance(value, str) and kind.column != "label":
        value = parsed(value, kind.column)
    return kind.from_cell(value)


def renamed(output: Json, rename: Mapping[str, str], widget: Widget) -> Json | None:
    """Return an output in the demo's labels; None where nothing is left of it."""
    return widget_named(widget).renamed(output, rename) if rename else output


def answer_cells(output: Json) -> dict[str, Json]:
    """Return an output as columns: an output of one of the columns of its own, any other as JSON under `output`."""
    return dict(output) if len(output) == 1 and set(output) <= set(_OWN_COLUMNS) else {"output": output}


def parsed(text: str, what: str) -> Any:
    """Return JSON as a value. NaN, Infinity and nesting beyond reason are errors of their own."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise BadInput(f"{what} is JSON nested too deeply to be data", code="file_json_deep", values={"what": what}) from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise BadInput(
            f"{what} is not JSON: {line}character {error.colno}: {error.msg}",
            code="file_json_at",
            values={"what": what, "line": error.lineno, "column": error.colno},
        ) from error
    except ValueError as error:  # NaN, a number of thousands of digits
        raise BadInput(f"{what} is not JSON: {error}", code="file_json", values={"what": what}) from error


def truth(value: Any, what: str) -> bool:
    """Return a yes or no as files write it."""
    said = str("" if value is None else value).strip().lower()
    if said not in _TRUE + _FALSE:
        raise BadInput(
            f"{what} is {str(value)[:40]!r}: it must be one of {', '.join(_TRUE + _FALSE[1:])}, or empty",
            code="file_truth",
            values={"what": what, "value": str(value)[:40], "known": ", ".join(_TRUE + _FALSE[1:])},
        )
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
        raise BadInput(
            f"time is {str(value)[:40]!r}: it must be ISO 8601, or seconds since 1970",
            code="file_time",
            values={"value": str(value)[:40]},
        ) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _cell(row: Mapping[str, Any], how: Reading, name: str) -> Any:
    value = row.get(how.column(name), "")
    return "" if value is None else value


def _needed(row: Mapping[str, Any], how: Reading, name: str) -> Any:
    column = how.column(name)
    if column not in row:
        raise BadInput(
            f"no {column!r} (say what it is called: {name}=COLUMN); there are {', '.join(map(str, row)) or 'none'}",
            code="file_no_column",
            values={"column": column, "name": name, "known": ", ".join(map(str, row)) or "–"},
        )
    return row[column]
