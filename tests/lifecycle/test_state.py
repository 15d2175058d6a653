"""What a stack stores of a task, what has become of it, and the line that says so, word for word."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from lmconv_resource.lifecycle.state import ConversionState, TaskState
from lmconv_resource.models import OUTPUTS, ConversionTask, LicenseContext, ProductCode, TaskStatus

TASK_ID, REGION = "lct-1", "eu-west-1"
START = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)


def make_task(status: str | None, message: str | None = None, seconds: float | None = None) -> ConversionTask:
    return ConversionTask(
        TASK_ID,
        REGION,
        status=None if status is None else TaskStatus(status),
        status_message=message,
        start_time=START,
        end_time=None if seconds is None else START + timedelta(seconds=seconds),
    )


def make_state(*args: Any) -> TaskState:
    return TaskState.of(make_task(*args))


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (make_task("IN_PROGRESS"), make_task("SUCCEEDED", None, 2530), "lct-1 IN_PROGRESS → SUCCEEDED after 42m10s"),
        (make_task("IN_PROGRESS"), make_task("SUCCEEDED", "done"), "lct-1 IN_PROGRESS → SUCCEEDED"),
        (
            make_task("IN_PROGRESS"),
            make_task("FAILED", "no\nspace", 60),
            "lct-1 IN_PROGRESS → FAILED after 1m00s: no space",
        ),
        (make_task("IN_PROGRESS"), make_task("FAILED"), "lct-1 IN_PROGRESS → FAILED"),
        (make_task("IN_PROGRESS"), make_task(None), "lct-1 IN_PROGRESS → no status"),
        (make_task(None), make_task("IN_PROGRESS", "begun"), "lct-1 no status → IN_PROGRESS"),
        (make_task("IN_PROGRESS", "a"), make_task("IN_PROGRESS", "b\n c"), "lct-1 IN_PROGRESS: b c"),
        (make_task("IN_PROGRESS", "a"), make_task("IN_PROGRESS"), None),
        (make_task("SUCCEEDED", "a"), make_task("SUCCEEDED", "a", 5), None),
    ],
)
def test_what_has_become_of_a_task(old: ConversionTask, new: ConversionTask, text: str | None) -> None:
    """A change of status or message is one line, with the duration and, of a failure, AWS's message; else nothing."""
    assert TaskState.of(old).to_change_text(TASK_ID, TaskState.of(new)) == text


def test_a_record_without_a_status_is_compared() -> None:
    """A record of an older shape, or of a `get`, has no status to compare with."""
    assert TaskState.parse({}).to_change_text(TASK_ID, make_state("IN_PROGRESS")) == "lct-1 no status → IN_PROGRESS"


# -- comparing and merging ---------------------------------------------------------------------------------------------


def test_nulls_that_got_lost_are_no_change() -> None:
    """The engine drops what is null, at any depth: a state that came back without is the same state."""
    context = LicenseContext("RunInstances:0002")
    state = TaskState.of(ConversionTask(TASK_ID, REGION, source_license_context=context))
    codes = TaskState.of(ConversionTask(TASK_ID, REGION, source_license_context=LicenseContext(None)))
    stored = {"license_conversion_task_id": TASK_ID, "region": REGION, "is_complete": False}
    bare = TaskState.parse({**stored, "source_license_context": {"product_codes": []}})

    assert codes.changed_outputs(bare) == bare.changed_outputs(codes) == ()
    assert state.changed_outputs(bare) == ("source_license_context",)
    assert tuple(bare.to_properties()) == OUTPUTS


def test_what_changed_is_told_by_name() -> None:
    """The outputs that differ are named, in the order of the outputs."""
    changed = make_state("IN_PROGRESS").changed_outputs(make_state("SUCCEEDED", "done", 5))

    assert changed == ("status", "status_message", "end_time", "is_complete", "duration_seconds")


@pytest.mark.parametrize(
    ("old", "found", "is_reopened", "merged"),
    [
        (make_state("IN_PROGRESS", "a"), make_state("IN_PROGRESS"), False, make_state("IN_PROGRESS")),
        (make_state("IN_PROGRESS"), make_state(None), False, make_state(None)),
        (make_state("SUCCEEDED", "a", 5), make_state("SUCCEEDED", "b"), False, None),
        (make_state("SUCCEEDED", "a", 5), make_state("IN_PROGRESS", "b"), True, make_state("SUCCEEDED", "a", 5)),
        (make_state("FAILED", "a", 5), make_state(None), True, make_state("FAILED", "a", 5)),
    ],
)
def test_the_state_of_a_finished_task_never_loses_a_value(
    old: TaskState, found: TaskState, is_reopened: bool, merged: TaskState | None
) -> None:
    """What is running is replaced by what was found; what has ended is completed by it, or kept if reopened."""
    assert old.is_reopened_by(found) is is_reopened
    result = old.merged_with(found)
    if merged is not None:
        assert result == merged
    else:
        assert (result.status, result.status_message, result.outputs["end_time"]) == (
            "SUCCEEDED",
            "b",
            "2026-11-23T08:00:05Z",
        )


@pytest.mark.parametrize(
    ("status", "ignore", "must"),
    [
        ("IN_PROGRESS", False, True),
        (None, False, True),
        ("SUCCEEDED", False, False),
        ("FAILED", False, True),
        ("FAILED", True, False),
    ],
)
def test_what_has_to_be_waited_for(status: str | None, ignore: bool, must: bool) -> None:
    """Whoever wants an end, or a success, waits until the state shows one; nobody else waits."""
    state = make_state(status)

    assert state.must_await(wait_for_completion=True, ignore_failure=ignore) is must
    assert not state.must_await(wait_for_completion=False, ignore_failure=ignore)


def test_a_conversion_state_leads_in_and_out() -> None:
    """What a conversion stores is read back, what was asked for included; it wins over AWS's words."""
    asked = {
        "resource_arn": "arn",
        "source_license_context": {"usage_operation": "a"},
        "destination_license_context": {"usage_operation": "b"},
    }
    verified = LicenseContext("RunInstances:00g0", (ProductCode("abc", "marketplace"),))
    state = ConversionState(make_state("SUCCEEDED"), True, verified, asked)

    read = ConversionState.parse(state.to_properties())

    assert read == state
    assert read.request.destination == LicenseContext("b")
    assert "__request" not in ConversionState(make_state("SUCCEEDED")).to_properties()
