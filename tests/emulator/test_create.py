"""Conversions that clients start in the emulator, those that it refuses, and what becomes of moto's instances."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends

from emulator import ACCOUNT, ARN, BYOL, INCLUDED, NOON, REGION, Clock, connect, get, start
from lmconv_resource.emulator import LicenseContext, LicenseManagerBackend, ProductCode

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient

RHEL_CODE, SAP_CODE = "6cd5fxzrad0cu2j23p692xytz", "du6111oq9lwrc996awt04qyql"


def to_context(text: str) -> LicenseContext:
    """Return the context of `0010` or `0010+CODE`, in which `RunInstances:` is left out; `-` is `RunInstances`."""
    operation, _, code = text.partition("+")
    return LicenseContext(
        "RunInstances" if operation == "-" else f"RunInstances:{operation}", (ProductCode(code),) if code else ()
    )


def convert(client: LicenseManagerClient, arn: str, source: str = "0800", destination: str = "0002") -> str:
    return start(client, arn, to_context(source).to_wire(), to_context(destination).to_wire())


def describe(ec2: Any, instance_id: str) -> dict[str, Any]:
    instance: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return instance


def refuse(client: LicenseManagerClient, arn: str, *contexts: str) -> str:
    """Let a conversion be refused, and return the text; nothing is started."""
    with pytest.raises(client.exceptions.InvalidParameterValueException) as caught:
        convert(client, arn, *contexts)
    assert client.list_license_conversion_tasks()["LicenseConversionTasks"] == []
    return caught.value.response["Error"]["Message"]


def test_a_conversion_runs_ten_seconds_unless_a_test_says_otherwise(
    client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock
) -> None:
    """A test chooses how conversions end, when, and with what message."""
    task_id = start(client)
    clock.now += 9.9
    task = get(client, task_id)
    assert (task["Status"], task["SourceLicenseContext"], task["DestinationLicenseContext"]) == (
        "IN_PROGRESS",
        BYOL,
        INCLUDED,
    )
    clock.now += 0.1
    assert get(client, task_id)["Status"] == "SUCCEEDED"
    backend.conversion_seconds, backend.conversion_status, backend.conversion_message = 0, "FAILED", "no capacity"
    task = get(client, start(client))
    assert (task["Status"], task["StatusMessage"]) == ("FAILED", "no capacity")


def test_one_conversion_at_a_time(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    task_id = start(client)
    with pytest.raises(ClientError, match=task_id) as error:
        start(client)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    backend.finish_task(task_id)
    assert start(client) != task_id


@pytest.mark.usefixtures("backend")
def test_a_success_changes_the_instance(client: LicenseManagerClient, clock: Clock, ec2: Any, instance_id: str) -> None:
    """DescribeInstances shows the old usage operation while the conversion runs, and the new one after it."""
    start(client, f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}")
    assert describe(ec2, instance_id)["UsageOperation"] == "RunInstances:0800"
    clock.now += 10
    instance = describe(ec2, instance_id)
    assert instance["UsageOperation"] == "RunInstances:0002"
    assert instance["UsageOperationUpdateTime"] == datetime.fromtimestamp(NOON + 10, timezone.utc)


def test_a_conversion_sets_the_next_ones_source(
    client: LicenseManagerClient, backend: LicenseManagerBackend, ec2: Any, instance_id: str
) -> None:
    """After a success the old source is refused and the new one is right; a failure and a refusal change nothing."""
    arn = backend.make_arn(instance_id)
    refuse(client, arn, "1234", "0002")
    backend.finish_task(convert(client, arn), "FAILED")
    assert describe(ec2, instance_id)["UsageOperation"] == "RunInstances:0800"
    backend.finish_task(convert(client, arn))
    with pytest.raises(ClientError, match=f"RunInstances:0800 is not the usage operation of {instance_id}, .*0002"):
        convert(client, arn)
    backend.finish_task(convert(client, arn, "0002", "0102"))
    assert describe(ec2, instance_id)["UsageOperation"] == "RunInstances:0102"


def test_product_codes_are_shown(
    client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock, ec2: Any, instance_id: str
) -> None:
    """DescribeInstances shows the product codes of the destination from the task's end on."""
    backend.set_license(instance_id, "RunInstances:0010")
    convert(client, backend.make_arn(instance_id), "0010", f"00g0+{RHEL_CODE}")
    assert describe(ec2, instance_id)["ProductCodes"] == []
    clock.now += 10
    code = {"ProductCodeId": RHEL_CODE, "ProductCodeType": "marketplace"}
    assert describe(ec2, instance_id)["ProductCodes"] == [code]
    backend.set_license(instance_id, to_context(f"00g0+{SAP_CODE}"))
    assert describe(ec2, instance_id)["ProductCodes"] == [{**code, "ProductCodeId": SAP_CODE}]
    with pytest.raises(KeyError, match="i-unknown"):
        backend.set_license("i-unknown", "RunInstances:0002")


