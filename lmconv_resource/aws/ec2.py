"""The EC2 side: the instance that is converted, as far as the caller's rights reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tenacity

from lmconv_resource.aws.license_manager import call, retrying
from lmconv_resource.errors import PreflightError, ServiceFaultError, ThrottledError
from lmconv_resource.usage_operations import describe

if TYPE_CHECKING:
    import threading

    from lmconv_resource.aws.client import Connection
    from lmconv_resource.lifecycle.start import Request

_INSTANCE_ARN = re.compile(r"arn:aws[a-zA-Z-]*:ec2:[^:]*:[^:]*:instance/(i-[0-9a-f]+)")

DESCRIBE_ACTION = "ec2:DescribeInstances"
ATTRIBUTE_ACTION = "ec2:DescribeInstanceAttribute"


@dataclass(frozen=True)
class Instance:
    """An EC2 instance, as far as a conversion is concerned."""

    instance_id: str
    state: str
    usage_operation: str | None


def find_instance_id(resource_arn: str) -> str | None:
    """Give the instance's id from its ARN; None for the ARN of anything else."""
    match = _INSTANCE_ARN.fullmatch(resource_arn)
    return match[1] if match else None


def find_instance(connection: Connection, resource_arn: str, stopped: threading.Event | None = None) -> Instance | None:
    """Look an instance up by DescribeInstances; None where EC2 shows none.

    Only what EC2 itself asks to try again is tried again: a network without a way to EC2 holds up nobody for long.

    Raises:
        LicenseConversionError: the look-up failed, for want of the right to it too.
    """
    instance_id = find_instance_id(resource_arn)
    if instance_id is None:
        return None
    # A filter instead of an id: an unknown instance is then an empty answer and not one of several errors.
    filters: list[Any] = [{"Name": "instance-id", "Values": [instance_id]}]
    answer = _ask(
        connection,
        lambda: connection.ec2.describe_instances(Filters=filters),
        DESCRIBE_ACTION,
        resource_arn,
        stopped,
    )
    for reservation in answer.get("Reservations") or ():
        for entry in reservation.get("Instances") or ():
            return Instance(instance_id, entry.get("State", {}).get("Name", "unknown"), entry.get("UsageOperation"))
    return None


def _has_stop_protection(connection: Connection, resource_arn: str, stopped: threading.Event | None) -> bool:
    instance_id = find_instance_id(resource_arn) or ""
    answer = _ask(
        connection,
        lambda: connection.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="disableApiStop"),
        ATTRIBUTE_ACTION,
        resource_arn,
        stopped,
    )
    return bool((answer.get("DisableApiStop") or {}).get("Value"))


def _ask(
    connection: Connection, ask: Any, action: str, resource_arn: str, stopped: threading.Event | None
) -> dict[str, Any]:
    asked_to = tenacity.retry_if_exception_type((ThrottledError, ServiceFaultError))
    answer: dict[str, Any] = retrying(connection, stopped).copy(retry=asked_to)(
        call, connection, ask, action=action, resource_arn=resource_arn
    )
    return answer


def check_ready(connection: Connection, request: Request, stopped: threading.Event | None = None) -> None:
    """Check with EC2 what AWS asks of an instance before its license is converted.

    It exists, is stopped, has no stop protection, and is billed as what the conversion starts from. Source:
    https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-prerequisites.html.

    Raises:
        PreflightError: one of these is not so.
        LicenseConversionError: EC2 could not be asked.
    """

    def refuse(reason: str, remedy: str) -> PreflightError:
        return PreflightError(reason=reason, remedy=remedy, resource_arn=request.resource_arn, region=connection.region)

    instance = find_instance(connection, request.resource_arn, stopped)
    if instance is None or instance.state == "terminated":
        raise refuse("EC2 shows no such instance", "Check the ARN, the region and the account of the credentials")
    if instance.state in ("stopping", "shutting-down"):
        raise refuse(
            f"the instance is {instance.state} and must be stopped", "Wait for that, then run `pulumi up` again"
        )
    if instance.state != "stopped":
        raise refuse(
            f"the instance is {instance.state} and must be stopped",
            f"Stop it with `aws ec2 stop-instances --instance-ids {instance.instance_id}`",
        )
    if _has_stop_protection(connection, request.resource_arn, stopped):
        raise refuse(
            "the instance has stop protection",
            "Turn it off with `aws ec2 modify-instance-attribute --no-disable-api-stop "
            f"--instance-id {instance.instance_id}`",
        )
    declared, present = request.source.usage_operation, instance.usage_operation
    if declared and present and declared != present:
        raise refuse(
            f"the instance is billed as {describe(present)}, not as {describe(declared)}",
            "Give its present usage operation in source_license_context",
        )
