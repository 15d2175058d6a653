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
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from lmconv_resource.errors import OtherConversionError, ThrottledError, TransientError
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus

if TYPE_CHECKING:
    from lmconv_resource.connection import Connection

log = logging.getLogger(__name__)

_SETTLING_SECONDS = 1.0
"""What a task that was just started is given to show itself in the list."""

_NEVER = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Request:
    """A conversion that a program declares."""

    resource_arn: str
    source: LicenseContext
    destination: LicenseContext

    def is_same(self, task: ConversionTask) -> bool:
        """Tell whether a task converts from and to the same."""
        return task.source_license_context == self.source and task.destination_license_context == self.destination

    def is_reverse(self, other: Request) -> bool:
        """Tell whether this undoes another conversion of the same resource."""
        return (self.resource_arn, self.source, self.destination) == (
            other.resource_arn,
            other.destination,
            other.source,
        )


def find_newest(tasks: Iterable[ConversionTask]) -> ConversionTask | None:
    """Give the task that started last; one without a start time counts as the oldest."""
    return max(tasks, key=lambda task: (task.start_time or _NEVER, task.task_id), default=None)


def find_adopted(request: Request, newest: ConversionTask | None) -> ConversionTask | None:
    """Give the task that does what is asked for already; None where one has to be started.

    Raises:
        OtherConversionError: another conversion of the resource is in progress.
    """
    if newest is None or newest.status is TaskStatus.FAILED:
        return None
    if request.is_same(newest):
        return newest
    if newest.status is TaskStatus.SUCCEEDED:
        return None
    raise OtherConversionError(task=newest, resource_arn=request.resource_arn)


@dataclass(frozen=True)
class Beginning:
    """The task that a declared conversion follows, and whether it was there already."""

    task_id: str
    adopted: bool


def begin(
    connection: Connection,
    request: Request,
    *,
    say: Callable[[str, str], None],
    preflight: bool = False,
    stopped: threading.Event | None = None,
) -> Beginning:
    """Start the conversion exactly once, or adopt the task that does it already (see the table above).

    Args:
        connection: where to start it.
        request: what to convert.
        say: told a text and a severity that the user should see.
        preflight: check the instance with EC2 before anything is started.
        stopped: when set, nothing more is tried.

    Raises:
        OtherConversionError: another conversion of the resource is in progress.
        PreflightError: the instance is not ready.
        LicenseConversionError: AWS refused, or could not be asked.
    """
    from lmconv_resource.instances import check_ready
    from lmconv_resource.tasks import find_tasks

    stopped = stopped or threading.Event()
    newest = find_newest(find_tasks(connection, resource_arn=request.resource_arn, stopped=stopped))
    adopted = find_adopted(request, newest)
    if adopted is not None:
        return _adopt(adopted, say)
    if newest is not None and newest.status is TaskStatus.FAILED:
        why = " ".join((newest.status_message or "AWS gives no status message").split())
        say(f"The last conversion, {newest.task_id}, FAILED: {why}. A new one is started.", "INFO")
    if preflight:
        check_ready(connection, request, stopped)
    return _start(connection, request, newest, say, stopped)


def _start(
    connection: Connection,
    request: Request,
    before: ConversionTask | None,
    say: Callable[[str, str], None],
    stopped: threading.Event,
) -> Beginning:
    """Call until an answer arrives; after one that did not, look first whether the call has started a task."""
    from lmconv_resource.tasks import find_tasks, retrying, start_task

    def attempt() -> Beginning:
        try:
            return Beginning(start_task(connection, request, stopped), adopted=False)
        except ThrottledError:
            raise  # nothing was started: the next attempt is safe
        except TransientError as unanswered:
            log.info("looking whether a task was started: %s", unanswered)
            stopped.wait(_SETTLING_SECONDS)
            newest = find_newest(find_tasks(connection, resource_arn=request.resource_arn, stopped=stopped))
            if newest is not None and (before is None or newest.task_id != before.task_id):
                adopted = find_adopted(request, newest)
                if adopted is not None or (request.is_same(newest) and newest.status is TaskStatus.FAILED):
                    return Beginning(newest.task_id, adopted=False)  # it is the one that this call has started
            raise

    return retrying(connection, stopped)(attempt)


def _adopt(task: ConversionTask, say: Callable[[str, str], None]) -> Beginning:
    done = "has done it already" if task.is_complete else "is doing it already"
    say(f"{task.task_id} {done} and is adopted; no conversion is started.", "INFO")
    return Beginning(task.task_id, adopted=True)
