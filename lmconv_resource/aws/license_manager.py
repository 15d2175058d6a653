"""AWS License Manager's three calls on license conversion tasks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from lmconv_resource import errors
from lmconv_resource.errors import Subject
from lmconv_resource.models import AnswerError, ConversionRequest, ConversionTask, TaskStatus

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls

log = logging.getLogger(__name__)

Unreadable = Literal["raised", "kept", "left out"]
"""What becomes of the entries of a list that can't be read."""

PAGE_SIZE = 100
"""Asked for in lists. AWS publishes no limit; its other lists end at 100."""


class LicenseManager:
    """License Manager with one connection's settings. Safe to share between threads."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._region = calls.session.settings.region

    def get_task(self, task_id: str, *, retry: bool = True) -> ConversionTask:
        """Return the task with this id; with `retry`, faults that may pass are tried again for half a minute."""
        subject = Subject(errors.GET_ACTION, task_id, self._region)

        def ask() -> ConversionTask:
            answer = self._calls.call(subject, {"LicenseConversionTaskId": task_id})
            if not (answer.get("LicenseConversionTaskId") or answer.get("Status")):
                # botocore takes any text with HTTP 200 for an answer whose members are all absent, a proxy's page too.
                reason = "the response is not a license conversion task"
                raise errors.TransientError(subject, reason, errors.UNREADABLE_REMEDY)
            return self._read(answer, task_id)

        return self._calls.retry(ask) if retry else ask()

    def list_tasks(
        self, *resource_arns: str, status: TaskStatus | None = None, keeps_unreadable: bool = False
    ) -> list[ConversionTask]:
        """Return the account's tasks in the region, all pages, of these resources and with this status; perhaps none.

        Faults that may pass are tried again for half a minute. An entry that can't be read is an error, or with
        `keeps_unreadable` a task of which nothing is known but its id.
        """
        pages = self._pages(resource_arns, status, errors.TransientError, "kept" if keeps_unreadable else "raised")
        return [task for page in pages for task in page.values()]

    def pages(self, status: TaskStatus = TaskStatus.IN_PROGRESS) -> Iterator[dict[str, ConversionTask]]:
        """Yield the tasks of the account and region with this status, a page at a time, by id.

        A page is tried again only where AWS throttles the calls: without that, a list of many pages would begin again
        at its first. An entry that can't be read is left out: GetLicenseConversionTask tells more of that task alone.
        """
        return self._pages((), status, errors.ThrottledError, "left out")

    def _pages(
        self, arns: Sequence[str], status: TaskStatus | None, on: type[errors.TransientError], unreadable: Unreadable
    ) -> Iterator[dict[str, ConversionTask]]:
        subject = Subject(errors.LIST_ACTION, None, self._region, arns[0] if len(arns) == 1 else None)
        filters = [{"Name": "ResourceArns", "Values": list(arns)}] if arns else []
        filters += [{"Name": "Status", "Values": [status.value]}] if status else []
        answers = self._calls.read_pages(subject, {"Filters": filters, "MaxResults": PAGE_SIZE}, on)
        try:
            answers = chain([next(answers)], answers)
        except errors.RequestRefusedError:  # the page size is a guess: AWS publishes no limit
            answers = self._calls.read_pages(subject, {"Filters": filters}, on)
        for answer in answers:
            if "LicenseConversionTasks" not in answer:
                # A page of a proxy's and half an answer reach us like this too; as "none" they would be believed.
                reason = "the response is not a list of license conversion tasks"
                raise errors.TransientError(subject, reason, errors.UNREADABLE_REMEDY)
            page = {}
            for task_id, entry in _entries_by_id(answer).items():
                try:
                    page[task_id] = self._read(entry, task_id)
                except errors.TransientError as error:
                    if unreadable == "raised":
                        raise
                    log.info("an entry of the list that can't be read is %s: %s", unreadable, error)
                    if unreadable == "kept":
                        arn = entry.get("ResourceArn")
                        arn = arn if isinstance(arn, str) else subject.resource_arn
                        # It may still be under way.
                        page[task_id] = ConversionTask(task_id, self._region, arn, unknown_status="(unreadable)")
            yield page

    def create_task(self, request: ConversionRequest) -> str:
        """Start a conversion by one call, and return its id; a CancelledError where it was to end before that.

        It is never tried again here: AWS has no client token, so only the list of the resource's tasks tells whether a
        call whose answer is missing has started one, which any TransientError but ThrottledError may have. It waits for
        no turn: what it rests on was read right before.
        """
        subject = Subject(errors.CREATE_ACTION, None, self._region, request.resource_arn)
        if self._calls.cancellation.is_set:  # only the next `up` may start anything
            reason = self._calls.cancellation.reason or "its deadline had passed"
            raise errors.CancelledError(subject, f"{reason} before a conversion was started")
        members = {
            "ResourceArn": request.resource_arn,
            "SourceLicenseContext": request.source.to_request(),
            "DestinationLicenseContext": request.destination.to_request(),
        }
        answer = self._calls.call(subject, members, paced=False)
        task_id: str | None = answer.get("LicenseConversionTaskId")
        if not task_id:
            raise errors.TransientError(subject, "the answer has no task id", errors.UNREADABLE_REMEDY)
        return task_id

    def _read(self, answer: Any, task_id: str) -> ConversionTask:
        subject = Subject(errors.GET_ACTION, task_id, self._region)
        try:
            return ConversionTask.from_answer(answer, task_id=task_id, region=self._region)
        except AnswerError as cause:
            raise errors.TransientError(subject, str(cause), errors.UNREADABLE_REMEDY) from cause


def _entries_by_id(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of a list that name a task, by its id; nobody can wait for another."""
    entries = [each for each in answer.get("LicenseConversionTasks") or () if isinstance(each, dict)]
    ids = ((each.get("LicenseConversionTaskId"), each) for each in entries)
    return {task_id: each for task_id, each in ids if task_id and isinstance(task_id, str)}
