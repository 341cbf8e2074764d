"""The studio's door: a login form of plain HTML, throttled, and the cookie that it gives. No Gradio, no JavaScript."""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from feedback.errors import TooMany
from feedback.identity import cookie_header, visitor_of
from feedback.limits import Limits
from feedback.staff import OWNER, SESSION_SECONDS, Staff
from feedback.words import Words

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

    def page(request: Request, problem: str = "", status: int = 200) -> HTMLResponse:
        language = visitor_of(request).language
        texts = {key: escape(words.say(language, f"login.{key}")) for key in ("title", "name", "password", "enter")}
        said = f'<p role="alert">{escape(problem)}</p>' if problem else ""
        action = escape(f"{request.scope.get('root_path', '')}/studio/login")
        return HTMLResponse(_PAGE.format(lang=language, problem=said, owner=OWNER, action=action, **texts), status)

    @api.get("/studio/login")
    def form(request: Request) -> HTMLResponse:
        return page(request)

    @api.post("/studio/login")
    def login(
        request: Request, name: Annotated[str, Form(max_length=64)] = "", password: Annotated[str, Form(max_length=200)] = ""
    ) -> Response:
        visitor = visitor_of(request)
        try:
            limits.attempt("logins", visitor.network or "everybody", _ATTEMPTS_PER_MINUTE)
            limits.attempt("logins", f"name:{name}", _ATTEMPTS_PER_MINUTE)
        except TooMany as error:
            return page(request, words.error(visitor.language, error), 429)
        if not staff.check_password(name, password):
            return page(request, words.say(visitor.language, "login.wrong"), 403)
        response = RedirectResponse(f"{request.scope.get('root_path', '')}/studio/", 303)
        response.headers["set-cookie"] = _cookie(request, staff.login(name), SESSION_SECONDS)
        return response

    @api.post("/studio/logout")
    def logout(request: Request) -> Response:
        response = RedirectResponse(f"{request.scope.get('root_path', '')}/studio/login", 303)
        response.headers["set-cookie"] = _cookie(request, "", 0)
        return response

    def _cookie(request: Request, value: str, seconds: int) -> str:
        path = request.scope.get("root_path") or "/"
        return cookie_header(login_cookie, value, path=path, secure=request.url.scheme == "https", embed=embed, max_age=seconds)

    return api
