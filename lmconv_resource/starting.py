"""Starting a conversion once: what the tasks that a resource already has mean for a new one.

AWS's call to start a conversion takes no client token, so a second call would start a second conversion. What keeps it
from happening is this rule, asked before the call, and again when an answer to it never arrived:

| the resource's newest task        | with            | then                                                      |
|-----------------------------------|-----------------|-----------------------------------------------------------|
| IN_PROGRESS                       | the same contexts | adopt it                                                |
| SUCCEEDED                         | the same contexts | adopt it: the work is done                              |
| IN_PROGRESS                       | other contexts  | an error that names that task                             |
| FAILED, none, or SUCCEEDED        | other contexts (or FAILED with any) | start                                 |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone

from lmconv_resource.errors import OtherConversionError
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus

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
