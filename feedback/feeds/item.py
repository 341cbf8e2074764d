"""One item of a feed as it comes, checked at the door. It knows no source's form and no log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from feedback.errors import BadInput
from feedback.records import keyed_id, normalised

MOST_SOURCE = 120
MOST_ID = 500
MOST_LINK = 2000
KEYS = ("text", "published", "source", "id", "link")
_EARLIEST = datetime(1990, 1, 1)


class Item(NamedTuple):
    """A text with where it is from. `published` is naive UTC, None where the source does not say; `given` is the source's own id."""

    text: str
    source: str
    published: datetime | None = None
    given: str = ""
    link: str = ""

    @property
    def id(self) -> str:
        """Return the id that this item gets however often it comes: of the source's id (f_), or of what it says and when (t_)."""
        if self.given:
            return keyed_id("f", self.source, self.given)
        moment = self.published.isoformat() if self.published else ""
        return keyed_id("t", self.source, moment, normalised(self.text))


def item_of(row: Mapping[str, Any], source: str, place: str) -> Item:
    """Return a row of KEYS as an item. `place` names it in messages; `source` stands in where the row has none. Raises BadInput."""
    unknown = set(row) - set(KEYS)
    if unknown:
        raise BadInput(f"{place}: unknown key {', '.join(sorted(map(str, unknown)))}; known here: {', '.join(KEYS)}")
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"{place}: text is {text!r}: a text with at least one letter is needed")
    named = _text(row, "source", MOST_SOURCE, place) or source
    given, link = _text(row, "id", MOST_ID, place), _text(row, "link", MOST_LINK, place)
    if link and urlsplit(link).scheme not in ("http", "https"):
        raise BadInput(f"{place}: link {link[:80]!r}: it must begin with http:// or https://")
    return Item(text.strip(), named, moment_of(row.get("published"), place), given, link)


def moment_of(value: object, place: str) -> datetime | None:
    """Return an ISO 8601 moment as naive UTC; None for nothing; without an offset it is UTC. Raises BadInput."""
    if value is None or value == "":
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"{place}: published {str(value)[:60]!r}: an ISO 8601 time such as 2026-01-31T08:30:00Z is needed"
        ) from error
    if moment < _EARLIEST:
        raise BadInput(f"{place}: published {str(value)[:60]!r}: before {_EARLIEST.year} no feed was published")
    return moment


def _text(row: Mapping[str, Any], key: str, most: int, place: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > most or "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise BadInput(f"{place}: {key} must be a text of at most {most} characters")
    return value.strip()
