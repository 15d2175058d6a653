"""DescribeInstanceInformation for moto's Systems Manager, which lacks this call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .models import licensemanager_backends

if TYPE_CHECKING:
    from moto.core.responses import ActionResult
    from moto.ec2.models.instances import Instance
    from moto.ssm.responses import SimpleSystemManagerResponse

_NAME = "describe_instance_information"


def add_instance_information() -> None:
    """Give moto's Systems Manager the call; doing it again changes nothing.

    The served emulator does it at the first request. Inside `mock_aws` a test does it before its own: this imports
    moto's Systems Manager and EC2, which takes most of a second, and most tests do without.
    """
    from moto.ssm.responses import SimpleSystemManagerResponse

    if not hasattr(SimpleSystemManagerResponse, _NAME):  # a later moto may have it
        setattr(SimpleSystemManagerResponse, _NAME, _describe_instance_information)


def _describe_instance_information(response: SimpleSystemManagerResponse) -> ActionResult:
    """Answer for all of EC2's instances, except those without an agent; in one page."""
    from moto.core.responses import ActionResult
    from moto.ec2.models import ec2_backends
    from moto.ssm.exceptions import InvalidFilterKey

    without_agent = licensemanager_backends[response.current_account][response.region].without_ssm_agent
    instances = ec2_backends[response.current_account][response.region].all_instances()
    found = [
        _to_information(instance)
        for instance in instances
        if instance.id not in without_agent and instance.state != "terminated"
    ]
    for given in response._get_param("Filters", []):
        if given["Key"] != "InstanceIds":
            raise InvalidFilterKey(f"{given['Key']} is not a filter of the emulator; it has InstanceIds.")
        found = [each for each in found if each["InstanceId"] in given["Values"]]
    return ActionResult({"InstanceInformationList": found})


def _to_information(instance: Instance) -> dict[str, Any]:
    return {
        "InstanceId": instance.id,
        "PingStatus": "Online" if instance.state == "running" else "ConnectionLost",
        "LastPingDateTime": time.time(),
        "AgentVersion": "3.3.0.0",
        "IsLatestVersion": True,
        "PlatformType": "Windows" if instance.platform == "windows" else "Linux",
        "ResourceType": "EC2Instance",
        "IPAddress": instance.private_ip,
    }
