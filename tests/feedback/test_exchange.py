"""Annotated data through the log: contributors, traps, all or nothing, the same file twice, round trips, channels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.acceptance import Agreement
from feedback.desk import Desk, Model
from feedback.errors import AmendError, BadInput, Conflict, TooLarge
from feedback.exchange import datasets_library
from feedback.exchange.annotation import MOST_ERRORS, Annotation
from feedback.exchange.contributor_ids import annotator_name, namespace
from feedback.exchange.forms import write_file
from feedback.exchange.incoming import Importer
from feedback.exchange.outgoing import annotations_of, channel_counts
from feedback.experiments import Experiments
from feedback.masking import Checking, Mode, Screen
from feedback.records import Json, Visitor
from feedback.store import Store
from feedback.transfer import check_log
from tests.conftest import WordsModel
from tests.feedback.exchanging import CHOICE, SPANS, SpansModel, accepted_set, empty, importer_of, opinions, take

TEXTS = (
    '=HYPERLINK("http://x", "y") is no asthma',
    "'=1 'twas asthma",
    '😀 naïve e\u0301tude, of\nasthma\u2028then "BRCA1"\tand more',
    "# text = O",
    "-DOCSTART- asthma; a,b",
    "  two  blanks and asthma  \r\n",
    "@home + away ＝ asthma",
)


def rows(*lines: dict[str, object]) -> bytes:
    """Return JSONL."""
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def labelled(text: str, label: str, annotator: str, **more: object) -> dict[str, object]:
    """Return a row with a label."""
    return {"text": text, "label": label, "annotator": annotator, **more}


def test_each_annotator_is_a_contributor_and_the_policy_judges(store: Store, experiments: Experiments) -> None:
    """Two annotators who agree are accepted, two who differ undecided, one alone pending; predictions count in no metric."""
    raw = rows(
        labelled("one", "v2", "7"), labelled("one", "v2", "8"), labelled("two", "v2", "7"), labelled("two", "v3", "8"),
        labelled("three", "v1", "7"),
    )  # fmt: skip
    taken = take(importer_of(store, WordsModel(), experiments), raw, "jsonl", CHOICE, "crowd.jsonl")
    assert (taken.stored, taken.annotators) == (5, 2)
    found = store.rows("SELECT input, status FROM current_corrections")
    assert sorted((r["input"], r["status"]) for r in found) == [
        ('"one"', "accepted"), ('"one"', "accepted"), ('"three"', "pending"), ('"two"', "undecided"), ('"two"', "undecided"),
    ]  # fmt: skip
    made = store.rows("SELECT DISTINCT forced, experiment, channel, version FROM predictions")
    assert made == [{"forced": True, "experiment": "", "channel": "import", "version": 1}]
    people = {r["contributor"] for r in store.rows("SELECT contributor FROM corrections")}
    assert people == {namespace("crowd.jsonl") + "7", namespace("crowd.jsonl") + "8"}
    assert store.rows("SELECT confirmation FROM corrections WHERE output->>'label' = 'v1'") == [{"confirmation": True}]


def test_the_same_file_again_stores_nothing_and_a_longer_one_the_rest(store: Store, experiments: Experiments) -> None:
    """Importing twice leaves one row an annotation; a row more is one row more; the same words twice in a file are one."""
    importer = importer_of(store, WordsModel(), experiments)
    raw = rows(labelled("one", "v2", "a"), labelled("one", "v2", "a"), labelled("one", "v2", "b"))
    first = take(importer, raw, "jsonl", CHOICE)
    assert (first.stored, first.repeated, first.known) == (2, 1, 0)
    again = take(importer, raw, "jsonl", CHOICE)
    assert (again.stored, again.repeated, again.known) == (0, 1, 2)
    longer = take(importer, raw + rows(labelled("two", "v2", "a")), "jsonl", CHOICE)
    assert (longer.stored, longer.known) == (1, 2)
    assert store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 3


def test_an_import_that_ended_before_judging_is_judged_by_the_next(store: Store, experiments: Experiments) -> None:
    """The rows are durable before the policy looks at them: where it never did, importing the file again lets it."""
    raw = rows(labelled("one", "v2", "a"), labelled("one", "v2", "b"))
    take(Importer(store, WordsModel(), experiments, lambda _: None), raw, "jsonl", CHOICE)
    assert accepted_set(store) == set()
    assert take(importer_of(store, WordsModel(), experiments), raw, "jsonl", CHOICE).known == 2
    assert len(accepted_set(store)) == 1


def test_a_copy_under_another_name_is_refused(store: Store, experiments: Experiments) -> None:
    """Otherwise the same annotators would be other contributors, who agree with themselves; other people's file is taken."""
    importer = importer_of(store, WordsModel(), experiments)
    raw = rows(labelled("one", "v2", "a"), labelled("two", "v3", "a"))
    take(importer, raw, "jsonl", CHOICE, "a.jsonl")
    with pytest.raises(Conflict, match="2 of 3 annotations are there already"):
        take(importer, raw + rows(labelled("three", "v3", "a")), "jsonl", CHOICE, "copy of a.jsonl")
    assert accepted_set(store) == set()
    take(importer, rows(labelled("one", "v2", "b")), "jsonl", CHOICE, "b.jsonl")
    assert len(accepted_set(store)) == 1


