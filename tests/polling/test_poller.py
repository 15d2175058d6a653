"""The blocking call, by real threads."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from support.service import FEW, REGION, Service
from support.waiting import SOON, wait_until

from lmconv_resource.errors import EndpointUnreachableError, Subject, WaitError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.dispatcher import Dispatcher, GetTask, ListPages
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.poller import Poller
from lmconv_resource.polling.runtime import RUNTIME, Cancellation, Runtime
from lmconv_resource.polling.wait import Wait

THREAD = "lmconv-poller"
"""The thread that dispatches polls."""


def make_poller(get_task: GetTask, list_pages: ListPages = lambda _: (), **options: Any) -> Poller:
    return Poller(Dispatcher(get_task, list_pages, **options))


def wait_for(
    poller: Poller, task_id: str = "lct-000", cancellation: Cancellation | None = None, **options: Any
) -> ConversionTask:
    options = {"report": lambda wait, now: None, **options}
    return poller.wait_for_task(task_id, REGION, cancellation=cancellation or Cancellation(), **options)


def join_poller() -> None:
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(SOON)


@contextlib.contextmanager
def waiting(poller: Poller, task_ids: list[str]) -> Iterator[tuple[Cancellation, list[Future[ConversionTask]]]]:
    """Wait for these tasks in a thread each, until they end or are cancelled."""
    cancellation = Cancellation()
    with ThreadPoolExecutor(len(task_ids)) as threads:
        yield cancellation, [threads.submit(wait_for, poller, task_id, cancellation) for task_id in task_ids]


def running(count: int = 1) -> Service:
    return Service(ends={f"lct-{n:03}": 1e9 for n in range(count)})


def test_a_wait_returns_the_task_as_it_ended_and_reports_that_last() -> None:
    """A task that FAILED too: what that means is the caller's to say."""
    service = Service(ends={"lct-000": 0.0}, status=TaskStatus.FAILED)
    shown: list[tuple[str, float]] = []

    def report(wait: Wait, now: float) -> None:
        shown.append((str(wait.task and wait.task.status), wait.waited(now)))

    assert wait_for(make_poller(service.get_task), report=report).status is TaskStatus.FAILED
    status, waited_seconds = shown[-1]
    assert status == "TaskStatus.FAILED"
    assert 0 <= waited_seconds < SOON


def test_a_cancellation_ends_every_wait_at_once() -> None:
    service = running(50)
    poller = make_poller(service.get_task, service.list_pages)
    with waiting(poller, list(service.ends)) as (cancellation, waits):
        wait_until(lambda: len([wait for wait in poller.dispatcher.waits if wait.task]) == 50)
        cancellation.set("the update was cancelled")
        for task_id, wait in zip(service.ends, waits, strict=True):
            error = wait.exception(SOON)
            assert isinstance(error, WaitError)
            assert (error.subject.task_id, error.task and error.task.task_id) == (task_id, task_id)
            assert "the update was cancelled" in error.reason


def test_a_wait_that_begins_after_the_cancellation_asks_nothing() -> None:
    service, cancellation = running(), Cancellation()
    cancellation.set("the update was cancelled")
    with pytest.raises(WaitError, match="its status is not known yet"):
        wait_for(make_poller(service.get_task), cancellation=cancellation)
    assert not service.calls


def test_the_deadline_holds_while_a_poll_is_queued() -> None:
    start = threading.Event()
    poller = make_poller(running().get_task, acquire=lambda: start.wait(SOON))
    with pytest.raises(WaitError, match="its status is not known yet"):
        wait_for(poller, timeout_seconds=0.2)
    start.set()


def test_a_poll_under_way_at_the_deadline_still_counts() -> None:
    def slow_get(task_id: str) -> ConversionTask:
        time.sleep(0.4)
        return ConversionTask(task_id, REGION, status=TaskStatus.SUCCEEDED)

    assert wait_for(make_poller(slow_get), timeout_seconds=0.2).status is TaskStatus.SUCCEEDED


def test_the_deadline_of_the_operation_ends_its_wait_like_the_waits_own() -> None:
    with pytest.raises(WaitError, match="it did not end before the deadline"):
        wait_for(make_poller(running().get_task), cancellation=Cancellation(deadline=RUNTIME.now() + 0.1))


@pytest.mark.parametrize("has_deadline", [False, True])
def test_a_wait_that_slept_beyond_its_deadline_asks_once_more(has_deadline: bool) -> None:
    """The waiting thread may wake first: it lets the poll be made that is owed, and then decides."""
    asleep, service = [0.0], running()
    runtime = Runtime(now=lambda: time.monotonic() + asleep[0])

    def report(wait: Wait, now: float) -> None:
        service.ends["lct-000"] = 0.0
        asleep[0] = 5000.0

    task = wait_for(
        make_poller(service.get_task, runtime=runtime),
        cancellation=Cancellation(deadline=runtime.now() + 1000.0 if has_deadline else None, runtime=runtime),
        report=report,
        timeout_seconds=1000.0,
        poll_interval_seconds=300.0,
        report_seconds=0.05,
    )
    assert task.status is TaskStatus.SUCCEEDED


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
        wait_for(make_poller(get_task, policy=policy))
    release.set()
    assert time.monotonic() - began < SOON


