"""The EC2 side: the instance that is converted, as far as the caller's rights reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmconv_resource.errors import (
    CREATE_ACTION,
    LicenseConversionError,
    ServiceFaultError,
    Subject,
    ThrottledError,
)
from lmconv_resource.models import ConversionRequest, InstanceArn
from lmconv_resource.usage_operations import describe

if TYPE_CHECKING:
    from lmconv_resource.aws.calls import Calls

DESCRIBE_ACTION = "ec2:DescribeInstances"
ATTRIBUTE_ACTION = "ec2:DescribeInstanceAttribute"


@dataclass(frozen=True)
class Instance:
    """An EC2 instance, as far as a conversion is concerned."""

    instance_id: str
    state: str
    usage_operation: str | None


def to_instance_id(resource_arn: str) -> str | None:
    """Return the instance's id from its ARN; None for the ARN of anything else."""
    arn = InstanceArn.parse(resource_arn)
    return arn.instance_id if arn else None


class Ec2:
    """EC2 with one connection's settings. Safe to share between threads.

    Only what EC2 itself asks to try again is tried again: a network without a way to EC2 holds up nobody for long.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._region = calls.settings.region

    def get_instance(self, resource_arn: str) -> Instance | None:
        """Return an instance as DescribeInstances shows it; None where EC2 shows none.

        Raises:
            LicenseConversionError: the call failed, for want of the right to it too.
        """
        instance_id = to_instance_id(resource_arn)
        if instance_id is None:
            return None
        # A filter instead of an id: an unknown instance is then an empty answer and not one of several errors.
        filters: list[Any] = [{"Name": "instance-id", "Values": [instance_id]}]
        answer = self._ask(lambda ec2: ec2.describe_instances(Filters=filters), DESCRIBE_ACTION, resource_arn)
        for reservation in answer.get("Reservations") or ():
            for entry in reservation.get("Instances") or ():
                return Instance(instance_id, entry.get("State", {}).get("Name", "unknown"), entry.get("UsageOperation"))
        return None

    def has_stop_protection(self, resource_arn: str) -> bool:
        """Return whether the instance's `disableApiStop` is set."""
        instance_id = to_instance_id(resource_arn) or ""
        answer = self._ask(
            lambda ec2: ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="disableApiStop"),
            ATTRIBUTE_ACTION,
            resource_arn,
        )
        return bool((answer.get("DisableApiStop") or {}).get("Value"))

    def check_ready(self, request: ConversionRequest) -> None:
        """Check what AWS asks of an instance before its license is converted.

        It exists, is stopped, has no stop protection, and is billed as what the conversion starts from. Source:
        https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-prerequisites.html.

        Raises:
            LicenseConversionError: one of these is not so, or EC2 could not be asked.
        """
        subject = Subject(CREATE_ACTION, None, self._region, request.resource_arn)
        instance = self.get_instance(request.resource_arn)
        if instance is None or instance.state == "terminated":
            raise LicenseConversionError(
                subject,
                "EC2 shows no such instance",
                "Check the ARN, the region and the account of the credentials",
            )
        if instance.state != "stopped":
            on_its_way = instance.state in ("stopping", "shutting-down")
            raise LicenseConversionError(
                subject,
                f"the instance is {instance.state} and must be stopped",
                "Wait for that, then run `pulumi up` again"
                if on_its_way
                else f"Stop it with `aws ec2 stop-instances --instance-ids {instance.instance_id}`",
            )
        if self.has_stop_protection(request.resource_arn):
            raise LicenseConversionError(
                subject,
                "the instance has stop protection",
                "Turn it off with `aws ec2 modify-instance-attribute --no-disable-api-stop "
                f"--instance-id {instance.instance_id}`",
            )
        declared, present = request.source.usage_operation, instance.usage_operation
        if declared and present and declared != present:
            raise LicenseConversionError(
                subject,
                f"the instance is billed as {describe(present)}, not as {describe(declared)}",
                "Give its present usage operation in source_license_context",
            )

    def _ask(self, send: Any, action: str, resource_arn: str) -> dict[str, Any]:
        subject = Subject(action, None, self._region, resource_arn)
        answer: dict[str, Any] = self._calls.retry(
            lambda: self._calls.once(send, subject), ThrottledError, ServiceFaultError
        )
        return answer
