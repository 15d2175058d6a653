"""Hundreds of running tasks cost a handful of calls, and nothing old decides anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest
from moto import mock_aws
from support.aws import GET, LIST, REGION, Clock, TimelessAws
from support.waiting import SOON

from lmconv_resource.aws.access.settings import Settings
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend, licensemanager_backends
from lmconv_resource.errors import TaskNotFoundError
from lmconv_resource.models import ConversionTask, TaskStatus
from lmconv_resource.polling.recent_tasks import FRESH_SECONDS, RecentTasks
from lmconv_resource.polling.runtime import Runtime


@pytest.fixture
def aws() -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    with mock_aws():
        yield licensemanager_backends["123456789012"][REGION]


@pytest.fixture
def license_manager(aws: LicenseManagerBackend) -> LicenseManager:
    """License Manager, without a pace."""
    return TimelessAws(Settings(region=REGION, max_retries=0)).license_manager


def add(aws: LicenseManagerBackend, count: int) -> list[str]:
    return [
        aws.add_task(
            resource_arn=f"arn:aws:ec2:{REGION}:123456789012:instance/i-{n:017x}",
            source="RunInstances:0800",
            destination="RunInstances:0002",
            status="IN_PROGRESS",
        ).task_id
        for n in range(count)
    ]


def test_up_to_three_tasks_are_looked_up_one_by_one(
    aws: LicenseManagerBackend, license_manager: LicenseManager
) -> None:
    """A few tasks need only the right to look up."""
    recent = RecentTasks(license_manager.pages, Runtime(now=Clock()))
    for task_id in add(aws, 3):
        assert recent.get(task_id, license_manager.get_task).task_id == task_id
    assert aws.calls == {GET: 3}


def test_many_tasks_share_a_list(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """A hundred tasks cost three look-ups and the list's pages; asked again at once, they cost nothing."""
    recent, ids = RecentTasks(license_manager.pages, Runtime(now=Clock())), add(aws, 100)
    for task_id in [*ids, *ids]:
        assert recent.get(task_id, license_manager.get_task).status is TaskStatus.IN_PROGRESS
    assert aws.calls[GET] == 3
    assert aws.calls[LIST] <= 2


def test_what_was_seen_counts_for_ten_seconds(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """After that AWS is asked again, and so an end is seen."""
    clock = Clock()
    recent, ids = RecentTasks(license_manager.pages, Runtime(now=clock)), add(aws, 10)
    for task_id in ids:
        recent.get(task_id, license_manager.get_task)
    aws.finish_task(ids[5])
    clock.now = FRESH_SECONDS

    assert recent.get(ids[5], license_manager.get_task).status is TaskStatus.SUCCEEDED


def test_a_page_is_asked_for_when_its_tasks_are(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """On a machine so slow that the first pages are old when the last is needed, each page is asked for once."""
    clock = Clock()
    recent, ids = RecentTasks(license_manager.pages, Runtime(now=clock)), add(aws, 500)
    for task_id in ids:
        clock.now += 0.05
        assert recent.get(task_id, license_manager.get_task).status is TaskStatus.IN_PROGRESS
    assert clock.now > 2 * FRESH_SECONDS
    assert aws.calls == {GET: 3, LIST: 500 // aws.page_size}


def test_a_list_whose_beginning_is_old_is_read_again(
    aws: LicenseManagerBackend, license_manager: LicenseManager
) -> None:
    """Where the rest of a list does not show a task, it may be among what was read too long ago."""
    clock = Clock()
    recent, ids = RecentTasks(license_manager.pages, Runtime(now=clock)), add(aws, 2 * aws.page_size)
    for task_id in ids[:10]:
        recent.get(task_id, license_manager.get_task)
    assert aws.calls == {GET: 3, LIST: 1}
    clock.now = FRESH_SECONDS
    for task_id in ids[10:14]:
        recent.get(task_id, license_manager.get_task)

    assert aws.calls == {GET: 6, LIST: 3}, "three by Get, as there are few; then the second page, and the first again"


def test_a_list_that_takes_long_ends(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """A list that takes longer than it counts is not read for ever."""
    clock = Clock()

    def pages() -> Iterator[Mapping[str, ConversionTask]]:
        for page in license_manager.pages():
            clock.now += FRESH_SECONDS
            yield page

    recent, ids = RecentTasks(pages, Runtime(now=clock)), add(aws, 4 * aws.page_size)
    for task_id in ids[:3]:
        recent.get(task_id, license_manager.get_task)
    aws.finish_task(ids[3])

    assert recent.get(ids[3], license_manager.get_task).status is TaskStatus.SUCCEEDED
    assert aws.calls == {GET: 4, LIST: 4}


def test_an_end_is_confirmed_by_a_get(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """What the list of running tasks does not show is looked up by itself: it has ended, or AWS does not know it."""
    recent, ids = RecentTasks(license_manager.pages, Runtime(now=Clock())), add(aws, 10)
    aws.finish_task(ids[7])
    for task_id in ids[:7]:
        recent.get(task_id, license_manager.get_task)
    before = aws.calls[GET]

    assert recent.get(ids[7], license_manager.get_task).status is TaskStatus.SUCCEEDED
    with pytest.raises(TaskNotFoundError):
        recent.get("lct-unknown", license_manager.get_task)
    assert aws.calls[GET] == before + 2


@pytest.mark.parametrize("code", ["AccessDeniedException", "ServerInternalException"])
def test_without_a_list_each_is_looked_up(
    aws: LicenseManagerBackend, license_manager: LicenseManager, code: str
) -> None:
    """Without the right to list, or with a list that fails, each task is polled separately."""
    aws.faults.add(Fault(ErrorAnswer(code), operation=LIST))
    recent = RecentTasks(license_manager.pages, Runtime(now=Clock()))
    for task_id in add(aws, 10):
        assert recent.get(task_id, license_manager.get_task).task_id == task_id
    assert aws.calls == {GET: 10, LIST: 1}


def test_a_list_that_is_being_read_is_shared(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """Who asks while another reads the list waits for that list, and asks AWS nothing."""
    ids = add(aws, 9)

    def pages() -> Iterator[Mapping[str, ConversionTask]]:
        found.extend(pool.submit(recent.get, task_id, license_manager.get_task) for task_id in ids[4:])
        assert not wait(found, 0.2).done
        yield from license_manager.pages()

    found: list[Future[ConversionTask]] = []
    recent = RecentTasks(pages)
    with ThreadPoolExecutor() as pool:
        for task_id in ids[:4]:
            recent.get(task_id, license_manager.get_task)
        assert [each.result(SOON).task_id for each in found] == ids[4:]
    assert aws.calls == {GET: 3, LIST: 1}


def test_a_slow_list_stalls_nobody_for_long(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """Who has waited some seconds for a list that another reads looks its task up by itself."""
    meanwhile: list[str] = []

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            assert timeout <= FRESH_SECONDS
            return super().wait(timeout / 1000)

    def pages() -> Iterator[Mapping[str, ConversionTask]]:
        with ThreadPoolExecutor(1) as others:
            meanwhile.append(others.submit(recent.get, ids[4], license_manager.get_task).result(SOON).task_id)
        yield from license_manager.pages()

    recent, ids = RecentTasks(pages, Runtime(now=Clock(), event=Impatient)), add(aws, 5)
    for task_id in ids[:4]:
        recent.get(task_id, license_manager.get_task)

    assert meanwhile == [ids[4]]
    assert aws.calls == {GET: 4, LIST: 1}
