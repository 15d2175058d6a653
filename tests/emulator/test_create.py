"""Conversions that clients start in the emulator, and what becomes of moto's EC2 instances."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient

ACCOUNT, REGION = "123456789012", "us-east-1"
NOON = 1_750_000_000.0
BYOL, INCLUDED = {"UsageOperation": "RunInstances:0800"}, {"UsageOperation": "RunInstances:0002"}


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


@pytest.fixture
def backend() -> LicenseManagerBackend:
    backend = licensemanager_backends[ACCOUNT][REGION]
    backend.clock = lambda: NOON
    return backend


@pytest.fixture
def client() -> LicenseManagerClient:
    return boto3.client("license-manager")


@pytest.fixture
def ec2() -> Any:
    return boto3.client("ec2")


@pytest.fixture
def instance_id(ec2: Any) -> str:
    """Return the id of a stopped instance."""
    instance_id: str = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance_id])
    return instance_id


def arn_of(instance_id: str) -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"


def create(client: LicenseManagerClient, arn: str, source: Any = BYOL, destination: Any = INCLUDED) -> str:
    answer = client.create_license_conversion_task_for_resource(
        ResourceArn=arn, SourceLicenseContext=source, DestinationLicenseContext=destination
    )
    return answer["LicenseConversionTaskId"]


def describe(ec2: Any, instance_id: str) -> dict[str, Any]:
    reservations = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    instance: dict[str, Any] = reservations[0]["Instances"][0]
    return instance


def test_a_conversion_runs_ten_seconds(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """Create answers the id of a task that is IN_PROGRESS for conversion_seconds, ten unless set."""
    task_id = create(client, arn_of("i-unknown"))
    task = client.get_license_conversion_task(LicenseConversionTaskId=task_id)
    assert (task["Status"], task["SourceLicenseContext"], task["DestinationLicenseContext"]) == (
        "IN_PROGRESS",
        BYOL,
        INCLUDED,
    )
    backend.clock = lambda: NOON + 10
    backend.conversion_seconds = 0
    second = create(client, arn_of("i-another"))
    assert client.get_license_conversion_task(LicenseConversionTaskId=second)["Status"] == "SUCCEEDED"


def test_a_conversion_can_be_told_to_fail(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """A test chooses how conversions end, and with what message."""
    backend.conversion_seconds, backend.conversion_status, backend.conversion_message = 0, "FAILED", "no capacity"
    task = client.get_license_conversion_task(LicenseConversionTaskId=create(client, arn_of("i-unknown")))
    assert (task["Status"], task["StatusMessage"]) == ("FAILED", "no capacity")


def test_a_success_changes_the_instance(
    client: LicenseManagerClient, backend: LicenseManagerBackend, ec2: Any, instance_id: str
) -> None:
    """DescribeInstances shows the old usage operation while the conversion runs, and the new one after it."""
    now = NOON
    backend.clock = lambda: now
    create(client, arn_of(instance_id))
    assert describe(ec2, instance_id)["UsageOperation"] == "RunInstances:0800"
    now += 10
    instance = describe(ec2, instance_id)
    assert instance["UsageOperation"] == "RunInstances:0002"
    assert instance["UsageOperationUpdateTime"] == datetime.fromtimestamp(NOON + 10, timezone.utc)


def test_a_failure_leaves_the_instance(
    client: LicenseManagerClient, backend: LicenseManagerBackend, ec2: Any, instance_id: str
) -> None:
    """After a failed conversion the instance has its old usage operation."""
    backend.finish_task(create(client, arn_of(instance_id)), "FAILED")
    assert describe(ec2, instance_id)["UsageOperation"] == "RunInstances:0800"


def test_one_conversion_at_a_time(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """A resource that is being converted is refused with the task's id, until that task has ended."""
    task_id = create(client, arn_of("i-unknown"))
    with pytest.raises(ClientError, match=task_id) as error:
        create(client, arn_of("i-unknown"))
    assert error.value.response["Error"]["Code"] == "ValidationException"
    backend.finish_task(task_id)
    assert create(client, arn_of("i-unknown")) != task_id


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("arn", "source", "place"),
    [
        ("i-0123456789abcdef0", BYOL, "ResourceArn"),
        (arn_of("i-1"), {"UsageOperation": "x" * 51}, "SourceLicenseContext.UsageOperation"),
        (
            arn_of("i-1"),
            {"ProductCodes": [{"ProductCodeId": "no spaces", "ProductCodeType": "marketplace"}]},
            r"SourceLicenseContext.ProductCodes\[0\].ProductCodeId",
        ),
        (
            arn_of("i-1"),
            {"ProductCodes": [{"ProductCodeId": "abc", "ProductCodeType": "devpay"}]},
            r"SourceLicenseContext.ProductCodes\[0\].ProductCodeType",
        ),
    ],
)
def test_a_value_that_the_model_does_not_allow(client: LicenseManagerClient, arn: str, source: Any, place: str) -> None:
    """A value against AWS's model is refused with the member's name, and starts nothing."""
    with pytest.raises(ClientError, match=place) as error:
        create(client, arn, source)
    assert error.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert client.list_license_conversion_tasks()["LicenseConversionTasks"] == []
