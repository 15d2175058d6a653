"""The emulator, through boto3 and on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from support.aws import ACCOUNT

from lmconv_resource.emulator import LicenseManagerBackend, licensemanager_backends

if TYPE_CHECKING:
    from mypy_boto3_license_manager import LicenseManagerClient

REGION = "us-east-1"
ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"
NOON = 1_750_000_000.0
BYOL: Any = {"UsageOperation": "RunInstances:0800"}
INCLUDED: Any = {"UsageOperation": "RunInstances:0002"}


def connect(
    endpoint: str | None = None, read_timeout: float = 5, region: str = REGION, **config: Any
) -> LicenseManagerClient:
    """Return a client that tries a call once."""
    options = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=read_timeout, **config)
    return boto3.client("license-manager", endpoint_url=endpoint, region_name=region, config=options)


def get_backend() -> LicenseManagerBackend:
    return licensemanager_backends[ACCOUNT][REGION]


def add_task(backend: LicenseManagerBackend, number: int = 0, **arguments: Any) -> str:
    """Add a task of Windows BYOL to license included, and return its id."""
    arguments = {"resource_arn": f"{ARN[:-1]}{number}", **arguments}
    return backend.add_task(source="RunInstances:0800", destination="RunInstances:0002", **arguments).task_id


def get(client: LicenseManagerClient, task_id: str) -> dict[str, Any]:
    return dict(client.get_license_conversion_task(LicenseConversionTaskId=task_id))


def start(client: LicenseManagerClient, arn: str = ARN, source: Any = BYOL, destination: Any = INCLUDED) -> str:
    return client.create_license_conversion_task_for_resource(
        ResourceArn=arn, SourceLicenseContext=source, DestinationLicenseContext=destination
    )["LicenseConversionTaskId"]


def to_headers(operation: str) -> dict[str, str]:
    """Return the headers of a call as AWS's clients send it."""
    return {
        "X-Amz-Target": f"AWSLicenseManager.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20240501/us-east-1/license-manager/aws4_request, Signature=b",
    }
