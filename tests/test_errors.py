"""The tree of errors: drawn as it is, one line each, and with a translation for all that AWS's model has."""

from __future__ import annotations

import inspect
import re
from datetime import datetime, timezone
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from lmconv_resource import errors
from lmconv_resource.aws.error_mapping import to_error
from lmconv_resource.errors import (
    LicenseConversionError,
    RequestRefusedError,
    TransientError,
    UnreadableAnswerError,
    WaitError,
    to_duration_text,
)
from lmconv_resource.models import ConversionTask, TaskStatus

TASK_ID, REGION = "lct-1", "eu-west-1"
ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0"
MODEL: Any = botocore.session.get_session().get_service_model("license-manager")

WITHOUT_TRANSLATION = {("ListLicenseConversionTasks", "InvalidParameterValueException")}
"""A list names no task, so this one says that a filter is wrong: a bug of ours or a change of AWS's."""

TASK = ConversionTask(
    TASK_ID,
    REGION,
    status=TaskStatus.IN_PROGRESS,
    status_message="step 1\n  of 2",
    start_time=datetime(2026, 11, 23, tzinfo=timezone.utc),
)

FACTS: dict[str, Any] = {
    "task_id": TASK_ID,
    "region": REGION,
    "resource_arn": ARN,
    "reason": "why\nso\u2028long",
    "remedy": "Do\r\nthis",
    "code": "SomeException",
    "status": "PAUSED",
    "task": TASK,
    "waited_seconds": 200.0,
    "faulty_seconds": 300.0,
    "why": "it was\x85cancelled",
    "fault": UnreadableAnswerError(reason="no\fJSON", task_id=TASK_ID, region=REGION),
    "sentence": "Some\vsentence.",
}


def find_classes() -> list[type[LicenseConversionError]]:
    found = vars(errors).values()
    return [cls for cls in found if inspect.isclass(cls) and issubclass(cls, LicenseConversionError)]


def is_about_a_resource(cls: type[LicenseConversionError]) -> bool:
    """Tell whether the error can't be had without the resource that is converted."""
    parameter = inspect.signature(cls).parameters.get("resource_arn")
    return parameter is not None and parameter.default is inspect.Parameter.empty


def make(cls: type[LicenseConversionError], **changes: Any) -> LicenseConversionError:
    """Make an error of the class from all the facts that it takes."""
    signature = inspect.signature(cls).parameters.values()
    parameters = [parameter.name for parameter in signature if parameter.default in (inspect.Parameter.empty, None)]
    if not is_about_a_resource(cls):
        parameters = [name for name in parameters if name != "resource_arn"]
    facts = {name: {**FACTS, **changes}[name] for name in parameters}
    sentence = [facts.pop("sentence")] if "sentence" in facts else []
    return cls(*sentence, **facts)


