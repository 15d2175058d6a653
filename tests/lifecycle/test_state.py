"""How a record compares with what AWS says now, and the line that says what has become of a task, word for word."""

import pytest
from support.service import make_task

from lmconv_resource.lifecycle.inputs import Inputs
from lmconv_resource.lifecycle.operation import UNKNOWN
from lmconv_resource.lifecycle.state import (
    REQUEST,
    ConversionState,
    is_settled,
    must_await,
    to_change_text,
)
from lmconv_resource.models import ConversionTask, LicenseContext, ProductCode

RUNNING, DONE, FAILED = make_task("IN_PROGRESS", "a"), make_task("SUCCEEDED", "a", 5), make_task("FAILED", "a", 5)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (RUNNING, make_task("SUCCEEDED", None, 2530), "lct-1 IN_PROGRESS → SUCCEEDED after 42m10s"),
        (RUNNING, make_task("SUCCEEDED", "done"), "lct-1 IN_PROGRESS → SUCCEEDED"),
        (RUNNING, make_task("FAILED", "no\nspace", 60), "lct-1 IN_PROGRESS → FAILED after 1m00s: no space"),
        (RUNNING, make_task("FAILED"), "lct-1 IN_PROGRESS → FAILED"),
        (RUNNING, make_task(None), "lct-1 IN_PROGRESS → no status"),
        (make_task(None), make_task("IN_PROGRESS", "begun"), "lct-1 no status → IN_PROGRESS"),
        (RUNNING, make_task("IN_PROGRESS", "b\n c"), "lct-1 IN_PROGRESS: b c"),
        (RUNNING, make_task("IN_PROGRESS"), None),
        (DONE, DONE, None),
    ],
)
def test_what_has_become_of_a_task(old: ConversionTask, new: ConversionTask, text: str | None) -> None:
    """A change of status or message is one line, with the duration and, of a failure, AWS's message; else nothing."""
    assert to_change_text(old, new) == text


@pytest.mark.parametrize(
    ("task", "ignore", "must"),
    [
        (RUNNING, False, True),
        (make_task(None), False, True),
        (DONE, False, False),
        (FAILED, False, True),
        (FAILED, True, False),
    ],
)
def test_what_has_to_be_waited_for(task: ConversionTask, ignore: bool, must: bool) -> None:
    """Whoever wants an end, or a success, waits until the record shows one; nobody else waits."""
    waits = Inputs(wait_for_completion=True, ignore_failure=ignore)
    assert must_await(task, waits) is must
    assert is_settled(task, waits) is not must
    assert not must_await(task, Inputs(ignore_failure=ignore))


def test_a_conversion_state_leads_in_and_out() -> None:
    """What a conversion stores is read back, what was asked for included; it wins over AWS's words."""
    asked = {
        "resource_arn": "arn",
        "source_license_context": {"usage_operation": "a"},
        "destination_license_context": {"usage_operation": "b"},
    }
    verified = LicenseContext("RunInstances:00g0", (ProductCode("abc", "marketplace"),))
    state = ConversionState(DONE, True, verified, asked)

    read = ConversionState.from_outputs(state.to_outputs())

    assert read == state
    assert read.request.destination == LicenseContext("b")
    assert "__request" not in ConversionState(DONE).to_outputs()


@pytest.mark.parametrize("edited", ["x", UNKNOWN, []])
def test_what_was_asked_for_counts_only_where_a_state_has_it_as_an_object(edited: object) -> None:
    """In an edited state, what AWS shows of the task has to do."""
    outputs = {**RUNNING.to_outputs(), "resource_arn": "arn", REQUEST: edited}
    assert ConversionState.from_outputs(outputs).request.resource_arn == "arn"
