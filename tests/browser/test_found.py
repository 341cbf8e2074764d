"""What the cleaning found, on the Review page in a real browser: nobody said it, and a reviewer may give a third answer."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from feedback.leases import Leases
from feedback.records import Example, input_hash
from model.suspects import Suspect, suggest
from model.task import task_type
from tests.browser.served_site import Site
from tests.browser.test_review import give, studio, verdict_of

pytestmark = pytest.mark.browser


@pytest.fixture
def site(spans_site: Site, request: pytest.FixtureRequest) -> Site:
    """The site with an empty queue and one suspect: a fever that the data call a drug, and the model nothing."""
    text = f"fever in {request.node.originalname}"  # a text is not asked about again with a proposal that was rejected
    spans_site.desk.reviewing.leases = Leases()
    for item in spans_site.desk.queue():
        spans_site.desk.review("test", item.id, "reject")
    task = task_type("token_classification")(("Disease", "Symptom", "Drug"))
    label = {"spans": [{"start": 0, "end": 5, "label": "Drug"}]}
    suspect = Suspect("train", Example(text, label, input_hash=input_hash(text)), 0.03, {"spans": []})
    suggest(spans_site.store, task, [suspect], 1)
    return spans_site


def test_a_suspect_says_where_it_comes_from(page: Page, site: Site) -> None:
    """The sides are the data and a model, not the model and a person; a visitor's correction reads as before."""
    studio(page, site)
    card = page.locator(".am-item")
    expect(card.locator(".am-side h3")).to_have_text(["The data say", "A model says that had not seen this text"])
    expect(card.locator(".am-badge")).to_have_text("found by the cleaning")
    expect(card).to_contain_text("that model gives the label as it stands 3 %")
    expect(card.locator(".am-why")).to_contain_text("a model that did not learn from this text contradicts its label")
    expect(card).not_to_contain_text("person")
    expect(card.locator(".am-answers li")).to_have_count(0)
    give(site, "tracker says so")
    page.keyboard.press("s")
    expect(card.locator(".am-side h3")).to_have_text(["The model said", "A person says"])


def test_a_reviewer_gives_a_third_answer(page: Page, site: Site) -> None:
    """Neither the data nor the model is right: `m`, the right label, `m` again."""
    (item,) = site.desk.queue()
    studio(page, site)
    page.keyboard.press("m")
    for key in ("Home", "2", "m"):
        page.keyboard.press(key)
    expect(page.locator(".am-done")).to_be_visible()
    review = verdict_of(site, item.id)
    assert (review["verdict"], json.loads(str(review["output"]))) == (
        "amend",
        {"spans": [{"start": 0, "end": 5, "label": "Symptom"}]},
    )
