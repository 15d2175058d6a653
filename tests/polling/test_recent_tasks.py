"""Hundreds of running tasks cost a handful of calls, and nothing old decides anything."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
from support.service import REGION, Service
from support.waiting import SOON

from lmconv_resource.errors import AccessDeniedError, LicenseConversionError, Subject, TaskNotFoundError, TransientError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.recent_tasks import FRESH_SECONDS, RecentTasks
from lmconv_resource.polling.runtime import Runtime

IN_PROGRESS, SUCCEEDED = TaskStatus.IN_PROGRESS, TaskStatus.SUCCEEDED


class Tasks(Service):
    """So many running tasks, looked up by way of what was seen of them lately."""

    def __init__(
        self, count: int, list_pages: Callable[[], Iterator[Mapping[str, ConversionTask]]] | None = None, **runtime: Any
    ) -> None:
        super().__init__(ends={f"lct-{n:03}": 1e9 for n in range(count)})
        self.ids = list(self.ends)
        self.recent = RecentTasks(list_pages or self.list_pages, Runtime(**{"now": lambda: self.now, **runtime}))

    def ask(self, ids: Iterable[str]) -> set[TaskStatus | None]:
        """Look these up one after the other, and return their statuses."""
        return {self.recent.get(task_id, self.get_task).status for task_id in ids}


def test_up_to_three_tasks_are_looked_up_one_by_one_and_many_share_a_list() -> None:
    """A hundred cost three look-ups and the list's pages; asked again at once, they cost nothing.

    What was seen counts for ten seconds. After that AWS is asked again, and so an end is seen.
    """
    tasks = Tasks(100)
    tasks.ask(tasks.ids[:3])
    assert tasks.calls == {"get": 3}
    assert tasks.ask(tasks.ids * 2) == {IN_PROGRESS}
    assert tasks.calls == {"get": 3, "list": 1}
    tasks.ends["lct-005"] = 0.0
    tasks.now = FRESH_SECONDS - 0.1
    assert tasks.ask(["lct-005"]) == {IN_PROGRESS}
    tasks.now = FRESH_SECONDS
    assert tasks.ask(["lct-005"]) == {SUCCEEDED}


def test_a_page_is_asked_for_when_its_tasks_are() -> None:
    """On a machine so slow that the first pages are old when the last is needed, each page is asked for once."""
    tasks = Tasks(500)
    tasks.page_size = 50
    for task_id in tasks.ids:
        tasks.now += 0.05
        assert tasks.ask([task_id]) == {IN_PROGRESS}
    assert tasks.now > 2 * FRESH_SECONDS
    assert tasks.calls == {"get": 3, "list": 10}


def test_a_list_whose_beginning_is_old_is_read_again() -> None:
    """Where the rest of a list does not show a task, it may be among what was read too long ago."""
    tasks = Tasks(200)
    tasks.ask(tasks.ids[:10])
    assert tasks.calls == {"get": 3, "list": 1}
    tasks.now = FRESH_SECONDS
    tasks.ask(tasks.ids[10:14])
    assert tasks.calls == {"get": 6, "list": 3}, "three by Get, as there are few; then the second page, and the first"


def test_an_end_is_confirmed_by_a_get_however_long_the_list_takes() -> None:
    """What a list does not show has ended, or AWS does not know it; one that takes longer than it counts ends."""
    tasks = Tasks(400)
    tasks.page_seconds = FRESH_SECONDS
    tasks.ask(tasks.ids[:3])
    tasks.ends["lct-003"] = 0.0
    assert tasks.ask(["lct-003"]) == {SUCCEEDED}
    assert tasks.calls == {"get": 4, "list": 4}
    tasks.faults = [TaskNotFoundError(Subject(region=REGION), "AWS does not know it")]
    with pytest.raises(TaskNotFoundError):
        tasks.ask(["lct-unknown"])


@pytest.mark.parametrize(("error", "lists"), [(AccessDeniedError, 1), (TransientError, 2)])
def test_without_a_list_each_is_looked_up(error: type[LicenseConversionError], lists: int) -> None:
    """Without the right to list for good, after a list that failed for ten seconds."""
    tasks = Tasks(10)
    tasks.list_faults = [error(Subject(region=REGION), "no")] * 2
    tasks.ask(tasks.ids)
    assert tasks.calls == {"get": 10, "list": 1}
    tasks.now = FRESH_SECONDS
    tasks.ask(tasks.ids)
    assert tasks.calls == {"get": 20, "list": lists}


def test_a_list_that_is_being_read_is_shared() -> None:
    """Who asks while another reads the list waits for that list, and asks AWS nothing."""
    found: list[Future[ConversionTask]] = []

    def list_pages() -> Iterator[Mapping[str, ConversionTask]]:
        found.extend(pool.submit(tasks.recent.get, task_id, tasks.get_task) for task_id in tasks.ids[4:])
        assert not wait(found, 0.2).done
        yield from tasks.list_pages()

    tasks = Tasks(9, list_pages)
    with ThreadPoolExecutor() as pool:
        tasks.ask(tasks.ids[:4])
        assert [each.result(SOON).task_id for each in found] == tasks.ids[4:]
    assert tasks.calls == {"get": 3, "list": 1}


def test_a_slow_list_stalls_nobody_for_long() -> None:
    """Who has waited some seconds for a list that another reads looks its task up by itself."""

    class Impatient(threading.Semaphore):
        def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
            assert timeout is not None
            assert timeout <= FRESH_SECONDS
            return super().acquire(blocking, timeout / 1000)

    def list_pages() -> Iterator[Mapping[str, ConversionTask]]:
        with ThreadPoolExecutor(1) as others:
            assert others.submit(tasks.ask, tasks.ids[4:]).result(SOON) == {IN_PROGRESS}
        yield from tasks.list_pages()

    tasks = Tasks(5, list_pages, lock=Impatient)
    tasks.ask(tasks.ids[:4])
    assert tasks.calls == {"get": 4, "list": 1}
