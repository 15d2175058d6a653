"""One wait: when it is polled next and how it ends, by figures alone."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from lmconv_resource.errors import EndpointUnreachableError, Subject, ThrottledError, TransientError, WaitError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.wait import Wait, to_long_text, to_wait_text

REGION = "eu-west-1"
POLICY = PollingPolicy()
SUBJECT = Subject(task_id="lct-1", region=REGION)
RUNNING = ConversionTask("lct-1", REGION, status=TaskStatus.IN_PROGRESS, status_message="step 1")
UNREACHABLE = EndpointUnreachableError(SUBJECT, "no route")
THROTTLED = ThrottledError(SUBJECT, "slower")
RNG = random.Random(1)  # noqa: S311 -- jitter


def make(started: float = 1000.0, deadline: float = 1e6, poll_interval_seconds: float | None = None) -> Wait:
    return Wait("lct-1", REGION, started, deadline, poll_interval_seconds, next_poll=started)


def test_what_is_in_progress_is_polled_by_the_policy() -> None:
    """The next poll is within the policy's interval, and less than a twentieth before its end."""
    wait = make()
    wait.dispatched = wait.in_flight = True

    wait.record(RUNNING, 1300.0, RNG)

    interval = POLICY.interval(300.0)
    assert wait.interval == interval
    assert interval * (1 - POLICY.jitter_fraction) <= wait.next_poll - 1300.0 <= interval
    assert (wait.task, wait.outcome, wait.dispatched, wait.in_flight) == (RUNNING, None, False, False)
    assert wait.wants_poll


def test_a_list_takes_along_what_is_nearly_due() -> None:
    """A poll may come by a part of its interval early, to share a list, and not earlier."""
    wait = make()
    wait.next_poll, wait.interval = 1030.0, 20.0

    early = POLICY.batch_ahead * 20.0
    assert wait.is_near(1030.0 - early)
    assert not wait.is_near(1030.0 - early - 0.1)


def test_a_constant_interval_brings_no_list_forward() -> None:
    """A wait with a constant interval is due at its end, not before; a list made for others takes it along."""
    wait = make(poll_interval_seconds=60.0)

    wait.record(RUNNING, 1000.0, RNG)

    assert (wait.next_poll, wait.is_near(1059.9), wait.is_near(1060.0)) == (1060.0, False, True)


def test_the_first_poll_is_never_too_late() -> None:
    """However short the deadline, what a task is like is asked once."""
    wait = make(deadline=1000.5)
    assert not wait.is_too_late(1000.4)

    wait.task = RUNNING
    assert wait.is_too_late(1000.4)
    assert not make(deadline=1001.0).is_too_late(1000.0)


def test_a_poll_that_is_given_up_leaves_the_deadline() -> None:
    """No poll is due before the deadline any more, and the wait still has its moment in the schedule."""
    wait = make(deadline=2000.0)
    wait.dispatched = wait.in_flight = True

    wait.stop_polling()

    assert wait.next_poll > wait.deadline == wait.limit
    assert wait.changed.is_set()
    assert wait.wants_poll


def test_a_poll_under_way_extends_the_limit_and_not_the_deadline() -> None:
    """What is in flight at the deadline still counts, for as long as a call can last."""
    wait = make(deadline=2000.0)
    assert wait.limit == 2000.0

    wait.in_flight = True
    assert 2020.0 <= wait.limit <= 2030.0


@pytest.mark.parametrize(("now", "next_poll"), [(1990.0, 1999.0), (1998.4, 1999.0)])
def test_the_last_poll_is_early_enough(now: float, next_poll: float) -> None:
    """The last poll comes a second before the deadline, whatever the policy says."""
    wait = make(deadline=2000.0)

    wait.record(RUNNING, now, RNG)

    assert (wait.next_poll, wait.outcome) == (next_poll, None)


def test_no_poll_would_end_before_the_deadline() -> None:
    """Where the last poll has been, the wait ends at once, and tells what was last seen."""
    wait = make(deadline=2000.0)

    wait.record(RUNNING, 1998.75, RNG)

    assert isinstance(wait.outcome, WaitError)
    assert wait.outcome.task == RUNNING
    assert "it did not end within 16m38s (last seen IN_PROGRESS: step 1)" in str(wait.outcome)
    assert (wait.outcome.subject.task_id, wait.outcome.subject.region) == ("lct-1", REGION)


