"""What clients of the emulated License Manager get, through boto3 and moto's mock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.moto_api import state_manager

from emulator import ACCOUNT, ARN, NOON, Clock
from lmconv_resource.emulator import LicenseContext, LicenseManagerBackend, ProductCode, licensemanager_backends
from lmconv_resource.emulator.task import MODEL_NAME

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient


def add(backend: LicenseManagerBackend, number: int = 0, **arguments: Any) -> str:
    """Add a task of Windows BYOL to license included, and return its id."""
    arguments = {"resource_arn": f"{ARN[:-1]}{number}", **arguments}
    return backend.add_task(source="RunInstances:0800", destination="RunInstances:0002", **arguments).task_id


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def test_a_task_in_progress_has_no_end(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """While a task is IN_PROGRESS, the members about its end are absent."""
    task = client.get_license_conversion_task(LicenseConversionTaskId=add(backend, seconds=10, message="done"))
    assert task["Status"] == "IN_PROGRESS"
    assert task["StartTime"] == datetime.fromtimestamp(NOON, timezone.utc)
    assert not {"EndTime", "LicenseConversionTime", "StatusMessage"} & set(task)


@pytest.mark.parametrize(("status", "converted"), [("SUCCEEDED", True), ("FAILED", False)])
def test_a_task_ends_after_its_seconds(
    client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock, status: str, converted: bool
) -> None:
    """A task with seconds ends exactly when they are over, however late somebody looks."""
    task_id = add(backend, seconds=10, status=status, message="it ended")
    clock.now += 9.999
    assert client.get_license_conversion_task(LicenseConversionTaskId=task_id)["Status"] == "IN_PROGRESS"
    clock.now += 100
    task = client.get_license_conversion_task(LicenseConversionTaskId=task_id)
    assert (task["Status"], task["StatusMessage"]) == (status, "it ended")
    assert task["EndTime"] == datetime.fromtimestamp(NOON + 10, timezone.utc)
    assert ("LicenseConversionTime" in task) is converted


def test_a_task_ends_at_a_look(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """A task with looks=3 is seen at its end by the third Get or List, and reading it in the test is no look."""
    task_id = add(backend, looks=3)
    seen = [client.get_license_conversion_task(LicenseConversionTaskId=task_id)["Status"]]
    assert [backend.tasks[task_id].status for _ in range(5)] == ["IN_PROGRESS"] * 5
    seen.append(client.list_license_conversion_tasks()["LicenseConversionTasks"][0]["Status"])
    seen.append(client.get_license_conversion_task(LicenseConversionTaskId=task_id)["Status"])
    assert seen == ["IN_PROGRESS", "IN_PROGRESS", "SUCCEEDED"]


def test_a_task_without_a_course_follows_moto(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """With neither seconds nor looks a task has ended, unless moto's state manager says otherwise."""
    task_id = add(backend)
    state_manager.set_transition(MODEL_NAME, {"progression": "manual", "times": 2})
    try:
        seen = [client.get_license_conversion_task(LicenseConversionTaskId=task_id)["Status"] for _ in range(2)]
    finally:
        state_manager.unset_transition(MODEL_NAME)
    assert seen == ["IN_PROGRESS", "SUCCEEDED"]
    task = client.get_license_conversion_task(LicenseConversionTaskId=add(backend, 1))
    assert task["EndTime"] == task["StartTime"]


def test_a_task_that_stays_until_it_is_finished(
    client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock
) -> None:
    """A task added as IN_PROGRESS stays so for ever, and shows its message, until finish_task ends it."""
    task_id = add(backend, status="IN_PROGRESS", message="copying")
    clock.now += 1e6
    task = client.get_license_conversion_task(LicenseConversionTaskId=task_id)
    assert (task["Status"], task["StatusMessage"]) == ("IN_PROGRESS", "copying")
    backend.finish_task(task_id, "FAILED", "no capacity")
    task = client.get_license_conversion_task(LicenseConversionTaskId=task_id)
    assert (task["Status"], task["StatusMessage"]) == ("FAILED", "no capacity")
    assert task["EndTime"] == datetime.fromtimestamp(clock.now, timezone.utc)


