"""What clients of the emulated License Manager get, through boto3 and moto's mock."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto.moto_api import state_manager
from support.aws import ACCOUNT, Clock

from emulator import NOON, add_task, connect, get
from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends
from lmconv_resource.emulator.task import MODEL_NAME

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient


@pytest.mark.parametrize(("status", "converted"), [("SUCCEEDED", True), ("FAILED", False)])
def test_a_task_ends_after_its_seconds(
    client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock, status: str, converted: bool
) -> None:
    """Exactly when they are over, however late somebody polls; until then the members about its end are absent."""
    task_id = add_task(backend, seconds=10, status=status, message="it ended")
    clock.now += 9.999
    task = get(client, task_id)
    assert (task["Status"], task["StartTime"]) == ("IN_PROGRESS", datetime.fromtimestamp(NOON, timezone.utc))
    assert not {"EndTime", "LicenseConversionTime", "StatusMessage"} & set(task)
    clock.now += 100
    task = get(client, task_id)
    assert (task["Status"], task["StatusMessage"]) == (status, "it ended")
    assert task["EndTime"] == datetime.fromtimestamp(NOON + 10, timezone.utc)
    assert ("LicenseConversionTime" in task) is converted


def test_a_task_ends_at_a_poll(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """A task with polls=3 is seen at its end by the third Get or List, and reading it in the test is no poll."""
    task_id = add_task(backend, polls=3)
    seen = [get(client, task_id)["Status"]]
    assert [backend.tasks[task_id].status for _ in range(5)] == ["IN_PROGRESS"] * 5
    seen.append(client.list_license_conversion_tasks()["LicenseConversionTasks"][0]["Status"])
    seen.append(get(client, task_id)["Status"])
    assert seen == ["IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED"]


def test_a_task_without_a_course_follows_moto(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """With neither seconds nor polls a task has ended, unless moto's state manager says otherwise."""
    task_id = add_task(backend)
    state_manager.set_transition(MODEL_NAME, {"progression": "manual", "times": 2})
    try:
        seen = [get(client, task_id)["Status"] for _ in range(2)]
    finally:
        state_manager.unset_transition(MODEL_NAME)
    assert seen == ["IN_PROGRESS", "SUCCEEDED"]
    task = get(client, add_task(backend, 1))
    assert task["EndTime"] == task["StartTime"]


def test_a_task_that_stays_until_it_is_finished(
    client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock
) -> None:
    task_id = add_task(backend, status="IN_PROGRESS", message="copying")
    clock.now += 1e6
    task = get(client, task_id)
    assert (task["Status"], task["StatusMessage"]) == ("IN_PROGRESS", "copying")
    backend.finish_task(task_id, "FAILED", "no capacity")
    task = get(client, task_id)
    assert (task["Status"], task["StatusMessage"]) == ("FAILED", "no capacity")
    assert task["EndTime"] == datetime.fromtimestamp(clock.now, timezone.utc)


@pytest.mark.parametrize("task_id", ["lct-unknown", "i-0123", "lct-not_a_letter", f"lct-{'a' * 47}", "lct-abc\n"])
def test_an_unknown_or_malformed_id_is_an_invalid_value(client: LicenseManagerClient, task_id: str) -> None:
    """AWS has no not-found error: an unknown id and a malformed one have the same code."""
    with pytest.raises(client.exceptions.InvalidParameterValueException, match=r"lct-|i-0123"):
        get(client, task_id)


def test_a_task_is_in_one_account_and_region(client: LicenseManagerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = add_task(licensemanager_backends[ACCOUNT]["eu-west-1"])
    there = connect(region="eu-west-1")
    assert get(there, task_id)["Status"] == "SUCCEEDED"
    with pytest.raises(ClientError):
        get(client, task_id)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "111122223333")
    with pytest.raises(ClientError):
        get(there, task_id)
    assert there.list_license_conversion_tasks()["LicenseConversionTasks"] == []


def test_the_list_is_paged(client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock) -> None:
    """Each task is in exactly one page, even when tasks leave the filter between two; a token keeps its filters."""
    ids = [add_task(backend, seconds=10 if number < 3 else 99) for number in range(7)]
    backend.page_size = 3
    filters: Any = [{"Name": "Status", "Values": ["IN_PROGRESS"]}]
    page = client.list_license_conversion_tasks(Filters=filters, MaxResults=100)
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="filters"):
        client.list_license_conversion_tasks(NextToken=page["NextToken"])
    pages = [page]
    clock.now += 50  # the tasks of the first page have ended now
    while "NextToken" in page:
        page = client.list_license_conversion_tasks(Filters=filters, MaxResults=2, NextToken=page["NextToken"])
        pages.append(page)
    assert [len(page["LicenseConversionTasks"]) for page in pages] == [3, 2, 2]
    assert [task["LicenseConversionTaskId"] for page in pages for task in page["LicenseConversionTasks"]] == ids


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"task_id": "task-1"}, "does not match"),
        ({"task_id": "lct-1"}, "exists already"),
        ({"seconds": 1, "polls": 1}, "not both"),
        ({"seconds": -1}, "negative"),
        ({"seconds": 1, "status": "IN_PROGRESS"}, "stays IN_PROGRESS"),
    ],
)
def test_a_task_that_cannot_be_is_refused(backend: LicenseManagerBackend, arguments: Any, why: str) -> None:
    """A mistake in a test's own add_task is an error there, with the reason."""
    add_task(backend, task_id="lct-1")
    with pytest.raises(ValueError, match=why):
        add_task(backend, **arguments)
