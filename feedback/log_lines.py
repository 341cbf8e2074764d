"""The process's log as lines, text or JSON, each with the id of the request that it belongs to. It knows nothing of HTTP.

No line holds what people wrote: of an exception that nobody foresaw the JSON line tells type and places, not its message, which
may quote a text.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

Form = Literal["text", "json"]
FORMS: tuple[Form, ...] = ("text", "json")

_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_FACTS: ContextVar[dict[str, Any] | None] = ContextVar("facts", default=None)
_FRAMES = 12


def begin(given: str = "") -> dict[str, Any]:
    """Begin a request in this context; return its facts. `given` is the id it came with, used where it has the allowed form.

    The context goes with the request into its threads and tasks; it ends with the task that the server makes for each request.
    """
    facts: dict[str, Any] = {"request_id": given if _ID.fullmatch(given) else secrets.token_hex(8)}
    _FACTS.set(facts)
    return facts


def note(**facts: object) -> None:
    """Add facts (variant, version) to the line of the present request; outside of one it does nothing."""
    known = _FACTS.get()
    if known is not None:
        known.update(facts)


def request_id() -> str:
    """Return the present request's id, "" outside of one."""
    return str((_FACTS.get() or {}).get("request_id", ""))


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, request_id, then the record's own `facts`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if known := request_id():
            line["request_id"] = known
        line |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[1] is not None:
            line |= _told(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """The same for a person at a terminal: a traceback is printed as it is."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, the request's id at its end."""
        line = super().format(record)
        known = request_id()
        return f"{line} [{known}]" if known and "\n" not in line else line


def set_up(form: Form | None, stream: TextIO | None = None) -> None:
    """Send every logger's lines, and Python's warnings, to stderr in this form; None: text on a terminal, else JSON."""
    out = stream or sys.stderr
    chosen = form or ("text" if out.isatty() else "json")
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines() if chosen == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for noisy in (
        "httpx",
        "httpx2",
        "httpcore",
        "uvicorn.access",
    ):  # a webhook's address may hold a secret; requests have a line of ours
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _told(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    cause = error.__cause__ or error.__context__
    told: dict[str, Any] = {
        "error": type(error).__name__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    return {**told, "cause": type(cause).__name__} if cause is not None else told
