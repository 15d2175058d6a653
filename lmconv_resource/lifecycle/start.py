"""Starting a conversion once: what the tasks that a resource already has mean for a new one.

AWS's call to start a conversion takes no client token, so a second call would start a second conversion. What keeps it
from happening is this rule, asked before the call, and again when an answer to it never arrived:

| what AWS shows of the resource                                 | then                                        |
|----------------------------------------------------------------|---------------------------------------------|
| its newest task is IN_PROGRESS with the same contexts          | adopt it                                    |
| its newest task is IN_PROGRESS with other contexts             | an error that names that task               |
| EC2 bills it as the destination                                | done: adopt the newest task that led there  |
| EC2 bills it as the destination, and no task led there         | done: the id is the resource's ARN          |
| the newest task that SUCCEEDED has the same contexts           | adopt it: the work is done                  |
| the same, and EC2 bills it otherwise                           | adopt it, with a warning                    |
| the same, and EC2 bills it otherwise, with correct_drift       | start, from what EC2 bills it as            |
| an earlier task did it, and later ones led on from there       | adopt it: the work is done                  |
| an earlier task did it, and a later one led back               | start                                       |
| the last three tasks to the destination FAILED within 24 hours | an error with their reasons                 |
| the same, with retry_failed                                    | start                                       |
| the newest task FAILED, with any contexts                      | start, after saying why it failed           |
| the newest task SUCCEEDED with other contexts                  | start                                       |
| there is none                                                  | start                                       |

The same contexts are the destination, and the source where the program declares one: left out, it is what EC2
bills the instance as. Product codes count where the program names some. A later `up` compares its program with the
record: a success of the same resource to the same destination is no change, whatever the source reads as by then.

Within one process there is one start at a time for each resource, so that two declarations of the same conversion are
one conversion.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmconv_resource.errors import (
    CREATE_ACTION,
    AccessDeniedError,
    ExpiredCredentialsError,
    LicenseConversionError,
    ServiceFaultError,
    ThrottledError,
    TransientError,
)
from lmconv_resource.lifecycle.decision import StartResult, adopt, adopt_done, check_failures, resolve
from lmconv_resource.lifecycle.operation import Aws, Operation
from lmconv_resource.lifecycle.place import find_other_account
from lmconv_resource.lifecycle.starts import other_conversion
from lmconv_resource.models import (
    ConversionRequest,
    ConversionTask,
    LicenseContext,
    TaskStatus,
    select_newest,
)
from lmconv_resource.text import to_failure_reason

if TYPE_CHECKING:
    from lmconv_resource.aws.ec2 import Instance

log = logging.getLogger(__name__)

Prepare = Callable[["ConversionRequest", "Instance | None"], None]
"""Called right before a conversion is started, with its source known and the instance as EC2 shows it."""


@dataclass(frozen=True)
class StartTerms:
    """What else a program says of a start.

    Args:
        prepare: what precedes a start; an error of it is the start's.
        must_know_instance: whether EC2 has to be asked first, whatever is declared.
        correct_drift: whether EC2's word counts for more than the history of tasks.
        retry_failed: whether one is started after three that FAILED.
    """

    prepare: Prepare = lambda _request, _instance: None
    must_know_instance: bool = False
    correct_drift: bool = False
    retry_failed: bool = False

    def needs_instance(self, request: ConversionRequest) -> bool:
        """Return whether nothing can be started without EC2's word."""
        return self.must_know_instance or request.source.is_empty


def start_or_adopt(op: Operation, aws: Aws, request: ConversionRequest, terms: StartTerms | None = None) -> StartResult:
    """Start the conversion exactly once, or adopt what does or has already done it (see the table above).

    Args:
        op: the operation; told what the user should see.
        aws: where to start it.
        request: what to convert.
        terms: what else the program says of the start; by default nothing.

    Raises:
        OtherConversionError: another conversion of the resource is in progress.
        LicenseConversionError: cancelled, the instance is not ready, AWS refused, or could not be asked.
    """
    starts, terms = op.host.starts, terms or StartTerms()
    with starts.one_at_a_time(request.resource_arn, op.cancellation):
        tasks = aws.license_manager.list_tasks(resource_arn=request.resource_arn)
        hidden = starts.find_hidden(request, aws.region, tasks)
        if hidden is not None:
            return adopt(op, hidden, "is already doing it")
        newest = select_newest(tasks)
        running = select_running(request, newest)
        if running is not None:
            return adopt(op, running.task_id, "is already doing it")
        _check_account(op, aws, request)  # before EC2: who is in another account is shown no instance
        instance = _get_instance(op, aws, request, is_needed=terms.needs_instance(request))
        present = instance.license_context if instance else LicenseContext()
        done = adopt_done(op, aws, request, tasks, present, correct_drift=terms.correct_drift)
        if done is not None:
            return done
        resolved = resolve(op, aws, request, present, corrects=terms.correct_drift)
        check_failures(op, aws, request, tasks, retry_failed=terms.retry_failed)
        if newest is not None and newest.status is TaskStatus.FAILED:
            why = to_failure_reason(newest.status_message).rstrip(".")
            op.log(f"The last conversion, {newest.task_id}, FAILED: {why}. A new one is started.")
        terms.prepare(resolved, instance)
        result = _start_once(op, aws, resolved, frozenset(task.task_id for task in tasks))
        starts.remember(request, result.task_id)
        return result


def _check_account(op: Operation, aws: Aws, request: ConversionRequest) -> None:
    """Raise a SettingsError where the credentials belong to another account than the instance.

    Raises:
        LicenseConversionError: STS refused to say it, or had a fault of its own: nothing is started on a guess.
    """
    try:
        other = find_other_account(aws, request.resource_arn)
    except (ThrottledError, ServiceFaultError, ExpiredCredentialsError, AccessDeniedError) as error:
        raise error.about(action=CREATE_ACTION, resource_arn=request.resource_arn) from error.__cause__
    except LicenseConversionError as error:
        # A closed network has no way to STS, and one's own License Manager no STS that knows its keys.
        op.log(f"Whose account the credentials belong to was not checked: {error.reason}.")
        return
    if other is not None:
        raise other


def select_running(request: ConversionRequest, newest: ConversionTask | None) -> ConversionTask | None:
    """Return the task in progress that does what is asked for; None where none is in progress.

    Raises:
        OtherConversionError: another conversion of the resource is in progress.
    """
    if newest is None or newest.is_complete:
        return None
    if request.matches(newest):
        return newest
    raise other_conversion(request, newest.task_id, newest.region)


def _get_instance(op: Operation, aws: Aws, request: ConversionRequest, *, is_needed: bool) -> Instance | None:
    """Return what EC2 shows of the instance; None where it can't be asked and need not."""
    try:
        return aws.ec2.get_instance(request.resource_arn)
    except LicenseConversionError as error:
        if is_needed:
            if request.source.is_empty:
                error.adding("or give source_license_context")
            raise
        log.info("what the instance is billed as is not known: %s", error)
        return None


def _start_once(op: Operation, aws: Aws, request: ConversionRequest, known_ids: frozenset[str]) -> StartResult:
    """Call until an answer arrives. A call whose answer was lost may have started a task: look for that one first."""
    from lmconv_resource.aws.calls import backoff_seconds

    rng = op.host.runtime.rng
    pause_seconds = op.host.start_policy.backoff_seconds or (lambda attempt: backoff_seconds(attempt, rng))
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
            select_running(request, newest)  # an error where somebody else's is in progress
            if request.matches(newest):
                return StartResult(newest.task_id, adopted=False)
        if op.cancellation.is_set:
            break
    return None
