"""The watcher by a clock that is turned by hand, and its blocking call by real threads."""

from __future__ import annotations

import contextlib
import functools
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone

import pytest

from lmconv_resource.errors import (
    AccessDeniedError,
    EndpointUnreachableError,
    LicenseConversionError,
    TaskNotFoundError,
    ThrottledError,
    WaitFaultError,
    WaitInterruptedError,
    WaitTimeoutError,
)
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.cancellation import StopSignal
from lmconv_resource.polling.poller import FEW_WAITS, Watcher
from lmconv_resource.polling.wait import Wait

REGION = "eu-west-1"
UNREACHABLE = EndpointUnreachableError(reason="nobody answers", task_id=None, region=REGION)
THROTTLED = ThrottledError(reason="AWS asks to slow down", task_id=None, region=REGION)
LIST_DENIED = AccessDeniedError(
    code="AccessDeniedException", reason="no", task_id=None, region=REGION, action="ListLicenseConversionTasks"
)


@dataclass
class Service:
    """A License Manager by a clock turned by hand: tasks end at a moment, and faults are dealt out in order."""

    now: float = 0.0
    ends: dict[str, float] = field(default_factory=dict)
    status: TaskStatus = TaskStatus.SUCCEEDED
    faults: list[Exception | None] = field(default_factory=list)
    list_faults: list[Exception | None] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    page_size: int = 100
    calls: Counter[str] = field(default_factory=Counter)
    looks: list[tuple[float, str]] = field(default_factory=list)
    latency: float = 0.0

    def _task(self, task_id: str) -> ConversionTask:
        ended = self.now >= self.ends[task_id]
        return ConversionTask(
            task_id,
            REGION,
            status=self.status if ended else TaskStatus.IN_PROGRESS,
            start_time=datetime.fromtimestamp(0, timezone.utc),
        )

    def find(self, task_id: str) -> ConversionTask:
        self.calls["get"] += 1
        self.looks.append((self.now, task_id))
        self.now += self.latency
        fault = self.faults.pop(0) if self.faults else None
        if fault:
            raise fault
        return self._task(task_id)

    def list_pending(self) -> Iterator[Mapping[str, ConversionTask]]:
        pending = [i for i, end in self.ends.items() if self.now < end and i not in self.hidden]
        for start in range(0, max(1, len(pending)), self.page_size):
            self.calls["list"] += 1
            fault = self.list_faults.pop(0) if self.list_faults else None
            if fault:
                raise fault
            yield {task_id: self._task(task_id) for task_id in pending[start : start + self.page_size]}

    def watcher(self, *, can_list: bool = True, notes: list[str] | None = None) -> Watcher:
        return Watcher(
            self.find,
            self.list_pending if can_list else None,
            on_note=None if notes is None else notes.append,
            clock=lambda: self.now,
            rng=random.Random(7),  # noqa: S311 -- the same jitter in each run
        )

    def run(self, watcher: Watcher, until: Callable[[], bool] | float) -> None:
        """Turn the clock from look to look until `until` holds, or to a moment."""
        for _ in range(100_000):
            due = watcher.next_due()
            if due is None or (callable(until) and until()) or (not callable(until) and due > until):
                break
            self.now = max(self.now, due)
            watcher.look(lambda call: call())
        if not callable(until):
            self.now = until


def watch(
    service: Service,
    count: int = 1,
    *,
    seconds: float = 600.0,
    can_list: bool = True,
    notes: list[str] | None = None,
    timeout_seconds: float = 12 * 3600.0,
    poll_interval_seconds: float | None = None,
) -> tuple[Watcher, list[Wait]]:
    service.ends.update({f"lct-{n:03}": seconds for n in range(count)})
    watcher = service.watcher(can_list=can_list, notes=notes)
    waits = [
        watcher.add(f"lct-{n:03}", REGION, timeout_seconds=timeout_seconds, poll_interval_seconds=poll_interval_seconds)
        for n in range(count)
    ]
    return watcher, waits


