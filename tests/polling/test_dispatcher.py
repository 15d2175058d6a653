"""What is polled when, and by which call, by a clock that is turned by hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from support.service import FEW, REGION, Service

from lmconv_resource.errors import (
    LIST_ACTION,
    AccessDeniedError,
    ClockSkewError,
    EndpointUnreachableError,
    LicenseConversionError,
    Subject,
    TaskNotFoundError,
    ThrottledError,
    WaitError,
)
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.wait import Wait, to_wait_text

SUBJECT = Subject(task_id="lct-000", region=REGION)
UNREACHABLE = EndpointUnreachableError(SUBJECT, "nobody answers")
THROTTLED = ThrottledError(SUBJECT, "AWS asks to slow down")
LIST_DENIED = AccessDeniedError(
    Subject(LIST_ACTION, region=REGION),
    "AWS denies access",
    "Allow license-manager:ListLicenseConversionTasks in the IAM policy of the credentials in use",
)


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
    service.ends.update({f"lct-{n:03}": seconds for n in range(count)})
    dispatcher = service.make_dispatcher(**options)
    waits = [
        dispatcher.add(
            f"lct-{n:03}", REGION, timeout_seconds=timeout_seconds, poll_interval_seconds=poll_interval_seconds
        )
        for n in range(count)
    ]
    return dispatcher, waits


def ended(waits: list[Wait]) -> Callable[[], bool]:
    return lambda: all(wait.outcome is not None for wait in waits)


@pytest.mark.parametrize("duration", [0, 1, 10, 30, 300, 7200, 36000])
def test_the_end_is_noticed_in_time(duration: float) -> None:
    """A task's end is noticed within 10 % of its duration or 3 s, and never later than 33 s."""
    service = Service(latency=0.1)
    dispatcher, (wait,) = begin(service, seconds=duration)

    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, ConversionTask)
    assert wait.outcome.status is TaskStatus.SUCCEEDED
    lateness = service.now - duration
    assert lateness <= min(33.0, max(3.0, 0.1 * duration))


def test_the_first_poll_is_at_once() -> None:
    """A task that has already ended costs one call and no pause."""
    service = Service()
    dispatcher, (wait,) = begin(service, seconds=0)

    service.run(dispatcher, ended([wait]))

    assert service.polls == [(0.0, "lct-000")]


def test_a_fixed_interval_is_constant() -> None:
    """`poll_interval_seconds` replaces the growing intervals by polls exactly that far apart."""
    service = Service()
    dispatcher, _ = begin(service, poll_interval_seconds=60.0)

    service.run(dispatcher, 300.0)

    assert [moment for moment, _ in service.polls] == [0, 60, 120, 180, 240, 300]


def test_few_tasks_are_got_one_by_one() -> None:
    """Up to three waits never list, so that the right to list is not even tried."""
    service = Service()
    dispatcher, _ = begin(service, FEW)

    service.run(dispatcher, 60.0)

    assert service.calls["list"] == 0


def test_many_tasks_share_one_list() -> None:
    """A hundred waits cost about what one costs, and their ends in the same second cost a list of what has ended."""
    service = Service()
    dispatcher, waits = begin(service, 100, seconds=600.0)

    service.run(dispatcher, ended(waits))

    assert all(isinstance(w.outcome, ConversionTask) and w.outcome.is_complete for w in waits)
    assert service.calls["get"] == 0
    assert service.calls["list"] < 60
    assert service.listed[TaskStatus.SUCCEEDED] == 1


def test_a_list_of_many_pages_is_used_only_where_it_saves() -> None:
    """Four waits among the pages of a busy account are polled one by one, once the list has shown its length."""
    service = Service(page_size=10)
    service.ends.update({f"lct-other{n}": 1e9 for n in range(200)})
    dispatcher, waits = begin(service, 4, seconds=600.0)

    service.run(dispatcher, ended(waits))

    assert service.calls["list"] <= 21
    assert service.calls["get"] > 100


