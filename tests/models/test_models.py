"""A task is read from AWS's answer whole, and given to a stack whole."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmconv_resource.models import (
    FINISHED_STATUSES,
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

OUTPUT_OF_MEMBER = {
    "LicenseConversionTaskId": "license_conversion_task_id",
    "ResourceArn": "resource_arn",
    "SourceLicenseContext": "source_license_context",
    "DestinationLicenseContext": "destination_license_context",
    "StatusMessage": "status_message",
    "Status": "status",
    "StartTime": "start_time",
    "LicenseConversionTime": "license_conversion_time",
    "EndTime": "end_time",
    "UsageOperation": "usage_operation",
    "ProductCodes": "product_codes",
    "ProductCodeId": "product_code_id",
    "ProductCodeType": "product_code_type",
}


def make_answer(shape: Any, name: str = "") -> Any:
    """Give a value for every member of a shape of the service model, down to its last leaf."""
    if shape.type_name == "structure":
        return {member: make_answer(inner, member) for member, inner in shape.members.items()}
    if shape.type_name == "list":
        return [make_answer(shape.member, name), make_answer(shape.member, name)]
    if shape.type_name == "timestamp":
        return datetime(2026, 11, 23, 8, len(name), tzinfo=timezone.utc)
    assert shape.type_name == "string"
    return TASK_ID if name == "LicenseConversionTaskId" else shape.enum[-1] if shape.enum else f"some {name}"


def to_expected(value: Any) -> Any:
    """Give an answer under the names and in the forms of the outputs."""
    if isinstance(value, dict):
        return {OUTPUT_OF_MEMBER[name]: to_expected(inner) for name, inner in value.items()}
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
    assert frozenset(TaskStatus) - FINISHED_STATUSES == {TaskStatus.IN_PROGRESS}


def test_an_absent_member_is_none() -> None:
    outputs = read({"LicenseConversionTaskId": TASK_ID}).to_outputs()
    contexts: dict[str, Any] = {name: {"usage_operation": None, "product_codes": []} for name in CONTEXTS}
    known = {"license_conversion_task_id": TASK_ID, "region": REGION, "status": "IN_PROGRESS", "resource_arn": "arn"}
    given = {**known, "is_complete": False, **contexts}
    assert outputs == {**dict.fromkeys(OUTPUTS), **given}
    assert len(outputs) == 12


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
        ({"Status": None}, "the answer has no status"),
        ({"Status": ""}, "the answer has no status"),
        ({"ResourceArn": None}, "the answer has no ARN"),
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
    [
        ("IN_PROGRESS", None, None),
        ("IN_PROGRESS", 90.5, None),
        ("SUCCEEDED", None, None),
        ("SUCCEEDED", 90.5, 90.5),
        ("FAILED", 0, 0.0),
    ],
)
def test_the_duration_is_known_at_the_end(status: str, end: float | None, duration: float | None) -> None:
    """The duration is None until the task has ended, and then what lies between AWS's own two times."""
    start = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)
    answer: dict[str, Any] = {"Status": status, "StartTime": start}
    if end is not None:
        answer["EndTime"] = start + timedelta(seconds=end)
    outputs = read(answer).to_outputs()
    assert (outputs["duration_seconds"], outputs["is_complete"]) == (duration, status != "IN_PROGRESS")


@pytest.mark.parametrize(("status", "text"), [("PAUSED\x1b[2J", "PAUSED\\x1b[2J"), (7, "7")])
def test_a_status_that_aws_does_not_have_is_shown_as_it_is(status: object, text: str) -> None:
    """A status that nobody knows is no end and no progress; it is shown as text, without what acts on a terminal."""
    task = read({"Status": status, "StatusMessage": "\x07"})
    assert (task.status, task.unknown_status, task.status_text, task.is_complete) == (None, text, text, False)
    assert (task.to_outputs()["status"], task.status_message) == (text, "\\x07")


def without_nulls(value: Any) -> Any:
    """Return outputs as Pulumi's engine hands them back: it drops what is null, at any depth."""
    if isinstance(value, dict):
        return {name: without_nulls(entry) for name, entry in value.items() if entry is not None}
    return [without_nulls(entry) for entry in value] if isinstance(value, list) else value


def answers_of(shape: Any) -> st.SearchStrategy[Any]:
    """Give answers as botocore's parser may give them for a shape: any member absent, any text, any time and zone."""
    if shape.type_name == "structure":
        return st.fixed_dictionaries({}, optional={name: answers_of(inner) for name, inner in shape.members.items()})
    if shape.type_name == "list":
        return st.lists(answers_of(shape.member), max_size=3)
    if shape.type_name == "timestamp":
        zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
        extremes = st.sampled_from([datetime.min, datetime.max, datetime(1970, 1, 1)])
        return st.builds(lambda moment, zone: moment.replace(tzinfo=zone), st.datetimes() | extremes, zones)
    return st.sampled_from(shape.enum) if shape.enum else st.text(st.characters(codec=None))


@given(answers_of(ANSWER_SHAPE))
def test_any_answer_that_the_model_allows_becomes_outputs(answer: dict[str, Any]) -> None:
    """Any such answer gives all outputs, fit for JSON and for storing, or one line about what can't be read.

    They are read back as the same task, whatever nulls got lost on the way.
    """
    answer.pop("LicenseConversionTaskId", None)
    try:
        task = read(answer)
    except AnswerError as error:
        assert str(error).startswith(("a time in the answer is outside the years", "the answer has no "))  # noqa: PT017
        return
    outputs = task.to_outputs()
    assert ConversionTask.from_outputs(json.loads(json.dumps(outputs))) == task
    assert ConversionTask.from_outputs(without_nulls(outputs)) == task
    assert tuple(outputs) == OUTPUTS
    assert json.dumps(outputs, ensure_ascii=False, allow_nan=False).encode()
    absent = {OUTPUT_OF_MEMBER[name] for name in set(ANSWER_SHAPE.members) - set(answer)}
    assert all(
        outputs[name] is None for name in absent - {"license_conversion_task_id", "status", "resource_arn", *CONTEXTS}
    )
    for name in ("start_time", "license_conversion_time", "end_time"):
        assert outputs[name] is None or re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}(\d{3})?)?Z", outputs[name]
        )


def test_a_time_that_somebody_has_edited_is_none() -> None:
    """A state can be edited by hand; what can't be read counts as what got lost."""
    task = ConversionTask.from_outputs({"status": "SUCCEEDED", "start_time": "yesterday", "end_time": 20261123})
    assert (task.start_time, task.is_complete, task.duration_seconds) == (None, True, None)


@pytest.mark.parametrize("context", ["x", -1, [], {"product_codes": -1}, {"product_codes": ["x"]}])
def test_a_context_that_somebody_has_edited_is_empty(context: Any) -> None:
    """A record is read as far as it can be: a refresh sets right what is wrong in it."""
    assert LicenseContext.from_inputs(context).is_empty