def test_faults_are_counted_in_a_row_and_forgotten_by_a_good_answer() -> None:
    """Five minutes count from the first fault since the last good answer."""
    wait = make()
    wait.record(RUNNING, 1000.0, RNG)
    wait.record(UNREACHABLE, 1000.0, RNG)
    wait.record(UNREACHABLE, 1100.0, RNG)
    assert (wait.faults, wait.failing_since, wait.fault) == (2, 1000.0, UNREACHABLE)
    assert 0.5 <= wait.next_poll - 1100.0 <= 4.5

    wait.record(RUNNING, 1200.0, RNG)
    assert (wait.faults, wait.failing_since, wait.fault) == (0, None, None)

    wait.record(UNREACHABLE, 1201.0, RNG)
    wait.record(UNREACHABLE, 1201.0 + POLICY.fault_budget_seconds - 1, RNG)
    before = wait.outcome
    wait.record(UNREACHABLE, 1201.0 + POLICY.fault_budget_seconds, RNG)
    assert before is None
    assert isinstance(wait.outcome, WaitError)
    assert wait.outcome.task is RUNNING


def test_throttling_is_no_fault() -> None:
    """The rate slows down, and the wait keeps its place: it is due at once, and its five minutes do not begin."""
    wait = make()

    wait.record(THROTTLED, 1234.0, RNG)

    assert (wait.next_poll, wait.faults, wait.failing_since, wait.fault) == (1234.0, 0, None, THROTTLED)


def test_a_refusal_is_the_end() -> None:
    """What another try can't mend ends the wait as it is."""
    wait = make()
    bug = ZeroDivisionError()
    wait.record(bug, 1002.0, RNG)
    assert wait.outcome is bug


def test_what_shows() -> None:
    """A line is due when status, message or fault change, and none before anything is known."""
    wait = make()
    assert wait.status_key is None

    shown: list[tuple[object, ...] | None] = []
    results: list[ConversionTask | TransientError] = [UNREACHABLE, RUNNING, RUNNING]
    for result in (*results, ConversionTask("lct-1", REGION, status=TaskStatus.IN_PROGRESS, status_message="step 2")):
        wait.record(result, 1001.0, RNG)
        shown.append(wait.status_key)

    assert None not in shown
    assert shown[0] != shown[1] == shown[2] != shown[3]


# -- its line on the row -----------------------------------------------------------------------------------------------

START = datetime(2026, 11, 23, 8, tzinfo=timezone.utc)


def make_task(status: str | None, message: str | None = None, seconds: float | None = None) -> ConversionTask:
    return ConversionTask(
        "lct-1",
        REGION,
        status=None if status is None else TaskStatus(status),
        status_message=message,
        start_time=START,
        end_time=None if seconds is None else START + timedelta(seconds=seconds),
    )


def make_wait(**members: Any) -> Wait:
    return Wait("lct-1", REGION, **{"started": 1000.0, "deadline": 5000.0, "next_poll": 1220.4, **members})


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, "3m20s not seen yet · lct-1"),
        ({"task": make_task(None)}, "3m20s not seen yet · lct-1"),
        ({"task": make_task("IN_PROGRESS")}, "3m20s IN_PROGRESS · lct-1"),
        (
            {"task": make_task("IN_PROGRESS", "converting\n  step 2 ")},
            "3m20s IN_PROGRESS · converting step 2 · lct-1",
        ),
        ({"task": make_task("SUCCEEDED", "done", 2530)}, "SUCCEEDED after 42m10s · lct-1"),
        ({"task": make_task("FAILED", "no")}, "FAILED after 3m20s · lct-1"),
    ],
)
def test_how_a_wait_goes(members: dict[str, Any], text: str) -> None:
    """A wait is one line: status, time waited, AWS's message, id; at its end, AWS's own duration."""
    assert to_wait_text(make_wait(**members), 1200.0) == text


def test_a_fault_is_shown() -> None:
    """A poll that failed is on the row first, with how long it has been so, in place of AWS's message."""
    fault = TransientError(SUBJECT, "the answer\ncan't be read")
    wait = make_wait(task=make_task("IN_PROGRESS", "converting"), fault=fault, failing_since=1110.0)
    assert to_wait_text(wait, 1200.0) == ("failing 1m30s: the answer can't be read · 3m20s IN_PROGRESS · lct-1")


