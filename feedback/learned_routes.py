"""The routes of what a demo tells everybody, and of a partner's report: pages for people, JSON for programs."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from feedback import learned_page
from feedback.demo import Demo
from feedback.entrance import LANGUAGE_PATHS
from feedback.learned import Learned
from feedback.routes import StaffOf
from feedback.words import Words

Channel = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]


class VersionOut(BaseModel):
    """One version; `score` is of the sealed test part."""

    number: int
    made: str
    kind: str
    verdict: str
    score: float | None
    items: int
    learned: int
    serving: bool


class LearnedOut(BaseModel):
    """What the demo has learned, without a text."""

    visitors: int
    answers: int
    corrections: int
    confirmations: int
    accepted: int
    rejected: int
    since: date | None
    versions: list[VersionOut]


class LinksOut(BaseModel):
    """A partner's two links: `visit` for its visitors, `report` for itself."""

    visit: str
    report: str


def router(learned: Learned, demo: Demo, words: Words) -> APIRouter:
    """Return the routes."""
    api = APIRouter()

    @api.get("/api/v1/learned", tags=["visitors"], summary="What the demo has learned: counts, versions, sealed scores")
    def told() -> LearnedOut:
        versions = [VersionOut(**one._asdict()) for one in learned.versions()]
        return LearnedOut(**learned.counts()._asdict(), versions=versions)

    def page(language: str, request: Request) -> HTMLResponse:
        (other,) = (known for known in LANGUAGE_PATHS if known != language)
        body = learned_page.learned(
            words.speaker(language), language, demo.words(demo.title, language), learned.counts(), learned.versions(),
            _home(request, language), (f"{_root(request)}{LANGUAGE_PATHS[other]}/learned", words.say(other, "learned.this_language")),
        )  # fmt: skip
        return HTMLResponse(body)

    for language, path in LANGUAGE_PATHS.items():
        api.add_api_route(f"{path}/learned", _of(page, language), include_in_schema=False)
        api.add_api_route(f"{path}/learned/{{channel}}", _report_of(learned, demo, words, language), include_in_schema=False)

    @api.get(
        "/api/v1/channels/{channel}/links", tags=["staff"], summary="A partner's links: for its visitors, and to its own report"
    )
    def links(channel: Channel, request: Request, _: StaffOf) -> LinksOut:
        address = f"{_home(request, 'en')}learned/{channel}?key={quote(learned.key_of(channel))}"
        return LinksOut(visit=f"{_home(request, 'en')}?channel={channel}", report=address)

    return api


def _of(page: Any, language: str) -> Any:
    def shown(request: Request) -> HTMLResponse:
        answer: HTMLResponse = page(language, request)
        return answer

    return shown


def _report_of(learned: Learned, demo: Demo, words: Words, language: str) -> Any:
    def report(channel: Channel, request: Request, key: str = "") -> HTMLResponse:
        counts = learned.channel(channel, key)
        visit = f"{_home(request, language)}?channel={channel}"
        return HTMLResponse(
            learned_page.report(words.speaker(language), language, demo.words(demo.title, language), counts, visit)
        )

    return report


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


def _home(request: Request, language: str) -> str:
    """Return the public page's whole address as the visitor reached it, with the path before it that a proxy may have."""
    return f"{request.url.scheme}://{request.url.netloc}{_root(request)}{LANGUAGE_PATHS[language]}/"
