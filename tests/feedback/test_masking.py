"""Identifiers: what is caught, what is not, and that a mask keeps every place where it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback.acceptance import Agreement
from feedback.blocking import Blocking
from feedback.desk import Desk
from feedback.errors import BadInput
from feedback.experiments import Experiments
from feedback.masking import Checking, Mode, Screen, find_identifiers, masked
from feedback.records import Visitor
from feedback.store import Store
from tests.conftest import WordsModel

CAUGHT = {
    "write to ann.o'hara+shop@mail.example.co.uk today": "email",
    "邮箱：zhang_san@例子.公司": "email",
    "call +44 20 7946 0958": "phone",  # numbers set aside for fiction by Ofcom and NANPA
    "call 0044 20 7946 0958": "phone",
    "or (020) 7946 0958": "phone",
    "ring (212) 555-0100 now": "phone",
    "ring 212.555.0100 now": "phone",
    "手机13800138000。": "phone",
    "手机 138-0013-8000": "phone",
    "电话010-62781234": "phone",
    "电话 0755 26012345": "phone",
    "+86 138 0013 8000": "phone",
    "card 4111 1111 1111 1111": "card",  # the schemes' public test numbers
    "card 3782-822463-10005": "card",
    "card 4111111111111111": "number",
    "身份证11010519491231002X": "identity",  # the example of GB 11643-1999
    "身份证 110105 19491231 002X": "identity",
    "ssn 078-05-1120": "identity",
    "IBAN GB82 WEST 1234 5698 7654 32": "iban",  # the example of the Wikipedia article on IBAN
    "iban DE89370400440532013000": "iban",
    "patient 123456789": "number",
    "卡号６２２２０２１２３４５６７８９": "number",
}
NOT_CAUGHT = (
    "My name is Ann Smith and I live at 12 High Street",
    "ann at example dot org",
    "five five five one two three four",
    "call 555 1234",
    "passport K1234567",
    "192.168.100.200",
    "@ann_smith",
)
INNOCENT = (
    "on 2024-01-15, 15.01.2024 and 01.02.2024 08:30",
    "from 2019 2020 2021 and 05-10-2023",
    "p < 0.00012345678, pi is 3.14159265358979",
    "1,234,567 people and 1 234 567 890 euros",
    "BRCA1, rs12345678, ISBN 978-0-306-40615-7",
    "card 4111 1111 1111 1112",  # the Luhn sum is wrong
    "GB82 WEST 1234 5698 7654 33",  # so is the check of this IBAN
    "order 12345678 of 10 mg, 3 times a day",
)


@pytest.mark.parametrize(("text", "kind"), CAUGHT.items())
def test_what_is_caught(text: str, kind: str) -> None:
    """Each form is found as what it is, and nothing of it is left to read."""
    (found,) = find_identifiers(text)
    assert found.kind == kind
    assert not any(char.isalnum() for char in masked(text)[found.start : found.end])


@pytest.mark.parametrize("text", [*NOT_CAUGHT, *INNOCENT])
def test_what_is_not_caught(text: str) -> None:
    """The limits that the module states, and numbers that are no identifiers: all stay as they are."""
    assert masked(text) == text


@given(st.text(alphabet=st.sampled_from("a@. +-()0123456789０９Xx肺\n😀"), max_size=80))
def test_a_mask_keeps_places_and_is_done_once(text: str) -> None:
    """As long as before in code points, the same outside of what was found, and masking again changes nothing."""
    once = masked(text)
    places = {place for found in find_identifiers(text) for place in range(found.start, found.end)}
    assert len(once) == len(text)
    assert all(once[i] == text[i] for i in range(len(text)) if i not in places)
    assert masked(once) == once


def desk_with(mode: Mode, store: Store) -> Desk:
    """Return a desk whose model is behind a screen."""
    experiments = Experiments(store)
    experiments.begin(1, "test")
    return Desk(store, Checking(WordsModel(), Screen(mode)), experiments, Agreement(2))


def test_a_masked_text_is_all_that_is_stored_and_read(store: Store, ann: Visitor) -> None:
    """The model reads the masked text, the log holds it alone, and a correction is checked on it."""
    desk = desk_with("mask", store)
    made = desk.predict(ann, "I am ann@example.org")
    assert made.input == "I am ***@*******.***"
    assert store.rows("SELECT input->>'$' AS text FROM predictions")[0]["text"] == made.input
    desk.correct(ann, made.id, {"label": "v2"})
    store.checkpoint()
    assert b"ann@example" not in store.file.read_bytes()


def test_a_refused_text_is_not_stored_and_not_repeated(store: Store, ann: Visitor) -> None:
    """The refusal names the kind, never the text; nothing is stored."""
    with pytest.raises(BadInput, match="email, phone") as refused:
        desk_with("refuse", store).predict(ann, "ann@example.org or +44 20 7946 0958")
    assert "ann" not in refused.value.detail
    assert "7946" not in refused.value.detail
    assert store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 0


def test_what_was_stored_before_the_setting_can_still_be_corrected(store: Store, ann: Visitor) -> None:
    """A text from when identifiers were kept keeps its places: a mask now would move nothing, but refuse would lock it."""
    made = desk_with("keep", store).predict(ann, "I am ann@example.org")
    desk = Desk(store, Checking(WordsModel(), Screen("refuse")), Experiments(store), Agreement(2))
    correction, _ = desk.correct(ann, made.id, {"label": "v2"})
    assert correction.output == {"label": "v2"}


def test_every_text_in_an_input_is_screened() -> None:
    """An input of several parts is screened part by part; numbers stay numbers."""
    value = {"question": "is it ann@b.org?", "parts": ["13800138000", 3], "n": None}
    assert Screen("mask").value(value) == {"question": "is it ***@*.***?", "parts": ["***********", 3], "n": None}


def test_reviewers_reasons_are_screened_too(store: Store, ann: Visitor) -> None:
    """Contributors read them: masked before they are stored, by every way to judge, and a retry is the same call."""
    screen = Screen("mask")
    experiments = Experiments(store)
    experiments.begin(1, "test")
    desk = Desk(store, Checking(WordsModel(), screen), experiments, Agreement(3), screen=screen.text)
    others = [desk.correct(who, desk.predict(who, "one").id, {"label": "v2"})[0] for who in (ann, Visitor("u_bob"))]
    judged = [desk.reviewing.judge("sue", others[0].id, "reject", reason="ask bob@example.org", key="k") for _ in range(2)]
    assert judged[0].reason == judged[1].reason == "ask ***@*******.***"
    assert [review.reason for review in desk.reviewing.repeat("sue", others[0].id)] == [judged[0].reason]
    Blocking(store, lambda _: None, screen.text).block("u_bob", "sue", "said +44 20 7946 0958 twice")
    store.checkpoint()
    assert desk.given(ann)[0].reason == "ask ***@*******.***"
    assert b"bob@example" not in store.file.read_bytes()
    assert b"7946" not in store.file.read_bytes()


def test_a_reviewers_reason_is_refused_where_texts_are(store: Store, ann: Visitor) -> None:
    """The same words, nothing stored."""
    screen = Screen("refuse")
    experiments = Experiments(store)
    experiments.begin(1, "test")
    desk = Desk(store, Checking(WordsModel(), screen), experiments, Agreement(2), screen=screen.text)
    said = desk.correct(ann, desk.predict(ann, "one").id, {"label": "v2"})[0]
    with pytest.raises(BadInput, match="email"):
        desk.review("sue", said.id, "reject", reason="ask bob@example.org")
    with pytest.raises(BadInput, match="email"):
        Blocking(store, lambda _: None, screen.text).block(ann.contributor, "sue", "bob@example.org")
    assert store.rows("SELECT * FROM reviews") == store.rows("SELECT * FROM blocks") == []
