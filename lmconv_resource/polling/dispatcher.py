"""Which tasks are polled when, and by which call: one by one while few are due, by one list where that is cheaper.

The steps, each a method: `dispatch` queues what is due, `_choose_batch` decides between one list and one task,
`_poll_batch` and `_poll_one` ask AWS, `_record` writes down what they saw. Where many tasks have ended at once,
`_poll_ended` finds them by another list while they are polled one by one. Starts no thread: it is told what to run its
steps on.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from lmconv_resource.errors import LicenseConversionError, TransientError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.runtime import RUNTIME, Runtime
from lmconv_resource.polling.wait import Wait

log = logging.getLogger(__name__)

GetTask = Callable[[str], ConversionTask]
"""Returns one task by its id, or raises."""


ListPages = Callable[[TaskStatus], Iterable[Mapping[str, ConversionTask]]]
"""Returns the tasks with a status, page by page, by id, or raises."""

Run = Callable[[Callable[[], None]], object]
"""Calls what it is given, now or on another thread."""


class Dispatcher:
    """Polls the tasks of all waits of one connection. Safe to use from several threads.

    `acquire` blocks until a call may start; `get_task` and the first page of `list_pages` do not wait again. `on_note`
    is told, once each, what the user should know of the polling itself.
    """

    def __init__(
        self,
        get_task: GetTask,
        list_pages: ListPages,
        *,
        acquire: Callable[[], None] = lambda: None,
        policy: PollingPolicy = PollingPolicy(),  # noqa: B008 -- frozen
        on_note: Callable[[str], None] = log.warning,
        runtime: Runtime = RUNTIME,
    ) -> None:
        self._get_task = get_task
        self._list_pages = list_pages
        self._acquire = acquire
        self.policy = policy
        self._on_note = on_note
        self.runtime = runtime
        # A dict for its order: that of a set of objects differs from run to run.
        self._waits: dict[Wait, None] = {}
        self._queue: deque[Wait] = deque()
        self._pages = 1
        self._ended_pages = 1.0
        """How many pages the list of ended tasks is known to have before all that are looked for are found."""
        self._is_listing = False
        self._list_again_at = float("-inf")
        self.changed = runtime.condition()
        """Notified when `next_poll` may have changed; guards all that is here."""

    @property
    def waits(self) -> list[Wait]:
        """The waits that have begun and not ended."""
        with self.changed:
            return list(self._waits)

    # -- schedule ----------------------------------------------------------------------------------------------------

    def add(self, wait: Wait) -> None:
        """Poll a wait from now on."""
        with self.changed:
            self._waits[wait] = None
            self.changed.notify()

    def remove(self, wait: Wait) -> None:
        """End a wait: it is no longer polled."""
        with self.changed:
            self._waits.pop(wait, None)
            self.changed.notify()

    def next_poll(self) -> float | None:
        """Return the moment of the next poll, None while no wait needs one."""
        with self.changed:
            return min((wait.next_poll for wait in self._waits if wait.wants_poll), default=None)

    def owes_poll(self, wait: Wait) -> bool:
        """Return whether a poll that was planned before the deadline has not been dispatched, and bring it about."""
        with self.changed:
            if wait.is_poll_owed:
                self.changed.notify()
            return wait.is_poll_owed

    # -- dispatch ----------------------------------------------------------------------------------------------------

    def dispatch(self, run: Run) -> None:
        """Have every task polled that is due."""
        now = self.runtime.now()
        with self.changed:
            due = [wait for wait in self._waits if wait.wants_poll and wait.next_poll <= now]
            for wait in due:
                wait.on_dispatched(now)
            self._queue += due
        for _ in due:
            run(lambda: self._poll_next(run))

    def _poll_next(self, run: Run) -> None:
        """Poll the task that is due longest; all by one list, where that is cheaper.

        That is decided when the call may start: by then others may be due too.
        """
        if not self._queue:
            return  # a list took along what this was for
        self._acquire()
        with self.changed:
            now = self.runtime.now()
            self._queue = deque(wait for wait in self._queue if not self._drop_if_over(wait, now))
            batch = self._choose_batch(now)
            alone = self._queue.popleft() if self._queue else None
        if batch:
            try:
                self._poll_batch(batch, run)
            except BaseException as bug:
                self.record_all([wait for wait in batch if wait.dispatched], bug)
                raise
        elif alone:
            self._poll_one(alone)

    def _choose_batch(self, now: float) -> list[Wait]:
        """Return all the waits where a list costs no more calls than polling each that is due; else none."""
        if self._is_listing or not self._may_list() or len(self._waits) <= self.policy.few_waits:
            return []
        others = [wait for wait in self._waits if wait.wants_poll and not wait.is_too_late(now)]
        # What comes due soon would go along: together they need one list.
        due = [*self._queue, *(wait for wait in others if wait.is_near(now))]
        # A task not seen yet may well have ended: alone it is polled separately, which tells that in one call.
        least = 2 if any(wait.task is None for wait in due) else 1
        if len(due) < max(least, self._pages):
            return []
        batch = [*self._queue, *others]
        self._queue.clear()
        self._is_listing = True
        for wait in batch:
            wait.on_poll(now)
        return batch

    def _may_list(self) -> bool:
        return self.runtime.now() >= self._list_again_at

    # -- poll --------------------------------------------------------------------------------------------------------

    def _poll_batch(self, batch: list[Wait], run: Run) -> None:
        """Ask once for all; poll separately what the list does not show, which has ended or is new."""
        seen: Mapping[str, ConversionTask] = {}
        try:
            seen = self._list_until_found({wait.task_id for wait in batch})
        except TransientError as fault:
            # One call's fault is not the other's: the same tasks by Get, and a list again a little later.
            log.info("Each task is polled separately for a while, because listing failed: %s", fault)
            self._list_again_at = self.runtime.now() + self.policy.longest_interval_seconds
        except LicenseConversionError as refusal:
            # A Get needs only its own right, and says better what is wrong if that fails too.
            self._list_again_at = float("inf")
            self._on_note(f"Each task is polled separately, which takes more calls, because listing failed. {refusal}")
        finally:
            self._is_listing = False
        missing = []
        for wait in batch:
            task = seen.get(wait.task_id)
            # A list is no ground for a failure.
            if task is None or task.status is TaskStatus.FAILED:
                missing.append(wait)
                wait.in_flight = False
                wait.changed.set()
            else:
                self._record(wait, task)
        if self._may_list() and len(missing) > max(self.policy.few_waits, self._ended_pages):
            run(lambda: self._poll_ended(missing))
        for wait in missing:
            run(lambda wait=wait: self._poll_missing(wait))  # type: ignore[misc]

    def _poll_ended(self, missing: list[Wait]) -> None:
        """Find what has succeeded by a list, for as long as that takes fewer calls than polling each separately.

        Those that it does not show are polled separately in any case, at the same time.
        """
        most_pages = max(1, int(self.policy.ended_pages_share * len(missing)))
        waits, pages, found = missing, 0, 0
        try:
            self._acquire()
            for page in self._list_pages(TaskStatus.SUCCEEDED):
                pages += 1
                for wait in waits:
                    task = page.get(wait.task_id)
                    if task and task.status is TaskStatus.SUCCEEDED:
                        self._record(wait, task)
                        found += 1
                # What was polled separately meanwhile need not be found.
                waits = [wait for wait in waits if wait.dispatched]
                if not waits or pages >= most_pages:
                    break
        except LicenseConversionError as error:
            log.info("The tasks that have ended are polled one by one: %s", error)
        except BaseException as bug:
            self.record_all(waits, bug)
            raise
        # A list that was no help is tried again only for more tasks.
        self._ended_pages = pages if found >= pages > 0 else max(self._ended_pages, len(missing))

    def _list_until_found(self, task_ids: set[str]) -> dict[str, ConversionTask]:
        seen: dict[str, ConversionTask] = {}
        pages = 0
        for page in self._list_pages(TaskStatus.IN_PROGRESS):
            pages += 1
            seen.update(page)
            if task_ids <= seen.keys():
                break
        self._pages = max(1, pages)
        return seen

    def _poll_missing(self, wait: Wait) -> None:
        if wait.outcome is None:
            self._acquire()
            self._poll_one(wait)

    def _poll_one(self, wait: Wait) -> None:
        with self.changed:
            now = self.runtime.now()
            if self._drop_if_over(wait, now):
                return
            wait.on_poll(now)
        try:
            self._record(wait, self._get_task(wait.task_id))
        except BaseException as error:
            self._record(wait, error)
            if not isinstance(error, LicenseConversionError):
                raise

    def _drop_if_over(self, wait: Wait, now: float) -> bool:
        """Drop a poll whose wait has ended, or come near its deadline, while the poll was queued."""
        if wait in self._waits and wait.outcome is None and not wait.is_too_late(now):
            return False
        wait.stop_polling()
        return True

    # -- record ------------------------------------------------------------------------------------------------------

    def record_all(self, waits: Iterable[Wait], result: BaseException) -> None:
        """Record for each of some waits what hit them all."""
        for wait in waits:
            self._record(wait, result)

    def _record(self, wait: Wait, result: ConversionTask | BaseException) -> None:
        with self.changed:
            is_crowded = len(self._waits) > self.policy.crowd
            wait.record(result, self.runtime.now(), self.runtime.rng, is_crowded=is_crowded)
            self.changed.notify()
        wait.changed.set()