def test_all_or_nothing_with_places(store: Store, experiments: Experiments) -> None:
    """One bad row of a file refuses all of it; each error names its line and rule; past twenty they are counted."""
    importer = importer_of(store, WordsModel(), experiments)
    with pytest.raises(BadInput) as refused:
        take(importer, rows(labelled("one", "v2", "a"), labelled("", "v2", "a"), labelled("x", "v9", "a")), "jsonl", CHOICE)
    said = refused.value.detail
    assert "2 errors, nothing of the file was stored" in said
    assert "line 2: input ''" in said
    assert "line 3: output {'label': 'v9'}" in said
    with pytest.raises(BadInput) as many:
        take(importer, rows(*(labelled("x", f"w{i}", "a") for i in range(50))), "jsonl", CHOICE)
    assert many.value.detail.count("line ") == MOST_ERRORS
    assert "and 30 more" in many.value.detail
    assert store.rows("SELECT (SELECT count(*) FROM predictions) + (SELECT count(*) FROM corrections) AS n")[0]["n"] == 0


def test_limits_are_the_pages(store: Store) -> None:
    """A text that is too long, a span outside of it, overlapping spans and a long comment are refused as on the page."""
    importer = importer_of(store, SpansModel())
    inside = {"start": 0, "end": 2, "label": "Gene"}
    broken: list[tuple[dict[str, object], str]] = [
        ({"text": "x" * 2001, "spans": []}, "at most 2000"),
        ({"text": "ab", "spans": [{**inside, "end": 3}]}, "within 0..2"),
        ({"text": "ab", "spans": [inside, inside]}, "overlap"),
        ({"text": "ab", "spans": [{**inside, "label": "gene"}]}, "unknown label 'gene'"),
        ({"text": "ab", "spans": [], "comment": "y" * 1001}, "at most 1000"),
        ({"text": "a\ud800b", "spans": []}, "surrogate"),
    ]
    for row, rule in broken:
        with pytest.raises(BadInput, match=rule):
            take(importer, rows(row), "jsonl", SPANS)


def test_duplicated_ids_are_told(store: Store, experiments: Experiments) -> None:
    """Two annotations with one id are an error that names both lines."""
    raw = rows(labelled("one", "v2", "a", id="x"), labelled("two", "v2", "a", id="x"))
    with pytest.raises(BadInput, match="line 2: id 'x' stands at line 1 already"):
        take(importer_of(store, WordsModel(), experiments), raw, "jsonl", CHOICE)


def test_gold_rows_are_traps(store: Store, experiments: Experiments) -> None:
    """A row marked gold is an item of known truth, once; a changed truth is a newer trap; two truths in one file are an error."""
    importer = importer_of(store, WordsModel(), experiments)
    raw = rows(labelled("one", "v2", "a", gold=True), labelled("two", "v2", "a"))
    taken = take(importer, raw, "jsonl", CHOICE)
    assert (taken.traps, taken.stored) == (1, 1)
    assert take(importer, raw, "jsonl", CHOICE).known_traps == 1
    assert take(importer, rows(labelled("ONE", "v3", "a", gold=True)), "jsonl", CHOICE).traps == 1
    trap = store.rows("SELECT output->>'label' AS label, source, author, active FROM current_traps")
    assert trap == [{"label": "v3", "source": "gold", "author": "sue", "active": True}]
    with pytest.raises(BadInput, match="line 2: this input's known truth is another at line 1"):
        take(importer, rows(labelled("x", "v2", "a", gold=True), labelled("x", "v3", "b", gold=True)), "jsonl", CHOICE)
    assert opinions(annotations_of(store, "gold")) == [('"ONE"', '{"label": "v3"}')]


def test_the_newest_word_of_an_annotator_counts(store: Store, experiments: Experiments) -> None:
    """Times in the file order an annotator's opinions, however the rows stand."""
    raw = rows(
        labelled("one", "v3", "a", time="2026-02-01T00:00:00Z"), labelled("one", "v2", "a", time="2026-01-01T00:00:00+01:00"),
        labelled("one", "v3", "b", time=1.5),
    )  # fmt: skip
    take(importer_of(store, WordsModel(), experiments), raw, "jsonl", CHOICE)
    assert accepted_set(store) == {('"one"', '{"label": "v3"}')}


