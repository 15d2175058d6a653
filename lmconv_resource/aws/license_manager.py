"""The AWS calls on license conversion tasks.

Each `find_*` asks AWS and gives values, each `start_*` begins something; what goes wrong is an error whose text is one
line for the user (see `translation` and `errors`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import tenacity

from lmconv_resource.aws.error_mapping import to_error
from lmconv_resource.errors import (
    CREATE_ACTION,
    GET_ACTION,
    LIST_ACTION,
    ThrottledError,
    TransientError,
    UnreadableAnswerError,
)
from lmconv_resource.models import ConversionTask, TaskStatus

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection
    from lmconv_resource.lifecycle.start import Request

_PAGE_SIZE = 100
"""Asked for in lists. AWS publishes no limit; its other lists end at 100."""

_MOST_PAGES = 1000
"""A list that is longer has a token that leads in circles."""


def retrying(connection: Connection, stopped: threading.Event | None = None) -> tenacity.Retrying:
    """Give what retries faults that may pass, for about half a minute, until `stopped` is set."""
    stopped = stopped or threading.Event()
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(connection.settings.max_retries + 1) | tenacity.stop_when_event_set(stopped),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=8),
        sleep=tenacity.sleep_using_event(stopped),
        reraise=True,
    )


def find_task(connection: Connection, task_id: str, stopped: threading.Event | None = None) -> ConversionTask:
    """Look a task up by GetLicenseConversionTask; faults that may pass are retried for about half a minute.

    Args:
        connection: where to ask.
        task_id: the task's id (`lct-…`).
        stopped: when set, a pause between two tries ends at once and so do the tries.

    Raises:
        LicenseConversionError: the look-up failed; the class says why (see `errors`).
    """
    return retrying(connection, stopped)(look_up_task, connection, task_id, stopped=stopped)


def look_up_task(
    connection: Connection, task_id: str, *, in_turn: bool = True, stopped: threading.Event | None = None
) -> ConversionTask:
    """Look a task up by one GetLicenseConversionTask.

    Args:
        connection: where to ask.
        task_id: the task's id (`lct-…`).
        in_turn: False where the caller has waited for the connection's turn itself.
        stopped: when set, the turn is not waited for.

    Raises:
        LicenseConversionError: the look-up failed; a `TransientError` if another try may help.
    """
    if in_turn:
        connection.pacer.wait_for_turn(stopped)
    answer = call(
        connection,
        lambda: connection.client.get_license_conversion_task(LicenseConversionTaskId=task_id),
        action=GET_ACTION,
        task_id=task_id,
    )
    if not (answer.get("LicenseConversionTaskId") or answer.get("Status")):
        # botocore takes any text with HTTP 200 for an answer whose members are all absent, a proxy's page too.
        raise UnreadableAnswerError(
            task_id=task_id, region=connection.region, reason="what came back is no license conversion task"
        )
    return _read(answer, connection, task_id)


def find_tasks(
    connection: Connection,
    *,
    resource_arn: str | None = None,
    status: TaskStatus | None = None,
    stopped: threading.Event | None = None,
) -> list[ConversionTask]:
    """Give the account's tasks in the region by ListLicenseConversionTasks, all pages; an empty list is a result.

    Args:
        connection: where to ask.
        resource_arn: only the tasks of this resource.
        status: only the tasks with this status.
        stopped: when set, a pause between two tries ends at once and so do the tries.

    Raises:
        LicenseConversionError: the list failed; faults that may pass have been retried for about half a minute.
    """
    filters = []
    if resource_arn:
        filters.append({"Name": "ResourceArns", "Values": [resource_arn]})
    if status:
        filters.append({"Name": "Status", "Values": [status.value]})

    def wait_for_turn() -> None:
        connection.pacer.wait_for_turn(stopped)

    def ask(query: dict[str, Any]) -> Any:
        answer = retrying(connection, stopped)(_list_page, connection, query, wait_for_turn, resource_arn)
        if "LicenseConversionTasks" not in answer:
            # A page of a proxy's and half an answer reach us like this too; as "none" they would be believed.
            raise UnreadableAnswerError(
                task_id=None,
                region=connection.region,
                action=LIST_ACTION,
                resource_arn=resource_arn,
                reason="what came back is no list of license conversion tasks",
            )
        return answer

    return [task for page in _find_pages(connection, filters, ask) for task in page.values()]


def find_tasks_in_progress(connection: Connection, *, in_turn: bool = True) -> Iterator[dict[str, ConversionTask]]:
    """Give the tasks in progress of the account and region, a page at a time, by id.

    Args:
        connection: where to ask.
        in_turn: False where the caller has waited for the connection's turn itself, for the first call.

    Raises:
        LicenseConversionError: the list failed; an `AccessDeniedError` where only looking up is allowed.
    """
    filters = [{"Name": "Status", "Values": [TaskStatus.IN_PROGRESS.value]}]
    turns = itertools.chain([] if in_turn else [lambda: None], itertools.repeat(connection.pacer.wait_for_turn))

    def wait_for_turn() -> None:
        next(turns)()

    return _find_pages(
        connection, filters, lambda query: _retrying_throttled(_list_page, connection, query, wait_for_turn)
    )


_retrying_throttled = tenacity.Retrying(
    # The pacer's pause is the wait. Without this a list of many pages would begin again at its first.
    retry=tenacity.retry_if_exception_type(ThrottledError),
    stop=tenacity.stop_after_attempt(5),
    reraise=True,
)


def _find_pages(
    connection: Connection, filters: list[Any], ask: Callable[[dict[str, Any]], Any]
) -> Iterator[dict[str, ConversionTask]]:
    token: str | None = None
    for _ in range(_MOST_PAGES):
        query: dict[str, Any] = {"Filters": filters, "MaxResults": _PAGE_SIZE}
        if token:
            query["NextToken"] = token
        answer = ask(query)
        page = {}
        for entry in answer.get("LicenseConversionTasks") or ():
            task_id = entry.get("LicenseConversionTaskId") if entry else None
            if isinstance(task_id, str) and task_id:
                page[task_id] = _read(entry, connection, task_id)
        yield page
        token = answer.get("NextToken")
        if not token:
            return
    raise UnreadableAnswerError(
        task_id=None,
        region=connection.region,
        action=LIST_ACTION,
        reason=f"the list has no end after {_MOST_PAGES} pages",
    )


def _list_page(
    connection: Connection,
    query: dict[str, Any],
    wait_for_turn: Callable[[], None],
    resource_arn: str | None = None,
) -> Any:
    wait_for_turn()
    return call(
        connection,
        lambda: connection.client.list_license_conversion_tasks(**query),
        action=LIST_ACTION,
        resource_arn=resource_arn,
    )


def start_task(connection: Connection, request: Request, stopped: threading.Event | None = None) -> str:
    """Start a conversion by one CreateLicenseConversionTaskForResource, and give the new task's id.

    It is never tried again here: AWS has no client token, so only a look at the resource's newest task tells whether a
    call whose answer is missing has started one (see `starting`). A refusal for the rate has started nothing.

    Raises:
        LicenseConversionError: a `TransientError` other than `ThrottledError` leaves open whether a task was started.
    """
    connection.pacer.wait_for_turn(stopped)
    answer = call(
        connection,
        lambda: connection.client.create_license_conversion_task_for_resource(
            ResourceArn=request.resource_arn,
            SourceLicenseContext=request.source.to_request(),
            DestinationLicenseContext=request.destination.to_request(),
        ),
        action=CREATE_ACTION,
        resource_arn=request.resource_arn,
    )
    task_id: str | None = answer.get("LicenseConversionTaskId")
    if not task_id:
        raise UnreadableAnswerError(
            task_id=None,
            region=connection.region,
            action=CREATE_ACTION,
            resource_arn=request.resource_arn,
            reason="the answer has no task id",
        )
    return task_id


def _read(answer: Any, connection: Connection, task_id: str) -> ConversionTask:
    try:
        return ConversionTask.from_answer(answer, task_id=task_id, region=connection.region)
    except (AttributeError, TypeError) as cause:
        raise UnreadableAnswerError(
            task_id=task_id,
            region=connection.region,
            reason="a member of the answer has not the type that AWS documents",
        ) from cause


def call(
    connection: Connection,
    ask: Callable[[], Any],
    *,
    action: str,
    task_id: str | None = None,
    resource_arn: str | None = None,
) -> Any:
    """Make one call whose turn has come: give its answer or raise our error. The connection's pace learns from it."""
    try:
        answer = ask()
    except Exception as cause:
        error = to_error(cause, action=action, task_id=task_id, region=connection.region, resource_arn=resource_arn)
        if isinstance(error, ThrottledError):
            connection.pacer.throttled()
        raise error from cause
    connection.pacer.succeeded()
    return answer
