"""The front door: reads a demo, wires the rooms, mounts the pages. `python app.py [demos/NAME.toml]`."""

from __future__ import annotations

import os

# Before gradio is imported: no analytics, no statistics over past events at every event.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")

import argparse
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from html import escape
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi_offline import FastAPIOffline

import analysis.monitor_panel
import analysis.panel
import analysis.quality_panel
import analysis.routes
import feedback.conditions_panel
import feedback.contributors_panel
import feedback.exchange_panel
import feedback.handed_over_panel
import feedback.panel
import feedback.review_panel
import feedback.routes
import model.panel
import model.routes
from analysis.monitoring import Monitor, open_monitor
from analysis.quality_watch import QualityWatch
from analysis.reader import Reader
from analysis.replaying import Replayer
from feedback import (
    condition_routes,
    health,
    identity,
    learned_routes,
    log_lines,
    login,
    metrics_routes,
    problems,
    warning_routes,
)
from feedback.autopilot import Autopilot
from feedback.client import home_of
from feedback.contributors_panel import Room
from feedback.demo import load_demo
from feedback.disk import refuse_full_disk
from feedback.entrance import LANGUAGE_PATHS
from feedback.errors import AmendError, Unauthorised
from feedback.experiment_routes import declare, perform
from feedback.home import write_atomically
from feedback.identity import visitor_of
from feedback.learned import Learned
from feedback.request_log import RequestLog
from feedback.staff import OWNER
from feedback.stopping import Server
from feedback.words import LANGUAGES, Words, label_words
from model.house import House, open_house
from model.versions import public_facts

HERE = Path(__file__).resolve().parent
WORDS = [HERE / room / "words.toml" for room in ("feedback", "model", "analysis")]


def create_app(house: House) -> FastAPI:
    """Return the app with routes, pages and middleware. Its life (lifespan) is the house's: it closes it."""
    demo, words = house.demo, house.words
    frame = house.store.frame
    reader = Reader(frame, house.experiments.get, Replayer(frame, house.predictor.answers, house.predictor.edits))
    pilot = Autopilot(house.experiments, reader.shippable)
    people = Room(house.room.contributors, house.room.blocking, house.room.alarms, house.room.acceptances, house.room.trust)

    monitor = _monitor(house) if demo.feed.enabled else None

    quality = QualityWatch(frame, lambda: house.experiments.champion, house.drift.now if house.drift else None)
    for name, probe in quality.probes().items():
        house.conditions.add(name, probe)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        house.begin()
        if monitor:
            monitor.begin()
        if demo.experiment.promote == "automatic":
            pilot.begin()
        yield
        if monitor:
            await run_in_threadpool(monitor.close)
        await run_in_threadpool(pilot.close)
        await run_in_threadpool(house.close)

    title = f"Amend: {demo.words(demo.title, 'en')}"
    app: FastAPI = FastAPIOffline(
        title=title, docs_url="/api/docs", redoc_url=None, openapi_url="/api/openapi.json", lifespan=life
    )
    problems.install(app)
    identity.install(app, home=house.home, staff=house.staff, demo=demo)
    mounts = [path + page for path in LANGUAGE_PATHS.values() for page in ("", "/studio")]
    app.add_middleware(RequestLog, meter=house.meter, trusted=demo.server.trusted_proxies, mounts=mounts)
    app.include_router(
        health.router(
            demo.name, house.home.identity, house.store, house.experiments,
            lambda version: version in house.predictor.loaded(), house.meter.pending,
        )
    )  # fmt: skip
    app.include_router(metrics_routes.router(house.meter.registry, demo.server.metrics_from))
    app.include_router(condition_routes.router(house.conditions, words))
    learned = Learned(house.store, house.home, partial(public_facts, house.versions), lambda: house.experiments.champion)
    app.include_router(learned_routes.router(learned, demo, words))
    for router in house.room.routers(house.predictor.task.widget):
        app.include_router(router)
    app.include_router(model.routes.router(house.retrainer, house.experiments, house.versions, house.cleaner, house.lane))
    app.include_router(analysis.routes.router(reader, feedback.routes.staff))
    if monitor:
        app.include_router(warning_routes.router(monitor.warnings, words))
    app.include_router(login.router(house.staff, house.limits, words, identity.login_cookie(demo.name), demo.server.embed))
    problems.unknown_api(app)
    for language in reversed(LANGUAGES):  # longer paths first: "/" would swallow "/zh"
        path = LANGUAGE_PATHS[language]
        _mount(
            app,
            _studio(house, language, reader, quality, people, monitor),
            f"{path}/studio",
            lambda request: visitor_of(request).staff,
            language,
        )
        _mount(app, _public(house, language), path or "/", None, language)
    return app


def _monitor(house: House) -> Monitor:
    return open_monitor(
        house.demo, house.store, house.room.feeds, lambda: house.predictor.task.labels, house.predictor.task.widget,
        house.predictor.answers, house.words, house.webhook.tell, house.conditions,
    )  # fmt: skip


def _public(house: House, language: str) -> gr.Blocks:
    (other,) = (known for known in LANGUAGES if known != language)
    page: gr.Blocks = feedback.panel.build(
        house.desk,
        house.pairs,
        house.asking,
        house.demo,
        widget=house.predictor.task.widget,
        labels=house.predictor.task.labels,
        words=house.words,
        language=language,
        visitor_of=visitor_of,
        other_language_url=f"{LANGUAGE_PATHS[other]}/?lang={other}",
        form=house.predictor.task.form,
        present=house.predictor.task.present,
        names=house.predictor.task.catalogue.titles(),
    )
    return page


