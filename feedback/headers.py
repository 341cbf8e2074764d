"""What every answer says to browsers and caches about itself: what a page may load, who may frame it, who may keep it."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

_PAGE = (
    "default-src 'self'",
    # Gradio starts its pages with inline scripts, and a component of ours is a script that Gradio compiles (new Function).
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",  # no picture elsewhere: what gets into a page cannot tell a stranger
    "font-src 'self' data:",
    "connect-src 'self'",
    "worker-src 'self' blob:",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
)
_DATA = ("default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", "base-uri 'none'", "form-action 'none'")
"""Answers of /api/v1: data, and a report that is markup without a script."""
_HSTS_SECONDS = 365 * 24 * 3600


def protect(out: MutableHeaders, *, path: str, secure: bool, embed: bool, foreign: bool) -> None:
    """Complete an answer's headers. What a route says by itself stands.

    `path` is without a proxy's prefix; `secure`: the browser came by https; `embed`: foreign pages may frame ours;
    `foreign`: a page of another origin asks, which server.origins does not name: it may not read the answer.
    """
    data = path.startswith("/api/v1/")
    rules = [*(_DATA if data else _PAGE), *([] if embed else ["frame-ancestors 'self'"])]
    out.setdefault("content-security-policy", "; ".join(rules))
    out.setdefault("x-content-type-options", "nosniff")
    out.setdefault("referrer-policy", "same-origin")
    out.setdefault("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
    if not embed:
        out.setdefault("cross-origin-opener-policy", "same-origin")
    if secure:
        out.setdefault("strict-transport-security", f"max-age={_HSTS_SECONDS}")
    if foreign:  # Gradio lets every origin read, with cookies, wherever its host is no loopback address
        for name in ("access-control-allow-origin", "access-control-allow-credentials"):
            if name in out:
                del out[name]
    if data or "/studio" in path:
        out.setdefault("cache-control", "no-store")
    elif out.get("content-type", "").startswith("text/html"):
        out.setdefault(
            "cache-control", "private, no-cache"
        )  # it names the host that it was asked for, and one visitor's language
    if "set-cookie" in out:  # kept by a shared cache it would make two visitors one
        out["cache-control"] = "no-store"
