"""What is polled when, and by which call, by a clock that is turned by hand.

What a poll means for one wait is in test_wait, how late ends are noticed and what they cost in test_promises.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import pytest
from support.service import FEW, REGION, Service

from lmconv_resource.errors import LIST_ACTION, AccessDeniedError, EndpointUnreachableError, Subject, WaitError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.wait import Wait

UNREACHABLE = EndpointUnreachableError(Subject(task_id="lct-000", region=REGION), "nobody answers")
LIST_DENIED = AccessDeniedError(
    Subject(LIST_ACTION, region=REGION),
    "AWS denies access",
    "Allow license-manager:ListLicenseConversionTasks in the IAM policy of the credentials in use",
)
RUNNING, SUCCEEDED = TaskStatus.IN_PROGRESS, TaskStatus.SUCCEEDED


def begin(
    service: Service,
    count: int = 1,
    *,
    seconds: float = 600.0,
    timeout_seconds: float = 12 * 3600.0,
    poll_interval_seconds: float | None = None,
    **options: Any,
) -> tuple[Dispatcher, list[Wait]]:
    """Begin so many waits for tasks that end after `seconds`."""
    names = [f"lct-{n:03}" for n in range(count)]
    service.ends.update(dict.fromkeys(names, seconds))
    dispatcher = service.make_dispatcher(**options)
    return dispatcher, [
        service.begin(dispatcher, name, timeout_seconds, poll_interval_seconds=poll_interval_seconds) for name in names
    ]


def settle(service: Service, count: int) -> tuple[Dispatcher, list[Wait]]:
    """Begin so many waits for tasks that do not end, and forget the calls by which each has been seen."""
    dispatcher, waits = begin(service, count, seconds=1e9)
    service.run(dispatcher, 100.0)
    service.calls.clear()
    return dispatcher, waits


def dispatch(dispatcher: Dispatcher, waits: Collection[Wait] = (), due: Collection[Wait] = (), now: float = 0) -> None:
    """Dispatch once, at a moment at which of these waits some are due, and the others are not for long."""
    for wait in waits:
        wait.next_poll = now if wait in due else 1e8
    dispatcher.dispatch(lambda call: call())


def ended(waits: list[Wait]) -> Callable[[], bool]:
    return lambda: all(wait.outcome is not None for wait in waits)


def have_succeeded(waits: list[Wait]) -> bool:
    return all(isinstance(wait.outcome, ConversionTask) and wait.outcome.status is SUCCEEDED for wait in waits)


def failing_list(service: Service, status: TaskStatus, error: Exception) -> Callable[..., Iterator[Any]]:

    def list_pages(asked: TaskStatus = RUNNING) -> Iterator[Mapping[str, ConversionTask]]:
        if asked is status:
            raise error
        yield from service.list_pages(asked)

    return list_pages


def test_the_first_poll_is_at_once_and_a_fixed_interval_is_constant() -> None:
    service = Service()
    dispatcher, _ = begin(service, poll_interval_seconds=60.0)
    service.run(dispatcher, 300.0)
    assert [moment for moment, _ in service.polls] == [0, 60, 120, 180, 240, 300]


@pytest.mark.parametrize(
    ("service", "count", "lists", "gets"),
    [
        pytest.param(Service(), FEW, (0, 0), (FEW, 200), id="few, so that the right to list is not even tried"),
        pytest.param(Service(), 100, (10, 60), (0, 0), id="many share a list, and one of what has ended"),
        pytest.param(
            Service(page_size=10, ends={f"lct-other{n}": 1e9 for n in range(200)}),
            4,
            (1, 21),
            (100, 400),
            id="among a busy account's pages, whose number the list has shown",
        ),
        pytest.param(Service(hidden={"lct-001"}), 6, (10, 60), (1, 60), id="one that the list does not show"),
    ],
)
def test_a_list_is_used_where_it_saves(
    service: Service, count: int, lists: tuple[int, int], gets: tuple[int, int]
) -> None:
    """However they are polled, all are followed to their end."""
    dispatcher, waits = begin(service, count)
    service.run(dispatcher, ended(waits))
    assert have_succeeded(waits)
    assert lists[0] <= service.calls["list"] <= lists[1]
    assert gets[0] <= service.calls["get"] <= gets[1]
    assert service.listed[SUCCEEDED] <= 1


def test_a_list_serves_many_and_a_get_the_one_that_is_due_alone() -> None:
    """A wait that begins beside others costs one Get; once all have been seen, a list of one page costs no more."""
    service = Service(ends={"lct-new": 1e9})
    dispatcher, waits = settle(service, FEW + 1)
    waits.append(service.begin(dispatcher, "lct-new"))
    dispatch(dispatcher, waits, due=waits[-1:])
    assert service.calls == {"get": 1}
    dispatch(dispatcher, waits, due=waits[:1])
    assert service.calls == {"get": 1, "list": 1}
    assert all(wait.next_poll < 1e8 for wait in waits)


def test_first_polls_that_wait_to_start_share_a_list() -> None:
    """Waits begin one by one: which call is made is decided when it may start."""
    service, jobs = Service(), deque[Callable[[], None]]()
    dispatcher = service.make_dispatcher()
    for n in range(100):
        service.ends[f"lct-{n}"] = 1e9
        service.begin(dispatcher, f"lct-{n}")
        dispatcher.dispatch(jobs.append)
    while jobs:
        jobs.popleft()()
    assert service.calls == {"list": 1}


def test_without_the_right_to_list_tasks_are_got_and_it_is_said_once() -> None:
    """A refused list is not tried again; what is due then drifts apart instead of coming all at the same moment."""
    notes: list[str] = []
    service = Service(list_faults=[LIST_DENIED])
    dispatcher, _ = begin(service, 100, seconds=1e9, on_note=notes.append)
    service.run(dispatcher, 3600.0)
    assert service.calls["list"] == 1
    assert notes == [f"Each task is polled separately, which takes more calls, because listing failed. {LIST_DENIED}"]
    assert max(Counter(int(moment) for moment, _ in service.polls if moment > 3000).values()) <= 25


def test_after_a_list_that_fails_each_is_polled_by_itself() -> None:
    """A fault of the list is none of the tasks: they are asked for one by one, and by a list again a little later."""
    service = Service(list_faults=[UNREACHABLE, None])
    dispatcher, waits = begin(service, FEW + 1, seconds=1e9)
    dispatch(dispatcher)
    assert [wait.fault for wait in waits] == [None] * len(waits)
    assert service.calls == {"list": 1, "get": len(waits)}
    service.now = 60.0
    dispatch(dispatcher)
    assert service.calls["list"] == 2


def test_while_a_list_is_under_way_nothing_is_polled_twice() -> None:
    """A list serves all that there are; those that begin meanwhile are got, and make no second list."""
    service = Service(ends={f"lct-new{n}": 1e9 for n in range(FEW)})

    def list_pages(status: TaskStatus = RUNNING) -> Iterator[Mapping[str, ConversionTask]]:
        assert dispatcher.next_poll() is None
        assert all(wait.in_flight for wait in waits)
        for n in range(FEW):
            service.begin(dispatcher, f"lct-new{n}")
        dispatch(dispatcher)
        yield from service.list_pages(status)

    dispatcher, waits = begin(service, FEW + 1, seconds=1e9, list_pages=list_pages)
    dispatch(dispatcher)
    assert service.calls == {"list": 1, "get": FEW}


def test_each_call_acquires_once() -> None:
    """A list costs one place in the queue like a Get: at a slow rate that counts."""
    service = Service()
    acquired: list[float] = []
    dispatcher, waits = begin(service, FEW + 1, seconds=300.0, acquire=lambda: acquired.append(service.now))
    service.run(dispatcher, ended(waits))
    assert service.calls["list"] > 10
    assert len(acquired) == service.calls.total()


@pytest.mark.parametrize("status", [RUNNING, SUCCEEDED])
def test_a_bug_while_listing_is_recorded_for_every_wait(status: TaskStatus) -> None:
    service = Service()
    dispatcher, waits = begin(service, 10, seconds=0.0, list_pages=failing_list(service, status, ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        dispatch(dispatcher)
    assert all(isinstance(wait.outcome, ZeroDivisionError) for wait in waits)


def test_no_wait_hangs_where_the_word_on_a_refused_list_can_not_be_said() -> None:
    def broken(_: str) -> None:
        raise ZeroDivisionError

    dispatcher, waits = begin(Service(list_faults=[LIST_DENIED]), 10, on_note=broken)
    with pytest.raises(ZeroDivisionError):
        dispatch(dispatcher)
    assert all(isinstance(wait.outcome, ZeroDivisionError) for wait in waits)


def test_waits_past_their_last_poll_are_not_listed() -> None:
    """A list is no poll that would end beyond a deadline, and counts only waits that there are."""
    service = Service()
    dispatcher, waits = settle(service, FEW + 2)
    waits[0].deadline = service.now + 0.5
    limit = waits[0].limit
    dispatch(dispatcher, waits, due=waits, now=service.now)
    assert waits[0].limit == limit
    assert not waits[0].in_flight
    assert waits[0].next_poll > waits[0].deadline


def test_a_poll_that_comes_too_late_hinders_no_other() -> None:
    """A wait whose deadline came near while its poll was queued keeps a place in the schedule beside the others."""
    service = Service()
    dispatcher, waits = begin(service, 2, seconds=1e9)
    dispatch(dispatcher)
    waits[0].next_poll = waits[0].deadline = service.now
    dispatch(dispatcher)
    assert waits[0].outcome is None
    assert dispatcher.next_poll() == waits[1].next_poll


@pytest.mark.parametrize("count", [1, FEW + 1])
def test_a_queued_poll_of_a_wait_that_has_ended_is_not_made(count: int) -> None:
    """Neither one that was queued at once, nor one that was queued because a list did not show the task."""
    service = Service(hidden={f"lct-{n:03}" for n in range(count)})
    dispatcher, waits = begin(service, count)
    jobs = deque[Callable[[], None]]()
    dispatcher.dispatch(jobs.append)
    if count > 1:
        jobs.popleft()()
    for wait in waits:
        dispatcher.remove(wait)
    assert jobs
    while jobs:
        jobs.popleft()()
    assert service.calls["get"] == 0


def test_no_list_is_ground_for_a_failure() -> None:
    """Each task that FAILED is confirmed by a Get, though a list shows it as FAILED."""
    service = Service(status=TaskStatus.FAILED)

    def list_pages(status: TaskStatus = RUNNING) -> Iterator[Mapping[str, ConversionTask]]:
        yield {task_id: service.see(task_id) for task_id in service.ends}

    dispatcher, waits = begin(service, 50, seconds=100.0, list_pages=list_pages)
    service.run(dispatcher, ended(waits))
    assert all(isinstance(wait.outcome, ConversionTask) for wait in waits)
    assert service.calls["get"] == 50


def test_a_long_list_of_ended_tasks_is_given_up() -> None:
    """Where the ended tasks fill too many pages, each is polled by itself, and it is not tried again."""
    service = Service(page_size=10, ends={f"lct-old{n}": -1.0 for n in range(200)})
    dispatcher, waits = begin(service, 40, seconds=100.0)
    service.run(dispatcher, ended(waits))
    assert (service.listed[SUCCEEDED], service.calls["get"]) == (10, 40)
    for wait in waits:
        dispatcher.remove(wait)
    service.ends.update({f"lct-new{n}": service.now + 100.0 for n in range(40)})
    waits = [service.begin(dispatcher, f"lct-new{n}") for n in range(40)]
    service.run(dispatcher, ended(waits))
    assert service.listed[SUCCEEDED] == 10


def test_a_list_of_ended_tasks_that_fails_hinders_nobody() -> None:
    service = Service()
    dispatcher, waits = begin(service, 10, seconds=100.0, list_pages=failing_list(service, SUCCEEDED, UNREACHABLE))
    service.run(dispatcher, ended(waits))
    assert [wait.fault for wait in waits] == [None] * 10
    assert service.calls["get"] == 10


@pytest.mark.parametrize("seconds", [200.0, 1e9])
def test_after_a_sleep_beyond_the_deadline_one_poll_is_made_and_no_more(seconds: float) -> None:
    """What ended while the machine slept is a success; what still goes on has had its time, the sleep included."""
    service = Service()
    dispatcher, (wait,) = begin(service, seconds=seconds, timeout_seconds=300.0)
    service.run(dispatcher, 100.0)
    calls = service.calls["get"]
    service.now = 5000.0
    assert dispatcher.owes_poll(wait)
    dispatch(dispatcher)
    assert service.calls["get"] == calls + 1
    assert isinstance(wait.outcome, ConversionTask if seconds == 200.0 else WaitError)
    assert seconds == 200.0 or "it did not end within 1h23m (last seen IN_PROGRESS)" in str(wait.outcome)


def test_a_sleep_counts_for_no_fault() -> None:
    """A wait that was failing when the machine fell asleep has its five minutes left when it wakes."""
    service = Service(faults=[None, *[UNREACHABLE] * 3])
    dispatcher, (wait,) = begin(service, seconds=1e4)
    service.run(dispatcher, lambda: len(service.faults) == 1)
    service.now += 3600.0
    dispatch(dispatcher)
    assert (wait.fault, wait.outcome) == (UNREACHABLE, None)
    service.run(dispatcher, ended([wait]))
    assert have_succeeded([wait])
