"""What the served emulator answers of EC2, STS and SSM, beside License Manager, on the same endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lmconv_resource.emulator import LicenseManagerBackend, add_instance_information, serve

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_license_manager import LicenseManagerClient
    from mypy_boto3_sts import STSClient

REGION = "eu-west-1"
IMAGES = {"windows": "ami-12c6146b", "linux": "ami-760aaa0f"}


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[LicenseManagerBackend]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with serve() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        yield emulator.backend(REGION)


@pytest.fixture
def ec2(backend: LicenseManagerBackend) -> EC2Client:
    client: EC2Client = boto3.client("ec2")
    return client


def launch(ec2: Any, image: str = "windows") -> str:
    instance_id: str = ec2.run_instances(ImageId=IMAGES[image], MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    return instance_id


def describe(ec2: EC2Client, instance_id: str) -> Any:
    return ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]


def state_of(ec2: EC2Client, instance_id: str) -> str:
    state: str = describe(ec2, instance_id)["State"]["Name"]
    return state


def test_a_conversion_from_stop_to_start(backend: LicenseManagerBackend, ec2: EC2Client) -> None:
    """The whole job: stop, convert, start again, each service on its own endpoint variable."""
    client: LicenseManagerClient = boto3.client("license-manager")
    sts: STSClient = boto3.client("sts")
    instance_id = launch(ec2)
    backend.set_license(instance_id, "RunInstances:0800")
    backend.conversion_seconds = 0
    account = sts.get_caller_identity()["Account"]
    conversion: Any = {
        "ResourceArn": f"arn:aws:ec2:{REGION}:{account}:instance/{instance_id}",
        "SourceLicenseContext": {"UsageOperation": describe(ec2, instance_id)["UsageOperation"]},
        "DestinationLicenseContext": {"UsageOperation": "RunInstances:0002"},
    }
    with pytest.raises(ClientError, match="is in an invalid state for changing license type"):
        client.create_license_conversion_task_for_resource(**conversion)
    ec2.stop_instances(InstanceIds=[instance_id])
    assert state_of(ec2, instance_id) == "stopped"
    client.create_license_conversion_task_for_resource(**conversion)
    assert describe(ec2, instance_id)["UsageOperation"] == "RunInstances:0002"
    ec2.start_instances(InstanceIds=[instance_id])
    assert state_of(ec2, instance_id) == "running"


def test_stop_protection(ec2: EC2Client) -> None:
    """Stop protection can be set, seen and taken away, and keeps an instance running."""
    instance_id = launch(ec2)

    def is_protected() -> bool:
        answer = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="disableApiStop")
        return answer["DisableApiStop"]["Value"]

    assert not is_protected()
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": True})
    assert is_protected()
    with pytest.raises(ClientError, match="disableApiStop") as caught:
        ec2.stop_instances(InstanceIds=[instance_id])
    assert caught.value.response["Error"]["Code"] == "OperationNotPermitted"
    assert state_of(ec2, instance_id) == "running"
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": False})
    ec2.stop_instances(InstanceIds=[instance_id], Force=True)
    assert state_of(ec2, instance_id) == "stopped"


def test_tags_of_an_instance_and_its_interface(ec2: EC2Client) -> None:
    """One call tags both, DescribeTags finds both, and a tag goes only with the value that it has."""
    instance_id = launch(ec2)
    (interface,) = describe(ec2, instance_id)["NetworkInterfaces"]
    assert interface["Attachment"]["DeviceIndex"] == 0
    both = sorted([instance_id, interface["NetworkInterfaceId"]])
    filters: Any = [{"Name": "resource-id", "Values": both}, {"Name": "key", "Values": ["lmconv:restart"]}]

    def find() -> list[str]:
        return sorted(tag["ResourceId"] for tag in ec2.describe_tags(Filters=filters)["Tags"])

    ec2.create_tags(Resources=both, Tags=[{"Key": "lmconv:restart", "Value": "mine"}])
    assert find() == both
    ec2.delete_tags(Resources=both, Tags=[{"Key": "lmconv:restart", "Value": "another's"}])
    assert find() == both
    ec2.delete_tags(Resources=both, Tags=[{"Key": "lmconv:restart", "Value": "mine"}])
    assert find() == []


def test_dry_runs_change_nothing(ec2: EC2Client) -> None:
    """What the job asks for beforehand is answered with DryRunOperation."""
    instance_id = launch(ec2)
    tags: Any = {"Resources": [instance_id], "Tags": [{"Key": "a", "Value": "b"}]}
    for call, arguments in (
        (ec2.stop_instances, {"InstanceIds": [instance_id]}),
        (ec2.start_instances, {"InstanceIds": [instance_id]}),
        (ec2.create_tags, tags),
        (ec2.delete_tags, tags),
    ):
        with pytest.raises(ClientError) as caught:
            call(DryRun=True, **arguments)
        assert caught.value.response["Error"]["Code"] == "DryRunOperation"
    assert state_of(ec2, instance_id) == "running"
    assert ec2.describe_tags()["Tags"] == []


def list_managed(**arguments: Any) -> dict[str, tuple[str, str]]:
    answer = boto3.client("ssm").describe_instance_information(**arguments)
    return {
        each["InstanceId"]: (each["PlatformType"], each["PingStatus"]) for each in answer["InstanceInformationList"]
    }


def test_instances_that_systems_manager_manages(backend: LicenseManagerBackend, ec2: EC2Client) -> None:
    """DescribeInstanceInformation has the instances with an agent, by their ids or their connection if asked."""
    windows, linux, without, gone = launch(ec2), launch(ec2, "linux"), launch(ec2), launch(ec2)
    ec2.stop_instances(InstanceIds=[linux])
    ec2.terminate_instances(InstanceIds=[gone])
    backend.without_ssm_agent.add(without)
    expected = {windows: ("Windows", "Online"), linux: ("Linux", "ConnectionLost")}
    assert list_managed() == expected
    assert list_managed(Filters=[{"Key": "InstanceIds", "Values": [windows, without]}]) == {windows: expected[windows]}
    assert list_managed(InstanceInformationFilterList=[{"key": "InstanceIds", "valueSet": [linux]}]) == {
        linux: expected[linux]
    }
    assert list_managed(Filters=[{"Key": "PingStatus", "Values": ["ConnectionLost"]}]) == {linux: expected[linux]}
    with pytest.raises(ClientError, match="InstanceIds, PingStatus") as caught:
        list_managed(Filters=[{"Key": "tag:Name", "Values": ["a"]}])
    assert caught.value.response["Error"]["Code"] == "InvalidFilterKey"


def test_a_mock_has_it_when_a_test_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside `mock_aws` the call is there after one line."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    add_instance_information()
    with mock_aws():
        instance_id = launch(boto3.client("ec2"))
        assert list_managed() == {instance_id: ("Windows", "Online")}
