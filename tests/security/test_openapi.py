"""Schemathesis over the whole OpenAPI description of a served app: whatever is sent, nothing breaks (no 5xx), and answers are as described."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.serving import Served

STARTS_A_TRAINING = ("/api/v1/retrainings", "/api/v1/cleaning", "/api/v1/versions")
"""Their POST starts a process that trains for a minute, thirty times over; tests/model has them one by one."""
NOT_BROKEN = (*range(200, 500), 503, 507)
"""Busy and storage full are declared, and true."""
REFUSED = (400, 401, 405, 413, 415, 422)
"""What a stranger may hear of a route for staff. 400 and 422: the body is no JSON."""
CHECKS: list[CheckFunction] = [status_code_conformance, content_type_conformance, response_schema_conformance]
Operation = APIOperation[Any, Any, Any, Any]
FEW = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def description(running: Served) -> Any:
    """The description that the app gives of itself, with a prediction and a correction in the log to find."""
    with running.visitor() as visitor:
        made = visitor.post("/api/v1/predictions", json={"input": "where is my lamp"}).json()
        visitor.post("/api/v1/corrections", json={"prediction_id": made["id"], "output": {"label": "track"}})
    return schemathesis.openapi.from_url(f"{running.url}/api/openapi.json")


def operations(description: Any) -> list[Operation]:
    """Return every operation that is tried, and none that the description cannot say."""
    found = [result.ok() for result in description.get_all_operations()]
    return [one for one in found if (one.method.upper(), one.path) not in [("POST", path) for path in STARTS_A_TRAINING]]


def attack(operation: Operation, url: str, headers: dict[str, str], mode: GenerationMode, *, closed: bool) -> None:
    """Send what the description allows (positive) or forbids (negative): a `closed` operation refuses, no other breaks down."""
    allowed = REFUSED if closed else NOT_BROKEN

    @settings(FEW, max_examples=6 if closed else 25)
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case[Any]) -> None:
        response = case.call(base_url=url, headers=headers)
        assert response.status_code in allowed, f"{case.as_curl_command()}\n{response.status_code} {response.text}"
        case.validate_response(response, checks=CHECKS)

    send()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
@pytest.mark.parametrize("who", ["staff", "stranger"])
def test_nothing_that_is_sent_breaks_the_app(
    running: Served, description: Any, subtests: pytest.Subtests, who: str, mode: GenerationMode
) -> None:
    """Every answer is a declared one, a 5xx only busy or full; for strangers what is for staff is a refusal, whatever they send."""
    headers = {"Authorization": f"Bearer {running.token}"} if who == "staff" else {}
    found, tried = operations(description), 0
    for operation in found:
        closed = who == "stranger" and "staff" in (operation.tags or ())
        with subtests.test(operation.label):
            try:
                attack(operation, running.url, headers, mode, closed=closed)
            except Unsatisfiable:  # nothing about this operation can be wrong: it takes no body and no parameter
                assert mode is GenerationMode.NEGATIVE
                continue
            tried += 1
    assert tried > len(found) // 3, "hardly any operation could be tried"
