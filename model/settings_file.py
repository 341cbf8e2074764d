"""What a search found, as a file: written by `python -m model.search`, taken by `python -m model.train --settings`. It searches nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from feedback.demo import SearchSettings, TrainingSettings
from feedback.errors import BadInput
from feedback.home import write_atomically

SETTINGS = "settings.json"


def write_settings(directory: Path, search: SearchSettings, more: Mapping[str, Any]) -> Path:
    """Write DIRECTORY/settings.json, whole: keys of [training] to use, the table [search], and `more` for people. Return its path."""
    path = directory / SETTINGS
    training = {"method": search.method, **search.found}
    text = json.dumps({"training": training, "search": search.model_dump(), **more}, indent=1, ensure_ascii=False)
    write_atomically(path, text + "\n")
    return path


def read_settings(path: Path) -> dict[str, Any]:
    """Return {"training": keys to override, "search": SearchSettings}; raise BadInput with file, key and rule."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        training = dict(raw["training"])
        TrainingSettings.model_validate(training)
        return {"training": training, "search": SearchSettings.model_validate(raw["search"])}
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: not a file that python -m model.search wrote: {error!r}") from error


def as_toml(search: SearchSettings) -> str:
    """Return the settings as tables of a demo's TOML, ready to paste."""
    about = search.model_dump(exclude={"found"}, exclude_none=True)
    return "\n".join(
        [
            "[training] # these keys, in the place of those there",
            f'method = "{search.method}"',
            *(f"{name} = {value!r}" for name, value in search.found.items()),
            "",
            "[search]",
            *(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in about.items()),
            "found = { " + ", ".join(f"{name} = {value!r}" for name, value in search.found.items()) + " }",
        ]
    )
