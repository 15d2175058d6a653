"""Tasks in progress as they were seen a moment ago: hundreds of them for the calls of a handful.

Pulumi's engine asks for the diff of one resource at a time, and each one whose task is recorded as running has to be
looked up. A few are, one by one; for more, one list serves all that are asked for within the next seconds. Its pages
are asked for as they are needed: AWS and the program often have the tasks in the same order, and then a page is new
when its tasks are asked for, however slow the machine is.
"""

import logging
from collections.abc import Callable, Iterator, Mapping

from lmconv_resource.errors import AccessDeniedError, LicenseConversionError
from lmconv_resource.models import ConversionTask
from lmconv_resource.polling.dispatcher import GetTask
from lmconv_resource.polling.runtime import RUNTIME, Runtime

log = logging.getLogger(__name__)

FEW_TASKS = 3
"""Up to here each task is polled separately."""

FRESH_SECONDS = 10.0
"""How long what was seen counts."""

_SHARED_SECONDS = 3.0
"""How long a list that another reads is waited for. After that each task is looked up: no slow list stalls the rest."""


class RecentTasks:
    """The tasks of one connection that were asked for lately. Safe to share between threads.

    `list_pages` shows tasks in progress only; that one has ended is always said by GetLicenseConversionTask, for good.
    """

    def __init__(
        self, list_pages: Callable[[], Iterator[Mapping[str, ConversionTask]]], runtime: Runtime = RUNTIME
    ) -> None:
        self._list_pages = list_pages
        self._runtime = runtime
        self._lock = runtime.lock()
        """Guards what was seen and asked for; AWS is never called under it."""
        self._listing = runtime.lock()
        """Held by who reads the list."""
        self._seen: dict[str, tuple[float, ConversionTask]] = {}
        self._asked: dict[str, float] = {}
        self._pages: Iterator[Mapping[str, ConversionTask]] = iter(())
        """What is left of the list that is being read."""
        self._begun_at = self._listed_at = float("-inf")
        self._may_list = True

    def get(self, task_id: str, get_task: GetTask) -> ConversionTask:
        """Return a task as it was within the last ten seconds, or as it ended; or raise as `get_task` does."""
        task, wants_list = self._find(task_id)
        if wants_list and self._listing.acquire(timeout=_SHARED_SECONDS):
            try:
                if self._find(task_id)[1]:  # still, for another may have read the list meanwhile
                    self._read_until(task_id)
            finally:
                self._listing.release()
            task, _ = self._find(task_id)
        if task is None:
            asked_at = self._runtime.now()
            task = get_task(task_id)
            with self._lock:
                self._seen[task_id] = (asked_at, task)
        return task

    def _find(self, task_id: str) -> tuple[ConversionTask | None, bool]:
        """Return the task if it was seen lately; if not, whether the list is to be read for it."""
        with self._lock:
            seen_at, task = self._seen.get(task_id, (float("-inf"), None))
            if task and (task.is_complete or self._is_fresh(seen_at)):
                return task, False
            self._asked[task_id] = self._runtime.now()
            self._asked = {name: moment for name, moment in self._asked.items() if self._is_fresh(moment)}
            return None, self._may_list and len(self._asked) > FEW_TASKS and not self._is_fresh(self._listed_at)

    def _is_fresh(self, moment: float) -> bool:
        return self._runtime.now() - moment < FRESH_SECONDS

    def _read_until(self, task_id: str) -> None:
        """Read on in the list until it shows the task, or until all of it has been read lately."""
        try:
            # What is left of it; and all of it, if its first pages were read too long ago and may have shown the task.
            for pages in (self._pages, self._read_pages()):
                self._pages = pages
                if any(task_id in page for page in pages):
                    return
                if self._is_fresh(self._begun_at):
                    break
        except AccessDeniedError as denied:
            log.info("each task is polled separately: %s", denied)
            self._may_list = False
        except LicenseConversionError as error:  # looking up says better what is wrong, if that fails too
            log.info("each task is polled separately for a while: %s", error)
        self._listed_at = self._runtime.now()

    def _read_pages(self) -> Iterator[Mapping[str, ConversionTask]]:
        """Yield each page of the list, asked for when it is needed, after its tasks were noted as seen."""
        asked_at = self._begun_at = self._runtime.now()
        for page in self._list_pages():
            with self._lock:
                self._seen |= {name: (asked_at, task) for name, task in page.items()}
            yield page
            asked_at = self._runtime.now()
