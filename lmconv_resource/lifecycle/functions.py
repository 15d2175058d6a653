"""What the look-ups do: functions in Pulumi's sense, which read and manage nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from lmconv_resource.aws.access import parse_roles
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.lifecycle.inputs import GET_PROPERTIES, LIST_PROPERTIES, Property, validate
from lmconv_resource.lifecycle.operation import Access, Operation
from lmconv_resource.lifecycle.validation import find_wrong_partition
from lmconv_resource.models import ConversionTask, InstanceArn, TaskStatus
from lmconv_resource.text import to_rfc3339

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection


def get_task(
    op: Operation,
    task_id: str,
    *,
    region: str | None = None,
    profile: str | None = None,
    assume_role: object = None,
) -> ConversionTask:
    """Return the task with this id.

    Raises:
        LicenseConversionError: an argument can't be used, or the task could not be looked up.
    """
    given = {"license_conversion_task_id": task_id, "region": region, "profile": profile, "assume_role": assume_role}
    aws = _connect(op, given, GET_PROPERTIES)
    return aws.license_manager.get_task(task_id)


def list_tasks(
    op: Operation,
    *,
    resource_arns: Iterable[str] | None = None,
    statuses: Iterable[str] | None = None,
    region: str | None = None,
    profile: str | None = None,
    assume_role: object = None,
) -> list[ConversionTask]:
    """Return the tasks of the account in the region, oldest first; an empty list is a result.

    Args:
        op: the operation.
        resource_arns: only tasks of these resources. AWS takes one a call, so each costs a call.
        statuses: only tasks with one of these.
        region: the region to ask; by default that of the first ARN.
        profile: the profile to ask as.
        assume_role: the role to ask as, or a list that is a chain of roles.

    Raises:
        LicenseConversionError: an argument can't be used, or the tasks could not be listed.
    """
    given = {"resource_arns": resource_arns, "statuses": statuses}
    instances = _find_instances(resource_arns)
    default = next((arn.region for arn in instances), None)
    way = {"region": region or default, "profile": profile, "assume_role": assume_role}
    aws = _connect(op, {**given, **way}, LIST_PROPERTIES)
    _check_places(op, aws.region, instances)
    wanted = None if statuses is None else {TaskStatus(status) for status in statuses}
    only = next(iter(wanted)) if wanted and len(wanted) == 1 else None
    found = {  # by id: a task that moves while the pages are asked for can be on two of them
        task.task_id: task
        for arn in (dict.fromkeys(resource_arns) if resource_arns is not None else [None])
        for task in aws.license_manager.list_tasks(resource_arn=arn, status=only)
        if wanted is None or task.status in wanted
    }
    return sorted(found.values(), key=_to_rank)


def _connect(op: Operation, given: dict[str, object], table: Iterable[Property]) -> Connection:
    """Return AWS, once what was given has been checked."""
    op.host.check_setting_names()
    region, profile = given["region"], given["profile"]
    resolved = op.host.resolve_region(cast("str | None", region), cast("str | None", profile))
    failures = validate({**given, "region": resolved}, table)
    if failures:
        raise SettingsError(Subject(CONNECT_ACTION), failures[0].reason, "Correct it in the program")
    return op.connect(Access(cast(str, resolved), cast("str | None", profile), parse_roles(given["assume_role"])))


def _find_instances(resource_arns: Iterable[str] | None) -> list[InstanceArn]:
    """Return the instances among what is asked for, where that has the right form."""
    given = resource_arns if isinstance(resource_arns, (list, tuple)) else ()
    parsed = (InstanceArn.parse(arn) for arn in given if isinstance(arn, str))
    return [arn for arn in parsed if arn is not None]


def _check_places(op: Operation, region: str, instances: Iterable[InstanceArn]) -> None:
    """Raise a SettingsError where an instance is in another region, or nowhere, which would show none of its tasks."""
    for arn in instances:
        if arn.region != region:
            reason = f"region {region} is not that of all resource_arns: one is in {arn.region}"
            raise SettingsError(Subject(CONNECT_ACTION), reason, "Ask for one region at a time")
        wrong = find_wrong_partition(arn, op.host.regions().find_partition(region))
        if wrong:
            raise SettingsError(Subject(CONNECT_ACTION), f"one of resource_arns {wrong}", "Write it as AWS shows it")


def _to_rank(task: ConversionTask) -> tuple[str, str]:
    return to_rfc3339(task.start_time) if task.start_time else "", task.task_id
