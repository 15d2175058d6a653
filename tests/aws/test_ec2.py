"""What EC2 says of the instance that is converted, and the pre-flight check: each failure in one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws
from support.aws import ACCOUNT, REGION, TimelessAws
from support.wire import Wire

from lmconv_resource.aws.ec2 import Instance, to_instance_id
from lmconv_resource.emulator import licensemanager_backends
from lmconv_resource.errors import (
    AccessDeniedError,
    EndpointUnreachableError,
    LicenseConversionError,
    ThrottledError,
)
from lmconv_resource.models import ConversionRequest, LicenseContext, ProductCode

BYOL, WINDOWS = LicenseContext("RunInstances:0800"), LicenseContext("RunInstances:0002")

DENIED = (
    b"<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized.</Message></Error>"
    b"</Errors></Response>"
)
THROTTLED = (
    b"<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.</Message></Error>"
    b"</Errors></Response>"
)


@pytest.fixture
def aws() -> Iterator[TimelessAws]:
    """EC2 as moto plays it."""
    with mock_aws():
        yield TimelessAws()


@pytest.fixture
def ec2(aws: TimelessAws) -> Any:
    """The client of moto's EC2."""
    return aws.client("ec2")


@pytest.fixture
def instance_id(ec2: Any) -> str:
    """The id of a stopped instance."""
    instance_id: str = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance_id])
    return instance_id


def arn_of(instance_id: str) -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"


def bill_as(aws: TimelessAws, arn: str, operation: str) -> None:
    """Have a conversion done, so that the instance is billed as something that EC2 shows."""
    licensemanager_backends[ACCOUNT][REGION].conversion_seconds = 0
    aws.license_manager.create_task(ConversionRequest(arn, BYOL, LicenseContext(operation)))


def starting(arn: str) -> str:
    return f"Starting the license conversion of {arn} in {REGION}: "


@pytest.mark.parametrize(
    ("arn", "instance_id"),
    [
        ("arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0", "i-0123456789abcdef0"),
        ("arn:aws-us-gov:ec2:us-gov-west-1:123456789012:instance/i-0123abcd", "i-0123abcd"),
        ("arn:aws:ec2:eu-west-1:123456789012:volume/vol-0123", None),
        ("arn:aws:ssm:eu-west-1:123456789012:managed-instance/mi-0123", None),
        ("", None),
    ],
)
def test_the_id_is_in_the_arn(arn: str, instance_id: str | None) -> None:
    """Only the ARN of an EC2 instance has an instance's id, in any partition."""
    assert to_instance_id(arn) == instance_id