def test_a_task_that_the_list_does_not_show_is_got() -> None:
    """A task in progress that AWS leaves out of its list is followed to its end all the same."""
    service = Service(hidden={"lct-001"})
    dispatcher, waits = begin(service, 6, seconds=100.0)

    service.run(dispatcher, ended(waits))

    assert all(isinstance(w.outcome, ConversionTask) and w.outcome.is_complete for w in waits)


def test_without_the_right_to_list_tasks_are_got_and_it_is_said_once() -> None:
    """A refused list leads back to Gets, names the missing action, and is not tried again."""
    notes: list[str] = []
    service = Service(list_faults=[LIST_DENIED])
    dispatcher, waits = begin(service, 10, seconds=60.0, on_note=notes.append)

    service.run(dispatcher, ended(waits))

    assert service.calls["list"] == 1
    assert len(notes) == 1
    assert "Allow license-manager:ListLicenseConversionTasks" in notes[0]
    assert all(isinstance(w.outcome, ConversionTask) for w in waits)


def test_faults_are_carried_and_shown() -> None:
    """A wait survives faults shorter than five minutes, and shows the last one until a poll succeeds."""
    service = Service(faults=[UNREACHABLE] * 5)
    dispatcher, (wait,) = begin(service, seconds=200.0)

    service.run(dispatcher, lambda: service.calls["get"] == 5)
    assert wait.fault is UNREACHABLE
    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, ConversionTask)
    assert wait.fault is None


def test_faults_for_five_minutes_end_the_wait_with_the_last_task_seen() -> None:
    """When no poll has succeeded for five minutes, the error says so and carries the task as it was last seen."""
    service = Service(faults=[None] + [UNREACHABLE] * 1000)
    dispatcher, (wait,) = begin(service, seconds=1e9)

    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, WaitError)
    assert wait.outcome.task is not None
    assert 300 <= service.now <= 340
    assert re.fullmatch(
        r"Waiting for license conversion task lct-000 in eu-west-1: every check has failed for 5m\d\ds, "
        r"the last because nobody answers \(last seen IN_PROGRESS\)\. "
        r"Check the network, the proxy, the region and any endpoint setting, then run `pulumi up` again; "
        r"the conversion continues in AWS\.",
        str(wait.outcome),
    )


@pytest.mark.parametrize("refusal", [AccessDeniedError(SUBJECT, "no"), ClockSkewError(SUBJECT, "too late")])
def test_refusals_end_the_wait_at_once(refusal: LicenseConversionError) -> None:
    """What another try can't mend ends the wait after one call, a clock that is wrong from the start too."""
    service = Service(faults=[refusal])
    dispatcher, (wait,) = begin(service)

    service.run(dispatcher, ended([wait]))

    assert wait.outcome is refusal
    assert service.calls["get"] == 1


def test_throttling_ends_no_wait() -> None:
    """However often AWS asks to slow down, the wait goes on, past the five minutes that other faults get."""
    service = Service(faults=[THROTTLED] * 500, latency=1.0)
    dispatcher, (wait,) = begin(service, seconds=700.0)

    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, ConversionTask)


def test_the_deadline_ends_the_wait_and_no_poll_starts_that_would_end_beyond_it() -> None:
    """The last poll is 1 s before the deadline, and the error says how long, what was seen and what to do."""
    service = Service()
    dispatcher, (wait,) = begin(service, seconds=1e9, timeout_seconds=100.0)

    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, WaitError)
    assert max(moment for moment, _ in service.polls) == 99.0
    assert str(wait.outcome) == (
        "Waiting for license conversion task lct-000 in eu-west-1: it did not end within 1m39s "
        "(last seen IN_PROGRESS). The conversion continues in AWS, and the next `pulumi up` picks it up; "
        "custom_timeouts sets how long to wait."
    )


