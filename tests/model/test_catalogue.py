"""What a catalogued task answers out of: files, folders of documents, additions, and what is refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedback.errors import BadDemo
from model.catalogue import FILE, Catalogue, Entry, load_catalogue, new_id


def test_a_file_and_a_table_say_the_same(tmp_path: Path) -> None:
    """JSONL and CSV give equal entries; other columns come along; what a version writes is read again."""
    rows = [
        {"id": "a", "text": "first", "title": "One", "questions": ["what?", "which?"], "language": "en"},
        {"id": "b", "text": "zweite, mit Komma"},
    ]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "c.csv").write_text(
        'id,text,title,questions,language\na,first,One,"what?\nwhich?",en\nb,"zweite, mit Komma",,,\n', encoding="utf-8"
    )
    one, two = load_catalogue(tmp_path / "c.jsonl"), load_catalogue(tmp_path / "c.csv")
    assert one.entries == two.entries
    assert one.entries[0] == Entry("a", "first", "One", ("what?", "which?"), {"language": "en"})
    assert one.titles() == {"a": "One", "b": "zweite, mit Komma"}
    one.write(tmp_path)
    assert load_catalogue(tmp_path / FILE).entries == one.entries


def test_documents_are_cut_at_their_headings(tmp_path: Path) -> None:
    """A passage has the headings above it for title; its id names the file; a long one is cut at blank lines, a text file has one."""
    (tmp_path / "deep").mkdir()
    long = "\n\n".join(f"paragraph {i} " + "word " * 60 for i in range(8))
    (tmp_path / "deep" / "guide.md").write_text(f"before\n\n# Care\nlight\n## Water\n{long}\n# Soil\npeat\n", encoding="utf-8")
    (tmp_path / "note.txt").write_text("one note", encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"no text")
    found = {entry.id: entry for entry in load_catalogue(tmp_path).entries}
    assert found["deep/guide#1"].text == "before"
    assert found["deep/guide#2"].title == "Care"
    assert found["deep/guide#3"].title == "Care › Water"
    assert found["deep/guide#3.2"].title == "Care › Water"
    assert all(len(entry.text) < 1600 for entry in found.values())
    assert found["deep/guide#4"].title == "Soil"
    assert found["note#1"].title == "note"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.jsonl", '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', r"c.jsonl:2.*'a'.*twice"),
        ("c.jsonl", '{"id": "a"}\n', r"c.jsonl:1.*text"),
        ("c.jsonl", '{"id": " ", "text": "x"}\n', r"c.jsonl:1.*id"),
        ("c.jsonl", "[1]\n", r"c.jsonl:1.*object"),
        ("c.jsonl", "{oops\n", r"c.jsonl:1.*JSON"),
        ("c.jsonl", '{"id": "a", "text": "x", "questions": [1]}\n', r"c.jsonl:1.*questions"),
        ("c.jsonl", "\n", r"holds no entry"),
        ("c.xlsx", "x", r"\.jsonl or \.csv"),
    ],
)
def test_broken_catalogues_are_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    """File, line, value and rule."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadDemo, match=said):
        load_catalogue(tmp_path / name)
    with pytest.raises(BadDemo, match="cannot be read"):
        load_catalogue(tmp_path / "gone.jsonl")


def test_additions_come_and_go() -> None:
    """They stand after the owner's entries, or in one's place; what is no more accepted is gone again; each change has a revision."""
    own = Catalogue([Entry("a", "first"), Entry("b", "second")])
    assert own.add([Entry("new", "third", questions=("q?",)), Entry("a", "reworded")])
    assert [entry.id for entry in own.entries] == ["a", "b", "new"]
    assert own.revision == 1
    entry, kept = own.get("a"), own.own("a")
    assert entry is not None
    assert kept is not None
    assert (entry.text, kept.text) == ("reworded", "first")
    assert not own.add([Entry("a", "reworded"), Entry("new", "third", questions=("q?",))])
    assert own.revision == 1
    other = own.with_([Entry("c", "fourth")])
    assert own.add([])
    assert [entry.text for entry in own.entries] == ["first", "second"]
    assert "new" in other
    assert "new" not in own


def test_equal_wordings_share_an_id() -> None:
    """Case and white space make no other answer."""
    assert new_id("We  sell\nboats") == new_id("we sell boats") != new_id("we sell boots")
