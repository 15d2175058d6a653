"""The blocking call by real threads, and by clocks that are turned by hand."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.service import FEW, REGION, Service
from support.waiting import SOON

from lmconv_resource.errors import EndpointUnreachableError, Subject, WaitError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.poller import Poller
from lmconv_resource.polling.runtime import RUNTIME, Runtime
from lmconv_resource.polling.wait import Wait


def join_poller() -> None:
    """Wait for the thread to end that dispatches polls."""
    for thread in threading.enumerate():
        if thread.name == "lmconv-poller":
            thread.join(SOON)


def nothing(wait: Wait, now: float) -> None:
    """Show nothing."""


def test_wait_for_task_gives_the_task_as_it_ended() -> None:
    """The blocking call restarts the finished task, FAILED ones too: what that means is the caller's to say."""
    service = Service(ends={"lct-000": 0.0}, status=TaskStatus.FAILED)
    poller = Poller(Dispatcher(service.get_task, None))

    task = poller.wait_for_task("lct-000", REGION, cancellation=Cancellation(), report=nothing)

    assert task.status is TaskStatus.FAILED


def test_the_end_is_reported_last() -> None:
    """The last line on the row shows the status that the task ended with."""
    shown: list[tuple[str, float]] = []
    service = Service(ends={"lct-000": 0.0})
    poller = Poller(Dispatcher(service.get_task, None))

    def report(wait: Wait, now: float) -> None:
        shown.append((str(wait.task and wait.task.status), wait.waited(now)))

    poller.wait_for_task("lct-000", REGION, cancellation=Cancellation(), report=report)

    status, waited_seconds = shown[-1]
    assert status == "TaskStatus.SUCCEEDED"
    assert 0 <= waited_seconds < SOON


def test_stop_ends_every_wait_at_once() -> None:
    """Fifty waiting threads end within a second of the cancellation, each with its own one-line error."""
    service = Service(ends={f"lct-{n:03}": 1e9 for n in range(50)})
    poller = Poller(Dispatcher(service.get_task, service.list_pages))
    cancellation, seen = Cancellation(), threading.Semaphore(0)
    errors: dict[str, Exception] = {}

    def wait_for(task_id: str) -> None:
        try:
            poller.wait_for_task(task_id, REGION, cancellation=cancellation, report=lambda *_: seen.release())
        except WaitError as error:
            errors[task_id] = error

    threads = [threading.Thread(target=wait_for, args=(task_id,)) for task_id in service.ends]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert seen.acquire(timeout=SOON)
    cancellation.set("the update was cancelled")
    for thread in threads:
        thread.join(SOON)

    assert set(errors) == set(service.ends)
    assert str(errors["lct-007"]) == (
        "Waiting for license conversion task lct-007 in eu-west-1: the update was cancelled after 0s "
        "(last seen IN_PROGRESS). The conversion continues in AWS, and the next `pulumi up` picks it up."
    )


def test_a_wait_that_begins_after_the_stop_asks_nothing() -> None:
    """A create that reaches the plugin after ^C fails at once and calls nobody."""
    service = Service(ends={"lct-000": 1e9})
    poller = Poller(Dispatcher(service.get_task, None))
    cancellation = Cancellation()
    cancellation.set("the update was cancelled")

    with pytest.raises(WaitError, match="its status is not known yet"):
        poller.wait_for_task("lct-000", REGION, cancellation=cancellation, report=nothing)

    assert not service.calls


def test_the_deadline_holds_while_a_poll_is_queued() -> None:
    """A wait whose poll never starts ends at its deadline and not when the queue moves."""
    start = threading.Event()

    def acquire() -> None:
        start.wait(SOON)

    service = Service(ends={"lct-000": 1e9})
    poller = Poller(Dispatcher(service.get_task, None, acquire=acquire))

    with pytest.raises(WaitError, match="its status is not known yet"):
        poller.wait_for_task("lct-000", REGION, cancellation=Cancellation(), report=nothing, timeout_seconds=0.2)
    start.set()


