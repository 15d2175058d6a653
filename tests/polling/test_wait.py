"""One wait: when it is polled next, how it ends, and the line that says so, by figures alone."""

import itertools
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from support.service import REGION, make_task

from lmconv_resource.errors import (
    AccessDeniedError,
    ClockSkewError,
    EndpointUnreachableError,
    ExpiredCredentialsError,
    LicenseConversionError,
    Subject,
    TaskNotFoundError,
    ThrottledError,
    TransientError,
    WaitError,
)
from lmconv_resource.models import ConversionTask
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.wait import Wait, to_wait_text

POLICY = PollingPolicy()
SUBJECT = Subject(task_id="lct-1", region=REGION)
UNREACHABLE = EndpointUnreachableError(SUBJECT, "nobody answers")
THROTTLED = ThrottledError(SUBJECT, "AWS throttles the calls (Throttling: Rate)")
NOT_FOUND = TaskNotFoundError(SUBJECT, "AWS does not know it there (no)")
SKEWED = ClockSkewError(SUBJECT, "Signature expired")
DENIED = AccessDeniedError(SUBJECT, "no")
EXPIRED = ExpiredCredentialsError(SUBJECT, "the credentials have expired", "Sign in")
RNG = random.Random(1)  # noqa: S311 -- jitter


@pytest.fixture(autouse=True)
def _same_jitter() -> None:
    RNG.seed(1)  # whichever tests ran before


RUNNING = make_task("IN_PROGRESS", "step 1")


def make(started: float = 1000.0, deadline: float = 1e6, **members: Any) -> Wait:
    return Wait("lct-1", REGION, started, deadline, **{"next_poll": started, **members})


def follow(wait: Wait, results: Iterable[ConversionTask | Exception]) -> float:
    """Let each poll have its result, at its moment, until the wait has ended; return how long that took."""
    now = wait.started
    for result in results:
        now = wait.next_poll
        wait.on_dispatched(now)
        wait.on_poll(now)
        wait.record(result, now, RNG)
        if wait.outcome is not None:
            break
    return wait.waited(now)


def test_what_is_in_progress_is_polled_by_the_policy() -> None:
    wait = make()
    wait.dispatched = wait.in_flight = True
    wait.record(RUNNING, 1300.0, RNG)
    interval = POLICY.interval(300.0)
    assert wait.interval == interval
    assert interval * (1 - POLICY.jitter_fraction) <= wait.next_poll - 1300.0 <= interval
    assert (wait.task, wait.outcome, wait.dispatched, wait.in_flight) == (RUNNING, None, False, False)
    assert wait.wants_poll


def test_a_list_takes_along_what_is_nearly_due() -> None:
    """A poll may come by a part of its interval early, to share a list; one at a constant interval comes at its end."""
    wait = make(next_poll=1030.0, interval=20.0)
    early = POLICY.batch_ahead * 20.0
    assert (wait.is_near(1030.0 - early), wait.is_near(1030.0 - early - 0.1)) == (True, False)
    wait = make(poll_interval_seconds=60.0)
    wait.record(RUNNING, 1000.0, RNG)
    assert (wait.next_poll, wait.is_near(1059.9), wait.is_near(1060.0)) == (1060.0, False, True)


def test_the_first_poll_is_never_too_late() -> None:
    wait = make(deadline=1000.5)
    assert not wait.is_too_late(1000.4)
    wait.task = RUNNING
    assert wait.is_too_late(1000.4)
    assert not make(deadline=1001.0).is_too_late(1000.0)


def test_a_poll_that_is_given_up_leaves_the_deadline() -> None:
    """No poll is due before the deadline any more, and the wait still has its moment in the schedule."""
    wait = make(deadline=2000.0, dispatched=True, in_flight=True)
    wait.stop_polling()
    assert wait.next_poll > wait.deadline == wait.limit
    assert wait.changed.is_set()
    assert wait.wants_poll


def test_a_poll_under_way_extends_the_limit_and_not_the_deadline() -> None:
    """What is in flight at the deadline still counts, for as long as a call can last."""
    assert make(deadline=2000.0).limit == 2000.0
    assert 2020.0 <= make(deadline=2000.0, in_flight=True).limit <= 2030.0


