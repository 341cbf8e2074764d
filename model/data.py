"""A demo's seed data: read, checked, renamed and split into train, validation and the sealed test. It learns nothing.

Without files of their own, validation and test are cut from the training file by a hash of each text, so the same
text always falls in the same part, whatever else the file holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feedback.demo import DataSettings, Demo
from feedback.errors import AmendError, BadDemo
from feedback.records import Example, bucket_of, input_hash, text_of
from model.base import base_directory, load_config
from model.catalogue import load_catalogue
from model.network_task import NetworkTask, network_task
from model.readers import Row, read_rows
from model.task import Task, task_type

TEST_SHARE = 0.12
VALIDATION_SHARE = 0.15


@dataclass(frozen=True)
class SeedData:
    """The seed examples by part. `duplicates` counts texts left out since an example of the same text was there already."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]
    duplicates: int = 0

    @property
    def held_out(self) -> frozenset[str]:
        """Return the input hashes of validation and test: nothing of these texts is ever trained on."""
        return frozenset(e.input_hash for e in (*self.validation, *self.test))


def load_seed(demo: Demo, labels: Sequence[str] | None = None) -> tuple[Task, SeedData]:
    """Return the demo's task, bound to its labels, and its seed data (empty where the demo has a model and no data).

    `labels` overrides the TOML's; without either they are the data's, sorted, or the model's. Raises BadDemo with file, line, value
    and rule.

    With `validation` but no `test` file, the training file gives the sealed test by hash as always (12 %) and all else
    to training; with `test` but no `validation`, it gives validation by hash. A text that is in several parts stays in
    test first, then in validation, and leaves train.
    """
    rows = {part: _rows(demo, part) for part in ("train", "validation", "test")}
    task = _bound(demo, rows, labels)
    seed = _parted(_checked(task, rows), demo.data)
    if demo.data.train and not seed.train:
        raise BadDemo(
            f"{demo.resolve(demo.data.train)}: no training example is left; add examples, or give validation and test files"
        )
    return task, seed


def network_seed(demo: Demo, labels: Sequence[str] | None = None) -> tuple[NetworkTask, SeedData]:
    """Return the same of a demo whose task a transformers network answers; raise BadDemo for another task."""
    task, seed = load_seed(demo, labels)
    return network_task(task, "this"), seed


def seed_as_written(demo: Demo, task: Task) -> dict[str, list[Example]]:
    """Return the seed examples by the part they fall in, texts that are there twice included. Raises BadDemo like `load_seed`."""
    return _dealt(_checked(task, {part: _rows(demo, part) for part in ("train", "validation", "test")}), demo.data)


def load_gold(demo: Demo, task: Task) -> list[Example]:
    """Return the owner's gold items, checked by the task; none where the demo names no file. Raises BadDemo like `load_seed`."""
    if not demo.acceptance.gold:
        return []
    rows = read_rows(demo.resolve(demo.acceptance.gold), demo.task, demo.data.text_column, demo.data.label_column)
    renamed = [_renamed(row, type(task), demo.rename) for row in rows]
    return [_example(task, row) for row in renamed if row is not None]


def task_of(demo: Demo) -> Task:
    """Return the demo's task bound to its labels, reading the data only where neither TOML nor catalogue names labels."""
    if demo.labels or task_type(demo.task).catalogued:
        return _bound(demo, {})
    return load_seed(demo)[0]


def _bound(demo: Demo, rows: Mapping[str, Sequence[Row]], labels: Sequence[str] | None = None) -> Task:
    """Return the demo's task: its labels are those given, else the TOML's, the catalogue's ids, the data's, or the model's."""
    kind = task_type(demo.task)
    if kind.catalogued:
        if not demo.data.catalogue:
            raise BadDemo(f"{demo.path}: data.catalogue is missing: task {demo.task!r} answers out of one (a file or a folder)")
        catalogue = load_catalogue(demo.resolve(demo.data.catalogue))
        return kind([entry.id for entry in catalogue.entries], demo.limits.max_chars, demo.fallback_label, catalogue)
    chosen = tuple(labels or demo.labels) or _labels_in(kind, rows) or _labels_of_model(demo)
    if not chosen:
        raise BadDemo(f"{demo.path}: labels is missing, and neither the data nor the model names any")
    return kind(chosen, demo.limits.max_chars, demo.fallback_label)


def _labels_in(kind: type[Task], rows: Mapping[str, Sequence[Row]]) -> tuple[str, ...]:
    return tuple(sorted({label for part in rows.values() for row in part for label in kind.labels_in(row.output)}))


def _checked(task: Task, rows: dict[str, list[Row]]) -> dict[str, list[Example]]:
    return {part: [_example(task, row) for row in found] for part, found in rows.items()}


def _rows(demo: Demo, part: str) -> list[Row]:
    name = getattr(demo.data, part)
    if not name:
        return []
    rows = read_rows(demo.resolve(name), demo.task, demo.data.text_column, demo.data.label_column)
    return [kept for row in rows if (kept := _renamed(row, task_type(demo.task), demo.rename)) is not None]


def _renamed(row: Row, kind: type[Task], rename: dict[str, str]) -> Row | None:
    """Return the row in our labels; None where nothing is left of its output."""
    output = kind.renamed(row.output, rename)
    return None if output is None else row._replace(output=output)


def _labels_of_model(demo: Demo) -> tuple[str, ...]:
    """Return the labels that the demo's own checkpoint knows, renamed."""
    if not demo.model:
        return ()
    config = load_config(base_directory(demo.model, demo.path.parent))
    names = {int(i): demo.rename.get(name, name) for i, name in config.id2label.items()}
    kind = task_type(demo.task)
    if not issubclass(kind, NetworkTask):
        return ()
    known = kind.labels_of_config({i: name for i, name in names.items() if name})
    return tuple(dict.fromkeys(label for name in known if (label := demo.rename.get(name, name))))


def _example(task: Task, row: Row) -> Example:
    """Check a row by the task's rules. Seed texts may be longer than the demo's visitors may write."""
    roomy = task.roomy(max(task.max_chars, len(text_of(row.text))))
    try:
        text = roomy.check_input(row.text)
        output = roomy.check_output(text, row.output)
    except AmendError as error:
        raise BadDemo(f"{row.place}: {error.detail}") from error
    return Example(text, output, input_hash=input_hash(text))


def _dealt(examples: dict[str, list[Example]], settings: DataSettings) -> dict[str, list[Example]]:
    parts: dict[str, list[Example]] = {"train": [], "validation": list(examples["validation"]), "test": list(examples["test"])}
    for example in examples["train"]:
        place = bucket_of(example.input_hash)
        if not settings.test and place < TEST_SHARE:
            parts["test"].append(example)
        elif not settings.validation and TEST_SHARE <= place < TEST_SHARE + VALIDATION_SHARE:
            parts["validation"].append(example)
        else:
            parts["train"].append(example)
    return parts


def _parted(examples: dict[str, list[Example]], settings: DataSettings) -> SeedData:
    parts = _dealt(examples, settings)
    seen: set[str] = set()
    duplicates = 0
    for name in ("test", "validation", "train"):
        kept = []
        for example in parts[name]:
            if example.input_hash in seen:
                duplicates += 1
                continue
            seen.add(example.input_hash)
            kept.append(example)
        parts[name] = kept
    return SeedData(parts["train"], parts["validation"], parts["test"], duplicates)
