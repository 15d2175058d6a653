"""The EC2 side of a conversion: the instances that moto's own EC2 knows."""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from .exceptions import ValidationException

if TYPE_CHECKING:
    from datetime import datetime

    from moto.ec2.models.instances import Instance

    from .task import ConversionTask, LicenseContext

_INSTANCE_ARN = re.compile(r"arn:[^:]+:ec2:(?P<region>[^:]*):(?P<account_id>[^:]*):instance/(?P<instance_id>.+)")


def find_instance(resource_arn: str, *, account_id: str, region: str) -> Instance | None:
    """Return moto's EC2 instance of this ARN, or None when it is no instance of this account and region that moto has.

    An instance that moto does not know can be converted nonetheless, so that a test needs no EC2.
    """
    match = _INSTANCE_ARN.fullmatch(resource_arn)
    # EC2 is large: it is not loaded to learn that it has nothing, nor is a backend made, which builds a whole VPC.
    models = sys.modules.get("moto.ec2.models")
    if match is None or models is None or (match["account_id"], match["region"]) != (account_id, region):
        return None
    # get() and not []: moto's dictionaries make what they are asked for.
    backend = (models.ec2_backends.get(account_id) or {}).get(region)
    instance: Instance | None = backend.get_instance_by_id(match["instance_id"]) if backend else None
    return instance


def require_stopped(instance: Instance) -> None:
    """Do nothing when the instance is stopped.

    Raises:
        ValidationException: it is in another state.

    """
    if instance.state != "stopped":
        raise ValidationException(
            f"The instance {instance.id} is {instance.state}. It must be stopped before its license type is converted."
        )


def set_license(instance: Instance, context: LicenseContext, moment: datetime | None) -> None:
    """Make DescribeInstances show the context's usage operation, changed at `moment` (None: unchanged since launch)."""
    # moto's Instance has no such attributes; its serializer finds whatever carries the name of a member of the answer.
    if context.usage_operation is not None:
        shown = {"usage_operation": context.usage_operation, "usage_operation_update_time": moment}
        vars(instance).update({name: value for name, value in shown.items() if value is not None})


def follow(instance: Instance, task: ConversionTask) -> None:
    """Make DescribeInstances show what the task's end changes once that is due, though nobody looked at the task."""
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
