"""One wait: what is known of its task, when it is polled next, how it ends, and the line that says so.

Nothing here waits, polls or locks: `dispatcher.Dispatcher` does, and records here what it saw.
"""

import copy
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from lmconv_resource import errors
from lmconv_resource.errors import LicenseConversionError, Subject, WaitError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.text import to_duration_text, to_one_line, written

_CONTINUES = f"the{WaitError.remedy.removeprefix('The')}"


@dataclass(eq=False)
class Wait:
    """One task being waited for, by seconds from a fixed point. `changed` has the waiting thread read this again."""

    task_id: str
    region: str
    started: float
    deadline: float
    poll_interval_seconds: float | None = None
    policy: PollingPolicy = field(default=PollingPolicy(), repr=False)
    next_poll: float = 0.0
    interval: float = 0.0
    """The longest pause that the policy allowed before the next poll; 0 where something else set the pause."""
    limit_seconds: float | None = None
    """The time that is set for the operation that waits, which its error names; None where none is."""
    is_known: bool = True
    """Whether the task was started here or seen before; else its id is only what a program gives."""
    task: ConversionTask | None = None
    fault: LicenseConversionError | None = None
    faults: int = 0
    failing_since: float | None = None
    asked_since: float | None = None
    """When the first poll began."""
    is_answered: bool = False
    """Whether AWS has answered, by the task's status or by throttling."""
    late_limit: float = float("-inf")
    """Until when the one poll may last that makes up for those which the machine slept through."""
    dispatched: bool = False
    """A poll is due and queued, or under way."""
    in_flight: bool = False
    """A call is under way that may tell how the task is."""
    outcome: ConversionTask | BaseException | None = None
    changed: threading.Event = field(default_factory=threading.Event)
    noticed: set[str] = field(default_factory=set)
    """What the user has been told of already."""

    @property
    def wants_poll(self) -> bool:
        """Whether it goes on and no poll of it is dispatched."""
        return self.outcome is None and not self.dispatched

    @property
    def limit(self) -> float:
        """When it ends if no further poll sees the task.

        That is at its deadline or when the poll then under way must be over, and sooner where AWS was never reached.
        """
        limit = max(self.late_limit, self.deadline + (self.policy.request_grace_seconds if self.in_flight else 0))
        if self.fault is not None and self.failing_since is not None and not self.is_answered:
            return min(limit, self.failing_since + self._fault_budget)
        return limit

    @property
    def _last_poll(self) -> float:
        return self.deadline - self.policy.last_poll_seconds

    @property
    def is_poll_owed(self) -> bool:
        """Whether a poll that was planned in time has not been dispatched; past the deadline only after a sleep."""
        return self.wants_poll and self.next_poll <= self._last_poll

    @property
    def status_key(self) -> tuple[object, ...]:
        """What is reported again when it changes; of None before anything is known."""
        task = self.task
        return (task and task.status_text, task and task.status_message, self.fault and self.fault.reason)

    def is_near(self, now: float) -> bool:
        """Return whether it may be polled already, to share a list with others."""
        return self.next_poll - self.policy.batch_ahead * self.interval <= now

    def is_too_late(self, now: float) -> bool:
        """Return whether a poll begun now would end beyond the deadline. The first poll is never too late."""
        return self.task is not None and now > max(self._last_poll, self.late_limit)

    def on_dispatched(self, now: float) -> None:
        """Note that the poll that is due has been queued, and make up for a time that the machine slept."""
        if now > self._last_poll and self.is_poll_owed:
            self.late_limit = now + self.policy.request_grace_seconds
        late_seconds = now - self.next_poll
        if self.failing_since is not None and late_seconds > self.policy.oversleep_seconds:
            self.failing_since += late_seconds
        self.dispatched = True

    def on_poll(self, now: float) -> None:
        """Note that a call is under way that may tell how the task is."""
        self.dispatched = self.in_flight = True
        self.asked_since = now if self.asked_since is None else self.asked_since

    def stop_polling(self) -> None:
        """Plan no further poll: only the deadline is left."""
        self.dispatched = self.in_flight = False
        self.next_poll = self.deadline + self.policy.request_grace_seconds
        self.changed.set()

    def waited(self, now: float) -> float:
        """Return the seconds since the wait began."""
        return now - self.started

    def take_notices(self, now: float) -> Iterator[str]:
        """Yield what the user should know of the task, once each: its status is an unknown one, it takes long."""
        notices, task = {}, self.task
        if task and task.unknown_status:
            notices[task.unknown_status] = (
                f"{self.task_id} has the status {task.unknown_status!r}, which is not one of IN_PROGRESS, SUCCEEDED "
                "and FAILED: it may still be running, so the wait continues until the deadline. Upgrade "
                "lmconv-resource if there is a newer version."
            )
        if task and task.status is TaskStatus.IN_PROGRESS and self.waited(now) >= self.policy.long_seconds:
            notices["long"] = (
                f"{self.task_id} has been waited for {to_duration_text(self.policy.long_seconds)}, and most "
                "conversions take minutes. To see what it is doing, check the executions on its instance in Systems "
                "Manager Automation, and its entry in the License Manager console."
            )
        for key, text in notices.items():
            if key not in self.noticed:
                self.noticed.add(key)
                yield text

    def record(
        self, result: ConversionTask | BaseException, now: float, rng: random.Random, *, is_crowded: bool = False
    ) -> None:
        """Record what a poll returned or raised, and plan the next one or end the wait. An outcome stays."""
        self.dispatched = self.in_flight = False
        if self.outcome is not None:
            return
        if isinstance(result, ConversionTask):
            self._record_task(result, now, rng, is_crowded)
        elif isinstance(result, errors.ThrottledError):
            # The rate limiter slows all calls down; this wait only keeps its place in the queue.
            self.fault, self.is_answered = result, True
            self._plan(now, 0.0)
        elif isinstance(result, errors.ClockSkewError) and self.task is None:
            self.outcome = result
        elif isinstance(result, (errors.TransientError, errors.TaskNotFoundError)):
            self._record_fault(result, now, rng)
        else:
            self.outcome = self._to_final_error(result)

    def _record_task(self, task: ConversionTask, now: float, rng: random.Random, is_crowded: bool) -> None:
        self.task, self.fault, self.faults, self.failing_since, self.is_answered = task, None, 0, None, True
        if task.is_complete:
            self.outcome = task
        elif self.poll_interval_seconds is not None:
            self._plan(now, self.poll_interval_seconds)
        else:
            self.interval = self.policy.interval(self.waited(now), is_crowded=is_crowded)
            self._plan(now, self.policy.jittered(self.interval, rng))

    def _record_fault(self, fault: LicenseConversionError, now: float, rng: random.Random) -> None:
        self.fault = fault
        self.faults += 1
        if self.failing_since is None:
            # A first call that hangs has failed all the while.
            self.failing_since = now if self.is_answered or self.asked_since is None else self.asked_since
        end = self.failing_since + self._fault_budget
        if now >= end:
            self.outcome = self.to_fault_error(now)
            return
        # However long the pauses have grown, there is a last poll just before the end.
        last = end - self.policy.last_poll_seconds
        self._plan(now, min(self.policy.fault_interval(self.faults, rng), (last if now < last else end) - now))

    @property
    def _fault_budget(self) -> float:
        """For how long the present fault is carried, from `failing_since` on."""
        if self.task is None and isinstance(self.fault, errors.TaskNotFoundError):
            return self.policy.hidden_seconds if self.is_known else self.policy.given_id_seconds
        return self.policy.fault_budget_seconds if self.is_answered else self.policy.first_answer_seconds

    def _plan(self, now: float, pause: float) -> None:
        """Plan the next poll; the last one early enough to end before the deadline, and none beyond it."""
        last = self._last_poll
        if now + pause > last and last - now < self.policy.last_poll_seconds / 2:
            self.outcome = self.to_timeout_error(now)
        else:
            self.next_poll = min(now + pause, last)

    # -- the errors that it ends in ----------------------------------------------------------------------------------

    def _to_final_error(self, error: BaseException) -> BaseException:
        """Return an error that ends the wait, with the task that was seen last; others may have been told the same."""
        if not isinstance(error, LicenseConversionError) or not self.is_answered:
            return error
        final = copy.copy(error).with_traceback(error.__traceback__)
        final.__cause__ = error.__cause__
        final.task = self.task
        return final.adding(_CONTINUES) if isinstance(final, (errors.CredentialsError, errors.SettingsError)) else final

    def to_timeout_error(self, now: float) -> WaitError:
        """Return what a wait ends in whose deadline has passed."""
        limit = self.limit_seconds or self.waited(now)
        # The work before the wait may have taken all the time that there was.
        end = f"within {to_duration_text(limit)}" if limit >= 1.0 else "before the deadline"
        fault = f"; the last fault: {self.fault.reason}" if self.fault else ""
        reason = f"it did not end {end} ({self._last_seen}{fault})"
        return self._to_error(reason, f"{self._goes_on}; {written('custom_timeouts')} sets how long to wait")

    def to_interrupted_error(self, why: str, now: float) -> WaitError:
        """Return what a wait ends in that was cancelled."""
        reason = f"{why} after {to_duration_text(self.waited(now))} ({self._last_seen})"
        return self._to_error(reason, self._goes_on)

    def to_fault_error(self, now: float) -> LicenseConversionError:
        """Return what a wait ends in whose polls have failed for too long."""
        fault, since = self.fault, self.failing_since
        if fault is None or since is None:
            return self.to_timeout_error(now)
        if self.task is None and isinstance(fault, errors.TaskNotFoundError):
            return fault
        return self._to_error(
            f"every check has failed for {to_duration_text(now - since)}, "
            f"the last because {fault.reason} ({self._last_seen})",
            f"{fault.remedy}; the conversion continues in AWS" if self.task else fault.remedy,
        )

    def _to_error(self, reason: str, remedy: str) -> WaitError:
        return WaitError(Subject(errors.WAIT_ACTION, self.task_id, self.region), reason, remedy, task=self.task)

    @property
    def _goes_on(self) -> str:
        # Nothing is claimed of a task that was never seen.
        return WaitError.remedy if self.task else "Run `pulumi up` again to wait for it"

    @property
    def _last_seen(self) -> str:
        task = self.task
        if task is None:
            return "its status is not known yet"
        status = task.status_text or "no status"
        return f"last seen {status}: {task.status_message}" if task.status_message else f"last seen {status}"