def ended(waits: list[Wait]) -> Callable[[], bool]:
    return lambda: all(wait.outcome is not None for wait in waits)


@pytest.mark.parametrize("duration", [0, 1, 10, 30, 300, 7200, 36000])
def test_the_end_is_noticed_in_time(duration: float) -> None:
    """A task's end is noticed within 10 % of its duration or 3 s, and never later than 33 s."""
    service = Service(latency=0.1)
    watcher, (wait,) = watch(service, seconds=duration)

    service.run(watcher, ended([wait]))

    assert isinstance(wait.outcome, ConversionTask)
    assert wait.outcome.status is TaskStatus.SUCCEEDED
    lateness = service.now - duration
    assert lateness <= min(33.0, max(3.0, 0.1 * duration))


def test_the_first_look_is_at_once() -> None:
    """A task that has already ended costs one call and no pause."""
    service = Service()
    watcher, (wait,) = watch(service, seconds=0)

    service.run(watcher, ended([wait]))

    assert service.looks == [(0.0, "lct-000")]


def test_a_fixed_interval_is_constant() -> None:
    """`poll_interval_seconds` replaces the growing rhythm by looks exactly that far apart."""
    service = Service()
    watcher, _ = watch(service, poll_interval_seconds=60.0)

    service.run(watcher, 300.0)

    assert [moment for moment, _ in service.looks] == [0, 60, 120, 180, 240, 300]


def test_few_tasks_are_looked_up_one_by_one() -> None:
    """Up to three waits never list, so that the right to list is not even tried."""
    service = Service()
    watcher, _ = watch(service, FEW_WAITS)

    service.run(watcher, 60.0)

    assert service.calls["list"] == 0


def test_many_tasks_share_one_list() -> None:
    """A hundred waits cost about what one costs, and each still ends by a look of its own."""
    service = Service()
    watcher, waits = watch(service, 100, seconds=600.0)

    service.run(watcher, ended(waits))

    assert all(isinstance(w.outcome, ConversionTask) and w.outcome.is_complete for w in waits)
    assert service.calls["get"] == 100
    assert service.calls["list"] < 60


def test_a_list_of_many_pages_is_used_only_where_it_saves() -> None:
    """Four waits among the pages of a busy account are looked up one by one, once the list has shown its length."""
    service = Service(page_size=10)
    service.ends.update({f"lct-other{n}": 1e9 for n in range(200)})
    watcher, waits = watch(service, 4, seconds=600.0)

    service.run(watcher, ended(waits))

    assert service.calls["list"] <= 21
    assert service.calls["get"] > 100


def test_a_task_that_the_list_does_not_show_is_looked_up() -> None:
    """A task in progress that AWS leaves out of its list is followed to its end all the same."""
    service = Service(hidden={"lct-001"})
    watcher, waits = watch(service, 6, seconds=100.0)

    service.run(watcher, ended(waits))

    assert all(isinstance(w.outcome, ConversionTask) and w.outcome.is_complete for w in waits)


def test_without_the_right_to_list_tasks_are_looked_up_and_it_is_said_once() -> None:
    """A refused list leads back to looking up, names the missing action, and is not tried again."""
    notes: list[str] = []
    service = Service(list_faults=[LIST_DENIED])
    watcher, waits = watch(service, 10, seconds=60.0, notes=notes)

    service.run(watcher, ended(waits))

    assert service.calls["list"] == 1
    assert len(notes) == 1
    assert "Allow license-manager:ListLicenseConversionTasks" in notes[0]
    assert all(isinstance(w.outcome, ConversionTask) for w in waits)


