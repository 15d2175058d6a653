"""Waiting: one watcher for all the waits of a connection, and the blocking call that each wait makes.

`Watcher` decides which tasks to look at and how: one by one while they are few, by one list for all when they are many.
`Watcher.wait_for_task` blocks its thread until its own task has ended, its own deadline has passed or it is told to
stop. Knows no boto3 and no Pulumi: looking up and listing are callables, and so are clock, sleep and the threads.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lmconv_resource import rhythm
from lmconv_resource.errors import (
    LicenseConversionError,
    ThrottledError,
    TransientError,
    UnreadableAnswerError,
    WaitFaultError,
    WaitInterruptedError,
    WaitTimeoutError,
)
from lmconv_resource.models import ConversionTask
from lmconv_resource.stopping import StopSignal

log = logging.getLogger(__name__)

FEW_WAITS = 3
"""Up to here each task is looked up by itself."""

_LOOKERS = 4
"""Threads that look tasks up at the same time, for one connection. The pacer spreads their calls."""

REPORT_SECONDS = 30.0
"""How long a wait stays silent while nothing changes: CI services end jobs that print nothing for ten minutes."""

_LAST_LOOK_SECONDS = 1.0
"""What a look is taken to last when the last one before a deadline is planned."""

_FLIGHT_SECONDS = 25.0
"""How long a look that is under way at the deadline may go on: connecting and reading end after 10 s each."""

Find = Callable[[str], ConversionTask]
"""Looks one task up by its id, or raises."""

List = Callable[[], Iterable[Mapping[str, ConversionTask]]]
"""Gives the tasks in progress, page by page, by id, or raises."""

Run = Callable[[Callable[[], None]], object]
"""Calls what it is given, now or on another thread."""


@dataclass(eq=False)
class Wait:
    """One task being waited for. The watcher writes to it; `changed` tells the waiting thread to look at it again."""

    task_id: str
    region: str
    started: float
    deadline: float
    poll_interval_seconds: float | None = None
    next_look: float = 0.0
    interval: float = 0.0
    task: ConversionTask | None = None
    fault: TransientError | None = None
    faults: int = 0
    faulty_since: float | None = None
    planned: bool = False
    in_flight: bool = False
    outcome: ConversionTask | BaseException | None = None
    changed: threading.Event = field(default_factory=threading.Event)

    @property
    def wants_look(self) -> bool:
        """True while it goes on and no look at it is under way."""
        return self.outcome is None and not self.planned

    def waited(self, now: float) -> float:
        """Give the seconds since the wait began."""
        return now - self.started

    def to_error_facts(self, now: float) -> dict[str, Any]:
        """Give what every `WaitError` says."""
        return {
            "task_id": self.task_id,
            "region": self.region,
            "task": self.task,
            "waited_seconds": self.waited(now),
        }


Report = Callable[[Wait, float], None]
"""Shows a wait to the user at the given moment; called from the waiting thread."""


class Watcher:
    """Looks at the tasks of all waits of one connection.

    Args:
        find: looks one task up.
        list_pending: lists the tasks in progress; None where there is no such call.
        wait_for_turn: blocks until a call of `find` may start.
        on_note: told, once each, what the user should know of the watcher itself.
        clock: gives the present in seconds from any fixed point.
        rng: the source of the jitter.
    """

    def __init__(
        self,
        find: Find,
        list_pending: List | None,
        *,
        wait_for_turn: Callable[[], None] = lambda: None,
        on_note: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._find = find
        self._list_pending = list_pending
        self._wait_for_turn = wait_for_turn
        self._on_note = on_note or log.warning
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 -- jitter, not cryptography
        self._waits: set[Wait] = set()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pages = 1
        self._queue: list[Wait] = []
        self._listing = False

    # -- one wait, for the thread that makes it ----------------------------------------------------------------------

    def wait_for_task(
        self,
        task_id: str,
        region: str,
        *,
        stop: StopSignal,
        report: Report,
        timeout_seconds: float = rhythm.DEFAULT_DEADLINE_SECONDS,
        poll_interval_seconds: float | None = None,
    ) -> ConversionTask:
        """Block until the task has ended, and give it as it was last seen, SUCCEEDED or FAILED.

        Raises:
            WaitTimeoutError: it did not end within `timeout_seconds`.
            WaitInterruptedError: `stop` was set.
            WaitFaultError: every look failed for five minutes.
            LicenseConversionError: a look failed in a way that another try can't mend.
        """
        wait = self.add(task_id, region, timeout_seconds=timeout_seconds, poll_interval_seconds=poll_interval_seconds)
        unsubscribe = stop.subscribe(wait.changed.set)
        try:
            if stop.reason is None:
                self._start_thread()
            return self._block(wait, stop, report)
        finally:
            unsubscribe()
            self.remove(wait)

    def _block(self, wait: Wait, stop: StopSignal, report: Report) -> ConversionTask:
        shown, shown_at = _what_shows(wait), wait.started
        while True:
            wait.changed.clear()
            now = self._clock()
            if isinstance(wait.outcome, ConversionTask):
                report(wait, now)
                return wait.outcome
            if wait.outcome is not None:
                raise wait.outcome
            if stop.reason is not None:
                raise WaitInterruptedError(why=stop.reason, **wait.to_error_facts(now))
            limit = wait.deadline + (_FLIGHT_SECONDS if wait.in_flight else 0)
            if now >= limit:
                raise WaitTimeoutError(**wait.to_error_facts(now))
            shows = _what_shows(wait)
            if shows != shown or now >= shown_at + REPORT_SECONDS:
                report(wait, now)
                shown, shown_at = shows, now
            wait.changed.wait(max(0.0, min(limit, shown_at + REPORT_SECONDS) - now))

    def _start_thread(self) -> None:
        with self._wake:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="lmconv-watcher", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        with ThreadPoolExecutor(_LOOKERS, thread_name_prefix="lmconv-look") as lookers:
            while True:
                with self._wake:
                    if not self._waits:
                        self._thread = None
                        return
                    due = self.next_due()
                    pause = None if due is None else due - self._clock()
                    if pause is None or pause > 0:
                        self._wake.wait(pause)
                        continue
                try:
                    self.look(lookers.submit)
                except BaseException as bug:
                    # This thread serves every wait: none may hang because of it, and each shows the bug.
                    for wait in list(self._waits):
                        self._settle(wait, bug)
                    raise

    # -- the schedule ------------------------------------------------------------------------------------------------

    def add(
        self, task_id: str, region: str, *, timeout_seconds: float, poll_interval_seconds: float | None = None
    ) -> Wait:
        """Begin a wait; its first look is due at once."""
        now = self._clock()
        wait = Wait(task_id, region, now, now + timeout_seconds, poll_interval_seconds, next_look=now)
        with self._wake:
            self._waits.add(wait)
            self._wake.notify()
        return wait

    def remove(self, wait: Wait) -> None:
        """End a wait: it is not looked at any more."""
        with self._wake:
            self._waits.discard(wait)
            self._wake.notify()

    def next_due(self) -> float | None:
        """Give the moment of the next look, None while no wait needs one."""
        with self._wake:
            return min((wait.next_look for wait in self._waits if wait.wants_look), default=None)

    def look(self, run: Run) -> None:
        """Look at every task that is due."""
        now = self._clock()
        with self._wake:
            wanting = [wait for wait in self._waits if wait.wants_look]
            # What comes due soon would go along: together they need one list.
            by_list = self._is_list_cheaper([w for w in wanting if w.next_look - rhythm.LOOK_AHEAD * w.interval <= now])
            due = wanting if by_list else [wait for wait in wanting if wait.next_look <= now]
            for wait in due:
                wait.planned = True
                wait.in_flight = by_list
            if not by_list:
                self._queue += due
        if by_list:
            run(lambda: self._look_by_list(due, run))
        else:
            for _ in due:
                run(lambda: self._look_at_queued(run))

    def _is_list_cheaper(self, due: list[Wait]) -> bool:
        """True where a list costs no more calls than looking each task up, and serves all the others too."""
        if self._list_pending is None or len(self._waits) <= FEW_WAITS:
            return False
        # A task not seen yet may well have ended: alone it is looked up, which answers that in one call.
        least = 2 if any(wait.task is None for wait in due) else 1
        return len(due) >= max(least, self._pages)

    def _look_by_list(self, due: list[Wait], run: Run) -> None:
        """Ask once for all; look up by itself what the list does not show, which has ended or is new."""
        seen: dict[str, ConversionTask] = {}
        try:
            seen = self._list_until_found({wait.task_id for wait in due})
        except TransientError as fault:
            for wait in due:
                self._settle(wait, fault)
            return
        except LicenseConversionError as refusal:
            # Looking up needs only its own right, and says better what is wrong if that fails too.
            self._list_pending = None
            self._on_note(f"Each task is looked up by itself, at more calls, because listing failed. {refusal}")
        except BaseException as bug:
            for wait in due:
                self._settle(wait, bug)
            raise
        for wait in due:
            task = seen.get(wait.task_id)
            if task is None:
                wait.in_flight = False
                run(lambda wait=wait: self._look_at(wait))  # type: ignore[misc]
            else:
                self._settle(wait, task)

    def _list_until_found(self, missing: set[str]) -> dict[str, ConversionTask]:
        seen: dict[str, ConversionTask] = {}
        pages = 0
        for page in self._list_pending() if self._list_pending else ():
            pages += 1
            seen.update((task_id, task) for task_id, task in page.items() if task_id in missing)
            missing.difference_update(page)
            if not missing:
                break
        self._pages = max(1, pages)
        return seen

    def _look_at_queued(self, run: Run) -> None:
        """Look at the task that has been queued longest; at all that are, by one list, where that is cheaper.

        So many waits may begin, one after the other, that their looks queue for their turns.
        """
        if not self._queue:
            return
        self._wait_for_turn()
        with self._wake:
            queued = self._queue
            by_list = not self._listing and self._is_list_cheaper(queued)
            self._queue = [] if by_list else queued[1:]
            if by_list:
                self._listing = True
                for wait in queued:
                    wait.in_flight = True
        if by_list:
            try:
                self._look_by_list(queued, run)
            finally:
                self._listing = False
        elif queued:
            self._look_at(queued[0], in_turn=True)

    def _look_at(self, wait: Wait, *, in_turn: bool = False) -> None:
        if not in_turn:
            self._wait_for_turn()
        with self._wake:
            # It may have ended, or its deadline come near, while its look was queued.
            if wait not in self._waits or (wait.task and self._clock() > wait.deadline - _LAST_LOOK_SECONDS):
                wait.planned = False
                wait.next_look = wait.deadline + _FLIGHT_SECONDS
                return
            wait.in_flight = True
        try:
            result: ConversionTask | BaseException = self._find(wait.task_id)
        except LicenseConversionError as error:
            result = error
        except BaseException as bug:
            self._settle(wait, bug)
            raise
        self._settle(wait, result)

    # -- what a look means -------------------------------------------------------------------------------------------

    def _settle(self, wait: Wait, result: ConversionTask | BaseException) -> None:
        """Write down what a look gave, and plan the next one or end the wait."""
        now = self._clock()
        with self._wake:
            if isinstance(result, ConversionTask) and result.status is None:
                result = UnreadableAnswerError(
                    task_id=wait.task_id, region=wait.region, reason="the answer has no status"
                )
            if isinstance(result, ConversionTask):
                self._saw(wait, result, now)
            elif isinstance(result, TransientError):
                self._faulted(wait, result, now)
            else:
                wait.outcome = result
            wait.planned = wait.in_flight = False
            self._wake.notify()
        wait.changed.set()

    def _saw(self, wait: Wait, task: ConversionTask, now: float) -> None:
        wait.task, wait.fault, wait.faults, wait.faulty_since = task, None, 0, None
        if task.is_complete:
            wait.outcome = task
            return
        interval = rhythm.poll_interval(wait.waited(now), wait.poll_interval_seconds)
        if wait.poll_interval_seconds is not None:
            self._plan(wait, now, interval)
            return
        wait.interval = interval
        self._plan(wait, now, rhythm.jittered(interval, self._rng))

    def _faulted(self, wait: Wait, fault: TransientError, now: float) -> None:
        wait.fault = fault
        if isinstance(fault, ThrottledError):
            # The pacer slows all calls down; this wait only keeps its place in the queue.
            self._plan(wait, now, 0.0)
            return
        wait.faults += 1
        wait.faulty_since = now if wait.faulty_since is None else wait.faulty_since
        faulty_seconds = now - wait.faulty_since
        if faulty_seconds >= rhythm.FAULTS_SECONDS:
            wait.outcome = WaitFaultError(fault=fault, faulty_seconds=faulty_seconds, **wait.to_error_facts(now))
            return
        self._plan(wait, now, rhythm.fault_interval(wait.faults, self._rng))

    def _plan(self, wait: Wait, now: float, pause: float) -> None:
        """Plan the next look; the last one early enough to end before the deadline, and none beyond it."""
        last = wait.deadline - _LAST_LOOK_SECONDS
        if now + pause > last and last - now < _LAST_LOOK_SECONDS / 2:
            wait.outcome = WaitTimeoutError(**wait.to_error_facts(now))
            return
        wait.next_look = min(now + pause, last)


def _what_shows(wait: Wait) -> tuple[object, ...]:
    task = wait.task
    return (task and task.status, task and task.status_message, wait.fault and wait.fault.reason)