def test_each_wait_keeps_its_own_deadline() -> None:
    """Of two waits that share a dispatcher the one with the earlier deadline ends, and the other goes on."""
    service = Service(ends={"lct-a": 500.0, "lct-b": 500.0})
    dispatcher = service.make_dispatcher()
    short = dispatcher.add("lct-a", REGION, timeout_seconds=50.0)
    long = dispatcher.add("lct-b", REGION, timeout_seconds=1000.0)

    service.run(dispatcher, ended([short, long]))

    assert isinstance(short.outcome, WaitError)
    assert isinstance(long.outcome, ConversionTask)


def test_after_a_list_that_fails_each_is_polled_by_itself() -> None:
    """A fault of the list is none of the tasks: they are asked for one by one, and by a list again a little later."""
    service = Service(list_faults=[UNREACHABLE, None])
    dispatcher, waits = begin(service, FEW + 1, seconds=1e9)

    dispatcher.dispatch(lambda call: call())
    assert [wait.fault for wait in waits] == [None] * len(waits)
    assert service.calls == {"list": 1, "get": len(waits)}

    service.now = 60.0
    dispatcher.dispatch(lambda call: call())
    assert service.calls["list"] == 2


def test_while_a_list_is_under_way_nothing_is_polled_twice() -> None:
    """A list serves all that there are; those that begin meanwhile are got, and make no second list."""
    service = Service(ends={f"lct-new{n}": 1e9 for n in range(FEW)})

    def list_pages(status: TaskStatus = TaskStatus.IN_PROGRESS) -> Iterator[Mapping[str, ConversionTask]]:
        assert dispatcher.next_poll() is None
        assert all(wait.in_flight for wait in waits)
        for n in range(FEW):
            dispatcher.add(f"lct-new{n}", REGION, timeout_seconds=1e6)
        dispatcher.dispatch(lambda call: call())
        yield from service.list_pages(status)

    dispatcher, waits = begin(service, FEW + 1, seconds=1e9, list_pages=list_pages)
    dispatcher.dispatch(lambda call: call())

    assert service.calls == {"list": 1, "get": FEW}


def test_each_call_acquires_once() -> None:
    """A list costs one place in the queue like a Get: at a slow rate that counts."""
    service = Service()
    acquired: list[float] = []
    dispatcher, waits = begin(service, FEW + 1, seconds=300.0, acquire=lambda: acquired.append(service.now))

    service.run(dispatcher, ended(waits))

    assert service.calls["list"] > 10
    assert len(acquired) == service.calls.total()


def test_waits_past_their_last_poll_are_not_listed() -> None:
    """A list is no poll that would end beyond a deadline, and counts only waits that there are."""
    service = Service()
    dispatcher, waits = begin(service, FEW + 2, seconds=1e9)
    service.run(dispatcher, 100.0)
    waits[0].deadline = service.now + 0.5
    limit = waits[0].limit

    for wait in waits:
        wait.next_poll = service.now
    dispatcher.dispatch(lambda call: call())

    assert waits[0].limit == limit
    assert not waits[0].in_flight
    assert waits[0].next_poll > waits[0].deadline


def test_a_queued_poll_of_a_wait_that_has_ended_is_not_made() -> None:
    """Whoever ends a wait, by ^C for one, leaves no call behind in the queue."""
    service = Service()
    dispatcher, (wait,) = begin(service)
    jobs: list[Callable[[], None]] = []

    dispatcher.dispatch(jobs.append)
    dispatcher.remove(wait)
    for job in jobs:
        job()

    assert len(jobs) == 1
    assert not service.calls


def test_polls_without_a_list_are_spread() -> None:
    """A hundred waits that may not list drift apart instead of polling all at the same moment."""
    service = Service()
    dispatcher, _ = begin(service, 100, seconds=1e9, can_list=False)

    service.run(dispatcher, 3600.0)

    last_minutes = Counter(int(moment) for moment, _ in service.polls if moment > 3000)
    assert max(last_minutes.values()) <= 25


