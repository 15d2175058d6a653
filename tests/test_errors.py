"""The tree of errors: drawn as it is, one line each, with what was being done and what to do next."""

import inspect
import re
from typing import Any

import pytest
from support.aws import REGION

from lmconv_resource import errors
from lmconv_resource.errors import (
    CONNECT_ACTION,
    CREATE_ACTION,
    GET_ACTION,
    LIST_ACTION,
    WAIT_ACTION,
    LicenseConversionError,
    Subject,
    WaitError,
)
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.text import fill

TASK_ID = "lct-1"
ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0"
SUBJECT = Subject(GET_ACTION, TASK_ID, REGION)

TASK = ConversionTask(TASK_ID, REGION, status=TaskStatus.IN_PROGRESS)


def error_classes() -> list[type[LicenseConversionError]]:
    found = vars(errors).values()
    return [cls for cls in found if inspect.isclass(cls) and issubclass(cls, LicenseConversionError)]


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
    assert drawn == {cls.__name__: cls.__bases__[0].__name__ for cls in error_classes()}


@pytest.mark.parametrize("cls", error_classes(), ids=lambda cls: str(cls.__name__))
def test_every_error_is_one_line_about_a_place(cls: type[LicenseConversionError]) -> None:
    """Every error is one line whatever texts it is made of, begins with task and region, and says what to do next.

    Deep code raises with what it knows; `about` adds the task to that very error. A class may have its own remedy.
    """
    facts: dict[str, Any] = {"task": TASK} if issubclass(cls, WaitError) else {}
    error = cls(Subject(GET_ACTION, region=REGION), "why\nso\u2028long", "Do\r\nthis", **facts)
    assert error.about(task_id=TASK_ID) is error
    assert str(error) == "Looking up license conversion task lct-1 in eu-west-1: why so long. Do this."
    assert (error.subject, error.reason) == (SUBJECT, "why so long")
    assert bool(error.__doc__)
    if cls.remedy:
        error = cls(SUBJECT, "why", **facts)
        assert str(error) == f"Looking up license conversion task lct-1 in eu-west-1: why. {fill(cls.remedy)}."
        assert re.fullmatch(r"[A-Z].*[^.\s]", cls.remedy)
        assert not re.search(r"\s\s|\.\.", str(error))


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (Subject(GET_ACTION, TASK_ID, REGION), "Looking up license conversion task lct-1 in eu-west-1"),
        (Subject(GET_ACTION, TASK_ID), "Looking up license conversion task lct-1"),
        (Subject(LIST_ACTION, None, REGION), "Listing license conversion tasks in eu-west-1"),
        (Subject(LIST_ACTION, None, REGION, ARN), f"Listing the license conversions of {ARN} in eu-west-1"),
        (Subject(CREATE_ACTION, None, REGION, ARN), f"Starting the license conversion of {ARN} in eu-west-1"),
        (Subject(CREATE_ACTION, TASK_ID, REGION, ARN), f"Starting the license conversion of {ARN} in eu-west-1"),
        (Subject("ec2:DescribeInstances", None, REGION, ARN), f"Checking {ARN} in eu-west-1"),
        (Subject(WAIT_ACTION, TASK_ID, REGION), "Waiting for license conversion task lct-1 in eu-west-1"),
        (Subject(WAIT_ACTION, TASK_ID, REGION, ARN), "Waiting for license conversion task lct-1 in eu-west-1"),
        (
            Subject(CONNECT_ACTION, TASK_ID, REGION),
            "Connecting to AWS License Manager for license conversion task lct-1 in eu-west-1",
        ),
        (Subject(CONNECT_ACTION), "Connecting to AWS License Manager for license conversion tasks"),
    ],
)
def test_what_was_being_done(subject: Subject, text: str) -> None:
    """Every sentence begins with what was being done, to which task or resource and in which region."""
    assert str(subject) == text
    assert str(LicenseConversionError(subject, "why", "Do this")) == f"{text}: why. Do this."
