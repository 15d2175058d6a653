"""Starting a conversion once: what the tasks that a resource already has mean for a new one.

AWS's call to start a conversion takes no client token, so a second call would start a second conversion. What keeps it
from happening is this rule, asked before the call, and again when an answer to it never arrived:

| the resource's newest task           | then                                |
|--------------------------------------|-------------------------------------|
| IN_PROGRESS with the same contexts   | adopt it                            |
| SUCCEEDED with the same contexts     | adopt it: the work is done          |
| IN_PROGRESS with other contexts      | an error that names that task       |
| SUCCEEDED with other contexts        | start                               |
| FAILED, with any contexts            | start, after saying why it failed   |
| there is none                        | start                               |

Within one process there is one start at a time for each resource, so that two declarations of the same conversion are
one conversion.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lmconv_resource.errors import (
    CREATE_ACTION,
    LicenseConversionError,
    OtherConversionError,
    Subject,
    ThrottledError,
    TransientError,
)
from lmconv_resource.lifecycle.operation import Aws, Operation
from lmconv_resource.models import ConversionRequest, ConversionTask, TaskStatus, select_newest
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.text import to_failure_reason

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartPolicy:
    """How patient a start is."""

    settling_seconds: float = 1.0
    """What a task that was just started is given to show itself in a list, at first; doubled for each further list."""

    settling_lists: int = 3
    """How often it is looked for. With the pauses before them that is 7 s, when a read timeout has passed already."""

    new_task_seconds: float = 1.0
    """The first pause when AWS does not know a task yet that it has just started; doubled for each further check."""

    new_task_checks: int = 5
    """How often a new task may be unknown to AWS."""

    backoff_seconds: Callable[[int], float] | None = None
    """The pause after so many failed tries; by default that of all other calls."""


class Starts:
    """The conversions that this process has begun. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._urns: set[str] = set()
        self._locks: dict[str, threading.Lock] = {}
        self._last: dict[str, tuple[ConversionRequest, str]] = {}

    def add_urn(self, urn: str | None) -> None:
        """Remember that the resource's conversion has been begun here."""
        if urn:
            with self._lock:
                self._urns.add(urn)

    def has_urn(self, urn: str | None) -> bool:
        """Return whether the resource's conversion has been begun here, so that what is deleted of it was replaced."""
        return urn in self._urns

    @contextmanager
    def one_at_a_time(self, resource_arn: str, cancellation: Cancellation) -> Iterator[None]:
        """Return a context in which nobody else of this process starts a conversion of the resource."""
        with self._lock:
            lock = self._locks.setdefault(resource_arn, threading.Lock())
        while not lock.acquire(timeout=0.2):
            if cancellation.is_set:
                break
        else:
            try:
                yield
            finally:
                lock.release()
            return
        yield  # cancelled, and no task is created any more

    def remember(self, request: ConversionRequest, task_id: str) -> None:
        """Remember the task that was started last for a resource."""
        with self._lock:
            self._last[request.resource_arn] = (request, task_id)

    def find_hidden(self, request: ConversionRequest, region: str, listed: list[ConversionTask]) -> str | None:
        """Return the id of a task that was started here and that AWS does not list yet, None if there is none.

        Raises:
            OtherConversionError: it converts the resource to something else.
        """
        started, task_id = self._last.get(request.resource_arn, (None, ""))
        if started is None or task_id in {task.task_id for task in listed}:
            return None
        if not (started.source.is_same(request.source) and started.destination.is_same(request.destination)):
            raise _other_conversion(request, task_id, region)
        return task_id


@dataclass(frozen=True)
class StartResult:
    """The task that a declared conversion follows, and whether it was there already."""

    task_id: str
    adopted: bool


