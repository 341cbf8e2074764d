"""The widgets' Python side, their colours, their scripts and the catalogue of words: what can be checked without a browser."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from string import Formatter

import pytest

from feedback.demo import Demo
from feedback.desk import Given
from feedback.errors import BadInput
from feedback.exchange_panel import fields_of
from feedback.panel import status_words
from feedback.records import Json, now
from feedback.widgets import WIDGETS, choice, choices, span_editor, widget_named
from feedback.widgets.kind import Kind
from feedback.widgets.page import facts_of
from feedback.widgets.palette import PALETTE, contrast
from feedback.words import LANGUAGES, Words
from tests.conftest import ROOT

WIDGET_FILES = sorted((ROOT / "feedback" / "widgets").glob("*"))
SCRIPTS = [file for file in WIDGET_FILES if file.suffix == ".js"]
STYLES = [file for file in WIDGET_FILES if file.suffix == ".css"]
CATALOGUE = ROOT / "feedback" / "words.toml"
LABELS = ("Disease", "Drug")
GOOD = {"start": 0, "end": 2, "label": "Drug"}


def texts(language: str) -> dict[str, str]:
    """Return the feedback room's own texts of a language."""
    table: dict[str, str] = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))[language]
    return table


def placeholders(text: str) -> set[str]:
    """Return the names that a text wants filled."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


# -- the browser's value is untrusted


def test_spans_are_rebuilt_sorted_and_bare() -> None:
    """Order and extra keys of the browser do not reach the desk."""
    sent = {"spans": [{**GOOD, "start": 5, "end": 9, "confidence": 2, "__proto__": 1}, GOOD], "x": 1}
    assert span_editor.read(sent, LABELS) == {"spans": [GOOD, {"start": 5, "end": 9, "label": "Drug"}]}


@pytest.mark.parametrize(
    "value",
    [
        None, [], "spans", 7, {}, {"spans": None}, {"spans": {"0": GOOD}}, {"spans": ["x"]}, {"spans": [{**GOOD, "start": True}]},
        {"spans": [{**GOOD, "end": 2.0}]}, {"spans": [{**GOOD, "start": "0"}]}, {"spans": [{"start": 0, "end": 2}]},
        {"spans": [{**GOOD, "label": "Nothing"}]}, {"spans": [{**GOOD, "label": ["Drug"]}]},
    ],
)  # fmt: skip
def test_spans_of_another_shape_are_refused(value: Json) -> None:
    """Whatever a client sends in place of spans is a BadInput, never a crash."""
    with pytest.raises(BadInput):
        span_editor.read(value, LABELS)


def test_a_choice_is_rebuilt() -> None:
    """Extra keys of the browser do not reach the desk."""
    assert choice.read({"label": "Drug", "confidence": 1}, LABELS) == {"label": "Drug"}


@pytest.mark.parametrize(
    "value", [None, [], "Drug", 7, {}, {"label": None}, {"label": ["Drug"]}, {"label": "Nothing"}, {"label": ""}]
)
def test_a_choice_of_another_shape_is_refused(value: Json) -> None:
    """Whatever a client sends in place of a choice is a BadInput, never a crash."""
    with pytest.raises(BadInput):
        choice.read(value, LABELS)


HEADS = ("topic/deal", "topic/other", "mood/good", "mood/bad/very")


def test_choices_are_rebuilt() -> None:
    """Extra keys of the browser do not reach the desk, a head may be left out, and a label may hold a slash."""
    sent = {"labels": {"topic": "deal", "mood": "bad/very"}, "confidences": {"topic": 1}}
    assert choices.read(sent, HEADS) == {"labels": {"topic": "deal", "mood": "bad/very"}}
    assert choices.read({"labels": {"mood": "good"}}, HEADS) == {"labels": {"mood": "good"}}


@pytest.mark.parametrize(
    "value",
    [
        None, [], "deal", 7, {}, {"labels": None}, {"labels": {}}, {"labels": ["topic/deal"]}, {"labels": {"topic": None}},
        {"labels": {"topic": ["deal"]}}, {"labels": {"topic": "good"}}, {"labels": {"": "deal"}}, {"labels": {"mood/bad": "very"}},
    ],
)  # fmt: skip
def test_choices_of_another_shape_are_refused(value: Json) -> None:
    """Whatever a client sends in place of choices is a BadInput, never a crash."""
    with pytest.raises(BadInput):
        choices.read(value, HEADS)


def test_choices_in_files_are_renamed() -> None:
    """A label takes its new name, in another head too; a dropped one leaves its head unsaid, and of nothing nothing is left."""
    assert choices.from_cell({"topic": "deal", "mood": None}) == {"labels": {"topic": "deal"}}
    output = choices.from_cell({"topic": "m&a", "mood": "meh"})
    assert choices.renamed(output, {"topic/m&a": "topic/deal", "mood/meh": ""}) == {"labels": {"topic": "deal"}}
    assert choices.renamed(output, {"topic/m&a": "", "mood/meh": ""}) is None
    with pytest.raises(BadInput, match="labels is"):
        choices.from_cell({"topic": 3})


def test_an_unknown_widget_is_named_with_the_choices() -> None:
    """A task that asks for a widget nobody wrote is told which there are."""
    with pytest.raises(ValueError, match=r"unknown widget 'boxes': available are .*choice, choices"):
        widget_named("boxes")


# -- colours


@pytest.mark.parametrize("colour", PALETTE)
def test_labels_are_legible(colour: tuple[str, str, str, str]) -> None:
    """Ink on ground has a contrast of at least 4.5 in light and dark (WCAG 2.2, success criterion 1.4.3, level AA)."""
    light, light_ink, dark, dark_ink = colour
    assert contrast(light, light_ink) >= 4.5
    assert contrast(dark, dark_ink) >= 4.5


def test_contrast_of_black_and_white() -> None:
    """Black on white has a contrast of 21, a colour on itself of 1 (WCAG 2.2, definition of contrast ratio)."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#777777") == 1


