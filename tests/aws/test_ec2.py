"""What EC2 says of the instance that is converted."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws
from support.aws import ACCOUNT, REGION, TimelessAws
from support.wire import Wire

from lmconv_resource.aws.ec2 import Instance
from lmconv_resource.emulator import licensemanager_backends
from lmconv_resource.errors import EndpointUnreachableError
from lmconv_resource.models import ConversionRequest, LicenseContext


@pytest.fixture
def aws() -> Iterator[TimelessAws]:
    """EC2 as moto plays it."""
    with mock_aws():
        yield TimelessAws()


def arn_of(instance_id: str) -> str:
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"


def test_an_instance_is_what_ec2_shows(aws: TimelessAws) -> None:
    """State and usage operation come from DescribeInstances; an unknown instance, or another resource, is None."""
    ec2 = aws.client("ec2")
    instance_id = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance_id])
    assert aws.ec2.get_instance(arn_of(instance_id)) == Instance(instance_id, "stopped", None)
    licensemanager_backends[ACCOUNT][REGION].conversion_seconds = 0
    codes = (LicenseContext("RunInstances:0800"), LicenseContext("RunInstances:0002"))
    aws.license_manager.create_task(ConversionRequest(arn_of(instance_id), *codes))
    assert aws.ec2.get_instance(arn_of(instance_id)) == Instance(instance_id, "stopped", "RunInstances:0002")
    assert aws.ec2.get_instance(arn_of("i-0123456789abcdef0")) is None
    assert aws.ec2.get_instance(f"arn:aws:ec2:{REGION}:{ACCOUNT}:volume/vol-1") is None


def test_a_network_without_a_way_to_ec2_holds_up_nobody(aws: TimelessAws) -> None:
    away = Wire(aws.client("ec2"), EndpointConnectionError(endpoint_url="https://ec2.eu-west-1.amazonaws.com"))
    with pytest.raises(EndpointUnreachableError):
        aws.ec2.get_instance(arn_of("i-0123456789abcdef0"))
    assert len(away.requests) == 1
