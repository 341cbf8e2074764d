"""Annotations of a file into the log: each annotator a contributor, each annotation a prediction and its correction, or a trap.

It reads no form and judges nothing: the task checks every value as it does for the page, and the acceptance policy has the last word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from feedback.desk import Model, answered, check_text
from feedback.errors import AmendError, BadInput, Conflict, TooLarge
from feedback.exchange.annotation import Annotation, Problems
from feedback.exchange.contributor_ids import PREFIX, annotator_name, namespace
from feedback.experiments import Experiments
from feedback.records import (
    CHAMPION,
    Correction,
    Json,
    Prediction,
    Record,
    Review,
    Trap,
    Variant,
    Visitor,
    input_hash,
    keyed_id,
    now,
    text_of,
)
from feedback.store import Store

CHANNEL = "import"
MOST_ANNOTATIONS = 100_000
_ASKERS = 8  # threads that ask the model: it answers in batches, and its queue takes far more

Judge = Callable[[Sequence[tuple[str, str]]], object]
"""Applies the acceptance policy to inputs, given as (hash, JSON text as the log holds it); judging twice changes nothing.

It is called once an import, with all inputs that may have changed, so that a policy can judge them together. Where traps
came in alone there are none: a policy that learns from traps looks at them itself.
"""


class Taken(NamedTuple):
    """What an import did with a file's annotations. `repeated` are the same words of one annotator on one input again."""

    stored: int
    known: int  # stored by an earlier import of this file
    repeated: int
    traps: int
    known_traps: int
    accepted: int  # on the word of the member of staff who imported
    annotators: int


class _Checked(NamedTuple):
    contributor: str
    input: Json
    output: Json
    hash: str
    given: Annotation
    correction_id: str
    prediction_id: str


