"""Label Studio's own form, as version 1.23.2 writes it and as it takes it. The tasks are written by hand, with every key it writes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from feedback.exchange.annotation import Annotation, Read, Reading
from feedback.exchange.forms import read_file, write_file

TEXT = "🙂 Gout runs in her family, asthma too.\r\n哮喘"
NOBODY_ELSE = {"id", "result", "was_cancelled", "ground_truth", "task", "created_at", "amend"}


def region(id_: str, words: str, label: str, control: str = "label") -> dict[str, Any]:
    """Return a marked part of TEXT."""
    start = TEXT.index(words)
    value = {"start": start, "end": start + len(words), "text": words, "labels": [label]}
    return {"id": id_, "from_name": control, "to_name": "text", "type": "labels", "value": value}


def made(id_: int, who: Any, *results: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an annotation with all that an export says of it."""
    return {
        "id": id_, "completed_by": who, "result": list(results), "was_cancelled": False, "ground_truth": False,
        "created_at": "2026-03-01T10:00:00.123456Z", "updated_at": "2026-03-01T10:05:00.654321Z", "draft_created_at": None,
        "lead_time": 7.25, "prediction": {}, "result_count": len(results), "unique_id": f"{id_:032x}", "import_id": None,
        "last_action": None, "bulk_created": False, "task": 11, "project": 3, "updated_by": 1, "parent_prediction": None,
        "parent_annotation": None, "last_created_by": None, **more,
    }  # fmt: skip


def exported(data: dict[str, Any], *annotations: dict[str, Any], predictions: tuple[Any, ...] = ()) -> dict[str, Any]:
    """Return a task with all that an export says of it: drafts, counts, and predictions as their ids."""
    return {
        "id": 11, "annotations": list(annotations), "drafts": [{"id": 5, "user": "eva@example.invalid", "result": []}],
        "predictions": list(predictions), "data": data, "meta": {}, "created_at": "2026-03-01T09:00:00.000001Z",
        "updated_at": "2026-03-01T10:05:00.700000Z", "allow_skip": True, "inner_id": 1, "total_annotations": len(annotations),
        "cancelled_annotations": 0, "total_predictions": len(predictions), "comment_count": 0, "unresolved_comment_count": 0,
        "last_comment_updated_at": None, "project": 3, "updated_by": 1, "comment_authors": [],
    }  # fmt: skip


def taken(tasks: list[dict[str, Any]], how: Reading) -> Read:
    """Return what is understood of an export."""
    return read_file(json.dumps(tasks).encode(), "export.json", "label_studio", how)


def test_an_export_of_spans_by_several_people() -> None:
    """People by number or as objects, known truth, skips, relations, notes, choices about a region, predictions by id."""
    relation = {"type": "relation", "from_id": "b", "to_id": "a", "direction": "right", "labels": ["worsens"]}
    note = {"id": "n", "from_name": "note", "to_name": "text", "type": "textarea", "value": {"text": ["hm"]}}
    sure = {
        "id": "a",
        "from_name": "sure",
        "to_name": "text",
        "type": "choices",
        "value": {"start": 2, "end": 6, "choices": ["yes"]},
    }
    eva = {"id": 2, "email": "eva@example.invalid", "first_name": "", "last_name": ""}
    found, ignored = taken(
        [
            exported(
                {"text": TEXT},
                made(21, 1, region("a", "Gout", "Disease"), region("b", "哮喘", "Disease"), relation, sure, note),
                made(22, eva, region("c", "asthma", "Disease")),
                made(23, 1, was_cancelled=True),
                made(24, 1, ground_truth=True),
                predictions=(9, 10),
            ),
            exported({"text": "untouched"}),
        ],
        Reading("spans"),
    )
    said = [([TEXT[s["start"] : s["end"]] for s in a.output["spans"]], a.annotator, a.id, a.gold) for a in found]
    assert said == [(["Gout", "哮喘"], "1", "21", False), (["asthma"], "2", "22", False), ([], "1", "24", True)]
    assert found[0].time == datetime(2026, 3, 1, 10, 5, 0, 654321)
    assert ignored == {
        "relations": 1, "results of type choices": 1, "results of type textarea": 1, "skipped annotations": 1, "predictions": 2,
        "tasks without an annotation": 1,
    }  # fmt: skip


