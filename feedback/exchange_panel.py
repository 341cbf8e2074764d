"""The Data page of the studio: a file in, with a preview before anything is stored; corrections out. It decides nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import gradio as gr
from pydantic import ValidationError

from feedback.demo import Demo
from feedback.entrance import LANGUAGE_PATHS
from feedback.errors import AmendError, BadInput
from feedback.exchange.annotation import Annotation, Widget, said_line
from feedback.exchange.contributor_ids import annotator_name
from feedback.exchange.forms import ENDINGS, FORMS, form_of, read_file
from feedback.exchange.incoming import CHANNEL, Importer
from feedback.exchange.outgoing import SETS, channel_counts, source_counts
from feedback.exchange.preview import Preview, columns_of, understood
from feedback.exchange.uploads import Uploads
from feedback.exchange_routes import ImportIn, reading_of
from feedback.records import Json
from feedback.store import Store
from feedback.widgets import widget_named
from feedback.widgets.page import Answering, answering, component, facts_of, string
from feedback.words import Say, Words

PART_BYTES = 60_000  # in base64 it stays under the smallest sensible limits.max_body_bytes
_PREFIXES = ("data", "spans", "choice", "page", "status")
_TABLE = ("annotator", "id", "gold", "status", "time", "comment")

StaffOf = Callable[[gr.Request], str]
"""The name of the member of staff who asks, or Unauthorised."""


class Exchange(Protocol):
    """What the page needs of the room (room.Room)."""

    @property
    def importer(self) -> Importer:
        """Takes annotations into the log, or only looks at them."""

    @property
    def store(self) -> Store:
        """The log."""

    @property
    def uploads(self) -> Uploads:
        """Where a file waits until it is whole."""


def build(
    exchange: Exchange, demo: Demo, *, widget: Widget, labels: Sequence[str], words: Words, language: str, staff_of: StaffOf,
    names: Mapping[str, str] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Add the page to the Blocks that are being built; `names`: see panel."""
    kind = widget_named(widget)
    facts = facts_of(demo, labels, words, language, (*_PREFIXES, widget), names)
    facts["forms"] = [form for form in FORMS if suits(form, widget)]
    facts["endings"] = dict(ENDINGS)
    facts["fields"] = fields_of(widget)
    facts["sets"] = list(SETS)
    facts["channel"] = CHANNEL
    facts["partBytes"] = PART_BYTES
    # Relative to where the studio is mounted: a proxy may have put a path before all of it.
    facts["links"] = "../" * (LANGUAGE_PATHS[language].count("/") + 1) + "api/v1/channels/"
    facts["exports"] = "../" * (LANGUAGE_PATHS[language].count("/") + 1) + "api/v1/exchange/exports/"
    component("data_page.js", kind, facts, calls(exchange, demo, widget, words, language, staff_of), "data")


def suits(form: str, widget: Widget) -> bool:
    """Return whether a form of files can hold this kind of answers."""
    return form in ("csv", "jsonl") or form in widget_named(widget).forms


def fields_of(widget: Widget) -> dict[str, list[str]]:
    """Return, for each form, what its rows may hold under our names: the page asks what a file calls it."""
    answer = widget_named(widget).column
    table = ["text", answer, *_TABLE]
    return {
        "csv": table,
        "jsonl": table,
        "conll": [],
        "label_studio": ["text", answer] if answer != "labels" else ["text"],  # of several heads each has its own control
        "question_answers": ["question", "answer", "rating", *_TABLE],
    }


