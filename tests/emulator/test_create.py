"""Conversions that clients start in the emulator, those that it refuses, and what becomes of moto's instances."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends
from support.aws import ACCOUNT, Clock

from emulator import ARN, NOON, REGION, connect, get, start
from lmconv_resource.emulator import LicenseContext, LicenseManagerBackend, ProductCode

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient

RHEL_CODE, SAP_CODE = "6cd5fxzrad0cu2j23p692xytz", "du6111oq9lwrc996awt04qyql"


def to_context(text: str) -> LicenseContext:
    """Return the context of `0010` or `0010+CODE`, in which `RunInstances:` is left out."""
    operation, _, code = text.partition("+")
    return LicenseContext(f"RunInstances:{operation}", (ProductCode(code),) if code else ())


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
    """A test chooses how conversions end, when, and with what message. A resource has one at a time."""
    task_id = start(client)
    clock.now += 9.9
    assert get(client, task_id)["Status"] == "IN_PROGRESS"
    with pytest.raises(ClientError, match=task_id) as error:
        start(client)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    clock.now += 0.1
    assert get(client, task_id)["Status"] == "SUCCEEDED"
    backend.conversion_seconds, backend.conversion_status, backend.conversion_message = 0, "FAILED", "no capacity"
    task = get(client, start(client))
    assert (task["Status"], task["StatusMessage"]) == ("FAILED", "no capacity")


def test_a_success_changes_the_instance(
    client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock, ec2: Any, instance_id: str
) -> None:
    """DescribeInstances shows the old license while the conversion runs, and the new one from its end on.

    A failure changes nothing. What is shown is the one source that the next conversion can have.
    """
    arn = backend.make_arn(instance_id)
    backend.finish_task(convert(client, arn, "0010", "00g0"), "FAILED")
    convert(client, arn, "0010", f"00g0+{RHEL_CODE}")
    shown = describe(ec2, instance_id)
    assert (shown["UsageOperation"], shown["ProductCodes"]) == ("RunInstances:0010", [])
    clock.now += 10
    shown, code = describe(ec2, instance_id), {"ProductCodeId": RHEL_CODE, "ProductCodeType": "marketplace"}
    assert (shown["UsageOperation"], shown["ProductCodes"]) == ("RunInstances:00g0", [code])
    assert shown["UsageOperationUpdateTime"] == datetime.fromtimestamp(NOON + 10, timezone.utc)
    with pytest.raises(ClientError, match=f"RunInstances:0010 is not the usage operation of {instance_id}, .*00g0"):
        convert(client, arn, "0010", "00g0")
    backend.set_license(instance_id, to_context(f"00g0+{SAP_CODE}"))
    assert describe(ec2, instance_id)["ProductCodes"] == [{**code, "ProductCodeId": SAP_CODE}]
    with pytest.raises(KeyError, match="i-unknown"):
        backend.set_license("i-unknown", "RunInstances:0002")


def test_what_can_not_be_converted(
    client: LicenseManagerClient,
    backend: LicenseManagerBackend,
    ec2: Any,
    instance_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each refusal names what it is about: state, pair, place, account, stop protection as a lack of rights.

    The words about a state and about stop protection are AWS's own, which do not say that it must be stopped.

    A resource that moto does not have is converted, unless the test wants it as in AWS.
    """
    arn = backend.make_arn(instance_id)
    instance = ec2_backends[ACCOUNT][REGION].get_instance(instance_id)
    for state in ("pending", "running", "stopping", "terminated"):
        instance._state.name = state
        assert refuse(client, arn) == f"ResourceId - {instance_id} is in an invalid state for changing license type"
    instance._state.name = "stopped"
    for source, destination in (("0006", "0800"), (f"00g0+{SAP_CODE}", "0010")):
        text = f"A license type conversion from {to_context(source)} to {to_context(destination)} is not supported."
        assert refuse(client, arn, source, destination) == text
    elsewhere = connect(region="eu-west-1")
    assert refuse(elsewhere, arn) == f"{arn} is not in the account {ACCOUNT} and in eu-west-1."
    backend.strict = True
    assert refuse(client, ARN) == f"{ARN} was not found."
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": True})
    assert refuse(client, arn) == (
        f"EC2 instance {instance_id} failed to stop. Ensure that you have permissions for EC2 StopInstances."
    )
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": False})
    # Of product codes alone the emulator knows no pairs.
    codes: Any = {"ProductCodes": [{"ProductCodeId": "abc", "ProductCodeType": "marketplace"}]}
    assert start(client, arn, codes)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "111122223333")
    assert refuse(client, arn) == f"{arn} is not in the account 111122223333 and in {REGION}."
