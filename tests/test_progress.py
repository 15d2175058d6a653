"""The line on what has become of a task, word for word."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from lmconv_resource.lifecycle.progress import to_change_text

from lmconv_resource.models import ConversionTask, TaskStatus

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
    assert to_change_text(TASK_ID, old.to_outputs(), new.to_outputs()) == text


def test_a_record_without_a_status_is_compared() -> None:
    """A record of an older shape, or of a `get`, has no status to compare with."""
    assert to_change_text(TASK_ID, {}, make_task("IN_PROGRESS").to_outputs()) == "lct-1 no status → IN_PROGRESS"
