"""Label Studio's JSON export: tasks with the annotations of several people, spans (`labels`), one choice or one a control (`choices`).

Its offsets were UTF-16 units in older versions and are code points in newer ones (its pull request 1559): the words that
an export repeats beside each offset tell which. Relations, skipped annotations and other controls are left out and counted.

What is written here is what Label Studio imports (tried with 1.23.2): it refuses a file whose annotations have an id that
is no number, or are by somebody whom it does not know. So ids are numbers, whoever imports is named as the annotator there,
and what only we need stands under a key of our own, which it drops. Its project calls the text `text` and the control `label`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from feedback.errors import BadInput
from feedback.exchange.annotation import Annotation, Read, Reading, moment, one_by_one, parsed, renamed
from feedback.exchange.bytes_of import text_of_file
from feedback.records import Json

_OURS = "amend"
"""Under this key of an annotation stands what Label Studio has no place for."""


def read(raw: bytes, name: str, how: Reading) -> Read:
    """Return the annotations of a JSON export. Raises BadInput naming task and annotation."""
    tasks = parsed(text_of_file(raw, name), name)
    if not isinstance(tasks, list):
        raise BadInput(f"{name}: a Label Studio export is a list of tasks, and this is {type(tasks).__name__}")
    ignored: Counter[str] = Counter()
    rows = [(f"task {number}", task) for number, task in enumerate(tasks, 1)]
    found, problems = one_by_one(rows, lambda place, task: _of_task(place, task, how, ignored), name)
    problems.refuse()
    return Read(found, dict(ignored))


def write(annotations: Iterable[Annotation]) -> bytes:
    """Return annotations as a JSON export, one task a text; offsets in code points, with the words beside them."""
    tasks: dict[str, dict[str, Any]] = {}
    for number, annotation in enumerate(annotations, 1):
        task = tasks.setdefault(
            annotation.input, {"id": len(tasks) + 1, "data": {"text": annotation.input}, "annotations": [], "predictions": []}
        )
        made: dict[str, Any] = {"id": number, "result": _result(annotation), "was_cancelled": False}
        made |= {"ground_truth": annotation.gold, "task": task["id"]}
        if annotation.time:
            made["created_at"] = annotation.time.isoformat() + "Z"
        made[_OURS] = {key: value for key in ("id", "annotator", "status", "comment") if (value := getattr(annotation, key))}
        task["annotations"].append(made)
    return json.dumps(list(tasks.values()), ensure_ascii=False, indent=1).encode()


def _of_task(place: str, task: Any, how: Reading, ignored: Counter[str]) -> list[Annotation]:
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(data, Mapping):
        raise BadInput("no 'data': export as JSON, not as JSON-MIN")
    column = how.column("text")
    if column not in data:
        raise BadInput(
            f"data has no {column!r} (say what it is called: text=COLUMN); it has {', '.join(map(str, data)) or 'nothing'}"
        )
    given = task.get("annotations", task.get("completions"))  # the older name
    if not isinstance(given, list):
        raise BadInput("'annotations' must be a list")
    if predictions := task.get("predictions"):
        ignored["predictions"] += len(predictions) if isinstance(predictions, list) else 1
    if not given:
        ignored["tasks without an annotation"] += 1
    found = []
    for number, annotation in enumerate(given, 1):
        where = f"{place}, annotation {number}"
        try:
            made = _annotation(where, data[column], annotation, how, ignored)
        except BadInput as error:
            raise BadInput(f"annotation {number}: {error.detail}") from error
        if made:
            found.append(made)
    return found


def _annotation(place: str, text: Any, given: Any, how: Reading, ignored: Counter[str]) -> Annotation | None:
    if not isinstance(given, Mapping) or not isinstance(given.get("result"), list):
        raise BadInput("it must be an object with a list 'result'")
    if not isinstance(text, str):
        raise BadInput(f"the text is {type(text).__name__}: it must be a string")
    if given.get("was_cancelled"):
        ignored["skipped annotations"] += 1
        return None
    results = []
    for result in given["result"]:
        if not isinstance(result, Mapping):
            raise BadInput("a result is no object")
        other = _other(result, how)
        if other:
            ignored[other] += 1
        else:
            results.append(result)
    if how.widget != "spans" and not results:
        ignored["annotations without a choice"] += 1
        return None
    output = renamed(_output(text, results, how), how.rename, how.widget)
    if output is None:
        return None
    ours = given.get(_OURS)
    if not isinstance(ours, Mapping):
        ours = {}
    return Annotation(
        place,
        text,
        output,
        str(ours.get("annotator", _who(given.get("completed_by")))),
        id=str(ours.get("id", "" if ours else given.get("id", ""))),
        gold=how.gold or bool(given.get("ground_truth")),
        status=str(ours.get("status", "")),
        time=moment(given.get("updated_at") or given.get("created_at")),
        comment=str(ours.get("comment", "")),
    )


def _other(result: Mapping[str, Any], how: Reading) -> str:
    """Return what a result is where it is no answer to this task, "" where it is one.

    Of several controls in a project `how.columns` says which counts (label=CONTROL or spans=CONTROL). A choice about one
    region of a text is none about the text.
    """
    kind, name = ("labels", "spans") if how.widget == "spans" else ("choices", "label")
    if result.get("type") == "relation":
        return "relations"
    if result.get("type") != kind:
        return f"results of type {str(result.get('type'))[:40]}"
    control = how.columns.get(name)
    if control is not None and result.get("from_name") != control:
        return f"results of the control {str(result.get('from_name'))[:40]}"
    value = result.get("value")
    return "choices about a region" if kind == "choices" and isinstance(value, Mapping) and "start" in value else ""


def _span(text: str, result: Mapping[str, Any]) -> Json:
    value = result.get("value")
    if not isinstance(value, Mapping):
        raise BadInput("a result has no 'value'")
    labels = value.get("labels")
    if not isinstance(labels, list) or len(labels) != 1:
        raise BadInput(f"a span has {labels!r} as its labels: exactly one is needed")
    start, end = value.get("start"), value.get("end")
    for offset in (start, end):
        if isinstance(offset, bool) or not isinstance(offset, int):
            raise BadInput(f"offset {offset!r} must be a whole number of characters")
    start, end = _code_points(text, int(start or 0), int(end or 0), value.get("text"))
    return {"start": start, "end": end, "label": labels[0]}


def _code_points(text: str, start: int, end: int, words: Any) -> tuple[int, int]:
    """Return the offsets in code points, whichever of the two units makes them hold the words beside them."""
    if not isinstance(words, str) or (0 <= start < end <= len(text) and text[start:end] == words):
        return start, end
    units = text.encode("utf-16-le", "surrogatepass")
    if 0 <= start < end <= len(units) // 2:
        before, inside = units[: 2 * start], units[2 * start : 2 * end]
        if inside == words.encode("utf-16-le", "surrogatepass"):
            begun = len(before.decode("utf-16-le", "surrogatepass"))
            return begun, begun + len(words)
    raise BadInput(f"offsets {start} to {end} do not hold the words {words[:80]!r} that stand beside them")


def _output(text: str, results: list[Mapping[str, Any]], how: Reading) -> Json:
    if how.widget == "spans":
        return {"spans": [_span(text, result) for result in results]}
    if how.widget == "choices":  # a control a head, named like it
        controls = dict.fromkeys(str(result.get("from_name")) for result in results)
        return {"labels": {name: _choice([r for r in results if str(r.get("from_name")) == name])["label"] for name in controls}}
    return _choice(results)


def _choice(results: list[Mapping[str, Any]]) -> Json:
    chosen: list[Any] = []
    for result in results:
        value = result.get("value")
        choices = value.get("choices") if isinstance(value, Mapping) else None
        if not isinstance(choices, list):
            raise BadInput("a choice has no list 'choices'")
        chosen += choices
    if len(chosen) != 1 or not isinstance(chosen[0], str):
        raise BadInput(f"the choices are {chosen!r}: exactly one is needed")
    return {"label": chosen[0]}


def _who(completed_by: Any) -> str:
    """Return an annotator's name: a number, or an object with an id or e-mail."""
    if isinstance(completed_by, Mapping):
        completed_by = completed_by.get("id", completed_by.get("email"))
    return "" if completed_by is None else str(completed_by)


def _result(annotation: Annotation) -> list[dict[str, Any]]:
    if "spans" not in annotation.output:
        said = annotation.output.get("labels") or {"label": annotation.output["label"]}  # by control: a head's is called like it
        return [
            {"id": str(number), "from_name": name, "to_name": "text", "type": "choices", "value": {"choices": [label]}}
            for number, (name, label) in enumerate(said.items(), 1)
        ]
    results = []
    for number, span in enumerate(annotation.output["spans"], 1):
        words = annotation.input[span["start"] : span["end"]]
        value = {"start": span["start"], "end": span["end"], "text": words, "labels": [span["label"]]}
        results.append({"id": str(number), "from_name": "label", "to_name": "text", "type": "labels", "value": value})
    return results