@pytest.mark.parametrize(("now", "next_poll"), [(1990.0, 1999.0), (1998.4, 1999.0), (1998.75, None)])
def test_the_last_poll_is_early_enough(now: float, next_poll: float | None) -> None:
    """The last poll comes a second before the deadline; where it has been, the wait ends and tells what it saw."""
    wait = make(deadline=2000.0)
    wait.record(RUNNING, now, RNG)
    if next_poll:
        assert (wait.next_poll, wait.outcome) == (next_poll, None)
        return
    assert isinstance(wait.outcome, WaitError)
    assert wait.outcome.task == RUNNING
    assert str(wait.outcome) == (
        "Waiting for license conversion task lct-1 in eu-west-1: it did not end within 16m38s "
        "(last seen IN_PROGRESS: step 1). The conversion continues in AWS, and the next `pulumi up` picks it up; "
        "custom_timeouts sets how long to wait."
    )


def test_a_wait_that_ends_by_its_deadline_names_the_time_that_is_set_and_the_last_fault() -> None:
    """Where none is set, and what came before it has taken all the time that there was, it names none."""
    wait = make(started=1000.4, limit_seconds=10.0, fault=THROTTLED)
    end = f": it did not end within 10s (its status is not known yet; the last fault: {THROTTLED.reason}). "
    assert end in str(wait.to_timeout_error(1009.1))
    assert ": it did not end before the deadline (its status is not known" in str(make().to_timeout_error(1000.3))


LOST = (
    "Waiting for license conversion task lct-1 in eu-west-1: every check has failed for {}, the last because {} ({}). "
)
NETWORK = "Check the network, the proxy, the region and any endpoint setting, then run `pulumi up` again"
SEEN, UNSEEN = "last seen IN_PROGRESS: step 1", "its status is not known yet"


@pytest.mark.parametrize(
    ("before", "fault", "seconds", "error"),
    [
        # What passes as a rule is carried for five minutes once AWS has answered, by throttling too.
        ([RUNNING], UNREACHABLE, (300, 340), LOST.format("5m00s", "nobody answers", SEEN) + NETWORK + "; the conv"),
        ([RUNNING], NOT_FOUND, (300, 340), LOST.format("5m00s", NOT_FOUND.reason, SEEN) + NOT_FOUND.remedy),
        ([RUNNING], SKEWED, (300, 340), LOST.format("5m00s", SKEWED.reason, SEEN) + SKEWED.remedy),
        ([THROTTLED], UNREACHABLE, (300, 330), LOST.format("5m00s", "nobody answers", UNSEEN) + NETWORK + "."),
        # A region that does not exist is no hiccup of five minutes.
        ([], UNREACHABLE, (30, 30), LOST.format("30s", "nobody answers", UNSEEN) + NETWORK + "."),
        # What another try can't cure ends it at once, a clock that is wrong from the start too.
        ([], SKEWED, (0, 0), str(SKEWED)),
        ([], DENIED, (0, 0), str(DENIED)),
    ],
)
def test_how_long_faults_are_carried(
    before: Sequence[ConversionTask | Exception], fault: Exception, seconds: tuple[float, float], error: str
) -> None:
    """The error says for how long, why, what was last seen and what to do; of a task never seen it claims nothing."""
    wait = make()
    least, most = seconds
    assert least <= follow(wait, itertools.chain(before, itertools.repeat(fault))) <= most
    assert str(wait.outcome).startswith(error)
    if RUNNING in before:
        assert isinstance(wait.outcome, LicenseConversionError)
        assert wait.outcome.task is RUNNING


def test_credentials_that_end_a_wait_end_no_conversion() -> None:
    wait = make()
    follow(wait, [RUNNING, EXPIRED])
    continues = "; the conversion continues in AWS, and the next `pulumi up` picks it up."
    assert str(wait.outcome) == str(EXPIRED).removesuffix(".") + continues


@pytest.mark.parametrize(("is_known", "seconds"), [(True, 30), (False, 8)])
def test_a_task_that_aws_does_not_know_is_an_error_in_time(is_known: bool, seconds: float) -> None:
    """Half a minute for one that was started here, 10 s for an id of a program's; until then AWS may only hide it."""
    wait = make(is_known=is_known)
    assert follow(wait, itertools.repeat(NOT_FOUND)) == pytest.approx(seconds)
    assert wait.outcome is NOT_FOUND
    assert to_wait_text(wait, 1005.0).startswith("AWS does not know it yet · ")
    wait = make(is_known=is_known)
    follow(wait, [NOT_FOUND, RUNNING])
    assert (wait.outcome, wait.fault) == (None, None)


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
    assert wait.outcome is None