def test_throttling_is_shown() -> None:
    """AWS asking to slow down is said too; it is no fault whose time is counted."""
    fault = ThrottledError(SUBJECT, "AWS asks to slow down (Throttling: Rate)")
    assert to_wait_text(make_wait(fault=fault, dispatched=True), 1200.0) == (
        "AWS asks to slow down (Throttling: Rate) · 3m20s not seen yet · lct-1"
    )


@pytest.mark.parametrize(
    ("members", "first"),
    [
        ({"dispatched": True, "next_poll": 1195.0}, "queued 5s · 3m20s IN_PROGRESS"),
        ({"dispatched": True, "next_poll": 1199.0}, "3m20s IN_PROGRESS · converting"),
        ({"dispatched": True, "in_flight": True, "next_poll": 1195.0}, "3m20s IN_PROGRESS · converting"),
        ({"next_poll": 1195.0}, "3m20s IN_PROGRESS · converting"),
    ],
)
def test_a_poll_that_queues_is_shown(members: dict[str, Any], first: str) -> None:
    """Where many calls come before its own for some time, the row says so first."""
    wait = make_wait(task=make_task("IN_PROGRESS", "converting"), **members)
    assert to_wait_text(wait, 1200.0) == f"{first} · lct-1"


ROW = 22
"""What a terminal of 120 columns leaves for a row's text, beside type, name and status of a tracked task."""


@pytest.mark.parametrize(
    ("members", "start"),
    [
        ({}, "3m20s not seen yet · l"),
        ({"task": make_task("IN_PROGRESS", "Converting")}, "3m20s IN_PROGRESS · Co"),
        ({"task": make_task("SUCCEEDED", "done", 2530)}, "SUCCEEDED after 42m10s"),
        ({"task": make_task("FAILED", "no")}, "FAILED after 3m20s · l"),
        ({"dispatched": True, "next_poll": 1150.0}, "queued 50s · 3m20s not"),
        (
            {"fault": TransientError(SUBJECT, "no answer arrived"), "failing_since": 1110.0},
            "failing 1m30s: no answ",
        ),
        ({"fault": ThrottledError(SUBJECT, "AWS asks to slow down (Throttling)")}, "AWS asks to slow down "),
    ],
)
def test_what_matters_is_at_the_start(members: dict[str, Any], start: str) -> None:
    """Status and time, or what hinders the wait, are read at 120 columns; the id comes last."""
    text = to_wait_text(make_wait(**members), 1200.0)
    assert text[:ROW] == start
    assert text.endswith("lct-1")


def test_what_is_said_of_a_long_conversion() -> None:
    """It says since when, that this is unusual, and where to look."""
    assert to_long_text(make_wait()) == (
        "lct-1 has been waited for 15m00s, and most conversions take minutes. To see what it is doing, check the "
        "executions on its instance in Systems Manager Automation, and its entry in the License Manager console."
    )


def test_an_unknown_status_is_on_the_row() -> None:
    """The row shows AWS's word as it is."""
    task = ConversionTask("lct-1", REGION, unknown_status="PAUSED")
    assert to_wait_text(make_wait(task=task), 1200.0) == "3m20s PAUSED · lct-1"


def test_an_outcome_stays() -> None:
    """A poll that was under way while a list told the end changes nothing any more."""
    wait = make()
    ended = ConversionTask("lct-1", REGION, status=TaskStatus.SUCCEEDED)
    wait.record(ended, 1001.0, RNG)

    wait.record(UNREACHABLE, 1e6, RNG)

    assert (wait.outcome, wait.fault) == (ended, None)


@pytest.mark.parametrize("now", [1000.0, 1e6])
def test_nothing_is_claimed_of_a_task_that_was_never_seen(now: float) -> None:
    """Neither an interrupted wait nor one past its deadline says that a conversion goes on in AWS."""
    wait = make()
    for error in (wait.to_interrupted_error("the update was cancelled", now), wait.to_timeout_error(now)):
        assert "(its status is not known yet). Run `pulumi up` again to wait for it" in str(error)
        assert "goes on in AWS" not in str(error)
