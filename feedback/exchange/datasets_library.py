"""Data sets of Hugging Face's `datasets` library, from and to a directory or an object in memory. No hub is asked.

The library is an extra (`pip install datasets`): without it these two verbs say so, and nothing else needs it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from feedback.errors import AmendError, BadInput
from feedback.exchange import jsonl
from feedback.exchange.annotation import Annotation
from feedback.exchange.conll import spans_of

_TAGS = ("ner_tags", "tags")
_TYPES = {"gold": bool}


class NoLibrary(AmendError):
    """The `datasets` library is not installed here."""

    status = 501
    title = "Library absent"


def to_jsonl(source: Path | Any) -> bytes:
    """Return a data set (a directory of `save_to_disk`, or the object) as JSONL that jsonl.read knows.

    Class numbers become their names; `tokens` with `ner_tags` become a text with spans. Of a DatasetDict all parts are taken, in order.
    Raises NoLibrary, and BadInput where the directory holds no data set.
    """
    library = _library()
    if isinstance(source, Path):
        try:
            source = library.load_from_disk(str(source))
        except (OSError, ValueError) as error:
            raise BadInput(f"{source}: no data set that datasets.Dataset.save_to_disk wrote: {error}") from error
    parts = source.values() if isinstance(source, Mapping) else [source]
    return jsonl.dumped(_row(row, names) for part in parts for names in [_class_names(part.features)] for row in part)


def write(annotations: Iterable[Annotation], directory: Path) -> None:
    """Write annotations as a data set into a directory that is not there yet. Raises NoLibrary, BadInput."""
    library = _library()
    if directory.exists():
        raise BadInput(f"{directory} exists already: an export never overwrites; choose another name")
    rows = [jsonl.row_of(annotation) for annotation in annotations]
    columns = sorted({column for row in rows for column in row})
    table = {c: [row.get(c, _TYPES.get(c, str)() if c != "spans" else []) for row in rows] for c in columns}
    library.Dataset.from_dict(table).save_to_disk(str(directory))


def _library() -> Any:
    try:
        return importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        if error.name != "datasets":
            raise
        raise NoLibrary(
            "this form needs the 'datasets' library, which is not installed here: pip install datasets "
            "(or save the data set as jsonl: Dataset.to_json)"
        ) from None


def _class_names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the class names of the columns that hold numbers of classes, alone or in lists."""
    found = {}
    for column, feature in features.items():
        names = getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
        if names:
            found[column] = list(names)
    return found


def _row(row: Mapping[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    plain = {column: _named(value, names.get(column)) for column, value in row.items()}
    column = next((c for c in _TAGS if c in plain), None)
    if "tokens" in plain and column and "spans" not in plain:
        tokens, tags = plain.pop("tokens"), [str(tag) for tag in plain.pop(column)]
        if len(tokens) != len(tags):
            raise BadInput(f"{len(tokens)} tokens and {len(tags)} {column}: there must be as many")
        places, at = [], 0
        for token in tokens:
            places.append((at, at + len(token)))
            at += len(token) + 1
        plain |= {"text": " ".join(tokens), "spans": spans_of(tags, places)}
    return {key: value.isoformat() if hasattr(value, "isoformat") else value for key, value in plain.items()}


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None or value is None:
        return value
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if not 0 <= value < len(names):
        raise BadInput(f"class {value} is none of the {len(names)} that the data set names")
    return names[value]
