"""Waiting: one poller for all the waits of a connection, and the blocking call that each wait makes.

`Poller.wait_for_task` blocks its thread until its own task has ended, its own deadline has passed or it is cancelled.
One thread sleeps until the next poll is due, and a few more make the polls. What is polled when, and how, is in
`dispatcher`; what a poll means for one wait is in `wait`.
"""

import logging
from collections.abc import Callable

from lmconv_resource.models import ConversionTask
from lmconv_resource.polling.dispatcher import Dispatcher
from lmconv_resource.polling.policy import DEFAULT_DEADLINE_SECONDS
from lmconv_resource.polling.runtime import Cancellation
from lmconv_resource.polling.wait import Wait

log = logging.getLogger(__name__)


class Poller:
    """Waits for tasks, which the dispatcher polls on threads that this starts. Safe to share between threads."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self._runtime = dispatcher.runtime
        self._is_running = False
        # Outlives the thread: a poll that waits to start may serve waits that begin after all others ended.
        self._run_poll = dispatcher.runtime.pool(dispatcher.policy.poll_threads, "lmconv-poll").submit

    def wait_for_task(
        self,
        task_id: str,
        region: str,
        *,
        cancellation: Cancellation,
        report: Callable[[Wait, float], None],
        timeout_seconds: float = DEFAULT_DEADLINE_SECONDS,
        poll_interval_seconds: float | None = None,
        report_seconds: float | None = None,
        limit_seconds: float | None = None,
        is_known: bool = True,
        on_notice: Callable[[str], None] = log.warning,
    ) -> ConversionTask:
        """Block until the task has ended, and return it as it was last seen, SUCCEEDED or FAILED.

        `timeout_seconds` counts where `cancellation` has no deadline; the error names `limit_seconds`, the time
        that was set for the operation. In this thread `report` shows the wait, at the given moment, when its status
        changes and at the latest every `report_seconds`, and `on_notice` is told, once each, what is odd about the
        task: it takes long, its status is an unknown one. AWS is to know the id of a task that was neither started here
        nor seen before (`is_known`) within 10 s. What is not given is the policy's.

        Raises:
            WaitError: it did not end in time, the wait was cancelled, or every poll failed for five minutes.
            LicenseConversionError: a poll failed in a way that another try can't cure.
        """
        now, changed, policy = self._runtime.now(), self._runtime.event(), self.dispatcher.policy
        report_seconds = report_seconds or policy.report_seconds
        deadline = now + cancellation.remaining(timeout_seconds)
        wait = Wait(task_id, region, now, deadline, poll_interval_seconds, policy, is_known=is_known, changed=changed)
        wait.next_poll, wait.limit_seconds = now, limit_seconds
        self.dispatcher.add(wait)
        unsubscribe = cancellation.subscribe(wait.changed.set)
        # A poll may have come before this; what it saw has not been reported.
        reported_key: tuple[object, ...] = (None, None, None)
        reported_at = now
        try:
            with self.dispatcher.changed:
                if not (cancellation.is_set or self._is_running):
                    self._is_running = True
                    self._runtime.spawn(self._run, "lmconv-poller")
            while True:
                wait.changed.clear()
                now = self._runtime.now()
                if isinstance(wait.outcome, ConversionTask):
                    report(wait, now)
                    return wait.outcome
                self._raise_end(wait, cancellation, now)
                if wait.status_key != reported_key or now >= reported_at + report_seconds:
                    reported_key, reported_at = wait.status_key, now
                    report(wait, now)
                for notice in wait.take_notices(now):
                    on_notice(notice)
                # Past its limit it waits for the poll that it is owed.
                limit = wait.limit if now < wait.limit else now + 1.0
                wait.changed.wait(max(0.0, min(limit, reported_at + report_seconds) - now))
        finally:
            unsubscribe()
            self.dispatcher.remove(wait)

    def _raise_end(self, wait: Wait, cancellation: Cancellation, now: float) -> None:
        """Raise the error in which a wait ends, if it does."""
        if isinstance(wait.outcome, BaseException):
            raise wait.outcome
        if cancellation.reason is not None:
            raise wait.to_interrupted_error(cancellation.reason, now)
        # A poll that is under way at the deadline still counts, and so does one that makes up for a sleep.
        if now >= wait.limit and not self.dispatcher.owes_poll(wait):
            is_over = now >= max(wait.deadline, wait.late_limit)
            raise wait.to_timeout_error(now) if is_over else wait.to_fault_error(now)

    def _run(self) -> None:
        """Dispatch what is due until no wait is left."""
        dispatcher = self.dispatcher
        try:
            while True:
                with dispatcher.changed:
                    if not dispatcher.waits:
                        self._is_running = False
                        return
                    due = dispatcher.next_poll()
                    if due is None or due > self._runtime.now():
                        dispatcher.changed.wait(None if due is None else due - self._runtime.now())
                dispatcher.dispatch(self._run_poll)
        except BaseException as bug:
            # This thread serves every wait: none may hang because of it, and each shows the bug.
            with dispatcher.changed:
                self._is_running = False
                dispatcher.record_all(dispatcher.waits, bug)
            raise