def test_throttling_is_no_fault() -> None:
    """The rate slows down, and the wait keeps its place: it is due at once, and its five minutes do not begin."""
    wait = make()
    wait.record(THROTTLED, 1234.0, RNG)
    assert (wait.next_poll, wait.faults, wait.failing_since, wait.fault) == (1234.0, 0, None, THROTTLED)


def test_an_outcome_stays() -> None:
    """A bug is an outcome too; a poll that was under way while the wait ended changes nothing any more."""
    wait, bug = make(), ZeroDivisionError()
    wait.record(bug, 1002.0, RNG)
    wait.record(UNREACHABLE, 1e6, RNG)
    assert (wait.outcome, wait.fault) == (bug, None)


@pytest.mark.parametrize(
    ("task", "end"),
    [
        (RUNNING, f"({SEEN}). The conversion continues in AWS, and the next `pulumi up` picks it up."),
        (None, f"({UNSEEN}). Run `pulumi up` again to wait for it."),
        (make_task(None), "(last seen no status). The conversion continues in AWS, and the next `pulumi up` picks it"),
    ],
)
def test_an_interrupted_wait_tells_what_was_last_seen(task: ConversionTask | None, end: str) -> None:
    """Nothing is claimed of a task that was never seen."""
    error = str(make(task=task).to_interrupted_error("the update was cancelled", 1e6))
    assert error.startswith(
        f"Waiting for license conversion task lct-1 in eu-west-1: the update was cancelled after 277h30m {end}"
    )


def test_a_line_is_due_when_something_changes() -> None:
    """Status, message or fault; none before anything is known."""
    wait = make()
    assert not any(wait.status_key)
    shown: list[tuple[object, ...]] = []
    for result in (UNREACHABLE, RUNNING, RUNNING, make_task("IN_PROGRESS", "step 2")):
        wait.record(result, 1001.0, RNG)
        shown.append(wait.status_key)
    assert shown[0] != shown[1] == shown[2] != shown[3]


CONVERTING = make_task("IN_PROGRESS", "converting\n  step 2 ")
NORMAL = "3m20s IN_PROGRESS · converting step 2 · lct-1"
UNREADABLE = TransientError(SUBJECT, "the answer\ncan't be read")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, "3m20s not seen yet · lct-1"),
        ({"task": make_task(None)}, "3m20s not seen yet · lct-1"),
        ({"task": make_task("IN_PROGRESS")}, "3m20s IN_PROGRESS · lct-1"),
        ({"task": CONVERTING}, NORMAL),
        ({"task": make_task("SUCCEEDED", "done", 2530)}, "SUCCEEDED after 42m10s · lct-1"),
        ({"task": make_task("FAILED", "no")}, "FAILED after 3m20s · lct-1"),
        ({"task": ConversionTask("lct-1", REGION, unknown_status="PAUSED")}, "3m20s PAUSED · lct-1"),
        (
            {"task": CONVERTING, "fault": UNREADABLE, "failing_since": 1110.0},
            "failing 1m30s: the answer can't be read · 3m20s IN_PROGRESS · lct-1",
        ),
        # Throttling is no fault whose time is counted.
        ({"fault": THROTTLED, "dispatched": True}, f"{THROTTLED.reason} · 3m20s not seen yet · lct-1"),
        # Where many calls come before its own for some time.
        ({"task": CONVERTING, "dispatched": True, "next_poll": 1195.0}, "queued 5s · 3m20s IN_PROGRESS · lct-1"),
        ({"task": CONVERTING, "dispatched": True, "next_poll": 1199.0}, NORMAL),
        ({"task": CONVERTING, "dispatched": True, "in_flight": True, "next_poll": 1195.0}, NORMAL),
        ({"task": CONVERTING, "next_poll": 1195.0}, NORMAL),
    ],
)
def test_how_a_wait_goes(members: dict[str, Any], text: str) -> None:
    """What hinders it first, time and status, AWS's message, and the id last: a terminal cuts a row off at its end."""
    assert to_wait_text(make(deadline=5000.0, **{"next_poll": 1220.4, **members}), 1200.0) == text


def test_what_is_said_of_a_long_conversion() -> None:
    assert list(make(task=RUNNING).take_notices(1900.0)) == [
        "lct-1 has been waited for 15m00s, and most conversions take minutes. To see what it is doing, check the "
        "executions on its instance in Systems Manager Automation, and its entry in the License Manager console."
    ]
