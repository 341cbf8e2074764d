"""Annotations of a file into the log: each annotator a contributor, each annotation a prediction and its correction, or a trap.

It reads no form and judges nothing: the task checks every value as it does for the page, and the acceptance policy has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from feedback.desk import Model, answered, as_shown, check_text
from feedback.errors import BadInput, Conflict, TooLarge
from feedback.exchange.annotation import Annotation
from feedback.exchange.checked import Checked, check_all, check_one, json_text
from feedback.exchange.contributor_ids import PREFIX, namespace
from feedback.experiments import Experiments
from feedback.heads import within
from feedback.records import CHAMPION, Correction, Json, Prediction, Record, Review, Trap, Variant, Visitor, keyed_id, now
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


class Looked(NamedTuple):
    """What an import would do. `rows`: the annotations that break no rule, in the file's order, as they would be stored.

    `fresh` corrections would be new, `known` are there from an earlier import, `repeated` are the same words again; `traps`
    items of known truth would be new. `errors`: the first of `error_count`, each with its place; with one nothing is stored.
    """

    rows: list[Annotation]
    annotators: int
    fresh: int
    known: int
    repeated: int
    traps: int
    errors: tuple[str, ...]
    error_count: int


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
        self._check_one = partial(check_one, model=model, screen=screen, max_comment=max_comment_chars)
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
        space = _allowed(annotations, source, channel)
        gold, said, problems = check_all(annotations, source, space, self._check_one)
        problems.refuse()
        once = {item.correction_id: item for item in said}
        known = self._known(space)
        fresh = [item for item in once.values() if item.correction_id not in known]
        self._refuse_copies(space, fresh)
        traps = self._new_traps(gold, author, source)
        reviews = self._reviews(once.values(), source, author) if accepted else []
        self._store.add(*self._rows(fresh, channel), *traps, *reviews)
        self._judge(sorted({(item.hash, json_text(item.input)) for item in fresh} | self._unjudged(space)))
        return Taken(
            len(fresh), len(once) - len(fresh), len(said) - len(once), len(traps), len(gold) - len(traps), len(reviews),
            len({item.contributor for item in once.values()}),
        )  # fmt: skip

    def look(self, annotations: Sequence[Annotation], source: str, *, channel: str = CHANNEL) -> Looked:
        """Check a file's annotations as take() does, store nothing, and return what it would do.

        Raises what take() raises, but for errors in rows and a copy of another file: these are in the answer.
        """
        space = _allowed(annotations, source, channel)
        gold, said, problems = check_all(annotations, source, space, self._check_one)
        once = {item.correction_id: item for item in said}
        known = self._known(space)
        fresh = [item for item in once.values() if item.correction_id not in known]
        try:
            self._refuse_copies(space, fresh)
        except Conflict as error:
            problems.add("", error)
        return Looked(
            problems.found, len({item.contributor for item in once.values()}), len(fresh), len(once) - len(fresh),
            len(said) - len(once), len(self._new_traps(gold, "", source)), problems.lines(), problems.count,
        )  # fmt: skip

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

    def _refuse_copies(self, space: str, fresh: Sequence[Checked]) -> None:
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
        mine = {(item.contributor.removeprefix(space), json_text(item.input), json_text(item.output)) for item in fresh}
        for other, theirs in there.items():
            if 2 * len(mine & theirs) > len(mine):
                raise Conflict(
                    f"{len(mine & theirs)} of {len(mine)} annotations are there already, from a file imported under another name "
                    f"({PREFIX}{other}): the same people would count twice, and agree with themselves. Give that file's name as the "
                    "source; if these are other people, name them differently in the file"
                )

    def _rows(self, fresh: Sequence[Checked], channel: str) -> list[Record]:
        """Return predictions and corrections; an annotator's later word gets the later moment, since the newest counts."""
        answers = self._answers({json_text(item.input): item.input for item in fresh})
        began = now()
        rows: list[Record] = []
        for number, item in enumerate(fresh):
            moment = began + timedelta(microseconds=number)
            prediction = replace(
                answers[json_text(item.input)],
                id=item.prediction_id,
                contributor=item.contributor,
                channel=channel,
                created=moment,
            )
            shown = as_shown(self._model, prediction.input, prediction.output)
            same, edits = within(item.output, shown), self._model.edits(shown, item.output)
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

    def _new_traps(self, gold: Mapping[str, Checked], author: str, source: str) -> list[Trap]:
        rows = self._store.rows(
            "SELECT input_hash, output::VARCHAR AS output FROM current_traps WHERE active AND source = 'gold'"
        )
        there = {str(row["input_hash"]): str(row["output"]) for row in rows}
        return [
            Trap(item.hash, item.input, item.output, "gold", author)
            for item in gold.values()
            if there.get(item.hash) != json_text(item.output)
        ]

    def _reviews(self, items: Iterable[Checked], source: str, author: str) -> list[Review]:
        """Return the staff member's acceptance of what the file calls accepted; one that is stored already is not stored again."""
        reason = f"accepted in {self._screen(source)}"
        made = [
            Review(keyed_id("r", "exchange", item.correction_id), item.correction_id, "accept", None, author, reason)
            for item in items
            if item.given.status == "accepted"
        ]
        there = {str(row["id"]) for row in self._store.rows("SELECT id FROM reviews WHERE starts_with(reason, 'accepted in ')")}
        return [review for review in made if review.id not in there]


def _allowed(annotations: Sequence[Annotation], source: str, channel: str) -> str:
    """Return the beginning of the names of a source's contributors; raise BadInput or TooLarge for what cannot be taken as a whole."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", channel):
        raise BadInput(f"channel {channel!r}: 1 to 40 letters, digits, dots, dashes and underscores")
    check_text("source", source)
    if len(annotations) > MOST_ANNOTATIONS:
        raise TooLarge(f"{source} has {len(annotations)} annotations: at most {MOST_ANNOTATIONS} at once; cut the file")
    return namespace(source)