def to_code(code: str, code_type: str) -> dict[str, Any]:
    return {"ProductCodes": [{"ProductCodeId": code, "ProductCodeType": code_type}]}


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("arn", "source", "place"),
    [
        ("i-0123456789abcdef0", BYOL, "ResourceArn"),
        (ARN, {"UsageOperation": "x" * 51}, "SourceLicenseContext.UsageOperation"),
        (ARN, to_code("no spaces", "marketplace"), r"SourceLicenseContext.ProductCodes\[0\].ProductCodeId"),
        (ARN, to_code("abc", "devpay"), r"SourceLicenseContext.ProductCodes\[0\].ProductCodeType"),
    ],
)
def test_a_value_that_the_model_does_not_allow(client: LicenseManagerClient, arn: str, source: Any, place: str) -> None:
    """A value against AWS's model is refused with the member's name, and starts nothing."""
    with pytest.raises(ClientError, match=place) as error:
        start(client, arn, source)
    assert error.value.response["Error"]["Code"] == "InvalidParameterValueException"
    assert client.list_license_conversion_tasks()["LicenseConversionTasks"] == []


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
    assert convert(client, backend.make_arn(instance_id))


@pytest.mark.parametrize(
    ("source", "destination"), [("0800", "0002"), ("0010+abc", f"00g0+{SAP_CODE}"), (f"-+{RHEL_CODE}", "0010")]
)
def test_an_eligible_pair(
    client: LicenseManagerClient, backend: LicenseManagerBackend, instance_id: str, source: str, destination: str
) -> None:
    assert convert(client, backend.make_arn(instance_id), source, destination)


@pytest.mark.parametrize(("source", "destination"), [("0006", "0800"), (f"00g0+{SAP_CODE}", "0010")])
def test_an_ineligible_pair(
    client: LicenseManagerClient, backend: LicenseManagerBackend, instance_id: str, source: str, destination: str
) -> None:
    """The text of a refusal names both. Of product codes alone the emulator knows no pairs, so it converts."""
    arn = backend.make_arn(instance_id)
    text = f"A license type conversion from {to_context(source)} to {to_context(destination)} is not supported."
    assert refuse(client, arn, source, destination) == text
    assert start(client, arn, to_code("abc", "marketplace"))


def test_an_instance_is_converted_where_it_is_and_by_its_account_only(
    client: LicenseManagerClient, instance_id: str, backend: LicenseManagerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = backend.make_arn(instance_id)
    elsewhere = connect(region="eu-west-1")
    assert refuse(elsewhere, arn) == f"{arn} is not in the account {ACCOUNT} and in eu-west-1."
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "111122223333")
    assert refuse(client, arn) == f"{arn} is not in the account 111122223333 and in {REGION}."


def test_a_strict_backend_converts_what_there_is(
    client: LicenseManagerClient, instance_id: str, backend: LicenseManagerBackend
) -> None:
    """A resource that moto does not have is converted, unless the test wants it as in AWS."""
    backend.strict = True
    assert refuse(client, ARN) == f"{ARN} was not found."
    assert convert(client, backend.make_arn(instance_id))