def test_a_bug_while_listing_is_recorded_for_every_wait() -> None:
    """Whatever is wrong with the list, no wait hangs because of it."""

    def broken(status: TaskStatus = TaskStatus.IN_PROGRESS) -> Iterator[Mapping[str, ConversionTask]]:
        raise ZeroDivisionError

    dispatcher, waits = begin(Service(), FEW + 2, list_pages=broken)

    with pytest.raises(ZeroDivisionError):
        dispatcher.dispatch(lambda call: call())

    assert all(isinstance(wait.outcome, ZeroDivisionError) for wait in waits)


def test_one_of_many_that_is_due_alone_is_got() -> None:
    """A wait that begins beside others costs one Get, not a list; two that are due together share a list."""
    service = Service()
    dispatcher, waits = begin(service, FEW + 1, seconds=1e9)
    service.run(dispatcher, 100.0)
    service.calls.clear()

    service.ends["lct-new"] = 1e9
    waits.append(dispatcher.add("lct-new", REGION, timeout_seconds=1e6))
    for wait in waits:
        wait.next_poll = service.now if wait.task_id == "lct-new" else 1e8
    dispatcher.dispatch(lambda call: call())
    assert service.calls == {"get": 1}

    for wait in waits[:2]:
        wait.next_poll = service.now
    dispatcher.dispatch(lambda call: call())
    assert service.calls == {"get": 1, "list": 1}


def test_a_list_of_one_page_serves_the_one_that_is_due() -> None:
    """Where all have been seen, a list costs no more than a Get, and serves the others too."""
    service = Service()
    dispatcher, waits = begin(service, FEW + 1, seconds=1e9)
    service.run(dispatcher, 100.0)
    service.calls.clear()

    for wait in waits:
        wait.next_poll = 1e8
    waits[0].next_poll = service.now
    dispatcher.dispatch(lambda call: call())

    assert service.calls == {"list": 1}
    assert all(wait.next_poll < 1e8 for wait in waits)


def test_a_poll_that_comes_too_late_hinders_no_other() -> None:
    """A wait whose deadline came near while its poll was queued keeps a place in the schedule beside the others."""
    service = Service()
    dispatcher, waits = begin(service, 2, seconds=1e9)
    dispatcher.dispatch(lambda call: call())
    waits[0].next_poll = waits[0].deadline = service.now
    dispatcher.dispatch(lambda call: call())

    assert waits[0].outcome is None
    assert dispatcher.next_poll() == waits[1].next_poll


# -- ends that come together -------------------------------------------------------------------------------------------


def test_no_list_is_ground_for_a_failure() -> None:
    """Each task that FAILED is confirmed by a Get, though a list shows it as FAILED."""
    service = Service(status=TaskStatus.FAILED)

    def list_pages(status: TaskStatus = TaskStatus.IN_PROGRESS) -> Iterator[Mapping[str, ConversionTask]]:
        service.calls["list"] += 1
        yield {task_id: service.get_unseen(task_id) for task_id in service.ends}

    dispatcher, waits = begin(service, 50, seconds=100.0, list_pages=list_pages)

    service.run(dispatcher, ended(waits))

    assert all(isinstance(wait.outcome, ConversionTask) for wait in waits)
    assert service.calls["get"] == 50


def test_a_long_list_of_ended_tasks_is_given_up() -> None:
    """Where the ended tasks fill too many pages, each is polled by itself, and it is not tried again."""
    service = Service(page_size=10, ends={f"lct-old{n}": -1.0 for n in range(10_000)})
    dispatcher, waits = begin(service, 40, seconds=100.0)
    service.run(dispatcher, ended(waits))
    assert (service.listed[TaskStatus.SUCCEEDED], service.calls["get"]) == (10, 40)
    for wait in waits:
        dispatcher.remove(wait)

    service.ends.update({f"lct-new{n}": service.now + 100.0 for n in range(40)})
    waits = [dispatcher.add(f"lct-new{n}", REGION, timeout_seconds=1e6) for n in range(40)]
    service.run(dispatcher, ended(waits))
    assert service.listed[TaskStatus.SUCCEEDED] == 10


