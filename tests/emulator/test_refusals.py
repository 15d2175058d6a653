"""Conversions that the emulator refuses as AWS does, where moto's EC2 has the instance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.ec2.models import ec2_backends

from lmconv_resource.emulator import (
    LicenseContext,
    LicenseManagerBackend,
    ProductCode,
    licensemanager_backends,
)

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient

ACCOUNT, REGION = "123456789012", "us-east-1"
RHEL_CODE, SAP_CODE = "6cd5fxzrad0cu2j23p692xytz", "du6111oq9lwrc996awt04qyql"


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


@pytest.fixture
def backend() -> LicenseManagerBackend:
    return licensemanager_backends[ACCOUNT][REGION]


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


def to_context(text: str) -> LicenseContext:
    """Return the context of `0010` or `0010+CODE`, in which `RunInstances:` is left out; `-` is `RunInstances`."""
    operation, _, code = text.partition("+")
    return LicenseContext(
        "RunInstances" if operation == "-" else f"RunInstances:{operation}", (ProductCode(code),) if code else ()
    )


def create(client: LicenseManagerClient, arn: str, source: str = "0800", destination: str = "0002") -> str:
    contexts: Any = [to_context(source).to_wire(), to_context(destination).to_wire()]
    return client.create_license_conversion_task_for_resource(
        ResourceArn=arn, SourceLicenseContext=contexts[0], DestinationLicenseContext=contexts[1]
    )["LicenseConversionTaskId"]


def refuse(client: LicenseManagerClient, arn: str, *contexts: str) -> str:
    """Let a conversion be refused, and return the text; nothing is started."""
    with pytest.raises(client.exceptions.InvalidParameterValueException) as caught:
        create(client, arn, *contexts)
    assert client.list_license_conversion_tasks()["LicenseConversionTasks"] == []
    return caught.value.response["Error"]["Message"]


def describe(ec2: Any, instance_id: str) -> dict[str, Any]:
    instance: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return instance


@pytest.mark.parametrize("state", ["pending", "running", "stopping", "terminated"])
def test_an_instance_that_is_not_stopped(
    client: LicenseManagerClient, backend: LicenseManagerBackend, instance_id: str, state: str
) -> None:
    """AWS's own words, which do not say that the instance must be stopped."""
    ec2_backends[ACCOUNT][REGION].get_instance(instance_id)._state.name = state
    assert refuse(client, backend.make_arn(instance_id)) == (
        f"ResourceId - {instance_id} is in an invalid state for changing license type"
    )


def test_an_instance_with_stop_protection(
    client: LicenseManagerClient, backend: LicenseManagerBackend, ec2: Any, instance_id: str
) -> None:
    """Stop protection is refused in AWS's words about rights, until it is taken away."""
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": True})
    assert refuse(client, backend.make_arn(instance_id)) == (
        f"EC2 instance {instance_id} failed to stop. Ensure that you have permissions for EC2 StopInstances."
    )
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": False})
    assert create(client, backend.make_arn(instance_id))


def test_a_source_that_the_instance_is_not_billed_as(
    client: LicenseManagerClient, backend: LicenseManagerBackend, instance_id: str
) -> None:
    """The source is compared to the instance's usage operation, and the text names both."""
    backend.set_license(instance_id, "RunInstances:0002")
    text = refuse(client, backend.make_arn(instance_id))
    assert "RunInstances:0800" in text
    assert f"{instance_id}, RunInstances:0002" in text


def test_a_conversion_sets_the_next_ones_source(
    client: LicenseManagerClient, backend: LicenseManagerBackend, ec2: Any, instance_id: str
) -> None:
    """After a success the old source is refused and the new one is right; a failure and a refusal change nothing."""
    arn = backend.make_arn(instance_id)
    refuse(client, arn, "1234", "0002")
    backend.finish_task(create(client, arn), "FAILED")
    backend.finish_task(create(client, arn))
    with pytest.raises(ClientError, match="is not the usage operation"):
        create(client, arn)
    backend.finish_task(create(client, arn, "0002", "0102"))
    assert describe(ec2, instance_id)["UsageOperation"] == "RunInstances:0102"


