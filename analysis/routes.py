"""Reports over HTTP, for staff and their programs: as JSON, as files, the proof, the per-user table. It reads no log itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response

from analysis.presentation.contents import sentences
from analysis.presentation.written import HTML, MARKDOWN, files
from analysis.reports import Reports
from feedback.words import Words

WORDS = Path(__file__).with_name("words.toml")
"""This room's part of the words catalogue."""

_TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}

Language = Annotated[Literal["en", "zh"], Query(description="the language of the words")]


def router(reader: Reports, staff: Callable[..., str]) -> APIRouter:
    """Return the routes of the reports. `reader` raises NotFound for an unknown name; `staff` is a FastAPI dependency."""
    api = APIRouter(prefix="/api/v1/experiments/{name}", tags=["staff"], dependencies=[Depends(staff)])
    words = Words([WORDS])

    def written(name: str, language: str) -> dict[str, str]:
        return files(reader.report(name), reader.design(name), words.speaker(language), language)

    @api.get("/report", summary="What the log says of an experiment")
    def read(name: str, language: Language = "en") -> dict[str, Any]:
        found = reader.report(name)
        return {**found.to_json(), "words": sentences(found, words.speaker(language))}

    @api.get("/report.html", summary="The same as a page that stands alone and prints", response_class=Response)
    def as_html(name: str, language: Language = "en") -> Response:
        # A page of ours without a script: whatever got into it, none runs.
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response(written(name, language)[HTML], media_type="text/html; charset=utf-8", headers=policy)

    @api.get("/report.md", summary="The same as Markdown, without the drawings", response_class=Response)
    def as_markdown(name: str, language: Language = "en") -> Response:
        return _attached(written(name, language)[MARKDOWN].encode(), "text/markdown; charset=utf-8", f"{name}.md")

    @api.get("/report/files", summary="All files of the report by name: HTML, Markdown and its drawings")
    def as_files(name: str, language: Language = "en") -> dict[str, str]:
        return written(name, language)

    @api.get("/proof", summary="False-alarm rates of the rule in force, with variants shuffled over this log's users")
    def prove(name: str) -> dict[str, Any]:
        found = reader.proof(name)
        return {**found._asdict(), "rates": [rate._asdict() for rate in found.rates]}

    @api.get("/users", summary="The per-user table behind the report", response_class=Response)
    def users(name: str, format: Literal["parquet", "csv"] = "parquet") -> Response:
        return _attached(reader.users_file(name, format), _TYPES[format], f"{name}-users.{format}")

    return api


def _attached(content: bytes, media_type: str, name: str) -> Response:
    safe = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{safe}"'})