_SHORT_QUEUE_SECONDS = 2.0
"""A poll that is queued for less is not worth a word on the row."""


def to_wait_text(wait: Wait, now: float) -> str:
    """Return how a wait goes: `3m20s IN_PROGRESS · <StatusMessage> · lct-…`, or `SUCCEEDED after 42m10s · lct-…`.

    What changes comes first, because a terminal cuts a row off at its end: one of 80 columns leaves 6 to 10 for it,
    one of 120 leaves 22. While something hinders the wait, that comes before all else.
    """
    task = wait.task
    if task and task.status and task.is_complete:
        took = task.duration_seconds
        seconds = wait.waited(now) if took is None else took
        return f"{task.status.value} after {to_duration_text(seconds)} · {wait.task_id}"
    parts = [f"{to_duration_text(wait.waited(now))} {(task and task.status_text) or 'not seen yet'}"]
    queued_seconds = now - wait.next_poll if wait.dispatched and not wait.in_flight else 0.0
    if wait.fault is not None:
        # Throttling is no failure whose time is counted.
        since = "" if wait.failing_since is None else f"failing {to_duration_text(now - wait.failing_since)}: "
        is_hidden = task is None and isinstance(wait.fault, errors.TaskNotFoundError)
        parts.insert(0, "AWS does not know it yet" if is_hidden else f"{since}{wait.fault.reason}")
    elif queued_seconds >= _SHORT_QUEUE_SECONDS:
        parts.insert(0, f"queued {to_duration_text(queued_seconds)}")
    elif task and task.status_message:
        parts.append(to_one_line(task.status_message))
    return " · ".join([*parts, wait.task_id])
