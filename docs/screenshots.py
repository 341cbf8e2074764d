"""Makes the pictures in docs/images/ from the real app, so that they show what is there. Not part of the app, and no test.

`python docs/screenshots.py` trains the starters of two demos in a throwaway home (some minutes), serves them, acts as
people do, and takes the pictures. With `--home DIR` the trained homes are kept in DIR and used again.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
from playwright.sync_api import Browser, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
START_SECONDS = 1800
TEXT = "Grandma has type 2 diabetes and takes metformin; since Sunday she has been rather woozy."
OTHER = "The biopsy confirmed hereditary breast cancer."
MESSAGE = "The headphones arrived with a cracked case."


class Served(NamedTuple):
    """A running app: its address without a slash at the end, and how to get into the studio."""

    url: str
    password: str


@contextlib.contextmanager
def served(demo: str, home: Path) -> Iterator[Served]:
    """Run `python app.py demos/NAME.toml` on a free port until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    home.mkdir(parents=True, exist_ok=True)
    output = home / "output.txt"
    command = [sys.executable, "app.py", f"demos/{demo}.toml", "--home", str(home), "--port", str(port)]
    with output.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(url, process, output)
        found = re.search(r"password '([^']+)'", output.read_text(encoding="utf-8"))
        yield Served(url, found.group(1) if found else "")
    finally:
        process.terminate()
        process.wait(20)


def wait_for(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    """Wait until the app answers; raise RuntimeError with its output where it ends first."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the app ended with {process.returncode}: {output.read_text(encoding='utf-8')[-2000:]}")
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url + "/", follow_redirects=True).is_success:
                return
        time.sleep(0.5)
    raise RuntimeError(f"no answer from {url} within {START_SECONDS} s")


class Camera:
    """Opens pages as different people and takes their pictures."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def page(self, *, phone: bool = False, dark: bool = False, language: str = "en-GB") -> Page:
        """Return a page of a new person."""
        context = self._browser.new_context(
            viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 900},
            device_scale_factor=2 if phone else 1,
            is_mobile=phone,
            has_touch=phone,
            color_scheme="dark" if dark else "light",
            locale=language,
            reduced_motion="reduce",
        )
        return context.new_page()

    def take(self, page: Page, name: str) -> None:
        """Save the whole page as docs/images/NAME.png."""
        page.wait_for_timeout(400)  # fonts, transitions
        page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
        print(f"docs/images/{name}.png")


def ask(page: Page, url: str, text: str) -> Locator:
    """Open the page, send a text and return the answer."""
    page.goto(url)
    page.locator("#am-input").fill(text)
    page.locator(".am-ask").click()
    card = page.locator(".am-answer")
    card.locator(".am-actions").wait_for()
    return card


def mark_last_word(page: Page, card: Locator) -> None:
    """Mark the last word before the full stop with the second label, or with the third where it has the second."""
    card.locator(".am-text").focus()
    for key in ("End", "ArrowLeft"):
        page.keyboard.press(key)
    has_it = card.locator(".am-chip").nth(1).get_attribute("aria-pressed") == "true"
    page.keyboard.press("3" if has_it else "2")


def send(card: Locator) -> None:
    """Send whatever is offered first, and wait for the thanks."""
    card.locator(".am-actions .am-primary").click()
    card.locator(".am-status[data-kind=good]").wait_for()


def public_states(camera: Camera, site: Served) -> None:
    """Empty, answered, edited, offline, sent, given; Chinese, phone and dark."""
    page = camera.page()
    page.goto(site.url + "/")
    page.locator(".am-ask").wait_for()
    camera.take(page, "page-empty")
    card = ask(page, site.url + "/", TEXT)
    camera.take(page, "page-answered")
    mark_last_word(page, card)
    camera.take(page, "page-edited")
    page.context.set_offline(True)
    card.get_by_role("button", name="Send correction").click()
    card.locator(".am-status[data-kind=bad]").wait_for()
    camera.take(page, "page-offline")
    page.context.set_offline(False)
    send(card)
    camera.take(page, "page-sent")
    send(ask(page, site.url + "/", OTHER))
    page.locator(".am-given-item").nth(1).get_by_role("button").click()
    page.locator(".am-badge[data-status=withdrawn]").wait_for()
    camera.take(page, "page-given")
    for name, phone, dark, path, language in (
        ("page-dark", False, True, "/", "en-GB"),
        ("page-phone", True, False, "/", "en-GB"),
        ("page-phone-dark", True, True, "/", "en-GB"),
        ("page-chinese", False, False, "/zh/", "zh-CN"),
    ):
        page = camera.page(phone=phone, dark=dark, language=language)
        mark_last_word(page, ask(page, site.url + path, TEXT))
        camera.take(page, name)


def studio_states(camera: Camera, site: Served) -> None:
    """The login and every tab of the studio; the review page as well on a phone."""
    for suffix, phone in (("", False), ("-phone", True)):
        page = camera.page(phone=phone)
        page.goto(site.url + "/studio/login")
        camera.take(page, f"studio-login{suffix}")
        page.locator("[name=password]").fill(site.password)
        page.get_by_role("button").click()
        page.goto(site.url + "/studio/")
        page.locator(".am-verdict:visible").first.wait_for()
        camera.take(page, f"studio-review{suffix}")
        if not phone:
            page.keyboard.press("m")
            camera.take(page, "studio-review-amend")
            for tab in page.get_by_role("tab").all()[1:]:
                tab.click()
                page.wait_for_timeout(1500)
                camera.take(page, f"studio-{re.sub('[^a-z]+', '-', tab.inner_text().lower()).strip('-')}")
            page.goto("about:blank")  # leaving gives the item back: one page's item is offered to no other
            page.wait_for_timeout(1000)


def choice_states(camera: Camera, site: Served) -> None:
    """The demo with one choice out of many, answered and sent."""
    page = camera.page()
    card = ask(page, site.url + "/", MESSAGE)
    camera.take(page, "choice-answered")
    card.get_by_role("radio").nth(6).click()
    send(card)
    camera.take(page, "choice-sent")


def main() -> int:
    """Take all pictures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=None, help="keep the trained homes here (default: thrown away)")
    arguments = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as thrown_away, sync_playwright() as playwright:
        home = (arguments.home or Path(thrown_away)).resolve()
        camera = Camera(playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS))
        with served("disease", home / "disease") as site:
            public_states(camera, site)
            studio_states(camera, site)
        with served("support", home / "support") as site:
            choice_states(camera, site)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
