"""Conversions that clients start in the emulator, those that it refuses, and what becomes of moto's instances."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends

from emulator import ACCOUNT, NOON, REGION, Clock
from lmconv_resource.emulator import LicenseContext, LicenseManagerBackend, ProductCode

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient

RHEL_CODE, SAP_CODE = "6cd5fxzrad0cu2j23p692xytz", "du6111oq9lwrc996awt04qyql"
BYOL, INCLUDED = {"UsageOperation": "RunInstances:0800"}, {"UsageOperation": "RunInstances:0002"}


def arn_of(instance_id: str) -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"


def to_context(text: str) -> LicenseContext:
    """Return the context of `0010` or `0010+CODE`, in which `RunInstances:` is left out; `-` is `RunInstances`."""
    operation, _, code = text.partition("+")
    return LicenseContext(
        "RunInstances" if operation == "-" else f"RunInstances:{operation}", (ProductCode(code),) if code else ()
    )


def create(client: LicenseManagerClient, arn: str, source: Any = "0800", destination: Any = "0002") -> str:
    """Start a conversion; a context is given as for `to_context`, or as AWS has it."""
    contexts: Any = [each if isinstance(each, dict) else to_context(each).to_wire() for each in (source, destination)]
    return client.create_license_conversion_task_for_resource(
        ResourceArn=arn, SourceLicenseContext=contexts[0], DestinationLicenseContext=contexts[1]
    )["LicenseConversionTaskId"]


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
    backend.conversion_seconds = 0
    second = create(client, arn_of("i-another"))
    assert client.get_license_conversion_task(LicenseConversionTaskId=second)["Status"] == "SUCCEEDED"


def test_a_conversion_can_be_told_to_fail(client: LicenseManagerClient, backend: LicenseManagerBackend) -> None:
    """A test chooses how conversions end, and with what message."""
    backend.conversion_seconds, backend.conversion_status, backend.conversion_message = 0, "FAILED", "no capacity"
    task = client.get_license_conversion_task(LicenseConversionTaskId=create(client, arn_of("i-unknown")))
    assert (task["Status"], task["StatusMessage"]) == ("FAILED", "no capacity")


@pytest.mark.usefixtures("backend")
def test_a_success_changes_the_instance(client: LicenseManagerClient, clock: Clock, ec2: Any, instance_id: str) -> None:
    """DescribeInstances shows the old usage operation while the conversion runs, and the new one after it."""
    create(client, arn_of(instance_id))
    assert describe(ec2, instance_id)["UsageOperation"] == "RunInstances:0800"
    clock.now += 10
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


def refuse(client: LicenseManagerClient, arn: str, *contexts: str) -> str:
    """Let a conversion be refused, and return the text; nothing is started."""
    with pytest.raises(client.exceptions.InvalidParameterValueException) as caught:
        create(client, arn, *contexts)
    assert client.list_license_conversion_tasks()["LicenseConversionTasks"] == []
    return caught.value.response["Error"]["Message"]


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
    client: LicenseManagerClient, backend: LicenseManagerBackend, clock: Clock, ec2: Any, instance_id: str
) -> None:
    """DescribeInstances shows the product codes of the destination from the task's end on."""
    backend.set_license(instance_id, "RunInstances:0010")
    create(client, backend.make_arn(instance_id), "0010", f"00g0+{RHEL_CODE}")
    assert describe(ec2, instance_id)["ProductCodes"] == []
    clock.now += 10
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