class Importer:
    """Takes files' annotations into one log; `screen` masks or refuses comments as the page does (the model's check does inputs).

    Safe to use from several threads: what is stored twice is refused by the log.
    """

    def __init__(
        self,
        store: Store,
        model: Model,
        experiments: Experiments,
        judge: Judge,
        *,
        max_comment_chars: int = 1000,
        screen: Callable[[str], str] = str,
    ) -> None:
        self._store = store
        self._model = model
        self._experiments = experiments
        self._judge = judge
        self._max_comment = max_comment_chars
        self._screen = screen

    def take(
        self,
        annotations: Sequence[Annotation],
        source: str,
        author: str,
        *,
        channel: str = CHANNEL,
        accepted: bool = False,
    ) -> Taken:
        """Store a file's annotations, all or none, and let the policy judge them; return what was done.

        `source` names the file: annotator 7 of two sources are two contributors, and the same source again stores only what is new.
        `accepted`: rows that the file calls accepted are so, on `author`'s word. Raises BadInput with the places of what
        breaks a rule, and Conflict where the same annotations are there under another source.
        """
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", channel):
            raise BadInput(f"channel {channel!r}: 1 to 40 letters, digits, dots, dashes and underscores")
        check_text("source", source)
        if len(annotations) > MOST_ANNOTATIONS:
            raise TooLarge(f"{source} has {len(annotations)} annotations: at most {MOST_ANNOTATIONS} at once; cut the file")
        space = namespace(source)
        gold, said = self._checked(annotations, source, space)
        once = {item.correction_id: item for item in said}
        known = self._known(space)
        fresh = [item for item in once.values() if item.correction_id not in known]
        self._refuse_copies(space, fresh)
        traps = self._new_traps(gold, author, source)
        reviews = self._reviews(once.values(), source, author) if accepted else []
        self._store.add(*self._rows(fresh, channel), *traps, *reviews)
        self._judge(sorted({(item.hash, _json(item.input)) for item in fresh} | self._unjudged(space)))
        return Taken(
            len(fresh), len(once) - len(fresh), len(said) - len(once), len(traps), len(gold) - len(traps), len(reviews),
            len({item.contributor for item in once.values()}),
        )  # fmt: skip

    def _checked(self, annotations: Sequence[Annotation], source: str, space: str) -> tuple[dict[str, _Checked], list[_Checked]]:
        """Return the items of known truth by input's hash, and the annotations in the order in which they were made."""
        problems = Problems(source)
        gold: dict[str, _Checked] = {}
        said: list[_Checked] = []
        ids: dict[str, str] = {}
        for given in annotations:
            try:
                item = self._item(given, space)
                if given.id and ids.setdefault(given.id, given.place) != given.place:
                    raise BadInput(
                        f"id {given.id[:80]!r} stands at {ids[given.id]} already: each annotation has an id of its own"
                    )
                if not given.gold:
                    said.append(item)
                elif gold.setdefault(item.hash, item).output != item.output:
                    raise BadInput(f"this input's known truth is another at {gold[item.hash].given.place}")
            except AmendError as error:
                problems.add(given.place, error)
        problems.refuse()
        return gold, sorted(said, key=lambda item: item.given.time or datetime.min)

    def _item(self, given: Annotation, space: str) -> _Checked:
        for name in ("annotator", "id", "comment"):
            check_text(name, getattr(given, name))
        if len(given.comment) > self._max_comment:
            raise TooLarge(f"the comment has {len(given.comment)} characters; at most {self._max_comment} are kept")
        seen, _ = self._model.check(given.input)  # alone first, as it comes in on the page: there it may be masked or refused
        input_, output = self._model.check(seen, given.output)
        if output is None:
            raise BadInput("no output: an annotation says what the answer should be")
        given = given._replace(comment=self._screen(given.comment))
        for name, value in (("input", input_), ("output", output)):  # not every task looks
            check_text(name, text_of(value))
        who = space + annotator_name(given.annotator)
        prediction = keyed_id("p", "exchange", who, _json(input_), _json(output))
        return _Checked(who, input_, output, input_hash(input_), given, keyed_id("c", prediction), prediction)

    def _known(self, space: str) -> set[str]:
        rows = self._store.rows("SELECT id FROM corrections WHERE starts_with(contributor, ?)", [space])
        return {str(row["id"]) for row in rows}

    def _unjudged(self, space: str) -> set[tuple[str, str]]:
        """Return inputs of this source with an annotation that nobody judged: also those of an import that ended half-way."""
        rows = self._store.rows(
            """SELECT DISTINCT p.input_hash, p.input::VARCHAR AS input
               FROM corrections c JOIN predictions p ON p.id = c.prediction_id ANTI JOIN reviews r ON r.correction_id = c.id
               WHERE starts_with(c.contributor, ?)""",
            [space],
        )
        return {(str(row["input_hash"]), str(row["input"])) for row in rows}

    def _refuse_copies(self, space: str, fresh: Sequence[_Checked]) -> None:
        """Refuse a file that is there under another name: its annotators would agree with themselves."""
        if not fresh:
            return
        rows = self._store.rows(
            """SELECT c.contributor, p.input::VARCHAR AS input, c.output::VARCHAR AS output
               FROM corrections c JOIN predictions p ON p.id = c.prediction_id
               WHERE starts_with(c.contributor, ?) AND NOT starts_with(c.contributor, ?)""",
            [PREFIX, space],
        )
        there: dict[str, set[tuple[str, str, str]]] = {}
        for row in rows:
            other, name = str(row["contributor"]).removeprefix(PREFIX).split(":", 1)
            there.setdefault(other, set()).add((name, str(row["input"]), str(row["output"])))
        mine = {(item.contributor.removeprefix(space), _json(item.input), _json(item.output)) for item in fresh}
        for other, theirs in there.items():
            if 2 * len(mine & theirs) > len(mine):
                raise Conflict(
                    f"{len(mine & theirs)} of {len(mine)} annotations are there already, from a file imported under another name "
                    f"({PREFIX}{other}): the same people would count twice, and agree with themselves. Give that file's name as the "
                    "source; if these are other people, name them differently in the file"
                )

    def _rows(self, fresh: Sequence[_Checked], channel: str) -> list[Record]:
        """Return predictions and corrections; an annotator's later word gets the later moment, since the newest counts."""
        answers = self._answers({_json(item.input): item.input for item in fresh})
        began = now()
        rows: list[Record] = []
        for number, item in enumerate(fresh):
            moment = began + timedelta(microseconds=number)
            prediction = replace(
                answers[_json(item.input)], id=item.prediction_id, contributor=item.contributor, channel=channel, created=moment
            )
            _, shown = self._model.check(prediction.input, prediction.output)
            same, edits = item.output == shown, self._model.edits(shown, item.output)
            rows.append(prediction)
            rows.append(
                Correction(
                    item.correction_id, prediction.id, item.contributor, item.output, same, item.given.comment, moment, edits
                )
            )
        return rows

    def _answers(self, inputs: Mapping[str, Json]) -> dict[str, Prediction]:
        """Return the champion's answer to each input, as a prediction of nobody's."""
        champion = Variant(CHAMPION, self._experiments.champion, 1.0)

        def ask(item: tuple[str, Json]) -> tuple[str, Prediction]:
            return item[0], answered(self._model, Visitor(PREFIX), champion, item[1], "", forced=True)

        with ThreadPoolExecutor(_ASKERS) as pool:
            return dict(pool.map(ask, inputs.items()))

    def _new_traps(self, gold: Mapping[str, _Checked], author: str, source: str) -> list[Trap]:
        rows = self._store.rows(
            "SELECT input_hash, output::VARCHAR AS output FROM current_traps WHERE active AND source = 'gold'"
        )
        there = {str(row["input_hash"]): str(row["output"]) for row in rows}
        return [
            Trap(item.hash, item.input, item.output, "gold", author)
            for item in gold.values()
            if there.get(item.hash) != _json(item.output)
        ]

    def _reviews(self, items: Iterable[_Checked], source: str, author: str) -> list[Review]:
        """Return the staff member's acceptance of what the file calls accepted; one that is stored already is not stored again."""
        made = [
            Review(
                keyed_id("r", "exchange", item.correction_id), item.correction_id, "accept", None, author, f"accepted in {source}"
            )
            for item in items
            if item.given.status == "accepted"
        ]
        there = {str(row["id"]) for row in self._store.rows("SELECT id FROM reviews WHERE starts_with(reason, 'accepted in ')")}
        return [review for review in made if review.id not in there]


def _json(value: Json) -> str:
    """Return a value as the log holds it (store.py writes JSON this way)."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)
