"""The state of the emulated License Manager, one backend for each account and region, and its three calls."""

from __future__ import annotations

import time
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

from moto.core.base_backend import BackendDict, BaseBackend
from moto.moto_api._internal import mock_random

from .exceptions import InvalidParameterValueException, ValidationException
from .faults import Faults
from .instances import follow, get_convertible, get_instance, get_usage_operation, set_license
from .listing import make_token, read_filters, read_token
from .task import FAILED, IN_PROGRESS, SUCCEEDED, ConversionTask, Course, LicenseContext
from .validation import quote, value_problem

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable
    from datetime import datetime


class LicenseManagerBackend(BaseBackend):
    """The license conversion tasks of one account and region. Safe to use from several threads.

    A test reaches it as `licensemanager_backends[account_id][region]`, and sets what it needs before it adds tasks.
    moto's reset, and so the beginning and the end of `mock_aws`, puts everything back.
    """

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.clock: Callable[[], float] = time.time
        """Returns the time now, in seconds since the epoch."""
        self.page_size = 50
        """At most this many tasks are in one answer of ListLicenseConversionTasks, whatever MaxResults says."""
        self.conversion_seconds = 10.0
        """How long a task made by CreateLicenseConversionTaskForResource is IN_PROGRESS."""
        self.conversion_status = SUCCEEDED
        """How such a task ends: SUCCEEDED, FAILED, or IN_PROGRESS for never."""
        self.conversion_message: str | None = None
        """The StatusMessage of such a task from its end on."""
        self.strict = False
        """Whether only instances that moto's EC2 has can be converted, as in AWS."""
        self.failing: dict[str, str] = {}
        """The ids of instances whose conversion ends FAILED, and the StatusMessage of each."""
        self.without_ssm_agent: set[str] = set()
        """The ids of the instances of this account and region that Systems Manager does not manage."""
        self.tasks: dict[str, ConversionTask] = {}
        """All tasks by their id, oldest first."""
        self.faults = Faults(lambda: self.clock())  # noqa: PLW0108 -- a test may set another clock
        """What goes wrong with calls: nothing, until a test adds faults or a rate limit."""
        self._lock = RLock()

    def add_task(
        self,
        *,
        task_id: str | None = None,
        resource_arn: str | None = None,
        source: LicenseContext | str,
        destination: LicenseContext | str,
        seconds: float | None = None,
        polls: int | None = None,
        status: str = SUCCEEDED,
        message: str | None = None,
        started: datetime | None = None,
    ) -> ConversionTask:
        """Add a task as if a client had started it, and return it.

        Args:
            task_id: `lct-` and up to 46 letters and digits; None makes one.
            resource_arn: what is converted; it need not exist. None makes up an instance.
            source: the license type converted from; a plain string is a usage operation.
            destination: the license type converted to, likewise.
            seconds: the task is IN_PROGRESS for this long, from now on the backend's clock.
            polls: the task is IN_PROGRESS until this poll of it: with 3, the third sees the end. Each Get of the task
                is a poll, and so is each List (all its pages together are one).
            status: how it ends. IN_PROGRESS never ends by itself, and takes neither seconds nor polls. A word that AWS
                does not have is possible, to see what a client makes of it.
            message: the StatusMessage, from the end on; at once for a task that stays IN_PROGRESS.
            started: the StartTime, aware; None is now. The end does not depend on it.

        With neither seconds nor polls the task has ended, unless moto's state manager was told otherwise.

        Raises:
            ValueError: the id is malformed or taken, or seconds, polls and status contradict each other.

        """
        course = Course(status=status, message=message, seconds=seconds, polls=polls)
        return self._add(
            task_id,
            course,
            resource_arn=resource_arn or self.make_arn(f"i-{mock_random.get_random_hex(17)}"),
            source=_to_context(source),
            destination=_to_context(destination),
            started=started,
        )

    def make_arn(self, instance_id: str) -> str:
        """Return the ARN of an instance in this account and region."""
        return f"arn:{self.partition}:ec2:{self.region_name}:{self.account_id}:instance/{instance_id}"

    def in_region(self, region: str) -> LicenseManagerBackend:
        """Return the backend of another region of this account."""
        return licensemanager_backends[self.account_id][region]

    def set_license(self, instance_id: str, context: LicenseContext | str) -> None:
        """Make DescribeInstances show that an instance is billed like this; a plain string is a usage operation.

        moto shows no usage operation of an instance before that, where AWS always shows one.

        Raises:
            KeyError: moto has no such instance in this account and region.

        """
        instance = get_instance(self.make_arn(instance_id))
        if instance is None:
            raise KeyError(instance_id)
        set_license(instance, _to_context(context), None)

    def finish_task(self, task_id: str, status: str = SUCCEEDED, message: str | None = None) -> None:
        """End a task now, whatever it was to do.

        Raises:
            KeyError: there is no such task in this account and region.

        """
        self.tasks[task_id].finish(status, message)

    @property
    def calls(self) -> Counter[str]:
        """How often each operation was called, by its name in AWS, refused calls included."""
        return self.faults.calls

    @property
    def refused(self) -> Counter[str]:
        """How often the rate limit refused each operation."""
        return self.faults.refused

    def get_license_conversion_task(self, task_id: str) -> dict[str, Any]:
        """Look at one task, and return its members in AWS's words.

        Raises:
            InvalidParameterValueException: no such task in this account and region; AWS has no other error for it.

        """
        with self._lock:
            task = self.tasks.get(task_id)
            if task is None:
                raise InvalidParameterValueException(f"The license conversion task {task_id} was not found.")
            task.advance()
            return task.to_wire()

    def list_license_conversion_tasks(
        self, *, filters: list[dict[str, Any]], next_token: str | None, max_results: int | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Look at all tasks, and return one page of those that pass the filters, oldest first, and the next token.

        Raises:
            InvalidParameterValueException: a filter, the token or the page's size is not valid.

        """
        wanted = read_filters(filters)
        if max_results is not None and max_results < 1:
            raise InvalidParameterValueException(f"MaxResults: {max_results} is less than 1")
        size = min(max_results or self.page_size, self.page_size)
        with self._lock:
            tasks = list(self.tasks.values())
            first = 0 if next_token is None else read_token(next_token, wanted, len(tasks))
            page: list[dict[str, Any]] = []
            if next_token is None:
                for task in tasks:
                    task.advance()
            for position, task in enumerate(tasks[first:], first):
                members = task.to_wire()
                if all(members[name] in values for name, values in wanted.items()):
                    if len(page) == size:
                        return page, make_token(position, wanted)
                    page.append(members)
        return page, None

    def create_license_conversion_task_for_resource(
        self, *, resource_arn: str, source: dict[str, Any], destination: dict[str, Any]
    ) -> ConversionTask:
        """Start a conversion, and return its task. When it succeeds, an instance that moto has is changed as well.

        DescribeInstances shows the new usage operation from the task's end on.

        Raises:
            ValidationException: the resource is being converted already.
            InvalidParameterValueException: moto has the instance, and it cannot be converted: it is not stopped or has
                stop protection, it is in another account or region, `source` is not what it is billed as, or AWS's
                guide does not list the conversion. Or moto does not have it, and the backend is strict.

        """
        failure = self.failing.get(resource_arn.rpartition("/")[2])
        status = self.conversion_status if failure is None else FAILED
        course = Course(
            status=status,
            message=failure or self.conversion_message,
            seconds=None if status == IN_PROGRESS else self.conversion_seconds,
        )
        old, new = LicenseContext.from_wire(source), LicenseContext.from_wire(destination)
        on_success = None
        with self._lock:
            for task in self.tasks.values():
                if task.resource_arn == resource_arn and task.status == IN_PROGRESS:
                    raise ValidationException(f"{resource_arn} is being converted by {task.task_id}.")
            instance = get_convertible(
                resource_arn, old, new, account_id=self.account_id, region=self.region_name, strict=self.strict
            )
            if instance is not None:
                if get_usage_operation(instance) is None:
                    set_license(instance, old, None)
                on_success = partial(set_license, instance, new)
            task = self._add(
                None, course, resource_arn=resource_arn, source=old, destination=new, on_success=on_success
            )
            if instance is not None:
                follow(instance, task)
            return task

    def _add(
        self,
        task_id: str | None,
        course: Course,
        *,
        resource_arn: str,
        source: LicenseContext,
        destination: LicenseContext,
        started: datetime | None = None,
        on_success: Callable[[datetime], None] | None = None,
    ) -> ConversionTask:
        task_id = task_id or f"lct-{mock_random.get_random_hex(17)}"
        problem = value_problem("LicenseConversionTaskId", task_id)
        if problem:
            raise ValueError(problem)
        with self._lock:
            if task_id in self.tasks:
                raise ValueError(f"{quote(task_id)} exists already")
            self.tasks[task_id] = ConversionTask(
                task_id=task_id,
                resource_arn=resource_arn,
                source=source,
                destination=destination,
                course=course,
                started=started,
                clock=self.clock,
                lock=self._lock,
                on_success=on_success,
            )
            return self.tasks[task_id]


def _to_context(context: LicenseContext | str) -> LicenseContext:
    return LicenseContext(usage_operation=context) if isinstance(context, str) else context


licensemanager_backends = BackendDict(LicenseManagerBackend, "license-manager")
