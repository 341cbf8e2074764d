"""In a real browser: what people write, name, upload or explain appears as it was written, and never becomes markup, script or template."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.serving import THINGS, Served, served, small_demo

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVIL = (
    '<img src=x onerror="window.__xss=1"><svg onload=window.__xss=1></svg>{{7*7}}${7*7}</script><script>window.__xss=1</script>'
)
"""Every way in at once; what is shown begins with <img and holds {{7*7}} as it stands here."""
SHORT = "<img src=x onerror=__xss=1>"
"""For names of at most 40 characters."""
MADE = "img[src='x'], svg[onload], [onerror], [onload]"
"""What the browser would have made of it."""


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The real app of a demo whose title, examples and one label are hostile, in whose log everything else is too."""
    directory = tmp_path_factory.mktemp("markup")
    demo = small_demo(directory)
    quoted = json.dumps(EVIL)
    text = re.sub(r"(?m)^title = .*$", lambda _: f"title = {{ en = {quoted}, zh = {quoted} }}", demo.read_text(encoding="utf-8"))
    text = re.sub(r"(?m)^examples = .*$", lambda _: f"examples = [{quoted}]\nnotice = {quoted}\nplaceholder = {quoted}", text)
    demo.write_text(text.replace("[retraining]", f"hypothesis = {quoted}\n[retraining]"), encoding="utf-8")
    with (directory / "small.jsonl").open("a", encoding="utf-8") as file:
        for thing in THINGS:
            file.write(json.dumps({"text": f"Please explain how to use the {thing}", "label": SHORT}) + "\n")
    with served(demo, directory / "home") as running:
        running.house.staff.set_password("owner", "a good password")
        plant(running)
        yield running


def plant(running: Served) -> None:
    """Let visitors and staff write hostile words wherever they may."""
    with running.staff() as staff, running.visitor() as ann:
        ids = []
        for number in range(3):
            made = ann.post("/api/v1/predictions", json={"input": f"{number} {EVIL}"}).json()
            body = {"prediction_id": made["id"], "output": {"label": SHORT}, "comment": EVIL}
            ids.append(ann.post("/api/v1/corrections", json=body).json()["id"])
        staff.post("/api/v1/reviews", json={"correction_id": ids[0], "verdict": "reject", "reason": EVIL}).raise_for_status()
        rows = json.dumps({"text": f"from a file {EVIL}", "label": SHORT, "annotator": EVIL, "comment": EVIL})
        staff.post(
            "/api/v1/exchange/imports", json={"name": f"{EVIL}.jsonl", "form": "jsonl", "content": rows}
        ).raise_for_status()
        arms = [
            {"name": "control", "version": 1, "share": 0.5},
            {"name": SHORT, "version": 1, "share": 0.5, "settings": {"temperature": 2.0}},
        ]
        experiment = {"name": "evil", "hypothesis": EVIL, "variants": arms, "reason": EVIL}
        staff.post("/api/v1/experiments", json=experiment).raise_for_status()
        for number in range(12):
            with running.visitor() as somebody:
                made = somebody.post("/api/v1/predictions", json={"input": f"visitor {number} {EVIL}"}).json()
                body = {"prediction_id": made["id"], "output": {"label": "praise"}, "comment": EVIL}
                somebody.post("/api/v1/corrections", json=body).raise_for_status()


def clean(page: Page, place: Locator | None = None, text: str = "{{7*7}}${7*7}") -> None:
    """Assert that the words are there, as they were written, and that nothing was made of them."""
    expect(place or page.locator("body")).to_contain_text(text)
    page.wait_for_timeout(150)  # a picture that fails does so in a moment
    assert page.evaluate("window.__xss") is None
    assert page.locator(MADE).count() == 0
    assert page.evaluate("[...document.scripts].filter(one => one.textContent.trim() === 'window.__xss=1').length") == 0


@pytest.fixture(scope="module")
def owner(browser: Browser, evil: Served) -> Iterator[Page]:
    """The owner's browser, logged in."""
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 1200})
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.goto(f"{evil.url}/studio/login")
    page.locator("[name=name]").fill("owner")
    page.locator("[name=password]").fill("a good password")
    page.get_by_role("button").click()
    page.wait_for_url(f"{evil.url}/studio/")
    yield page
    context.close()


def tab(page: Page, evil: Served, name: str) -> Page:
    """Open a tab of the studio anew."""
    page.goto(f"{evil.url}/studio/")
    page.get_by_role("tab", name=name, exact=True).click()
    return page


@pytest.mark.parametrize("path", ["/", "/zh/"])
def test_the_public_page(page: Page, evil: Served, path: str) -> None:
    """Title, notice, example, one's text, the labels to choose from, the comment and the list of what one gave."""
    page.goto(evil.url + path)
    expect(page).to_have_title(re.compile("^<img src=x"))
    clean(page, page.get_by_role("heading", level=1))
    page.locator("#am-input").fill(EVIL)
    page.locator(".am-ask").click()
    card = page.locator(".am-answer")
    expect(card.locator(".am-actions")).to_be_visible()
    clean(page, card, SHORT)
    label = card.get_by_role("radio").filter(has_text=SHORT)
    expect(label).to_be_visible()
    if label.get_attribute("aria-checked") != "true":
        label.click()
    card.locator("summary").last.click()
    card.locator("textarea").last.fill(EVIL)
    send = "Send correction|Looks right" if path == "/" else "发送|看起来正确|提交"
    card.get_by_role("button", name=re.compile(send)).first.click()
    expect(card.locator(".am-status[data-kind=good]")).to_be_visible()
    clean(page, page.locator(".am-given"))
    page.goto(evil.url + path + "?lang=en&channel=" + SHORT)
    clean(page)


