"""Waiting: one watcher for all the waits of a connection, and the blocking call that each wait makes.

`Watcher` decides which tasks to look at and how: one by one while they are few, by one list for all when they are many.
`Watcher.wait_for_task` blocks its thread until its own task has ended, its own deadline has passed or it is told to
stop. What a look means for one wait is in `wait`. Knows no boto3 and no Pulumi: looking up and listing are callables,
and so are clock, sleep and the threads.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from lmconv_resource.errors import LicenseConversionError, TransientError, WaitInterruptedError, WaitTimeoutError
from lmconv_resource.models import ConversionTask
from lmconv_resource.polling import policy as rhythm
from lmconv_resource.polling.cancellation import StopSignal
from lmconv_resource.polling.wait import Wait

log = logging.getLogger(__name__)

FEW_WAITS = 3
"""Up to here each task is looked up by itself."""

_LOOKERS = 4
"""Threads that look tasks up at the same time, for one connection. The pacer spreads their calls."""

REPORT_SECONDS = 30.0
"""How long a wait stays silent while nothing changes: CI services end jobs that print nothing for ten minutes."""

Find = Callable[[str], ConversionTask]
"""Looks one task up by its id, or raises."""

List = Callable[[], Iterable[Mapping[str, ConversionTask]]]
"""Gives the tasks in progress, page by page, by id, or raises."""

Run = Callable[[Callable[[], None]], object]
"""Calls what it is given, now or on another thread."""

Report = Callable[[Wait, float], None]
"""Shows a wait to the user at the given moment; called from the waiting thread."""


class Watcher:
    """Looks at the tasks of all waits of one connection.

    Args:
        find: looks one task up.
        list_pending: lists the tasks in progress; None where there is no such call.
        wait_for_turn: blocks until a call may start; `find` and the first page of `list_pending` do not wait again.
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
        self._lookers: ThreadPoolExecutor | None = None
        self._pages = 1
        self._queue: deque[Wait] = deque()
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
        # A look may have come before this; what it saw has not been shown.
        shown, shown_at = None, wait.started
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
            limit = wait.limit
            if now >= limit:
                raise WaitTimeoutError(**wait.to_error_facts(now))
            shows = wait.shows
            if shows != shown or now >= shown_at + REPORT_SECONDS:
                report(wait, now)
                shown, shown_at = shows, now
            wait.changed.wait(max(0.0, min(limit, shown_at + REPORT_SECONDS) - now))

    def _start_thread(self) -> None:
        with self._wake:
            if self._lookers is None:
                # Outlives the thread: a look that waits for its turn may serve waits that begin after all others ended.
                self._lookers = ThreadPoolExecutor(_LOOKERS, thread_name_prefix="lmconv-look")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, args=(self._lookers.submit,), name="lmconv-watcher", daemon=True
                )
                self._thread.start()

    def _watch(self, run: Run) -> None:
        try:
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
                self.look(run)
        except BaseException as bug:
            # This thread serves every wait: none may hang because of it, and each shows the bug.
            with self._wake:
                self._thread = None
                waits = list(self._waits)
            self._settle_all(waits, bug)
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
        """Have every task looked at that is due."""
        now = self._clock()
        with self._wake:
            due = [wait for wait in self._waits if wait.wants_look and wait.next_look <= now]
            for wait in due:
                wait.planned = True
            self._queue += due
        for _ in due:
            run(lambda: self._look_at_next(run))

    def _look_at_next(self, run: Run) -> None:
        """Look at the task that is due longest; at all by one list, where that is cheaper.

        That is decided when the turn has come: by then others may be due too.
        """
        if not self._queue:
            return  # a list took along what this was for
        self._wait_for_turn()
        with self._wake:
            now = self._clock()
            self._queue = deque(wait for wait in self._queue if not self._gives_up(wait, now))
            together = self._take_for_list(now)
            alone = self._queue.popleft() if self._queue else None
        if together:
            self._look_by_list(together, run)
        elif alone:
            self._look_at(alone)

    def _take_for_list(self, now: float) -> list[Wait]:
        """Give all the waits where a list costs no more calls than looking up each that is due; else none."""
        if self._listing or self._list_pending is None or len(self._waits) <= FEW_WAITS:
            return []
        others = [wait for wait in self._waits if wait.wants_look and not wait.is_too_late(now)]
        # What comes due soon would go along: together they need one list.
        due = [*self._queue, *(wait for wait in others if wait.is_near(now))]
        # A task not seen yet may well have ended: alone it is looked up, which answers that in one call.
        least = 2 if any(wait.task is None for wait in due) else 1
        if len(due) < max(least, self._pages):
            return []
        together = [*self._queue, *others]
        self._queue.clear()
        self._listing = True
        for wait in together:
            wait.planned = wait.in_flight = True
        return together

    def _look_by_list(self, waits: list[Wait], run: Run) -> None:
        """Ask once for all; look up by itself what the list does not show, which has ended or is new."""
        try:
            self._settle_by_list(waits, run)
        except BaseException as bug:
            self._settle_all([wait for wait in waits if wait.planned], bug)
            raise
        finally:
            self._listing = False

    def _settle_by_list(self, waits: list[Wait], run: Run) -> None:
        try:
            seen = self._list_until_found({wait.task_id for wait in waits})
        except TransientError as fault:
            self._settle_all(waits, fault)
            return
        except LicenseConversionError as refusal:
            # Looking up needs only its own right, and says better what is wrong if that fails too.
            self._list_pending = None
            self._on_note(f"Each task is looked up by itself, at more calls, because listing failed. {refusal}")
            seen = {}
        for wait in waits:
            task = seen.get(wait.task_id)
            if task is None:
                wait.in_flight = False
                wait.changed.set()
                run(lambda wait=wait: self._look_up(wait))  # type: ignore[misc]
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

    def _look_up(self, wait: Wait) -> None:
        self._wait_for_turn()
        self._look_at(wait)

    def _look_at(self, wait: Wait) -> None:
        with self._wake:
            if self._gives_up(wait, self._clock()):
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

    def _gives_up(self, wait: Wait, now: float) -> bool:
        """Drop a look whose wait has ended, or come near its deadline, while the look was queued."""
        if wait in self._waits and not wait.is_too_late(now):
            return False
        wait.give_up_looking()
        return True

    def _settle_all(self, waits: Iterable[Wait], result: BaseException) -> None:
        for wait in waits:
            self._settle(wait, result)

    def _settle(self, wait: Wait, result: ConversionTask | BaseException) -> None:
        with self._wake:
            wait.learn(result, self._clock(), self._rng)
            self._wake.notify()
        wait.changed.set()
