"""What both hosts are told in the tables that hold for both, in Python's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict

from lmconv_resource.emulator import LicenseManagerBackend
from lmconv_resource.hosts.native.properties import write

ARN = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0"
BYOL, INCLUDED = {"usage_operation": "RunInstances:0800"}, {"usage_operation": "RunInstances:0002"}

TRACK: dict[str, Any] = {"license_conversion_task_id": "lct-1", "region": "eu-west-1"}
CONVERT: dict[str, Any] = {
    "resource_arn": ARN,
    "source_license_context": BYOL,
    "destination_license_context": INCLUDED,
    "region": "eu-west-1",
    "wait_for_completion": True,
}


def add(
    aws: LicenseManagerBackend, status: str = "SUCCEEDED", task_id: str = "lct-1", message: str | None = None
) -> None:
    """Add a task of the resource, which leads to the same."""
    aws.add_task(
        task_id=task_id,
        resource_arn=ARN,
        source="RunInstances:0800",
        destination="RunInstances:0002",
        status=status,
        message=message,
    )


def wired(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties as the native host takes them."""
    named: dict[str, Any] = MessageToDict(write(properties))
    return named