def test_the_contexts_come_back_as_given(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """Usage operations and product codes come back in AWS's shape, what was not given left out."""
    task = backend.add_task(
        resource_arn=ARN,
        source=LicenseContext("RunInstances:0010"),
        destination=LicenseContext(product_codes=(ProductCode("abc123"),)),
        started=datetime(2024, 5, 1, tzinfo=timezone.utc),
    )
    answer = client.get_license_conversion_task(LicenseConversionTaskId=task.task_id)
    assert answer["ResourceArn"] == ARN
    assert answer["SourceLicenseContext"] == {"UsageOperation": "RunInstances:0010"}
    codes = [{"ProductCodeId": "abc123", "ProductCodeType": "marketplace"}]
    assert answer["DestinationLicenseContext"] == {"ProductCodes": codes}
    assert answer["StartTime"] == datetime(2024, 5, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize("task_id", ["lct-unknown", "i-0123", "lct-not_a_letter", f"lct-{'a' * 47}", "lct-abc\n"])
def test_an_unknown_or_malformed_id_is_an_invalid_value(client: LicenseManagerClient, task_id: str) -> None:
    """AWS has no not-found error: an unknown id and a malformed one have the same code."""
    with pytest.raises(ClientError, match=r"lct-|i-0123") as error:
        client.get_license_conversion_task(LicenseConversionTaskId=task_id)
    assert code_of(error) == "InvalidParameterValueException"


def test_a_task_is_in_one_account_and_region(client: LicenseManagerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another region or account does not know the task, and does not list it."""
    task_id = add(licensemanager_backends[ACCOUNT]["eu-west-1"])
    there = boto3.client("license-manager", region_name="eu-west-1")
    assert there.get_license_conversion_task(LicenseConversionTaskId=task_id)["Status"] == "SUCCEEDED"
    with pytest.raises(ClientError):
        client.get_license_conversion_task(LicenseConversionTaskId=task_id)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "111122223333")
    with pytest.raises(ClientError):
        there.get_license_conversion_task(LicenseConversionTaskId=task_id)
    assert there.list_license_conversion_tasks()["LicenseConversionTasks"] == []


def test_the_list_is_filtered(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """The filters ResourceArns and Status narrow the list, one at a time or together."""
    ids = [add(backend, 0), add(backend, 1, seconds=9), add(backend, 0, status="FAILED")]

    def find(**filters: str) -> list[str]:
        pairs: Any = [{"Name": name, "Values": [value]} for name, value in filters.items()]
        answer = client.list_license_conversion_tasks(Filters=pairs)
        return [task["LicenseConversionTaskId"] for task in answer["LicenseConversionTasks"]]

    assert find() == ids
    assert find(Status="IN_PROGRESS") == [ids[1]]
    assert find(ResourceArns=f"{ARN[:-1]}0") == [ids[0], ids[2]]
    assert find(ResourceArns=f"{ARN[:-1]}0", Status="FAILED") == [ids[2]]


def test_the_list_is_paged(client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock) -> None:
    """Each task is in exactly one page, even when tasks leave the filter between two pages."""
    ids = [add(backend, seconds=10 if number < 3 else 99) for number in range(7)]
    backend.page_size = 3
    filters: Any = [{"Name": "Status", "Values": ["IN_PROGRESS"]}]
    page = client.list_license_conversion_tasks(Filters=filters, MaxResults=100)
    pages = [page]
    clock.now += 50  # the tasks of the first page have ended now
    while "NextToken" in page:
        page = client.list_license_conversion_tasks(Filters=filters, MaxResults=2, NextToken=page["NextToken"])
        pages.append(page)
    assert [len(page["LicenseConversionTasks"]) for page in pages] == [3, 2, 2]
    assert [task["LicenseConversionTaskId"] for page in pages for task in page["LicenseConversionTasks"]] == ids


def test_fifty_tasks_are_a_page(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """Without MaxResults a page has 50 tasks, and 50 tasks have no second page."""
    for number in range(50):
        add(backend, number)
    assert "NextToken" not in client.list_license_conversion_tasks()
    add(backend, 50)
    assert len(client.list_license_conversion_tasks()["LicenseConversionTasks"]) == 50


@pytest.mark.parametrize(
    "request_",
    [
        {"Filters": [{"Name": "status", "Values": ["FAILED"]}]},
        {"Filters": [{"Name": "Status", "Values": ["failed"]}]},
        {"Filters": [{"Name": "Status", "Values": ["FAILED", "DONE"]}]},
        {"Filters": [{"Name": "Status", "Values": []}]},
        {"Filters": [{"Name": "Status", "Values": ["FAILED"]}, {"Name": "Status", "Values": ["FAILED"]}]},
        {"Filters": [{"Values": ["FAILED"]}]},
        {"MaxResults": 0},
        {"NextToken": "no token"},
        {"NextToken": "MDowMA=="},
    ],
)
def test_a_list_that_is_not_valid_is_refused(
    client: LicenseManagerClient, backend: LicenseManagerBackend, request_: Any
) -> None:
    """A filter, page size or token that AWS does not know is an invalid value, never an empty list."""
    add(backend)
    with pytest.raises(ClientError) as error:
        client.list_license_conversion_tasks(**request_)
    assert code_of(error) == "InvalidParameterValueException"


def test_a_token_belongs_to_its_filters(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """A token that came with other filters is refused."""
    add(backend), add(backend)
    token = client.list_license_conversion_tasks(MaxResults=1)["NextToken"]
    with pytest.raises(ClientError, match="filters") as error:
        client.list_license_conversion_tasks(NextToken=token, Filters=[{"Name": "Status", "Values": ["SUCCEEDED"]}])
    assert code_of(error) == "InvalidParameterValueException"


def test_calls_are_counted(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """Each call is counted by its operation, refused ones too, from many threads at once."""
    task_id = add(backend)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.get_license_conversion_task(LicenseConversionTaskId=task_id), range(40)))
    with pytest.raises(ClientError):
        client.get_license_conversion_task(LicenseConversionTaskId="lct-unknown")
    client.list_license_conversion_tasks()
    assert backend.calls == {"GetLicenseConversionTask": 41, "ListLicenseConversionTasks": 1}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"task_id": "task-1"}, "does not match"),
        ({"seconds": 1, "looks": 1}, "not both"),
        ({"seconds": -1}, "negative"),
        ({"seconds": 1, "status": "IN_PROGRESS"}, "stays IN_PROGRESS"),
    ],
)
def test_a_task_that_cannot_be_is_refused(backend: LicenseManagerBackend, arguments: Any, why: str) -> None:
    """A mistake in a test's own add_task is an error there, with the reason."""
    with pytest.raises(ValueError, match=why):
        add(backend, **arguments)


def test_an_id_is_taken_once(backend: LicenseManagerBackend) -> None:
    """Two tasks cannot have the same id."""
    add(backend, task_id="lct-1")
    with pytest.raises(ValueError, match="exists already"):
        add(backend, task_id="lct-1")
