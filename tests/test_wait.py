"""One wait: when it is looked at next and how it ends, by figures alone."""

from __future__ import annotations

import random

import pytest

from lmconv_resource.errors import (
    EndpointUnreachableError,
    ThrottledError,
    TransientError,
    UnreadableAnswerError,
    WaitFaultError,
    WaitTimeoutError,
)
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling import policy as rhythm
from lmconv_resource.polling.wait import Wait

REGION = "eu-west-1"
RUNNING = ConversionTask("lct-1", REGION, status=TaskStatus.IN_PROGRESS, status_message="step 1")
UNREACHABLE = EndpointUnreachableError(reason="no route", task_id="lct-1", region=REGION)
THROTTLED = ThrottledError(reason="slower", task_id="lct-1", region=REGION)
RNG = random.Random(1)  # noqa: S311 -- jitter


def make(started: float = 1000.0, deadline: float = 1e6, poll_interval_seconds: float | None = None) -> Wait:
    return Wait("lct-1", REGION, started, deadline, poll_interval_seconds, next_look=started)


def test_what_is_in_progress_is_looked_at_by_the_rhythm() -> None:
    """The next look is within the rhythm's interval, and less than a twentieth before its end."""
    wait = make()
    wait.planned = wait.in_flight = True

    wait.learn(RUNNING, 1300.0, RNG)

    interval = rhythm.poll_interval(300.0)
    assert wait.interval == interval
    assert interval * (1 - rhythm.JITTER) <= wait.next_look - 1300.0 <= interval
    assert (wait.task, wait.outcome, wait.planned, wait.in_flight) == (RUNNING, None, False, False)
    assert wait.wants_look


def test_a_list_takes_along_what_is_nearly_due() -> None:
    """A look may come by a part of its interval early, to share a list, and not earlier."""
    wait = make()
    wait.next_look, wait.interval = 1030.0, 20.0

    early = rhythm.LOOK_AHEAD * 20.0
    assert wait.is_near(1030.0 - early)
    assert not wait.is_near(1030.0 - early - 0.1)


def test_a_constant_interval_brings_no_list_forward() -> None:
    """A wait with a constant interval is due at its end, not before; a list made for others takes it along."""
    wait = make(poll_interval_seconds=60.0)

    wait.learn(RUNNING, 1000.0, RNG)

    assert (wait.next_look, wait.is_near(1059.9), wait.is_near(1060.0)) == (1060.0, False, True)


def test_the_first_look_is_never_too_late() -> None:
    """However short the deadline, what a task is like is asked once."""
    wait = make(deadline=1000.5)
    assert not wait.is_too_late(1000.4)

    wait.task = RUNNING
    assert wait.is_too_late(1000.4)
    assert not make(deadline=1001.0).is_too_late(1000.0)


def test_a_look_that_is_given_up_leaves_the_deadline() -> None:
    """No look is due before the deadline any more, and the wait still has its moment in the schedule."""
    wait = make(deadline=2000.0)
    wait.planned = wait.in_flight = True

    wait.give_up_looking()

    assert wait.next_look > wait.deadline == wait.limit
    assert wait.changed.is_set()
    assert wait.wants_look


def test_a_look_under_way_extends_the_limit_and_not_the_deadline() -> None:
    """What is in flight at the deadline still counts, for as long as a call can last."""
    wait = make(deadline=2000.0)
    assert wait.limit == 2000.0

    wait.in_flight = True
    assert 2020.0 <= wait.limit <= 2030.0


@pytest.mark.parametrize(("now", "next_look"), [(1990.0, 1999.0), (1998.4, 1999.0)])
def test_the_last_look_is_early_enough(now: float, next_look: float) -> None:
    """The last look comes a second before the deadline, whatever the rhythm says."""
    wait = make(deadline=2000.0)

    wait.learn(RUNNING, now, RNG)

    assert (wait.next_look, wait.outcome) == (next_look, None)


def test_no_look_would_end_before_the_deadline() -> None:
    """Where the last look has been, the wait ends at once, and tells what was last seen."""
    wait = make(deadline=2000.0)

    wait.learn(RUNNING, 1998.75, RNG)

    assert isinstance(wait.outcome, WaitTimeoutError)
    assert (wait.outcome.task, wait.outcome.waited_seconds) == (RUNNING, 998.75)
    assert (wait.outcome.task_id, wait.outcome.region) == ("lct-1", REGION)


def test_faults_are_counted_in_a_row_and_forgotten_by_a_good_answer() -> None:
    """Five minutes count from the first fault since the last good answer."""
    wait = make()
    wait.learn(UNREACHABLE, 1000.0, RNG)
    wait.learn(UNREACHABLE, 1100.0, RNG)
    assert (wait.faults, wait.faulty_since, wait.fault) == (2, 1000.0, UNREACHABLE)
    assert 0.5 <= wait.next_look - 1100.0 <= 4.5

    wait.learn(RUNNING, 1200.0, RNG)
    assert (wait.faults, wait.faulty_since, wait.fault) == (0, None, None)

    wait.learn(UNREACHABLE, 1201.0, RNG)
    wait.learn(UNREACHABLE, 1201.0 + rhythm.FAULTS_SECONDS - 1, RNG)
    before = wait.outcome
    wait.learn(UNREACHABLE, 1201.0 + rhythm.FAULTS_SECONDS, RNG)
    assert before is None
    assert isinstance(wait.outcome, WaitFaultError)
    assert wait.outcome.task is RUNNING


def test_throttling_is_no_fault() -> None:
    """The pace slows down, and the wait keeps its place: it is due at once, and its five minutes do not begin."""
    wait = make()

    wait.learn(THROTTLED, 1234.0, RNG)

    assert (wait.next_look, wait.faults, wait.faulty_since, wait.fault) == (1234.0, 0, None, THROTTLED)


def test_an_answer_without_a_status_is_a_fault_and_a_refusal_is_the_end() -> None:
    """What can't be read is asked again; what another try can't mend ends the wait as it is."""
    wait = make()
    wait.learn(ConversionTask("lct-1", REGION), 1001.0, RNG)
    assert isinstance(wait.fault, UnreadableAnswerError)
    assert str(wait.fault).startswith("Looking up license conversion task lct-1 in eu-west-1: the answer has no status")
    assert (wait.task, wait.outcome) == (None, None)

    bug = ZeroDivisionError()
    wait.learn(bug, 1002.0, RNG)
    assert wait.outcome is bug


def test_what_shows() -> None:
    """A line is due when status, message or fault change, and none before anything is known."""
    wait = make()
    assert wait.shows is None

    shown: list[tuple[object, ...] | None] = []
    results: list[ConversionTask | TransientError] = [UNREACHABLE, RUNNING, RUNNING]
    for result in (*results, ConversionTask("lct-1", REGION, status=TaskStatus.IN_PROGRESS, status_message="step 2")):
        wait.learn(result, 1001.0, RNG)
        shown.append(wait.shows)

    assert None not in shown
    assert shown[0] != shown[1] == shown[2] != shown[3]
