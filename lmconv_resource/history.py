"""What the conversions that a resource has had, and EC2's word on it, say of one that a program declares."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from lmconv_resource.models import (
    ConversionRequest,
    ConversionTask,
    LicenseContext,
    TaskStatus,
    select_newest,
    sort_newest_first,
)
from lmconv_resource.usage_operations import describe_license

MOST_FAILURES = 3
"""So many FAILED tasks in a row to the same destination are not followed by another one unattended."""

FAILURES_WITHIN = timedelta(hours=24)


class Done(NamedTuple):
    """What has done what is declared."""

    task: ConversionTask | None
    """None where EC2 bills the resource so and AWS shows no task that led there."""
    continued_by: ConversionTask | None = None
    """The last task that continued from its destination, if any did."""

    def to_text(self, present: LicenseContext) -> str:
        """Return it in a line."""
        if self.task is None:
            return f"EC2 bills it as {describe_license(present)}"
        if self.continued_by is None:
            return f"{self.task.task_id} has converted it"
        to = describe_license(self.continued_by.destination_license_context)
        return f"{self.task.task_id} has converted it, and {self.continued_by.task_id} then converted it on to {to}"


def find_done(
    request: ConversionRequest, tasks: Iterable[ConversionTask], present: LicenseContext, *, corrects_drift: bool
) -> Done | None:
    """Return what has done it: by EC2's word, or unless drift from that is corrected by the resource's tasks.

    A task counts while every later task started from where the one before it had led, and none has led back to where it
    started. So two steps in one program (A to B, B to C) stay done, and what was converted back does not. `present` is
    what EC2 shows the resource as, an empty context where it is not known.
    """
    if request.is_done(present):
        return Done(newest_task_to(request.destination, tasks))
    if corrects_drift and not present.is_empty:
        return None
    later: list[ConversionTask] = []
    for task in sort_newest_first(tasks):
        if task.status is TaskStatus.SUCCEEDED and request.matches(task) and _is_chain(task, later):
            led_on = [each for each in later if each.status is TaskStatus.SUCCEEDED]
            if not led_on:
                return Done(task)
            now = led_on[-1].destination_license_context if present.is_empty else present
            if not task.source_license_context.is_satisfied_by(now):
                return Done(task, led_on[-1])
        later.insert(0, task)
    return None


def _is_chain(task: ConversionTask, later: Iterable[ConversionTask]) -> bool:
    """Return whether each later task started from what the ones before it had led to."""
    license_then = task.destination_license_context
    for each in later:
        source = each.source_license_context
        if not (source.is_empty or license_then.is_empty or source.is_satisfied_by(license_then)):
            return False
        if each.status is TaskStatus.SUCCEEDED:
            license_then = each.destination_license_context
    return True


def newest_task_to(destination: LicenseContext, tasks: Iterable[ConversionTask]) -> ConversionTask | None:
    """Return the newest task that has led to this license, None where there is none."""
    return select_newest(
        task
        for task in tasks
        if task.status is TaskStatus.SUCCEEDED and destination.is_satisfied_by(task.destination_license_context)
    )


def repeated_failures(
    destination: LicenseContext, tasks: Iterable[ConversionTask], now: datetime
) -> tuple[ConversionTask, ...]:
    """Return the last three tasks to this license, newest first, if they all FAILED within 24 hours; else none."""
    last = [task for task in sort_newest_first(tasks) if destination.is_satisfied_by(task.destination_license_context)]
    last = last[:MOST_FAILURES]
    recent = [
        task
        for task in last
        if task.status is TaskStatus.FAILED and task.start_time and now - task.start_time <= FAILURES_WITHIN
    ]
    return tuple(recent) if len(recent) == MOST_FAILURES else ()