def test_a_poll_under_way_at_the_deadline_still_counts() -> None:
    """An answer that arrives just after the deadline, but was asked for before it, ends the wait in success."""

    def slow_get(task_id: str) -> ConversionTask:
        threading.Event().wait(0.4)
        return ConversionTask(task_id, REGION, status=TaskStatus.SUCCEEDED)

    poller = Poller(Dispatcher(slow_get, None))

    task = poller.wait_for_task("lct-000", REGION, cancellation=Cancellation(), report=nothing, timeout_seconds=0.2)

    assert task.status is TaskStatus.SUCCEEDED


def test_a_bug_while_polling_is_raised_in_the_waiting_thread() -> None:
    """An error that is nobody's to act on ends the wait as it is, instead of a silent hang."""

    def broken(task_id: str) -> ConversionTask:
        raise ZeroDivisionError(task_id)

    with pytest.raises(ZeroDivisionError):
        Poller(Dispatcher(broken, None)).wait_for_task("lct-000", REGION, cancellation=Cancellation(), report=nothing)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_schedule_is_raised_in_every_waiting_thread() -> None:
    """The thread that dispatches serves every wait: none hangs when it dies, and its bug is shown."""
    broken: list[threading.Thread] = []

    def clock() -> float:
        thread = threading.current_thread()
        if thread.name == "lmconv-poller" and thread not in broken:
            broken.append(thread)
            raise ZeroDivisionError
        return 0.0

    poller = Poller(Dispatcher(Service(ends={"lct-000": 1e9}).get_task, None, runtime=Runtime(now=clock)))

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            poller.wait_for_task("lct-000", REGION, cancellation=Cancellation(), report=nothing, timeout_seconds=5)
    join_poller()


def test_a_poller_rests_when_no_wait_is_left_and_starts_again() -> None:
    """One poller serves waits that come long after others have ended."""
    service = Service(ends={"lct-000": 0.0, "lct-001": 0.0})
    poller = Poller(Dispatcher(service.get_task, None))

    for task_id in service.ends:
        assert poller.wait_for_task(task_id, REGION, cancellation=Cancellation(), report=nothing).is_complete
        join_poller()
        assert "lmconv-poller" not in {thread.name for thread in threading.enumerate()}


def test_waits_that_begin_one_by_one_share_a_list() -> None:
    """First polls that wait to start are gathered into a list: 100 waits are seen by a few calls."""
    service = Service(ends={f"lct-{n:03}": 1e9 for n in range(100)})
    starts = threading.Semaphore(0)

    def acquire() -> None:
        starts.acquire(timeout=SOON)

    poller = Poller(Dispatcher(service.get_task, service.list_pages, acquire=acquire))
    cancellation, seen = Cancellation(), threading.Semaphore(0)

    def wait_for(task_id: str) -> None:
        with contextlib.suppress(WaitError):
            poller.wait_for_task(task_id, REGION, cancellation=cancellation, report=lambda *_: seen.release())

    threads = [threading.Thread(target=wait_for, args=(task_id,)) for task_id in service.ends]
    for thread in threads:
        thread.start()
    while len(poller.dispatcher.waits) < len(threads):
        threading.Event().wait(0.01)
    starts.release(200)
    for _ in threads:
        assert seen.acquire(timeout=SOON)
    cancellation.set("the test is over")
    for thread in threads:
        thread.join(SOON)

    assert service.calls.total() <= 50  # one by one they would be 100, and more for those that come due meanwhile


