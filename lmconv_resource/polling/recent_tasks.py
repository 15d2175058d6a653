"""Tasks in progress as they were seen a moment ago: hundreds of them for the calls of a handful.

Pulumi's engine asks for the diff of one resource at a time, and each one whose task is recorded as running has to be
looked up. A few are, one by one; for more, one list serves all that are asked for within the next seconds. Its pages
are asked for as they are needed: AWS and the program often have the tasks in the same order, and then a page is new
when its tasks are asked for, however slow the machine is.
"""

from __future__ import annotations

import logging
import threading
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
        self._reading: threading.Event | None = None
        """Set when whoever reads the list has read what was wanted of it."""
        self._seen: dict[str, tuple[float, ConversionTask]] = {}
        self._asked: dict[str, float] = {}
        self._pages: Iterator[Mapping[str, ConversionTask]] | None = None
        """What is left of the list that is being read."""
        self._begun_at = self._listed_at = float("-inf")
        self._may_list = True

    def get(self, task_id: str, get_task: GetTask) -> ConversionTask:
        """Return a task as it was within the last ten seconds, or as it ended; or raise as `get_task` does."""
        while True:
            with self._lock:
                task = self._fresh_task(task_id)
                if task is not None:
                    return task
                if not self._wants_list(task_id):
                    break
                reading, done = self._reading, self._runtime.event()
                self._reading = reading or done
            if reading is None:
                try:
                    self._list(task_id)
                finally:
                    self._reading = None
                    done.set()
            elif not reading.wait(_SHARED_SECONDS):
                break
        asked_at = self._runtime.now()
        task = get_task(task_id)
        with self._lock:
            self._seen[task_id] = (asked_at, task)
        return task

    def _fresh_task(self, task_id: str) -> ConversionTask | None:
        seen_at, task = self._seen.get(task_id, (float("-inf"), None))
        return task if task and (task.is_complete or self._is_fresh(seen_at)) else None

    def _is_fresh(self, moment: float) -> bool:
        return self._runtime.now() - moment < FRESH_SECONDS

    def _wants_list(self, task_id: str) -> bool:
        self._asked[task_id] = self._runtime.now()
        self._asked = {name: moment for name, moment in self._asked.items() if self._is_fresh(moment)}
        return self._may_list and len(self._asked) > FEW_TASKS and not self._is_fresh(self._listed_at)

    def _list(self, task_id: str) -> None:
        try:
            self._read_until(task_id)
        except AccessDeniedError as denied:
            log.info("each task is polled separately: %s", denied)
            self._may_list = False
        except LicenseConversionError as error:  # looking up says better what is wrong, if that fails too
            log.info("each task is polled separately for a while: %s", error)
            self._pages, self._listed_at = None, self._runtime.now()

    def _read_until(self, task_id: str) -> None:
        """Read on in the list until it shows the task, or until all of it has been read lately."""
        begins = False
        while True:
            asked_at = self._runtime.now()
            if self._pages is None:
                self._pages, self._begun_at, begins = self._list_pages(), asked_at, True
            page = next(self._pages, None)
            if page is not None:
                with self._lock:
                    self._seen |= {name: (asked_at, task) for name, task in page.items()}
                if task_id in page:
                    return
                continue
            self._pages = None
            if begins or self._is_fresh(self._begun_at):
                self._listed_at = self._runtime.now()
                return
            # Its first pages were read too long ago, and may have shown the task then: from the start.
