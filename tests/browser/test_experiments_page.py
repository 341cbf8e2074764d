"""The Experiments page in a real browser: every state on a phone, what buttons pass on, the proof, the form, the links."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.analysis.made_reports import STATES
from tests.browser.experiments_site import Site, served_experiments

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """The page over made reports, an experiment a state."""
    with served_experiments() as served:
        yield served


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A phone of 360 pixels that likes it dark."""
    context = browser.new_context(
        viewport={"width": 360, "height": 780}, is_mobile=True, has_touch=True, color_scheme="dark", reduced_motion="reduce"
    )
    yield context.new_page()
    context.close()


def show(page: Page, site: Site, state: str, path: str = "/studio/") -> None:
    """Open the page and pick the experiment in a state."""
    page.goto(site.url + path)
    expect(page.locator("#experiments-report h2")).to_be_visible()
    page.locator("#experiments-pick input").click()
    page.get_by_role("option", name=state, exact=True).click()
    expect(page.locator("#experiments-report p").first).to_have_text(re.compile(f"^{state}(, number|，第)"))


@pytest.mark.parametrize("path", ["/studio/", "/zh/studio/"])
def test_every_state_fits_a_phone(phone: Page, site: Site, path: str) -> None:
    """Nothing is wider than 360 pixels; wide tables scroll inside themselves; the verdict stands before everything else."""
    for state in STATES:
        show(phone, site, state, path)
        assert phone.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), state
        tops = phone.evaluate(
            "[...document.querySelectorAll('#experiments-report h2, #experiments-report h3')].map(e => e.getBoundingClientRect().top)"
        )
        assert tops == sorted(tops)
        assert phone.locator("#experiments-report h2").count() == 1


def test_axis_labels_can_be_read_on_a_phone(phone: Page, site: Site) -> None:
    """The plot's letters are at least nine pixels high at 360 pixels, and take the dark page's own colour."""
    show(phone, site, "better")
    text = phone.locator("#experiments-report svg.effect text").first
    size = phone.evaluate("e => 12 * e.ownerSVGElement.getBoundingClientRect().width / e.ownerSVGElement.viewBox.baseVal.width",
                          text.element_handle())  # fmt: skip
    assert size >= 9
    assert text.evaluate("e => getComputedStyle(e).fill") == phone.locator("#experiments-report").evaluate(
        "e => getComputedStyle(e.querySelector('.experiment-report')).color"
    )


def test_no_other_host_is_asked(page: Page, site: Site, abroad: list[str]) -> None:
    """The page needs nothing from elsewhere."""
    show(page, site, "several")
    assert abroad == []


def test_buttons_pass_on_who_and_why(page: Page, site: Site) -> None:
    """Pause and ramp reach the use case with author and reason; the reason's field is empty afterwards."""
    site.acts.clear()
    show(page, site, "better")
    expect(page.locator("#experiments-start")).to_be_hidden()
    expect(page.locator("#experiments-resume")).to_be_hidden()
    reason = page.locator("#experiments-reason textarea")
    reason.fill("a slow disk")
    page.locator("#experiments-pause").click()
    expect(reason).to_have_value("")
    reason.fill("slowly")
    page.locator("#experiments-coverage input[type=number]").fill("20")
    page.locator("#experiments-ramp").click()
    expect(reason).to_have_value("")
    assert [(name, what["action"], what["changes"], what["reason"], author) for name, what, author in site.acts] == [
        ("better", "pause", {}, "a slow disk", "ann"),
        ("better", "change", {"coverage": 0.2}, "slowly", "ann"),
    ]


def test_a_decision_needs_a_reason_and_a_refusal_has_words(page: Page, site: Site) -> None:
    """Without a reason nothing happens; a refusal is shown as text; then winner and promotion are passed on."""
    site.acts.clear()
    show(page, site, "guarded")
    page.locator("#experiments-winner input").click()
    page.get_by_role("option", name="v2", exact=True).click()
    page.locator("#experiments-promote input").check()
    page.locator("#experiments-decide").click()
    expect(page.get_by_text("Write a reason first: a decision is for good")).to_be_visible()
    show(page, site, "guarded")
    page.locator("#experiments-reason textarea").fill("refuse")
    page.locator("#experiments-pause").click()
    expect(page.get_by_text("<b>no</b>, not in this state")).to_be_visible()
    assert site.acts == []
    page.locator("#experiments-winner input").click()
    page.get_by_role("option", name="v2", exact=True).click()
    page.locator("#experiments-reason textarea").fill("won")
    page.locator("#experiments-decide").click()
    expect(page.locator("#experiments-reason textarea")).to_have_value("")
    name, what, author = site.acts[-1]
    assert (name, what["action"], what["winner"], what["promote"], author) == ("guarded", "decide", "v2", False, "ann")


def test_prove_it_shows_the_rule_beside_its_controls(page: Page, site: Site) -> None:
    """Three rows, the rule in force first; another experiment takes them away; votes have no such button."""
    show(page, site, "better")
    page.locator("#experiments-prove").click()
    rows = page.locator("#experiments-proof tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("The rule in force")
    show(page, site, "votes")
    expect(rows).to_have_count(0)
    expect(page.locator("#experiments-prove")).to_be_hidden()


def test_the_form_declares(page: Page, site: Site) -> None:
    """A bad guardrail line is told in words and nothing is declared; the mended form declares it, with the demo's defaults."""
    site.declared.clear()
    show(page, site, "better")
    page.locator("#declare button").first.click()
    page.locator("#declare-name textarea, #declare-name input").fill("spring")
    for field, version in (("control", "version 1"), ("challenger", "version 3")):
        page.locator(f"#declare-{field} input").click()
        page.get_by_role("option", name=version, exact=True).last.click()  # the other list may still be fading
    page.locator("#declare-guardrails textarea").fill("latency")
    page.locator("#declare-button").click()
    expect(page.get_by_text("Guardrail 'latency': a line is")).to_be_visible()
    assert site.declared == []
    page.locator("#declare-guardrails textarea").fill("latency 0.1")
    page.locator("#declare-button").click()
    expect(page.get_by_text("Declared: declared.")).to_be_visible()
    expect(page.locator("#experiments-report p").first).to_have_text(re.compile("^declared, number"))
    given, author, start = site.declared[-1]
    assert (given["name"], author, start) == ("spring", "ann", True)
    assert given["variants"] == [{"name": "champion", "version": 1, "share": 0.5}, {"name": "v3", "version": 3, "share": 0.5}]
    assert given["guardrails"] == [{"metric": "latency", "margin": 0.1}]
    assert given["n_max"] == 2000


@pytest.mark.parametrize("path", ["/studio/", "/zh/studio/"])
def test_the_links_lead_to_the_files(page: Page, site: Site, path: str) -> None:
    """Each of the relative links is there, in both languages, and the report is in the page's own."""
    show(page, site, "small", path)
    links = page.locator("#experiments-links a")
    expect(links).to_have_count(3)
    answers = [page.request.get(str(link.evaluate("a => a.href"))) for link in links.all()]
    assert [answer.status for answer in answers] == [200, 200, 200]
    language = "zh" if "zh" in path else "en"
    assert f'<html lang="{language}">' in answers[0].text()


def test_the_report_file_fits_a_phone(phone: Page, site: Site, abroad: list[str]) -> None:
    """The file that is sent on is no wider than a phone either, and runs no script."""
    phone.goto(f"{site.url}/api/v1/experiments/several/report.html?language=en")
    expect(phone.locator("h2")).to_have_text("v2 is better")
    assert phone.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert phone.locator("details[open]").count() == 2
    assert abroad == []
