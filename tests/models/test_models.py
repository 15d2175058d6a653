"""A task is read from AWS's answer whole, and given to a stack whole."""

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest

from lmconv_resource.models import (
    OUTPUTS,
    AnswerError,
    ConversionTask,
    LicenseContext,
    ProductCode,
    TaskStatus,
)

MODEL: Any = botocore.session.get_session().get_service_model("license-manager")
ANSWER_SHAPE = MODEL.operation_model("GetLicenseConversionTask").output_shape
ENTRY_SHAPE = MODEL.operation_model("ListLicenseConversionTasks").output_shape.members["LicenseConversionTasks"].member
TASK_ID, REGION = "lct-0123456789abcdef0", "eu-west-1"
CONTEXTS = ("source_license_context", "destination_license_context")


def make_answer(shape: Any, name: str = "") -> Any:
    """Return a value for every member of a shape of the service model, down to its last leaf."""
    if shape.type_name == "structure":
        return {member: make_answer(inner, member) for member, inner in shape.members.items()}
    if shape.type_name == "list":
        return [make_answer(shape.member, name), make_answer(shape.member, name)]
    if shape.type_name == "timestamp":
        return datetime(2026, 11, 23, 8, len(name), tzinfo=timezone.utc)
    assert shape.type_name == "string"
    return TASK_ID if name == "LicenseConversionTaskId" else shape.enum[-1] if shape.enum else f"some {name}"


def to_expected(value: Any) -> Any:
    """Return an answer under the names and in the forms of the outputs."""
    if isinstance(value, dict):
        return {re.sub("(?<=.)(?=[A-Z])", "_", name).lower(): to_expected(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [to_expected(inner) for inner in value]
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value


KNOWN = {"Status": "IN_PROGRESS", "ResourceArn": "arn"}


def read(answer: dict[str, Any]) -> ConversionTask:
    return ConversionTask.from_answer({**KNOWN, **answer}, task_id=TASK_ID, region=REGION)


@pytest.mark.parametrize("shape", [ANSWER_SHAPE, ENTRY_SHAPE], ids=lambda shape: str(shape.name))
def test_every_member_of_the_answer_reaches_an_output(shape: Any) -> None:
    """Whatever the installed botocore's model has in an answer, by Get or in a list, is in the outputs."""
    answer = make_answer(shape)
    outputs = read(answer).to_outputs()
    ours = {"region": REGION, "is_complete": True, "duration_seconds": outputs["duration_seconds"]}
    assert outputs == {**to_expected(answer), **ours}


def test_the_statuses_are_those_of_the_service_model() -> None:
    assert [status.value for status in TaskStatus] == list(MODEL.shape_for("LicenseConversionTaskStatus").enum)
    assert [each for each in TaskStatus if not read({"Status": each.value}).is_complete] == [TaskStatus.IN_PROGRESS]


def test_an_absent_member_is_none() -> None:
    outputs = read({"LicenseConversionTaskId": TASK_ID}).to_outputs()
    contexts: dict[str, Any] = {name: {"usage_operation": None, "product_codes": []} for name in CONTEXTS}
    known = {"license_conversion_task_id": TASK_ID, "region": REGION, "status": "IN_PROGRESS", "resource_arn": "arn"}
    assert outputs == {**dict.fromkeys(OUTPUTS), **known, "is_complete": False, **contexts}


def test_a_context_keeps_its_codes_in_order() -> None:
    """Product codes are read in AWS's order; a code that lacks its type has None there, an empty context no codes."""
    assert LicenseContext.from_answer({}) == LicenseContext(None, ())
    context = LicenseContext.from_answer(
        {"ProductCodes": [{"ProductCodeId": "b", "ProductCodeType": "marketplace"}, {"ProductCodeId": "a"}]}
    )
    assert context == LicenseContext(None, (ProductCode("b", "marketplace"), ProductCode("a", None)))
    odd = LicenseContext(None, (ProductCode(None, ""),))
    assert LicenseContext.from_inputs(odd.to_outputs(), None) == odd


BEFORE_YEAR_1 = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
AFTER_YEAR_9999 = datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"Status": ""}, "the answer has no status"),
        ({"ResourceArn": ""}, "the answer has no ARN"),
        ({"LicenseConversionTaskId": "lct-other"}, "the answer is about another task, lct-other"),
        ({"StartTime": BEFORE_YEAR_1}, "a time in the answer is outside the years 1 to 9999"),
        ({"StartTime": AFTER_YEAR_9999}, "a time in the answer is outside the years 1 to 9999"),
    ],
)
def test_an_answer_that_is_no_task(answer: dict[str, Any], why: str) -> None:
    """It is asked for again, and no record is overwritten by it."""
    with pytest.raises(AnswerError) as error:
        read(answer)
    assert str(error.value) == why


@pytest.mark.parametrize(
    ("status", "end", "duration"),
    [("IN_PROGRESS", 90.5, None), ("SUCCEEDED", None, None), ("SUCCEEDED", 90.5, 90.5), ("FAILED", 0, 0.0)],
)
def test_the_duration_is_known_at_the_end(status: str, end: float | None, duration: float | None) -> None:
    """The duration is None until the task has ended, and then what lies between AWS's own two times."""
    start = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)
    ended = None if end is None else start + timedelta(seconds=end)
    outputs = read({"Status": status, "StartTime": start, "EndTime": ended}).to_outputs()
    assert (outputs["duration_seconds"], outputs["is_complete"]) == (duration, status != "IN_PROGRESS")


@pytest.mark.parametrize(("status", "text"), [("PAUSED\x1b[2J", "PAUSED\\x1b[2J"), (7, "7")])
def test_a_status_that_aws_does_not_have_is_shown_as_it_is(status: object, text: str) -> None:
    """A status that nobody knows is no end and no progress; it is shown as text, without what acts on a terminal."""
    task = read({"Status": status, "StatusMessage": "\x07"})
    assert (task.status, task.unknown_status, task.status_text, task.is_complete) == (None, text, text, False)
    assert (task.to_outputs()["status"], task.status_message) == (text, "\\x07")


def test_a_time_that_somebody_has_edited_is_none() -> None:
    """A state can be edited by hand; what can't be read counts as what got lost."""
    task = ConversionTask.from_outputs({"status": "SUCCEEDED", "start_time": "yesterday", "end_time": 20261123})
    assert (task.start_time, task.is_complete, task.duration_seconds) == (None, True, None)


@pytest.mark.parametrize("context", ["x", -1, [], {"product_codes": -1}, {"product_codes": ["x"]}])
def test_a_context_that_somebody_has_edited_is_empty(context: Any) -> None:
    """A record is read as far as it can be: a refresh sets right what is wrong in it."""
    assert LicenseContext.from_inputs(context).is_empty