def test_identifiers_are_masked_or_refused_as_on_the_page(store: Store, experiments: Experiments) -> None:
    """Under the demo's screen no e-mail address is stored of a text or comment, and where it refuses, the line is named."""
    row = rows(labelled("write to ann@example.org", "v2", "a", comment="or bob@example.org"))
    modes: tuple[Mode, ...] = ("mask", "refuse")
    for mode in modes:
        screen = Screen(mode)
        model = Checking(WordsModel(), screen)
        importer = Importer(store, model, experiments, lambda _: None, screen=screen.text)
        if mode == "refuse":
            with pytest.raises(BadInput, match="line 1: the text holds what looks like personal data"):
                take(importer, row, "jsonl", CHOICE, "other")
        else:
            take(importer, row, "jsonl", CHOICE)
    kept = store.rows("SELECT input::VARCHAR || comment AS kept FROM current_corrections")
    assert [r["kept"] for r in kept] == ['"write to ***@*******.***"or ***@*******.***']


def test_names_that_could_be_people_are_hashed() -> None:
    """Plain names stay readable; an e-mail address is not stored; nameless annotations are one contributor."""
    assert annotator_name("worker-7") == "worker-7"
    assert "@" not in annotator_name("ann@example.org")
    assert annotator_name("ann@example.org") != annotator_name("bob@example.org")
    assert annotator_name("") == "-"


def fill(desk: Desk, right: Sequence[Json], other: Sequence[Json], texts: Sequence[str]) -> None:
    """Let two agree on every text, and a third differ on every other."""
    for number, text in enumerate(texts):
        for who, output in (("u_a", right[number]), ("u_b", right[number]), ("u_c", other[number])):
            if who != "u_c" or number % 2:
                visitor = Visitor(who, channel="partner" if number % 2 else "")
                desk.correct(visitor, desk.predict(visitor, text).id, output, "=1+1" if who == "u_a" else "")


def spans_in(text: str) -> Json:
    """Return the mark on `asthma`, and on BRCA1 cut inside a word, where they are."""
    found = [(text.find("asthma"), "asthma", "Disease"), (text.find("BRCA1"), "BRC", "Gene")]
    return {"spans": [{"start": at, "end": at + len(word), "label": label} for at, word, label in sorted(found) if at >= 0]}


def desk_of(store: Store, model: Model) -> Desk:
    """Return a desk over an empty log."""
    experiments = Experiments(store)
    experiments.begin(1, "test")
    return Desk(store, model, experiments, Agreement(2))


@pytest.mark.parametrize("form", ["csv", "jsonl", "conll", "label_studio", "datasets"])
def test_spans_come_back_as_they_went(store: Store, tmp_path: Path, form: str) -> None:
    """What is exported and imported into an empty home is accepted there in the same set, to the character."""
    desk = desk_of(store, SpansModel())
    fill(desk, [spans_in(text) for text in TEXTS], [{"spans": []}] * len(TEXTS), TEXTS)
    assert len(accepted_set(store)) == len(TEXTS)
    everything = annotations_of(store, "all")
    if form == "datasets":
        pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")
        datasets_library.write(everything, tmp_path / "set")
        raw, form = datasets_library.to_jsonl(tmp_path / "set"), "jsonl"
    else:
        raw = write_file(everything, form)
    with empty(tmp_path) as other:
        taken = take(importer_of(other, SpansModel()), raw, form, SPANS)
        assert (taken.stored, taken.annotators) == (len(everything), 3)
        assert accepted_set(other) == accepted_set(store)
        back = annotations_of(other, "all")
        assert opinions(back) == opinions(everything)
        assert sorted(a.comment for a in back) == sorted(a.comment for a in everything)


@pytest.mark.parametrize("form", ["csv", "jsonl", "label_studio", "question_answers"])
def test_labels_come_back_as_they_went(store: Store, tmp_path: Path, form: str) -> None:
    """The same for one label a text; the exported channel alone is what came by it."""
    desk = desk_of(store, WordsModel())
    fill(desk, [{"label": "v2"}] * len(TEXTS), [{"label": "v3"}] * len(TEXTS), TEXTS)
    everything = annotations_of(store, "all")
    with empty(tmp_path) as other:
        take(importer_of(other, WordsModel()), write_file(everything, form), form, CHOICE)
        assert accepted_set(other) == accepted_set(store)
        assert opinions(annotations_of(other, "all")) == opinions(everything)
    partner = annotations_of(store, "accepted", "partner")
    assert {a.input for a in partner} == set(TEXTS[1::2])
    assert {a.input for a in annotations_of(store, "accepted", "")} == set(TEXTS[::2])
    assert len(annotations_of(store, "training", "partner")) == len(TEXTS[1::2])


