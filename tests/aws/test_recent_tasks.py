"""Hundreds of running tasks cost a handful of calls, and nothing old decides anything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws

from lmconv_resource.aws.calls import Calls
from lmconv_resource.aws.credentials import make_client
from lmconv_resource.aws.license_manager import LicenseManager
from lmconv_resource.aws.recent_tasks import FRESH_SECONDS, RecentTasks
from lmconv_resource.aws.settings import Settings
from lmconv_resource.emulator import ErrorAnswer, Fault, LicenseManagerBackend, licensemanager_backends
from lmconv_resource.errors import TaskNotFoundError
from lmconv_resource.models import TaskStatus
from lmconv_resource.polling.cancellation import Cancellation
from lmconv_resource.polling.policy import PollingPolicy
from lmconv_resource.polling.rate_limiter import RateLimiter

REGION = "eu-west-1"
GET, LIST = "GetLicenseConversionTask", "ListLicenseConversionTasks"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def aws() -> Iterator[LicenseManagerBackend]:
    """A License Manager inside this process."""
    with mock_aws():
        yield licensemanager_backends["123456789012"][REGION]


@pytest.fixture
def license_manager(aws: LicenseManagerBackend) -> LicenseManager:
    """License Manager, without a pace."""
    settings = Settings(region=REGION, max_retries=0)
    client = make_client("license-manager", settings)
    limiter = RateLimiter(PollingPolicy(fastest_gap_seconds=0.0))
    return LicenseManager(Calls(lambda: client, settings, limiter, Cancellation()))


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
    recent = RecentTasks(Clock())
    for task_id in add(aws, 3):
        assert recent.get(task_id, license_manager).task_id == task_id
    assert aws.calls == {GET: 3}


def test_many_tasks_share_a_list(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """A hundred tasks cost three look-ups and the list's pages; asked again at once, they cost nothing."""
    recent, ids = RecentTasks(Clock()), add(aws, 100)
    for task_id in [*ids, *ids]:
        assert recent.get(task_id, license_manager).status is TaskStatus.IN_PROGRESS
    assert aws.calls[GET] == 3
    assert aws.calls[LIST] <= 2


def test_what_was_seen_counts_for_ten_seconds(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """After that AWS is asked again, and so an end is seen."""
    clock = Clock()
    recent, ids = RecentTasks(clock), add(aws, 10)
    for task_id in ids:
        recent.get(task_id, license_manager)
    aws.finish_task(ids[5])
    clock.now = FRESH_SECONDS

    assert recent.get(ids[5], license_manager).status is TaskStatus.SUCCEEDED


def test_an_end_is_confirmed_by_a_get(aws: LicenseManagerBackend, license_manager: LicenseManager) -> None:
    """What the list of running tasks does not show is looked up by itself: it has ended, or AWS does not know it."""
    recent, ids = RecentTasks(Clock()), add(aws, 10)
    aws.finish_task(ids[7])
    for task_id in ids[:7]:
        recent.get(task_id, license_manager)
    before = aws.calls[GET]

    assert recent.get(ids[7], license_manager).status is TaskStatus.SUCCEEDED
    with pytest.raises(TaskNotFoundError):
        recent.get("lct-unknown", license_manager)
    assert aws.calls[GET] == before + 2


@pytest.mark.parametrize("code", ["AccessDeniedException", "ServerInternalException"])
def test_without_a_list_each_is_looked_up(
    aws: LicenseManagerBackend, license_manager: LicenseManager, code: str
) -> None:
    """Without the right to list, or with a list that fails, each task is looked up by itself."""
    aws.faults.add(Fault(ErrorAnswer(code), operation=LIST))
    recent = RecentTasks(Clock())
    for task_id in add(aws, 10):
        assert recent.get(task_id, license_manager).task_id == task_id
    assert aws.calls == {GET: 10, LIST: 1}
