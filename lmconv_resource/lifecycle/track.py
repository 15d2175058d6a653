"""Tasks that are tracked, and tasks that are looked up: neither starts anything.

A LicenseConversionTask tracks a task by its id or as the newest of a resource. AWS is asked only where the state does
not settle it: never for a task that has ended. The look-ups are functions in Pulumi's sense, which manage nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from lmconv_resource import errors
from lmconv_resource.aws.access import parse_roles, resolve_region
from lmconv_resource.aws.remedies import to_failed_error
from lmconv_resource.errors import CONNECT_ACTION, LicenseConversionError, Subject
from lmconv_resource.lifecycle.controller import Controller, select_replacing
from lmconv_resource.lifecycle.inputs import (
    GET_PROPERTIES,
    LIST_PROPERTIES,
    Property,
    TaskInputs,
    refuse_wrong,
    validate,
    validate_identity,
)
from lmconv_resource.lifecycle.operation import Access, CheckFailure, Diff, Operation, Properties, Stored
from lmconv_resource.lifecycle.state import is_settled, merge, must_await
from lmconv_resource.lifecycle.validation import partition_problem
from lmconv_resource.models import ConversionTask, InstanceArn, TaskStatus, select_newest, sort_newest_first
from lmconv_resource.text import fill, to_failure_reason, written

if TYPE_CHECKING:
    from lmconv_resource.aws.client import Connection


class TaskController(Controller[TaskInputs, ConversionTask]):
    """Tracks a license conversion task."""

    inputs = TaskInputs
    state = ConversionTask

    def _validate(self, checked: Properties) -> list[CheckFailure]:
        return validate_identity(checked) + super()._validate(checked)

    def diff(self, op: Operation, task_id: str, state: ConversionTask, inputs: TaskInputs) -> Diff:
        """Return what the program asks for, and what AWS says of a running task, that the state does not have.

        With `follow_newest` AWS is also asked for the resource's newest task, and where one FAILED that was waited for:
        the way out of that is another conversion.
        """
        replaces = select_replacing(self.inputs.properties, inputs, state.to_outputs())
        if not replaces and inputs.unknown_access:
            return Diff(changed=inputs.unknown_access)
        awaits = must_await(state, inputs)
        follows = inputs.follow_newest and "follow_newest" not in inputs.unknown
        if not replaces and inputs.resource_arn and (follows or (awaits and state.status is TaskStatus.FAILED)):
            newest = select_newest(op.connect(inputs).license_manager.list_tasks(inputs.resource_arn))
            # AWS may have ceased to list the recorded one.
            is_older = newest and newest.start_time and state.start_time and newest.start_time < state.start_time
            if newest and newest.task_id != task_id and not is_older:
                op.log(f"{newest.task_id} is newer than {task_id} and is followed from now on")
                replaces = ("license_conversion_task_id",)
        if replaces:
            return Diff(replaces=replaces)
        if awaits:
            return Diff(changed=("wait_for_completion",))
        if state.is_complete:
            return Diff()
        task = op.connect(inputs, task_id, state.region).get_recent_task(task_id)
        return self._diff_running(op, state, task)

    def create(self, op: Operation, inputs: TaskInputs) -> Stored[ConversionTask]:
        """Find the task, and with the wait option follow it to its end."""
        task_id = inputs.license_conversion_task_id
        aws = op.connect(inputs, task_id)
        if task_id is None:
            newest = select_newest(aws.license_manager.list_tasks(str(inputs.resource_arn)))
            if newest is None:
                subject = Subject(errors.LIST_ACTION, None, aws.region, inputs.resource_arn)
                places = fill("the region (set `region` or {run region REGION})")
                remedy = f"Check the ARN, {places} and the account of the credentials"
                raise LicenseConversionError(subject, "AWS shows none", remedy)
            task_id = newest.task_id
        try:
            return Stored(self._await_or_get(op, aws, inputs, task_id, None), id=task_id)
        except errors.WaitError as error:
            if error.task is None:
                raise
            return Stored(error.task, error, task_id)

    def read(
        self, op: Operation, task_id: str, state: ConversionTask | None, inputs: TaskInputs
    ) -> Stored[ConversionTask]:
        """Look the task up again."""
        found = self._refresh(op, task_id, state, inputs)
        read_inputs = {"license_conversion_task_id": task_id, "region": found.region}
        return Stored(found, inputs=read_inputs if state is None else None)

    def update(self, op: Operation, task_id: str, state: ConversionTask, inputs: TaskInputs) -> Stored[ConversionTask]:
        """Look the task up again, or follow it to its end."""
        if is_settled(state, inputs):
            return Stored(state)
        aws = op.connect(inputs, task_id, inputs.region or state.region)
        try:
            return Stored(merge(op, state, self._await_or_get(op, aws, inputs, task_id, state)))
        except errors.WaitError as error:
            return Stored(state if error.task is None else merge(op, state, error.task), error)

    def _await_or_get(
        self, op: Operation, aws: Connection, inputs: TaskInputs, task_id: str, recorded: ConversionTask | None
    ) -> ConversionTask:
        """Return the task as it is now, or, with the wait option, as it ended; a FAILED one that counts is an error.

        Of one that is recorded, what the diff has just seen is not asked for again.
        """
        if not inputs.wait_for_completion:
            task = aws.get_recent_task(task_id) if recorded else aws.license_manager.get_task(task_id)
        else:
            task = op.follow(
                aws,
                task_id,
                poll_interval_seconds=inputs.poll_interval_seconds,
                # Of one that is neither recorded nor listed there is only the id that the program gives.
                is_known=recorded is not None or inputs.license_conversion_task_id is None,
            )
            if task.status is TaskStatus.FAILED and not inputs.ignore_failure:
                raise to_failed_error(task, fill(errors.ConversionFailedError.remedy))
        if task.status is TaskStatus.FAILED:
            op.log(f"{task.task_id} FAILED: {to_failure_reason(task.status_message)}", "WARNING")
        return task


def get_task(op: Operation, args: Properties) -> dict[str, Any]:
    """Return the outputs of the task with an `id`."""
    aws = _connect(op, {**args, "license_conversion_task_id": args.get("id")}, GET_PROPERTIES)
    return aws.license_manager.get_task(str(args["id"])).to_outputs()


def list_tasks(op: Operation, args: Properties) -> dict[str, Any]:
    """Return the outputs of what `read_tasks` returns, as `tasks`."""
    return {"tasks": [task.to_outputs() for task in read_tasks(op, args)]}


def read_tasks(op: Operation, args: Properties) -> list[ConversionTask]:
    """Return the tasks of the account in the region, oldest first; an empty list is a result.

    The region is by default that of the first ARN. With `resource_arns` only tasks of these are listed (AWS takes one a
    call, so each costs a call), with `statuses` only those with one of these.
    """
    arns, statuses = (cast("Iterable[str] | None", args.get(name)) for name in ("resource_arns", "statuses"))
    given = arns if isinstance(arns, (list, tuple)) else ()
    instances = [arn for each in given if (arn := InstanceArn.parse(each))]
    default = next((arn.region for arn in instances), None)
    aws = _connect(op, {**args, "region": args.get("region") or default}, LIST_PROPERTIES)
    _check_places(op, aws.region, instances)
    wanted = None if statuses is None else {TaskStatus(status) for status in statuses}
    only = next(iter(wanted)) if wanted and len(wanted) == 1 else None
    found = {  # by id: a task that moves while the pages are asked for can be on two of them
        task.task_id: task
        for chosen in ([()] if arns is None else [(arn,) for arn in dict.fromkeys(arns)])
        for task in aws.license_manager.list_tasks(*chosen, status=only)
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
    resolved = resolve_region(op.host.get_config, region, profile)
    refuse_wrong(validate({**args, "region": resolved}, table))
    return op.connect(Access(resolved, profile, parse_roles(args.get("assume_role"))))


def _check_places(op: Operation, region: str, instances: Iterable[InstanceArn]) -> None:
    """Raise a SettingsError where an instance is in another region, or nowhere, which would show none of its tasks."""
    for arn in instances:
        if arn.region != region:
            reason = f"region {region} is not that of all {written('resource_arns')}: one is in {arn.region}"
            raise errors.SettingsError(Subject(CONNECT_ACTION), reason, "Ask for one region at a time")
        wrong = partition_problem(arn, op.host.regions())
        if wrong:
            raise errors.SettingsError(
                Subject(CONNECT_ACTION), f"one of {written('resource_arns')} {wrong}", "Use it as AWS shows it"
            )