def test_the_tree_is_drawn_as_it_is() -> None:
    """The tree in the module's docstring has the module's classes and no others, each under its base."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)(\w+Error) ", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            drawn[match[2]] = path[depth - 1] if depth else "Exception"
    assert drawn == {cls.__name__: cls.__bases__[0].__name__ for cls in find_classes()}


@pytest.mark.parametrize("cls", find_classes(), ids=lambda cls: str(cls.__name__))
def test_every_error_is_one_line_about_a_place(cls: type[LicenseConversionError]) -> None:
    """Every error is one line whatever texts it is made of, and knows its task and region."""
    error = make(cls)
    assert len(str(error).splitlines()) == 1
    assert str(error).endswith(".")
    assert not re.search(r"\s\s|\.\.", str(error))
    assert error.task_id in (TASK_ID, None if is_about_a_resource(cls) else TASK_ID)
    assert error.region == REGION
    assert bool(error.__doc__)


@pytest.mark.parametrize(
    "cls", [c for c in find_classes() if c not in (LicenseConversionError, WaitError)], ids=lambda cls: cls.__name__
)
def test_every_sentence_names_the_task_and_the_region(cls: type[LicenseConversionError]) -> None:
    """Every sentence begins with what was being done, to which task or resource and in which region."""
    if is_about_a_resource(cls):
        assert re.match(
            rf"(Looking for the license conversions|Starting the license conversion) of {ARN} in eu-west-1: ",
            str(make(cls)),
        )
        return
    assert re.match(r"(Looking up|Waiting for|Connecting to AWS License Manager for) ", str(make(cls)))
    assert "license conversion task lct-1 in eu-west-1: " in str(make(cls))


@pytest.mark.parametrize("cls", [c for c in find_classes() if issubclass(c, TransientError)], ids=lambda c: c.__name__)
def test_a_transient_error_has_its_reason(cls: type[LicenseConversionError]) -> None:
    """The reason alone, in one line, is there for a progress line."""
    error = make(cls)
    assert isinstance(error, TransientError)
    assert error.reason == "why so long"


WAIT_SENTENCES = {
    "ConversionFailedError": "Waiting for license conversion task lct-1 in eu-west-1: it FAILED: step 1 of 2. Mend the "
    "cause and start a new conversion, or set ignore_failure=True to record this one as it is.",
    "WaitTimeoutError": "Waiting for license conversion task lct-1 in eu-west-1: it did not end within 3m20s (last "
    "seen IN_PROGRESS: step 1 of 2). The conversion goes on in AWS, and the next `pulumi up` picks it up; "
    "custom_timeouts sets how long to wait.",
    "WaitFaultError": "Waiting for license conversion task lct-1 in eu-west-1: every look has failed for 5m00s, the "
    "last because no JSON (last seen IN_PROGRESS: step 1 of 2). Check that the endpoint is AWS License Manager and no "
    "proxy answers for it, then run `pulumi up` again; the conversion goes on in AWS.",
    "WaitInterruptedError": "Waiting for license conversion task lct-1 in eu-west-1: it was cancelled after 3m20s "
    "(last seen IN_PROGRESS: step 1 of 2). The conversion goes on in AWS, and the next `pulumi up` picks it up.",
}


@pytest.mark.parametrize("name", WAIT_SENTENCES)
def test_what_the_end_of_a_wait_says(name: str) -> None:
    """The whole sentence of each error that ends a wait, with the last task seen."""
    error = make(getattr(errors, name))
    assert isinstance(error, WaitError)
    assert str(error) == WAIT_SENTENCES[name]
    assert (error.task, error.waited_seconds) == (TASK, 200.0)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (None, "(it was not seen yet)"),
        (ConversionTask(TASK_ID, REGION), "(last seen no status)"),
        (ConversionTask(TASK_ID, REGION, status=TaskStatus.IN_PROGRESS), "(last seen IN_PROGRESS)"),
    ],
)
def test_what_was_last_seen(task: ConversionTask | None, text: str) -> None:
    """A wait that saw nothing, or no message, says so."""
    assert text in str(make(errors.WaitTimeoutError, task=task))


def test_a_failure_without_a_message_says_so() -> None:
    """AWS may give no status message; the sentence stays whole."""
    error = make(errors.ConversionFailedError, task=ConversionTask(TASK_ID, REGION, status=TaskStatus.FAILED))
    assert "it FAILED: AWS gives no status message. Mend the cause" in str(error)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0, "0s"),
        (9.9, "9s"),
        (59, "59s"),
        (60, "1m00s"),
        (200, "3m20s"),
        (3599, "59m59s"),
        (7200, "2h00m"),
        (90061, "25h01m"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    """Seconds below a minute, minutes and seconds below an hour, then hours and minutes."""
    assert to_duration_text(seconds) == text


@pytest.mark.parametrize("operation", ["GetLicenseConversionTask", "ListLicenseConversionTasks"])
def test_every_error_of_the_service_model_has_a_translation(operation: str) -> None:
    """An error that the installed botocore's model lists for a call has a class of its own among ours."""
    shapes = MODEL.operation_model(operation).error_shapes
    assert len(shapes) >= 5
    for shape in shapes:
        code = shape.error_code or shape.name
        answer: Any = {"Error": {"Code": code, "Message": "Because."}, "ResponseMetadata": {"HTTPStatusCode": 400}}
        error = to_error(ClientError(answer, operation), action=operation, task_id=TASK_ID, region=REGION)
        untranslated = type(error) is RequestRefusedError
        assert untranslated is ((operation, code) in WITHOUT_TRANSLATION), f"{operation} answers {code}: {error}"
