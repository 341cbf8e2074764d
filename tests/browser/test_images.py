"""Drawing a digit in a real browser, with the demo as it is served: the picture travels as greys, is shown again, and is corrected."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from model.pictures import picture_of, pixels_of
from tests.conftest import ROOT
from tests.serving import Served, served
from tests.test_loop import ended, said

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The digits demo."""
    with served(ROOT / "demos" / "digits.toml", tmp_path_factory.mktemp("digits") / "home") as running:
        yield running


def draw(page: Page, points: list[tuple[float, float]]) -> None:
    """Draw a line through points in shares of the board."""
    page.locator(".am-board").scroll_into_view_if_needed()
    box = page.locator(".am-board").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def last(life: Served) -> tuple[str, str]:
    """Return the newest correction's picture and label."""
    (row,) = life.house.store.rows("SELECT input, output FROM current_corrections ORDER BY created DESC LIMIT 1")
    return json.loads(row["input"]), json.loads(row["output"])["label"]


def test_a_drawing_is_answered_shown_and_corrected(page: Page, life: Served, abroad: list[str]) -> None:
    """A stroke from top to bottom goes out as 16 by 16 greys with its ink in the middle, and is a one; a digit key corrects it."""
    page.goto(life.url + "/")
    ask = page.locator(".am-ask")
    expect(ask).to_be_disabled()
    draw(page, [(0.3, 0.1), (0.3, 0.9)])
    expect(page.locator(".am-seen canvas")).to_be_visible()
    ask.click()
    card = page.locator(".am-answer")
    expect(card.get_by_role("radio", name=re.compile("^1"))).to_have_attribute("aria-checked", "true")
    expect(card.locator(".am-picture-frame canvas")).to_be_visible()
    card.get_by_role("radio", name=re.compile("^7")).click()
    card.get_by_role("button", name="Send correction").click()
    expect(card.locator(".am-status[data-kind=good]")).to_be_visible()
    picture, label = last(life)
    pixels = pixels_of(picture)
    assert pixels.shape == (16, 16)
    assert label == "7"
    assert pixels[:, 7:9].min() > 0.5  # in the middle and as high as fits: 20 of about 225 points wide, 1.4 of 16 columns
    assert pixels[:, :5].max() == pixels[:, 11:].max() == 0.0
    expect(page.locator(".am-given-item canvas")).to_be_visible()
    expect(page.locator(".am-given-item .am-picked")).to_have_text("7")
    draw(page, [(0.6, 0.2), (0.8, 0.8)])
    expect(card.locator(".am-note")).to_be_visible()  # what stands on the board is no longer what was answered
    page.locator(".am-form-body").get_by_role("button", name="Clear").click()
    expect(ask).to_be_disabled()
    assert abroad == []


def test_a_picture_file_stays_in_the_browser(page: Page, life: Served, tmp_path: Path) -> None:
    """White ink on black is turned round; the greys alone are sent; a file that is no picture is told."""
    width, height = 40, 60
    rows = b"".join(b"\0" + bytes(255 if 12 <= x < 28 and 10 <= y < 50 else 0 for x in range(width)) for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    file = tmp_path / "bar.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing of the kind")
    page.goto(life.url + "/")
    chooser = page.locator("input[type=file]")
    chooser.set_input_files(bad)
    expect(page.locator(".am-form-body .am-status")).to_contain_text("cannot read")
    chooser.set_input_files(file)
    page.locator(".am-ask").click()
    card = page.locator(".am-answer")
    card.get_by_role("button", name="Looks right").click()
    expect(card.locator(".am-status[data-kind=good]")).to_be_visible()
    pixels = pixels_of(last(life)[0])
    assert pixels[:, 8].min() > 0.9
    assert pixels[:, 0].max() == 0.0


def test_corrections_of_pictures_are_believed_learned_and_gated(life: Served) -> None:
    """Two people call rings with a dot inside fives; a retraining learns it from its parent, and the gate judges it."""
    across, down = np.mgrid[0:16, 0:16] - 7.5
    from_middle = np.hypot(across, down)
    with life.staff() as staff, life.visitor() as ann, life.visitor() as bob:
        for number in range(22):  # so few that no retraining begins by itself
            ring = np.clip(1.5 - np.abs(from_middle - 5 - number / 20), 0, 1) + np.clip(1.6 + number / 40 - from_middle, 0, 1)
            for person in (ann, bob):
                shown = said(person.post("/api/v1/predictions", json={"input": picture_of(np.clip(ring, 0, 1))}))
                said(person.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": {"label": "5"}}))
        run = ended(staff, said(staff.post("/api/v1/retrainings", json={}), 202)["id"])
        assert run["state"] in ("passed", "undecided", "failed"), run
        _, second = said(staff.get("/api/v1/versions"), 200)
    assert {check["name"] for check in second["gate"]["checks"]} >= {"old_domain", "feedback", "class:5", "calibration"}
    assert second["scores"]["test"]["accuracy"] > 0.95