def test_what_a_poll_saw_before_its_wait_blocks_is_reported_at_once() -> None:
    """A poll may be over before the waiting thread first reads its wait: its row does not stay empty for 30 s."""
    service = Service(ends={"lct-000": 1e9})
    polled_twice = threading.Event()

    def get_task(task_id: str) -> ConversionTask:
        if task_id == "lct-000" and service.calls["get"]:
            polled_twice.set()  # so what the first poll saw has been recorded
            return ConversionTask(task_id, REGION, status=TaskStatus.IN_PROGRESS)
        return service.get_task(task_id)

    class SlowToSubscribe(Cancellation):
        def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
            assert polled_twice.wait(SOON)
            return super().subscribe(listener)

    poller = Poller(Dispatcher(get_task, None))
    stop_other, other_reported = Cancellation(), threading.Event()
    service.ends["lct-other"] = 1e9

    def wait_for_other() -> None:  # so that the poller's thread runs before the wait below begins
        with contextlib.suppress(WaitError):
            poller.wait_for_task("lct-other", REGION, cancellation=stop_other, report=lambda *_: other_reported.set())

    other = threading.Thread(target=wait_for_other)
    other.start()
    assert other_reported.wait(SOON)
    service.calls.clear()
    cancellation = SlowToSubscribe()

    def report(wait: Wait, now: float) -> None:
        assert wait.task is not None
        cancellation.set("it was reported")

    with pytest.raises(WaitError, match="it was reported"):  # not a timeout: the report comes first
        poller.wait_for_task(
            "lct-000", REGION, cancellation=cancellation, report=report, timeout_seconds=5, poll_interval_seconds=0.02
        )
    stop_other.set("the test is over")
    other.join(SOON)


def test_a_wait_is_silent_while_nothing_changes() -> None:
    """Poll after poll that shows the same is one line, not one a poll: a CI log is not flooded."""
    service = Service(ends={"lct-000": 1e9})
    cancellation = Cancellation()
    reports: list[None] = []

    def get_task(task_id: str) -> ConversionTask:
        if service.calls["get"] == 10:
            cancellation.set("ten polls")
        return service.get_task(task_id)

    with pytest.raises(WaitError):
        Poller(Dispatcher(get_task, None)).wait_for_task(
            "lct-000",
            REGION,
            cancellation=cancellation,
            report=lambda *_: reports.append(None),
            poll_interval_seconds=0.02,
        )

    assert len(reports) == 1


def test_a_poll_that_outlives_its_wait_loses_no_later_ones() -> None:
    """A poll may wait to start longer than any wait goes on: what begins then is polled all the same."""
    service = Service(ends={f"lct-{n:03}": 0.0 for n in range(FEW + 3)})
    starts, blocked = threading.Semaphore(0), threading.Event()

    def acquire() -> None:
        blocked.set()
        starts.acquire(timeout=SOON)

    poller = Poller(Dispatcher(service.get_task, service.list_pages, acquire=acquire))
    with pytest.raises(WaitError):
        poller.wait_for_task("lct-000", REGION, cancellation=Cancellation(), report=nothing, timeout_seconds=0.05)
    assert blocked.wait(SOON)
    join_poller()

    with ThreadPoolExecutor(len(service.ends)) as threads:
        wait = functools.partial(
            poller.wait_for_task, region=REGION, cancellation=Cancellation(), report=nothing, timeout_seconds=20
        )
        waiting = [threads.submit(wait, task_id) for task_id in service.ends]
        while len(poller.dispatcher.waits) < len(waiting):
            threading.Event().wait(0.01)
        starts.release()  # for the poll of the wait that is over, which has waited longest
        while not service.calls:
            threading.Event().wait(0.01)
        starts.release(100)
        assert all(done.result(timeout=SOON).is_complete for done in waiting)


# -- what is said meanwhile --------------------------------------------------------------------------------------------


def wait_until(cancellation: Cancellation, get_task: Callable[[str], ConversionTask], **options: Any) -> list[float]:
    """Wait until `cancellation` is set, and return when the wait was reported, in seconds since it began."""
    reports: list[float] = []

    def report(wait: Wait, now: float) -> None:
        reports.append(wait.waited(now))
        if len(reports) == 3:
            cancellation.set("three reports")

    with pytest.raises(WaitError):
        Poller(Dispatcher(get_task, None, policy=options.pop("policy", PollingPolicy()))).wait_for_task(
            "lct-000", REGION, cancellation=cancellation, report=report, timeout_seconds=1e6, **options
        )
    return reports