def test_of_several_controls_one_is_named() -> None:
    """label=CONTROL or spans=CONTROL says which one counts; choices about a region never do."""

    def choice(control: str, name: str, **value: Any) -> dict[str, Any]:
        return {"from_name": control, "to_name": "text", "type": "choices", "value": {"choices": [name], **value}}

    both = [
        exported({"text": "a"}, made(1, 1, choice("topic", "v1"), choice("tone", "v2"), choice("sure", "v3", start=0, end=1)))
    ]
    found, ignored = taken(both, Reading("choice", {"label": "tone"}))
    assert ([a.output for a in found], ignored) == (
        [{"label": "v2"}],
        {"results of the control topic": 1, "results of the control sure": 1},
    )
    alone = [exported({"text": "a"}, made(1, 1, choice("topic", "v1"), choice("sure", "v3", start=0, end=1)))]
    found, ignored = taken(alone, Reading("choice"))
    assert ([a.output for a in found], ignored) == ([{"label": "v1"}], {"choices about a region": 1})
    marks = [exported({"text": TEXT}, made(1, 1, region("a", "Gout", "Disease"), region("b", "asthma", "Drug", "other")))]
    found, _ = taken(marks, Reading("spans", {"spans": "other"}))
    assert [[s["label"] for s in a.output["spans"]] for a in found] == [["Drug"]]


def test_what_is_written_is_what_it_imports() -> None:
    """It refuses ids that are no numbers and people whom it does not know: neither stands where it looks, and we read all back.

    Tried with Label Studio 1.23.2: `completed_by=u_ann which is not a valid annotator's email or ID` (400), and
    `Field 'import_id' expected a number but got 'c_1'` (500).
    """
    spans = [{"start": 2, "end": 6, "label": "Disease"}, {"start": 40, "end": 42, "label": "Disease"}]
    ours = [
        Annotation(
            "", TEXT, {"spans": spans}, "u_ann", id="c_1", status="accepted", time=datetime(2026, 1, 2, 3), comment="sure"
        ),
        Annotation("", TEXT, {"spans": []}, "import:0a1b:7", id="c_2", status="rejected", time=datetime(2026, 1, 2, 4)),
        Annotation("", "none", {"spans": []}, gold=True),
    ]
    raw = write_file(ours, "label_studio")
    tasks = json.loads(raw)
    assert [(task["data"], len(task["annotations"]), task["predictions"]) for task in tasks] == [
        ({"text": TEXT}, 2, []),
        ({"text": "none"}, 1, []),
    ]
    for task in tasks:
        for annotation in task["annotations"]:
            assert set(annotation) <= NOBODY_ELSE
            assert isinstance(annotation["id"], int)
            for result in annotation["result"]:
                assert (result["from_name"], result["to_name"], result["type"]) == ("label", "text", "labels")
                value = result["value"]
                assert task["data"]["text"][value["start"] : value["end"]] == value["text"]
    back = read_file(raw, "export.json", "label_studio", Reading("spans")).annotations
    assert [a._replace(place="", id="") if a.gold else a._replace(place="") for a in back] == ours


def test_what_it_wrote_of_ours_is_read_as_the_people_there() -> None:
    """On its way through Label Studio our own key is dropped: who annotated is then who did so there."""
    (task,) = json.loads(write_file([Annotation("", "a", {"label": "v1"}, "u_ann", id="c_1")], "label_studio"))
    (inner,) = task["annotations"]
    through = made(40, 1, *inner["result"], import_id=inner["id"])
    (found,) = taken([exported(task["data"], through)], Reading("choice")).annotations
    assert (found.annotator, found.id, found.output) == ("1", "40", {"label": "v1"})


def test_its_conll_and_csv() -> None:
    """Words with -X- and _ between, a document line before the first text; a CSV whose `id` is the task's: name annotation_id."""
    conll = "-DOCSTART- -X- O\nHas -X- _ O\ngout -X- _ B-Disease\n. -X- _ O\n\n"
    (found,) = read_file(conll.encode(), "x.conll", "conll", Reading("spans")).annotations
    assert (found.input, found.output["spans"]) == ("Has gout .", [{"start": 4, "end": 8, "label": "Disease"}])
    table = (
        '"annotation_id","annotator","created_at","id","label","lead_time","text","updated_at"\n'
        '7,"1","2026-03-01T10:00:00.1Z",6,"v1","","one","2026-03-01T10:05:00.1Z"\n'
        '8,"2","2026-03-01T10:01:00.1Z",6,"v2","","one","2026-03-01T10:06:00.1Z"\n'
    )
    how = Reading("choice", {"id": "annotation_id", "time": "updated_at"})
    rows = read_file(table.encode(), "x.csv", "csv", how).annotations
    assert [(a.annotator, a.id, a.output["label"]) for a in rows] == [("1", "7", "v1"), ("2", "8", "v2")]