def test_faults_are_carried_and_shown() -> None:
    """A wait survives faults shorter than five minutes, and shows the last one until a look succeeds."""
    service = Service(faults=[UNREACHABLE] * 5)
    watcher, (wait,) = watch(service, seconds=200.0)

    service.run(watcher, lambda: service.calls["get"] == 5)
    assert wait.fault is UNREACHABLE
    service.run(watcher, ended([wait]))

    assert isinstance(wait.outcome, ConversionTask)
    assert wait.fault is None


def test_faults_for_five_minutes_end_the_wait_with_the_last_task_seen() -> None:
    """When no look has succeeded for five minutes, the error says so and carries the task as it was last seen."""
    service = Service(faults=[None] + [UNREACHABLE] * 1000)
    watcher, (wait,) = watch(service, seconds=1e9)

    service.run(watcher, ended([wait]))

    assert isinstance(wait.outcome, WaitFaultError)
    assert wait.outcome.task is not None
    assert 300 <= service.now <= 340
    assert re.fullmatch(
        r"Waiting for license conversion task lct-000 in eu-west-1: every look has failed for 5m\d\ds, "
        r"the last because nobody answers \(last seen IN_PROGRESS\)\. "
        r"Check the network, the proxy, the region and any endpoint setting, then run `pulumi up` again; "
        r"the conversion goes on in AWS\.",
        str(wait.outcome),
    )


@pytest.mark.parametrize(
    "refusal",
    [
        AccessDeniedError(code="AccessDeniedException", reason="no", task_id="lct-000", region=REGION),
        TaskNotFoundError(code="InvalidParameterValueException", reason="no", task_id="lct-000", region=REGION),
    ],
)
def test_refusals_end_the_wait_at_once(refusal: LicenseConversionError) -> None:
    """What another try can't mend ends the wait after one call."""
    service = Service(faults=[refusal])
    watcher, (wait,) = watch(service)

    service.run(watcher, ended([wait]))

    assert wait.outcome is refusal
    assert service.calls["get"] == 1


def test_throttling_ends_no_wait() -> None:
    """However often AWS asks to slow down, the wait goes on, past the five minutes that other faults get."""
    service = Service(faults=[THROTTLED] * 500, latency=1.0)
    watcher, (wait,) = watch(service, seconds=700.0)

    service.run(watcher, ended([wait]))

    assert isinstance(wait.outcome, ConversionTask)


def test_the_deadline_ends_the_wait_and_no_look_starts_that_would_end_beyond_it() -> None:
    """The last look is 1 s before the deadline, and the error says how long, what was seen and what to do."""
    service = Service()
    watcher, (wait,) = watch(service, seconds=1e9, timeout_seconds=100.0)

    service.run(watcher, ended([wait]))

    assert isinstance(wait.outcome, WaitTimeoutError)
    assert max(moment for moment, _ in service.looks) == 99.0
    assert str(wait.outcome) == (
        "Waiting for license conversion task lct-000 in eu-west-1: it did not end within 1m39s "
        "(last seen IN_PROGRESS). The conversion goes on in AWS, and the next `pulumi up` picks it up; "
        "custom_timeouts sets how long to wait."
    )


def test_each_wait_keeps_its_own_deadline() -> None:
    """Of two waits that share a watcher the one with the earlier deadline ends, and the other goes on."""
    service = Service(ends={"lct-a": 500.0, "lct-b": 500.0})
    watcher = service.watcher()
    short = watcher.add("lct-a", REGION, timeout_seconds=50.0)
    long = watcher.add("lct-b", REGION, timeout_seconds=1000.0)

    service.run(watcher, ended([short, long]))

    assert isinstance(short.outcome, WaitTimeoutError)
    assert isinstance(long.outcome, ConversionTask)


def test_an_answer_without_a_status_is_a_fault() -> None:
    """A status that AWS leaves out ends no wait and is not taken for progress."""
    service = Service(ends={"lct-000": 10.0})
    watcher = Watcher(lambda task_id: ConversionTask(task_id, REGION), None, clock=lambda: service.now)
    wait = watcher.add("lct-000", REGION, timeout_seconds=1000.0)

    service.run(watcher, ended([wait]))

    assert isinstance(wait.outcome, WaitFaultError)
    assert "the answer has no status" in str(wait.outcome)