def test_product_codes_are_shown(
    client: LicenseManagerClient, backend: LicenseManagerBackend, ec2: Any, instance_id: str
) -> None:
    """DescribeInstances shows the product codes of the destination from the task's end on."""
    now = 1_750_000_000.0
    backend.clock = lambda: now
    backend.set_license(instance_id, "RunInstances:0010")
    create(client, backend.make_arn(instance_id), "0010", f"00g0+{RHEL_CODE}")
    assert describe(ec2, instance_id)["ProductCodes"] == []
    now += 10
    code = {"ProductCodeId": RHEL_CODE, "ProductCodeType": "marketplace"}
    assert describe(ec2, instance_id)["ProductCodes"] == [code]
    backend.set_license(instance_id, to_context(f"00g0+{SAP_CODE}"))
    assert describe(ec2, instance_id)["ProductCodes"] == [{**code, "ProductCodeId": SAP_CODE}]


def test_a_license_is_set_only_of_what_there_is(backend: LicenseManagerBackend) -> None:
    """An instance that moto does not have is an error of the test's."""
    with pytest.raises(KeyError, match="i-unknown"):
        backend.set_license("i-unknown", "RunInstances:0002")


@pytest.mark.parametrize(
    ("source", "destination"), [("0800", "0002"), ("0010+abc", f"00g0+{SAP_CODE}"), (f"-+{RHEL_CODE}", "0010")]
)
def test_an_eligible_pair(
    client: LicenseManagerClient, backend: LicenseManagerBackend, instance_id: str, source: str, destination: str
) -> None:
    """What AWS's guide lists is converted."""
    assert create(client, backend.make_arn(instance_id), source, destination)


@pytest.mark.parametrize(("source", "destination"), [("0006", "0800"), (f"00g0+{SAP_CODE}", "0010")])
def test_an_ineligible_pair(
    client: LicenseManagerClient, backend: LicenseManagerBackend, instance_id: str, source: str, destination: str
) -> None:
    """What AWS's guide does not list is refused, and the text names both."""
    text = refuse(client, backend.make_arn(instance_id), source, destination)
    assert text == (
        f"A license type conversion from {to_context(source)} to {to_context(destination)} is not supported."
    )


def test_a_context_without_a_usage_operation(
    client: LicenseManagerClient, backend: LicenseManagerBackend, instance_id: str
) -> None:
    """Of product codes alone the emulator knows no pairs, so it converts."""
    code: Any = {"ProductCodes": [{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}]}
    assert client.create_license_conversion_task_for_resource(
        ResourceArn=backend.make_arn(instance_id),
        SourceLicenseContext=code,
        DestinationLicenseContext={"UsageOperation": "RunInstances:0002"},
    )


def test_another_region(instance_id: str, backend: LicenseManagerBackend) -> None:
    """An instance is converted where it is only."""
    elsewhere: LicenseManagerClient = boto3.client("license-manager", region_name="eu-west-1")
    arn = backend.make_arn(instance_id)
    assert refuse(elsewhere, arn) == f"{arn} is not in the account {ACCOUNT} and in eu-west-1."


def test_another_account(
    client: LicenseManagerClient, instance_id: str, backend: LicenseManagerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance is converted by its account only."""
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "111122223333")
    arn = backend.make_arn(instance_id)
    assert refuse(client, arn) == f"{arn} is not in the account 111122223333 and in {REGION}."


def test_a_strict_backend_converts_what_there_is(
    client: LicenseManagerClient, instance_id: str, backend: LicenseManagerBackend
) -> None:
    """A resource that moto does not have is converted, unless the test wants it as in AWS."""
    unknown = backend.make_arn("i-unknown")
    backend.finish_task(create(client, unknown))
    backend.reset()
    backend.strict = True
    assert refuse(client, unknown) == f"{unknown} was not found."
    assert create(client, backend.make_arn(instance_id))