def _studio(
    house: House, language: str, reader: Reader, quality: QualityWatch, people: Room, monitor: Monitor | None
) -> gr.Blocks:
    say = house.words.speaker(language)
    task = house.predictor.task
    names = task.catalogue.titles()
    blocks: gr.Blocks
    with gr.Blocks(title=say("studio.title"), analytics_enabled=False) as blocks:
        up = "../" * (LANGUAGE_PATHS[language].count("/") + 1)
        gr.HTML(
            f'<form method="post" action="{up}studio/logout" style="display:flex;gap:1rem;justify-content:flex-end;align-items:center">'
            f'<a href="{up}{LANGUAGE_PATHS[language].lstrip("/")}">{escape(say("studio.page"))}</a>'
            f'<button type="submit">{escape(say("login.out"))}</button></form>'
        )
        feedback.conditions_panel.build(house.conditions, house.words, language, _staff)
        with gr.Tab(say("studio.review")):
            feedback.contributors_panel.banner(people.alarms, house.words, language, _staff)
            feedback.review_panel.build(
                house.desk,
                house.demo,
                widget=task.widget,
                labels=task.labels,
                words=house.words,
                language=language,
                reviewer_of=_staff,
                names=names,
            )
        if task.hands_over:
            with gr.Tab(say("studio.questions")):
                feedback.handed_over_panel.build(house.room.handed_over, house.words, language, visitor_of, task.catalogue.titles)
        with gr.Tab(say("studio.contributors")):
            feedback.contributors_panel.build(
                people,
                house.demo,
                widget=task.widget,
                labels=task.labels,
                words=house.words,
                language=language,
                staff_of=_staff,
                names=names,
            )
        with gr.Tab(say("studio.data")):
            feedback.exchange_panel.build(
                house.room, house.demo, widget=task.widget, labels=task.labels, words=house.words, language=language, staff_of=_staff,
                names=names,
            )  # fmt: skip
        if monitor:
            with gr.Tab(say("studio.monitor")):
                analysis.monitor_panel.build(
                    say, monitor, house.desk, tuple(task.labels), house.demo.label_names, language=language,
                    told=partial(house.words.error, language), visitor_of=visitor_of, author_of=_staff,
                )  # fmt: skip
        with gr.Tab(say("studio.experiments")):
            analysis.panel.build(
                say,
                reader,
                house.experiments.all,
                partial(perform, house.experiments),
                partial(declare, house.experiments, house.demo.experiment.declared()),
                house.versions.numbers,
                house.demo.experiment.declared(),
                author_of=_staff,
                language=language,
            )
        with gr.Tab(say("studio.quality")):
            analysis.quality_panel.build(say, quality, author_of=_staff)
        with gr.Tab(say("studio.models")):
            model.panel.build(
                say, house.retrainer, house.experiments, house.versions, house.lane,
                author_of=_staff, engines=house.predictor.engines, names=partial(label_words, house.demo.label_names, language),
            )  # fmt: skip
    return blocks


def _staff(request: gr.Request) -> str:
    """Return who is logged in; the studio's mount lets nobody else through, and this asks again."""
    name = visitor_of(request).staff
    if name is None:
        raise Unauthorised("your login has ended: log in again", code="login_ended")
    return name


def _mount(app: FastAPI, blocks: gr.Blocks, path: str, auth: Callable[[Request], str | None] | None, language: str) -> None:
    blocks.queue(api_open=False, max_size=64, default_concurrency_limit=16)
    gr.mount_gradio_app(
        app, blocks, path, auth_dependency=auth, ssr_mode=False, run_history=False, footer_links=[], show_error=True,
        theme=feedback.panel.theme(), css=feedback.panel.css(), head=feedback.panel.head(language),
    )  # fmt: skip


def _opened(arguments: argparse.Namespace) -> House:
    """Open the demo's house, and say where it is served. Raises AmendError, on a disk that takes nothing StorageFull."""
    place = arguments.home or Path("var")
    try:
        demo = load_demo(arguments.demo)
        house = open_house(demo, home_of(demo.path, arguments.home), Words(WORDS))
        reached = "127.0.0.1" if arguments.host in ("0.0.0.0", "::") else arguments.host
        url = f"http://{reached}:{arguments.port}"
        password = house.staff.first_password()
        if password:
            print(
                f"studio login, shown this once: name {OWNER!r}, password {password!r} (change it: python -m feedback.staff password)"
            )
        house.staff.owner_token()
        write_atomically(house.home.running_file, json.dumps({"url": url, "pid": os.getpid()}))
    except OSError as error:
        refuse_full_disk(error, place)
        raise
    print(f"{demo.name} is served at {url}/ — the studio at {url}/studio/, the API at {url}/api/docs", flush=True)
    return house


def _created(house: House) -> FastAPI:
    """Return the app; where the demo asks for what cannot be wired, let go of the house first."""
    try:
        return create_app(house)
    except AmendError:
        house.close()
        raise


def main(argv: list[str] | None = None) -> int:
    """Serve a demo until it is stopped; return the exit status."""
    parser = argparse.ArgumentParser(prog="python app.py", description=__doc__)
    parser.add_argument("demo", nargs="?", type=Path, default=HERE / "demos" / "disease.toml", help="the demo's TOML file")
    # Gradio's own variables: a Space sets them, and without them its app could not be reached.
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=os.environ.get("GRADIO_SERVER_PORT", "7860"))
    parser.add_argument("--home", type=Path, default=None, help="where all that is written goes (default: var/NAME)")
    parser.add_argument("--log-format", choices=log_lines.FORMS, default=None, help="default: text on a terminal, else json")
    arguments = parser.parse_args(argv)
    log_lines.set_up(arguments.log_format)
    try:
        house = _opened(arguments)
        app = _created(house)
    except AmendError as error:
        print(f"{error.title}: {error}", file=sys.stderr)
        return 1
    Server(app, arguments.host, arguments.port).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
