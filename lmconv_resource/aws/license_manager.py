"""AWS License Manager's three calls on license conversion tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lmconv_resource.errors import (
    CREATE_ACTION,
    GET_ACTION,
    LIST_ACTION,
    UNREADABLE_REMEDY,
    LicenseConversionError,
    RequestRefusedError,
    Subject,
    ThrottledError,
    TransientError,
)
from lmconv_resource.models import AnswerError, ConversionRequest, ConversionTask, TaskStatus, UnknownStatusError

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls

PAGE_SIZE = 100
"""Asked for in lists. AWS publishes no limit; its other lists end at 100."""

_MOST_PAGES = 1000
"""A list that is longer has a token that leads in circles."""


class LicenseManager:
    """License Manager with one connection's settings. Safe to share between threads.

    Args:
        calls: how it is called; owns pace, retries and cancellation.
        paced: False for callers that acquire the pace's turn themselves, for the first call of each method.
    """

    def __init__(self, calls: Calls, *, paced: bool = True) -> None:
        self._calls = calls
        self._paced = paced
        self._region = calls.settings.region

    def unpaced(self) -> LicenseManager:
        """Return the same service for a caller that acquires the pace's turn itself."""
        return LicenseManager(self._calls, paced=False)

    def get_task(self, task_id: str, *, retry: bool = True) -> ConversionTask:
        """Return the task with this id (`lct-…`), by GetLicenseConversionTask.

        Args:
            task_id: the task's id.
            retry: False makes one try; else faults that may pass are tried again for about half a minute.

        Raises:
            LicenseConversionError: the call failed; the class says why (see `errors`).
        """
        return self._calls.retry(lambda: self._get_task(task_id)) if retry else self._get_task(task_id)

    def _get_task(self, task_id: str) -> ConversionTask:
        subject = Subject(GET_ACTION, task_id, self._region)
        answer = self._calls.once(
            lambda client: client.get_license_conversion_task(LicenseConversionTaskId=task_id),
            subject,
            paced=self._paced,
        )
        if not (answer.get("LicenseConversionTaskId") or answer.get("Status")):
            # botocore takes any text with HTTP 200 for an answer whose members are all absent, a proxy's page too.
            raise TransientError(subject, "what came back is no license conversion task", UNREADABLE_REMEDY)
        return self._read(answer, task_id)

    def list_tasks(self, *, resource_arn: str | None = None, status: TaskStatus | None = None) -> list[ConversionTask]:
        """Return the account's tasks in the region, all pages of ListLicenseConversionTasks; an empty list is a result.

        Args:
            resource_arn: only the tasks of this resource.
            status: only the tasks with this status.

        Raises:
            LicenseConversionError: the list failed; faults that may pass have been tried again for about half a minute.
        """
        subject = Subject(LIST_ACTION, None, self._region, resource_arn)

        def ask(send: Callable[[], Any]) -> Any:
            answer = self._calls.retry(send)
            if "LicenseConversionTasks" not in answer:
                # A page of a proxy's and half an answer reach us like this too; as "none" they would be believed.
                raise TransientError(
                    subject, "what came back is no list of license conversion tasks", UNREADABLE_REMEDY
                )
            return answer

        return [task for page in self._pages(subject, status, ask) for task in page.values()]

    def pages_in_progress(self) -> Iterator[dict[str, ConversionTask]]:
        """Return the tasks in progress of the account and region, a page at a time, by id.

        A page is tried again only where AWS asks to slow down: without that, a list of many pages would begin again at
        its first.

        Raises:
            LicenseConversionError: the list failed; an `AccessDeniedError` where only looking up is allowed.
        """
        subject = Subject(LIST_ACTION, None, self._region)
        return self._pages(subject, TaskStatus.IN_PROGRESS, lambda send: self._calls.retry(send, ThrottledError))

    def _pages(
        self, subject: Subject, status: TaskStatus | None, ask: Callable[[Callable[[], Any]], Any]
    ) -> Iterator[dict[str, ConversionTask]]:
        filters = []
        if subject.resource_arn:
            filters.append({"Name": "ResourceArns", "Values": [subject.resource_arn]})
        if status:
            filters.append({"Name": "Status", "Values": [status.value]})
        query: dict[str, Any] = {"Filters": filters, "MaxResults": PAGE_SIZE}
        turns = [self._paced]

        def send() -> Any:
            paced = turns.pop() if turns else True  # only the first call's turn may have been acquired already
            try:
                return self._calls.once(
                    lambda client: client.list_license_conversion_tasks(**query), subject, paced=paced
                )
            except RequestRefusedError:
                # The page size is a guess: AWS publishes no limit.
                if query.pop("MaxResults", None) is None:
                    raise
                return send()

        for _ in range(_MOST_PAGES):
            answer = ask(send)
            page = {}
            for entry in answer.get("LicenseConversionTasks") or ():
                task_id = entry.get("LicenseConversionTaskId") if entry else None
                if isinstance(task_id, str) and task_id:
                    page[task_id] = self._read(entry, task_id)
            yield page
            if not answer.get("NextToken"):
                return
            query["NextToken"] = answer["NextToken"]
        raise TransientError(subject, f"the list has no end after {_MOST_PAGES} pages", UNREADABLE_REMEDY)

    def create_task(self, request: ConversionRequest) -> str:
        """Start a conversion by one CreateLicenseConversionTaskForResource, and return the new task's id.

        It is never tried again here: AWS has no client token, so only the list of the resource's tasks tells whether a
        call whose answer is missing has started one (see `lifecycle.start`). A throttled call has started nothing.

        Raises:
            LicenseConversionError: a `TransientError` other than `ThrottledError` may have started a task.
        """
        subject = Subject(CREATE_ACTION, None, self._region, request.resource_arn)
        answer = self._calls.once(
            lambda client: client.create_license_conversion_task_for_resource(
                ResourceArn=request.resource_arn,
                SourceLicenseContext=request.source.to_request(),
                DestinationLicenseContext=request.destination.to_request(),
            ),
            subject,
        )
        task_id: str | None = answer.get("LicenseConversionTaskId")
        if not task_id:
            raise TransientError(subject, "the answer has no task id", UNREADABLE_REMEDY)
        return task_id

    def _read(self, answer: Any, task_id: str) -> ConversionTask:
        subject = Subject(GET_ACTION, task_id, self._region)
        try:
            return ConversionTask.from_answer(answer, task_id=task_id, region=self._region)
        except UnknownStatusError as cause:
            raise LicenseConversionError(
                subject,
                f"AWS gave the status {str(cause)!r}, which is none of IN_PROGRESS, SUCCEEDED and FAILED",
                "Look at the task in the AWS console, and upgrade lmconv-resource if there is a newer version",
            ) from cause
        except AnswerError as cause:
            raise TransientError(subject, str(cause), UNREADABLE_REMEDY) from cause