def test_a_list_that_fails_is_a_fault_of_all_and_passes() -> None:
    """A fault of the list counts for each wait, shows on each row, and is forgotten by the next good answer."""
    service = Service(list_faults=[UNREACHABLE, None])
    watcher, waits = watch(service, FEW_WAITS + 1, seconds=1e9)

    watcher.look(lambda call: call())
    assert [wait.fault for wait in waits] == [UNREACHABLE] * len(waits)
    assert service.calls == {"list": 1}

    service.now = 60.0
    watcher.look(lambda call: call())
    assert [wait.fault for wait in waits] == [None] * len(waits)
    assert service.calls == {"list": 2}


def test_while_a_list_is_under_way_nothing_is_looked_at_twice() -> None:
    """A list serves all that there are; those that begin meanwhile are looked up, and make no second list."""
    service = Service(ends={f"lct-new{n}": 1e9 for n in range(FEW_WAITS)})
    watcher, waits = watch(service, FEW_WAITS + 1, seconds=1e9)
    listing = service.list_pending

    def list_pending() -> Iterator[Mapping[str, ConversionTask]]:
        assert watcher.next_due() is None
        assert all(wait.in_flight for wait in waits)
        for n in range(FEW_WAITS):
            watcher.add(f"lct-new{n}", REGION, timeout_seconds=1e6)
        watcher.look(lambda call: call())
        yield from listing()

    watcher._list_pending = list_pending
    watcher.look(lambda call: call())

    assert service.calls == {"list": 1, "get": FEW_WAITS}


def test_each_call_waits_for_one_turn() -> None:
    """A list costs one turn like a look-up: at a slow pace that counts."""
    service, turns = Service(), []
    watcher, waits = watch(service, FEW_WAITS + 1, seconds=300.0)
    watcher._wait_for_turn = lambda: turns.append(service.now)

    service.run(watcher, ended(waits))

    assert service.calls["list"] > 10
    assert len(turns) == service.calls.total()


def test_waits_past_their_last_look_are_not_listed() -> None:
    """A list is no look that would end beyond a deadline, and counts only waits that there are."""
    service = Service()
    watcher, waits = watch(service, FEW_WAITS + 2, seconds=1e9)
    service.run(watcher, 100.0)
    waits[0].deadline = service.now + 0.5
    limit = waits[0].limit

    for wait in waits:
        wait.next_look = service.now
    watcher.look(lambda call: call())

    assert waits[0].limit == limit
    assert not waits[0].in_flight
    assert waits[0].next_look > waits[0].deadline


def test_a_queued_look_of_a_wait_that_has_ended_is_not_made() -> None:
    """Whoever ends a wait, by ^C for one, leaves no call behind in the queue."""
    service = Service()
    watcher, (wait,) = watch(service)
    jobs: list[Callable[[], None]] = []

    watcher.look(jobs.append)
    watcher.remove(wait)
    for job in jobs:
        job()

    assert len(jobs) == 1
    assert not service.calls


def test_looks_without_a_list_are_spread() -> None:
    """A hundred waits that may not list drift apart instead of looking all at the same moment."""
    service = Service()
    watcher, _ = watch(service, 100, seconds=1e9, can_list=False)

    service.run(watcher, 3600.0)

    last_minutes = Counter(int(moment) for moment, _ in service.looks if moment > 3000)
    assert max(last_minutes.values()) <= 25


# -- the blocking call -------------------------------------------------------------------------------------------------


def nothing(wait: Wait, now: float) -> None:
    """Show nothing."""


