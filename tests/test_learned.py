"""What a demo tells everybody, and what it tells a partner: counts and sealed scores, in both languages, and no text of anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.serving import Served, served, small_demo

SECRET = "nobody may read this zebra"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served demo with one correction by a partner's visitor, accepted."""
    directory = tmp_path_factory.mktemp("learned")
    with served(small_demo(directory), directory / "home") as running:
        with running.visitor() as ann, running.staff() as staff:
            made = ann.post("/api/v1/predictions?channel=garden", json={"input": SECRET}).json()
            body = {"prediction_id": made["id"], "output": {"label": "praise"}, "comment": "zebra comment"}
            given = ann.post("/api/v1/corrections", json=body).json()
            staff.post("/api/v1/reviews", json={"correction_id": given["id"], "verdict": "accept", "reason": "zebra reason"})
        yield running


def test_counts_and_versions_without_a_text(site: Served) -> None:
    """The JSON, and both pages say the same, and nothing that anybody wrote or is called."""
    with site.visitor() as anybody:
        told = anybody.get("/api/v1/learned").json()
        assert (told["visitors"], told["answers"], told["accepted"], told["rejected"]) == (1, 1, 1, 0)
        assert told["corrections"] + told["confirmations"] == 1
        (version,) = told["versions"]
        assert (version["number"], version["kind"], version["serving"]) == (1, "seed", True)
        assert version["score"] == pytest.approx(site.house.versions.card(1).scores["test"]["main"], abs=1e-4)
        for path, words in (("/learned", "What people did"), ("/zh/learned", "人们做了什么")):
            page = anybody.get(path, headers={"accept": "text/html"})
            assert page.status_code == 200
            assert words in page.text
            assert "zebra" not in page.text
            assert f"{version['score']:.3f}" in page.text
            assert not re.search(r"https?://(?!127\.0\.0\.1)", page.text)
            assert "<script" not in page.text
        assert "zebra" not in anybody.get("/api/v1/learned").text


def test_a_partner_sees_its_channel_and_no_other(site: Served) -> None:
    """Staff make the links; the report opens with its key alone; another channel's name with this key does not."""
    with site.visitor() as partner, site.staff() as staff:
        assert partner.get("/api/v1/channels/garden/links").status_code == 401
        links = staff.get("/api/v1/channels/garden/links").json()
        assert links["visit"].endswith("/?channel=garden")
        report = partner.get(links["report"])
        assert report.status_code == 200
        assert ">1<" in report.text
        assert "garden" in report.text
        assert "zebra" not in report.text
        assert partner.get(links["report"].replace("/learned/garden", "/learned/other")).status_code == 404
        assert partner.get(f"{site.url}/learned/garden?key=x").status_code == 404
        assert partner.get(f"{site.url}/learned/garden").status_code == 404
        empty = staff.get("/api/v1/channels/nobody-came/links").json()
        assert "Nothing yet" in partner.get(empty["report"]).text
        assert staff.get("/api/v1/channels/a%20b/links").status_code == 422
