"""Ranking a catalogue's items for a person, by what they did before and what they write. It generates nothing; how it learns is in model/ranking/.

An answer is a list, drawn with a little chance, and says of each item its rank, the probability of its place, and why it is there.
The predictions' rows so are the log of impressions. Whoever corrects likes, dismisses and moves items.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from feedback.errors import BadInput
from feedback.records import Example, Json
from model.catalogue import Catalogue, Entry
from model.embedding import embedder, frozen_base
from model.own_model import CONFIG, Learned, OwnModelTask, Work
from model.ranking.fitting import fit
from model.ranking.lists import edits_between, judged, raised, wanted
from model.ranking.ranker import Ranker
from model.ranking.scores import ndcg, recall
from model.ranking.shapes import cell, history_of, list_of, visit_of
from model.ranking.version import LENGTH, RankingVersion, deeds_of
from model.ranking.visits import NO_CHANCE, Policy, Visit, question_of
from model.task import Counts, register
from model.tasks.text import check_text

MOST_ITEMS = 20_000
"""Entries of a catalogue: what neighbours are learned from grows with their square."""


@register
class Ranking(OwnModelTask):
    """`{"text": interest or "", "history": [{"item": id, "did": "liked"}, ...]}` in, `{"items": [ids], ...}` out.

    `visit`, a name that the page makes up for each list it asks for, keeps two lists of the same history apart. A correction is
    `{"items": [ids in the person's order], "liked": [ids], "dismissed": [ids]}`, with `shown`, `ranks` and `policy` as they were.
    """

    name = "ranking"
    widget = "ranking"
    form = "interest"
    catalogued = True
    sample_catalogue = Catalogue(
        [
            Entry("bread", "Knead, wait, bake: a loaf in an afternoon.", "First bread"),
            Entry("sourdough", "Keep a starter alive and bake with it.", "Sourdough"),
            Entry("knots", "Six knots that hold, and how to undo them.", "Knots for the boat"),
            Entry("stars", "Find your way about the northern sky.", "The sky in March"),
        ]
    )
    sample_labels = ("bread", "sourdough", "knots", "stars")
    samples = (
        (
            {"history": [{"item": "bread", "did": "liked"}], "text": "", "visit": "a1"},
            {"items": ["sourdough", "stars", "knots"], "liked": ["sourdough"], "dismissed": ["knots"]},
        ),
        (
            {"history": [], "text": "something at night 😀"},
            {
                "items": ["stars", "bread", "knots"],
                "liked": ["stars", "bread"],
                "dismissed": [],
                "shown": ["bread", "stars", "knots"],
                "ranks": [0, 1, 3],
                "policy": [0.1, 4],
            },
        ),
    )

    # -- data ------------------------------------------------------------------------------------------------------

    @classmethod
    def keys(cls, text_column: str, label_column: str, *, table: bool) -> tuple[str, ...]:
        """Return what a row must have: `liked`. Besides it there may be text, visit, history, items, dismissed, shown, ranks, policy."""
        return ("liked",)

    @classmethod
    def read(cls, row: Mapping[str, Any], text_column: str, label_column: str) -> tuple[Json, Json]:
        """Return input and output; in a table, lists are JSON. Without `items` they are what was shown, or what was liked and dismissed."""
        cells = {key: cell(row.get(key), key) for key in ("history", "items", "liked", "dismissed", "shown", "ranks", "policy")}
        given = {key: value for key, value in cells.items() if value is not None and key != "history"}
        listed = {"items": given.get("shown", [*given.get("liked", []), *given.get("dismissed", [])]), **given}
        text = row.get(text_column)
        input_ = {"history": cells["history"] or [], "text": text if isinstance(text, str) else ""}
        return {**input_, "visit": row["visit"]} if row.get("visit") else input_, listed

    @classmethod
    def labels_in(cls, output: Json) -> tuple[str, ...]:
        """Return nothing: the labels are the catalogue's ids."""
        return ()

    @classmethod
    def renamed(cls, output: Json, rename: Mapping[str, str]) -> Json | None:
        """Return the output with its ids as the demo calls them; with a dropped one it is None: a list with a gap is another list."""
        if not rename:
            return output
        ids = ("items", "liked", "dismissed", "shown")
        found = {
            **output,
            **{key: [rename.get(str(item), item) for item in output[key]] for key in ids if isinstance(output.get(key), list)},
        }
        return None if any("" in found.get(key, ()) for key in ids) else found

    def words_of(self, input_: Json, output: Json) -> str:
        """Return the titles in order, + before a liked and - before a dismissed one."""
        marks = {**dict.fromkeys(output.get("liked", ()), "+"), **dict.fromkeys(output.get("dismissed", ()), "-")}
        return "; ".join(marks.get(item, "") + self._title(item) for item in output["items"])

    def _title(self, item: str) -> str:
        entry = self.catalogue.get(item)
        return (entry.title or entry.text) if entry else item

    # -- inputs and outputs ----------------------------------------------------------------------------------------

    def check_input(self, value: Json) -> Json:
        """Return `{"history", "text"}`, with `visit` where there is one; a text alone is an interest without history.

        Raises BadInput, TooLarge: see shapes.py.
        """
        if isinstance(value, str):
            value = {"text": value}
        if not isinstance(value, Mapping) or not value or not set(value) <= {"text", "history", "visit"}:
            raise BadInput(f'input is {str(value)[:120]!r}: it must be {{"text": ..., "history": [...]}}', code="history_shape")
        text = value.get("text", "")
        if not isinstance(text, str):
            raise BadInput(f"input text is {type(text).__name__}: it must be a text", code="text_type")
        found = {
            "history": history_of(value.get("history", []), self.catalogue),
            "text": check_text(text, self.max_chars) if text.strip() else "",
        }
        visit = visit_of(value.get("visit", ""))
        return {**found, "visit": visit} if visit else found

    def check_output(self, input_: Json, output: Json) -> Json:
        """Return `items`, `liked` and `dismissed`, and `shown`, `ranks` and `policy` where they came along. Raises BadInput.

        `items` are those of `shown` in the person's order; `liked` and `dismissed` are among them, and stand in their order.
        """
        return list_of(output, self.catalogue)

    def present(self, output: Json) -> Json:
        """Return an output with title and text of every item in it, for a page to draw."""
        named = {*output.get("items", ()), *(why["item"] for why in output.get("why", ()) if why.get("item"))}
        cards = {id_: {"title": entry.title, "text": entry.text} for id_ in named if (entry := self.catalogue.get(id_))}
        return {**output, "cards": cards}

    def edits(self, shown: Json, output: Json) -> float:
        """Return how many items were liked, dismissed or moved."""
        return edits_between(shown, output)

    def score(self, truth: Sequence[Json], answers: Sequence[Json]) -> dict[str, float]:
        """Return NDCG and recall, means over the lists in which something was liked or moved up.

        Where it is known what was shown, only that is ranked: whether the rest would have been liked nobody knows. NDCG then is of
        the whole list, recall of its first half; else both are of the first LENGTH.
        """
        pairs = [(wanted(one), *judged(one, _ranking(answer), LENGTH)) for one, answer in zip(truth, answers, strict=True)]
        known = [(liked, ranking, first) for liked, ranking, first in pairs if liked]
        main = float(np.mean([ndcg(ranking, liked, len(ranking) or 1) for liked, ranking, _ in known])) if known else 0.0
        found = float(np.mean([recall(first, liked, len(first)) for liked, _, first in known])) if known else 0.0
        return {"main": main, "ndcg": main, "recall": found}

    def counts(self, truth: Json, answer: Json) -> dict[str, Counts]:
        """Return, of what stands first (see score), the liked (tp) and the dismissed ones (fp), and the liked ones that do not (fn)."""
        first, liked = set(judged(truth, _ranking(answer), LENGTH)[1]), wanted(truth)
        return {"items": Counts(len(liked & first), len(set(truth["dismissed"]) & first), len(liked - first))}

    # -- versions --------------------------------------------------------------------------------------------------

    def learn(self, work: Work) -> Learned:
        """Learn all signals and weigh them, from scratch: it takes seconds. Raises BadInput for too large a catalogue."""
        if len(self.catalogue) > MOST_ITEMS:
            raise BadInput(f"the catalogue has {len(self.catalogue)} entries: at most {MOST_ITEMS} can be ranked")
        base = frozen_base(work.demo)
        encode = embedder(base).of
        ids = [entry.id for entry in self.catalogue.entries]
        place = {id_: i for i, id_ in enumerate(ids)}
        visits = [_visit(example, place, f"seed:{i}") for i, example in enumerate(work.parts.train)]
        asked = [question_of(visit) for example in work.parts.choosing if (visit := _visit(example, place, "")).shown]
        fitted = fit(visits, ids, encode(_texts(self.catalogue)), encode, places=LENGTH, seed=work.seed, asked=asked,
                     report=lambda done, total: work.progress.step(done, total, None))  # fmt: skip
        fitted.ranker.save(work.directory)
        config = {"model_type": "amend-ranking", "base": base}
        (work.directory / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        settings = fitted.ranker.settings
        told: dict[str, Json] = {
            "family": settings.family, "ridge": settings.ridge, "factors": settings.factors, "questions": fitted.questions,
            "weights": [round(weight, 3) for weight in settings.weights], "entries": len(ids),
            "looked_at": [round(float(looked), 3) for looked in fitted.ranker.examined], "tried": dict(fitted.tried),
        }  # fmt: skip
        return Learned(len(visits), base=work.demo.base, told=told)

    def open(self, directory: Path) -> RankingVersion:
        """Load a version; it ranks this task's catalogue. An entry that came later has its text alone."""
        try:
            base = str(json.loads((directory / CONFIG).read_text(encoding="utf-8"))["base"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadInput(f"{directory}: is no version of the task ranking: {error}") from error
        encoder = embedder(base)
        ids = [entry.id for entry in self.catalogue.entries]
        return RankingVersion(self, encoder, Ranker.load(directory).for_items(ids, encoder.of(_texts(self.catalogue))))


def _texts(catalogue: Catalogue) -> list[str]:
    return [f"{entry.title}. {entry.text}" if entry.title else entry.text for entry in catalogue.entries]


def _ranking(output: Mapping[str, Json]) -> list[str]:
    """Return the ranking that an output stands for: a model's own, without chance; a person's with what they want first, less the dismissed."""
    if "best" in output:
        return list(output["best"])
    first = wanted(output)
    return sorted((item for item in output["items"] if item not in output["dismissed"]), key=lambda item: item not in first)


def _visit(example: Example, place: Mapping[str, int], unknown: str) -> Visit:
    output = example.output

    def numbers(ids: Iterable[str]) -> tuple[int, ...]:
        return tuple(place[item] for item in ids)

    return Visit(
        user=example.contributor or unknown,
        history=deeds_of(example.input, place),
        liked=numbers(output["liked"]),
        dismissed=numbers(output["dismissed"]),
        raised=numbers(item for item in raised(output) if item not in output["liked"]),
        shown=numbers(output.get("shown", ())),
        ranks=tuple(output.get("ranks", ())),
        policy=Policy(*output["policy"]) if "policy" in output else NO_CHANCE,
        text=example.input["text"],
        weight=example.weight,
    )
