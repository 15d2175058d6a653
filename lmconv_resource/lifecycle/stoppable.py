"""What keeps an instance from being stopped for a conversion, and what a stop would change."""

from __future__ import annotations

import logging

from lmconv_resource.aws.ec2 import STOP_ACTION, Instance
from lmconv_resource.errors import CREATE_ACTION, AccessDeniedError, LicenseConversionError, Subject
from lmconv_resource.lifecycle.operation import Aws, Operation
from lmconv_resource.models import ConversionRequest
from lmconv_resource.usage_operations import describe

log = logging.getLogger(__name__)

_GROUP_TAG = "aws:autoscaling:groupName"
_STOPPABLE = ("running", "pending", "stopping", "stopped")


def check_stoppable(aws: Aws, resource_arn: str, instance: Instance) -> None:
    """Raise an error with what to do when an instance can't be stopped and started again. Nothing is done to it."""
    subject = Subject(STOP_ACTION, None, aws.region, resource_arn)
    problem = _find_obstacle(instance) or _find_asked(aws, resource_arn, instance)
    if problem:
        raise LicenseConversionError(subject, *problem)


def check_source(aws: Aws, request: ConversionRequest, instance: Instance) -> None:
    """Raise an error when AWS would refuse the conversion for its source: nothing is stopped for that."""
    present = instance.license_context.usage_operation
    declared = request.source.usage_operation
    if present and declared and present != declared:
        raise LicenseConversionError(
            Subject(CREATE_ACTION, None, aws.region, request.resource_arn),
            f"the instance is billed as {describe(present)}, not as {describe(declared)}",
            "Give what it is now in source_license_context, or leave that out",
        )


def _find_obstacle(instance: Instance) -> tuple[str, str] | None:
    """Return what DescribeInstances alone says against a stop, and what to do."""
    if instance.state not in _STOPPABLE:
        return f"the instance is {instance.state}", "Check the ARN and the region"
    group = instance.tags.get(_GROUP_TAG)
    if group:
        return (
            f"the instance belongs to the Auto Scaling group {group}, which would replace it while it is stopped",
            f"Detach it with `aws autoscaling detach-instances --instance-ids {instance.instance_id} "
            f"--auto-scaling-group-name {group} --should-decrement-desired-capacity`",
        )
    if instance.answer.get("RootDeviceType") == "instance-store":
        return (
            "its root device is an instance store, so it can't be stopped",
            "Launch a new instance with the license that is wanted, from an image with an EBS root device",
        )
    return None


def _find_asked(aws: Aws, resource_arn: str, instance: Instance) -> tuple[str, str] | None:
    """Return what EC2 has to be asked for, and says against a stop."""
    request_id = instance.answer.get("SpotInstanceRequestId")
    if instance.answer.get("InstanceLifecycle") == "spot" and not (
        request_id and aws.ec2.is_persistent_spot(request_id, resource_arn)
    ):
        return (
            "it is a Spot instance of a request that is not persistent, so it can't be stopped",
            "Convert an On-Demand instance, or one of a persistent Spot request",
        )
    if aws.ec2.has_stop_protection(resource_arn):
        return (
            "the instance has stop protection",
            "Turn it off with `aws ec2 modify-instance-attribute --no-disable-api-stop "
            f"--instance-id {instance.instance_id}`",
        )
    return None


def warn_of_changes(op: Operation, aws: Aws, resource_arn: str, instance: Instance) -> None:
    """Warn of a public address that the instance will not have any more when it runs again."""
    address = instance.answer.get("PublicIpAddress")
    if not address:
        return
    associations = [each.get("Association") or {} for each in instance.answer.get("NetworkInterfaces") or ()]
    owners = {each.get("IpOwnerId") for each in associations if each.get("PublicIp") == address}
    if owners != {"amazon"}:
        try:
            if aws.ec2.is_elastic(address, resource_arn):
                return
        except AccessDeniedError as denied:
            log.info("whether %s is an Elastic IP address is not known: %s", address, denied)
            return
    op.log(
        f"The public address {address} of {instance.instance_id} is no Elastic IP address: the instance gets another "
        "one when it is started again.",
        "WARNING",
    )