def test_wait_for_task_gives_the_task_as_it_ended() -> None:
    """The blocking call returns the finished task, FAILED ones too: what that means is the caller's to say."""
    service = Service(ends={"lct-000": 0.0}, status=TaskStatus.FAILED)
    watcher = Watcher(service.find, None)

    task = watcher.wait_for_task("lct-000", REGION, stop=StopSignal(), report=nothing)

    assert task.status is TaskStatus.FAILED


def test_the_end_is_reported_last() -> None:
    """The last line on the row shows the status that the task ended with."""
    shown: list[tuple[str, float]] = []
    service = Service(ends={"lct-000": 0.0})
    watcher = Watcher(service.find, None)

    def report(wait: Wait, now: float) -> None:
        shown.append((str(wait.task and wait.task.status), wait.waited(now)))

    watcher.wait_for_task("lct-000", REGION, stop=StopSignal(), report=report)

    status, waited_seconds = shown[-1]
    assert status == "TaskStatus.SUCCEEDED"
    assert 0 <= waited_seconds < 10


def test_stop_ends_every_wait_at_once() -> None:
    """Fifty waiting threads end within a second of the stop signal, each with its own one-line error."""
    service = Service(ends={f"lct-{n:03}": 1e9 for n in range(50)})
    watcher = Watcher(service.find, service.list_pending)
    stop, seen = StopSignal(), threading.Semaphore(0)
    errors: dict[str, Exception] = {}

    def wait_for(task_id: str) -> None:
        try:
            watcher.wait_for_task(task_id, REGION, stop=stop, report=lambda *_: seen.release())
        except WaitInterruptedError as error:
            errors[task_id] = error

    threads = [threading.Thread(target=wait_for, args=(task_id,)) for task_id in service.ends]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert seen.acquire(timeout=10)
    stop.set("the update was cancelled")
    for thread in threads:
        thread.join(timeout=1)

    assert set(errors) == set(service.ends)
    assert str(errors["lct-007"]) == (
        "Waiting for license conversion task lct-007 in eu-west-1: the update was cancelled after 0s "
        "(last seen IN_PROGRESS). The conversion goes on in AWS, and the next `pulumi up` picks it up."
    )


def test_a_wait_that_begins_after_the_stop_asks_nothing() -> None:
    """A create that reaches the plugin after ^C fails at once and calls nobody."""
    service = Service(ends={"lct-000": 1e9})
    watcher = Watcher(service.find, None)
    stop = StopSignal()
    stop.set("the update was cancelled")

    with pytest.raises(WaitInterruptedError, match="it was not seen yet"):
        watcher.wait_for_task("lct-000", REGION, stop=stop, report=nothing)

    assert not service.calls


def test_the_deadline_holds_while_a_look_is_queued() -> None:
    """A wait whose turn never comes ends at its deadline and not when the queue moves."""
    turn = threading.Event()

    def wait_for_turn() -> None:
        turn.wait(10)

    service = Service(ends={"lct-000": 1e9})
    watcher = Watcher(service.find, None, wait_for_turn=wait_for_turn)

    with pytest.raises(WaitTimeoutError, match="it was not seen yet"):
        watcher.wait_for_task("lct-000", REGION, stop=StopSignal(), report=nothing, timeout_seconds=0.2)
    turn.set()


def test_a_look_under_way_at_the_deadline_still_counts() -> None:
    """An answer that arrives just after the deadline, but was asked for before it, ends the wait in success."""

    def slow_find(task_id: str) -> ConversionTask:
        threading.Event().wait(0.4)
        return ConversionTask(task_id, REGION, status=TaskStatus.SUCCEEDED)

    watcher = Watcher(slow_find, None)

    task = watcher.wait_for_task("lct-000", REGION, stop=StopSignal(), report=nothing, timeout_seconds=0.2)

    assert task.status is TaskStatus.SUCCEEDED