def test_a_reviewers_word_comes_back_on_the_importers_word(store: Store, tmp_path: Path) -> None:
    """What a person accepted or amended is pending elsewhere, unless staff import it as accepted; twice stores one review."""
    desk = desk_of(store, WordsModel())
    ann = Visitor("u_ann")
    for text, verdict, output in (("one", "accept", None), ("two", "amend", {"label": "v1"}), ("three", "reject", None)):
        correction, _ = desk.correct(ann, desk.predict(ann, text).id, {"label": "v2"})
        desk.review("sue", correction.id, verdict, output)
    raw = write_file(annotations_of(store, "all"), "jsonl")
    with empty(tmp_path) as other:
        importer = importer_of(other, WordsModel())
        take(importer, raw, "jsonl", CHOICE)
        assert accepted_set(other) == set()
        assert take(importer, raw, "jsonl", CHOICE, accepted=True).accepted == 2
        assert take(importer, raw, "jsonl", CHOICE, accepted=True).accepted == 0
        assert accepted_set(other) == accepted_set(store) == {('"one"', '{"label": "v2"}'), ('"two"', '{"label": "v1"}')}


def test_counts_by_channel(store: Store) -> None:
    """Visitors, predictions, corrections, accepted and rejected by channel, the busiest first; withdrawn ones count no more."""
    desk = desk_of(store, WordsModel())
    fill(desk, [{"label": "v2"}] * 3, [{"label": "v3"}] * 3, ["one", "two", "three"])
    ann = Visitor("u_ann", channel="p2")
    correction, _ = desk.correct(ann, desk.predict(ann, "four").id, {"label": "v2"})
    desk.review("sue", correction.id, "reject")
    gone, _ = desk.correct(ann, desk.predict(ann, "five").id, {"label": "v2"})
    desk.withdraw(ann, gone.id)
    assert [tuple(counts)[:6] for counts in channel_counts(store)] == [
        ("", 2, 4, 4, 4, 0),
        ("partner", 3, 3, 3, 2, 0),
        ("p2", 1, 2, 1, 0, 1),
    ]


def test_what_cannot_be_taken_is_told(store: Store, experiments: Experiments) -> None:
    """A bad channel, too many annotations, an unknown set: each by value and rule."""
    importer = importer_of(store, WordsModel(), experiments)
    one = Annotation("line 1", "one", {"label": "v2"}, time=datetime(2026, 1, 1))
    with pytest.raises(BadInput, match="channel 'a b'"):
        importer.take([one], "f", "sue", channel="a b")
    with pytest.raises(TooLarge, match="at most 100000"):
        importer.take([one] * 100_001, "f", "sue")
    with pytest.raises(BadInput, match="available are accepted, all, training, gold"):
        annotations_of(store, "some")
    with pytest.raises(BadInput, match="belong to no channel"):
        annotations_of(store, "gold", "partner")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.builds(
            labelled,
            st.sampled_from(["one", "two", "ONE ", "", "\ud800", "é"]),
            st.sampled_from(["v1", "v2", "v9"]),
            st.sampled_from(["a", "b", "x@y", "", "n\u2028m", "\0"]),
            gold=st.sampled_from([False, False, True]),
            id=st.sampled_from(["", "", "1", "2"]),
            comment=st.sampled_from(["", "=1", "c" * 1001]),
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["f", "g"]),
)
def test_whatever_a_file_holds_it_is_all_in_or_all_out(
    store: Store, experiments: Experiments, lines: list[dict[str, object]], name: str
) -> None:
    """After any file the log has as many corrections as before, or one of each annotation; every prediction has its correction."""

    def sizes() -> dict[str, int]:
        sql = """SELECT (SELECT count(*) FROM predictions) AS p, (SELECT count(*) FROM corrections) AS c,
                        (SELECT count(*) FROM traps) AS t, (SELECT count(*) FROM predictions WHERE NOT forced) AS f"""
        return store.rows(sql)[0]

    before = sizes()
    try:
        taken = take(importer_of(store, WordsModel(), experiments), rows(*lines), "jsonl", CHOICE, name)
    except AmendError:
        assert sizes() == before
        return
    after = sizes()
    assert after["p"] == after["c"] == before["c"] + taken.stored
    assert after["t"] == before["t"] + taken.traps
    assert after["f"] == 0
    assert taken.stored + taken.known + taken.repeated + taken.traps + taken.known_traps <= len(lines)
    assert check_log(store) == []
