"""The EC2 side of a conversion: the instances that moto's own EC2 knows."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from .exceptions import ValidationException

if TYPE_CHECKING:
    from datetime import datetime

    from moto.ec2.models.instances import Instance

    from .task import LicenseContext

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