def test_an_instance_is_what_ec2_shows(aws: TimelessAws, instance_id: str) -> None:
    """State and usage operation come from DescribeInstances; an unknown instance, or another resource, is None."""
    assert aws.ec2.get_instance(arn_of(instance_id)) == Instance(instance_id, "stopped", None)

    bill_as(aws, arn_of(instance_id), "RunInstances:0002")

    assert aws.ec2.get_instance(arn_of(instance_id)) == Instance(instance_id, "stopped", "RunInstances:0002")
    assert aws.ec2.get_instance(arn_of("i-0123456789abcdef0")) is None
    assert aws.ec2.get_instance(f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/vol-1") is None


def test_a_stopped_instance_is_ready(aws: TimelessAws, instance_id: str) -> None:
    """A stopped instance without stop protection, billed as the source says or as EC2 does not say, is ready."""
    arn = arn_of(instance_id)
    aws.ec2.check_ready(ConversionRequest(arn, BYOL, WINDOWS))

    bill_as(aws, arn, "RunInstances:0002")

    aws.ec2.check_ready(ConversionRequest(arn, WINDOWS, BYOL))
    aws.ec2.check_ready(ConversionRequest(arn, LicenseContext(None, (ProductCode("abc", "marketplace"),)), BYOL))


@pytest.mark.parametrize("instance_id", ["i-0123456789abcdef0", "i-0"])
def test_a_missing_instance_is_named(aws: TimelessAws, instance_id: str) -> None:
    """An instance that EC2 does not show fails with what to check."""
    arn = arn_of(instance_id)

    with pytest.raises(LicenseConversionError) as caught:
        aws.ec2.check_ready(ConversionRequest(arn, BYOL, WINDOWS))

    assert str(caught.value) == (
        f"{starting(arn)}EC2 shows no such instance. Check the ARN, the region and the account of the credentials."
    )


def test_a_running_instance_is_to_be_stopped(aws: TimelessAws, ec2: Any, instance_id: str) -> None:
    """A running instance fails with the command that stops it."""
    ec2.start_instances(InstanceIds=[instance_id])
    arn = arn_of(instance_id)

    with pytest.raises(LicenseConversionError) as caught:
        aws.ec2.check_ready(ConversionRequest(arn, BYOL, WINDOWS))

    assert str(caught.value) == (
        f"{starting(arn)}the instance is running and must be stopped. "
        f"Stop it with `aws ec2 stop-instances --instance-ids {instance_id}`."
    )


def test_a_terminated_instance_is_gone(aws: TimelessAws, ec2: Any, instance_id: str) -> None:
    """Nobody is told to stop an instance that has been terminated."""
    ec2.terminate_instances(InstanceIds=[instance_id])

    with pytest.raises(LicenseConversionError, match="EC2 shows no such instance"):
        aws.ec2.check_ready(ConversionRequest(arn_of(instance_id), BYOL, WINDOWS))


def test_a_stopping_instance_is_to_be_waited_for(aws: TimelessAws) -> None:
    """An instance that is on its way to a stop needs no command, only time."""
    arn = arn_of("i-0123456789abcdef0")
    Wire(
        aws.client("ec2"),
        (
            200,
            b"<DescribeInstancesResponse><reservationSet><item><instancesSet><item>"
            b"<instanceId>i-0123456789abcdef0</instanceId><instanceState><name>stopping</name></instanceState>"
            b"</item></instancesSet></item></reservationSet></DescribeInstancesResponse>",
        ),
    )

    with pytest.raises(LicenseConversionError) as caught:
        aws.ec2.check_ready(ConversionRequest(arn, BYOL, WINDOWS))

    assert str(caught.value) == (
        f"{starting(arn)}the instance is stopping and must be stopped. Wait for that, then run `pulumi up` again."
    )


def test_stop_protection_is_to_be_turned_off(aws: TimelessAws, ec2: Any, instance_id: str) -> None:
    """Stop protection fails with the command that turns it off."""
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": True})
    arn = arn_of(instance_id)

    with pytest.raises(LicenseConversionError) as caught:
        aws.ec2.check_ready(ConversionRequest(arn, BYOL, WINDOWS))

    assert str(caught.value) == (
        f"{starting(arn)}the instance has stop protection. "
        f"Turn it off with `aws ec2 modify-instance-attribute --no-disable-api-stop --instance-id {instance_id}`."
    )


def test_another_usage_operation_is_named(aws: TimelessAws, instance_id: str) -> None:
    """An instance that is billed as something else than the source says fails with both, and their meanings."""
    arn = arn_of(instance_id)
    bill_as(aws, arn, "RunInstances:0202")

    with pytest.raises(LicenseConversionError) as caught:
        aws.ec2.check_ready(ConversionRequest(arn, BYOL, WINDOWS))

    assert str(caught.value) == (
        f"{starting(arn)}the instance is billed as RunInstances:0202 (Windows with SQL Server Web), not as "
        "RunInstances:0800 (Windows BYOL). Give its present usage operation in source_license_context."
    )


@pytest.mark.parametrize(("right", "answered"), [("DescribeInstances", 0), ("DescribeInstanceAttribute", 1)])
def test_a_missing_right_is_named(aws: TimelessAws, right: str, answered: int) -> None:
    """Who asks for the check without EC2's rights is told which one is missing."""
    arn = arn_of("i-0123456789abcdef0")
    stopped = (
        b"<DescribeInstancesResponse><reservationSet><item><instancesSet><item>"
        b"<instanceId>i-0123456789abcdef0</instanceId><instanceState><name>stopped</name></instanceState>"
        b"</item></instancesSet></item></reservationSet></DescribeInstancesResponse>"
    )
    Wire(aws.client("ec2"), *[(200, stopped)] * answered, (403, DENIED))

    with pytest.raises(AccessDeniedError) as caught:
        aws.ec2.check_ready(ConversionRequest(arn, BYOL, WINDOWS))

    assert str(caught.value) == (
        f"Looking at {arn} in {REGION}: AWS denies access (UnauthorizedOperation: You are not authorized). "
        f"Allow ec2:{right} in the IAM policy of the credentials in use."
    )


def test_a_throttled_look_is_made_again_and_one_without_a_way_is_not(aws: TimelessAws) -> None:
    """EC2 that asks to slow down is asked again; a network without a way to EC2 holds up nobody."""
    throttled = Wire(aws.client("ec2"), (503, THROTTLED))
    with pytest.raises(ThrottledError):
        aws.ec2.get_instance(arn_of("i-0123456789abcdef0"))
    assert len(throttled.requests) == 3

    aws.client("ec2").meta.events.unregister("before-send", throttled.answer)
    away = Wire(aws.client("ec2"), EndpointConnectionError(endpoint_url="https://ec2.eu-west-1.amazonaws.com"))
    with pytest.raises(EndpointUnreachableError):
        aws.ec2.get_instance(arn_of("i-0123456789abcdef0"))
    assert len(away.requests) == 1