def test_a_list_of_ended_tasks_that_fails_hinders_nobody() -> None:
    """The tasks that it was to find are polled by themselves all the same."""
    service = Service()

    def list_pages(status: TaskStatus = TaskStatus.IN_PROGRESS) -> Iterator[Mapping[str, ConversionTask]]:
        if status is TaskStatus.SUCCEEDED:
            raise UNREACHABLE
        yield from service.list_pages(status)

    dispatcher, waits = begin(service, 10, seconds=100.0, list_pages=list_pages)

    service.run(dispatcher, ended(waits))

    assert [wait.fault for wait in waits] == [None] * 10
    assert service.calls["get"] == 10


def test_a_bug_while_listing_ended_tasks_is_recorded_for_those_that_it_was_to_find() -> None:
    """It is shown, and none of them hangs."""
    service = Service()

    def list_pages(status: TaskStatus = TaskStatus.IN_PROGRESS) -> Iterator[Mapping[str, ConversionTask]]:
        if status is TaskStatus.SUCCEEDED:
            raise ZeroDivisionError
        yield from service.list_pages(status)

    dispatcher, waits = begin(service, 10, seconds=0.0, list_pages=list_pages)

    with pytest.raises(ZeroDivisionError):
        service.run(dispatcher, ended(waits))
    assert all(isinstance(wait.outcome, ZeroDivisionError) for wait in waits)


# -- what outlasts a wait, and what does not ---------------------------------------------------------------------------

NOT_FOUND = TaskNotFoundError(SUBJECT, "AWS does not know it there (no)")
SKEWED = ClockSkewError(SUBJECT, "Signature expired")


@pytest.mark.parametrize("fault", [UNREACHABLE, NOT_FOUND, SKEWED])
def test_what_passes_is_carried_once_the_task_was_seen(fault: Exception) -> None:
    """For less than five minutes a lost network, a clock that jumped and a task that AWS forgets end no wait."""
    service = Service(latency=0.1)
    dispatcher, (wait,) = begin(service, seconds=2000.0)
    service.run(dispatcher, 1000.0)
    began = service.now
    while service.now < began + 280:
        service.faults = [fault]
        service.run(dispatcher, lambda: not service.faults)
        assert wait.outcome is None

    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, ConversionTask)


@pytest.mark.parametrize("fault", [NOT_FOUND, SKEWED])
def test_what_does_not_pass_ends_the_wait_after_five_minutes(fault: LicenseConversionError) -> None:
    """The error says for how long, why, and what was last seen."""
    service = Service(faults=[None, *[fault] * 1000], latency=0.1)
    dispatcher, (wait,) = begin(service, seconds=1e9)

    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, WaitError)
    assert 300 <= service.now <= 340
    assert f"the last because {fault.reason} (last seen IN_PROGRESS). {fault.remedy}" in str(wait.outcome)


def test_a_wait_that_never_reached_aws_ends_after_half_a_minute() -> None:
    """A region that does not exist is no hiccup of five minutes; nothing is claimed of a task never seen."""
    service = Service(faults=[UNREACHABLE] * 1000)
    dispatcher, (wait,) = begin(service)

    service.run(dispatcher, ended([wait]))

    assert 29 <= service.now <= 30
    assert str(wait.outcome) == (
        "Waiting for license conversion task lct-000 in eu-west-1: every check has failed for 30s, the last because "
        "nobody answers (its status is not known yet). Check the network, the proxy, the region and any endpoint "
        "setting, "
        "then run `pulumi up` again."
    )


def test_aws_that_asks_to_slow_down_has_been_reached() -> None:
    """Throttling is an answer: what goes wrong after it is carried for five minutes."""
    service = Service(faults=[THROTTLED, *[UNREACHABLE] * 1000])
    dispatcher, (wait,) = begin(service)

    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, WaitError)
    assert 300 <= service.now <= 330