def calls(exchange: Exchange, demo: Demo, widget: Widget, words: Words, language: str, staff_of: StaffOf) -> list[Answering]:
    """Return the functions that the page calls; every one asks first who it is."""
    say = words.speaker(language)
    call = answering(words, language, lambda request: False)  # staff are known by their login
    importer, store, uploads = exchange.importer, exchange.store, exchange.uploads

    def raw_of(data: Json) -> bytes:
        raw, size = uploads.read(string(data, "upload")), data.get("size")
        if len(raw) != size:
            raise BadInput(f"{len(raw)} of {size} bytes have come: choose the file again")
        return raw

    @call
    def upload(data: Json, request: gr.Request) -> dict[str, Json]:
        staff_of(request)
        try:
            part = base64.b64decode(string(data, "part"), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadInput(f"part is not base64: {error}") from error
        offset = data.get("offset")
        if isinstance(offset, bool) or not isinstance(offset, int):
            raise BadInput(f"offset is {offset!r}: it must be a number of bytes")
        return {"bytes": uploads.append(string(data, "upload"), offset, part)}

    @call
    def columns(data: Json, request: gr.Request) -> dict[str, Json]:
        staff_of(request)
        raw, name = raw_of(data), string(data, "name")
        form = string(data, "form") or _form_by_ending(name, widget)
        return {"form": form, "columns": columns_of(raw, name, form) if form else []}

    @call
    def preview(data: Json, request: gr.Request) -> dict[str, Json]:
        staff_of(request)
        asked = _asked(data)
        how = reading_of(asked, widget, demo.rename)
        source = asked.source or asked.name
        return preview_words(understood(importer, raw_of(data), asked.name, asked.form, how, source, asked.channel), say)

    @call
    def bring(data: Json, request: gr.Request) -> dict[str, Json]:
        author, asked = staff_of(request), _asked(data)
        read = read_file(raw_of(data), asked.name, asked.form, reading_of(asked, widget, demo.rename))
        source = asked.source or asked.name
        taken = importer.take(read.annotations, source, author, channel=asked.channel, accepted=asked.accepted)
        uploads.forget(string(data, "upload"))  # it may hold people's texts, and is in the log now
        stand = source_counts(store, source)
        waiting = stand.get("pending", 0) + stand.get("undecided", 0)
        told = [
            say("imported.took", stored=taken.stored, annotators=taken.annotators, known=taken.known, repeated=taken.repeated),
            say("imported.stand", accepted=stand.get("accepted", 0), waiting=waiting, rejected=stand.get("rejected", 0)),
        ]
        if taken.traps or taken.known_traps:
            told.append(say("imported.traps_made", traps=taken.traps, known=taken.known_traps))
        return {"told": told, "ignored": ignored_words(read.ignored, say), **channels_now()}

    @call
    def forget(data: Json, request: gr.Request) -> dict[str, Json]:
        staff_of(request)
        uploads.forget(string(data, "upload"))
        return {}

    @call
    def channels(data: Json, request: gr.Request) -> dict[str, Json]:
        staff_of(request)
        return channels_now()

    def channels_now() -> dict[str, Json]:
        counts = channel_counts(store)
        shown = ("channel", "visitors", "predictions", "corrections", "accepted", "rejected")
        return {"channels": [{name: getattr(one, name) for name in shown} for one in counts]}

    return [upload, columns, preview, bring, forget, channels]


def _form_by_ending(name: str, widget: Widget) -> str:
    """Return the form that a file's ending names, "" where a person must say: an unknown ending, or no form of this task's."""
    try:
        found = form_of(Path(name))
    except AmendError:
        return ""
    return found if suits(found, widget) else ""


def _asked(data: Mapping[str, Any]) -> ImportIn:
    """Return what the page asks for, by the rules of the route for programs."""
    fields = {name: data[name] for name in ImportIn.model_fields if name in data}
    try:
        return ImportIn.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def preview_words(preview: Preview, say: Say) -> dict[str, Json]:
    """Return a preview as the page shows it: sentences with the counts, the first rows, and the errors, each with its place."""
    looked = preview.looked
    counts = [
        say(
            "imported.would", corrections=looked.fresh, annotators=looked.annotators, known=looked.known, repeated=looked.repeated
        )
    ]
    if looked.traps:
        counts.append(say("imported.traps_would", traps=looked.traps))
    more = looked.error_count - len(looked.errors)
    return {
        "counts": counts,
        "rows": [row_words(item, say) for item in preview.first],
        "total": len(looked.rows),
        "ignored": ignored_words(preview.ignored, say),
        "errors": [
            *(said_line(line, say) for line in looked.errors),
            *([say("imported.more_errors", count=more)] if more else []),
        ],
        "error_count": looked.error_count,
        "new": looked.fresh + looked.traps,
    }


def row_words(item: Annotation, say: Say) -> dict[str, Json]:
    """Return one annotation of a file as the page shows it. Annotators are named as the log would name them."""
    facts = [
        item.place,
        say("imported.by", annotator=annotator_name(item.annotator)) if item.annotator else say("imported.by_nobody"),
    ]
    if item.time:
        facts.append(f"{item.time:%Y-%m-%d %H:%M} UTC")
    return {
        "facts": facts,
        "text": item.input,
        "output": item.output,
        "gold": item.gold,
        "status": item.status,
        "comment": item.comment,
    }


def ignored_words(ignored: Mapping[str, int], say: Say) -> list[str]:
    """Return what of a file is left out, a line each."""
    return [say("imported.ignored", what=what, count=count) for what, count in ignored.items()]