def test_a_bug_while_polling_is_raised_in_the_waiting_thread() -> None:
    def broken(task_id: str) -> ConversionTask:
        raise ZeroDivisionError(task_id)

    with pytest.raises(ZeroDivisionError):
        wait_for(make_poller(broken))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_schedule_is_raised_in_every_waiting_thread() -> None:
    """The thread that dispatches serves every wait: none hangs when it dies, and its bug is shown."""
    broken: list[threading.Thread] = []

    def clock() -> float:
        thread = threading.current_thread()
        if thread.name == THREAD and thread not in broken:
            broken.append(thread)
            raise ZeroDivisionError
        return 0.0

    poller = make_poller(running().get_task, runtime=Runtime(now=clock))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            wait_for(poller, timeout_seconds=5)
    join_poller()


def test_a_poller_rests_when_no_wait_is_left_and_starts_again() -> None:
    service = Service(ends={"lct-000": 0.0, "lct-001": 0.0})
    poller = make_poller(service.get_task)
    for task_id in service.ends:
        assert wait_for(poller, task_id).is_complete
        join_poller()
        assert THREAD not in {thread.name for thread in threading.enumerate()}


def test_a_poll_that_outlives_its_wait_loses_no_later_ones() -> None:
    """A poll may wait to start longer than any wait goes on: what begins then is polled all the same."""
    service = Service(ends={f"lct-{n:03}": 0.0 for n in range(FEW + 3)})
    starts, blocked = threading.Semaphore(0), threading.Event()

    def acquire() -> None:
        blocked.set()
        starts.acquire(timeout=SOON)

    poller = make_poller(service.get_task, service.list_pages, acquire=acquire)
    with pytest.raises(WaitError):
        wait_for(poller, timeout_seconds=0.05)
    assert blocked.wait(SOON)
    join_poller()
    with waiting(poller, list(service.ends)) as (_, waits):
        wait_until(lambda: len(poller.dispatcher.waits) == len(waits))
        starts.release()  # for the poll of the wait that is over, which has waited longest
        wait_until(lambda: service.calls)
        starts.release(100)
        assert all(wait.result(SOON).is_complete for wait in waits)


def test_what_a_poll_saw_before_its_wait_blocks_is_reported_at_once() -> None:
    """A poll may be over before the waiting thread first reads its wait: its row does not stay empty for 30 s."""
    service = Service(ends={"lct-000": 1e9, "lct-other": 1e9})
    polled_twice = threading.Event()

    def get_task(task_id: str) -> ConversionTask:
        if task_id == "lct-000" and service.calls["get"]:
            polled_twice.set()  # so what the first poll saw has been recorded
        return service.get_task(task_id)

    class SlowToSubscribe(Cancellation):
        def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
            assert polled_twice.wait(SOON)
            return super().subscribe(listener)

    poller, cancellation = make_poller(get_task), SlowToSubscribe()

    def report(wait: Wait, now: float) -> None:
        assert wait.task is not None
        cancellation.set("it was reported")

    with waiting(poller, ["lct-other"]) as (stop_other, _):  # so that the poller's thread runs before the wait begins
        wait_until(lambda: all(wait.task for wait in poller.dispatcher.waits) and poller.dispatcher.waits)
        service.calls.clear()
        with pytest.raises(WaitError, match="it was reported"):  # not a timeout: the report comes first
            wait_for(poller, cancellation=cancellation, report=report, timeout_seconds=5, poll_interval_seconds=0.02)
        stop_other.set("the test is over")


@pytest.mark.parametrize(
    ("unknown_status", "notice"),
    [
        (None, "lct-000 has been waited for 0s"),
        ("PAUSED", "lct-000 has the status 'PAUSED', which is not one of IN_PROGRESS, SUCCEEDED and FAILED"),
    ],
)
def test_a_wait_is_reported_again_and_what_is_odd_is_said_once(unknown_status: str | None, notice: str) -> None:
    """The row is renewed as often as the caller says, and by no poll that shows the same: no CI log is flooded.

    Whoever waits unusually long is told so, and not sooner.
    """
    notices, reports = list[tuple[float, str]](), list[float]()
    cancellation, began = Cancellation(), time.monotonic()

    def get_task(task_id: str) -> ConversionTask:
        status = None if unknown_status else TaskStatus.IN_PROGRESS
        return ConversionTask(task_id, REGION, status=status, unknown_status=unknown_status)

    def report(wait: Wait, now: float) -> None:
        reports.append(wait.waited(now))
        if len(reports) == 4:
            cancellation.set("four reports")

    with pytest.raises(WaitError, match="four reports"):
        wait_for(
            make_poller(get_task, policy=PollingPolicy(long_seconds=0.2)),
            cancellation=cancellation,
            report=report,
            report_seconds=0.1,
            poll_interval_seconds=0.02,
            on_notice=lambda text: notices.append((time.monotonic() - began, text)),
        )
    assert all(later - earlier > 0.09 for earlier, later in itertools.pairwise(reports))
    ((moment, text),) = notices
    assert text.startswith(notice)
    assert unknown_status or moment >= 0.2