INKS_ON = {
    "bg": ("ink", "muted"), "card": ("ink", "muted", "accent"), "field": ("ink", "muted"), "accent": ("on-accent",),
    "accent-soft": ("ink",), "good-soft": ("good",), "bad-soft": ("bad",), "note-soft": ("note",),
}  # fmt: skip


@pytest.mark.parametrize(("ground", "inks"), INKS_ON.items())
@pytest.mark.parametrize("theme", [0, 1])
def test_the_page_is_legible(theme: int, ground: str, inks: tuple[str, ...]) -> None:
    """Every pair of text and ground that the style sheet uses has a contrast of at least 4.5, light (0) and dark (1)."""
    blocks = (ROOT / "feedback" / "widgets" / "page.css").read_text(encoding="utf-8").split("}")[theme]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks))
    for ink in inks:
        assert contrast(colours[ground], colours[ink]) >= 4.5, (ground, ink)


# -- scripts and styles


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_texts_never_become_markup(script: Path) -> None:
    """No script writes markup, evaluates text or opens a frame: users' text enters by textContent alone."""
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|srcdoc|createContextualFragment"
    )
    assert not re.search(forbidden, script.read_text(encoding="utf-8"))


@pytest.mark.parametrize("style", STYLES, ids=lambda file: file.name)
def test_styles_survive_gradios_templates(style: Path) -> None:
    """Gradio reads a component's style as a JavaScript template: it holds no backtick, backslash, `${` or `{{`."""
    text = style.read_text(encoding="utf-8")
    assert not [mark for mark in ("`", "\\", "${", "{{", "url(", "@import") if mark in text]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_every_word_a_script_says_is_in_the_catalogue(script: Path) -> None:
    """A key that a script names exists, with the placeholders' names all known to the page."""
    named = set(
        re.findall(r'"((?:page|spans|choice|choices|image|image_choice|review)\.\w+)"', script.read_text(encoding="utf-8"))
    )
    assert named <= texts("en").keys()


def test_no_word_of_the_pages_is_unused() -> None:
    """Every key of the pages is named by a script or by the room's Python."""
    sources = "\n".join(
        f.read_text(encoding="utf-8") for f in [*SCRIPTS, *(ROOT / "feedback").rglob("*.py"), *(ROOT / "model").rglob("*.py")]
    )
    unused = [
        key for key in texts("en") if key.split(".")[0] in ("page", "spans", "choice", "choices", "review") and key not in sources
    ]
    assert [key for key in unused if not key.startswith("review.done_")] == []


# -- words


def test_every_key_stands_in_every_language() -> None:
    """English and Chinese have the same keys, with the same placeholders, and none is empty."""
    assert LANGUAGES == ("en", "zh")
    english, chinese = texts("en"), texts("zh")
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert text.strip()
        assert chinese[key].strip()
        assert placeholders(text) == placeholders(chinese[key]), key


def test_every_error_code_has_words() -> None:
    """A code that feedback or a task raises has its sentence in the catalogue."""
    sources = [*(ROOT / "feedback").rglob("*.py"), *(ROOT / "model" / "tasks").glob("*.py")]
    codes = {code for file in sources for code in re.findall(r'code="(\w+)"', file.read_text(encoding="utf-8"))}
    assert {"no_prediction", "text_too_long"} <= codes
    assert {f"error.{code}" for code in codes} <= texts("en").keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_words_keep_their_placeholders(language: str) -> None:
    """What the browser fills in arrives there unfilled."""
    demo = Demo.model_validate({"path": "t.toml", "name": "t", "task": "any", "title": "T", "data": {"train": "x"}})
    facts = facts_of(demo, LABELS, Words([CATALOGUE]), language, ("page", "spans", "choice", "choices", "review"))
    for key, text in facts["words"].items():
        assert text == texts(language)[key]


# -- what became of a correction


def given(status: str, versions: tuple[int, ...] = (), checks: tuple[int, ...] = ()) -> Given:
    """Return a correction in this status."""
    return Given("c", "p", "text", {}, {}, False, "", status, "", versions, checks, now())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        (given("pending"), "waiting"),
        (given("accepted"), "accepted"),
        (given("accepted", versions=(7,)), "accepted; taught version 7"),
        (given("accepted", versions=(7, 9)), "accepted; taught version 7, 9"),
        (given("accepted", checks=(8,)), "accepted; used to check version 8"),
        (given("rejected"), "not accepted"),
        (given("withdrawn", versions=(7,)), "withdrawn"),
    ],
)
def test_status_in_words(correction: Given, expected: str) -> None:
    """A contributor reads where a correction stands, and which versions it taught or checked."""
    assert status_words(correction, Words([CATALOGUE]).speaker("en")) == expected


def test_the_widgets_are_those_a_task_may_ask_for() -> None:
    """Every widget has its script beside it, which declares the one name that pages use."""
    for kind in WIDGETS.values():
        scripts = [(ROOT / "feedback" / "widgets" / name).read_text(encoding="utf-8") for name in (*kind.above, kind.script)]
        assert ["const widget = {" in script for script in scripts] == [True, *(False for _ in kind.above)]


@pytest.mark.parametrize("kind", WIDGETS.values(), ids=lambda kind: kind.name)
def test_the_data_page_can_ask_for_every_widgets_column(kind: Kind) -> None:
    """What a file calls the column of the answers is asked for in words, whatever the widget."""
    fields = {name for names in fields_of(kind.name).values() for name in names}
    assert {f"data.field_{name}" for name in fields} <= texts("en").keys()
