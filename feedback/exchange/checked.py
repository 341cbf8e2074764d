"""A file's annotations against the rules of the page and of the file as a whole. It stores nothing and asks no model for an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from feedback.desk import check_text
from feedback.errors import AmendError, BadInput, TooLarge
from feedback.exchange.annotation import Annotation, Problems
from feedback.exchange.contributor_ids import annotator_name
from feedback.records import Json, input_hash, keyed_id, text_of


class Rules(Protocol):
    """The task's rules, with the demo's screen before them (masking.py)."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Return input and output in canonical form; raise BadInput where a rule is broken."""


class Checked(NamedTuple):
    """One annotation as it would be stored; `given` is what the file says, its comment screened."""

    contributor: str
    input: Json
    output: Json
    hash: str
    given: Annotation
    correction_id: str
    prediction_id: str


class Checks(NamedTuple):
    """A file's annotations, checked. What broke a rule is in `problems`, what broke none in `problems.found`, as it would be stored."""

    gold: dict[str, Checked]  # items of known truth by their input's hash
    said: list[Checked]  # in the order in which they were made
    problems: Problems


def check_all(annotations: Sequence[Annotation], source: str, space: str, check: Callable[[Annotation, str], Checked]) -> Checks:
    """Check every annotation, by itself and against the others: an id stands once, and a text has one known truth."""
    problems = Problems(source)
    gold: dict[str, Checked] = {}
    said: list[Checked] = []
    ids: dict[str, str] = {}
    for given in annotations:
        try:
            item = check(given, space)
            if given.id and ids.setdefault(given.id, given.place) != given.place:
                raise BadInput(
                    f"id {given.id[:80]!r} stands at {ids[given.id]} already: each annotation has an id of its own",
                    code="file_id_twice",
                    values={"id": given.id[:80], "place": ids[given.id]},
                )
            if given.gold and gold.setdefault(item.hash, item).output != item.output:
                raise BadInput(
                    f"this input's known truth is another at {gold[item.hash].given.place}",
                    code="file_two_truths",
                    values={"place": gold[item.hash].given.place},
                )
            if not given.gold:
                said.append(item)
            problems.found.append(item.given._replace(input=item.input, output=item.output))
        except AmendError as error:
            problems.add(given.place, error)
    return Checks(gold, sorted(said, key=lambda item: item.given.time or datetime.min), problems)


def check_one(given: Annotation, space: str, *, model: Rules, screen: Callable[[str], str], max_comment: int) -> Checked:
    """Return an annotation as it would be stored; raise BadInput or TooLarge for what the page would refuse too."""
    for name in ("annotator", "id", "comment"):
        check_text(name, getattr(given, name))
    if len(given.comment) > max_comment:
        raise TooLarge(
            f"the comment has {len(given.comment)} characters; at most {max_comment} are kept",
            code="comment_too_long",
            values={"count": len(given.comment), "limit": max_comment},
        )
    seen, _ = model.check(given.input)  # alone first, as it comes in on the page: there it may be masked or refused
    input_, output = model.check(seen, given.output)
    if output is None:
        raise BadInput("no output: an annotation says what the answer should be", code="file_no_output")
    given = given._replace(comment=screen(given.comment))
    for name, value in (("input", input_), ("output", output)):  # not every task looks
        check_text(name, text_of(value))
    who = space + annotator_name(given.annotator)
    prediction = keyed_id("p", "exchange", who, json_text(input_), json_text(output))
    return Checked(who, input_, output, input_hash(input_), given, keyed_id("c", prediction), prediction)


def json_text(value: Json) -> str:
    """Return a value as the log holds it (store.py writes JSON this way)."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
