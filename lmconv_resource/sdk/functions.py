"""Functions in the manner of Pulumi's data sources: look tasks up while the program runs.

They use the settings that the resources use, wait for nothing, and import boto3 only when they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi.runtime

from lmconv_resource.errors import LicenseConversionError, SettingsError
from lmconv_resource.lifecycle import inputs
from lmconv_resource.models import ConversionTask, TaskStatus, to_rfc3339
from lmconv_resource.sdk.outputs import GetLicenseConversionTaskResult

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection


@dataclass(frozen=True)
class GetOptions:
    """Options of the functions below, in the manner of `pulumi.InvokeOptions`."""

    region: str | None = None
    """The AWS region to ask. Default: `aws:region` of the stack, AWS_REGION, the shared AWS config."""


def get_license_conversion_task(id: str, *, opts: GetOptions | None = None) -> GetLicenseConversionTaskResult:
    """Look a task up by its id.

    Args:
        id: the task's id, `lct-…`.
        opts: the region to ask.

    Raises:
        pulumi.RunError: the task could not be looked up; its text is one line.
    """
    try:
        connection = _connect({"license_conversion_task_id": id}, inputs.GET_RULES, opts)
        from lmconv_resource.aws.license_manager import find_task

        return _to_result(find_task(connection, id))
    except LicenseConversionError as error:
        raise pulumi.RunError(str(error)) from error


def get_license_conversion_task_output(
    id: pulumi.Input[str], *, opts: GetOptions | None = None
) -> pulumi.Output[GetLicenseConversionTaskResult]:
    """Look a task up by its id, which may be another resource's output."""
    return pulumi.Output.from_input(id).apply(lambda known: get_license_conversion_task(known, opts=opts))


def get_license_conversion_tasks(
    *,
    resource_arns: Sequence[str] | None = None,
    statuses: Sequence[str] | None = None,
    opts: GetOptions | None = None,
) -> list[GetLicenseConversionTaskResult]:
    """List the tasks of the account in the region, oldest first; an empty list is a result.

    Args:
        resource_arns: only tasks of these resources. AWS takes one a call, so each costs a call.
        statuses: only tasks with one of these: `IN_PROGRESS`, `SUCCEEDED`, `FAILED`.
        opts: the region to ask.

    Raises:
        pulumi.RunError: the tasks could not be listed; its text is one line.
    """
    try:
        connection = _connect({"resource_arns": resource_arns, "statuses": statuses}, inputs.LIST_RULES, opts)
        from lmconv_resource.aws.license_manager import find_tasks

        wanted = None if statuses is None else {TaskStatus(status) for status in statuses}
        only = next(iter(wanted)) if wanted and len(wanted) == 1 else None
        found = {  # by id: a task that moves while the pages are asked for can be on two of them
            task.task_id: task
            for arn in (dict.fromkeys(resource_arns) if resource_arns is not None else [None])
            for task in find_tasks(connection, resource_arn=arn, status=only)
            if wanted is None or task.status in wanted
        }
        return [_to_result(task) for task in sorted(found.values(), key=_to_rank)]
    except LicenseConversionError as error:
        raise pulumi.RunError(str(error)) from error


def get_license_conversion_tasks_output(
    *,
    resource_arns: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
    statuses: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
    opts: GetOptions | None = None,
) -> pulumi.Output[list[GetLicenseConversionTaskResult]]:
    """List the tasks of the account in the region, where ARNs or statuses may be other resources' outputs."""
    given = pulumi.Output.all(pulumi.Output.from_input(resource_arns), pulumi.Output.from_input(statuses))
    return given.apply(lambda known: get_license_conversion_tasks(resource_arns=known[0], statuses=known[1], opts=opts))


def _connect(given: dict[str, Any], rules: dict[str, inputs.Rule], opts: GetOptions | None) -> Connection:
    """Give the connection to ask, once what was given has been checked."""
    from lmconv_resource.aws.client import connect
    from lmconv_resource.aws.settings import Settings, find_region

    region = find_region(pulumi.runtime.get_config, opts.region if opts else None)
    failures = inputs.find_failures({**given, "region": region}, rules)
    if failures:
        raise SettingsError(reason=failures[0].reason, remedy="Mend it in the program")
    return connect(Settings.from_config(pulumi.runtime.get_config, region or ""))


def _to_result(task: ConversionTask) -> GetLicenseConversionTaskResult:
    return GetLicenseConversionTaskResult(task.to_outputs())


def _to_rank(task: ConversionTask) -> tuple[str, str]:
    return to_rfc3339(task.start_time) if task.start_time else "", task.task_id
