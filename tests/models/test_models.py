"""A task is read from AWS's answer whole, and given to a stack whole."""

from __future__ import annotations

import json
import re
import unicodedata
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
from lmconv_resource.text import parse_rfc3339, to_plain_text, to_rfc3339

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
    """Each status that AWS's model has is pending or finished, and no other is."""
    assert [status.value for status in TaskStatus] == list(MODEL.shape_for("LicenseConversionTaskStatus").enum)
    assert frozenset(TaskStatus) - FINISHED_STATUSES == {TaskStatus.IN_PROGRESS}


def test_an_absent_member_is_none() -> None:
    """An answer with nothing but a status and an ARN gives every output: None, or an empty context, for the rest."""
    outputs = read({"LicenseConversionTaskId": TASK_ID}).to_outputs()
    contexts: dict[str, Any] = {name: {"usage_operation": None, "product_codes": []} for name in CONTEXTS}
    known = {"license_conversion_task_id": TASK_ID, "region": REGION, "status": "IN_PROGRESS", "resource_arn": "arn"}
    given = {**known, "is_complete": False, **contexts}
    assert outputs == {**dict.fromkeys(OUTPUTS), **given}
    assert len(outputs) == 12


@pytest.mark.parametrize("member", ["SourceLicenseContext", "DestinationLicenseContext"])
def test_a_context_may_be_empty(member: str) -> None:
    """A context without a usage operation has none, and no product codes rather than None."""
    outputs = read({member: {}}).to_outputs()
    assert outputs[OUTPUT_OF_MEMBER[member]] == {"usage_operation": None, "product_codes": []}


def test_a_context_keeps_its_codes_in_order() -> None:
    """Product codes are read in AWS's order; a code that lacks its type has None there."""
    context = LicenseContext.from_answer(
        {"ProductCodes": [{"ProductCodeId": "b", "ProductCodeType": "marketplace"}, {"ProductCodeId": "a"}]}
    )
    assert context == LicenseContext(None, (ProductCode("b", "marketplace"), ProductCode("a", None)))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 23, 8, tzinfo=timezone.utc), "2026-11-23T08:00:00Z"),
        (datetime(2026, 11, 23, 8, tzinfo=timezone(timedelta(hours=5, minutes=45))), "2026-11-23T02:15:00Z"),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=-10))), "2026-01-01T11:00:00Z"),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "2025-12-31T11:00:00Z"),
        (datetime(2026, 11, 23, 8, 0, 0, 123000, tzinfo=timezone.utc), "2026-11-23T08:00:00.123Z"),
        (datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=timezone.utc), "2026-11-23T08:00:00.123456Z"),
        (datetime(1, 1, 1, tzinfo=timezone.utc), "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_rfc3339_in_utc(moment: datetime, text: str) -> None:
    """A time in any zone is given in UTC, with a Z, and with fractions of a second only where it has some."""
    assert to_rfc3339(moment) == text
    assert parse_rfc3339(text) == moment
    assert read({"EndTime": moment}).to_outputs()["end_time"] == text


def test_an_equal_time_of_another_zone_is_no_change() -> None:
    """The same moment read on machines in two zones gives the same outputs."""
    moment = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)
    elsewhere = moment.astimezone(timezone(timedelta(hours=-7)))
    assert read({"StartTime": moment}).to_outputs() == read({"StartTime": elsewhere}).to_outputs()


@pytest.mark.parametrize(
    ("moment", "hours"), [(datetime.min, 14), (datetime.max, -12)], ids=["before year 1", "after year 9999"]
)
def test_a_time_beyond_the_calendar_is_an_unreadable_answer(moment: datetime, hours: int) -> None:
    """A time that has no year in UTC is one line about the answer, not a crash while the outputs are made."""
    with pytest.raises(AnswerError) as error:
        read({"StartTime": moment.replace(tzinfo=timezone(timedelta(hours=hours)))})
    assert str(error.value) == "a time in the answer is outside the years 1 to 9999"


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


def test_a_status_that_aws_does_not_have_is_shown_as_it_is() -> None:
    """A status that nobody knows is no end and no progress; its control characters are spelled out."""
    task = read({"Status": "PAUSED\x1b[2J"})
    assert (task.status, task.unknown_status, task.is_complete) == (None, "PAUSED\\x1b[2J", False)
    assert task.to_outputs()["status"] == "PAUSED\\x1b[2J"


@pytest.mark.parametrize(("member", "word"), [("Status", "status"), ("ResourceArn", "ARN")])
@pytest.mark.parametrize("value", [None, ""])
def test_an_answer_without_what_every_task_has_is_none(member: str, word: str, value: object) -> None:
    """It is asked for again, and no record is overwritten by it."""
    with pytest.raises(AnswerError) as error:
        read({member: value})
    assert str(error.value) == f"the answer has no {word}"


def test_an_answer_about_another_task_is_an_error() -> None:
    """An answer is not recorded under an id it is not about."""
    with pytest.raises(AnswerError) as error:
        read({"LicenseConversionTaskId": "lct-other", "Status": "SUCCEEDED"})
    assert str(error.value) == "the answer is about another task, lct-other"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("instance i-1 stopped", "instance i-1 stopped"),
        ("tab\tand\nbreak", "tab\tand\nbreak"),
        ("\x1b[31mred\x07\r", "\\x1b[31mred\\x07\\r"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("exe\u202etxt.\u2066x", "exe\\u202etxt.\\u2066x"),
        ("half a pair \ud83d", "half a pair \\ud83d"),
        ("成功 ✓ 😀 ñ", "成功 ✓ 😀 ñ"),
    ],
)
def test_control_characters_are_spelled_out(text: str, plain: str) -> None:
    """Text of AWS's can't act on a terminal or be mistaken for other text, and otherwise stays as it is."""
    assert to_plain_text(text) == plain
    assert read({"StatusMessage": text}).status_message == plain


@given(st.text(st.characters(codec=None)))
def test_plain_text_is_harmless_whatever_comes(text: str) -> None:
    """Of the control characters only line breaks and tabs are left; it can be stored, and doing it again is idle."""
    plain = to_plain_text(text)
    assert not [c for c in plain if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    assert plain.encode().decode() == plain
    assert to_plain_text(plain) == plain


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
    task = ConversionTask.from_outputs({"status": "SUCCEEDED", "start_time": "yesterday", "end_time": "2026-11-23"})
    assert (task.start_time, task.is_complete, task.duration_seconds) == (None, True, None)
