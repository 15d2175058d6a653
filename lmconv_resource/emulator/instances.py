"""The EC2 side of a conversion: the instances that moto's own EC2 knows."""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from lmconv_resource import models as ours
from lmconv_resource.usage_operations import ELIGIBLE_PAIRS

from .exceptions import InvalidParameterValueException

if TYPE_CHECKING:
    from datetime import datetime

    from moto.ec2.models.instances import Instance

    from .task import ConversionTask, LicenseContext

_INSTANCE_ARN = re.compile(r"arn:[^:]+:ec2:(?P<region>[^:]*):(?P<account_id>[^:]*):instance/(?P<instance_id>.+)")


def get_convertible(
    resource_arn: str,
    source: LicenseContext,
    destination: LicenseContext,
    *,
    account_id: str,
    region: str,
    strict: bool,
) -> Instance | None:
    """Return moto's EC2 instance of this ARN, or None when it is no instance that moto has.

    An instance that moto does not know can be converted nonetheless, so that a test needs no EC2; except `strict`.
    AWS documents the words about a wrong state and about stop protection
    (https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-troubleshooting.html), the others are this
    emulator's.

    Raises:
        InvalidParameterValueException: a request of this account and region cannot convert the instance.

    """
    instance = get_instance(resource_arn)
    if instance is None:
        if strict:
            raise InvalidParameterValueException(f"{resource_arn} was not found.")
        return None
    if (instance.owner_id, instance.region_name) != (account_id, region):
        raise InvalidParameterValueException(f"{resource_arn} is not in the account {account_id} and in {region}.")
    if instance.state != "stopped":
        raise InvalidParameterValueException(
            f"ResourceId - {instance.id} is in an invalid state for changing license type"
        )
    if instance.disable_api_stop:
        raise InvalidParameterValueException(
            f"EC2 instance {instance.id} failed to stop. Ensure that you have permissions for EC2 StopInstances."
        )
    billed = get_usage_operation(instance)
    if billed is not None and source.usage_operation not in (None, billed):
        raise InvalidParameterValueException(
            f"SourceLicenseContext: {source.usage_operation} is not the usage operation of {instance.id}, {billed}."
        )
    if not _is_listed(source, destination):
        raise InvalidParameterValueException(
            f"A license type conversion from {source} to {destination} is not supported."
        )
    return instance


def _is_listed(source: LicenseContext, destination: LicenseContext) -> bool:
    """Return whether AWS's guide lists this conversion. Of a context without a usage operation it cannot be said."""
    if None in (source.usage_operation, destination.usage_operation):
        return True
    old, new = (ours.LicenseContext.from_answer(each.to_wire()) for each in (source, destination))
    return any(pair.allows(old, new) for pair in ELIGIBLE_PAIRS)


def get_instance(resource_arn: str) -> Instance | None:
    """Return moto's EC2 instance of this ARN, or None when it is no instance that moto has."""
    match = _INSTANCE_ARN.fullmatch(resource_arn)
    # EC2 is large: it is not loaded to learn that it has nothing, nor is a backend made, which builds a whole VPC.
    models = sys.modules.get("moto.ec2.models")
    if match is None or models is None:
        return None
    # get() and not []: moto's dictionaries make what they are asked for.
    backend = (models.ec2_backends.get(match["account_id"]) or {}).get(match["region"])
    instance: Instance | None = backend.get_instance_by_id(match["instance_id"]) if backend else None
    return instance


def get_usage_operation(instance: Instance) -> str | None:
    """Return what DescribeInstances shows: nothing until a conversion or a test has set it, as moto has none itself."""
    return getattr(instance, "usage_operation", None)


def set_license(instance: Instance, context: LicenseContext, moment: datetime | None) -> None:
    """Make DescribeInstances show the context, changed at `moment` (None: unchanged since launch)."""
    # moto's Instance has no such attributes; its serializer finds whatever carries the name of a member of the answer.
    if context.usage_operation is not None:
        shown = {"usage_operation": context.usage_operation, "usage_operation_update_time": moment}
        vars(instance).update({name: value for name, value in shown.items() if value is not None})
    vars(instance)["product_codes"] = context.to_wire().get("ProductCodes", [])


def follow(instance: Instance, task: ConversionTask) -> None:
    """Make DescribeInstances show what the task's end changes once that is due, even if no call has read the task."""
    vars(instance)["license_conversion_task"] = task
    if not hasattr(type(instance), "usage_operation"):
        instance.__class__ = _make_following(type(instance))


@cache
def _make_following(base: type[Instance]) -> type[Instance]:
    """Return moto's class, but with the members of the license read after the task's end was applied."""

    def make_property(name: str) -> property:
        def read(instance: Any) -> Any:
            # Reading the status brings a task that is due to its end, which sets the license.
            _ = vars(instance)["license_conversion_task"].status
            if name in vars(instance):
                return vars(instance)[name]
            raise AttributeError(name)

        return property(read)

    # The same name: moto's serializer goes by it.
    names = ("usage_operation", "usage_operation_update_time")
    return type(base.__name__, (base,), {name: make_property(name) for name in names})