def start_or_adopt(op: Operation, aws: Aws, request: ConversionRequest, *, preflight: bool = False) -> StartResult:
    """Start the conversion exactly once, or adopt the task that does it already (see the table above).

    Args:
        op: the operation; told what the user should see.
        aws: where to start it.
        request: what to convert.
        preflight: check the instance with EC2 before anything is started.

    Raises:
        OtherConversionError: another conversion of the resource is in progress.
        LicenseConversionError: cancelled, the instance is not ready, AWS refused, or could not be asked.
    """
    starts = op.host.starts
    with starts.one_at_a_time(request.resource_arn, op.cancellation):
        tasks = aws.license_manager.list_tasks(resource_arn=request.resource_arn)
        hidden = starts.find_hidden(request, aws.region, tasks)
        if hidden is not None:
            return _adopt(op, hidden, is_complete=False)
        newest = select_newest(tasks)
        adopted = select_adoptable(request, newest)
        if adopted is not None:
            return _adopt(op, adopted.task_id, is_complete=adopted.is_complete)
        if newest is not None and newest.status is TaskStatus.FAILED:
            why = to_failure_reason(newest.status_message).rstrip(".")
            op.log(f"The last conversion, {newest.task_id}, FAILED: {why}. A new one is started.")
        if preflight:
            aws.ec2.check_ready(request)
        result = _start_once(op, aws, request, frozenset(task.task_id for task in tasks))
        starts.remember(request, result.task_id)
        return result


def select_adoptable(request: ConversionRequest, newest: ConversionTask | None) -> ConversionTask | None:
    """Return the task that does what is asked for already; None where one has to be started.

    Raises:
        OtherConversionError: another conversion of the resource is in progress.
    """
    if newest is None or newest.status is TaskStatus.FAILED:
        return None
    if request.matches(newest):
        return newest
    if newest.status is TaskStatus.SUCCEEDED:
        return None
    raise _other_conversion(request, newest.task_id, newest.region)


def _other_conversion(request: ConversionRequest, task_id: str, region: str | None) -> OtherConversionError:
    return OtherConversionError(
        Subject(CREATE_ACTION, task_id, region, request.resource_arn),
        f"license conversion task {task_id} is in progress and converts it otherwise",
    )


def _adopt(op: Operation, task_id: str, *, is_complete: bool) -> StartResult:
    done = "has done it already" if is_complete else "is doing it already"
    op.log(f"{task_id} {done} and is adopted; no conversion is started.")
    return StartResult(task_id, adopted=True)


def _start_once(op: Operation, aws: Aws, request: ConversionRequest, known_ids: frozenset[str]) -> StartResult:
    """Call until an answer arrives. A call whose answer was lost may have started a task: look for that one first."""
    from lmconv_resource.aws.calls import backoff_seconds

    pause_seconds = op.host.start_policy.backoff_seconds or backoff_seconds
    tries = aws.settings.max_retries + 1
    unanswered = False
    for attempt in range(1, tries + 1):
        is_last = attempt == tries
        error: LicenseConversionError
        try:
            return StartResult(aws.license_manager.create_task(request), adopted=False)
        except ThrottledError as throttled:  # this call has started nothing
            error = throttled
        except TransientError as lost:  # this call may have started a task
            log.info("checking whether a task was started: %s", lost)
            error, unanswered = lost, True
        except LicenseConversionError as refusal:  # final, but it can come from the very task of an unanswered call
            error, is_last = refusal, True
        if not is_last:
            op.cancellation.wait(pause_seconds(attempt))
        if unanswered:
            started = _find_started(op, aws, request, known_ids)  # where this fails, nothing more is started
            if started is not None:
                return started
        if is_last:
            raise error
    raise AssertionError("the last try returns or raises")


def _find_started(op: Operation, aws: Aws, request: ConversionRequest, known_ids: frozenset[str]) -> StartResult | None:
    """Return the task that an earlier call has started; None if none has shown itself."""
    policy = op.host.start_policy
    for number in range(policy.settling_lists):
        op.cancellation.wait(policy.settling_seconds * 2**number)
        tasks = aws.license_manager.list_tasks(resource_arn=request.resource_arn)
        # By id and not by StartTime: AWS's clock may show the new task as no later than the old ones.
        newest = select_newest(task for task in tasks if task.task_id not in known_ids)
        if newest is not None:
            select_adoptable(request, newest)  # an error where somebody else's is in progress
            if request.matches(newest):
                return StartResult(newest.task_id, adopted=False)
        if op.cancellation.is_set:
            break
    return None