def test_a_wait_is_reported_again_while_nothing_changes() -> None:
    """The row does not go stale: it is renewed as often as the caller says."""
    service = Service(ends={"lct-000": 1e9})

    reports = wait_until(Cancellation(), service.get_task, report_seconds=0.1, poll_interval_seconds=60.0)

    assert [round(seconds, 1) for seconds in reports] == pytest.approx([0, 0.1, 0.2], abs=0.1)


def test_a_long_conversion_is_remarked_on_once() -> None:
    """Whoever waits unusually long is told where to look, one time, and not sooner."""
    notices: list[float] = []
    began = time.monotonic()
    service = Service(ends={"lct-000": 1e9})

    wait_until(
        Cancellation(),
        service.get_task,
        policy=PollingPolicy(long_seconds=0.2),
        report_seconds=0.15,
        on_notice=lambda text: notices.append(time.monotonic() - began),
    )

    assert len(notices) == 1
    assert notices[0] >= 0.2


def test_an_unknown_status_is_remarked_on_once() -> None:
    """The user is told that the wait goes on for want of knowing better."""
    notices: list[str] = []

    def get_task(task_id: str) -> ConversionTask:
        return ConversionTask(task_id, REGION, unknown_status="PAUSED")

    wait_until(Cancellation(), get_task, report_seconds=0.05, poll_interval_seconds=0.02, on_notice=notices.append)

    assert len(notices) == 1
    assert notices[0].startswith("lct-000 has the status 'PAUSED', which is none of IN_PROGRESS, SUCCEEDED and FAILED")


def test_a_first_call_that_hangs_is_given_up_in_time() -> None:
    """Half a minute without one answer ends the wait, though a call is under way at that moment."""
    policy = PollingPolicy(first_answer_seconds=0.5, last_poll_seconds=0.1)
    release, calls = threading.Event(), list[str]()

    def get_task(task_id: str) -> ConversionTask:
        calls.append(task_id)
        if len(calls) > 1:
            release.wait(120)
        raise EndpointUnreachableError(Subject(task_id=task_id, region=REGION), "nobody answers")

    began = time.monotonic()
    with pytest.raises(WaitError, match="the last because nobody answers"):
        Poller(Dispatcher(get_task, None, policy=policy)).wait_for_task(
            "lct-000", REGION, cancellation=Cancellation(), report=nothing
        )
    release.set()
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("has_deadline", [False, True])
def test_a_wait_that_slept_beyond_its_deadline_asks_once_more(has_deadline: bool) -> None:
    """The waiting thread may wake first: it lets the poll be made that is owed, and then decides."""
    asleep = [0.0]
    service = Service(ends={"lct-000": 1e9})

    def report(wait: Wait, now: float) -> None:
        service.ends["lct-000"] = 0.0
        asleep[0] = 5000.0

    def clock() -> float:
        return time.monotonic() + asleep[0]

    cancellation = Cancellation(deadline=clock() + 1000.0 if has_deadline else None, runtime=Runtime(now=clock))
    task = Poller(Dispatcher(service.get_task, None, runtime=Runtime(now=clock))).wait_for_task(
        "lct-000",
        REGION,
        cancellation=cancellation,
        report=report,
        timeout_seconds=1000.0,
        poll_interval_seconds=300.0,
        report_seconds=0.05,
    )

    assert task.status is TaskStatus.SUCCEEDED


def test_a_cancellation_that_expires_ends_the_wait() -> None:
    """The deadline of the operation ends its wait like the wait's own."""
    cancellation = Cancellation(deadline=RUNTIME.now() + 0.1)
    service = Service(ends={"lct-000": 1e9})

    with pytest.raises(WaitError, match="it did not end within"):
        Poller(Dispatcher(service.get_task, None)).wait_for_task(
            "lct-000", REGION, cancellation=cancellation, report=nothing
        )


def test_the_clock_goes_on() -> None:
    """The clock of waits is one that nobody sets, in seconds."""
    first = RUNTIME.now()
    time.sleep(0.01)
    assert 0.01 <= RUNTIME.now() - first < SOON
