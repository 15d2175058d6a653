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

from lmconv_resource.errors import (
    LicenseConversionError,
    OtherConversionError,
    StartInterruptedError,
    ThrottledError,
    TransientError,
    to_failure_reason,
)
from lmconv_resource.models import ConversionTask, LicenseContext, TaskStatus

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection

log = logging.getLogger(__name__)

_SETTLING_SECONDS = 1.0
"""What a task that was just started is given to show itself, at first; doubled for each further look."""

_SETTLING_LOOKS = 3
"""How often it is looked for. With the pauses before them that is 7 s, when a read timeout has passed already."""

_NEVER = datetime.min.replace(tzinfo=timezone.utc)
_NOW = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Request:
    """A conversion that a program declares."""

    resource_arn: str
    source: LicenseContext
    destination: LicenseContext

    def is_same(self, task: ConversionTask) -> bool:
        """Tell whether a task converts from and to the same."""
        return is_same_context(task.source_license_context, self.source) and is_same_context(
            task.destination_license_context, self.destination
        )

    def is_reverse(self, other: Request) -> bool:
        """Tell whether this undoes another conversion of the same resource."""
        return (
            self.resource_arn == other.resource_arn
            and is_same_context(self.source, other.destination)
            and is_same_context(self.destination, other.source)
        )

    def is_idle(self) -> bool:
        """Tell whether both contexts are the same, so that there is nothing to convert."""
        return is_same_context(self.source, self.destination)


def is_same_context(one: LicenseContext | None, other: LicenseContext | None) -> bool:
    """Tell whether two contexts say the same; the order of product codes says nothing, nor does their one type."""
    return _to_key(one) == _to_key(other)


def _to_key(context: LicenseContext | None) -> object:
    if context is None:
        return None
    codes = {(code.product_code_id, code.product_code_type or "marketplace") for code in context.product_codes}
    return context.usage_operation, frozenset(codes)


def find_newest(tasks: Iterable[ConversionTask]) -> ConversionTask | None:
    """Give the task that started last.

    One in progress without a start time has just started, and one that ended without is the oldest. Of those with the
    same start time the one in progress is the newest, or else the one that ended last.
    """

    def rank(task: ConversionTask) -> tuple[datetime, bool, datetime, str]:
        start = task.start_time or (_NEVER if task.is_complete else _NOW)
        return start, not task.is_complete, task.end_time or _NEVER, task.task_id

    return max(tasks, key=rank, default=None)


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
        stopped: when set, nothing more is started.

    Raises:
        OtherConversionError: another conversion of the resource is in progress.
        StartInterruptedError: it was told to stop.
        PreflightError: the instance is not ready.
        LicenseConversionError: AWS refused, or could not be asked.
    """
    from lmconv_resource.aws.ec2 import check_ready
    from lmconv_resource.aws.license_manager import find_tasks

    stopped = stopped or threading.Event()
    tasks = find_tasks(connection, resource_arn=request.resource_arn, stopped=stopped)
    newest = find_newest(tasks)
    adopted = find_adopted(request, newest)
    if adopted is not None:
        return _adopt(adopted, say)
    if newest is not None and newest.status is TaskStatus.FAILED:
        why = to_failure_reason(newest.status_message).rstrip(".")
        say(f"The last conversion, {newest.task_id}, FAILED: {why}. A new one is started.", "INFO")
    if preflight:
        check_ready(connection, request, stopped)
    return _Start(connection, request, frozenset(task.task_id for task in tasks), stopped).run()


class _Start:
    """Calls until an answer arrives. After one that did not, it looks whether the call has started a task.

    No call is made while it is open whether an earlier one has started a task: the look comes first, and where it
    fails nothing is started.
    """

    def __init__(
        self, connection: Connection, request: Request, before: frozenset[str], stopped: threading.Event
    ) -> None:
        self._connection = connection
        self._request = request
        self._before = before
        self._stopped = stopped
        self._is_open = False
        """Whether any call has had no answer."""
        self._is_blind = False
        """Whether a look has failed, which has been patient enough itself."""

    def run(self) -> Beginning:
        """Give the task that was started.

        Raises:
            OtherConversionError: another conversion of the resource has been started meanwhile.
            LicenseConversionError: AWS refused, or could not be asked.
        """
        import tenacity

        from lmconv_resource.aws.license_manager import retrying

        retry = tenacity.retry_if_exception(lambda error: isinstance(error, TransientError) and not self._is_blind)
        try:
            return retrying(self._connection, self._stopped).copy(retry=retry)(self._try)
        except LicenseConversionError as error:
            if not self._is_open or self._is_blind or isinstance(error, OtherConversionError):
                raise
            # After the last call too. And a refusal can come from the very task that an open call has started.
            started = self._find_started()
            if started is None:
                raise
            return started

    def _try(self) -> Beginning:
        from lmconv_resource.aws.license_manager import start_task

        started = self._find_started() if self._is_open else None
        if started is not None:
            return started
        if self._stopped.is_set():
            # Whoever runs `up` again must be the only one who starts anything.
            raise StartInterruptedError(resource_arn=self._request.resource_arn, region=self._connection.region)
        try:
            return Beginning(start_task(self._connection, self._request, self._stopped), adopted=False)
        except ThrottledError:
            raise  # nothing was started
        except TransientError as unanswered:
            log.info("looking whether a task was started: %s", unanswered)
            self._is_open = True
            raise

    def _find_started(self) -> Beginning | None:
        """Give the task that an earlier call has started; None if none has shown itself."""
        from lmconv_resource.aws.license_manager import find_tasks

        for look in range(_SETTLING_LOOKS):
            self._stopped.wait(_SETTLING_SECONDS * 2**look)
            try:
                tasks = find_tasks(self._connection, resource_arn=self._request.resource_arn, stopped=self._stopped)
            except LicenseConversionError:
                self._is_blind = True
                raise
            # By id and not by StartTime: AWS's clock may show the new task as no later than the old ones.
            newest = find_newest(task for task in tasks if task.task_id not in self._before)
            if newest is not None:
                find_adopted(self._request, newest)  # an error where somebody else's is in progress
                if self._request.is_same(newest):
                    return Beginning(newest.task_id, adopted=False)
            if self._stopped.is_set():
                break
        return None


def _adopt(task: ConversionTask, say: Callable[[str, str], None]) -> Beginning:
    done = "has done it already" if task.is_complete else "is doing it already"
    say(f"{task.task_id} {done} and is adopted; no conversion is started.", "INFO")
    return Beginning(task.task_id, adopted=True)
