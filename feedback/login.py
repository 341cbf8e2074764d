"""The studio's door: a login form of plain HTML, throttled, and the cookie that it gives. No Gradio, no JavaScript."""

from __future__ import annotations

import logging
from html import escape
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from feedback.errors import TooMany
from feedback.identity import cookie_header, visitor_of
from feedback.limits import Limits
from feedback.sessions import MARK_SECONDS, SESSION_SECONDS
from feedback.staff import OWNER, Staff
from feedback.words import Words

_LOG = logging.getLogger(__name__)
_ATTEMPTS_PER_MINUTE = 8
_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title><style>
:root {{ font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", sans-serif; }}
body {{ min-height: 100vh; margin: 0; display: grid; place-items: center; background: light-dark(#f6f7f9, #14161a); }}
form {{ width: min(22rem, calc(100vw - 3rem)); display: grid; gap: .9rem; padding: 1.8rem; border-radius: 14px;
  background: light-dark(#fff, #1d2026); color: light-dark(#1a1d23, #eceef2); box-shadow: 0 8px 30px rgb(0 0 0 / .08); }}
h1 {{ margin: 0; font-size: 1.25rem; }} label {{ display: grid; gap: .3rem; font-size: .9rem; }}
input {{ font: inherit; padding: .6rem .7rem; border-radius: 8px; border: 1px solid light-dark(#c8ccd4, #444a55);
  background: light-dark(#fff, #14161a); color: inherit; }}
button {{ font: inherit; font-weight: 600; padding: .7rem; border: 0; border-radius: 8px; background: #4f46e5; color: #fff; cursor: pointer; }}
input:focus-visible, button:focus-visible {{ outline: 3px solid #818cf8; outline-offset: 1px; }}
p[role=alert] {{ margin: 0; color: light-dark(#b42318, #fda29b); }}
</style></head><body><form method="post" action="{action}">
<h1>{title}</h1>{problem}
<label>{name}<input name="name" value="{owner}" autocomplete="username" required maxlength="64"></label>
<label>{password}<input name="password" type="password" autocomplete="current-password" required autofocus maxlength="200"></label>
<button>{enter}</button></form></body></html>"""


def router(staff: Staff, limits: Limits, words: Words, login_cookie: str, embed: bool) -> APIRouter:
    """Return /studio/login and /studio/logout."""
    api = APIRouter(include_in_schema=False)
    mark_cookie = f"{login_cookie}_browser"

    def page(request: Request, problem: str = "", status: int = 200) -> HTMLResponse:
        language = visitor_of(request).language
        texts = {key: escape(words.say(language, f"login.{key}")) for key in ("title", "name", "password", "enter")}
        said = f'<p role="alert">{escape(problem)}</p>' if problem else ""
        action = escape(f"{request.scope.get('root_path', '')}/studio/login")
        return HTMLResponse(_PAGE.format(lang=language, problem=said, owner=OWNER, action=action, **texts), status)

    def throttle(request: Request, name: str) -> None:
        """Count the attempt: of a browser that this person used before by itself, else of the network and of the name."""
        mark = staff.sessions.marked(request.cookies.get(mark_cookie, ""), name)
        if mark:
            limits.attempt("logins", f"browser:{mark}", _ATTEMPTS_PER_MINUTE)
            return
        limits.attempt("logins", visitor_of(request).network or "everybody", _ATTEMPTS_PER_MINUTE)
        limits.attempt("logins", f"name:{name}", _ATTEMPTS_PER_MINUTE)

    @api.get("/studio/login")
    def form(request: Request) -> HTMLResponse:
        return page(request)

    @api.post("/studio/login")
    def login(
        request: Request, name: Annotated[str, Form(max_length=64)] = "", password: Annotated[str, Form(max_length=200)] = ""
    ) -> Response:
        language = visitor_of(request).language
        try:
            throttle(request, name)
        except TooMany as error:
            answer = page(request, words.error(language, error), error.status)
            answer.headers["retry-after"] = str(error.retry_after)
            return answer
        if not staff.check_password(name, password):
            _LOG.warning("a login at the studio was refused")  # neither name nor password: people mix the fields up
            return page(request, words.say(language, "login.wrong"), 403)
        response = RedirectResponse(f"{request.scope.get('root_path', '')}/studio/", 303)
        _set(request, response, login_cookie, staff.sessions.begin(name), SESSION_SECONDS)
        _set(request, response, mark_cookie, staff.sessions.mark(name), MARK_SECONDS)
        return response

    @api.post("/studio/logout")
    def logout(request: Request) -> Response:
        staff.sessions.end(request.cookies.get(login_cookie, ""))
        response = RedirectResponse(f"{request.scope.get('root_path', '')}/studio/login", 303)
        _set(request, response, login_cookie, "", 0)
        return response

    def _set(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
        path = request.scope.get("root_path") or "/"
        secure = request.url.scheme == "https"
        cookie = cookie_header(name, value, path=path, secure=secure, embed=embed, max_age=seconds)
        response.headers.append("set-cookie", cookie)

    return api