def test_a_bug_while_looking_is_raised_in_the_waiting_thread() -> None:
    """An error that is nobody's to act on ends the wait as it is, instead of a silent hang."""

    def broken(task_id: str) -> ConversionTask:
        raise ZeroDivisionError(task_id)

    with pytest.raises(ZeroDivisionError):
        Watcher(broken, None).wait_for_task("lct-000", REGION, stop=StopSignal(), report=nothing)


def test_a_bug_while_listing_is_raised_in_every_waiting_thread() -> None:
    """Whatever is wrong with the list, no wait hangs because of it."""
    service = Service()

    def broken() -> Iterator[Mapping[str, ConversionTask]]:
        raise ZeroDivisionError

    watcher, waits = watch(service, FEW_WAITS + 2)
    watcher._list_pending = broken

    with pytest.raises(ZeroDivisionError):
        watcher.look(lambda call: call())

    assert all(isinstance(wait.outcome, ZeroDivisionError) for wait in waits)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_schedule_is_raised_in_every_waiting_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that looks serves every wait: none hangs when it dies, and its bug is shown."""
    watcher = Watcher(Service(ends={"lct-000": 1e9}).find, None)

    def look(run: object) -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(watcher, "look", look)
            with pytest.raises(ZeroDivisionError):
                watcher.wait_for_task("lct-000", REGION, stop=StopSignal(), report=nothing, timeout_seconds=5)
    for thread in threading.enumerate():
        if thread.name == "lmconv-watcher":
            thread.join(timeout=5)


def test_one_of_many_that_is_due_alone_is_looked_up() -> None:
    """A wait that begins beside others costs one look-up, not a list; two that are due together share a list."""
    service = Service()
    watcher, _ = watch(service, FEW_WAITS + 1, seconds=1e9)
    service.run(watcher, 100.0)
    service.calls.clear()

    service.ends["lct-new"] = 1e9
    watcher.add("lct-new", REGION, timeout_seconds=1e6)
    for wait in watcher._waits:
        wait.next_look = service.now if wait.task_id == "lct-new" else 1e8
    watcher.look(lambda call: call())
    assert service.calls == {"get": 1}

    for wait in list(watcher._waits)[:2]:
        wait.next_look = service.now
    watcher.look(lambda call: call())
    assert service.calls == {"get": 1, "list": 1}


def test_a_list_of_one_page_serves_the_one_that_is_due() -> None:
    """Where all have been seen, a list costs no more than a look-up, and serves the others too."""
    service = Service()
    watcher, waits = watch(service, FEW_WAITS + 1, seconds=1e9)
    service.run(watcher, 100.0)
    service.calls.clear()

    for wait in waits:
        wait.next_look = 1e8
    waits[0].next_look = service.now
    watcher.look(lambda call: call())

    assert service.calls == {"list": 1}
    assert all(wait.next_look < 1e8 for wait in waits)


def test_a_look_that_comes_too_late_hinders_no_other() -> None:
    """A wait whose deadline came near while its look was queued keeps a place in the schedule beside the others."""
    service = Service()
    watcher, waits = watch(service, 2, seconds=1e9)
    watcher.look(lambda call: call())
    waits[0].next_look = waits[0].deadline = service.now
    watcher.look(lambda call: call())

    assert waits[0].outcome is None
    assert watcher.next_due() == waits[1].next_look


def test_a_watcher_rests_when_no_wait_is_left_and_starts_again() -> None:
    """One watcher serves waits that come long after others have ended."""
    service = Service(ends={"lct-000": 0.0, "lct-001": 0.0})
    watcher = Watcher(service.find, None)

    for task_id in service.ends:
        assert watcher.wait_for_task(task_id, REGION, stop=StopSignal(), report=nothing).is_complete
        for thread in threading.enumerate():
            if thread.name == "lmconv-watcher":
                thread.join(timeout=5)
        assert "lmconv-watcher" not in {thread.name for thread in threading.enumerate()}


def test_waits_that_begin_one_by_one_share_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """First looks that queue for their turns are gathered into a list: 100 waits are seen by a few calls."""
    service = Service(ends={f"lct-{n:03}": 1e9 for n in range(100)})
    turns = threading.Semaphore(0)

    def wait_for_turn() -> None:
        turns.acquire(timeout=10)

    watcher = Watcher(service.find, service.list_pending, wait_for_turn=wait_for_turn)
    stop, seen = StopSignal(), threading.Semaphore(0)

    def wait_for(task_id: str) -> None:
        with contextlib.suppress(WaitInterruptedError):
            watcher.wait_for_task(task_id, REGION, stop=stop, report=lambda *_: seen.release())

    threads = [threading.Thread(target=wait_for, args=(task_id,)) for task_id in service.ends]
    for thread in threads:
        thread.start()
    while len(watcher._waits) < len(threads):
        threading.Event().wait(0.01)
    turns.release(200)
    for _ in threads:
        assert seen.acquire(timeout=10)
    stop.set("the test is over")
    for thread in threads:
        thread.join(timeout=5)

    assert service.calls.total() <= 50  # one by one they would be 100, and more for those that come due meanwhile


def test_what_a_look_saw_before_its_wait_blocks_is_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look may be over before the waiting thread first looks at its wait: its row does not stay empty for 30 s."""
    watcher = Watcher(Service(ends={"lct-000": 1e9}).find, None)
    monkeypatch.setattr(watcher, "_start_thread", lambda: watcher.look(lambda job: job()))
    stop = StopSignal()

    def report(wait: Wait, now: float) -> None:
        assert wait.task is not None
        assert 0 <= wait.waited(now) < 3
        stop.set("it was shown")

    with pytest.raises(WaitInterruptedError):  # not WaitTimeoutError: the report comes first
        watcher.wait_for_task("lct-000", REGION, stop=stop, report=report, timeout_seconds=3)


