"""One wait: what is known of its task, when it is polled next, how it ends, and the line that says so.

Nothing here waits, polls or locks: `dispatcher.Dispatcher` does, and records here what it saw.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field

from lmconv_resource.errors import (
    GET_ACTION,
    UNREADABLE_REMEDY,
    WAIT_ACTION,
    Subject,
    ThrottledError,
    TransientError,
    WaitError,
)
from lmconv_resource.models import ConversionTask
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.text import to_duration_text, to_one_line


@dataclass(eq=False)
class Wait:
    """One task being waited for. `changed` tells the waiting thread to read this again.

    Its times are seconds from any fixed point, the same for all.
    """

    task_id: str
    region: str
    started: float
    deadline: float
    poll_interval_seconds: float | None = None
    policy: PollingPolicy = field(default=PollingPolicy(), repr=False)
    next_poll: float = 0.0
    interval: float = 0.0
    """The longest pause that the policy allowed before the next poll; 0 where something else set the pause."""
    task: ConversionTask | None = None
    fault: TransientError | None = None
    faults: int = 0
    failing_since: float | None = None
    dispatched: bool = False
    """A poll is due and queued, or under way."""
    in_flight: bool = False
    """A call is under way that may tell how the task is."""
    outcome: ConversionTask | BaseException | None = None
    changed: threading.Event = field(default_factory=threading.Event)

    @property
    def wants_poll(self) -> bool:
        """Whether it goes on and no poll of it is dispatched."""
        return self.outcome is None and not self.dispatched

    @property
    def limit(self) -> float:
        """When it ends if nothing is seen any more: at its deadline, or when the poll then under way must be over."""
        return self.deadline + (self.policy.request_grace_seconds if self.in_flight else 0)

    @property
    def status_key(self) -> tuple[object, ...] | None:
        """What is reported again when it changes; None before anything is known."""
        task = self.task
        if task is None and self.fault is None:
            return None
        return (task and task.status, task and task.status_message, self.fault and self.fault.reason)

    def is_near(self, now: float) -> bool:
        """Return whether it may be polled already, to share a list with others."""
        return self.next_poll - self.policy.batch_ahead * self.interval <= now

    def is_too_late(self, now: float) -> bool:
        """Return whether a poll begun now would end beyond the deadline. The first poll is never too late."""
        return self.task is not None and now > self.deadline - self.policy.last_poll_seconds

    def stop_polling(self) -> None:
        """Plan no poll any more: only the deadline is left."""
        self.dispatched = self.in_flight = False
        self.next_poll = self.deadline + self.policy.request_grace_seconds
        self.changed.set()

    def waited(self, now: float) -> float:
        """Return the seconds since the wait began."""
        return now - self.started

    def record(self, result: ConversionTask | BaseException, now: float, rng: random.Random) -> None:
        """Record what a poll returned or raised, and plan the next one or end the wait."""
        if isinstance(result, ConversionTask) and result.status is None:
            subject = Subject(GET_ACTION, self.task_id, self.region)
            result = TransientError(subject, "the answer has no status", UNREADABLE_REMEDY)
        if isinstance(result, ConversionTask):
            self._record_task(result, now, rng)
        elif isinstance(result, TransientError):
            self._record_fault(result, now, rng)
        else:
            self.outcome = result
        self.dispatched = self.in_flight = False

    def _record_task(self, task: ConversionTask, now: float, rng: random.Random) -> None:
        self.task, self.fault, self.faults, self.failing_since = task, None, 0, None
        if task.is_complete:
            self.outcome = task
            return
        interval = self.policy.interval(self.waited(now), self.poll_interval_seconds)
        if self.poll_interval_seconds is not None:
            self._plan(now, interval)
            return
        self.interval = interval
        self._plan(now, self.policy.jittered(interval, rng))

    def _record_fault(self, fault: TransientError, now: float, rng: random.Random) -> None:
        self.fault = fault
        if isinstance(fault, ThrottledError):
            # The rate limiter slows all calls down; this wait only keeps its place in the queue.
            self._plan(now, 0.0)
            return
        self.faults += 1
        self.failing_since = now if self.failing_since is None else self.failing_since
        failing_seconds = now - self.failing_since
        if failing_seconds >= self.policy.fault_budget_seconds:
            self.outcome = self._to_fault_error(fault, failing_seconds)
            return
        self._plan(now, self.policy.fault_interval(self.faults, rng))

    def _plan(self, now: float, pause: float) -> None:
        """Plan the next poll; the last one early enough to end before the deadline, and none beyond it."""
        last = self.deadline - self.policy.last_poll_seconds
        if now + pause > last and last - now < self.policy.last_poll_seconds / 2:
            self.outcome = self.to_timeout_error(now)
            return
        self.next_poll = min(now + pause, last)

    # -- the errors that it ends in ----------------------------------------------------------------------------------

    def to_timeout_error(self, now: float) -> WaitError:
        """Return what a wait ends in whose deadline has passed."""
        reason = f"it did not end within {to_duration_text(self.waited(now))} ({self._last_seen})"
        return self._to_error(reason, f"{WaitError.remedy}; custom_timeouts sets how long to wait")

    def to_interrupted_error(self, why: str, now: float) -> WaitError:
        """Return what a wait ends in that was cancelled."""
        return self._to_error(f"{why} after {to_duration_text(self.waited(now))} ({self._last_seen})")

    def _to_fault_error(self, fault: TransientError, failing_seconds: float) -> WaitError:
        return self._to_error(
            f"every look has failed for {to_duration_text(failing_seconds)}, "
            f"the last because {fault.reason} ({self._last_seen})",
            f"{fault.remedy}; the conversion goes on in AWS",
        )

    def _to_error(self, reason: str, remedy: str | None = None) -> WaitError:
        return WaitError(Subject(WAIT_ACTION, self.task_id, self.region), reason, remedy, task=self.task)

    @property
    def _last_seen(self) -> str:
        task = self.task
        if task is None:
            return "it was not seen yet"
        status = task.status.value if task.status else "no status"
        return f"last seen {status}: {task.status_message}" if task.status_message else f"last seen {status}"


def to_wait_text(wait: Wait, now: float) -> str:
    """Return how a wait goes: `lct-… IN_PROGRESS for 3m20s, next look in 20s: <StatusMessage>`."""
    if wait.task and wait.task.status and wait.task.is_complete:
        took = wait.task.duration_seconds
        seconds = wait.waited(now) if took is None else took
        return f"{wait.task_id} {wait.task.status.value} after {to_duration_text(seconds)}"
    status = wait.task.status.value if wait.task and wait.task.status else "not seen yet"
    following = (
        "looking now" if wait.dispatched else f"next look in {to_duration_text(max(1, round(wait.next_poll - now)))}"
    )
    text = f"{wait.task_id} {status} for {to_duration_text(wait.waited(now))}, {following}"
    if wait.fault is not None:
        since = "" if wait.failing_since is None else f" (for {to_duration_text(now - wait.failing_since)})"
        return f"{text}; the last look failed{since}: {wait.fault.reason}"
    message = wait.task.status_message if wait.task else None
    return f"{text}: {to_one_line(message)}" if message else text