def test_the_review_page(owner: Page, evil: Served) -> None:
    """The item, its label, its comment and, once judged with a reason, the last verdict."""
    tab(owner, evil, "Review")
    expect(owner.locator(".am-progress")).not_to_be_empty()
    clean(owner)
    owner.keyboard.press("a")
    owner.wait_for_timeout(500)
    clean(owner)


def test_the_contributors_page(owner: Page, evil: Served) -> None:
    """One person's texts, labels, comments and reasons."""
    tab(owner, evil, "Contributors")
    people = owner.locator(".am-people .am-given-item")
    expect(people.first).to_be_visible()
    (who,) = evil.house.store.rows(
        "SELECT contributor FROM corrections c JOIN reviews r ON r.correction_id = c.id WHERE verdict = 'reject' LIMIT 1"
    )
    owner.get_by_label("Find by name").fill(str(who["contributor"]))
    owner.keyboard.press("Enter")
    expect(people).to_have_count(1)
    owner.get_by_role("button", name=str(who["contributor"])).click()
    clean(owner, owner.locator(".am-card:has(.am-person-name)"))
    expect(owner.locator(".am-card:has(.am-person-name)")).to_contain_text(SHORT)


def test_the_data_page(owner: Page, evil: Served) -> None:
    """A file's name, its columns, its rows, and its errors, which quote it."""
    tab(owner, evil, "Data")
    good = {"text": f"new {EVIL}", "label": SHORT, "comment": EVIL, EVIL: "a column"}
    bad = {"text": f"worse {EVIL}", "label": EVIL}
    content = "".join(json.dumps(row) + "\n" for row in (good, bad)).encode()
    owner.locator("input[type=file]").set_input_files(
        {"name": f"{EVIL}.jsonl".replace("/", "_"), "mimeType": "text/plain", "buffer": content}
    )
    result = owner.locator(".am-data-result")
    expect(result.get_by_role("alert")).to_contain_text("line 2")
    clean(owner, result.get_by_role("alert"))
    clean(owner, owner.locator(".am-data-rows"))
    owner.locator("input[type=file]").set_input_files(
        {"name": f"{SHORT}.jsonl", "mimeType": "text/plain", "buffer": EVIL.encode()}
    )
    expect(result.get_by_role("alert")).to_contain_text("not JSON")
    clean(owner, text=SHORT)


def test_the_experiments_page(owner: Page, evil: Served) -> None:
    """Hypothesis, variants' names, history with reasons; and a refusal that quotes what was typed."""
    tab(owner, evil, "Experiments")
    report = owner.locator("#experiments-report")
    expect(report).to_contain_text(SHORT)
    clean(owner, report)
    owner.locator("#declare button").first.click()
    owner.locator("#declare-name textarea, #declare-name input").fill(SHORT)
    owner.locator("#declare-guardrails textarea").fill(f"{SHORT} 1")
    owner.locator("#declare-button").click()
    expect(owner.get_by_test_id("toast-body").first).to_be_visible()
    clean(owner)


def test_the_models_page(owner: Page, evil: Served) -> None:
    """A promotion's author and reason, and a refusal."""
    tab(owner, evil, "Models")
    expect(owner.locator("#models-overview textarea")).not_to_have_value("")
    owner.locator("#models-reason textarea").fill(EVIL)
    owner.locator("#models-rollback").click()
    owner.wait_for_timeout(800)
    assert owner.evaluate("window.__xss") is None
    assert owner.locator(MADE).count() == 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_to_send_on(page: Page, evil: Served, tmp_path: Path, language: str) -> None:
    """The file itself, opened from a disk where no header protects it: no script runs, nothing is loaded."""
    with evil.staff() as staff:
        files: dict[str, Any] = staff.get("/api/v1/experiments/evil/report/files", params={"language": language}).json()
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+\.(html|md|svg)", name) for name in files)
    (tmp_path / "report.html").write_text(files["report.html"], encoding="utf-8")
    page.goto(f"file://{tmp_path}/report.html")
    clean(page)
    for name in (name for name in files if name.endswith(".svg")):
        assert "<img" not in files[name]
    assert re.findall(r"(?<!\\)<(?:img|svg|script|/script)", files["report.md"]) == [], "Markdown: a backslash stands before each"


def test_errors_are_data_or_escaped(page: Page, evil: Served) -> None:
    """An address, a query and a refused body that quote markup come back as JSON or as escaped text."""
    for path in (f"/api/v1/{EVIL}", f"/{EVIL}", f"/studio/login?next={EVIL}", f"/api/v1/exports/{EVIL}"):
        page.goto(evil.url + path)
        assert page.evaluate("window.__xss") is None
        assert page.locator(MADE).count() == 0
    with evil.visitor() as visitor:
        answer = visitor.post("/studio/login", data={"name": EVIL[:60], "password": EVIL})
        assert "<img" not in answer.text
        refused = visitor.post("/api/v1/corrections", json={"prediction_id": EVIL, "output": {}})
        assert refused.headers["content-type"] == "application/problem+json"