def test_a_task_that_aws_hides_is_looked_for() -> None:
    """A task that has just started may be unknown for half a minute, alone and beside others."""
    for count in (1, FEW + 1):
        service = Service(hidden={"lct-000"})
        dispatcher, waits = begin(service, count, seconds=100.0, get_task=service.get_shown)
        service.run(dispatcher, 28.0)
        assert waits[0].outcome is None
        assert waits[0].fault is not None
        service.hidden.clear()

        service.run(dispatcher, ended(waits))

        assert isinstance(waits[0].outcome, ConversionTask)


@pytest.mark.parametrize(("is_known", "least", "most"), [(True, 29, 30), (False, 5, 10)])
def test_a_task_that_nobody_knows_is_an_error_in_time(is_known: bool, least: float, most: float) -> None:
    """Half a minute for one that was started here, 10 s for an id of a program's; the error says to check the id."""
    service = Service(hidden={"lct-000"})
    dispatcher, (wait,) = begin(service, get_task=service.get_shown)
    wait.is_known = is_known

    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, TaskNotFoundError)
    assert least <= service.now <= most
    assert to_wait_text(wait, service.now).startswith("AWS does not know it yet · ")


def test_a_status_that_aws_does_not_publish_is_waited_for() -> None:
    """Such a task may still be running; when it ends in a word that is known, so does the wait."""
    service = Service()

    def get_task(task_id: str) -> ConversionTask:
        if service.now < 500:
            return ConversionTask(task_id, REGION, unknown_status="PAUSED")
        return service.get_task(task_id)

    dispatcher, (wait,) = begin(service, get_task=get_task, seconds=500.0)
    service.run(dispatcher, 400.0)
    assert (wait.outcome, wait.fault) == (None, None)
    assert wait.status_key == ("PAUSED", None, None)

    service.run(dispatcher, ended([wait]))

    assert isinstance(wait.outcome, ConversionTask)


# -- a machine that sleeps ---------------------------------------------------------------------------------------------


def test_after_a_sleep_beyond_the_deadline_one_poll_is_made() -> None:
    """What ended while the machine slept is a success, though the deadline passed meanwhile."""
    service = Service()
    dispatcher, (wait,) = begin(service, seconds=200.0, timeout_seconds=300.0)
    service.run(dispatcher, 100.0)

    service.now = 5000.0
    assert wait.is_poll_owed
    dispatcher.dispatch(lambda call: call())

    assert isinstance(wait.outcome, ConversionTask)


def test_after_a_sleep_beyond_the_deadline_one_poll_is_made_and_no_more() -> None:
    """What still goes on after such a sleep has not ended within its time, and the error counts the sleep."""
    service = Service()
    dispatcher, (wait,) = begin(service, seconds=1e9, timeout_seconds=300.0)
    service.run(dispatcher, 100.0)
    calls = service.calls["get"]

    service.now = 5000.0
    dispatcher.dispatch(lambda call: call())

    assert service.calls["get"] == calls + 1
    assert isinstance(wait.outcome, WaitError)
    assert "it did not end within 1h23m (last seen IN_PROGRESS)" in str(wait.outcome)


def test_a_sleep_counts_for_no_fault() -> None:
    """A wait that was failing when the machine fell asleep has its five minutes left when it wakes."""
    service = Service(faults=[None, *[UNREACHABLE] * 3])
    dispatcher, (wait,) = begin(service, seconds=1e4)
    service.run(dispatcher, lambda: len(service.faults) == 1)

    service.now += 3600.0
    dispatcher.dispatch(lambda call: call())

    assert wait.fault is UNREACHABLE
    assert wait.outcome is None
    service.run(dispatcher, ended([wait]))
    assert isinstance(wait.outcome, ConversionTask)
