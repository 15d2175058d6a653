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
from dataclasses import dataclass

from lmconv_resource.errors import (
    CREATE_ACTION,
    LicenseConversionError,
    Subject,
    ThrottledError,
    TransientError,
)
from lmconv_resource.lifecycle.operation import Aws, Operation
from lmconv_resource.lifecycle.starts import other_conversion
from lmconv_resource.models import ConversionRequest, ConversionTask, TaskStatus, select_newest
from lmconv_resource.text import to_failure_reason

log = logging.getLogger(__name__)


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
        hidden = starts.find_hidden(request, tasks)
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
    raise other_conversion(request, newest.task_id, newest.region)


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
        if op.cancellation.is_set:  # whoever runs `up` again must be the only one who starts anything
            raise _cancelled(aws, request)
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


def _cancelled(aws: Aws, request: ConversionRequest) -> LicenseConversionError:
    return LicenseConversionError(
        Subject(CREATE_ACTION, None, aws.region, request.resource_arn),
        "it was told to stop",
        "The next `pulumi up` looks for what was started, and goes on from there",
    )


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
