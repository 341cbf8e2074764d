"""Under which licence a base model came, as far as its own files say. It asks no network and guesses nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import yaml
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from model.base import CHARACTERS, DEFAULT_BASE

UNKNOWN = "unknown"
OWN = "other"
"""Of a base that was made of the demo's own texts: Hugging Face's name for terms that no list has."""
_CARDS = ("README.md", "MODEL_CARD.md")
_TEXTS = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_OPENINGS = {"apache-2.0": ("Apache License", "Version 2.0"), "mit": ("MIT License",)}
_LOOKED_AT = 600  # characters of a licence's text: its title stands there


class Licence(NamedTuple):
    """`name`: as Hugging Face writes it, or UNKNOWN. `source`: what said so. `languages`: of the base, as codes; () unknown.

    `model`: the base's name on the hub, "" where it has none that is known.
    """

    name: str
    source: str
    languages: tuple[str, ...] = ()
    model: str = ""

    def words(self, whose: str) -> str:
        """Return what a model card says of it; `whose`: the base's name."""
        if self.name == UNKNOWN:
            return f"Licence of the base `{whose}`: unknown: look it up ({self.source}). Until then do not pass this model on."
        if whose == CHARACTERS:
            return (
                f"The base `{whose}` is nobody else's work: {self.source}. What it learned from has terms of its own: those of the seed "
                "data and of the notice that contributors read."
            )
        return (
            f"Licence of the base `{whose}`: {self.name} (according to {self.source}). What it learned from here has terms of its own: "
            "those of the seed data and of the notice that contributors read."
        )


def licence_of(base: str, beside: Path | None = None) -> Licence:
    """Return the licence of a base: the packaged one, a directory (perhaps relative to `beside`) or a hub name that is cached."""
    if base == DEFAULT_BASE:
        name = f"sentence-transformers/{DEFAULT_BASE}"
        return Licence("apache-2.0", f"the model card of {name}", ("en",), name)
    if base == CHARACTERS:
        return Licence(OWN, "its weights were random, and its vocabulary is that of the seed data")
    places = [place for place in ([beside / base] if beside else []) + [Path(base)] if place.is_dir()]
    if places:
        return _in_directory(places[0])
    try:
        cached = try_to_load_from_cache(base, _CARDS[0])
    except HFValidationError:
        return Licence(UNKNOWN, f"{named(base)} is neither a directory here nor a name on the hub")
    if isinstance(cached, str):
        found = _of_card(Path(cached))
        return found._replace(model=base) if found else Licence(UNKNOWN, f"the model card of {base} names none", (), base)
    return Licence(UNKNOWN, f"the model card of {base} is not at hand", (), base if "/" in base else "")


def _in_directory(directory: Path) -> Licence:
    for name in _CARDS:
        found = _of_card(directory / name) if (directory / name).is_file() else None
        if found:
            return found
    for name in _TEXTS:
        if (directory / name).is_file():
            opening = (directory / name).read_text(encoding="utf-8", errors="replace")[:_LOOKED_AT]
            for licence, marks in _OPENINGS.items():
                if all(mark in opening for mark in marks):
                    return Licence(licence, f"its file {name}")
            return Licence(UNKNOWN, f"its file {name} is no text that is recognised")
    return Licence(UNKNOWN, "its directory holds neither a model card nor a licence")


def _of_card(file: Path) -> Licence | None:
    """Return what a model card's metadata say; None where they name no licence or cannot be read."""
    front = re.match(r"---\s*\n(.*?)\n---\s*\n", file.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        data = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:
        return None
    if not isinstance(data, dict):
        return None
    name = data.get("license")
    if not isinstance(name, str) or name in ("", UNKNOWN):
        return None
    spoken = data.get("language") or []
    own = f" ({data['license_name']})" if data.get("license_name") else ""
    return Licence(name, f"its {file.name}{own}", tuple(map(str, [spoken] if isinstance(spoken, str) else spoken)))


def named(place: str) -> str:
    """Return a hub name as it is, and of a path its last part: where somebody keeps their files is no reader's business."""
    path = Path(place)
    return path.name or place if path.is_absolute() or place.startswith((".", "~")) else place
