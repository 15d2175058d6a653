"""What the look-ups do: functions in Pulumi's sense, which read and manage nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from lmconv_resource.aws.access import parse_roles
from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.lifecycle.inputs import GET_PROPERTIES, LIST_PROPERTIES, Property, validate
from lmconv_resource.lifecycle.operation import Access, Operation, Properties
from lmconv_resource.lifecycle.validation import partition_problem
from lmconv_resource.models import ConversionTask, InstanceArn, TaskStatus, sort_newest_first
from lmconv_resource.wording import written

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection


def get_task(op: Operation, args: Properties) -> dict[str, Any]:
    """Return the outputs of the task with an `id`.

    Raises:
        LicenseConversionError: an argument can't be used, or the task could not be looked up.
    """
    aws = _connect(op, {**args, "license_conversion_task_id": args.get("id")}, GET_PROPERTIES)
    return aws.license_manager.get_task(str(args["id"])).to_outputs()


def list_tasks(op: Operation, args: Properties) -> dict[str, Any]:
    """Return the outputs of what `read_tasks` returns, as `tasks`."""
    return {"tasks": [task.to_outputs() for task in read_tasks(op, args)]}


def read_tasks(op: Operation, args: Properties) -> list[ConversionTask]:
    """Return the tasks of the account in the region, oldest first; an empty list is a result.

    Args:
        op: the operation.
        args: how AWS is reached, the region by default that of the first ARN; with `resource_arns` only tasks of these
            (AWS takes one a call, so each costs a call), with `statuses` only those with one of these.

    Raises:
        LicenseConversionError: an argument can't be used, or the tasks could not be listed.
    """
    arns, statuses = (cast("Iterable[str] | None", args.get(name)) for name in ("resource_arns", "statuses"))
    given = arns if isinstance(arns, (list, tuple)) else ()
    instances = [arn for each in given if isinstance(each, str) and (arn := InstanceArn.parse(each))]
    default = next((arn.region for arn in instances), None)
    aws = _connect(op, {**args, "region": args.get("region") or default}, LIST_PROPERTIES)
    _check_places(op, aws.region, instances)
    wanted = None if statuses is None else {TaskStatus(status) for status in statuses}
    only = next(iter(wanted)) if wanted and len(wanted) == 1 else None
    found = {  # by id: a task that moves while the pages are asked for can be on two of them
        task.task_id: task
        for arn in (dict.fromkeys(arns) if arns is not None else [None])
        for task in aws.license_manager.list_tasks(resource_arn=arn, status=only)
        if wanted is None or task.status in wanted
    }
    return sort_newest_first(found.values())[::-1]


GET_TOKEN = "lmconv:index:getLicenseConversionTask"  # noqa: S105 -- Pulumi's word for a function's name
LIST_TOKEN = "lmconv:index:getLicenseConversionTasks"  # noqa: S105

FUNCTIONS: Mapping[str, Callable[[Operation, Properties], dict[str, Any]]] = {
    GET_TOKEN: get_task,
    LIST_TOKEN: list_tasks,
}
"""By the tokens that Pulumi knows them by, in mocks of tests too. Each is given its arguments by name."""


def _connect(op: Operation, args: Properties, table: Iterable[Property]) -> Connection:
    op.host.check_setting_names()
    region, profile = (cast("str | None", args.get(name)) for name in ("region", "profile"))
    resolved = op.host.resolve_region(region, profile)
    failures = validate({**args, "region": resolved}, table)
    if failures:
        raise SettingsError(Subject(CONNECT_ACTION), failures[0].reason, "Correct it in the program")
    return op.connect(Access(cast(str, resolved), profile, parse_roles(args.get("assume_role"))))


def _check_places(op: Operation, region: str, instances: Iterable[InstanceArn]) -> None:
    """Raise a SettingsError where an instance is in another region, or nowhere, which would show none of its tasks."""
    for arn in instances:
        if arn.region != region:
            reason = f"region {region} is not that of all {written('resource_arns')}: one is in {arn.region}"
            raise SettingsError(Subject(CONNECT_ACTION), reason, "Ask for one region at a time")
        wrong = partition_problem(arn, op.host.regions().partition_of(region))
        if wrong:
            raise SettingsError(
                Subject(CONNECT_ACTION), f"one of {written('resource_arns')} {wrong}", "Use it as AWS shows it"
            )