def test_a_wait_is_silent_while_nothing_changes() -> None:
    """Look after look that shows the same is one line, not one a look: a CI log is not flooded."""
    service = Service(ends={"lct-000": 1e9})
    stop = StopSignal()
    reports: list[None] = []

    def find(task_id: str) -> ConversionTask:
        if service.calls["get"] == 10:
            stop.set("ten looks")
        return service.find(task_id)

    with pytest.raises(WaitInterruptedError):
        Watcher(find, None).wait_for_task(
            "lct-000", REGION, stop=stop, report=lambda *_: reports.append(None), poll_interval_seconds=0.02
        )

    assert len(reports) == 1


def test_a_look_that_outlives_its_wait_loses_no_later_ones() -> None:
    """A look may wait for its turn longer than any wait goes on: what begins then is looked at all the same."""
    service = Service(ends={f"lct-{n:03}": 0.0 for n in range(FEW_WAITS + 3)})
    turns, blocked = threading.Semaphore(0), threading.Event()

    def wait_for_turn() -> None:
        blocked.set()
        turns.acquire(timeout=10)

    watcher = Watcher(service.find, service.list_pending, wait_for_turn=wait_for_turn)
    with pytest.raises(WaitTimeoutError):
        watcher.wait_for_task("lct-000", REGION, stop=StopSignal(), report=nothing, timeout_seconds=0.05)
    assert blocked.wait(5)
    while watcher._thread is not None:
        threading.Event().wait(0.01)

    with ThreadPoolExecutor(len(service.ends)) as threads:
        wait = functools.partial(
            watcher.wait_for_task, region=REGION, stop=StopSignal(), report=nothing, timeout_seconds=20
        )
        waiting = [threads.submit(wait, task_id) for task_id in service.ends]
        while len(watcher._waits) < len(waiting):
            threading.Event().wait(0.01)
        turns.release()  # for the look of the wait that is over, which has waited longest
        while not service.calls:
            threading.Event().wait(0.01)
        turns.release(100)
        assert all(done.result(timeout=10).is_complete for done in waiting)
