"""The lines on a resource's row, word for word."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from lmconv_resource.errors import ThrottledError, UnreadableAnswerError
from lmconv_resource.lifecycle.progress import to_change_text, to_wait_text
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.wait import Wait

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


def make_wait(**members: Any) -> Wait:
    return Wait(TASK_ID, REGION, **{"started": 1000.0, "deadline": 5000.0, "next_look": 1220.4, **members})


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, "lct-1 not seen yet for 3m20s, next look in 20s"),
        ({"planned": True}, "lct-1 not seen yet for 3m20s, looking now"),
        ({"task": make_task(None)}, "lct-1 not seen yet for 3m20s, next look in 20s"),
        ({"task": make_task("IN_PROGRESS")}, "lct-1 IN_PROGRESS for 3m20s, next look in 20s"),
        (
            {"task": make_task("IN_PROGRESS", "converting\n  step 2 ")},
            "lct-1 IN_PROGRESS for 3m20s, next look in 20s: converting step 2",
        ),
        (
            {"task": make_task("IN_PROGRESS", "converting"), "planned": True},
            "lct-1 IN_PROGRESS for 3m20s, looking now: converting",
        ),
        ({"task": make_task("IN_PROGRESS"), "next_look": 1100.0}, "lct-1 IN_PROGRESS for 3m20s, next look in 1s"),
        ({"task": make_task("SUCCEEDED", "done", 2530)}, "lct-1 SUCCEEDED after 42m10s"),
        ({"task": make_task("FAILED", "no")}, "lct-1 FAILED after 3m20s"),
    ],
)
def test_how_a_wait_goes(members: dict[str, Any], text: str) -> None:
    """A wait is one line: id, status, time waited, next look and AWS's message; at its end, AWS's own duration."""
    assert to_wait_text(make_wait(**members), 1200.0) == text


def test_a_fault_is_shown() -> None:
    """A look that failed is on the row in place of AWS's message, with how long it has been so."""
    fault = UnreadableAnswerError(reason="the answer\ncan't be read", task_id=TASK_ID, region=REGION)
    wait = make_wait(task=make_task("IN_PROGRESS", "converting"), fault=fault, faulty_since=1110.0)
    assert to_wait_text(wait, 1200.0) == (
        "lct-1 IN_PROGRESS for 3m20s, next look in 20s; the last look failed (for 1m30s): the answer can't be read"
    )


def test_throttling_is_shown() -> None:
    """AWS asking to slow down is said too; it is no fault whose time is counted."""
    fault = ThrottledError(reason="AWS asks to slow down (Throttling: Rate)", task_id=TASK_ID, region=REGION)
    assert to_wait_text(make_wait(fault=fault, planned=True), 1200.0) == (
        "lct-1 not seen yet for 3m20s, looking now; the last look failed: AWS asks to slow down (Throttling: Rate)"
    )
