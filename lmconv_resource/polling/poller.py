"""Waiting: one poller for all the waits of a connection, and the blocking call that each wait makes.

`Poller.wait_for_task` blocks its thread until its own task has ended, its own deadline has passed or it is cancelled.
One thread sleeps until the next poll is due, and a few more make the polls. What is polled when, and how, is in
`dispatcher`; what a poll means for one wait is in `wait`. Knows no boto3 and no Pulumi: getting and listing tasks are
callables.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor

from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.dispatcher import Dispatcher, GetTask, ListPages, Run
from lmconv_resource.polling.policy import DEFAULT_DEADLINE_SECONDS, PollingPolicy
from lmconv_resource.polling.runtime import RUNTIME, Runtime
from lmconv_resource.polling.wait import Wait, to_long_text, to_unknown_status_text

log = logging.getLogger(__name__)

Report = Callable[[Wait, float], None]
"""Shows a wait to the user at the given moment; called from the waiting thread."""


class Poller:
    """Polls the tasks of all waits of one connection.

    Args:
        get_task: gets one task.
        list_pages: lists the tasks of a status; None where there is no such call.
        acquire: blocks until a call may start; `get_task` and the first page of `list_pages` do not wait again.
        policy: when, how many together, how patient.
        on_note: told, once each, what the user should know of the polling itself.
        runtime: clock, threads and jitter.
    """

    def __init__(
        self,
        get_task: GetTask,
        list_pages: ListPages | None,
        *,
        acquire: Callable[[], None] = lambda: None,
        policy: PollingPolicy = PollingPolicy(),  # noqa: B008 -- frozen
        on_note: Callable[[str], None] | None = None,
        runtime: Runtime = RUNTIME,
    ) -> None:
        self._dispatcher = Dispatcher(
            get_task, list_pages, acquire=acquire, policy=policy, on_note=on_note, runtime=runtime
        )
        self._policy = policy
        self._runtime = runtime
        self._is_running = False
        self._pool: Executor | None = None

    @property
    def waits(self) -> list[Wait]:
        """The waits that have begun and not ended."""
        return self._dispatcher.waits

    def wait_for_task(
        self,
        task_id: str,
        region: str,
        *,
        cancellation: Cancellation,
        report: Report,
        timeout_seconds: float = DEFAULT_DEADLINE_SECONDS,
        poll_interval_seconds: float | None = None,
        report_seconds: float | None = None,
        is_known: bool = True,
        on_notice: Callable[[str], None] | None = None,
    ) -> ConversionTask:
        """Block until the task has ended, and return it as it was last seen, SUCCEEDED or FAILED.

        Args:
            task_id: the task's id.
            region: where it is.
            cancellation: ends the wait when it is set.
            report: shows the wait; called when its status changes, and at the latest every `report_seconds`.
            timeout_seconds: how long it may take.
            poll_interval_seconds: a constant interval in place of the policy's.
            report_seconds: in place of the policy's.
            is_known: whether the task was started here or seen before; else AWS is to know its id within 10 s.
            on_notice: told, once each, what is odd about the task: it takes long, its status is an unknown one.

        Raises:
            WaitError: it did not end within `timeout_seconds`, the wait was cancelled, or every poll failed for five
                minutes.
            LicenseConversionError: a poll failed in a way that another try can't cure.
        """
        wait = self._dispatcher.add(
            task_id,
            region,
            timeout_seconds=timeout_seconds,
            poll_interval_seconds=poll_interval_seconds,
            is_known=is_known,
        )
        unsubscribe = cancellation.subscribe(wait.changed.set)
        try:
            if not cancellation.is_set:
                self._start_thread()
            notices = _Notices(wait, on_notice or log.warning)
            return self._block(wait, cancellation, report, report_seconds or self._policy.report_seconds, notices)
        finally:
            unsubscribe()
            self._dispatcher.remove(wait)

    def _block(
        self, wait: Wait, cancellation: Cancellation, report: Report, report_seconds: float, notices: _Notices
    ) -> ConversionTask:
        # A poll may have come before this; what it saw has not been reported.
        reported_key, reported_at = None, wait.started
        while True:
            wait.changed.clear()
            now = self._runtime.now()
            if isinstance(wait.outcome, ConversionTask):
                report(wait, now)
                return wait.outcome
            if wait.outcome is not None:
                raise wait.outcome
            if cancellation.reason is not None:
                raise wait.to_interrupted_error(cancellation.reason, now)
            # A poll that is under way at the deadline still counts, and so does one that makes up for a sleep.
            is_owed = now >= wait.deadline and self._dispatcher.owes_poll(wait)
            if cancellation.is_expired and not (wait.in_flight or now <= wait.late_limit or is_owed):
                raise wait.to_timeout_error(now)
            if now >= wait.limit and not self._dispatcher.owes_poll(wait):
                raise wait.to_limit_error(now)
            status_key = wait.status_key
            if status_key != reported_key or now >= reported_at + report_seconds:
                report(wait, now)
                reported_key, reported_at = status_key, now
            notices.give(now)
            # Past its limit it waits for the poll that it is owed.
            limit = wait.limit if now < wait.limit else now + 1.0
            pause = min(limit, reported_at + report_seconds) - now
            until = pause if cancellation.is_expired else cancellation.remaining(pause)
            wait.changed.wait(max(0.0, min(pause, until)))

    def _start_thread(self) -> None:
        with self._dispatcher.changed:
            if self._pool is None:
                # Outlives the thread: a poll that waits to start may serve waits that begin after all others ended.
                self._pool = self._runtime.pool(self._policy.poll_threads, "lmconv-poll")
            if not self._is_running:
                self._is_running, run = True, self._pool.submit
                self._runtime.spawn(lambda: self._run(run), "lmconv-poller")

    def _run(self, run: Run) -> None:
        """Dispatch what is due until no wait is left."""
        dispatcher = self._dispatcher
        try:
            while True:
                with dispatcher.changed:
                    if not dispatcher.waits:
                        self._is_running = False
                        return
                    due = dispatcher.next_poll()
                    pause = None if due is None else due - self._runtime.now()
                    if pause is None or pause > 0:
                        dispatcher.changed.wait(pause)
                        continue
                dispatcher.dispatch(run)
        except BaseException as bug:
            # This thread serves every wait: none may hang because of it, and each shows the bug.
            with dispatcher.changed:
                self._is_running = False
                waits = dispatcher.waits
            dispatcher.record_all(waits, bug)
            raise


class _Notices:
    """What is said once of a wait."""

    def __init__(self, wait: Wait, say: Callable[[str], None]) -> None:
        self._wait = wait
        self._say = say
        self._is_long = False
        self._unknown: set[str] = set()

    def give(self, now: float) -> None:
        """Say what has become true."""
        task = self._wait.task
        if task is None:
            return
        if task.unknown_status and task.unknown_status not in self._unknown:
            self._unknown.add(task.unknown_status)
            self._say(to_unknown_status_text(self._wait, task.unknown_status))
        is_long = task.status is TaskStatus.IN_PROGRESS and self._wait.waited(now) >= self._wait.policy.long_seconds
        if is_long and not self._is_long:
            self._is_long = True
            self._say(to_long_text(self._wait))
